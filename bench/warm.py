"""Warm commands: a preloaded process serves them (docs/decisions/0020). The rows and targets of the warm start.

Owns: that process and these rows. Leaves to others: timing (measure), peers. All other groups run cold.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from minirun.warm import control

from .commands import LISTED_CONTAINERS, compared, listed
from .measure import Subject, at_once, compare, quietly
from .peers import make_bundle
from .report import Row
from .setting import Setting

MANY, AT_A_TIME = 500, 16
DO_NOTHING = "int main(void) { return 0; }\n"


def rows(setting: Setting) -> list[Row]:
    """Measure them all."""
    with _preloaded(setting) as pid:
        return [
            _run(setting, "--network", "none").at_most_times("crun", 1.3).fraction_of("docker", 1 / 20),
            _run(setting).fraction_of("docker", 1 / 25).fraction_of("podman", 1 / 25),
            _exec(setting),
            _oci(setting),
            _list(setting),
            _launcher(setting),
            _memory(pid),
            _rate(setting),
        ]


@contextlib.contextmanager
def _preloaded(setting: Setting) -> Iterator[int]:
    before = os.environ.get(control.VARIABLE, "0")
    os.environ[control.VARIABLE] = path = str(setting.directory / "warm" / "warm.sock")
    try:
        yield control.start(path).pid
    finally:
        control.stop(path)
        os.environ[control.VARIABLE] = before


def _run(setting: Setting, *options: str) -> Row:
    subjects = [Subject(program.name, program.run("--rm", *options, command=["true"])) for program in setting.programs]
    what = " ".join(("warm: run --rm", *options, "busybox true"))
    return compared(what, [*subjects, *(setting.peers.runtimes if options else [])], setting)


def _exec(setting: Setting) -> Row:
    for program in setting.programs:
        quietly(program.run("-d", "--name", "target", command=["sleep", "1000"]))
    row = compared(
        "warm: exec NAME true", [Subject(p.name, p.exec("target", "true")) for p in setting.programs], setting
    )
    for program in setting.programs:
        quietly(program.remove("target"))
    return row.at_most(6, "6 ms").fraction_of("docker", 1 / 12)


def _oci(setting: Setting) -> Row:
    place = setting.directory / "warm" / "oci"
    bundle = make_bundle(place, setting.archive, ["true"])
    words = [
        str(Path(setting.python).parent / "minirun-oci"),
        "--root",
        str(place / "state"),
        "run",
        "--bundle",
        str(bundle),
    ]
    subject = Subject("minirun", [*words, f"{setting.directory.name}-warm"])
    return compared("warm: minirun-oci run", [subject, *setting.peers.runtimes], setting).at_most_times("crun", 1)


def _list(setting: Setting) -> Row:
    return listed(f"warm: ps -a, {LISTED_CONTAINERS} containers", setting).at_most(10, "10 ms")


def _launcher(setting: Setting) -> Row:
    """The launcher in front of a program that does nothing; that program alone is the floor."""
    place = setting.directory / "warm" / "launcher"
    (place / "bin").mkdir(parents=True)
    nothing, launcher = str(place / "bin/python3"), str(place / "bin/minirun")
    subprocess.run(["gcc", "-O2", "-static", "-x", "c", "-o", nothing, "-"], input=DO_NOTHING, text=True, check=True)
    shutil.copy(Path(setting.python).parent / "minirun", launcher)
    subjects = [Subject("floor", [nothing]), Subject("minirun", [launcher])]
    compare(subjects, setting.rounds)
    values = {subject.name: subject.median_ms for subject in subjects}
    return Row("warm: launcher alone", "ms", values).at_most(values["floor"] + 1, "floor + 1")


def _memory(pid: int) -> Row:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return Row("preloaded process, resident", "MiB", {"minirun": int(line.split()[1]) / 1024}).at_most(
                40, "40 MiB"
            )
    raise AssertionError("proc_pid_smaps(5): there is always a line Rss")


def _rate(setting: Setting) -> Row:
    """Each program once: what two processors are able to do at all is what the others show."""
    ours = setting.minirun.run("--rm", "--network", "none", command=["true"])
    subjects = [Subject("minirun", at_once(ours, MANY, AT_A_TIME))]
    for runtime in setting.peers.runtimes:
        *words, name = runtime.words
        subjects.append(
            Subject(runtime.name, at_once([*words, name + "-{}"], MANY, AT_A_TIME), launcher=runtime.launcher)
        )
    rates = {subject.name: MANY / subject.run() for subject in subjects}
    what = f"warm: {MANY} run --rm --network none, {AT_A_TIME} at a time"
    return Row(what, "1/s", rates).at_least(200, "200 a second")
