"""A container's life as its owner sees it: start, exit, record, acknowledgement, hook."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun._native import lib
from minirun.linux import flags, syscalls
from minirun.linux import plan as p
from minirun.monitor import exits
from minirun.monitor.launch import Launcher, LaunchFailed, launch
from tests.integration.monitor.conftest import Start, holder_of, links, python, until, wait_for_process


def hook(path: Path) -> tuple[str, ...]:
    return ("/bin/sh", "-c", f"env | sort > {path}.new; mv {path}.new {path}")


@pytest.mark.parametrize("code", [0, 1, 2, 125, 126, 127, 128, 254, 255])
def test_exit_code_is_the_programs(start: Start, code: int) -> None:
    running = start(("sh", "-c", f"exit {code}"))
    assert running.connection.wait_exited().exit_code == code
    assert running.wait_recorded().exit_code == code
    running.connection.acknowledge()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGRTMIN, signal.SIGRTMAX])
def test_exit_code_is_128_and_the_signal(start: Start, number: int) -> None:
    running = start(("sh", "-c", f"kill -{int(number)} $$"), pid_namespace=False)
    assert running.connection.wait_exited().exit_code == 128 + number
    running.connection.acknowledge()


def test_the_record_names_the_process_and_its_end(start: Start) -> None:
    running = start(("cat",), stdin=True)
    recorded = exits.read_started(running.run)
    assert recorded is not None
    assert recorded.pid == running.started.pid
    assert recorded.time_ns == running.started.time_ns
    assert recorded.start_time == syscalls.process_start_time(recorded.pid)
    assert exits.is_running(running.run)
    running.connection.close_stdin()
    end = running.connection.wait_exited()
    assert running.wait_recorded() == end
    assert end.time_ns > recorded.time_ns
    assert exits.is_alive(running.run)  # until the owner has taken note
    running.connection.acknowledge()
    assert not exits.is_alive(running.run)


def test_a_container_starts_again_in_the_same_run_directory(start: Start, tmp_path: Path) -> None:
    running = start(("true",))
    running.connection.wait_exited()
    running.connection.acknowledge()
    plan = p.Plan()
    plan.monitor += [p.run_directory(running.run), p.stdio(p.STDIO_NULL), p.clone(0)]
    plan.child += [p.signals(), p.exec_("/bin", ("sleep", "60"), ())]
    with launch(plan) as again:
        again.attach(False, False, False)
        started = again.wait_started()
        assert exits.read_exit(running.run) is None
        os.kill(started.pid, signal.SIGKILL)
        assert again.wait_exited().exit_code == 137
        again.acknowledge()


def test_failed_operation_is_named(tmp_path: Path) -> None:
    plan = p.Plan()
    plan.monitor += [p.run_directory(str(tmp_path)), p.stdio(p.STDIO_NULL), p.clone(0)]
    plan.child += [p.signals(), p.exec_("/bin", ("no such program",), ())]
    with launch(plan) as connection, pytest.raises(LaunchFailed) as failure:
        connection.wait_started()
    assert failure.value.operation_index is not None
    assert plan.operations()[failure.value.operation_index][1].name == "EXEC"
    assert failure.value.errno == 2
    assert sorted(os.listdir(tmp_path)) == ["lock"]


def test_a_log_that_cannot_be_opened_fails_the_start(tmp_path: Path) -> None:
    plan = p.Plan()
    plan.monitor += [p.stdio(p.STDIO_PIPES), p.log(str(tmp_path / "no" / "log"), 0, 1), p.clone(0)]
    plan.child += [p.exec_("/bin", ("true",), ())]
    with launch(plan) as connection, pytest.raises(LaunchFailed) as failure:
        connection.wait_started()
    assert failure.value.operation_index == 1
    assert failure.value.errno == 2


def test_a_plan_that_is_none_is_refused(tmp_path: Path) -> None:
    class Nonsense(p.Plan):
        def encode(self) -> bytes:
            return b"\xff" * 64

    with launch(Nonsense()) as connection, pytest.raises(LaunchFailed) as failure:
        connection.wait_started()
    assert failure.value.operation_index is None


def test_an_owner_that_leaves_before_it_attached_starts_nothing(tmp_path: Path) -> None:
    plan = p.Plan()
    plan.monitor += [p.run_directory(str(tmp_path)), p.await_owner(), p.stdio(p.STDIO_NULL), p.clone(0)]
    plan.child += [p.exec_("/bin", ("touch", str(tmp_path / "started-anyway")), ())]
    end, held = os.pipe()
    connection = Launcher(keep=False).launch()
    connection.give_plan(plan, held=(held,))
    os.close(held)
    connection.close()
    with open(end, "rb") as file:
        assert file.read() == b""  # the monitor has ended
    assert sorted(os.listdir(tmp_path)) in ([], ["lock"])


def test_a_monitor_whose_owner_has_no_plan_for_it_leaves() -> None:
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    before = set(children.read_text().split())
    lib.mr_set_subreaper(1)
    try:
        connection = Launcher(keep=False).launch()
        (born,) = set(children.read_text().split()) - before
        connection.close()
        assert os.waitpid(int(born), 0) == (int(born), 0)
    finally:
        lib.mr_set_subreaper(0)


def test_what_comes_first_and_is_no_plan_is_refused() -> None:
    with Launcher(keep=False).launch() as connection:
        connection.attach(False, False, False)
        with pytest.raises(LaunchFailed) as failure:
            connection.wait_started()
    assert failure.value.errno == errno.EPROTO


def test_more_descriptors_than_one_message_carries_are_held_until_the_end_is_told(tmp_path: Path) -> None:
    plan = p.Plan()
    plan.monitor += [p.stdio(p.STDIO_PIPES, True), p.clone(0)]
    plan.child += [p.exec_("/bin:/usr/bin", ("cat",), ())]
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    with Launcher(keep=False).launch() as connection:
        connection.give_plan(plan, held=[write_end] * (lib.MR_RIGHTS_MAX * 2 + 1))
        os.close(write_end)
        connection.attach(True, False, False)
        connection.wait_started()
        with pytest.raises(BlockingIOError):  # somebody could still write
            os.read(read_end, 1)
        connection.close_stdin()
        connection.wait_exited()
        assert os.read(read_end, 1) == b""
        connection.acknowledge()
    os.close(read_end)


def test_a_launcher_that_keeps_its_program_starts_one_monitor_after_the_other(tmp_path: Path) -> None:
    launcher = Launcher(keep=True)
    open_before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        plan = p.Plan()
        plan.monitor += [p.stdio(p.STDIO_NULL), p.clone(0)]
        plan.child += [p.exec_("/bin:/usr/bin", ("true",), ())]
        with launcher.launch() as connection:
            connection.give_plan(plan)
            connection.attach(False, False, False)
            connection.wait_started()
            assert connection.wait_exited().exit_code == 0
            connection.acknowledge()
    assert len(os.listdir("/proc/self/fd")) == open_before + 1
    launcher.close()
    assert len(os.listdir("/proc/self/fd")) == open_before


@pytest.mark.parametrize("more", [0, flags.CLONE_NEWUSER], ids=["", "in a user namespace of its own"])
def test_a_network_that_was_made_ahead_is_the_containers_alone(tmp_path: Path, more: int) -> None:
    plan = p.Plan()
    run = tmp_path / "run"
    run.mkdir()
    plan.monitor += [p.run_directory(str(run)), p.stdio(p.STDIO_PIPES, True), p.clone(flags.CLONE_NEWNET | more)]
    plan.child += [p.exec_("/bin:/usr/bin", ("cat",), ())]
    with Launcher(keep=False).launch(ahead=flags.CLONE_NEWNET) as connection:
        connection.give_plan(plan)
        connection.attach(True, False, False)
        inside = connection.wait_started().pid
        monitor = holder_of(f"{run}/lock")
        ours = os.readlink("/proc/self/ns/net")
        assert os.readlink(f"/proc/{monitor}/ns/net") == ours
        its = os.readlink(f"/proc/{inside}/ns/net")
        assert its != ours
        until(lambda: not any("memfd" in name for name in links(f"/proc/{monitor}/fd")))
        assert its not in links(f"/proc/{monitor}/fd")
        assert not any("net:[" in name for name in links(f"/proc/{inside}/fd"))
        connection.close_stdin()
        connection.wait_exited()
        connection.acknowledge()


def test_every_operation_is_traced(start: Start) -> None:
    running = start(("true",), trace=True)
    names = [trace.operation_index for trace in running.connection.traces]
    assert len(names) >= 3
    assert all(trace.duration_ns >= 0 and trace.errno == 0 for trace in running.connection.traces)
    running.connection.wait_exited()
    running.connection.acknowledge()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 pages, on which the first run directory lies."""
    place = tmp_path / "0"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def test_an_exit_that_nobody_hears_is_recorded_on_a_full_disk(start: Start, small_disk: Path) -> None:
    running = start(("sh", "-c", "read line; exit 3"), stdin=True, attach=(False, False, False), log=False)
    running.connection.close()
    with running.client(stdin=True) as client:
        with pytest.raises(OSError, match="No space left"):
            (small_disk / "filler").write_bytes(bytes(1 << 20))
        client.close_stdin()
    running.wait_gone()
    assert running.wait_recorded().exit_code == 3
    assert sorted(os.listdir(running.run)) == ["exit", "lock", "started"]


# ---- the exit hook


def test_an_acknowledged_exit_runs_no_hook(start: Start, tmp_path: Path) -> None:
    running = start(("true",), hook=hook(tmp_path / "hook"))
    running.connection.wait_exited()
    running.connection.acknowledge()
    running.wait_gone()
    assert not (tmp_path / "hook").exists()


def test_an_owner_that_hung_up_leaves_the_exit_to_the_hook(start: Start, tmp_path: Path) -> None:
    running = start(
        ("sh", "-c", "read line; exit 3"), stdin=True, attach=(False, False, False), hook=hook(tmp_path / "hook")
    )
    running.connection.close()
    with running.client(stdin=True) as client:
        client.close_stdin()
    running.wait_gone()
    assert running.wait_recorded().exit_code == 3
    environment = (tmp_path / "hook").read_text().splitlines()
    assert "FROM=plan" in environment
    assert {line.split("=")[0] for line in environment} <= {"FROM", "PWD", "SHLVL", "OLDPWD", "_"}


def test_an_owner_that_dies_with_the_exit_unacknowledged_leaves_it_to_the_hook(start: Start, tmp_path: Path) -> None:
    running = start(("true",), hook=hook(tmp_path / "hook"))
    running.connection.wait_exited()
    running.connection.close()
    running.wait_gone()
    assert (tmp_path / "hook").exists()


def test_the_lock_is_free_when_the_hook_runs(start: Start, tmp_path: Path) -> None:
    script = f"flock -n {tmp_path}/0/run/lock echo free > {tmp_path}/hook.new; mv {tmp_path}/hook.new {tmp_path}/hook"
    running = start(("true",), hook=("/bin/sh", "-c", f"PATH=/usr/bin:/bin; {script}"))
    running.connection.close()
    running.wait_gone()
    assert (tmp_path / "hook").read_text() == "free\n"


def test_the_hook_has_no_descriptor_but_its_three(start: Start, tmp_path: Path) -> None:
    listing = f"import os; open({str(tmp_path / 'fds')!r}, 'w').write(' '.join(sorted(os.listdir('/proc/self/fd'))))"
    running = start(("true",), hook=(sys.executable, "-I", "-S", "-c", listing))
    running.connection.close()
    running.wait_gone()
    assert (tmp_path / "fds").read_text() == "0 1 2 3 4"  # 3 and 4 are its own: this file, the listing


# ---- robustness


def test_signals_do_not_end_the_monitor(start: Start) -> None:
    running = start(("cat",), stdin=True)
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGPIPE,
        signal.SIGUSR1,
        signal.SIGALRM,
    ):
        os.kill(running.monitor, number)
    running.connection.close_stdin()
    assert running.connection.wait_exited().exit_code == 0
    running.connection.acknowledge()


def test_a_killed_monitor_takes_its_container_along(start: Start) -> None:
    running = start(("sleep", "600"), pid_namespace=False, death_signal=True)
    os.kill(running.monitor, signal.SIGKILL)
    with pytest.raises(EOFError):
        running.connection.wait_exited()
    wait_for_process(running.started.pid)
    assert not exits.is_alive(running.run)
    assert exits.read_exit(running.run) is None


@pytest.mark.parametrize("program", ["plain"], indirect=True)
def test_an_idle_monitor_is_small_and_holds_few_descriptors(start: Start) -> None:
    running = start(python("print('x' * 5_000_000, flush=True); input()"), stdin=True, attach=(False, False, False))
    until(lambda: len(running.logged()) == 5_000_001, "the log")
    until(lambda: private_dirty(running.monitor) <= 200 * 1024, "the monitor to give its buffers back")
    assert len(running.descriptors()) <= 15, running.descriptors()
    running.connection.close_stdin()
    running.connection.wait_exited()
    running.connection.acknowledge()


def private_dirty(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no Private_Dirty")


# ---- init


def test_init_reaps_and_ends_as_its_program_ended(start: Start) -> None:
    source = """
import os, sys
if os.fork() == 0:
    if os.fork() == 0:
        os._exit(0)  # an orphan: init's to reap
    os._exit(0)
os.wait()
import time
for _ in range(2000):
    names = [name for name in os.listdir('/proc') if name.isdigit()]
    # /proc is the host's here, so ask who is left in our session instead
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        break
sys.exit(7 if os.getppid() == 1 and os.getpid() != 1 else 9)
"""
    running = start(python(source), init=True)
    assert running.connection.wait_exited().exit_code == 7
    running.connection.acknowledge()


def test_init_forwards_signals(start: Start) -> None:
    source = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(11));"
        "print('ready', flush=True)\nwhile True: time.sleep(0.02)"
    )
    running = start(python(source), init=True)
    until(lambda: running.logged() == b"ready\n")
    os.kill(running.started.pid, signal.SIGTERM)
    assert running.connection.wait_exited().exit_code == 11
    running.connection.acknowledge()


def test_init_ends_with_128_and_the_signal_of_its_program(start: Start) -> None:
    running = start(("sh", "-c", "kill -KILL $$"), init=True)
    assert running.connection.wait_exited().exit_code == 137
    running.connection.acknowledge()


def test_init_says_when_the_program_is_missing(start: Start) -> None:
    with pytest.raises(LaunchFailed) as failure:
        start(("no such program",), init=True)
    assert failure.value.errno == 2
