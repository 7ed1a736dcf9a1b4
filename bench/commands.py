"""Cold commands: nothing of ours runs before. `run` without a network, `run` on the bridge, `exec`, `ps -a`.

Owns: these rows and their targets. Leaves to others: timing (measure), peers.
The floor, what the interpreter needs to do nothing, takes part in each comparison: a machine is never equally fast twice.
"""

from __future__ import annotations

from .measure import Subject, compare, quietly
from .report import Row
from .setting import Setting

LISTED_CONTAINERS = 300


def rows(setting: Setting) -> list[Row]:
    """Measure them all."""
    return [_run_alone(setting), _run_on_bridge(setting), _exec(setting), _list(setting)]


def _run_alone(setting: Setting) -> Row:
    subjects = [
        Subject(program.name, program.run("--rm", "--network", "none", command=["true"]))
        for program in setting.programs
    ]
    row = compared("run --rm --network none busybox true", [*subjects, *setting.peers.runtimes], setting)
    return row.above_floor(35).fraction_of("docker", 1 / 5)


def _run_on_bridge(setting: Setting) -> Row:
    subjects = [Subject(program.name, program.run("--rm", command=["true"])) for program in setting.programs]
    row = compared("run --rm busybox true (bridge)", subjects, setting)
    return row.above_floor(38).fraction_of("docker", 1 / 7)


def _exec(setting: Setting) -> Row:
    for program in setting.programs:
        quietly(program.run("-d", "--name", "target", command=["sleep", "1000"]))
    subjects = [Subject(program.name, program.exec("target", "true")) for program in setting.programs]
    row = compared("exec NAME true", subjects, setting)
    for program in setting.programs:
        quietly(program.remove("target"))
    return row.above_floor(25).fraction_of("docker", 1 / 2)


def _list(setting: Setting) -> Row:
    return listed(f"ps -a, {LISTED_CONTAINERS} containers", setting).above_floor(40)


def listed(what: str, setting: Setting) -> Row:
    """Time `ps -a` with LISTED_CONTAINERS at rest."""
    from minirun import ContainerConfig, Engine

    with Engine(str(setting.root), str(setting.run_root)) as engine:
        made = [engine.create(ContainerConfig(image="busybox")).id for _ in range(LISTED_CONTAINERS)]
    subject = Subject("minirun", [*setting.minirun.words, "ps", "-a"])
    row = compared(what, [subject], setting)
    with Engine(str(setting.root), str(setting.run_root)) as engine:
        for container_id in made:
            engine.remove(container_id)
    return row


def compared(what: str, subjects: list[Subject], setting: Setting) -> Row:
    """Time commands beside the interpreter's own start."""
    floor = Subject("floor", [setting.python, "-I", "-c", "pass"])
    compare([floor, *subjects], setting.rounds)
    return Row(what, "ms", {subject.name: subject.median_ms for subject in (floor, *subjects)})
