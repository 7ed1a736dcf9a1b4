"""A preloaded process's life: how it begins and ends, and what its end does to whom."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import minirun.units
from minirun.warm import control
from tests.conftest import CHECKOUT
from tests.waiting import until

from .conftest import MEMORY, SPARE, ZYGOTE, Installation, has_ended, name_of
from .test_signals import has_database, state

sys.path.insert(0, str(CHECKOUT / "native"))

import build_native


def text_of(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:  # it has ended
        return ""


def parent_of(pid: int) -> int:
    return int((text_of(pid, "stat").rpartition(")")[2].split() or (0, 0))[1])


def test_a_command_is_served_and_says_what_it_says_cold(installed):
    warm = installed.run("version")
    assert not installed.ran_cold()
    assert installed.run("version", warm=False).stdout == warm.stdout
    assert installed.ran_cold()


def test_a_launcher_of_the_other_c_library_is_served_too(installed):
    """musl where it is there, glibc elsewhere: docs/decisions/0023."""
    build_native.build_launcher(installed.program(), musl=False)
    installed.run("version")
    assert not installed.ran_cold()


def test_the_first_command_runs_cold_and_leaves_a_process_for_the_next(place):
    place.run("version")
    assert place.ran_cold()
    until("a preloaded process", lambda: control.find(place.socket))
    place.run("version")
    assert not place.ran_cold()


def test_fifty_first_commands_leave_one_process(place):
    with ThreadPoolExecutor(50) as pool:
        assert {done.stdout for done in pool.map(lambda _: place.run("version"), range(50))} == {
            place.run("version").stdout
        }
    until("a preloaded process", lambda: control.find(place.socket))
    processes = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    named = {pid for pid in processes if place.socket in text_of(pid, "cmdline")}
    assert len([pid for pid in named if parent_of(pid) not in named]) == 1  # all others are its workers


@pytest.mark.parametrize("setting", ["0", "configured"])
def test_nothing_is_left_where_it_is_switched_off(place, setting):
    if setting == "configured":
        pytest.importorskip("os")  # the file is the machine's: it is bound in a mount namespace of the command's own
        words = 'mkdir -p /etc/minirun; mount -t tmpfs none /etc/minirun; echo warm = off >/etc/minirun/warm.conf; exec "$@"'
        command = ["unshare", "-m", "sh", "-c", words, "sh", place.program(), "version"]
        subprocess.run(command, check=True, capture_output=True, env=place.environment())
    else:
        place.run("version", warm=False)
    assert place.ran_cold()
    assert not Path(place.socket).exists()


def test_the_socket_is_for_root_alone(installed):
    mode = os.stat(installed.socket)
    assert stat.S_IMODE(mode.st_mode) == 0o600
    assert mode.st_uid == 0


def test_start_stop_and_status_say_what_there_is(place):
    assert place.run("system", "warm", "status", check=False, warm=True).stdout == "not running\n"
    started = place.run("system", "warm", "start").stdout
    assert started.startswith(f"running: process {place.pid()}, ")
    assert place.run("system", "warm", "status").stdout.split(",")[0] == started.split(",")[0]
    pid = place.pid()
    assert place.run("system", "warm", "stop").stdout == "stopped\n"
    until("its end", lambda: has_ended(pid))
    assert not Path(place.socket).exists()


def test_start_and_status_say_when_it_is_another_installations(place, tmp_path):
    place.start()
    other = Installation(tmp_path / "other")
    other.socket = place.socket
    for action in ("status", "start"):
        assert place.run("system", "warm", action).stderr == ""
        done = other.run("system", "warm", action)
        assert done.stdout.startswith(f"running: process {place.pid()}, ")
        assert f"it serves the installation in {place.top}/bin, and commands of this one run cold" in done.stderr


def test_an_unknown_action_is_refused(place):
    done = place.run("system", "warm", "up", warm=False, check=False)
    assert done.returncode != 0
    assert "start, stop or status" in done.stderr


def test_idle_it_is_small_and_sleeps(installed):
    pid = installed.pid()
    installed.run("version")
    rollup = dict(line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    assert int(rollup["Rss"].split()[0]) < 40 * 1024
    assert len(os.listdir(f"/proc/{pid}/task")) == 1

    def switches() -> str:
        text = Path(f"/proc/{pid}/status").read_text()
        return text.partition("voluntary_ctxt_switches:")[2].split()[0]

    until("the next one's worker", installed.spares)
    until("rest", lambda: state(pid) == "S")
    before = switches()
    with pytest.raises(AssertionError):
        until("a wake-up", lambda: switches() != before, seconds=2)


def test_a_worker_is_ready_before_its_command_comes(installed):
    installed.run("version")
    (spare,) = until("a spare worker", installed.spares)
    installed.run("version")
    until("another one", lambda: installed.spares() not in ([], [spare]))
    assert not installed.ran_cold()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
def test_a_spare_worker_that_is_lost_is_not_missed(installed, number):
    """Killed, or stopped by somebody: the next command has one forked for it."""
    for _ in range(5):
        installed.run("version")
        (spare,) = until("a spare worker", installed.spares)
        os.kill(spare, number)
        until("what the signal does", lambda spare=spare: state(spare) in ("T", "Z", ""))
        installed.run("version")
        until("its end", lambda spare=spare: has_ended(spare))
    assert not installed.ran_cold()


def test_a_keeper_that_is_lost_holds_up_nobody(installed, roots):
    """Neither the end of a command that has its memory, nor the preloaded process."""
    installed.run("version")
    (spare,) = until("a spare worker", installed.spares)
    (keeper,) = installed.children(MEMORY)
    os.kill(keeper, signal.SIGKILL)
    until("another one", lambda: installed.spares() not in ([], [spare]))
    words = ["--root", str(roots.root), "--run-root", str(roots.run_root), "events"]
    for is_late in (True, False):  # the worker ends when its keeper has, or its keeper when it has
        command = subprocess.Popen([installed.program(), *words], env=installed.environment())
        (worker,) = until("a worker", installed.workers)
        until("its database", lambda worker=worker: has_database(worker))
        if is_late:
            for keeper in installed.children(MEMORY):
                os.kill(keeper, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        assert command.wait(20) == -signal.SIGKILL
    assert not installed.ran_cold()


def test_a_keeper_that_was_stopped_holds_up_nobody_for_long(installed, roots):
    installed.run("version")
    until("a spare worker", installed.spares)
    (keeper,) = installed.children(MEMORY)
    words = ["--root", str(roots.root), "--run-root", str(roots.run_root), "events"]
    command = subprocess.Popen([installed.program(), *words], env=installed.environment())
    (worker,) = until("a worker", installed.workers)
    until("its database", lambda: has_database(worker))
    os.kill(keeper, signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    assert command.wait(20) == -signal.SIGKILL


def test_a_crowds_memories_go_whatever_still_runs(installed, roots):
    words = ["--root", str(roots.root), "--run-root", str(roots.run_root), "events"]
    command = subprocess.Popen([installed.program(), *words], env=installed.environment())
    try:
        until("a worker", installed.workers)
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda _: installed.run("version"), range(40)))
        until("one that waits", lambda: len(installed.spares()) == 1)
        assert command.poll() is None
    finally:
        command.terminate()
        command.wait(20)


def test_a_spare_worker_ends_with_the_preloaded_process(installed):
    installed.run("version")
    (spare,) = until("a spare worker", installed.spares)
    os.kill(installed.pid(), signal.SIGKILL)
    until("its end", lambda: has_ended(spare))


@pytest.mark.parametrize("end", ["ps", "killed"])
def test_a_command_that_has_ended_holds_no_file_system(installed, tmp_path, end):
    """Its memory, with what SQLite has mapped, is given back after its end, by another process."""
    place = tmp_path / "mounted"
    place.mkdir()
    words = ["--root", str(place / "data"), "--run-root", str(place / "run")]
    for _ in range(10):
        subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)
        if end == "killed":
            command = subprocess.Popen([installed.program(), *words, "events"], env=installed.environment())
            (worker,) = until("a worker", installed.workers)
            until("it to be at work", lambda worker=worker: has_database(worker))
            os.kill(worker, signal.SIGKILL)
            assert command.wait(20) == -signal.SIGKILL
        else:
            installed.run(*words, "ps")
        subprocess.run(["umount", "--recursive", str(place)], check=True)
    assert not installed.ran_cold()


def test_a_killed_one_is_replaced_by_the_next_command(installed):
    os.kill(installed.pid(), signal.SIGKILL)
    installed.run("version")
    assert installed.ran_cold()
    # The first may have found it dying, with the lock still its own.
    until("a preloaded process", lambda: installed.run("version") and control.find(installed.socket))
    installed.ran_cold()
    installed.run("version")
    assert not installed.ran_cold()


def test_killing_it_kills_its_commands_as_if_they_had_been_killed(installed, roots):
    words = ["--root", str(roots.root), "--run-root", str(roots.run_root), "events"]
    command = subprocess.Popen([installed.program(), *words], env=installed.environment())
    worker = until("a worker", installed.workers)[0]
    until("it to be at work", lambda: has_database(worker))  # before that, the command is run by its caller
    os.kill(installed.pid(), signal.SIGKILL)
    assert command.wait(20) == -signal.SIGKILL
    until("the worker's end", lambda: has_ended(worker))


def test_killing_it_harms_no_container(installed, roots, busybox):
    words = ["--root", str(roots.root), "--run-root", str(roots.run_root)]
    name = installed.run(*words, "run", "-d", busybox, "sleep", "600").stdout.strip()
    assert not installed.ran_cold()
    os.kill(installed.pid(), signal.SIGKILL)
    assert installed.run(*words, "exec", name, "echo", "there").stdout == "there\n"
    installed.run(*words, "rm", "-f", name)


def test_a_stopped_one_delays_no_command(installed):
    pid = installed.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        installed.run("version")
        assert installed.ran_cold()
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_changed_package_is_never_run_from_memory(installed):
    """The time of a source is set to what it is: that is a change to the kernel, and none to any other test."""
    pid = installed.pid()
    file = Path(str(minirun.units.__file__))
    assert file.is_relative_to(CHECKOUT)
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    installed.run("version")
    assert installed.ran_cold()
    until("the end of the old one", lambda: has_ended(pid))
    until("a new one", lambda: installed.run("version") and control.find(installed.socket))
    installed.ran_cold()
    installed.run("version")
    assert not installed.ran_cold()


def test_commands_that_run_while_the_package_changes_go_on(installed, roots):
    words = ["--root", str(roots.root), "--run-root", str(roots.run_root), "events"]
    command = subprocess.Popen([installed.program(), *words], env=installed.environment())
    worker = until("a worker", installed.workers)[0]
    control.stop(installed.socket)
    assert not has_ended(worker)
    command.terminate()
    assert command.wait(20) == -signal.SIGTERM


def test_it_sleeps_while_commands_run_whose_package_has_changed(installed, roots):
    """A replaced package is many changes, of which the first one says all."""
    pid, file = installed.pid(), Path(str(minirun.units.__file__))
    words = ["--root", str(roots.root), "--run-root", str(roots.run_root), "events"]
    command = subprocess.Popen([installed.program(), *words], env=installed.environment())
    try:
        worker = until("a worker", installed.workers)[0]
        status = file.stat()
        for _ in range(3):
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
            time.sleep(0.1)
        assert not has_ended(worker)
        before = ticks_of(pid)
        time.sleep(1)
        assert ticks_of(pid) - before < 0.2 * os.sysconf("SC_CLK_TCK")
    finally:
        command.terminate()
        command.wait(20)


def ticks_of(pid: int) -> int:
    """Give a process's time on a processor. proc_pid_stat(5)"""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_it_holds_no_more_after_many_commands(installed):
    pid = installed.pid()

    def held() -> tuple[int, int]:
        return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))

    def is_at_rest() -> bool:
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
        except FileNotFoundError:  # closed just now
            return False
        # It listens, and has a zygote and one worker ready, with who keeps its memory: no connection is left, of ours neither
        # (to ask for its number makes one).
        children = text_of(pid, f"task/{pid}/children").split()
        is_ready = sorted(name_of(int(child)) for child in children) == [MEMORY, SPARE, ZYGOTE]
        has_connection = any("eventfd" in link or "pidfd" in link for link in links)
        return is_ready and not has_connection and sum(link.startswith("socket:") for link in links) == 3

    installed.run("version")
    until("rest", is_at_rest)
    before = held()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: installed.run("version"), range(200)))
    assert not installed.ran_cold()
    until("rest", is_at_rest)
    assert held() == before
