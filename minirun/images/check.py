"""Is an image still what it was? Its blobs by digest, its layers by content.

Owns: `check` and `fingerprint`, for tests; what `system check` asks: `damaged_blobs`, and `difference` between a layer as it
lies on disk and as its blob unpacks. Leaves to others: what is done about it (engine/check).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat

from ..record import Record
from .digest import PIECE, chain_ids, digest_of_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .image import Image
    from .store import Images


def check(images: Images, image: Image) -> list[str]:
    """Give a sentence for each blob that is missing or changed and each missing directory; blocks while all is read."""
    problems = []
    (manifest, blobs) = images.connection.execute(
        "SELECT manifest_digest, blobs FROM images WHERE id = ?", (image.id,)
    ).fetchone()
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
        for path, line in _tree(f"{images.snapshots.root}/{name}".encode()):
            hasher.update(path + b"\0" + line + b"\0")
    return hasher.hexdigest()


def damaged_blobs(images: Images) -> Iterator[tuple[str, str]]:
    """Give (digest, sentence) for each blob that an image wants and that is missing or changed. Blocks while all is read.

    An image may be removed meanwhile: what nobody wants any more is no damage.
    """
    for digest in sorted(images.wanted_blobs()):
        problem = _problem_of(images.blobs.path(digest), digest)
        if problem and digest in images.wanted_blobs():
            yield digest, problem


def _problem_of(path: str, digest: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        return "is missing" if isinstance(error, FileNotFoundError) else f"can't be read: {error.strerror}"
    try:
        found = digest_of_file(descriptor)
    except OSError as error:
        return f"can't be read: {error.strerror}"
    finally:
        os.close(descriptor)
    return "" if found == digest else f"has changed: its digest is {found}"


class Link(Record):
    """One link of a chain of layers: what it is made of, and where an image has it."""

    chain_id: str
    below: str  # the chain id of what lies below, "" for nothing
    blob: str
    diff_id: str


def links(images: Images) -> dict[str, Link]:
    """Give every link that an image stands on, by its chain id, lower ones first."""
    found: dict[str, Link] = {}
    for layers, blobs in images.connection.execute("SELECT layers, blobs FROM images"):
        below = ""
        diff_ids = json.loads(layers)
        for chain_id, diff_id, blob in zip(chain_ids(diff_ids), diff_ids, json.loads(blobs), strict=True):
            found.setdefault(chain_id, Link(chain_id=chain_id, below=below, blob=blob, diff_id=diff_id))
            below = chain_id
    return found


def unpack_again(images: Images, link: Link, directory: str, lowers: Sequence[str]) -> str:
    """Unpack a link's blob into `directory`/fs and give why that isn't the layer that it was, "" when it is.

    `lowers` are the directories of the layers below, the nearest first. Raises as images/layers.read_layer does. Blocks.
    """
    from .layers import read_layer

    with open(images.blobs.path(link.blob), "rb", buffering=0) as file:
        layer = read_layer(file.read, f"blob {link.blob}", target=f"{directory}/fs", lowers=lowers)
    return "" if layer.diff_id == link.diff_id else f"its content has the digest {layer.diff_id}, not {link.diff_id}"


def difference(one: str, other: str) -> str:
    """Give the first path in which two trees differ, "" when they don't: names, owners, modes, attributes, content, times of files.

    Times of directories say nothing: they are those of the unpacking where the archive has no entry for them.
    """
    from itertools import zip_longest

    for left, right in zip_longest(
        _tree(os.fsencode(one), with_times=False), _tree(os.fsencode(other), with_times=False), fillvalue=(b"", b"")
    ):
        if left != right:
            paths = sorted(path for path, _ in (left, right) if path)
            return os.fsdecode(paths[0]) if paths else "/"
    return ""


def _tree(top: bytes, *, with_times: bool = True) -> Iterator[tuple[bytes, bytes]]:
    """Describe each file below a directory, in the order of names; links aren't followed. Access times don't count."""
    waiting = [top]
    while waiting:
        here = waiting.pop()
        name = here[len(top) :] or b"/"
        for line in _describe(here, waiting, with_times):
            yield name, line


def _describe(here: bytes, waiting: list[bytes], with_times: bool) -> Iterator[bytes]:
    """Say what there is to say about one file; what lies in a directory is put on the list of those that are waiting."""
    status = os.lstat(here)
    is_file = stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)
    time_ns = status.st_mtime_ns if with_times or is_file else 0
    yield repr((status.st_mode, status.st_uid, status.st_gid, status.st_rdev, time_ns, status.st_nlink)).encode()
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
