"""What every group of benchmarks gets: the programs, the image, the interpreter, how many rounds.

Owns: `Setting`. Leaves to others: making it (__main__).
"""

from __future__ import annotations

import sys
from pathlib import Path

from .peers import Peers, Program


class Setting:
    """One run of the benchmark."""

    def __init__(self, directory: Path, peers: Peers, archive: Path, rounds: int) -> None:
        self.directory = directory
        self.archive = archive
        self.peers = peers
        self.rounds = rounds
        self.root = directory / "minirun" / "data"
        self.memory_root = directory / "memory" / "data"  # for what is measured in memory
        self.run_root = directory / "minirun" / "run"
        self.python = sys.executable
        program = Path(sys.executable).parent / "minirun"
        self.minirun = Program("minirun", [str(program), "--root", str(self.root), "--run-root", str(self.run_root)])
        self.notes: list[str] = []

    @property
    def programs(self) -> list[Program]:
        """All that speak docker's command line, minirun first."""
        return [self.minirun, *self.peers.programs]
