"""Warm starts: create, start, wait and remove inside one process, beside the same system calls made by a bare C program.

Owns: these rows and their targets. Leaves to others: the C program (bare.c), peers.

A start makes and removes a handful of directories, whose cost is the disk's own (journal, discard, whatever a cloud puts
beneath): it is measured both on the disk and in memory, where what is left is ours and the kernel's.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from minirun import ContainerConfig, Engine
from minirun.engine.session import Attachment

from .measure import BenchError
from .report import Row
from .setting import Setting

STARTS = 200
ROUNDS = 4
AT_A_TIME = 4
BARE_STARTS = 65  # of one run of bare.c: STARTS and WARM_UP there


def rows(setting: Setting) -> list[Row]:
    """Measure both."""
    with _in_memory(setting) as memory:
        return [
            *_one_after_another(setting, setting.directory, str(setting.root), "on the disk"),
            *_one_after_another(setting, memory, str(setting.memory_root), "in memory"),
            _many(setting),
        ]


@contextlib.contextmanager
def _in_memory(setting: Setting) -> Iterator[Path]:
    """Give a directory in memory with a data root that has the image; it ends with our mount namespace at the latest."""
    place = setting.memory_root.parent
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    try:
        fixture = Path(__file__).resolve().parent.parent / "rootfs-fixtures" / "fixture.py"
        words = " ".join(setting.minirun.words).replace(str(setting.root), str(setting.memory_root))
        subprocess.run([fixture, "import", "busybox", "--minirun", words], check=True, stdout=subprocess.DEVNULL)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=False)


def _life(engine: Engine, network: str) -> None:
    container = engine.create(ContainerConfig(image="busybox", command=("true",), network=network))
    with engine.start(container.id) as session:
        code = session.wait()
    engine.remove(container.id)
    if code != 0:
        raise BenchError(f"a container of the benchmark ended with {code}")


def _core_ms(engine: Engine) -> float:
    """Give what the C core takes from making the process to its exec, operation by operation."""
    container = engine.create(ContainerConfig(image="busybox", command=("true",), network="none"))
    with engine.start(container.id, Attachment(trace=True)) as session:
        session.wait()
        spent = sum(entry.duration_ns for entry in session.connection.traces) / 1e6
    engine.remove(container.id)
    return spent


def _one_after_another(setting: Setting, place: Path, root: str, where: str) -> list[Row]:
    bare = _build_bare(setting, place)
    whole: dict[str, list[float]] = {"minirun": [], "bare C": []}
    core: dict[str, list[float]] = {"minirun": [], "bare C": []}
    with Engine(root, str(setting.run_root)) as engine:
        for _ in range(5):
            _life(engine, "none")
        for _ in range(ROUNDS):
            whole["minirun"].append(_median_ms(lambda: _life(engine, "none"), STARTS // ROUNDS))
            core["minirun"].append(statistics.median(_core_ms(engine) for _ in range(STARTS // ROUNDS)))
            if bare is not None:
                all_of_it, _, until_exec = subprocess.check_output(bare, text=True).split()
                whole["bare C"].append(float(all_of_it))
                core["bare C"].append(float(until_exec))
    start = _row(f"a start inside a warm process, {where}", whole, 2.5).at_most(6, "6 ms")
    return [start, _row(f"  of that inside the C core, {where}", core, 1.5)]


def _row(what: str, times: dict[str, list[float]], ratio: float) -> Row:
    values = {name: statistics.median(each) for name, each in times.items() if each}
    row = Row(what, "ms", values)
    return row.at_most(ratio * values["bare C"], f"{ratio} x bare C") if "bare C" in values else row


def _median_ms(act: Callable[[], None], times: int) -> float:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1000


def _build_bare(setting: Setting, directory: Path) -> list[str] | None:
    """Build bare.c, and give the words that run it in `directory`: it prints figures of its own starts in milliseconds."""
    program = directory / "bare"
    source = Path(__file__).with_name("bare.c")
    subprocess.run(["gcc", "-std=gnu11", "-O2", "-static", "-o", program, source], check=True)
    place = directory / "bare.d"
    (place / "rootfs").mkdir(parents=True)
    subprocess.run(["tar", "-xf", setting.archive, "-C", place / "rootfs"], check=True)
    words = [str(program), str(place / "rootfs"), str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        setting.notes.append(f"without bare C: {done.stderr.strip()}")
        return None
    return words


def _many(setting: Setting) -> Row:
    """All on the bridge, from one process with one engine per thread.

    Bridge and rules are there, as they are for bare C: a host makes them once.
    """
    root = str(setting.root)
    with Engine(root, str(setting.run_root)) as engine:
        _life(engine, "bridge")
    left = iter(range(STARTS))
    lock = threading.Lock()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with Engine(root, str(setting.run_root)) as engine:
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
    values = {"minirun": STARTS / seconds}
    with Engine(root, str(setting.run_root)) as engine:
        bare = _bare_per_second(setting.directory, engine.networks.bridge)
    if bare is not None:
        values["bare C"] = bare
    row = Row(f"{STARTS} starts on the bridge, {AT_A_TIME} at a time", "1/s", values)
    return row.at_least(150, "150 a second")


def _bare_per_second(directory: Path, bridge: str) -> float | None:
    """Give what as many bare programs manage together, side by side on the same bridge."""
    program, rootfs = directory / "bare", directory / "bare.d" / "rootfs"
    places = [directory / f"bare.{number}" for number in range(AT_A_TIME)]
    for place in places:
        place.mkdir()
    start = time.perf_counter()
    running = [subprocess.Popen([program, rootfs, place, bridge], stdout=subprocess.DEVNULL) for place in places]
    failed = [program for program in running if program.wait() != 0]
    return None if failed else BARE_STARTS * AT_A_TIME / (time.perf_counter() - start)
