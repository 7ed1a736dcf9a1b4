"""Manifest lists, as far as they need no registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minirun.images import list_registry
from minirun.images.lists import Entry, Lists


def test_two_that_add_to_a_list_at_a_time_both_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists, registries = Lists(str(tmp_path)), Any
    name = "r.example/app:1"

    def fetch(reference: Any, _: Any) -> Entry:
        if reference.tag == "slow":  # meanwhile another command comes and goes
            list_registry.create(lists, name, ["r.example/app:quick"], registries, amend=True)  # type: ignore[arg-type]
        return Entry(reference=reference.full, media_type="", data="{}")

    monkeypatch.setattr(list_registry, "_fetch", fetch)
    list_registry.create(lists, name, ["r.example/app:slow"], registries, amend=True)  # type: ignore[arg-type]
    assert [entry.reference for entry in lists.get(name)] == ["r.example/app:quick", "r.example/app:slow"]
