"""Health checks of the monitor: when they run, what is counted, what is written, and that nothing holds the monitor up."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minirun.linux import flags
from minirun.linux import plan as p
from minirun.monitor import exits
from minirun.monitor import launch as monitor_program
from minirun.monitor.connection import Connection
from minirun.monitor.launch import launch
from tests.integration.monitor.conftest import holder_of, until, wait_for_process

JOINED = int(flags.CLONE_NEWNS | flags.CLONE_NEWPID)
MS = 10**6


class Checked:
    """A monitored `sleep` with a health check."""

    def __init__(self, top: Path, script: str, **numbers: int) -> None:
        self.top = top
        self.run = str(top / "run")
        os.makedirs(self.run)
        check = p.Plan()
        check.monitor.append(p.enter(0, 0, JOINED))
        check.child += [p.session(), p.signals()]
        check.child.append(p.exec_("/usr/bin:/bin", ("sh", "-c", script), ("PATH=/usr/bin:/bin",)))
        given = {
            "interval_ns": 50 * MS,
            "timeout_ns": 10_000 * MS,
            "start_period_ns": 0,
            "start_interval_ns": 10 * MS,
            "retries": 2,
        }
        plan = p.Plan()
        plan.monitor += [
            p.run_directory(self.run),
            p.await_owner(),
            p.stdio(p.STDIO_NULL),
            p.exit_hook(("/bin/sh", "-c", f'echo "$1" >> {top}/told', "hook"), ()),
            p.health(check.encode(), **{**given, **numbers}, late="too late", path=str(top / "health")),
            p.clone(flags.CLONE_NEWNS | flags.CLONE_NEWPID),
        ]
        plan.child += [p.session(), p.signals(), p.exec_("/usr/bin:/bin", ("sleep", "600"), ("PATH=/usr/bin:/bin",))]
        self.connection: Connection = launch(plan)
        self.connection.attach(False, False, False)
        self.pid = self.connection.wait_started().pid
        self.monitor = holder_of(f"{self.run}/lock")

    def health(self) -> dict[str, Any]:
        return dict(json.loads((self.top / "health").read_text(errors="surrogateescape")))

    def wait_for(self, **values: Any) -> dict[str, Any]:
        until(lambda: all(self.health()[name] == value for name, value in values.items()), str(values))
        return self.health()

    def told(self) -> list[str]:
        path = self.top / "told"
        return path.read_text().split() if path.exists() else []

    def end(self) -> None:
        started = exits.read_started(self.run)
        if started is not None and Path(f"/proc/{self.pid}").exists():
            os.kill(self.pid, signal.SIGKILL)
        self.connection.close()
        wait_for_process(self.monitor)


Check = Callable[..., Checked]


@pytest.fixture
def checked(tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Check]:
    monkeypatch.setattr(monitor_program, "PROGRAM", program)
    made: list[Checked] = []

    def make(script: str, **numbers: int) -> Checked:
        made.append(Checked(tmp_path, script, **numbers))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_it_starts_out_as_starting_and_the_first_check_comes_after_the_interval(checked: Check) -> None:
    one = checked("true", interval_ns=3_600_000 * MS)
    assert one.health() == {"Status": "starting", "FailingStreak": 0, "Log": []}
    assert one.told() == []


def test_success_makes_it_healthy_and_failures_in_a_row_unhealthy(checked: Check, tmp_path: Path) -> None:
    one = checked(f"echo said; echo wrong >&2; test ! -e {tmp_path}/sick")
    (entry, *_) = one.wait_for(Status="healthy", FailingStreak=0)["Log"]
    assert (entry["ExitCode"], sorted(entry["Output"].split())) == (0, ["said", "wrong"])
    assert entry["Start"] <= entry["End"]
    (tmp_path / "sick").touch()
    until(lambda: one.health()["FailingStreak"] == 1 or one.health()["Status"] == "unhealthy", "a failure")
    one.wait_for(Status="unhealthy")
    (tmp_path / "sick").unlink()
    one.wait_for(Status="healthy", FailingStreak=0)
    until(lambda: one.told() == ["healthy", "unhealthy", "healthy"], "three words")


def test_the_last_five_results_are_kept(checked: Check, tmp_path: Path) -> None:
    one = checked(f"echo x >> {tmp_path}/count; wc -l < {tmp_path}/count")
    until(lambda: len(one.health()["Log"]) == 5 and int(one.health()["Log"][-1]["Output"]) >= 8, "eight results")
    numbers = [int(entry["Output"]) for entry in one.health()["Log"]]
    assert numbers == list(range(numbers[0], numbers[0] + 5))


@pytest.mark.parametrize("size", [4095, 4096, 4097, 200_000])
def test_output_is_cut_to_4096_bytes(checked: Check, size: int) -> None:
    one = checked(f"head -c {size} /dev/zero | tr '\\0' y")
    until(lambda: bool(one.health()["Log"]), "a result")
    output = one.health()["Log"][0]["Output"]
    assert output == "y" * min(size, 4096) + ("..." if size > 4096 else "")
    assert one.health()["Log"][0]["ExitCode"] == 0


def test_output_that_is_no_text_survives(checked: Check) -> None:
    one = checked(r"printf 'a\377\n\042\\\001'")
    until(lambda: bool(one.health()["Log"]), "a result")
    assert one.health()["Log"][0]["Output"].encode("utf-8", "surrogateescape") == b'a\xff\n"\\\x01'


def test_who_takes_too_long_is_killed_and_reaped(checked: Check) -> None:
    one = checked("echo early; exec sleep 598", timeout_ns=200 * MS, retries=1)
    (entry,) = one.wait_for(Status="unhealthy", FailingStreak=1)["Log"]
    assert (entry["ExitCode"], entry["Output"]) == (-1, "too late")
    until(lambda: one.health()["FailingStreak"] >= 3, "more results")
    left = [line for line in commands() if line == "sleep 598"]
    assert len(left) <= 1, "that of the present check"


def commands() -> list[str]:
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip())
        except OSError:
            continue
    return found


def test_failures_within_the_start_period_do_not_count(checked: Check, tmp_path: Path) -> None:
    numbers = {"start_period_ns": 3_600_000 * MS, "interval_ns": 3_600_000 * MS, "start_interval_ns": 20 * MS}
    one = checked(f"test -e {tmp_path}/well", **numbers)
    until(lambda: len(one.health()["Log"]) == 5, "five failures, by the start interval")
    assert (one.health()["Status"], one.health()["FailingStreak"]) == ("starting", 0)
    (tmp_path / "well").touch()
    one.wait_for(Status="healthy")


def test_a_code_is_a_code_and_a_signal_128_more(checked: Check) -> None:
    one = checked("exit 7")
    until(lambda: bool(one.health()["Log"]), "a result")
    assert one.health()["Log"][0]["ExitCode"] == 7


def test_a_signal_is_128_and_its_number(checked: Check) -> None:
    one = checked("kill -9 $$")
    until(lambda: bool(one.health()["Log"]), "a result")
    assert one.health()["Log"][0]["ExitCode"] == 137


def test_a_container_that_ends_during_a_check_is_not_waited_for(checked: Check) -> None:
    one = checked("sleep 597")
    until(lambda: "sleep 597" in commands(), "a check that runs")
    os.kill(one.pid, signal.SIGKILL)
    assert one.connection.wait_exited().exit_code == 137
    one.connection.acknowledge()
    wait_for_process(one.monitor)
    until(lambda: "sleep 597" not in commands(), "its end")


def test_a_monitor_that_is_killed_takes_the_check_along(checked: Check) -> None:
    one = checked("sleep 596")
    until(lambda: "sleep 596" in commands(), "a check that runs")
    os.kill(one.monitor, signal.SIGKILL)
    until(lambda: "sleep 596" not in commands(), "its end")
    os.kill(one.pid, signal.SIGKILL)


def test_a_prober_that_is_killed_is_a_failure_and_the_next_one_runs(checked: Check) -> None:
    one = checked("sleep 595")
    until(lambda: "sleep 595" in commands(), "a check that runs")
    children = set(map(int, Path(f"/proc/{one.monitor}/task/{one.monitor}/children").read_text().split()))
    (prober,) = children - {one.pid}
    os.kill(prober, signal.SIGKILL)
    entry = one.wait_for(FailingStreak=1)["Log"][0]
    assert (entry["ExitCode"], entry["Output"]) == (-1, "too late")
    until(lambda: "sleep 595" in commands(), "the next check")


def test_a_program_that_is_not_there_is_a_failure_that_says_so(
    tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_program, "PROGRAM", program)
    encode = p.Plan.encode

    def without_shell(plan: p.Plan) -> bytes:
        for place, operation in enumerate(plan.child):
            if operation.name == "EXEC" and "sh" in operation.arguments[1]:  # type: ignore[operator]
                plan.child[place] = p.exec_("/usr/bin", ("no-such-program",), ())
        return encode(plan)

    with monkeypatch.context() as patched:
        patched.setattr(p.Plan, "encode", without_shell)
        one = Checked(tmp_path, "true", retries=1)
    entry = one.wait_for(Status="unhealthy")["Log"][0]
    assert (entry["ExitCode"], entry["Output"]) == (-1, "start the health check: No such file or directory")
    one.end()
