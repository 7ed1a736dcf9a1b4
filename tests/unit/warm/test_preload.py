"""What the preloaded process holds: nothing that starts a thread, keeps random state, or costs more than it saves."""

from __future__ import annotations

import subprocess
import sys

from minirun.warm import preload

NEVER = {"random", "ssl", "urllib3", "pyroute2", "asyncio", "concurrent.futures"}


def test_its_modules_are_light() -> None:
    script = "import sys; from minirun.warm.preload import preload; preload(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    held = set(done.stdout.split())
    assert not held & NEVER
    assert {"minirun.cli.commands.run", "minirun.engine.start", "minirun.oci.commands.run", "_sqlite3"} <= held


def test_what_is_left_out_is_there() -> None:
    for name in preload.EXCLUDED:
        __import__(f"minirun.{name}")
