"""`system check --repair`: what is damaged comes again from the registry that the image came from, or went to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minirun import Engine
from minirun.engine import check
from tests.registries import Faulty, Handler, Served


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(str(tmp_path / "data"), str(tmp_path / "run")) as opened:
        yield opened


def blob(engine: Engine, digest: str) -> Path:
    return Path(engine.images.blobs.path(digest))


@pytest.mark.parametrize("what", ["layer", "configuration", "manifest"])
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_each_kind_of_blob_is_fetched_again(
    engine: Engine, faulty: Faulty, image: Served, what: str, damage: str
) -> None:
    name = faulty.add("again/app", "1", image)
    engine.pull(name)
    digest = {"layer": image.layers[1], "configuration": image.id, "manifest": image.digest}[what]
    path = blob(engine, digest)
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(whole[:-1])
    (found,) = engine.check()
    assert found.thing == f"blob {digest}"
    faulty.seen.clear()
    (mended,) = engine.check(repair=True)
    assert mended.repair == f"fetched again from {faulty.name}/again/app"
    assert path.read_bytes() == whole
    assert path.stat().st_mode & 0o777 == 0o644
    assert len(faulty.requests("again/app")) == 1  # nothing but what was damaged
    assert engine.check() == []
    assert os.listdir(f"{engine.images.root}/incoming") == []


def test_a_layer_whose_blob_is_damaged_too_is_unpacked_from_what_was_fetched(
    engine: Engine, faulty: Faulty, image: Served
) -> None:
    engine.pull(faulty.add("again/app", "1", image))
    blob(engine, image.layers[0]).unlink()
    found = engine.images.resolve(image.id)
    directory = engine.images.snapshots.lowers(found.chain_id)[-1]
    (Path(engine.images.snapshots.root) / directory / "first").write_text("changed")
    assert [each.repair for each in engine.check(repair=True)] == [
        f"fetched again from {faulty.name}/again/app",
        "unpacked again",
    ]
    assert engine.check() == []


def answer_with_something_else(handler: Handler) -> bool:
    if "/blobs/" in handler.path:
        handler.answer(200, b"something else")
        return True
    return False


def test_a_registry_that_gives_something_else_is_not_believed(engine: Engine, faulty: Faulty, image: Served) -> None:
    engine.pull(faulty.add("again/app", "1", image))
    path = blob(engine, image.layers[0])
    path.write_bytes(b"damaged")
    faulty.faults.append(answer_with_something_else)
    (found,) = engine.check(repair=True)
    assert found.repair.startswith("taken away: load the image again")
    assert "has something else" in found.repair
    assert not path.exists()
    (still,) = engine.check(repair=True)
    assert "the repair failed" in still.problem
    faulty.faults.clear()
    engine.check(repair=True)
    assert engine.check() == []


def test_an_image_of_no_registry_is_loaded_again(
    engine: Engine, faulty: Faulty, image: Served, tmp_path: Path, one_layer: Callable[[], Path]
) -> None:
    with one_layer().open("rb") as stream:
        found = engine.images.import_archive(stream, "alone:1")
    (layer,) = found.layers
    blob(engine, layer).unlink()
    (damage,) = engine.check(repair=True)
    assert damage.repair == ""
    assert "no repository is known" in damage.problem


def test_what_is_removed_while_it_is_checked_is_no_damage(engine: Engine, faulty: Faulty, image: Served) -> None:
    """The check is led by what was there when it began: images go before it has come to them."""
    for half in (check._blobs, check._layers):
        engine.pull(faulty.add("gone/app", "1", image))
        chain = engine.images.snapshots.lowers(engine.images.resolve(image.id).chain_id)
        for digest in (image.id, *image.layers):
            if half is check._blobs:
                blob(engine, digest).write_bytes(b"changed")
        for name in chain:
            Path(engine.images.snapshots.root, name, "more").write_text("changed")
        damages = half(engine)
        _, _, mend = next(damages)
        engine.images.remove(image.id, force=True)
        assert list(damages) == []
        assert mend is not None
        if half is check._layers:
            assert mend() == "removed with its image"
        assert engine.check() == []
