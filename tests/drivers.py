"""Programs in C that walk a plan for a test, or make one system call: native/tests/driver.c and the probe, static.

Owns: compiling them. `python -m tests.drivers DIRECTORY` compiles all: the host does it for the virtual machine, where gcc is
emulated and takes minutes, and says with MINIRUN_TEST_DRIVERS where they lie. Leaves to others: what they are told to do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.integration.runtime.probe import PROBE

NATIVE = Path(__file__).resolve().parents[1] / "native"
sys.path.insert(0, str(NATIVE))

from build_native import FLAGS, interpreter_sources, monitor_sources  # noqa: E402

# -O1: what they look for, they find then too, and gcc is ready in half the time.
SANITIZE = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")


def _compile(target: Path, sources: list[str], *extra: str) -> None:
    files = [NATIVE / name for name in ("tests/driver.c", *sources)]
    subprocess.run(["gcc", *FLAGS, *extra, "-I", NATIVE, "-o", target, *files], check=True)


def _interpreter(target: Path) -> None:
    _compile(target, interpreter_sources(), "-static")


def _container(target: Path) -> None:
    names = [name for name in monitor_sources() if not name.startswith(("monitor", "log"))]
    _compile(target, names, "-static")


def _probe(target: Path) -> None:
    source = target.with_suffix(".c")
    source.write_text(PROBE)
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Werror", "-o", target, source], check=True)


# Of the interpreter alone; of all that a container needs; one raw system call.
PROGRAMS = {"interpreter": _interpreter, "container": _container, "probe": _probe}


def program(name: str, directory: Path) -> Path:
    """Give one of PROGRAMS: the host's inside the virtual machine, else compiled into `directory`. Raises CalledProcessError."""
    if made := os.environ.get("MINIRUN_TEST_DRIVERS"):
        return Path(made, name)
    target = directory / name
    PROGRAMS[name](target)
    return target


def sanitized(directory: Path) -> Path:
    """Compile that of the interpreter under the address and undefined behaviour sanitizers."""
    target = directory / "sanitized"
    _compile(target, interpreter_sources(), *SANITIZE)
    return target


if __name__ == "__main__":
    for each in PROGRAMS:
        program(each, Path(sys.argv[1]))
