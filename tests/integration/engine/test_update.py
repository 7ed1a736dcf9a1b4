"""`update`: limits change in the kernel at once and in the configuration for good, or nothing changes and the reason is said."""

from __future__ import annotations

import json

import pytest

from tests.hosts import has

MEBIBYTE = 1024 * 1024


@pytest.fixture
def resting(minirun, busybox):
    minirun("create", "--name", "resting", busybox, "sleep", "600")
    yield "resting"
    minirun("rm", "-f", "resting", check=False)


def limits(minirun, name: str) -> dict:
    return json.loads(minirun("inspect", name).stdout)[0]["HostConfig"]


def setting(minirun, name: str, file: str) -> str:
    return minirun("exec", name, "cat", f"/sys/fs/cgroup/{file}").stdout.strip()


@pytest.mark.needs("memory")
@pytest.mark.needs("cpu")
@pytest.mark.needs("pids")
def test_a_running_container_is_limited_at_once_and_after_a_restart(minirun, busybox, run_container):
    name = run_container("--memory", "64m", busybox, "sleep", "600")
    words = ("--memory", "96m", "--memory-swap", "128m", "--cpus", "0.5", "--cpu-shares", "512", "--pids-limit", "33")
    assert minirun("update", *words, "--memory-reservation", "32m", name).stdout == f"{name}\n"
    for _ in range(2):
        assert setting(minirun, name, "memory.max") == str(96 * MEBIBYTE)
        assert setting(minirun, name, "memory.swap.max") == str(32 * MEBIBYTE)
        assert setting(minirun, name, "memory.low") == str(32 * MEBIBYTE)
        assert setting(minirun, name, "cpu.max") == "50000 100000"
        assert setting(minirun, name, "pids.max") == "33"
        weight = setting(minirun, name, "cpu.weight")
        assert 1 < int(weight) < 100
        minirun("restart", name)
    done = minirun("update", "--memory", "256m", name, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Memory limit should be smaller than already set memoryswap limit" in done.stderr
    assert setting(minirun, name, "memory.max") == str(96 * MEBIBYTE)
    minirun("update", "--pids-limit", "0", name)
    assert setting(minirun, name, "pids.max") == "max"


@pytest.mark.needs("memory")
@pytest.mark.needs("io")
def test_stats_counts_memory_where_the_host_does(minirun, busybox, run_container):
    name = run_container(
        "--memory", "64m", busybox, "sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=8; sleep 600"
    )
    minirun("exec", name, "sh", "-c", "until [ $(stat -c %s /dev/shm/x) = 8388608 ]; do :; done")
    row = json.loads(minirun("stats", "--no-stream", "--format", "json", name).stdout)
    used, limit = row["MemUsage"].split(" / ")
    assert limit == "64MiB"
    assert 8 <= float(used.removesuffix("MiB")) < 24
    assert 12 < float(row["MemPerc"].rstrip("%")) < 40
    assert row["BlockIO"] != "--"
    plain = run_container(busybox, "sleep", "600")
    assert "iB / " in json.loads(minirun("stats", "--no-stream", "--format", "json", plain).stdout)["MemUsage"]


@pytest.mark.parametrize(
    ("flag", "value", "controller"),
    [
        ("--memory", "64m", "memory"),
        ("--memory-reservation", "64m", "memory"),
        ("--cpus", "0.5", "cpu"),
        ("--cpuset-cpus", "0", "cpuset"),
        ("--pids-limit", "33", "pids"),
    ],
)
def test_what_the_host_cannot_enforce_is_refused_and_nothing_changes(
    minirun, busybox, run_container, resting, flag, value, controller
):
    running = run_container(busybox, "sleep", "600")
    for name in (resting, running):
        before = limits(minirun, name)
        done = minirun("update", flag, value, name, check=False)
        if has(controller):
            assert done.returncode == 0
            assert limits(minirun, name) != before
        else:
            assert (done.returncode, done.stdout) == (1, "")
            assert f"no '{controller}' controller" in done.stderr
            assert limits(minirun, name) == before


def test_what_needs_no_controller_is_changed_everywhere(minirun, busybox, run_container, resting):
    """The weight that everybody has, and no limit of processes, are what a kernel without the controllers gives."""
    running = run_container(busybox, "sleep", "600")
    done = minirun("update", "--cpu-shares", "1024", "--pids-limit", "-1", "no-such", running, resting, check=False)
    assert (done.returncode, done.stdout) == (1, f"{running}\n{resting}\n")
    assert done.stderr == "Error: No such container: no-such\n"
    for name in (running, resting):
        assert (limits(minirun, name)["CpuShares"], limits(minirun, name)["PidsLimit"]) == (1024, -1)
    minirun("restart", "-t", "0", running)
    assert limits(minirun, running)["CpuShares"] == 1024


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-m", "1m"), "Minimum memory limit allowed is 6MB"),
        (("-m", "64m", "--memory-swap", "32m"), "Minimum memoryswap limit should be larger than memory limit, see usage"),
        (("--memory-reservation", "1m"), "Minimum memory reservation allowed is 6MB"),
        (("-m", "64m", "--memory-reservation", "65m"), "Minimum memory limit can not be less than memory reservation limit"),
        (("--cpus", "900"), "Range of CPUs is from 0.01 to "),
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_dockers_words(minirun, resting, words, sentence):
    done = minirun("container", "update", *words, resting, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {sentence}")


def test_an_update_of_nothing_is_refused(minirun, resting):
    done = minirun("update", resting, check=False)
    assert done.returncode == 1
    assert "you must provide one or more flags when using this command" in done.stderr


def test_the_library_does_the_same(engine, minirun, resting):
    from minirun import Limits

    engine.update(resting, Limits(pids_limit=-1, cpu_shares=1024))
    found = engine.container(resting).config
    assert (found.pids_limit, found.cpu_shares) == (-1, 1024)
