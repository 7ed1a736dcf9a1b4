"""The sentences of `--explain`."""

from __future__ import annotations

import os
import stat

import pytest

from minirun.linux import explain, flags
from minirun.linux import plan as p


def test_every_operation_has_a_sentence() -> None:
    assert set(explain._SENTENCES) == {name for name, _, _ in p.OPERATIONS.values()}


def test_a_mount_is_named_by_what_the_slot_holds() -> None:
    plan = p.Plan()
    attributes = flags.MOUNT_ATTR_NOSUID | flags.MOUNT_ATTR_NODEV | flags.MOUNT_ATTR_NOEXEC
    plan.child += [
        p.overlay(0, "/run/minirun/rootfs", "/var/lib/minirun/snapshots", ("2/fs", "1/fs"), "/u", "/w"),
        p.filesystem(1, "proc", "proc", (), attributes),
        p.attach(1, 0, "/proc"),
        p.tree(2, p.HOST, "/srv/data", True),
        p.attributes(2, flags.MOUNT_ATTR_RDONLY, 0, flags.MS_PRIVATE, True),
        p.attach(2, 0, "/data"),
        p.optional(p.mask(0, "/proc/keys", 3)),
        p.pivot(0),
    ]
    assert plan.explain() == [
        "child    mount overlay on /run/minirun/rootfs, 2 layers of /var/lib/minirun/snapshots, changes in /u",
        "child    make file system proc (nosuid,nodev,noexec)",
        "child    mount proc on /proc",
        "child    take /srv/data with all below it for a bind mount",
        "child    make /srv/data ro; private with all below it",
        "child    mount /srv/data on /data",
        "child    hide /proc/keys (if possible)",
        "child    pivot to the root and let go of the host's",
    ]
    assert plan.describe(2) == "mount proc on /proc"


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (p.hostname("web"), "set host name web"),
        (p.hostname("\x1b]0;x\x07"), "set host name \\x1b]0;x\\x07"),
        (p.clone(flags.CLONE_NEWPID | flags.CLONE_NEWNS), "make a process with new namespaces: mount, pid"),
        (p.rlimit(7, 1024, -1), "set limit nofile to 1024:unlimited"),
        (p.device(0, "/dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3)), "make device /dev/null (c 1:3, mode 0666)"),
        (p.address("eth0", bytes((10, 0, 0, 2)), 16), "give interface eth0 the address 10.0.0.2/16"),
        (p.veth("br0", "vm1", "eth0", bytes(6)), "connect eth0 to bridge br0 through vm1, address 00:00:00:00:00:00"),
        (p.bounding(1 << 0 | 1 << 5), "bound capabilities to chown,kill"),
        (p.exec_("/bin", ("sh", "-c", "echo hi"), ()), "execute sh -c 'echo hi'"),
        (p.write(p.HOST, "/proc/sys/x", "1"), "write '1' to /proc/sys/x"),
        (p.seccomp(0, bytes(16)), "filter system calls (2 instructions)"),
        (p.user("", ("audio",)), "become user root (audio)"),
        (p.link_move("eth7", "eth0"), "move the interface eth7 into the container as eth0"),
        (p.id_map("0 1000 1\n1 5000 9\n", "0 0 1"), "map user ids 0 1000 1, 1 5000 9 and group ids 0 0 1"),
        (
            p.user_namespace(3, "0 1000 1\n1 5000 9", "0 0 1"),
            "make a user namespace to map mounts by (0 1000 1, 1 5000 9)",
        ),
        (p.copy_up(2, 0, "/var"), "fill slot 2 with what lies at /var"),
        (p.take_mode(2, 0, "/var"), "give slot 2 the mode of /var"),
        (p.reconfigure(2, ("size=1m",)), "remount slot 2 (size=1m)"),
        (p.mortal(), "let signals end what waits for the start"),
        (p.chroot(0), "make slot 0 the root by moving it over /"),
        (p.root_change(0), "make slot 0 the root of this process"),
        (p.executable("/bin", "sh"), "look for the executable sh"),
        (p.hook("/opt/hook", ("hook",), (), b"", b"", 0), "run the hook /opt/hook"),
        (p.io_priority(2, 5), "set the I/O priority 5 of class 2"),
        (p.cpu_affinity(b"\x05\x01"), "run on the CPUs 0,2,8"),
        (p.memory_policy(2, b""), "set the memory policy 0x2 for the nodes -"),
    ],
)
def test_sentences(operation: p.Operation, expected: str) -> None:
    assert p.describe(operation) == expected
