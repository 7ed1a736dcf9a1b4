"""Sentences for operations that failed."""

from __future__ import annotations

import errno

import pytest

from minirun.errors import Exhausted, InvalidInput, MinirunError, NotSupported, StartFailed
from minirun.linux import plan
from minirun.linux.plan import Operation, Plan
from minirun.runtime.failures import explain_failure

STRICT = plan.CREATE_DIRECTORY | plan.CREATE_NO_SYMLINKS
OVERLAY = plan.overlay_id_mapped(0, 10, "/root", "/layers", ("1/fs",), "/u", "/w")


@pytest.mark.parametrize(
    ("operation", "number", "kind", "words"),
    [
        (plan.clone(0x10020000), errno.ENOSPC, Exhausted, "no more of them: see /proc/sys/user/max_*_namespaces"),
        (plan.sync(4), errno.ECHILD, StartFailed, "first process: it was killed meanwhile"),
        (plan.unshare(0x02000000), errno.ENOSPC, Exhausted, "max_*_namespaces"),
        (plan.user_namespace(10, "0 1 1", "0 1 1"), errno.EUSERS, Exhausted, "max_*_namespaces"),
        # The second half is what podman knows the reason by.
        (plan.rlimit(6, 10, 10), errno.EPERM, NotSupported, "Operation not permitted: this host doesn't allow more"),
        (OVERLAY, errno.EINVAL, NotSupported, "Linux 5.19 or newer"),
        (OVERLAY, errno.ENAMETOOLONG, NotSupported, "too many for this kernel; Linux 6.5 takes more"),
        (OVERLAY, errno.ENOSPC, Exhausted, "free some space on the disk"),
        (
            plan.tree(3, 3, "a/b", True),
            errno.ENOENT,
            StartFailed,
            "a subpath has to be in the volume, or image, already",
        ),
        # What runc says of such an image.
        (plan.attach(3, 2, "/proc", STRICT), errno.ELOOP, StartFailed, "must be mounted on ordinary directory"),
        (plan.attach(3, 2, "/proc", STRICT), errno.ENOTDIR, StartFailed, "must be mounted on ordinary directory"),
        (plan.attach(3, 2, "/a", plan.CREATE_FILE), errno.ENOTDIR, StartFailed, "a directory is mounted on a dir"),
        (plan.attach(3, 2, "/a", plan.CREATE_FILE), errno.ELOOP, StartFailed, "Too many levels of symbolic links"),
        (plan.user("1:2", ("3", "dev")), errno.ESRCH, InvalidInput, "find group dev: no matching entries"),
        (plan.user("1:web", ("dev",)), errno.ESRCH, InvalidInput, "find group web or dev: no matching entries"),
        (plan.user("", ()), errno.EINVAL, InvalidInput, 'invalid user "root": ids, of groups too, are numbers from 0'),
    ],
)
def test_a_failure_says_what_was_tried_and_why_it_failed(
    operation: Operation, number: int, kind: type[MinirunError], words: str
) -> None:
    made = Plan()
    made.child.append(operation)
    error = explain_failure(made, 0, number)
    assert type(error) is kind
    assert words in str(error)
    assert "\n" not in str(error)
