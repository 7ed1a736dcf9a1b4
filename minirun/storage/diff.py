"""From an overlay's upper directory to the list of what a container changed.

Owns: comparing what the upper holds with the layers below, entry by entry. Leaves to others: which directories, the view of the
layers (engine/diff), writing a layer (linux/tar).

An upper holds more than changes: what was opened for writing and left as it was, directories that were only passed through, and
the places that were made to mount on. So each entry is compared with what the layers show under its name, as docker compares: type,
mode, owner, device, size and time, for directories without size and time; and, beyond docker, all extended attributes. The upper
is hostile and may be written to meanwhile: every directory is opened by its whole path beneath it, no link is followed.

    upper                         layers               is
    whiteout                      something            D
    something                     nothing              A
    something                     something else       C
    directory                     directory            C when it differs, or anything in it is A, C or D
    opaque directory              directory            as above, and D for each of the lower's that isn't in it
"""

from __future__ import annotations

import errno
import os
import stat

from ..linux.flags import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS
from ..linux.syscalls import openat2
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ADDED, CHANGED, DELETED = "A", "C", "D"
_STRICT = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_OPAQUE = "trusted.overlay.opaque"
_OF_OVERLAY = ("trusted.overlay.", "user.overlay.")


class Change(Record):
    """One path, absolute in the container; a name that isn't UTF-8 has surrogates. `kind` is A, C or D."""

    kind: str
    path: str


class Comparison:
    """One upper directory against the layers below it; `layers` None: there is nothing in them.

    `places` are paths (without the first slash) that were made to mount on, and are no change as long as they are an empty file or
    a directory. After `changes`, `untouched` has those of them that the upper holds, and directories that hold nothing else.
    """

    def __init__(self, upper: int, layers: int | None, places: frozenset[str] = frozenset()) -> None:
        self._upper = upper
        self._layers = layers
        self._places = places
        self.untouched: list[str] = []

    def changes(self) -> list[Change]:
        """Give all changes, in the order of names, a directory before what is in it. Raises OSError. Blocks."""
        found, _ = self._directory("", is_below=self._layers is not None, hides=False)
        return found

    def _directory(self, path: str, *, is_below: bool, hides: bool) -> tuple[list[Change], bool]:
        """Compare what is in a directory; `is_below`: the layers have it too. Says also whether it holds no change at all."""
        found: list[Change] = []
        is_empty = True
        names = set(self._names(self._upper, path))
        gone = (set(self._names(self._layers, path)) - names) if hides and is_below else set()
        for name in sorted(names | gone, key=os.fsencode):
            inner = f"{path}/{name}" if path else name
            if name in gone:
                found.append(Change(kind=DELETED, path=f"/{inner}"))
                continue
            entry = self._entry(inner, is_below=is_below)
            found += entry
            is_empty = is_empty and not entry and inner in self.untouched
        return found, is_empty and not gone

    def _entry(self, path: str, *, is_below: bool) -> list[Change]:
        upper = _open(self._upper, path)
        if upper is None:
            return []  # gone since it was listed
        lower = _open(self._layers, path) if is_below and self._layers is not None else None
        try:
            return self._compare(path, upper, lower)
        finally:
            os.close(upper)
            if lower is not None:
                os.close(lower)

    def _compare(self, path: str, upper: int, lower: int | None) -> list[Change]:
        new = os.fstat(upper)
        if stat.S_ISCHR(new.st_mode) and new.st_rdev == 0:
            return [Change(kind=DELETED, path=f"/{path}")] if lower is not None else []
        is_directory = stat.S_ISDIR(new.st_mode)
        was_directory = lower is not None and stat.S_ISDIR(os.fstat(lower).st_mode)
        inside: list[Change] = []
        is_empty = True
        if is_directory:
            inside, is_empty = self._directory(path, is_below=was_directory, hides=_is_opaque(upper))
        if lower is None and path in self._places and (is_directory or (stat.S_ISREG(new.st_mode) and not new.st_size)):
            kind = CHANGED if inside else ""
        elif lower is None:
            kind = ADDED
        else:
            kind = CHANGED if inside or _differ(upper, lower) else ""
        if not kind and (path in self._places or (is_directory and is_empty)):
            self.untouched.append(path)
        return [Change(kind=kind, path=f"/{path}"), *inside] if kind else inside

    def _names(self, root: int | None, path: str) -> Iterator[str]:
        if root is None:
            return
        try:
            descriptor = openat2(root, path or ".", _DIRECTORY, resolve=_STRICT)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return  # gone, or something else by now
            raise
        try:
            yield from os.listdir(descriptor)
        finally:
            os.close(descriptor)


def _open(root: int, path: str) -> int | None:
    try:
        return openat2(root, path, os.O_PATH | os.O_NOFOLLOW, resolve=_STRICT)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def _differ(upper: int, lower: int) -> bool:
    new, old = os.fstat(upper), os.fstat(lower)
    if (new.st_mode, new.st_uid, new.st_gid, new.st_rdev) != (old.st_mode, old.st_uid, old.st_gid, old.st_rdev):
        return True
    if not stat.S_ISDIR(new.st_mode) and (new.st_size, new.st_mtime_ns) != (old.st_size, old.st_mtime_ns):
        return True
    return _attributes(upper) != _attributes(lower)


def _attributes(descriptor: int) -> dict[str, bytes]:
    """Give the extended attributes of what an O_PATH descriptor is open on: the magic link leads to that very inode."""
    path = f"/proc/self/fd/{descriptor}"
    try:
        names = os.listxattr(path)
        return {name: os.getxattr(path, name) for name in names if not name.startswith(_OF_OVERLAY)}
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENODATA):
            return {}
        raise


def _is_opaque(descriptor: int) -> bool:
    try:
        return os.getxattr(f"/proc/self/fd/{descriptor}", _OPAQUE) == b"y"
    except OSError:
        return False
