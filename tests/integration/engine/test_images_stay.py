"""An image never changes by running it; containers share its layers; removing one leaves the image as it was."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def fingerprint(directory: Path) -> dict[str, tuple[object, ...]]:
    """Give for everything below `directory` its kind, mode, owner, size, times, extended attributes and content."""
    seen: dict[str, tuple[object, ...]] = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        content = b""
        if path.is_symlink():
            content = os.readlink(path).encode()
        elif path.is_file():
            content = hashlib.sha256(path.read_bytes()).digest()
        attributes = tuple(
            (name, os.getxattr(path, name, follow_symlinks=False)) for name in os.listxattr(path, follow_symlinks=False)
        )
        seen[str(path.relative_to(directory))] = (
            status.st_mode, status.st_uid, status.st_gid, status.st_size, status.st_mtime_ns, attributes, content,
        )  # fmt: skip
    assert seen
    return seen


def unpacked(root: Path) -> list[Path]:
    """Give the snapshots there are: of this image, and of those that other tests have brought."""
    return sorted((root / "snapshots").glob("*/fs"))


SCRIPT = "rm -rf /bin/vi /etc/passwd; echo changed > /etc/group; mkdir /new; echo x > /new/file; chmod 700 /etc; chown 7:7 /root"


def test_running_a_container_leaves_its_image_as_it_was(minirun, busybox, roots):
    snapshots, blobs = roots.root / "snapshots", roots.root / "images"
    before = fingerprint(snapshots), fingerprint(blobs)
    minirun("run", "--rm", busybox, "sh", "-c", SCRIPT)
    assert (fingerprint(snapshots), fingerprint(blobs)) == before


def test_removing_a_container_leaves_its_image_as_it_was(minirun, busybox, roots):
    before = fingerprint(roots.root / "snapshots"), fingerprint(roots.root / "images")
    minirun("run", "--name", "changer", busybox, "sh", "-c", SCRIPT)
    minirun("rm", "changer")
    assert (fingerprint(roots.root / "snapshots"), fingerprint(roots.root / "images")) == before
    assert minirun("run", "--rm", busybox, "cat", "/etc/passwd").stdout.startswith("root:")


def test_two_containers_of_one_image_share_its_layers_and_see_only_their_own_changes(minirun, busybox, roots):
    snapshots = unpacked(roots.root)
    minirun("run", "--name", "one", busybox, "sh", "-c", "echo one > /mine")
    minirun("run", "--name", "two", busybox, "sh", "-c", "test ! -e /mine && echo two > /mine")
    try:
        ids = minirun("inspect", "-f", "{{.Id}}", "one", "two").stdout.split()
        files = [
            path.name
            for container_id in ids
            for path in (roots.root / "containers" / container_id / "upper").rglob("*")
            if path.is_file() and path.stat().st_size
        ]
        assert sorted(files) == ["mine", "mine"]  # nothing of the image was copied into either
        assert unpacked(roots.root) == snapshots
    finally:
        minirun("rm", "one", "two")


def test_what_a_container_wrote_is_there_after_stop_and_start(minirun, busybox):
    minirun("run", "--name", "keeper", busybox, "sh", "-c", "date > /stamp; cat /stamp")
    try:
        first = minirun("logs", "keeper").stdout
        minirun("start", "-a", "keeper")
        assert minirun("logs", "keeper").stdout.startswith(first)
    finally:
        minirun("rm", "keeper")
