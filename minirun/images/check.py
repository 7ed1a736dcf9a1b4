"""Is an image still what it was? Its blobs by digest, its layers by content.

Owns: `check` and `fingerprint`. Leaves to others: when it is asked (tests, `system check`).
"""

from __future__ import annotations

import hashlib
import os
import stat

from .digest import PIECE, digest_of_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .image import Image
    from .store import Images


def check(images: Images, image: Image) -> list[str]:
    """Give a sentence for each blob that is missing or changed and each missing directory; blocks while all is read."""
    problems = []
    (manifest, blobs) = images.connection.execute(
        "SELECT manifest_digest, blobs FROM images WHERE id = ?", (image.id,)
    ).fetchone()
    import json

    for digest in (image.id, manifest, *json.loads(blobs)):
        try:
            descriptor = os.open(images.blobs.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            problems.append(f"blob {digest} is missing")
            continue
        try:
            found = digest_of_file(descriptor)
        finally:
            os.close(descriptor)
        if found != digest:
            problems.append(f"blob {digest} has changed: its digest is {found}")
    for name in images.snapshots.lowers(image.chain_id):
        if not os.path.isdir(f"{images.snapshots.root}/{name}"):
            problems.append(f"directory {images.snapshots.root}/{name} is missing")
    return problems


def fingerprint(images: Images, image: Image) -> str:
    """Give a digest over everything in an image's layers: names, types, owners, modes, times, attributes, content."""
    hasher = hashlib.sha256()
    for name in images.snapshots.lowers(image.chain_id):
        for line in _tree(f"{images.snapshots.root}/{name}".encode()):
            hasher.update(line + b"\0")
    return hasher.hexdigest()


def _tree(path: bytes) -> Iterator[bytes]:
    """Describe each file below a directory, in the order of names; links aren't followed. Access times don't count."""
    waiting = [path]
    while waiting:
        here = waiting.pop()
        status = os.lstat(here)
        facts = (status.st_mode, status.st_uid, status.st_gid, status.st_rdev, status.st_mtime_ns, status.st_nlink)
        yield here + repr(facts).encode()
        for attribute in sorted(os.listxattr(here, follow_symlinks=False)):
            yield os.fsencode(attribute) + b"=" + os.getxattr(here, attribute, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            yield os.readlink(here)
        elif stat.S_ISREG(status.st_mode):
            yield _content(here)
        elif stat.S_ISDIR(status.st_mode):
            waiting += sorted((here + b"/" + each for each in os.listdir(here)), reverse=True)


def _content(path: bytes) -> bytes:
    hasher = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            hasher.update(piece)
    return hasher.digest()
