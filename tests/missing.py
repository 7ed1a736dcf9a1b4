"""A whole test run on a kernel that lacks system calls: `pytest --without clone3`, or `make test WITHOUT=clone3`.

Owns: the filter that answers them with ENOSYS, in this process and all that it starts, and what such a run accepts.
Leaves to others: one start without one call, which every run has (faults/test_missing_system_calls).

A test may fail there for one reason: minirun has said, while that test ran, that the kernel lacks just the calls that were taken
away. It is then reported as `xfailed`, with what was said. Everything else is as ever: a test that doesn't need the call passes,
a command that hangs or shows a traceback is a failure whatever it said, and the census finds what was left behind. What a
command has said is heard by a library that listens to its write(2) (native/tests/heard.c): a test may drop it. The images of
the tests are imported as if no call were missing (run_outside): else there would be nothing to start. Left out are tests of the
virtual machine, whose kernel has all calls, those of such runs, which take away others, and those of the preloaded process, which
serves no command that is listened to: that it gets on without each call, every run tests (faults/test_missing_system_calls).
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import re
import struct
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Generator
from pathlib import Path

import pytest

from minirun.linux import syscalls
from minirun.runtime.syscall_table import numbers
from tests import waiting
from tests.vm.plugin import belongs_into_guest

GROUPS = {
    "mount-api": ("fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree", "mount_setattr"),
}
_BEGINNING = "this kernel lacks the system call"  # of what linux/syscalls.reason says

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
_ERRNO, _ALLOW = 0x00050000, 0x7FFF0000  # linux/seccomp.h
_LISTENER = Path(__file__).resolve().parent.parent / "native/tests/heard.c"
_TRACEBACK = re.compile(r"Traceback: .*/minirun(-oci)?( |$)")
_CALLS = pytest.StashKey[tuple[str, ...]]()
_SENTENCE = pytest.StashKey[str]()
_CUT_SHORT = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --without."""
    parser.addoption(
        "--without",
        metavar="CALL[,CALL...]",
        default="",
        help="answer these system calls with ENOSYS, in all that is run; mount-api stands for the calls of the mount API",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take the calls away before the first test, for good."""
    calls: list[str] = []
    for word in filter(None, config.getoption("--without").split(",")):
        calls += GROUPS.get(word, (word,))
    config.stash[_CALLS] = tuple(calls)
    if not calls:
        return
    known = numbers(platform.machine())
    if unknown := [call for call in calls if call not in known]:
        raise pytest.UsageError(f"--without: no system call is called {', '.join(unknown)}")
    place = tempfile.TemporaryDirectory(prefix="minirun-heard-")
    config.add_cleanup(place.cleanup)
    os.chmod(place.name, 0o755)  # for those who aren't root
    _outside.append(_Outside())
    config.add_cleanup(lambda: _outside.pop().close())
    _listen(Path(place.name))
    # The files and commands of a test that is cut short, whenever they are collected: they are the test's own.
    config.addinivalue_line("filterwarnings", "ignore::ResourceWarning")
    waiting.doubts.append(has_been_said)
    _take_away([known[call] for call in calls])
    # What minirun says from now on. Calls that it has no sentence for excuse nothing.
    sentence = syscalls.reason(errno.ENOSYS)
    config.stash[_SENTENCE] = sentence if sentence.startswith(_BEGINNING) else ""


class _Outside:
    """A process from before the calls were taken away, which runs commands for us: one JSON line each way.

    It ends with its standard input: when we do.
    """

    PROGRAM = """
import json, subprocess, sys
for line in sys.stdin:
    done = subprocess.run(json.loads(line), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)
"""

    def __init__(self) -> None:
        words = [sys.executable, "-I", "-c", self.PROGRAM]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def run(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(words), file=self._process.stdin, flush=True)
        return subprocess.CompletedProcess(words, *json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


_outside: list[_Outside] = []


def run_outside(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run what a test stands on instead of testing it: an image comes from an import that no call is missing to."""
    if _outside:
        return _outside[0].run(words)
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _listen(place: Path) -> None:
    """Have all commands heard that are started from now on."""
    library, file = place / "heard.so", place / "heard"
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", library, _LISTENER], check=True)
    file.touch()
    file.chmod(0o666)
    os.environ.update(LD_PRELOAD=str(library), HEARD_FILE=str(file), HEARD_SENTENCE=_BEGINNING)
    os.environ["ASAN_OPTIONS"] = (
        "verify_asan_link_order=0"  # the library comes before what a sanitized program is linked to
    )


def _heard_since(length: int) -> list[str]:
    return Path(os.environ["HEARD_FILE"]).read_bytes()[length:].decode(errors="replace").splitlines()


def note(said: str = "") -> None:
    """Take as said what a test has seen itself; without words, ENOSYS: the core below all commands has numbers instead."""
    if file := os.environ.get("HEARD_FILE"):
        said = said or f"the core: {syscalls.reason(errno.ENOSYS)}"
        with open(file, "a", encoding="utf-8") as notes:
            notes.write(" ".join(said.split()) + "\n")


def note_if_said(output: str) -> None:
    """Take as said what another engine has repeated: it doesn't write through the library that listens."""
    if _BEGINNING in output:
        note(output)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has a kernel of its own, and what no command of such a run is served by."""
    if not config.stash[_CALLS]:
        return
    own = ("test_runs_without.py",)
    out = [item for item in items if item.path.name in own or _is_of_warm(item) or belongs_into_guest(item)]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


def _is_of_warm(item: pytest.Item) -> bool:
    """A command that a library listens to runs cold, and below a filter it leaves no preloaded process (docs/warm.md)."""
    return item.path.parent.parts[-2:] == ("integration", "warm")


_said_before: list[int] = []  # length of what had been heard when the test began


def has_been_said() -> bool:
    """Has anything been heard since the test began? Then what it waits for will hardly come."""
    return bool(_said_before) and Path(os.environ["HEARD_FILE"]).stat().st_size > _said_before[-1]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note what had been said before."""
    if item.config.stash[_CALLS]:
        _said_before[:] = [Path(os.environ["HEARD_FILE"]).stat().st_size]


def _take_away(calls: list[int]) -> None:
    """Load the filter. Root needs no no_new_privs for it, which would change what the tests see. seccomp(2)"""
    program = [(_LOAD, 0, 0, 0)]
    for number in calls:
        program += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    program.append((_RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0) != 0:
        raise pytest.UsageError(f"--without: {os.strerror(ctypes.get_errno())}")


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Let go of what the last tests were kept from closing: after them the filter of pytest_configure holds no more."""
    if config.stash.get(_CALLS, ()):
        warnings.simplefilter("ignore", ResourceWarning)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say at the top what this run lacks."""
    calls = config.stash[_CALLS]
    return f"without: {', '.join(calls)}" if calls else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Accept a failure of a test in which minirun has said what the kernel lacks."""
    report = yield
    if not item.config.stash[_CALLS] or not report.failed or report.when == "teardown":
        return report
    heard = _heard_since(_said_before[-1])
    if broken := [line for line in heard if _TRACEBACK.match(line)]:
        report.sections.append(("a command shows a traceback, which nothing excuses", "\n".join(broken)))
        return report
    if call.excinfo is not None and call.excinfo.errisinstance(subprocess.TimeoutExpired):
        return report
    sentence = item.config.stash[_SENTENCE]
    said = [line for line in [*heard, *report.longreprtext.splitlines()] if sentence and sentence in line]
    if said:
        item.stash[_CUT_SHORT] = True
        report.outcome = "skipped"
        report.wasxfail = f"it says: {said[0].strip()}"
    return report


# ---- what such a test is kept from clearing away


def remove_unstarted(root: Path, run_root: Path) -> None:
    """Remove containers that a test has made, could not start, and was kept from removing. A record is no leak."""
    from minirun import Engine

    if not (root / "containers").exists():
        return
    with Engine(str(root), str(run_root)) as engine:
        for container in engine.containers(all=True):
            engine.remove(container.id, force=True)


def of_minirun(item: pytest.Item, leaks: list[str]) -> list[str]:
    """Give the leaks without the commands and pipes of a test that was cut short: those are the test's own."""
    if not item.stash.get(_CUT_SHORT, False):
        return leaks
    return [leak for leak in leaks if not leak.startswith("descriptor of this process") and not _is_own_child(leak)]


def _is_own_child(leak: str) -> bool:
    if not leak.startswith("process left: "):
        return False
    try:
        status = Path("/proc", leak.split()[2], "stat").read_text()
    except FileNotFoundError:
        return True
    return int(status.rpartition(")")[2].split()[1]) == os.getpid()
