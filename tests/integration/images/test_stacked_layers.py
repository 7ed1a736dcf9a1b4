"""Layers that build on layers: what overlayfs shows of the snapshots is what the specification says of the archives."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from minirun.linux.untar import BadArchive, Untar
from tests.corpora.archives import tar
from tests.integration.images.model import Entry, Refused, Tree

Layers = list[list[Entry]]


def archive_of(entries: list[Entry]) -> bytes:
    made = []
    for entry in entries:
        more = {"mode": entry.mode, "uid": entry.uid, "mtime": entry.mtime}
        if entry.kind == "directory":
            made.append(tar.directory(entry.path, **more))
        elif entry.kind == "file":
            made.append(tar.file(entry.path, entry.content.encode(), **more))
        elif entry.kind == "symlink":
            made.append(tar.symlink(entry.path, entry.content, uid=entry.uid))
        elif entry.kind == "hardlink":
            made.append(tar.hardlink(entry.path, entry.content))
        elif entry.kind == "whiteout":
            where, slash, name = entry.path.rpartition("/")
            made.append(tar.file(f"{where}{slash}.wh.{name}", b""))
        else:
            made.append(tar.file(f"{entry.path}/.wh..wh..opq", b""))
    return tar.archive(*made)


def unpack_chain(layers: Layers, root: Path) -> list[str]:
    """Unpack each layer into ROOT/0, ROOT/1, ... above those before it; gives the directories, the top first."""
    lowers: list[str] = []
    for number, entries in enumerate(layers):
        target = root / str(number)
        target.mkdir(parents=True)
        target.chmod(0o755)
        descriptors = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (str(target), *lowers)]
        try:
            with Untar(descriptors[0], descriptors[1:], max_entries=1000, max_bytes=1 << 20) as untar:
                untar.feed(archive_of(entries))
                untar.finish()
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        lowers.insert(0, str(target))
    return lowers


def views(stacks: list[list[str]], directory: Path) -> list[dict[str, list[object]]]:
    """Mount each stack in a mount namespace of its own and list it."""
    directory.mkdir()
    words = [
        "unshare",
        "-m",
        "--propagation",
        "private",
        sys.executable,
        str(Path(__file__).with_name("view.py")),
        str(directory),
    ]
    done = subprocess.run(words, input=json.dumps(stacks), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: list[dict[str, list[object]]] = json.loads(done.stdout)
    return result


def meant(layers: Layers) -> dict[str, list[object]]:
    tree = Tree()
    for entries in layers:
        tree.apply(entries)
    return tree.listing()


def directory(path: str, mode: int = 0o755, uid: int = 0) -> Entry:
    return Entry("directory", path, mode=mode, uid=uid)


def file(path: str, content: str = "x", mode: int = 0o644, uid: int = 0) -> Entry:
    return Entry("file", path, content, mode, uid, 1_000_000_000)


def symlink(path: str, target: str) -> Entry:
    return Entry("symlink", path, target)


def hardlink(path: str, target: str) -> Entry:
    return Entry("hardlink", path, target)


def whiteout(path: str) -> Entry:
    return Entry("whiteout", path)


def opaque(path: str) -> Entry:
    return Entry("opaque", path)


CHAINS: dict[str, Layers] = {
    "implied parent keeps owner and mode": [[directory("srv", 0o1777, 33)], [file("srv/a")]],
    "implied parents of parents": [[directory("a", 0o700, 5), directory("a/b", 0o711, 6)], [file("a/b/c/d")]],
    "implied parent from the middle": [[directory("a", 0o700)], [directory("a", 0o711)], [file("b")], [file("a/f")]],
    "lower symlinked directory": [[directory("usr/bin"), symlink("bin", "usr/bin")], [file("bin/x")]],
    "lower absolute symlink": [[directory("usr/bin", 0o750), symlink("bin", "/usr/bin")], [file("bin/x")]],
    "lower symlink two layers down": [[symlink("bin", "usr/bin")], [file("usr/bin/y")], [file("bin/x")]],
    "lower symlink out of the root": [[symlink("up", "../../..")], [file("up/x")]],
    "lower dangling symlink": [[symlink("a", "b")], [file("a/x")]],
    "directory replaces lower symlink": [
        [directory("t"), file("t/f"), symlink("d", "t")],
        [directory("d"), file("d/x")],
    ],
    "hard link to a lower file": [[file("a", "low", 0o755, 7)], [hardlink("b", "a")]],
    "hard link to a lower file through a symlink": [
        [file("usr/a", "low"), symlink("u", "usr")],
        [hardlink("b", "u/a")],
    ],
    "hard link to a lower symlink": [[symlink("s", "x")], [hardlink("b", "s")]],
    "hard link of a lower file to itself": [[file("a", "low")], [hardlink("a", "a")]],
    "hard link to a file two layers down": [[file("d/a", "low")], [directory("d", 0o700)], [hardlink("d/b", "d/a")]],
    "whiteout of a file": [[file("a"), file("b")], [whiteout("a")]],
    "whiteout of a directory": [[file("d/a"), file("d/e/f")], [whiteout("d")]],
    "whiteout, then a new directory": [
        [file("d/a"), directory("d", 0o700)],
        [whiteout("d"), directory("d"), file("d/b")],
    ],
    "whiteout, then a new implied directory": [[file("d/a"), directory("d", 0o700)], [whiteout("d"), file("d/b")]],
    "a new directory, then the whiteout": [[file("d/a")], [directory("d"), file("d/b"), whiteout("d")]],
    "a new file, then the whiteout": [[file("a", "old")], [file("a", "new"), whiteout("a")]],
    "whiteout inside, then of the whole": [[file("d/a"), file("d/b")], [whiteout("d/a"), whiteout("d")]],
    "whiteout of a symlink that a path went through": [
        [symlink("bin", "usr/bin"), file("usr/bin/a")],
        [file("bin/x"), whiteout("bin")],
    ],
    "whiteout of the target of a hard link": [[file("a", "low")], [hardlink("b", "a"), whiteout("a")]],
    "whiteout of a hard link stays without effect": [[file("a", "low")], [hardlink("b", "a"), whiteout("b")]],
    "opaque": [[file("d/a"), file("d/e/f")], [file("d/b"), opaque("d"), file("d/c")]],
    "opaque first": [[file("d/a"), file("d/e/f")], [opaque("d"), file("d/e/g")]],
    "opaque last": [[file("d/a"), file("d/e/f")], [file("d/e/g"), opaque("d")]],
    "opaque takes what a path went through": [[symlink("d/l", "e"), file("d/e/f")], [file("d/l/x"), opaque("d")]],
    "opaque of the root": [[file("a"), file("d/b")], [file("d/c"), opaque("")]],
    "opaque through a lower symlink": [[file("usr/a"), symlink("u", "usr")], [opaque("u"), file("usr/b")]],
    "opaque in a missing directory": [[file("a")], [opaque("nowhere")]],
    "opaque, then the next layer": [[file("d/a")], [opaque("d"), file("d/b")], [file("d/c")]],
    "whiteout, then the next layer brings it back": [[file("d/a")], [whiteout("d")], [file("d/b")]],
    "whiteout two layers down hides the rest": [
        [directory("d", 0o700), file("d/a")],
        [whiteout("d")],
        [directory("x")],
        [file("d/b")],
    ],
    "file over a lower directory": [[file("d/a")], [file("d")]],
    "file over a lower directory, directory above": [[file("d/a")], [file("d")], [directory("d"), file("d/b")]],
    "file, then directory in one layer": [[file("d/a")], [file("d"), directory("d"), file("d/b")]],
    "symlink over a lower directory": [[file("d/a"), directory("e")], [symlink("d", "e"), file("d/b")]],
    "parent directory changes in one layer": [
        [directory("a"), directory("b")],
        [file("a/1"), symlink("a", "b"), file("a/2")],
    ],
    "directory entry changes what a path has copied": [
        [directory("d", 0o700, 9)],
        [file("d/a"), directory("d", 0o755, 1)],
    ],
    "file over a lower symlink": [[symlink("a", "b"), file("b", "old")], [file("a", "new")]],
    "nothing at all": [[file("a")], []],
}


def test_chains_that_have_broken_others(tmp_path):
    stacks = [unpack_chain(layers, tmp_path / f"chain-{i}") for i, layers in enumerate(CHAINS.values())]
    for (name, layers), seen in zip(CHAINS.items(), views(stacks, tmp_path / "view"), strict=True):
        assert seen == meant(layers), name


def test_lowers_are_never_changed(tmp_path):
    for i, layers in enumerate(CHAINS.values()):
        root = tmp_path / str(i)
        for depth in range(1, len(layers) + 1):
            unpack_chain(layers[:depth], root / str(depth))
        for depth in range(1, len(layers)):
            for number in range(depth):
                ours = root / str(depth) / str(number)
                later = root / str(len(layers)) / str(number)
                assert raw_tree(ours) == raw_tree(later)


def raw_tree(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for where, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = os.path.join(where, name)
            status = os.lstat(path)
            attributes = {
                key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)
            }
            found[os.path.relpath(path, root)] = (
                status.st_mode,
                status.st_uid,
                status.st_rdev,
                status.st_nlink,
                repr(attributes),
            )
    return found


NAMES = ("a", "b", "c")
PLACES = list(NAMES) + [f"{x}/{y}" for x in NAMES for y in NAMES] + [f"a/{x}/{y}" for x in NAMES for y in NAMES]
TARGETS = ("a", "b", "/a/b", "../b", "c", "a/b", "..", "/")


def random_entry(chance: random.Random) -> Entry:
    path = chance.choice(PLACES)
    kind = chance.choice(("directory", "directory", "file", "file", "symlink", "hardlink", "whiteout", "opaque"))
    if kind == "directory":
        return directory(path, chance.choice((0o755, 0o700, 0o1777)), chance.randrange(3))
    if kind == "file":
        return file(path, str(chance.randrange(100)), uid=chance.randrange(3))
    if kind == "symlink":
        return symlink(path, chance.choice(TARGETS))
    if kind == "hardlink":
        return hardlink(path, chance.choice(PLACES))
    return Entry(kind, path)


def random_chain(seed: int) -> Layers:
    """Layers of entries that make sense one after the other, as the model judges."""
    chance = random.Random(seed)
    layers: Layers = []
    for _ in range(chance.randrange(2, 5)):
        layers.append([])
        for _ in range(chance.randrange(1, 9)):
            layers[-1].append(random_entry(chance))
            try:
                meant(layers)
            except Refused:
                layers[-1].pop()
    return layers


def test_random_chains(tmp_path):
    chains = [random_chain(seed) for seed in range(400)]
    stacks = [unpack_chain(layers, tmp_path / str(i)) for i, layers in enumerate(chains)]
    for layers, seen in zip(chains, views(stacks, tmp_path / "view"), strict=True):
        assert seen == meant(layers), layers


def test_what_the_model_refuses_is_refused(tmp_path):
    refused = 0
    for seed in range(300):
        chance = random.Random(seed)
        layers = [*random_chain(seed), [random_entry(chance)]]
        try:
            meant(layers)
        except Refused:
            refused += 1
            with pytest.raises(BadArchive):
                unpack_chain(layers, tmp_path / str(seed))
    assert refused > 10
