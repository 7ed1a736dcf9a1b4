"""The runtime of these tests."""

from __future__ import annotations

import sys

import pytest

from tests.unit.oci.fakes import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    fake = World()
    for name in World.MODULES:
        monkeypatch.setitem(sys.modules, f"minirun.runtime.{name}", fake)
    for name in [name for name in sys.modules if name.startswith("minirun.oci.commands.")]:
        monkeypatch.delitem(sys.modules, name)  # so that it is imported again, over this runtime
    return fake
