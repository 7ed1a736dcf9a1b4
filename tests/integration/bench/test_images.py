"""The benchmark of images, with little in them: every row is there, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import images
from bench.peers import Peers
from bench.setting import Setting


def test_every_row_is_measured_without_peers_and_nothing_stays_mounted(
    tmp_path: Path, fixture_archive: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("PULLED", ("busybox",)),
        ("SMALL_FILES", 200),
        ("LISTED_IMAGES", 3),
        ("LARGE_BYTES", 3_000_000),
    ):
        monkeypatch.setattr(images, name, value)
    setting = Setting(tmp_path, Peers(), fixture_archive("busybox"), rounds=1)
    rows = images.rows(setting)
    assert [row.what for row in rows] == [
        "pull busybox",
        "load, busybox",
        "extract, busybox, gzip",
        "extract, busybox, plain",
        "load, 200 small files",
        "extract, 200 small files, gzip",
        "extract, 200 small files, plain",
        "pull of 1 GB, memory at most",
        "images, 3 images",
    ]
    assert all(row.values["minirun"] > 0 for row in rows)
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
