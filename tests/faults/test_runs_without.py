"""`pytest --without`: a whole run on a kernel that lacks system calls; what it accepts, and what it doesn't."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

BAD_INPUT = "tests/integration/engine/test_bad_input.py::test_bad_input_gives_one_line_and_dockers_exit_code"
OWN_CENSUS = "tests/integration/test_census.py"
pytestmark = pytest.mark.needs("x86_64")


# A stand-in for the command, and tests that call it. What is said of fsopen is what minirun says of the kernel of such a run.
COMMAND = """
import errno, sys, time
from minirun.linux import syscalls
sentence = syscalls.reason(errno.ENOSYS)
print({"said": sentence, "another": sentence.replace("fsopen", "openat2")}.get(sys.argv[1], sentence), file=sys.stderr)
if sys.argv[1] == "broken":
    raise SystemError
if sys.argv[1] == "hangs":
    time.sleep(60)
sys.exit(sys.argv[1] != "works")
"""
CALLER = """
import pathlib, subprocess, sys
def run(word):
    command = pathlib.Path(__file__).parent / "minirun"
    subprocess.run([sys.executable, command, word], check=True, timeout=5)
def test_works(): run("works")
def test_said(): run("said")
def test_another(): run("another")
def test_broken(): run("broken")
def test_hangs(): run("hangs")
def test_silent(): assert not "said"
class Left:
    def pytest_unconfigure(self): subprocess.Popen("true")
def test_is_cut_short(pytestconfig):
    pytestconfig.pluginmanager.register(Left())  # what it leaves is found when all is over
    run("said")
"""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False)


def test_a_failure_is_accepted_when_minirun_has_said_what_the_kernel_lacks_and_for_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "minirun").write_text(COMMAND)
    (tmp_path / "test_it.py").write_text(CALLER)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    plugins = ("-p", "tests.vm.plugin", "-p", "tests.missing", "-c", str(tmp_path / "pytest.ini"))
    done = run(*plugins, "--without", "fsopen", "-rA", str(tmp_path / "test_it.py"))
    outcomes = re.findall(r"^([A-Z]+) \S+/test_it.py::test_(\w+)", done.stdout, re.MULTILINE)
    assert {name: outcome for outcome, name in outcomes} == {
        "works": "PASSED",
        "said": "XFAIL",
        "another": "FAILED",
        "broken": "FAILED",
        "hangs": "FAILED",
        "silent": "FAILED",
        "is_cut_short": "XFAIL",
    }, done.stdout + done.stderr
    assert done.returncode == 1
    assert "Warning" not in done.stdout + done.stderr


def test_what_needs_no_missing_call_passes_and_what_was_said_is_shown() -> None:
    done = run(
        "--without",
        "mount-api",
        "-rx",
        f"{BAD_INPUT}[run busybox /no/such/command]",
        f"{BAD_INPUT}[frobnicate]",
        "tests/integration/linux/test_mounts.py::test_two_hundred_layers_are_mounted[plain]",  # too long for mount(2)
    )
    assert "1 passed, 2 xfailed" in done.stdout
    assert "it says: minirun: " in done.stdout
    assert (
        "lacks the system calls fsconfig, fsmount, fsopen, mount_setattr, move_mount and open_tree (or" in done.stdout
    )
    assert done.returncode == 0


def test_the_virtual_machine_takes_no_part() -> None:
    done = run("--without", "openat2", "tests/vm")
    assert re.search(r"\d+ deselected", done.stdout)


def test_a_failure_for_another_reason_stays_one() -> None:
    """Without mount(2) no kernel is too old: the census's own test can't make its mount, and says nothing of kernels."""
    done = run("--without", "mount", f"{OWN_CENSUS}::test_a_mount_is_seen")
    assert done.returncode == 1
    assert "xfailed" not in done.stdout


def test_a_name_that_is_no_system_call_is_a_usage_error() -> None:
    done = run("--without", "openat3", BAD_INPUT)
    assert done.returncode == 4
    assert "no system call is called openat3" in done.stderr
