"""The installed package has changed: whoever looks first, and whoever looks again, is told."""

from __future__ import annotations

import os
from pathlib import Path

import minirun.units
from minirun.warm.watch import Watch


def test_a_change_is_not_forgotten_by_who_looks_again():
    """The time of a source is set to what it is: that is a change to the kernel, and none to any other test."""
    watch = Watch()
    try:
        assert not watch.has_changed()
        file = Path(str(minirun.units.__file__))
        status = file.stat()
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert watch.has_changed()
        assert watch.has_changed()
    finally:
        os.close(watch.descriptor)
