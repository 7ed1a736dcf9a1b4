"""Small files are completed by a second thread: each is what the archive says all the same, and an error names its file."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun.linux.untar import Untar

COUNT = 2000


@pytest.fixture
def archive() -> bytes:
    """Files of many kinds; every tenth is replaced by a later entry, every seventh has a hard link behind it at once."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as made:
        for number in range(COUNT):
            _add(made, f"d{number // 100}/{number}", number)
            if number % 10 == 0:
                _add(made, f"d{number // 100}/{number}", number + 1)
            if number % 7 == 0:
                link = tarfile.TarInfo(f"d{number // 100}/{number}.link")
                link.type, link.linkname = tarfile.LNKTYPE, f"d{number // 100}/{number}"
                made.addfile(link)
    return target.getvalue()


def _content(number: int) -> bytes:
    return f"{number}\n".encode() * (number % 1300)


def _add(archive: tarfile.TarFile, name: str, number: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(_content(number))
    info.mode = (0o644, 0o4755, 0o600, 0o666)[number % 4]
    info.uid, info.gid = number % 3, number % 5
    info.mtime = number + 0.5
    if number % 11 == 0:
        info.pax_headers = {"SCHILY.xattr.trusted.number": str(number)}
    archive.addfile(info, io.BytesIO(_content(number)))


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _unpack(data: bytes, root: Path, piece: int) -> None:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with Untar(descriptor, max_entries=10 * COUNT, max_bytes=1 << 30) as untar:
            for at in range(0, len(data), piece):
                untar.feed(bytearray(data[at : at + piece]))  # gone when it returns
            untar.finish()
    finally:
        os.close(descriptor)


@pytest.fixture(params=["all processors", "one processor"])
def _processors(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    if request.param == "one processor":
        os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("_processors")
@pytest.mark.parametrize("piece", [4096, 1 << 18, 1 << 24])
def test_many_small_files_are_what_the_archive_says(tmp_path: Path, archive: bytes, piece: int) -> None:
    threads, descriptors = _threads(), len(os.listdir("/proc/self/fd"))
    _unpack(archive, tmp_path, piece)
    assert (_threads(), len(os.listdir("/proc/self/fd"))) == (threads, descriptors)
    for number in range(COUNT):
        path = tmp_path / f"d{number // 100}/{number}"
        said = number + 1 if number % 10 == 0 else number
        status = path.stat()
        assert path.read_bytes() == _content(said)
        assert status.st_mode & 0o7777 == (0o644, 0o4755, 0o600, 0o666)[said % 4]
        assert (status.st_uid, status.st_gid) == (said % 3, said % 5)
        assert status.st_mtime_ns == said * 10**9 + 5 * 10**8
        assert status.st_nlink == (2 if number % 7 == 0 else 1)
        assert os.listxattr(path) == (["trusted.number"] if said % 11 == 0 else [])


def test_a_file_that_finds_no_space_is_named_and_the_thread_ends(tmp_path: Path, archive: bytes) -> None:
    threads, descriptors = _threads(), len(os.listdir("/proc/self/fd"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path], check=True)
    try:
        with pytest.raises(OSError, match=r"entry 'd\d+/\d+': write the file: No space left on device"):
            _unpack(archive, tmp_path, 1 << 24)
        assert (_threads(), len(os.listdir("/proc/self/fd"))) == (threads, descriptors)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_few_descriptors_are_enough(tmp_path: Path, archive: bytes) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 30, before[1]))
    try:
        _unpack(archive, tmp_path, 1 << 18)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == COUNT + len(range(0, COUNT, 7))
