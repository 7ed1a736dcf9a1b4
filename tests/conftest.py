"""What all tests share: the session's own roots, the images in them, the census after each test, and the rule about skips.

Owns: fixtures, markers, and which host a test needs. Leaves to others: what is counted (census), the virtual machine (vm/guest).

A test gets its kind from the folder that it lies in: unit, integration, conformance, corpora, faults, security, workloads, vm.
All but unit and corpora need root. `needs("memory")` names something that not every host has; where this host lacks it and the
virtual machine has it, the test runs there and is reported here like any other.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests import hosts
from tests.census import Census, Things
from tests.waiting import until

CHECKOUT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI") == "true"
IN_GUEST = os.environ.get("MINIRUN_TEST_GUEST") == "1"

KINDS = ("unit", "integration", "conformance", "corpora", "engines", "faults", "security", "workloads", "vm")
ROOT_KINDS = ("integration", "conformance", "engines", "faults", "security", "workloads")

# Every reason to skip that CI accepts, word for word. All others are failures there.
ALLOWED_SKIPS = ("this kernel has no IPv6", "this machine is no x86-64")

pytest_plugins = ["tests.vm.plugin", "tests.missing", "pytester", "tests.warm"]  # the second imports the first


def open_way(path: Path) -> None:
    """Let everybody enter a directory and those above it that only root may, which are ours."""
    for directory in (path, *path.parents):
        mode = stat.S_IMODE(directory.stat().st_mode)
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | 0o055)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers: one per folder, and the three that tests set themselves.

    A shell's background job and nohup(1) have some signals ignored, and so would all that the tests start.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    config.pluginmanager.register(_seen_last)
    for kind in KINDS:
        config.addinivalue_line("markers", f"{kind}: lies in tests/{kind}")
    config.addinivalue_line("markers", "needs(name): something of the host that not every one has; see tests/hosts.py")
    config.addinivalue_line("markers", "vm_guest: runs inside the virtual machine, whatever the host offers")
    config.addinivalue_line("markers", "no_census: leaves something behind on purpose, or makes roots of its own")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the marker of its folder."""
    for item in items:
        folder = item.path.relative_to(CHECKOUT / "tests").parts[0]
        if folder in KINDS:
            item.add_marker(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure in CI unless its reason is on the list."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(reason.removeprefix("Skipped: ") == allowed for allowed in ALLOWED_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped, and in CI that is a failure: {reason}"
    return report


def pytest_collection_finish() -> None:
    """The census looks for descriptors that nobody holds any more: not in what is there to stay."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """What was not looked into between two tests is at the end, when pytest looks for what should have been closed."""
    gc.unfreeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse to pretend: what needs root fails in CI without it and is skipped elsewhere."""
    if os.geteuid() != 0 and any(item.get_closest_marker(kind) for kind in ROOT_KINDS):
        pytest.skip("needs root")


# ---- the session's roots


class Roots(Protocol):
    """Where this session keeps its state: never /var/lib/minirun."""

    root: Path
    run_root: Path


class _Roots:
    def __init__(self, top: Path) -> None:
        self.top = top
        self.root = top / "data"
        self.run_root = top / "run"


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roots]:
    """A data root and a run root of this session's own; bridge, table and cgroup get names of their own from it."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    roots = _Roots(tmp_path_factory.mktemp("minirun"))
    try:
        yield roots
    finally:
        _take_down(roots)


def _take_down(roots: Roots) -> None:
    """Remove what the session made once: containers that a failed test left, bridge, table, cgroup, files."""
    if not roots.root.exists():
        return
    from minirun import Engine

    with Engine(str(roots.root), str(roots.run_root)) as engine:
        for container in engine.containers(all=True):
            engine.remove(container.id, force=True)
        engine.networks.destroy()
    top = hosts.cgroup_mount() / f"minirun-{Census(roots.root, roots.run_root).tag}"
    until("the cgroup to be removed", lambda: _is_removed(top))
    shutil.rmtree(roots.run_root.parent, ignore_errors=True)


def _is_removed(cgroup: Path) -> bool:
    """Remove a cgroup with those below it; False while a process that was killed hasn't left one yet."""
    for directory, _, _ in os.walk(cgroup, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return not cgroup.exists()


class MinirunCommand:
    """The command line as a user has it, on the session's roots: call it and get the finished process."""

    def __init__(self, roots: Roots) -> None:
        program = Path(sys.executable).parent / "minirun"
        self.words = [str(program), "--root", str(roots.root), "--run-root", str(roots.run_root)]

    def __call__(
        self, *arguments: str, check: bool = True, stdin: str | bytes = b"", timeout: float = 120, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run `minirun ARGUMENTS`; with `check`, a code other than 0 fails the test with what the command said."""
        data = stdin if isinstance(stdin, bytes) else stdin.encode()
        done = subprocess.run(
            [*self.words, *arguments], input=data, capture_output=True, timeout=timeout, check=False, **options
        )
        text = subprocess.CompletedProcess[str](
            done.args,
            done.returncode,
            done.stdout.decode(errors="surrogateescape"),
            done.stderr.decode(errors="surrogateescape"),
        )
        if check and done.returncode != 0:
            pytest.fail(
                f"minirun {' '.join(arguments)} ended with {text.returncode}:\n{text.stderr}{text.stdout}",
                pytrace=False,
            )
        return text

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start `minirun ARGUMENTS` and go on; the caller waits for it."""
        return subprocess.Popen([*self.words, *arguments], **options)


@pytest.fixture(scope="session")
def minirun(roots: Roots) -> MinirunCommand:
    """The command line on the session's roots, whose directories it makes, so that no test is the one that makes them."""
    command = MinirunCommand(roots)
    command("ps")
    return command


RunContainer = Callable[..., str]


@pytest.fixture
def run_container(minirun: MinirunCommand) -> Iterator[RunContainer]:
    """`run -d` with these words; gives the container's name. All of them are removed after the test."""
    names: list[str] = []

    def run(*words: str) -> str:
        name = f"test-{os.getpid()}-{len(names)}"
        names.append(name)
        minirun("run", "-d", "--name", name, *words)
        return name

    yield run
    if names:
        minirun("rm", "-f", "-v", *names, check=False)


@pytest.fixture
def engine(roots: Roots, minirun: MinirunCommand) -> Iterator[Any]:
    """The engine as a library, on the session's roots."""
    if not roots.root.exists():
        return
    from minirun import Engine

    with Engine(str(roots.root), str(roots.run_root)) as opened:
        yield opened


# ---- images


@pytest.fixture(scope="session")
def fixture_archive() -> Callable[[str], Path]:
    """Give the path of a recipe's archive; built when it isn't in the cache."""

    def archive(name: str) -> Path:
        done = subprocess.run(
            [CHECKOUT / "rootfs-fixtures/fixture.py", "archive", name], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.fail(done.stderr, pytrace=False)
        return Path(done.stdout.strip())

    return archive


@pytest.fixture(scope="session")
def fixture_image(minirun: MinirunCommand) -> Callable[[str], str]:
    """Import a recipe's archive as an image of the session, once, and give its name."""

    def image(name: str) -> str:
        from tests import missing  # a plugin, loaded by now

        command = [str(CHECKOUT / "rootfs-fixtures/fixture.py"), "import", name, "--minirun", " ".join(minirun.words)]
        done = missing.run_outside(command)
        if done.returncode != 0:
            pytest.fail(done.stderr, pytrace=False)
        return name

    return image


@pytest.fixture(scope="session")
def busybox(fixture_image: Callable[[str], str]) -> str:
    """The image `busybox`."""
    return fixture_image("busybox")


# ---- the census


class _SeenLast:
    """What the last census saw, for the next one to begin with, as long as nothing has been made or ended since.

    A plugin of its own: pytest doesn't ask this file about fixtures of the session, which is above it.
    """

    things: Things | None = None

    def take(self) -> Things | None:
        """Give it once."""
        things, self.things = self.things, None
        return things

    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """What a fixture makes that others share is there before the test and no leak of it."""
        if fixturedef.argname != "census":
            self.things = None

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """What a fixture took away is not there before the next test."""
        if fixturedef.argname != "census":
            self.things = None


_seen_last = _SeenLast()


def _remove_containers(roots: Roots, leaks: list[str]) -> None:
    """One test's failure is not that of all who count containers after it."""
    left = [found[1] for leak in leaks if (found := re.match(r"row left: containers: \('([0-9a-f]{64})'", leak))]
    if left:
        MinirunCommand(roots)("rm", "-f", *left, check=False)
        _seen_last.things = None


@pytest.fixture(autouse=True)
def census(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test that touches the kernel: nothing of minirun is there that wasn't there before."""
    node = request.node
    if (not any(node.get_closest_marker(kind) for kind in ROOT_KINDS) and not IN_GUEST) or node.get_closest_marker(
        "no_census"
    ):
        yield
        _seen_last.things = None
        return
    roots: Roots = request.getfixturevalue("roots")
    count = Census(roots.root, roots.run_root, whole_host=IN_CI, before=_seen_last.take())
    yield
    if request.config.getoption("--without"):
        from tests import missing  # a plugin, loaded by now

        missing.remove_unstarted(roots.root, roots.run_root)
        leaks = missing.of_minirun(node, count.leaks())
    else:
        leaks = count.leaks()
    _seen_last.things = count.after
    gc.freeze()  # what is alive now has been looked at; what it holds was there before the next test
    if leaks:
        _remove_containers(roots, leaks)
        pytest.fail("this test left things behind:\n  " + "\n  ".join(leaks), pytrace=False)
