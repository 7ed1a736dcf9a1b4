"""Volumes that are a bind with rules of its own: what mount(2) would give them in two calls, but never for a moment without."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun.errors import MinirunError
from minirun.linux import syscalls
from minirun.storage import mounting
from minirun.storage.mounting import Options

MS_BIND, MS_REMOUNT = 0x1000, 0x20
ROUNDS = 1500
OFTEN = """
import sys
from minirun.storage import mounting
options = mounting.Options(device=sys.argv[1], type="none", words=("bind", "ro", "nosuid"))
for _ in range(int(sys.argv[3])):
    mounting.mount(sys.argv[2], options)
    assert mounting.is_mounted(sys.argv[2])
    mounting.unmount(sys.argv[2])
"""


def options_at(place: Path) -> list[str]:
    """Give the options of each mount there: proc_pid_mountinfo(5)."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[5] for line in lines if line.split()[4] == str(place)]


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    """A file system whose mount has rules of its own."""
    place = tmp_path / "source"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid,nodev,noatime", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory on which nothing is mounted afterwards."""
    made = tmp_path / "place"
    made.mkdir()
    yield made
    mounting.unmount(str(made))


@pytest.mark.parametrize(
    "words",
    [
        "ro",
        "ro,noexec",
        "nosuid",
        "noatime,ro",
        "strictatime",
        "relatime,nodev",
        "nodiratime",
        "sync",
        "rw",
        "ro,rw,noexec",
    ],
)
def test_a_bind_is_what_two_calls_make_of_its_options(source: Path, place: Path, tmp_path: Path, words: str) -> None:
    model = tmp_path / "model"
    model.mkdir()
    syscalls.mount(str(source), str(model), "", MS_BIND, "")
    try:
        flags, _, _ = mounting._split(tuple(words.split(",")))
        if flags:
            syscalls.mount("", str(model), "", MS_BIND | MS_REMOUNT | flags, "")
        mounting.mount(str(place), Options(device=str(source), type="none", words=("bind", *words.split(","))))
        assert options_at(place) == options_at(model)
    finally:
        syscalls.unmount(str(model))


def test_it_is_never_seen_without_them(source: Path, place: Path) -> None:
    """Whoever makes it may be killed at any moment, and what is there then is used by the next container."""
    words = [sys.executable, "-I", "-c", OFTEN, str(source), str(place), str(ROUNDS)]
    seen: set[str] = set()
    with subprocess.Popen(words) as process:
        while process.poll() is None:
            seen.update(options_at(place))
    assert process.returncode == 0
    assert seen
    assert {"ro", "nosuid"} <= set.intersection(*(set(options.split(",")) for options in seen))


def test_what_lies_below_comes_along_when_that_is_asked_for(source: Path, place: Path) -> None:
    (source / "below").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", source / "below"], check=True)
    (source / "below/file").touch()
    mounting.mount(str(place), Options(device=str(source), type="none", words=("rbind", "ro", "rprivate")))
    assert (place / "below/file").exists()
    mounting.unmount(str(place))
    mounting.mount(str(place), Options(device=str(source), type="none", words=("bind", "ro")))
    assert not (place / "below/file").exists()


def test_a_source_that_is_not_there_leaves_nothing(tmp_path: Path, place: Path) -> None:
    with pytest.raises(MinirunError, match="no such file or directory"):
        mounting.mount(str(place), Options(device=str(tmp_path / "gone"), type="none", words=("bind", "ro")))
    assert options_at(place) == []


def test_the_propagation_of_one_whose_maker_was_killed_is_given_later(place: Path) -> None:
    options = Options(device="tmpfs", type="tmpfs", words=("private",))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    subprocess.run(["mount", "--make-shared", place], check=True)
    mounting.complete(str(place), options)
    (line,) = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if line.split()[4] == str(place)]
    assert "shared:" not in line
