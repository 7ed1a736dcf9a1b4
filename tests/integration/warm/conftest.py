"""Two installations of the same package that differ in one thing: commands of one are served by a preloaded process.

Owns: `Installation`, which also tells whether a command ran cold: the script that the launcher then starts leaves a mark.
Leaves to others: who calls what.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minirun.freeze import script
from minirun.warm import control
from tests.waiting import until

MARK = "import os\nos.close(os.open({mark!r}, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))\n"


ZYGOTE, SPARE, MEMORY, ENDED = "minirun-zygote", "minirun-spare", "minirun-memory", ""


def has_ended(pid: int) -> bool:
    """Say whether a process has ended; a zombie has, for which process 1 may take its time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def name_of(pid: int) -> str:
    """Give what ps(1) calls a process; ENDED for one that has gone, which is neither at work nor waits for it."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip()
    except OSError:
        return ENDED


class Installation:
    """Launchers, interpreter and scripts in a directory of their own, and the place of its preloaded process."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.mark = top / "cold"
        self.socket = str(top / "run" / "warm.sock")
        installed = Path(sys.executable).parent
        (top / "bin").mkdir(parents=True)
        (top / "share/minirun").mkdir(parents=True)
        (top / "bin/python3").symlink_to(installed / "python3")
        for name in ("minirun", "minirun-oci", "minirun-warm"):
            text = Path(script(name)).read_text()
            if name != "minirun-warm":
                text = text.replace("import gc\n", MARK.format(mark=str(self.mark)) + "import gc\n", 1)
            (top / "share/minirun" / name).write_text(text)
            if name != "minirun-warm":
                shutil.copy(installed / name, top / "bin" / name)

    def start(self) -> int:
        """Start its preloaded process and give its id."""
        command = [str(self.top / "bin/minirun"), "system", "warm", "start"]
        subprocess.run(command, check=True, capture_output=True, env=self.environment(), timeout=60)
        self.mark.unlink(missing_ok=True)
        return self.pid()

    def pid(self) -> int:
        """Give the id of the preloaded process; fails when there is none."""
        state = control.find(self.socket)
        assert state is not None
        return state.pid

    def stop(self) -> None:
        """Stop it, and wait until its process has ended."""
        state = control.find(self.socket)
        if state is not None:
            control.stop(self.socket)
            until("the preloaded process to end", lambda: has_ended(state.pid))

    def environment(self, *, warm: bool = True) -> dict[str, str]:
        """Give the environment of a caller."""
        return {**os.environ, "MINIRUN_WARM": self.socket if warm else "0"}

    def program(self, name: str = "minirun") -> str:
        """Give the path of a command."""
        return str(self.top / "bin" / name)

    def run(
        self, *words: str, warm: bool = True, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run `minirun WORDS`."""
        options.setdefault("env", self.environment(warm=warm))
        options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(
            [self.program(), *words],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
            timeout=60,
            **options,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def ran_cold(self) -> bool:
        """Say whether any command since the last question ran cold."""
        ran = self.mark.exists()
        self.mark.unlink(missing_ok=True)
        return ran

    def workers(self) -> list[int]:
        """Give the workers that there are now."""
        return [pid for pid in self._children() if name_of(pid) not in (ZYGOTE, SPARE, MEMORY, ENDED)]

    def spares(self) -> list[int]:
        """Give the workers that wait for a command."""
        return self.children(SPARE)

    def children(self, name: str) -> list[int]:
        """Give the preloaded process's children of this name."""
        return [pid for pid in self._children() if name_of(pid) == name]

    def _children(self) -> list[int]:
        pid = self.pid()
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    """An installation whose preloaded process hasn't been started; none is left after the test."""
    installation = Installation(tmp_path / "installed")
    yield installation
    installation.stop()


@pytest.fixture
def installed(place: Installation) -> Installation:
    """An installation with its preloaded process."""
    place.start()
    return place
