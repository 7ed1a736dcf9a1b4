"""Has the installed package changed since it was imported?

Owns: the watch, an inotify(7) descriptor. Leaves to others: leaving (server).
The kernel notes a change in the call that makes it, so whoever looks before each command can't run code that isn't there any more.
What the interpreter itself writes, compiled modules beside their sources, is no change.
"""

from __future__ import annotations

import os
from struct import Struct

from .._native import lib
from ..frozen import ARCHIVE, HOME
from ..light import suppress

_EVENT = Struct("=iIII")  # struct inotify_event; a name follows
_CACHE = "__pycache__"
_BLOCK = 65536


class Watch:
    """The directories of the package. Raises OSError where the kernel has no more watches for us."""

    def __init__(self) -> None:
        self._is_stale = False
        self._archive = -1  # the watch that is of the archive's directory
        self.descriptor: int = _checked(lib.mr_watch_directory(os.fsencode(HOME)))
        for folder, folders, _ in os.walk(HOME):
            folders[:] = [name for name in folders if name != _CACHE]
            _checked(lib.mr_watch_also(self.descriptor, os.fsencode(folder)))
        with suppress(FileNotFoundError):  # a package that was not frozen
            self._archive = _checked(lib.mr_watch_also(self.descriptor, os.fsencode(os.path.dirname(ARCHIVE))))

    def has_changed(self) -> bool:
        """Say whether anything was written, removed or put there since it was imported. Doesn't block."""
        self._is_stale = self._is_stale or self._look()
        return self._is_stale

    def _look(self) -> bool:
        """Say whether there is such news, which the kernel tells once."""
        try:
            data = os.read(self.descriptor, _BLOCK)
        except BlockingIOError:
            return False
        while data:
            watch, _, _, length = _EVENT.unpack_from(data)
            name = os.fsdecode(data[_EVENT.size : _EVENT.size + length].rstrip(b"\0"))
            if self._means_change(watch, name):
                return True
            data = data[_EVENT.size + length :]
        return self._look()

    def _means_change(self, watch: int, name: str) -> bool:
        if watch == self._archive:
            return name.startswith(os.path.basename(ARCHIVE))
        return name != _CACHE


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, f"inotify: {os.strerror(-result)}", HOME)
    return result
