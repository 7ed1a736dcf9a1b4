"""Snapshots and stages: what is published stays, what is not dies with its process."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from minirun import database
from minirun.errors import Corrupt
from minirun.record import Record
from minirun.storage.schema import SCHEMA
from minirun.storage.snapshots import Snapshots
from tests.conftest import CHECKOUT


class Tree(Record):
    chain_id: str
    parent: str
    directory: str
    size_bytes: int = 7


@pytest.fixture
def snapshots(tmp_path: Path) -> Iterator[Snapshots]:
    (tmp_path / "snapshots").mkdir()
    connection = database.connect(str(tmp_path / "db"), lambda: SCHEMA)
    yield Snapshots(str(tmp_path / "snapshots"), connection)
    connection.close()


def connection_of(snapshots: Snapshots) -> sqlite3.Connection:
    return snapshots._connection


def publish(snapshots: Snapshots, *chain: str) -> None:
    with snapshots.stage() as stage:
        trees, parent = [], ""
        for name in chain:
            directory = stage.make_directory(name)
            os.mkdir(f"{directory}/fs")
            Path(directory, "fs", name).touch()
            trees.append(Tree(chain_id=name, parent=parent, directory=directory))
            parent = name
        with ExitStack() as undo, database.transaction(connection_of(snapshots)):
            snapshots.publish(trees, stage.path, undo)
            undo.pop_all()


def test_lowers_come_top_first(snapshots):
    publish(snapshots, "a", "b", "c")
    assert snapshots.lowers("c") == ("3/fs", "2/fs", "1/fs")
    assert snapshots.lowers("a") == ("1/fs",)
    assert snapshots.lowers("") == ("0/fs",)
    with pytest.raises(Corrupt, match="are missing"):
        snapshots.lowers("x")


def test_a_link_that_is_there_already_is_kept(snapshots):
    publish(snapshots, "a", "b")
    publish(snapshots, "a", "b", "c")
    assert snapshots.lowers("c") == ("3/fs", "2/fs", "1/fs")
    assert sorted(os.listdir(snapshots.root)) == ["1", "2", "3", "staging"]


def test_the_longest_chain_fits_a_mount_option(snapshots):
    names = [f"l{i}" for i in range(127)]
    connection_of(snapshots).execute("INSERT INTO snapshots VALUES (99999, 'x', NULL, 0)")
    connection_of(snapshots).execute("DELETE FROM snapshots")
    publish(snapshots, *names)
    lowers = snapshots.lowers(names[-1])
    assert len(lowers) == 127
    assert len(",".join(("lowerdir=" + ":".join(lowers), "upperdir=/" + "u" * 90, "workdir=/" + "w" * 90))) < 4096


def test_release_goes_down_to_what_is_wanted(snapshots):
    publish(snapshots, "a", "b", "c")
    publish(snapshots, "a", "b", "d")
    assert snapshots.release("c", lambda chain: False) == ["c"]
    assert snapshots.release("d", lambda chain: chain == "a") == ["d", "b"]
    with snapshots.stage() as stage:
        snapshots.collect(stage.path)
    assert sorted(os.listdir(snapshots.root)) == ["1", "staging"]


def test_numbers_are_never_used_twice(snapshots):
    publish(snapshots, "a")
    snapshots.release("a", lambda chain: False)
    publish(snapshots, "b")
    assert snapshots.lowers("b") == ("2/fs",)


def test_a_failed_publication_is_undone(snapshots):
    with snapshots.stage() as stage:
        directory = stage.make_directory("a")
        tree = Tree(chain_id="a", parent="", directory=directory)
        with pytest.raises(KeyError), ExitStack() as undo, database.transaction(connection_of(snapshots)):
            snapshots.publish([tree, Tree(chain_id="c", parent="b", directory=directory)], stage.path, undo)
        assert os.listdir(snapshots.root) == ["staging"]
        assert os.path.isdir(directory)
    assert os.listdir(f"{snapshots.root}/staging") == []
    assert connection_of(snapshots).execute("SELECT count(*) FROM snapshots").fetchone() == (0,)


def test_what_lies_in_the_way_is_nobodys(snapshots):
    """A process that died before its commit has left a directory under the number that comes next."""
    os.makedirs(f"{snapshots.root}/1/fs/stale")
    publish(snapshots, "a")
    assert os.listdir(f"{snapshots.root}/1/fs") == ["a"]


def test_a_stage_dies_with_its_process(snapshots):
    program = "import sys, os\nfrom minirun.storage.staging import Staging\ns = Staging(sys.argv[1]).create()\n"
    program += "s.make_directory('x')\nprint(s.path, flush=True)\nsys.stdin.read()\nos.kill(os.getpid(), 9)"
    words = [sys.executable, "-c", program, f"{snapshots.root}/staging"]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    assert child.stdin is not None
    assert child.stdout is not None
    with child:
        path = child.stdout.readline().strip()
        assert not snapshots.sweep()
        assert os.path.isdir(path)
        child.stdin.close()
        child.wait()
    assert snapshots.sweep()
    assert not os.path.exists(path)
    assert not snapshots.sweep()


def test_a_sweep_without_leftovers_asks_no_database(snapshots):
    asked: list[str] = []
    connection_of(snapshots).set_trace_callback(asked.append)
    assert not snapshots.sweep()
    assert asked == []
