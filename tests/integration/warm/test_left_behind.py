"""What a cold command leaves behind for the next one: where, when, and that nothing of its caller stays with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from minirun.warm import control
from tests import hosts
from tests.conftest import CHECKOUT
from tests.waiting import until

from .conftest import has_ended

ELSEWHERE = {  # there it is left, and is there for everybody else
    "a shell": 'exec "$@"',
    "a login": 'exec setsid -w "$@"',
    "no standard input": 'exec "$@" <&-',
    "limits": 'ulimit -n 64; ulimit -t 30; ulimit -v 4000000; ulimit -f 10; exec "$@"',
    "another priority": 'echo 500 >/proc/self/oom_score_adj; exec nice -n 12 ionice -c 3 taskset -c 0 "$@"',
    "other groups": 'exec setpriv --groups 4,5,20 "$@"',
    "ignored signals": 'trap "" HUP TERM CHLD; exec "$@"',
    "variables": 'export RUNNER_TRACKING_ID=1 BUILD_ID=2 PYTHONPATH=/nowhere; exec "$@"',
}
NOWHERE = {  # nobody outside could use it, and it would hold what its caller has
    "a network": 'exec unshare -n "$@"',
    "a named network": 'ip netns add "$NAME"; ip netns exec "$NAME" "$@"; ip netns delete "$NAME"',
    "mounts": 'exec unshare -m "$@"',
    "the mounts of a parent": 'exec unshare -m sh -c \'"$@"; true\' sh "$@"',
    "a host name": 'exec unshare -u "$@"',
    "a cgroup root": 'exec unshare -C "$@"',
    "a user namespace": 'exec unshare -U -r "$@"',
    "fewer capabilities": 'exec capsh --drop=cap_sys_time -- -c \'exec "$@"\' sh "$@"',
    "capabilities to inherit": 'exec setpriv --inh-caps +sys_time "$@"',
    "no new privileges": 'exec setpriv --no-new-privs "$@"',
    "another group": 'exec setpriv --regid 5 --keep-groups "$@"',
    "a personality": 'exec setarch -R "$@"',
    "the command about it": 'exec "$1" system warm status',
    "switched off": 'exec env MINIRUN_WARM=0 "$@"',
}
# A pid namespace, in which the shell is process 1: with what it has, one is left, and ends with it; elsewhere none is.
IN_A_CONTAINER = ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child"]
THEN_WAIT = "; for i in $(seq 200); do [ -S $SOCKET ] && break; sleep 0.02; done; ls $SOCKET"
IN_A_ROOT = 'mount --rbind / /mnt; chroot /mnt "$@"; ls $SOCKET.lock'


def call(place, line: str, *words: str, **options) -> subprocess.CompletedProcess[str]:
    """Call `minirun version` by a shell line, and take what it prints until nobody can print any more."""
    environment = {**place.environment(), "SOCKET": place.socket, "NAME": f"minirun-{os.getpid()}"}
    return subprocess.run(
        [*words, "bash", "-c", line, "bash", place.program(), "version"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, env=environment, **options,
    )  # fmt: skip


def is_free(lock: str) -> bool:
    """Say whether nobody holds it: what was started for this socket has ended."""
    with open(lock, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def assert_none_is_left(place) -> None:
    """A process that finds itself useless has the lock until then."""
    if os.path.exists(f"{place.socket}.lock"):
        until("nobody to have the lock", lambda: is_free(f"{place.socket}.lock"))
    assert not os.path.exists(place.socket)


def status_of(pid: int | str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def own_links(process: Path, place) -> set[str]:
    """Give what a preloaded process holds, when that is nothing of others: it reads a file of /proc now and then."""
    links = set()
    for link in process.joinpath("fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.add(str(link.readlink()))
    kinds = {link.partition(":")[0] for link in links if "__pycache__" not in link}
    own = {"/dev/null", f"{place.socket}.lock", "socket", "pipe", "anon_inode"}
    return links if "pipe" in kinds <= own else set()


@pytest.mark.parametrize("name", ELSEWHERE)
def test_it_keeps_nothing_of_its_caller(place, name, tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        done = call(place, ELSEWHERE[name], cwd=tmp_path, pass_fds=[descriptor])
    finally:
        os.close(descriptor)
    assert done.returncode == 0, done.stderr
    state = until("a preloaded process", lambda: control.find(place.socket))
    process = Path(f"/proc/{state.pid}")
    ours, init = status_of(state.pid), status_of(1)
    assert process.joinpath("cwd").readlink() == Path("/")
    links = until("none but its own descriptors", lambda: own_links(process, place))
    assert len([link for link in links if link.startswith("pipe:")]) == 1  # its own, for signals
    assert {str(process.joinpath("fd", number).readlink()) for number in "012"} == {os.devnull}
    assert set(process.joinpath("environ").read_bytes().decode().split("\0")) == {*control.ENVIRONMENT, ""}
    fields = process.joinpath("stat").read_text().rpartition(")")[2].split()
    parent, group, session, terminal = fields[1:5]
    assert (parent, group, session, terminal) == ("1", str(state.pid), str(state.pid), "0")
    for what in ("Groups", "Umask", "SigBlk", "Cpus_allowed_list"):
        assert ours[what] == ("0022" if what == "Umask" else init[what])
    for limit in (getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")):
        if limit != resource.RLIMIT_NOFILE:  # as many as it may
            soft, hard = resource.prlimit(state.pid, limit)
            assert soft in (resource.prlimit(1, limit)[0], hard)  # where that can be
    assert fields[16] == "0"  # nice
    hierarchies = [line for line in process.joinpath("cgroup").read_text().splitlines() if line.startswith("0::")]
    assert hierarchies[0] in ("0::/", "0::/minirun-warm")
    assert place.run("version").returncode == 0


@pytest.mark.parametrize("name", NOWHERE)
def test_it_is_not_left_where_it_would_hold_something(place, name):
    call(place, NOWHERE[name])
    assert_none_is_left(place)


def test_it_lives_and_ends_with_a_container(place):
    done = call(place, f'"$@"{THEN_WAIT}', *IN_A_CONTAINER)
    assert done.stdout.endswith(f"{place.socket}\n"), done.stderr
    until("its end", lambda: is_free(f"{place.socket}.lock"))


def test_it_is_not_left_below_another_root(place):
    """In a chroot, what a link says of its root is what it says anywhere; the mounts below it have to be free afterwards."""
    done = call(place, IN_A_ROOT, *IN_A_CONTAINER)
    assert "Version" in done.stdout
    assert place.socket not in done.stdout


def test_it_is_not_left_in_a_cgroup_that_waits_for_its_end(place):
    """One of version 2 is left, with one of version 1 nothing is: going from there costs every command more than it gains."""
    cgroup = hosts.cgroup_mount() / f"minirun-test-{os.getpid()}"
    cgroup.mkdir()
    try:
        assert call(place, f'echo $$ >{cgroup}/cgroup.procs; "$@"; exit').returncode == 0
        until("a preloaded process", lambda: control.find(place.socket))
        until("an empty cgroup", lambda: not (cgroup / "cgroup.procs").read_text())
    finally:
        cgroup.rmdir()


def test_it_is_not_left_in_a_hierarchy_of_version_1_of_its_callers(place):
    mounted = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    hierarchies = [fields[1] for fields in mounted if fields[2] == "cgroup" and "pids" in fields[3].split(",")]
    for hierarchy in hierarchies:  # one, or none
        cgroup = Path(hierarchy, f"minirun-test-{os.getpid()}")
        cgroup.mkdir()
        try:
            call(place, f'echo $$ >{cgroup}/cgroup.procs; exec "$@"')
            assert_none_is_left(place)
        finally:
            cgroup.rmdir()


@pytest.mark.parametrize("mode", [0o1777, 0o770, 0o702])
def test_it_is_not_left_where_others_may_write(place, mode):
    directory = Path(place.socket).parent
    directory.mkdir()
    directory.chmod(mode)
    assert call(place, 'exec "$@"').returncode == 0
    assert list(directory.iterdir()) == []
    done = place.run("system", "warm", "start", warm=True, check=False)
    assert done.returncode != 0
    assert "others than root can write" in done.stderr
    os.chown(directory, 1000, 0)
    directory.chmod(0o700)
    assert call(place, 'exec "$@"').returncode == 0
    assert list(directory.iterdir()) == []


def test_it_is_not_left_where_others_may_write_above(place):
    place.top.chmod(0o777)
    assert call(place, 'exec "$@"').returncode == 0
    assert not os.path.exists(f"{place.socket}.lock")


def test_a_subreaper_finds_no_child_that_it_has_not_started(place):
    script = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
subprocess.run(sys.argv[1:], check=True)
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
"""
    words = ["python3", "-I", "-c", script, place.program(), "version"]
    subprocess.run(words, check=True, capture_output=True, timeout=60, env=place.environment())
    assert_none_is_left(place)


@pytest.mark.no_census  # a package of its own has an archive of its own
def test_it_ends_when_the_package_is_removed(place, tmp_path):
    copy = tmp_path / "site" / "minirun"
    shutil.copytree(CHECKOUT / "minirun", copy, ignore=shutil.ignore_patterns("*.c"))
    for script in (place.top / "share/minirun").iterdir():
        script.write_text(script.read_text().replace(repr(str(CHECKOUT)), repr(str(copy.parent))))
    pid = place.start()
    assert str(copy) in Path(f"/proc/{pid}/maps").read_text()
    shutil.rmtree(copy.parent)
    until("its end", lambda: has_ended(pid))
    assert not os.path.exists(place.socket)
