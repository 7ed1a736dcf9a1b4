"""Runs the tests cold or, with `--warm`, by a preloaded process: every command of a whole run, and the same tests have to pass.

What is said here holds for all that the tests start: nothing is left behind on the machine that wasn't asked for.

Owns: the option, that process. Leaves to others: comparing the two ways (integration/warm).
"""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest


def looked_into() -> dict[str, str]:
    """Give the environment of a command whose own process a test looks into: a lock that it waits for, its descriptors."""
    return {**os.environ, "MINIRUN_WARM": "0"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--warm", action="store_true", help="commands are served by a preloaded process")


def pytest_configure(config: pytest.Config) -> None:
    """Never that of the machine: one of our own, in a place of its own, or none."""
    os.environ["MINIRUN_WARM"] = "0"
    if config.getoption("--warm") and os.geteuid() == 0:
        from minirun.warm import control

        directory = tempfile.mkdtemp(prefix="minirun-warm-")
        os.environ["MINIRUN_WARM"] = f"{directory}/warm.sock"
        control.start(control.socket_path())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind. On a machine of our own, see that no test has: one that gave a command an environment without ours."""
    if os.environ.get("CI") == "true" and os.geteuid() == 0:
        from minirun.warm import control

        assert control.find(control.SOCKET) is None, (
            "a test ran a command without MINIRUN_WARM, and that left a process"
        )
    if config.getoption("--warm") and os.geteuid() == 0:
        from minirun.warm import control

        control.stop(control.socket_path())
        shutil.rmtree(os.path.dirname(control.socket_path()))
