"""Writing a tar archive of a tree: the door to native/tar.c.

Owns: `Tar`, read like a file. Leaves to others: which tree (linux/view), where the bytes go; reading archives (linux/untar).
"""

from __future__ import annotations

import os

from .._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    Text = str | bytes


class Tar:
    """The archive of what the descriptor `top` is open on, made while it is read. Use it as a context manager.

    `name` is what it is called in the archive; "" leaves it out and gives what is in it by its own names. `layer`: the
    tree is an overlay's upper, and what it hides becomes whiteouts. `sparse`: holes are left out. The same tree gives the same
    bytes. The descriptor stays the caller's and stays open.
    """

    def __init__(self, top: int, name: Text = "", *, layer: bool = False, sparse: bool = False) -> None:
        flags = (lib.MR_TAR_LAYER if layer else 0) | (lib.MR_TAR_SPARSE if sparse else 0)
        self.bytes_read = 0
        self._buffer = bytearray()
        self._tar = lib.mr_tar_new(top, os.fsencode(name), flags)
        if self._tar == ffi.NULL:
            raise MemoryError("start an archive: no memory")

    def exclude(self, paths: Iterable[Text]) -> None:
        """Leave out these paths, as the archive would have them, with all below them."""
        for path in paths:
            if lib.mr_tar_exclude(self._tar, os.fsencode(path)) < 0:
                raise MemoryError("leave paths out of an archive: no memory")

    def map_ids(self, uid: int, gid: int, size: int) -> None:
        """Write user ids from `uid` on and group ids from `gid` on, `size` of each, as 0, 1, ..."""
        lib.mr_tar_map_ids(self._tar, uid, gid, size)

    def read(self, size: int) -> bytes:
        """Give the next bytes, fewer than `size` only at the end. Raises OSError, which names the file. Blocks."""
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        got = lib.mr_tar_read(self._tar, ffi.from_buffer(self._buffer, require_writable=True), size)
        if got < 0:
            raise OSError(-got, ffi.string(lib.mr_tar_error(self._tar)).decode("ascii", "replace"))
        self.bytes_read += got
        return bytes(memoryview(self._buffer)[:got])

    def close(self) -> None:
        """Free it."""
        if self._tar != ffi.NULL:
            lib.mr_tar_free(self._tar)
            self._tar = ffi.NULL

    def __enter__(self) -> Tar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
