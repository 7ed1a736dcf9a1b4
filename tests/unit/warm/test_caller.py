"""What is read of a caller: as the kernel shows it, and nothing when it doesn't fit."""

from __future__ import annotations

import errno
import os

import pytest

from minirun._native import ffi, lib
from minirun.warm import caller


def test_facts_are_what_proc_shows():
    facts = caller.facts_of(os.getpid())
    kinds = ("cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts")
    assert facts.equal[: len(kinds)] == tuple(os.readlink(f"/proc/self/ns/{kind}").encode() for kind in kinds)
    assert facts.status[b"Pid"] == b"%d" % os.getpid()
    assert facts.rights == caller.rights_of(facts.status)
    assert facts.equal == caller.facts_of(os.getppid()).equal


def test_a_process_that_has_gone_has_no_facts():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(FileNotFoundError):
        caller.facts_of(child)


def test_of_the_status_come_the_lines_that_were_asked_for():
    room = ffi.new("char[]", 1 << 16)
    lib.mr_facts(os.getpid(), b"Uid\nVmPeak\nnothing\nName\n", room, len(room))
    length = int.from_bytes(ffi.buffer(room, 4), "little")
    with open("/proc/self/status", "rb") as file:
        wanted = [line for line in file if line.startswith((b"Uid:", b"VmPeak:", b"Name:"))]
    assert bytes(ffi.buffer(room + 4, length)) == b"".join(wanted)


def test_what_does_not_fit_is_refused():
    room = ffi.new("char[]", 1 << 16)
    whole = lib.mr_facts(os.getpid(), b"Pid\nUid\n", room, len(room))
    found = [lib.mr_facts(os.getpid(), b"Pid\nUid\n", room, size) for size in range(4096)]
    enough = found.index(whole)
    assert enough >= whole
    assert set(found[:enough]) == {-errno.ENOBUFS}
    assert set(found[enough:]) == {whole}
