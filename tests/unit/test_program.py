"""What a command line needs around it."""

from __future__ import annotations

import os
import resource

import pytest

from minirun.errors import Exhausted
from minirun.program import check_descriptors


def test_where_few_files_can_be_opened_nothing_is_begun() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = os.listdir("/proc/self/fd")
    check_descriptors()
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(before) + 1, limits[1]))
    try:
        with pytest.raises(Exhausted, match="open 16 files at once: too many open files"):
            check_descriptors()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert os.listdir("/proc/self/fd") == before
