"""`pytest --without`: a whole run on a kernel that lacks system calls; what it accepts, and what it doesn't."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import CHECKOUT

BAD_INPUT = "tests/integration/engine/test_bad_input.py::test_bad_input_gives_one_line_and_dockers_exit_code"
OWN_CENSUS = "tests/integration/test_census.py"
pytestmark = pytest.mark.needs("x86_64")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False)


def test_a_failure_that_says_which_kernel_it_takes_is_accepted_and_nothing_else_changes() -> None:
    done = run("--without", "mount-api", f"{BAD_INPUT}[run busybox /no/such/command]", f"{BAD_INPUT}[frobnicate]")
    assert "1 passed, 1 xfailed" in done.stdout
    assert done.returncode == 0


def test_a_failure_for_another_reason_stays_one() -> None:
    """Without mount(2) no kernel is too old: the census's own test can't make its mount, and says nothing of kernels."""
    done = run("--without", "mount", f"{OWN_CENSUS}::test_a_mount_is_seen")
    assert done.returncode == 1
    assert "xfailed" not in done.stdout


def test_a_name_that_is_no_system_call_is_a_usage_error() -> None:
    done = run("--without", "openat3", BAD_INPUT)
    assert done.returncode == 4
    assert "no system call is called openat3" in done.stderr
