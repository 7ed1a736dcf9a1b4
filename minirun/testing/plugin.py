"""The pytest plugin: fixtures `minirun` and `minirun_session`, the log of each container in the report of a test that failed.

Owns: options, fixtures, the report. Leaves to others: the containers (testing/containers). docs/python.md shows its use.

Nothing of minirun is imported before a test asks for a fixture, so the plugin costs those who don't use it nothing.
"""

from __future__ import annotations

import os

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from .containers import Minirun

_LINES = 50  # of a container's log in a report
_KEY: pytest.StashKey[Minirun] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--minirun-root` and `--minirun-run-root`, and the settings of the same meaning."""
    group = parser.getgroup("minirun")
    for name, what in (("root", "all state that survives a reboot"), ("run-root", "all state that does not")):
        group.addoption(f"--minirun-{name}", default="", metavar="DIRECTORY", help=f"directory of {what}")
        parser.addini(
            f"minirun_{name.replace('-', '_')}", default="", help=f"directory of {what}: see --minirun-{name}"
        )


@pytest.fixture
def minirun(request: pytest.FixtureRequest) -> Iterator[Minirun]:
    """Containers for one test: `minirun.start("redis", wait_for_port=6379)`. Removed after it, whatever happens."""
    yield from _open(request)


@pytest.fixture(scope="session")
def minirun_session(request: pytest.FixtureRequest) -> Iterator[Minirun]:
    """Containers for the whole run: for what takes long to start and is shared."""
    yield from _open(request)


def _open(request: pytest.FixtureRequest) -> Iterator[Minirun]:
    if os.geteuid() != 0:
        pytest.fail("minirun needs root for its namespaces, mounts and cgroups: run pytest as root", pytrace=False)
    from ..engine.engine import Engine
    from .containers import Minirun, remove_orphans

    config = request.config
    root, run_root = (
        config.getoption(f"--minirun-{name}") or config.getini(f"minirun_{name.replace('-', '_')}") or None
        for name in ("root", "run-root")
    )
    with Engine(root, run_root) as engine, Minirun(engine) as opened:
        remove_orphans(engine)
        request.node.stash[_KEY] = opened
        try:
            yield opened
        finally:
            del request.node.stash[_KEY]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the containers of a test that failed have written."""
    report = yield
    if report.failed:
        for node in item.listchain():
            opened = node.stash.get(_KEY, None)
            if opened is not None:
                sections = ((f"log of container {each.id[:12]}", _log(opened, each.id)) for each in opened.started)
                report.sections.extend(sections)
    return report


def _log(opened: Minirun, container_id: str) -> str:
    from ..errors import MinirunError

    try:
        entries = list(opened.engine.logs(container_id, tail=_LINES))
    except MinirunError as error:  # it was removed by the test
        return str(error)
    return b"".join(entry.data for entry in entries).decode(errors="replace")
