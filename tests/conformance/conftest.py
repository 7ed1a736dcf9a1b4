"""Fixtures of the conformance tests: a runtime, bundles on the busybox root file system, a program that makes system calls."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.bundles import Box, Runtime, runtime_of
from tests.integration.runtime.probe import PROBE

BoxMaker = Callable[..., Box]
_numbers = itertools.count()


@pytest.fixture(scope="session")
def unpacked(fixture_archive: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The busybox root file system with the probe in it, which every bundle gets a copy of."""
    target = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["tar", "-xf", fixture_archive("busybox"), "-C", target], check=True)
    source = target.parent / "probe.c"
    source.write_text(PROBE)
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Werror", "-o", target / "bin/probe", source], check=True)
    return target


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """The runtime under test."""
    return runtime_of("minirun-oci", tmp_path_factory.mktemp("state") / "minirun-oci")


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where bundles lie: in memory, where the 300 files of a root file system are copied in a tenth of the time."""
    target = tmp_path_factory.mktemp("bundles")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", target], check=True)
    yield target
    subprocess.run(["umount", "-l", target], check=True)


@pytest.fixture
def make_box(unpacked: Path, bundles: Path) -> Iterator[BoxMaker]:
    """Make bundles; their containers are deleted after the test."""
    made: list[Box] = []

    def make(runtime: Runtime) -> Box:
        number = next(_numbers)
        path = bundles / f"bundle{number}"
        shutil.copytree(unpacked, path / "rootfs", symlinks=True)
        box = Box(runtime, path, f"conformance-{os.getpid()}-{number}")
        made.append(box)
        return box

    yield make
    for box in made:
        box.destroy()


@pytest.fixture
def box(make_box: BoxMaker, runtime: Runtime) -> Box:
    """A bundle for the runtime under test."""
    return make_box(runtime)
