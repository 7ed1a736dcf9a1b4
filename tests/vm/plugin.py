"""Moves tests into the virtual machine and reports them here: those marked `vm_guest`, and those whose needs only it meets.

Owns: which test goes where, and the item that stands for a guest's test. Leaves to others: booting (machine), the needs (hosts).

The machine boots as soon as the collection is done and works while the host's own tests run; its tests are reported last.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import hosts
from tests.vm.machine import Machine, MachineError

IN_GUEST = os.environ.get("MINIRUN_TEST_GUEST") == "1"
MACHINE = pytest.StashKey[Machine | MachineError]()


class GuestTest(pytest.Item):
    """Stands for a test that runs in the virtual machine: waits for its result and becomes it."""

    def runtest(self) -> None:
        """Wait for the result; raise what it says."""
        machine = self.session.stash[MACHINE]
        if isinstance(machine, MachineError):
            raise machine
        result = machine.result(self.nodeid)
        if result["outcome"] == "skipped":
            pytest.skip(result["text"].removeprefix("Skipped: "))
        if result["outcome"] == "failed":
            raise GuestFailure(result["text"])

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:  # type: ignore[override]
        """Show what the guest showed, not how it was fetched."""
        return f"in the virtual machine:\n{excinfo.value}"

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Say where the test stands."""
        return self.path, None, self.name


class GuestFailure(Exception):
    """A test failed in the guest; the text is its report."""


def needs_of(item: pytest.Item) -> list[str]:
    """Give the names that a test's `needs` markers list."""
    return [name for marker in item.iter_markers("needs") for name in marker.args]


def belongs_into_guest(item: pytest.Item) -> bool:
    """Say whether a test has to run in the machine: it says so, or this host lacks what the machine has."""
    if item.get_closest_marker("vm_guest"):
        return True
    missing = [name for name in needs_of(item) if not hosts.has(name)]
    return bool(missing) and all(name in hosts.IN_VIRTUAL_MACHINE for name in missing)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Replace each test of the guest by its stand-in, and put those at the end."""
    if IN_GUEST:
        return
    here, there = [], []
    for item in items:
        if not belongs_into_guest(item):
            here.append(item)
            continue
        assert item.parent is not None
        stand_in = GuestTest.from_parent(item.parent, name=item.name)
        stand_in.own_markers.extend(item.own_markers)
        there.append(stand_in)
    items[:] = [*here, *there]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Boot the machine when a test needs it; it works while the host's tests run."""
    wanted = [item.nodeid for item in session.items if isinstance(item, GuestTest)]
    if not wanted or session.config.option.collectonly or session.testsfailed:
        return
    directory = session.config._tmp_path_factory.mktemp("vm")  # type: ignore[attr-defined]
    try:
        session.stash[MACHINE] = Machine(directory, wanted)
    except MachineError as error:
        session.stash[MACHINE] = error


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the machine."""
    machine = session.stash.get(MACHINE, None)
    if isinstance(machine, Machine):
        machine.close()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what neither this host nor the machine can serve."""
    if isinstance(item, GuestTest):
        return
    for name in needs_of(item):
        if not hosts.has(name):
            pytest.skip(hosts.missing_reason(name))
