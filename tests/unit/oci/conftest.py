"""The runtime of these tests."""

from __future__ import annotations

import sys

import pytest

import minirun.runtime
from tests.unit.oci.fakes import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    fake = World()
    monkeypatch.setitem(sys.modules, "minirun.runtime.container", fake)
    monkeypatch.setattr(minirun.runtime, "container", fake, raising=False)
    return fake
