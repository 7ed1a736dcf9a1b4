"""Unpacking a tar archive beneath a directory: the door to native/untar.c.

Owns: `Untar` and the one error that says "the archive is at fault". Leaves to others: where the bytes come from, digests,
compression, and which directories lie below (images/layers).
"""

from __future__ import annotations

import errno
import os

from .._native import ffi, lib
from .syscalls import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    Buffer = bytes | bytearray | memoryview


class BadArchive(Exception):
    """The archive is malformed, hostile or over a limit; the text names the entry and is printable."""


class Untar:
    """A push parser: `feed` it the archive piece by piece, then `finish`. Use it as a context manager.

    Files appear beneath `root_fd` in the form that overlayfs stacks, as if `lower_fds` (the nearest layer first) lay below. The
    descriptors stay the caller's and stay open. `spool` takes only files, directories and links, owned by the caller: for an
    archive of archives. `needs_end_mark` refuses an archive that ends without its two zero blocks. `copy` is for a tree that is in
    use: files appear as they are named, and a directory and what is none don't replace each other. Without `owners` what is
    made belongs to us.
    """

    def __init__(
        self,
        root_fd: int,
        lower_fds: Sequence[int] = (),
        *,
        max_entries: int,
        max_bytes: int,
        spool: bool = False,
        needs_end_mark: bool = False,
        copy: bool = False,
        owners: bool = True,
    ) -> None:
        flags = (lib.MR_UNTAR_SPOOL if spool else 0) | (lib.MR_UNTAR_END_MARK if needs_end_mark else 0)
        flags |= (lib.MR_UNTAR_COPY if copy else 0) | (0 if owners else lib.MR_UNTAR_NO_OWNER)
        lowers = ffi.new("int[]", list(lower_fds))
        self._untar = lib.mr_untar_new(root_fd, lowers, len(lower_fds), max_entries, max(max_bytes, 0), flags)
        if self._untar == ffi.NULL:
            raise OSError(errno.ENOMEM, "start unpacking: no memory, or too many lower layers")

    def beneath(self, directory: str | bytes) -> None:
        """Let all names lie beneath a directory of the root, whose links are followed inside it; for `copy`. Raises OSError."""
        result = lib.mr_untar_beneath(self._untar, os.fsencode(directory))
        if result < 0:
            raise OSError(-result, f"unpack beneath it: {reason(-result)}", os.fsdecode(directory))

    def own(self, uid: int, gid: int, size: int = 0) -> None:
        """Let everything belong to `uid` and `gid`; with a `size`, shift the archive's ids below it up by them."""
        lib.mr_untar_own(self._untar, uid, gid, size)

    def feed(self, data: Buffer) -> None:
        """Unpack the next piece. Raises BadArchive, or OSError when the host is at fault. Blocks while files are written."""
        if data:
            self._check(lib.mr_untar_feed(self._untar, ffi.from_buffer(data), len(data)))

    def finish(self) -> None:
        """The archive has ended: check that it was whole, set the times of directories. Raises as `feed` does."""
        self._check(lib.mr_untar_finish(self._untar))

    @property
    def bytes_written(self) -> int:
        """Bytes of file content so far."""
        return int(lib.mr_untar_bytes(self._untar))

    def close(self) -> None:
        """Free it; what was unpacked stays."""
        if self._untar != ffi.NULL:
            lib.mr_untar_free(self._untar)
            self._untar = ffi.NULL

    def __enter__(self) -> Untar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, result: int) -> None:
        if result >= 0:
            return
        text = ffi.string(lib.mr_untar_error(self._untar)).decode("ascii", "replace")
        if result == -errno.EBADMSG:
            raise BadArchive(text)
        if result == -errno.ENOSYS:  # which call it is, the core doesn't say
            text = text.removesuffix(os.strerror(errno.ENOSYS)) + reason(errno.ENOSYS)
        raise OSError(-result, text or reason(-result))
