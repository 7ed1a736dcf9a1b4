"""Times commands fairly: interleaved rounds, medians, one way to start a process for all.

Owns: `Subject` (one command to time), `compare` (rounds), `rest` (between groups), `Launcher` (commands timed inside another mount
namespace), `at_once` (many of one command, some at a time: the words of a program that runs them, to be timed as any other).
Leaves to others: what the commands are (one module per group), how results look (report).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REST_SECONDS = 20


class BenchError(Exception):
    """A command that should have been timed failed."""


class Subject:
    """One command in a comparison; `launcher` starts it somewhere else than here, `before` is run, untimed, before each time."""

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        *,
        launcher: Launcher | None = None,
        before: Callable[[], object] | None = None,
    ) -> None:
        self.name = name
        self.words = list(words)
        self.launcher = launcher
        self.before = before
        self.seconds: list[float] = []

    def run(self) -> float:
        """Run it once and give its wall-clock time in seconds."""
        if self.before is not None:
            self.before()
        return self.launcher.run(self.words) if self.launcher else time_command(self.words)

    @property
    def median_ms(self) -> float:
        return statistics.median(self.seconds) * 1000


def clean_environment() -> dict[str, str]:
    """Give the environment without what would make every Python start slower or different."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def time_command(words: Sequence[str]) -> float:
    """Start a command with its output to /dev/null and give the seconds until it has ended. Raises BenchError."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)]
        start = time.perf_counter()
        pid = os.posix_spawnp(words[0], list(words), clean_environment(), file_actions=actions)
        _, status = os.waitpid(pid, 0)
        seconds = time.perf_counter() - start
    finally:
        os.close(null)
    if status != 0:
        raise BenchError(f"{' '.join(words)}: ended with {os.waitstatus_to_exitcode(status)}")
    return seconds


def quietly(words: Sequence[str]) -> None:
    """Run a command that isn't timed, its output thrown away. Raises BenchError with what it said."""
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(words)}: {done.stderr.strip()[-300:]}")


def compare(subjects: Sequence[Subject], rounds: int) -> None:
    """Time all subjects once per round, in an order that turns; the first round warms caches and isn't counted.

    What they took in an earlier comparison is forgotten: peers take part in those of several groups.
    """
    for subject in subjects:
        subject.seconds.clear()
    for number in range(rounds + 1):
        turned = [*subjects[number % len(subjects) :], *subjects[: number % len(subjects)]]
        for subject in turned:
            seconds = subject.run()
            if number > 0:
                subject.seconds.append(seconds)


CHECKOUT = Path(__file__).resolve().parent.parent


def at_once(words: Sequence[str], many: int, at_a_time: int) -> list[str]:
    """Give the words of a program that runs a command `many` times; `{}` in the command's words is the number of the time."""
    code = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); from bench.measure import be_many; be_many(sys.argv[1:])"
    )
    return [sys.executable, "-c", code, str(many), str(at_a_time), *words]


def be_many(arguments: Sequence[str]) -> None:
    """Be that program. Raises BenchError when one of the commands fails."""
    many, at_a_time, *words = arguments
    with ThreadPoolExecutor(int(at_a_time)) as pool:
        list(
            pool.map(lambda number: time_command([word.replace("{}", str(number)) for word in words]), range(int(many)))
        )


class Launcher:
    """A process in another namespace that starts and times commands for us; the way there isn't part of the time.

    Protocol: one JSON list of words per line in, one JSON number (seconds) or string (an error) per line out.
    """

    def __init__(self, enter: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            [*enter, sys.executable, "-m", "bench.measure"],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, words: Sequence[str]) -> float:
        """Time one command over there."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(list(words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise BenchError(f"the launcher for {' '.join(words)} has ended")
        result = json.loads(answer)
        if isinstance(result, str):
            raise BenchError(result)
        return float(result)

    def close(self) -> None:
        """End the launcher; it ends when its input does."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def serve() -> None:
    """Be a launcher."""
    for line in sys.stdin:
        try:
            answer: float | str = time_command(json.loads(line))
        except (BenchError, OSError) as error:
            answer = str(error)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()


def rest() -> None:
    """Wait until nothing is left of what was set up or measured before, so that it isn't measured with what comes next.

    The disk has everything, and the processors are nine parts of ten idle for a second; twenty seconds at most.
    """
    os.sync()
    deadline = time.monotonic() + REST_SECONDS
    while time.monotonic() < deadline:
        idle, total = _processor_times()
        time.sleep(1)
        still_idle, still_total = _processor_times()
        if still_idle - idle >= 0.9 * (still_total - total):
            return


def _processor_times() -> tuple[int, int]:
    """Give how long the processors were idle, and how long there were any. proc_stat(5)"""
    with open("/proc/stat", encoding="ascii") as file:
        times = [int(word) for word in file.readline().split()[1:9]]
    return times[3], sum(times)
