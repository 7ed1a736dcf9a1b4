"""The virtual machine is what the tests in it rely on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import hosts

pytestmark = pytest.mark.vm_guest


def test_every_controller_is_there() -> None:
    assert {"cpu", "cpuset", "memory", "pids"} <= set(hosts.controllers())


def test_cgroups_are_unified() -> None:
    assert Path("/sys/fs/cgroup/cgroup.controllers").exists()


def test_we_are_root() -> None:
    assert os.geteuid() == 0
