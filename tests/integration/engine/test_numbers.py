"""`top`, `stats` and `port`: what a container does, uses and can be reached by, in docker's columns."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import time

import pytest

from minirun.engine import top as engine_top
from minirun.errors import InvalidInput
from tests.hosts import has
from tests.waiting import free_port, until

BUSY = "while :; do :; done"


@pytest.fixture
def sleeper(busybox, run_container):
    return run_container(busybox, "sleep", "1234")


def test_top_shows_the_host_s_columns_and_the_container_s_processes_alone(minirun, sleeper):
    heading, line = minirun("top", sleeper).stdout.splitlines()
    assert heading.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert line.split()[0] == "root"
    assert line.endswith("sleep 1234")
    assert heading.index("PID") == 20
    pid = minirun("inspect", "-f", "{{.State.Pid}}", sleeper).stdout.strip()
    assert line.split()[1] == pid


def test_top_takes_the_options_of_ps(minirun, sleeper):
    lines = minirun("container", "top", sleeper, "-o", "pid,comm").stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["COMMAND", "sleep"]
    assert minirun("top", sleeper, "aux").stdout.startswith("USER ")


def test_top_without_ps_on_the_host_says_the_same(minirun, sleeper, tmp_path):
    shown = minirun("top", sleeper).stdout
    without = minirun("top", sleeper, env={**os.environ, "PATH": str(tmp_path)}).stdout
    assert re.sub(r"\d\d:\d\d +\?", "", without) == re.sub(r"\d\d:\d\d +\?", "", shown)
    done = minirun("top", sleeper, "aux", check=False, env={**os.environ, "PATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (1, "")
    assert "this host has no ps" in done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("-o", "comm"), "Couldn't find PID field in ps output"),
        (("-o", "pid=FOO"), "Couldn't find PID field in ps output"),
        (("-zzz",), "ps: error: unsupported SysV option"),
        (("-o", "comm=PID"), 'specifying "comm=PID" is not allowed'),
    ],
)
def test_top_refuses_what_hides_the_process_ids(minirun, sleeper, options, sentence):
    done = minirun("top", sleeper, *options, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"Error: {sentence}\n")


def test_top_of_a_container_at_rest_is_refused(minirun, busybox):
    minirun("create", "--name", "resting", busybox, "true")
    try:
        done = minirun("top", "resting", check=False)
        assert done.returncode == 1
        assert re.fullmatch(r"Error: container [0-9a-f]{64} is not running\n", done.stderr)
    finally:
        minirun("rm", "resting")


def test_threads_of_a_process_follow_it():
    listing = "PID LWP CMD\n1 - init\n- 1 -\n7 - two words\n- 7 -\n- 8 -\n9 - other\n- 9 -\n"
    found = engine_top._of(listing, [7])
    assert found.rows == (("7", "-", "two words"), ("-", "7", "-"), ("-", "8", "-"))
    with pytest.raises(InvalidInput):
        engine_top._of("CMD\n", [7])


def numbers(minirun, *words: str) -> dict[str, dict[str, str]]:
    lines = minirun("stats", "--no-stream", "--format", "json", *words).stdout.splitlines()
    return {row["Name"]: row for row in map(json.loads, lines)}


def test_stats_measures_a_busy_container_and_a_sleeping_one(minirun, busybox, run_container):
    busy, idle = run_container(busybox, "sh", "-c", BUSY), run_container(busybox, "sleep", "600")
    seen = numbers(minirun)
    shares = {name: float(row["CPUPerc"].rstrip("%")) for name, row in seen.items()}
    assert shares[busy] > 1 > shares[idle]  # on a host that is busy itself, nobody gets a whole processor
    assert seen[idle]["PIDs"] == "1"
    assert set(seen[idle]) == {
        "BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs",
    }  # fmt: skip


def test_stats_counts_the_network_but_not_the_host_s(minirun, busybox, run_container):
    name = run_container(busybox, "sh", "-c", "ping -c 3 -i 0.1 $(ip route | sed -n 's/.*via //;s/ .*//p'); sleep 600")
    host = run_container("--network", "host", busybox, "sleep", "600")

    def sent() -> bool:
        return float(numbers(minirun, name)[name]["NetIO"].split()[0].rstrip("kMGB")) > 0

    until("packets to be counted", sent)
    assert numbers(minirun, host)[host]["NetIO"] == "0B / 0B"


def test_stats_of_what_no_controller_counts_is_two_dashes(minirun, busybox, run_container):
    name = run_container(busybox, "sleep", "600")
    seen = numbers(minirun, name)[name]
    if has("memory"):
        assert re.fullmatch(r"[\d.]+[KM]iB / [\d.]+GiB", seen["MemUsage"])
    else:
        assert (seen["MemUsage"], seen["MemPerc"]) == ("-- / --", "--")
    assert (seen["BlockIO"] == "--") == (not has("io"))


def test_stats_of_a_container_at_rest_is_all_zeros(minirun, busybox):
    minirun("create", "--name", "resting", busybox, "true")
    try:
        heading, line = minirun("stats", "--no-stream", "resting").stdout.splitlines()
        assert re.split(r" {2,}", heading) == [
            "CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS",
        ]  # fmt: skip
        assert line.split(None, 1)[1].split() == [
            "resting",
            "0.00%",
            "0B",
            "/",
            "0B",
            "0.00%",
            "0B",
            "/",
            "0B",
            "0B",
            "/",
            "0B",
            "0",
        ]
        assert "resting" in minirun("stats", "--no-stream", "-a").stdout
        assert "resting" not in minirun("stats", "--no-stream").stdout
    finally:
        minirun("rm", "resting")


def test_stats_of_nobody_is_an_error_and_of_the_removed_an_end(minirun, busybox, run_container):
    done = minirun("stats", "no-such", check=False)
    assert (done.returncode, done.stderr) == (1, "Error: No such container: no-such\n")
    name = run_container(busybox, "sleep", "600")
    watching = minirun.start("stats", "--format", "{{.Name}}", name, stdout=subprocess.PIPE)
    assert watching.stdout.readline().decode() == f"{name}\n"
    minirun("rm", "-f", name)
    watching.communicate(timeout=30)
    assert watching.returncode == 0


def test_stats_on_a_terminal_is_drawn_over_itself(minirun, busybox, run_container):
    name = run_container(busybox, "sleep", "600")
    ours, theirs = pty.openpty()
    watching = minirun.start("stats", name, stdout=theirs)
    os.close(theirs)
    try:
        seen = b""
        end = time.monotonic() + 30
        while seen.count(b"\x1b[H") < 3 and time.monotonic() < end:  # the clearing, and two tables
            seen += os.read(ours, 4096)
        assert seen.startswith(b"\x1b[2J\x1b[H")
        assert seen.count(f" {name} ".encode()) >= 2
    finally:
        watching.terminate()
        watching.wait()
        os.close(ours)


def test_the_library_gives_numbers_with_their_types(engine, busybox, run_container):
    name = run_container(busybox, "sh", "-c", BUSY)
    (usage,) = next(engine.stats([name], interval_seconds=0.1))
    assert usage.container.name == name
    assert usage.cpu_percent > 1
    assert usage.processes == 1
    (row,) = engine.top(name).rows
    assert row[1] == str(usage.container.pid)


def test_port_lists_mappings_or_one_of_them(minirun, busybox, run_container):
    tcp, udp = free_port(), free_port()
    name = run_container("-p", f"127.0.0.1:{tcp}:80", "-p", f"0.0.0.0:{udp}:53/udp", busybox, "sleep", "600")
    assert minirun("port", name).stdout == f"53/udp -> 0.0.0.0:{udp}\n80/tcp -> 127.0.0.1:{tcp}\n"
    assert minirun("container", "port", name, "80").stdout == f"127.0.0.1:{tcp}\n"
    assert minirun("port", name, "53/udp").stdout == f"0.0.0.0:{udp}\n"
    done = minirun("port", name, "53", check=False)
    assert (done.returncode, done.stderr) == (1, f"Error: No public port '53' published for {name}\n")
    minirun("stop", name)
    assert minirun("port", name).stdout == ""


def test_port_names_both_families_of_every_address(minirun, busybox, run_container):
    port = free_port()
    name = run_container("-p", f"{port}:80", busybox, "sleep", "600")
    families = [f"80/tcp -> 0.0.0.0:{port}\n", f"80/tcp -> [::]:{port}\n"]
    has_ipv6 = bool(minirun("inspect", "-f", "{{.NetworkSettings.GlobalIPv6Address}}", name).stdout.strip())
    assert minirun("port", name).stdout == "".join(families[: 2 if has_ipv6 else 1])
