"""Each archive of the corpus is refused with its sentence or becomes what it says; nothing outside changes, ever."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from minirun.linux.untar import BadArchive, Untar
from tests.corpora.archives.cases import CASES, Case, Made

KINDS = {
    "file": stat.S_ISREG,
    "directory": stat.S_ISDIR,
    "symlink": stat.S_ISLNK,
    "fifo": stat.S_ISFIFO,
    "character": stat.S_ISCHR,
    "block": stat.S_ISBLK,
}


def unpack(data: bytes, root: Path, *, piece: int = 1 << 20, needs_end_mark: bool = False) -> None:
    """Feed an archive in pieces of `piece` bytes into an existing directory."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with Untar(descriptor, max_entries=10000, max_bytes=1 << 30, needs_end_mark=needs_end_mark) as untar:
            for at in range(0, len(data), piece):
                untar.feed(data[at : at + piece])
            untar.finish()
    finally:
        os.close(descriptor)


def listing(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below a directory: type, mode, owner, size, links, time; directories' sizes and times vary and don't count."""
    found: dict[str, tuple[object, ...]] = {}
    for directory, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            facts: tuple[object, ...] = (status.st_mode, status.st_uid, status.st_gid, status.st_rdev)
            if not stat.S_ISDIR(status.st_mode):
                facts += (status.st_size, status.st_nlink, status.st_mtime_ns)
            if stat.S_ISLNK(status.st_mode):
                facts += (os.readlink(path),)
            found[os.path.relpath(path, root)] = facts
    return found


@pytest.fixture
def yard(tmp_path: Path) -> Path:
    """A directory with a canary in it, and the root to unpack into beside the canary."""
    (tmp_path / "canary").write_text("sings")
    os.chmod(tmp_path / "canary", 0o600)
    (tmp_path / "root").mkdir()
    return tmp_path


def assert_untouched(yard: Path) -> None:
    assert sorted(os.listdir(yard)) == ["canary", "root"]
    status = os.lstat(yard / "canary")
    assert (yard / "canary").read_text() == "sings"
    assert (status.st_mode, status.st_uid, status.st_nlink) == (stat.S_IFREG | 0o600, os.geteuid(), 1)
    assert os.listxattr(yard / "canary") == []


def check(root: Path, name: str, made: Made) -> None:
    path = os.fsencode(root) + b"/" + os.fsencode(name)
    if made.kind == "absent":
        assert not os.path.lexists(path), name
        return
    status = os.lstat(path)
    assert KINDS[made.kind](status.st_mode), name
    if made.content is not None:
        with open(path, "rb") as file:
            assert file.read() == made.content
    facts = {
        "mode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "mtime_ns": status.st_mtime_ns,
        "links": status.st_nlink,
        "size": status.st_size,
        "device": (os.major(status.st_rdev), os.minor(status.st_rdev)),
        "target": os.readlink(path).decode() if made.kind == "symlink" else None,
    }
    wanted = {key: getattr(made, key) for key in facts if getattr(made, key) is not None}
    assert {key: facts[key] for key in wanted} == wanted, name
    attributes = {
        key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)
    }
    assert attributes == made.xattrs, name


def case_of(name: str) -> Case:
    return CASES[name]()


def test_the_corpus_is_large():
    assert len(CASES) >= 120


@pytest.mark.parametrize("name", CASES)
def test_archive(name, yard):
    case = case_of(name)
    if case.refused:
        with pytest.raises(BadArchive) as caught:
            unpack(case.data, yard / "root")
        assert case.refused in str(caught.value)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 512
    else:
        unpack(case.data, yard / "root")
        for path, made in case.made.items():
            check(yard / "root", path, made)
    assert_untouched(yard)


@pytest.mark.parametrize("piece", [1, 100, 511, 513])
def test_pieces_of_any_size_give_the_same(piece, tmp_path):
    for name in CASES:
        case = case_of(name)
        results = []
        for size in (1 << 20, piece):
            root = tmp_path / f"{name}-{size}"
            root.mkdir()
            error = ""
            try:
                unpack(case.data, root, piece=size)
            except BadArchive as refusal:
                error = str(refusal)
            # A file that was being written when the archive was refused has no time yet.
            results.append((error, sorted(listing(root)) if error else listing(root)))
        assert results[0] == results[1], name


def test_an_import_needs_the_end_mark(tmp_path):
    for name, text in (("without_end_mark", "cut off"), ("with_one_zero_block", ""), ("cut_in_the_data", "cut off")):
        root = tmp_path / name
        root.mkdir()
        if not text:
            unpack(case_of(name).data, root, needs_end_mark=True)
            continue
        with pytest.raises(BadArchive, match=text):
            unpack(case_of(name).data, root, needs_end_mark=True)


def test_nothing_at_all_is_no_archive(tmp_path):
    with pytest.raises(BadArchive, match="empty"):
        unpack(b"", tmp_path, needs_end_mark=True)


# Where GNU tar means the same, it must come to the same. It differs on purpose elsewhere: it keeps set-id bits only with -p as
# root (the default), it has no whiteouts, it delays symlinks that lead out, it takes no owner beyond what it knows.
AGREED = (
    "absolute_name",
    "absolute_name_with_many_slashes",
    "component_of_255_bytes",
    "devices",
    "directory_replaces_file",
    "directory_times_come_last",
    "directory_twice_merges",
    "dot_components",
    "extended_header_counts_once",
    "fifos",
    "file_replaces_device",
    "file_replaces_fifo",
    "file_replaces_hardlink_without_touching_the_other",
    "file_twice",
    "hardlink_before_and_after",
    "last_extended_header_counts",
    "name_with_prefix",
    "old_headers_without_magic",
    "owner_in_base256",
    "set_id_bits_survive_the_owner",
    "size_in_pax_counts",
    "star_header_has_a_shorter_prefix",
    "symlink_has_owner_and_time",
    "symlink_with_target_of_4000_bytes",
    "time_before_1970",
    "time_negative_with_fraction",
    "time_with_nanoseconds",
    "type_contiguous_is_a_file",
)


@pytest.mark.parametrize("name", AGREED)
def test_gnu_tar_agrees(name, tmp_path):
    data = case_of(name).data
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for root in (ours, theirs):
        root.mkdir()
    unpack(data, ours)
    subprocess.run(["tar", "-x", "--numeric-owner", "-p"], cwd=theirs, input=data, check=True, capture_output=True)
    assert listing(ours) == listing(theirs)


@pytest.mark.parametrize("form", ["gnu", "posix 0.0", "posix 0.1", "posix 1.0"])
def test_sparse_files_of_gnu_tar(form, tmp_path):
    kind, _, version = form.partition(" ")
    with open(tmp_path / "sparse", "wb") as file:
        for i in range(40):  # more pieces than one header holds
            file.seek(i * 1_000_000)
            file.write(b"data %d" % i)
        file.truncate(50_000_000)
    words = [
        "tar",
        "-S",
        "-cf",
        "-",
        f"--format={kind}",
        *([f"--sparse-version={version}"] if version else []),
        "sparse",
    ]
    data = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True).stdout
    (tmp_path / "root").mkdir()
    unpack(data, tmp_path / "root")
    assert (tmp_path / "root/sparse").read_bytes() == (tmp_path / "sparse").read_bytes()
    assert os.stat(tmp_path / "root/sparse").st_blocks * 512 < 1_000_000


def test_real_tree_is_unpacked_as_gnu_tar_does(tmp_path):
    """Files, links, modes and times of a part of this machine, in all three formats."""
    source = "/usr/share/perl-base" if os.path.isdir("/usr/share/perl-base") else "/usr/share/base-files"
    for form in ("gnu", "pax", "ustar"):
        data = subprocess.run(
            ["tar", "-cf", "-", f"--format={form}", "-C", "/", source[1:]], check=True, capture_output=True
        ).stdout
        ours, theirs = tmp_path / f"ours-{form}", tmp_path / f"theirs-{form}"
        for root in (ours, theirs):
            root.mkdir()
        unpack(data, ours)
        subprocess.run(["tar", "-xp", "--numeric-owner"], cwd=theirs, input=data, check=True)
        assert listing(ours) == listing(theirs)
        assert len(listing(ours)) > 3
