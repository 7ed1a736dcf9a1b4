"""A store of each test's own, a registry that misbehaves, and no configuration of this host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minirun.images import transport
from minirun.images.store import Images
from tests.integration.images.conftest import open_store
from tests.registries import Faulty, Served, layer_of


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be somebody without credentials and proxies; gives the directory of docker's config.json."""
    directory = tmp_path / "docker"
    directory.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return directory


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pause for milliseconds where users wait for seconds."""
    monkeypatch.setattr(transport, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr("minirun.images.fetching.PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(transport, "PAUSE_MAX_SECONDS", 0.05)
    monkeypatch.setattr(transport, "SILENCE_SECONDS", 1.0)


@pytest.fixture
def faulty(impatient: None) -> Iterator[Faulty]:
    registry = Faulty()
    yield registry
    registry.end()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Images]:
    images = open_store(tmp_path / "root")
    yield images
    images.connection.close()


@pytest.fixture
def image() -> Served:
    """Two layers, the second of some size."""
    return Served(layer_of({"first": b"one"}), layer_of({"second": bytes(range(256)) * 4096}))


@pytest.fixture
def one_layer(tmp_path: Path) -> Callable[[], Path]:
    """Give a function that writes the archive of a root file system."""

    def write() -> Path:
        path = tmp_path / "layer.tar"
        path.write_bytes(layer_of({"alone": b"here"}))
        return path

    return write
