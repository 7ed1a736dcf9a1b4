"""Warm starts: create, start, wait and remove inside one process, beside the same system calls made by a bare C program.

Owns: these rows and their targets. Leaves to others: the C program (bare.c), peers.
"""

from __future__ import annotations

import statistics
import subprocess
import threading
import time
from pathlib import Path

from minirun import ContainerConfig, Engine

from .measure import BenchError
from .report import Row
from .setting import Setting

STARTS = 200
AT_A_TIME = 4


def rows(setting: Setting) -> list[Row]:
    """Measure both."""
    return [_one_after_another(setting), _many(setting)]


def _life(engine: Engine, network: str) -> None:
    container = engine.create(ContainerConfig(image="busybox", command=("true",), network=network))
    with engine.start(container.id) as session:
        code = session.wait()
    engine.remove(container.id)
    if code != 0:
        raise BenchError(f"a container of the benchmark ended with {code}")


def _one_after_another(setting: Setting) -> Row:
    values = {}
    with Engine(str(setting.root), str(setting.run_root)) as engine:
        seconds = []
        for number in range(STARTS // 2):
            start = time.perf_counter()
            _life(engine, "none")
            if number >= 10:
                seconds.append(time.perf_counter() - start)
    values["minirun"] = statistics.median(seconds) * 1000
    bare = _bare_ms(setting)
    if bare is not None:
        values["bare C"] = bare
    row = Row("a start inside a warm process", "ms", values).at_most(6, "6 ms")
    return row.at_most(2.5 * bare, "2.5 x bare C") if bare is not None else row


def _bare_ms(setting: Setting) -> float | None:
    """Build and run bare.c: it prints the median of its own starts in milliseconds."""
    source = Path(__file__).with_name("bare.c")
    if not source.exists():
        return None
    program = setting.directory / "bare"
    subprocess.run(["gcc", "-std=gnu11", "-O2", "-static", "-o", program, source], check=True)
    busybox = setting.directory / "crun" / "bundle" / "rootfs"
    done = subprocess.run([program, busybox, setting.directory], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        setting.notes.append(f"the bare C program failed: {done.stderr.strip()}")
        return None
    return float(done.stdout.split()[0])


def _many(setting: Setting) -> Row:
    """All on the bridge, from one process with one engine per thread."""
    left = iter(range(STARTS))
    lock = threading.Lock()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with Engine(str(setting.root), str(setting.run_root)) as engine:
                while True:
                    with lock:
                        if next(left, None) is None:
                            return
                    _life(engine, "bridge")
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(AT_A_TIME)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    if failures:
        raise BenchError(f"{STARTS} starts, {AT_A_TIME} at a time: {failures[0]!r}")
    row = Row(f"{STARTS} starts on the bridge, {AT_A_TIME} at a time", "1/s", {"minirun": STARTS / seconds})
    return row.at_least(150, "150 a second")
