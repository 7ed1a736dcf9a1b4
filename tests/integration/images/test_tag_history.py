"""Names and where they led: every move is written down, and can be taken back."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest

from minirun.errors import InvalidInput, NotFound
from minirun.images.tag_history import last_tagged_ns
from tests.corpora.archives import tar
from tests.integration.images.conftest import open_store

NAME = "docker.io/library/app:latest"


def bring(store, content: str, name: str = "app") -> str:
    """Import an image of one file; gives its id."""
    return store.import_archive(io.BytesIO(tar.archive(tar.file("file", content.encode()))), name).id


def led(store, name: str = "app") -> list[tuple[str, str]]:
    return [(move.how, move.image_id) for move in store.log(name)]


def test_every_move_of_a_name_is_written_down(store):
    first, second = bring(store, "1"), bring(store, "2")
    store.tag(first, "app")
    store.tag(first, "app")  # to where it leads already: no move
    store.remove("app")
    assert led(store) == [("untag", ""), ("tag", first), ("import", second), ("import", first)]
    assert [move.number for move in store.log("app")] == [0, 1, 2, 3]
    assert [move.is_here for move in store.log("app")] == [False, False, True, False]
    moments = [move.moved_ns for move in store.log("app")]
    assert moments == sorted(moments, reverse=True)
    assert abs(time.time_ns() - moments[0]) < 60e9
    named = [last_tagged_ns(store.connection, image) for image in (first, second, "sha256:none")]
    assert named == [moments[1], moments[2], 0]
    with pytest.raises(InvalidInput, match="refusing to create an ambiguous tag"):
        store.tag(first, "sha256:beef")
    with pytest.raises(NotFound):
        store.log("never-there")
    with pytest.raises(InvalidInput, match="only a name has a history"):
        store.log(f"app@{first}")


def test_a_rollback_leads_back_and_again_forward(store):
    first, second, third = bring(store, "1"), bring(store, "2"), bring(store, "3")
    assert store.rollback("app").image_id == second
    assert store.resolve("app").id == second
    assert store.rollback("app").image_id == third, "the way back from a rollback is a rollback"
    assert store.rollback("app", "4").image_id == first
    assert store.rollback("app", second[7:20]).image_id == second
    assert store.rollback("app:latest", third).image_id == third
    assert led(store)[0] == ("rollback", third)
    index = json.loads((Path(store.root) / "index.json").read_text())
    named = [each for each in index["manifests"] if each.get("annotations", {}).get("io.containerd.image.name") == NAME]
    digest = store.connection.execute("SELECT manifest_digest FROM images WHERE id = ?", (third,)).fetchone()[0]
    assert [each["digest"] for each in named] == [digest]


def test_what_cant_be_gone_back_to_is_said_and_nothing_moves(store):
    first = bring(store, "1")
    with pytest.raises(NotFound, match="never led to another image"):
        store.rollback("app")
    second = bring(store, "2")
    store.remove(first)
    before = led(store)
    for to, complaint in (
        ("", "isn't here any more"),
        ("1", "isn't here any more"),
        ("7", "no move 7.*0 to 1"),
        ("abcdef", "never led to that image"),
        ("not-an-id", "never led to that image"),
    ):
        with pytest.raises(NotFound, match=complaint):
            store.rollback("app", to)
    assert led(store) == before
    assert store.resolve("app").id == second


def test_a_name_that_was_taken_away_comes_back_when_its_image_was_kept(store):
    first = bring(store, "1")
    assert store.remove("app", keep_seconds=3600) == ["Untagged: app:latest"]
    with pytest.raises(NotFound):
        store.resolve("app")
    assert store.still_reachable(first, 3600)
    assert store.rollback("app").image_id == first
    assert store.resolve("app").id == first


def test_an_image_is_reachable_for_as_long_as_the_user_says(store):
    first = bring(store, "1")
    day = 24 * 3600
    assert not store.still_reachable(first, day), "it has a name: nobody has to go back to it"
    bring(store, "2")
    assert store.still_reachable(first, day)
    assert not store.still_reachable(first, 0)
    store.connection.execute("UPDATE tag_history SET moved_ns = moved_ns - ?", (8 * day * 10**9,))
    assert not store.still_reachable(first, 7 * day)
    assert store.still_reachable(first, 9 * day)
    assert not store.still_reachable("sha256:" + "0" * 64, 9 * day)


def test_the_history_of_a_name_doesnt_grow_without_end(store, monkeypatch):
    from minirun.images import tag_history

    monkeypatch.setattr(tag_history, "KEPT_MOVES", 5)
    images = bring(store, "1"), bring(store, "2")
    for number in range(20):
        store.tag(images[number % 2], "app")
    assert len(store.log("app")) == 5
    assert store.resolve("app").id == images[1]
    assert len(store.log("app")) == len(led(store))


def test_a_load_that_fails_moves_no_name(store, tmp_path):
    bring(store, "1")
    before = led(store)
    with pytest.raises(Exception, match="archive"):
        store.import_archive(io.BytesIO(b"no tar" * 200), "app")
    assert led(store) == before
    other = open_store(tmp_path / "root")  # another process sees the same
    assert led(other) == before
    other.connection.close()


def test_the_command_line_shows_and_takes_back(minirun, busybox):
    minirun("create", "--network", "none", "--name", "source", busybox, "true")
    minirun("cp", "/etc/hostname", "source:/changed")
    first = minirun("tag", busybox, "moving-name:1") and minirun("inspect", "-f", "{{.Id}}", busybox).stdout.strip()
    second = minirun("commit", "source", "moving-name:1").stdout.strip()
    lines = [line.split("   ") for line in minirun("image", "log", "moving-name:1").stdout.splitlines()]
    assert [cell.strip() for cell in lines[0] if cell.strip()] == ["N", "IMAGE ID", "MOVED", "BY", "STATE"]
    shown = minirun("image", "log", "--format", "{{.Number}} {{.ID}} {{.How}} {{.State}}", "moving-name:1").stdout
    assert shown == f"0 {second[7:19]} commit current\n1 {first[7:19]} tag available\n"
    assert minirun("image", "log", "-q", "--no-trunc", "moving-name:1").stdout == f"{second}\n{first}\n"
    assert minirun("image", "rollback", "moving-name:1").stdout == f"{first}\n"
    assert minirun("inspect", "-f", "{{.Id}}", "moving-name:1").stdout.strip() == first
    refused = minirun("image", "rollback", "--to", "9", "moving-name:1", check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    minirun("rmi", "--keep-history", "1h", "moving-name:1")
    assert minirun("image", "rollback", "--to", second[7:], "moving-name:1").stdout == f"{second}\n"
    minirun("rm", "source")
    minirun("rmi", "moving-name:1")
