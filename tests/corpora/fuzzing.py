"""Fuzzers of the C core: built with sanitizers, run for a while by all processors together.

Owns: which fuzzer there is (clang's libFuzzer, guided by coverage, or our own mutations), building it, running it.
Leaves to others: what is fuzzed (native/tests/fuzz_*.c), the seeds, what its end means.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

NATIVE = Path(__file__).resolve().parents[2] / "native"
SECONDS = int(os.environ.get("MINIRUN_FUZZ_SECONDS", "20"))  # of a processor
PROCESSES = min(os.cpu_count() or 1, 4)
FLAGS = ("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-fno-sanitize-recover=all")


def _clang() -> str | None:
    names = ("clang", *(f"clang-{version}" for version in range(22, 13, -1)))
    return next((path for path in map(shutil.which, names) if path), None)


def build(compiler: str, target: Path, sanitizers: str, *sources: str, flags: tuple[str, ...] = ()) -> None:
    """Compile these files of native/ to `target`. Raises CalledProcessError."""
    files = [NATIVE / source for source in sources]
    command: list[str | Path] = [
        compiler,
        *FLAGS,
        *flags,
        f"-fsanitize={sanitizers}",
        "-I",
        NATIVE,
        "-o",
        target,
        *files,
    ]
    subprocess.run(command, check=True)


def build_own(target: Path, *sources: str, flags: tuple[str, ...] = ()) -> None:
    """Compile these files with our own mutations: native/tests/fuzz_main.c says how it is called."""
    build("gcc", target, "address,undefined", *sources, "tests/fuzz_main.c", flags=flags)


def fuzz(
    seeds: Path, directory: Path, *sources: str, limits: tuple[str, ...], flags: tuple[str, ...] = ()
) -> list[subprocess.CompletedProcess[str]]:
    """Fuzz for SECONDS of processor time, by processes that each go a way of their own; give what became of them.

    `limits` are libFuzzer's. Blocks for SECONDS / PROCESSES and the time that compiling takes.
    """
    target = directory / "fuzz"
    commands: list[list[str | Path]] = []
    each = -(-SECONDS // PROCESSES)
    clang = _clang()
    if clang is not None:
        try:
            build(clang, target, "fuzzer,address,undefined", *sources, flags=flags)
        except subprocess.CalledProcessError:
            clang = None  # a clang without its run-time library
    if clang is not None:
        commands = [
            [target, f"-max_total_time={each}", f"-seed={number}", *limits, seeds] for number in range(1, PROCESSES + 1)
        ]
    else:
        build_own(target, *sources, flags=flags)
        files = sorted(seeds.iterdir())
        for number in range(PROCESSES):  # each begins with other seeds: it may not come round
            begin = len(files) * number // PROCESSES
            commands.append([target, str(each), str(number), *files[begin:], *files[:begin]])
    return _run(commands, directory)


def _run(commands: Sequence[Sequence[str | Path]], directory: Path) -> list[subprocess.CompletedProcess[str]]:
    places = [directory / f"fuzz-{number}" for number in range(len(commands))]
    for place in places:
        place.mkdir()
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=place)
        for command, place in zip(commands, places, strict=True)
    ]
    try:
        outputs = [process.communicate(timeout=SECONDS + 300)[0] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    return [
        subprocess.CompletedProcess(command, process.returncode, output, output)
        for command, process, output in zip(commands, running, outputs, strict=True)
    ]
