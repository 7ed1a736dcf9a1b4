"""The option table keeps its promises: parsers and fields exist, each option reaches its call, help and documentation
have each row."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minirun.command_line import Command, Option
from minirun.oci.help import command_help, main_help
from minirun.oci.main import main
from minirun.oci.options import ABSENT_COMMANDS, find, global_options, names
from minirun.runtime.config import parse_process
from minirun.runtime.spec import BlockIo, Capabilities, Cpu, Memory, Resources, User
from tests.conftest import CHECKOUT
from tests.unit.oci.fakes import PROCESS, CreateOptions, ExecOptions, World

# What the command's own file or main reads, and what says how a value is looked at: other tests have these.
READ_BY_MAIN = {"debug", "log", "log-format", "log-level", "systemd-cgroup", "version", "V"}
ACCEPTED = {"rootless", "criu"}
GLOBAL_SAMPLES = {"root": ("/x", "/x"), "cgroup-manager": ("disabled", "disabled")}

CREATE: dict[str, tuple[str, Callable[[tuple[Any, ...]], Any], Any]] = {
    "bundle": ("/b", lambda call: call[2], ("/b", "")),
    "config": ("/c.json", lambda call: call[2], (".", "/c.json")),
    "console-socket": ("/s", lambda call: call[3], CreateOptions(console_socket="/s")),
    "pidfd-socket": ("/s", lambda call: call[3], CreateOptions(pidfd_socket="/s")),
    "pid-file": ("/p", lambda call: call[3], CreateOptions(pid_file="/p")),
    "preserve-fds": ("2", lambda call: call[3], CreateOptions(preserve_fds=2)),
    "no-pivot": ("", lambda call: call[3], CreateOptions(no_pivot=True)),
    "no-new-keyring": ("", lambda call: call[3], CreateOptions(no_new_keyring=True)),
}
RUN = {
    "detach": ("", lambda call: call[4]["detach"], True),
    "keep": ("", lambda call: call[4]["keep"], True),
    "no-subreaper": ("", lambda call: call[4]["subreaper"], False),
}
HELD = PROCESS.capabilities
EXEC: dict[str, tuple[str, Callable[[tuple[Any, ...]], Any], Any]] = {
    "tty": ("", lambda call: call[2].terminal, True),
    "detach": ("", lambda call: call[3], ExecOptions(detach=True)),
    "user": ("1:2", lambda call: call[2].user, User(uid=1, gid=2, additional_gids=(7,))),
    "additional-gids": ("8,9", lambda call: call[2].user.additional_gids, (7, 8, 9)),
    "env": ("A=2", lambda call: call[2].environment, ("PATH=/bin", "A=2")),
    "cap": (
        "CAP_KILL",
        lambda call: call[2].capabilities,
        HELD.replace(bounding=33, effective=33, permitted=33),
    ),
    "cwd": ("/w", lambda call: call[2].working_directory, "/w"),
    "apparmor": ("p", lambda call: call[2].apparmor_profile, "p"),
    "process-label": ("l", lambda call: call[2].selinux_label, "l"),
    "no-new-privs": ("", lambda call: call[2].no_new_privileges, True),
    "console-socket": ("/s", lambda call: call[3], ExecOptions(console_socket="/s")),
    "pidfd-socket": ("/s", lambda call: call[3], ExecOptions(pidfd_socket="/s")),
    "pid-file": ("/p", lambda call: call[3], ExecOptions(pid_file="/p")),
    "preserve-fds": ("2", lambda call: call[3], ExecOptions(preserve_fds=2)),
    "cgroup": ("/c", lambda call: call[3], ExecOptions(cgroup="/c")),
    "ignore-paused": ("", lambda call: call[3], ExecOptions(ignore_paused=True)),
}
UPDATE: dict[str, tuple[str, Resources]] = {
    "memory": ("64m", Resources(memory=Memory(limit=64 << 20))),
    "memory-reservation": ("1k", Resources(memory=Memory(reservation=1024))),
    "memory-swap": ("-1", Resources(memory=Memory(swap=-1))),
    "cpu-period": ("1000", Resources(cpu=Cpu(period=1000))),
    "cpu-quota": ("2000", Resources(cpu=Cpu(quota=2000))),
    "cpu-burst": ("7", Resources(cpu=Cpu(burst=7))),
    "cpu-share": ("512", Resources(cpu=Cpu(shares=512))),
    "cpu-shares": ("512", Resources(cpu=Cpu(shares=512))),
    "cpu-idle": ("1", Resources(cpu=Cpu(idle=1))),
    "cpuset-cpus": ("0-1", Resources(cpu=Cpu(cpus="0-1"))),
    "cpuset-mems": ("0", Resources(cpu=Cpu(mems="0"))),
    "pids-limit": ("-1", Resources(pids_limit=-1)),
    "blkio-weight": ("100", Resources(block_io=BlockIo(weight=100))),
    "kernel-memory": ("64m", Resources()),
    "kernel-memory-tcp": ("64m", Resources()),
}
REFUSED = {
    "cpu-rt-period": "1",
    "cpu-rt-runtime": "1",
    "l3-cache-schema": "L3:0=f",
    "mem-bw-schema": "MB:0=50",
}
# Options of commands that only answer, each with a test of its own beside what it does (test_main, test_answers).
ELSEWHERE = {
    "kill": {"regex"},
    "delete": {"force", "regex"},
    "list": {"format", "quiet"},
    "ps": {"format"},
    "spec": {"bundle", "file", "rootless"},
    "events": {"interval", "stats"},
}


def command(name: str) -> Command:
    found = find(name)
    assert found is not None
    return found


def rows() -> list[tuple[str, Option]]:
    return [("", option) for option in global_options()] + [
        (name, option) for name in names() for option in command(name).options()
    ]


def spelled(name: str, text: str) -> list[str]:
    return [f"--{name}={text}"] if text else [f"--{name}"]


@pytest.mark.parametrize("name", names())
def test_every_command_has_a_file(name: str) -> None:
    assert callable(importlib.import_module(f"minirun.oci.commands.{name}").run)


def test_no_command_is_both_there_and_absent() -> None:
    assert not set(names()) & set(ABSENT_COMMANDS)


def test_every_parser_exists() -> None:
    for _, option in rows():
        if option.parser:
            topic, _, function = option.parser.partition(".")
            assert callable(getattr(importlib.import_module(f"minirun.oci.{topic}"), function))


def test_every_option_has_its_test() -> None:
    tested = {
        "": READ_BY_MAIN | ACCEPTED | set(GLOBAL_SAMPLES),
        "create": set(CREATE) | {"no-subreaper"},
        "run": set(CREATE) | set(RUN),
        "exec": set(EXEC) | {"process"},
        "kill": {"all"},
        "update": set(UPDATE) | set(REFUSED) | {"resources"},
    }
    for name, options in ELSEWHERE.items():
        tested[name] = tested.get(name, set()) | options
    for name in ("", *names()):
        assert {option.name for owner, option in rows() if owner == name} == tested.get(name, set()), name


@pytest.mark.parametrize("name", GLOBAL_SAMPLES)
def test_a_global_option_reaches_the_runtime(name: str, world: World) -> None:
    text, expected = GLOBAL_SAMPLES[name]
    assert main([*spelled(name, text), "state", "box"], "minirun-oci") == 0
    field = next(option.field for option in global_options() if option.name == name)
    assert getattr(world.runtime, field) == expected


@pytest.mark.parametrize("verb", ["create", "run"])
@pytest.mark.parametrize("name", CREATE)
def test_an_option_of_create_reaches_the_runtime(verb: str, name: str, world: World) -> None:
    text, look, expected = CREATE[name]
    main([verb, *spelled(name, text), "new"], "minirun-oci")
    assert look(world.calls[0]) == expected
    assert world.calls[0][:2] == (verb, "new")


@pytest.mark.parametrize("name", RUN)
def test_an_option_of_run_reaches_the_runtime(name: str, world: World) -> None:
    text, look, expected = RUN[name]
    main(["run", "new"], "minirun-oci")
    main(["run", *spelled(name, text), "new"], "minirun-oci")
    without, given = (look(call) for call in world.calls)
    assert (without, given) == (not expected, expected)


def test_create_accepts_what_only_run_needs(world: World) -> None:
    assert main(["create", "--no-subreaper", "new"], "minirun-oci") == 0


@pytest.mark.parametrize("name", EXEC)
def test_an_option_of_exec_reaches_the_runtime(name: str, world: World) -> None:
    text, look, expected = EXEC[name]
    main(["exec", "box", "id", "-u"], "minirun-oci")
    main(["exec", *spelled(name, text), "box", "id", "-u"], "minirun-oci")
    without, given = (look(call) for call in world.calls)
    assert given == expected
    assert without != expected
    assert world.calls[1][2].arguments == ("id", "-u")


def test_without_options_exec_is_the_containers_own_process(world: World) -> None:
    main(["exec", "box", "id"], "minirun-oci")
    assert world.calls == [("exec", "box", PROCESS.replace(arguments=("id",)), ExecOptions())]


def test_a_process_of_a_file_is_taken_whole(world: World, tmp_path: Path) -> None:
    file = tmp_path / "process.json"
    file.write_text(json.dumps({"cwd": "/", "args": ["id"], "user": {"uid": 1, "gid": 2}}))
    assert main(["exec", "-p", str(file), "-e", "B=1", "box"], "minirun-oci") == 3
    process = world.calls[0][2]
    assert (process.arguments, process.user.uid, process.environment) == (("id",), 1, ())


def test_what_confines_a_process_of_a_file_is_the_containers_unless_it_says_other(world: World, tmp_path: Path) -> None:
    file = tmp_path / "process.json"
    cases: tuple[tuple[dict[str, Any], Capabilities], ...] = (({}, HELD), ({"capabilities": {}}, Capabilities()))
    for said, expected in cases:
        file.write_text(json.dumps({"cwd": "/", "args": ["id"], **said}))
        main(["exec", "-p", str(file), "box"], "minirun-oci")
        assert world.calls.pop()[2].capabilities == expected


def test_so_is_how_it_is_scheduled(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "process.json"
    scheduling: dict[str, Any] = {
        "scheduler": {"policy": "SCHED_BATCH", "nice": 3},
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 6},
        "execCPUAffinity": {"initial": "0", "final": "1"},
    }
    plain: dict[str, Any] = {"cwd": "/", "args": ["id"]}
    own = parse_process(json.dumps(plain | scheduling).encode())
    monkeypatch.setattr("tests.unit.oci.fakes.PROCESS", own)
    for said in ({}, {"execCPUAffinity": {"final": "0"}}, {"scheduler": {"policy": "SCHED_OTHER"}}):
        file.write_text(json.dumps(plain | said))
        main(["exec", "-p", str(file), "box"], "minirun-oci")
        assert world.calls.pop()[2] == parse_process(json.dumps(plain | scheduling | said).encode())


def test_the_group_stays_unless_it_is_given(world: World) -> None:
    main(["exec", "-u", "9", "box", "id"], "minirun-oci")
    assert world.calls[0][2].user == User(uid=9, gid=6, additional_gids=(7,))


def test_kill_reaches_all_when_told(world: World) -> None:
    for line in ("kill -a box", "kill --all box", "kill box TERM --all"):
        main(line.split(), "minirun-oci")
    assert world.calls == [("kill", "box", 15, ("all", True))] * 3


@pytest.mark.parametrize("name", UPDATE)
def test_an_option_of_update_reaches_the_container(name: str, world: World) -> None:
    text, expected = UPDATE[name]
    assert main(["update", *spelled(name, text), "box"], "minirun-oci") == 0
    assert world.calls == [("update", "box", expected)]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_limited_is_refused(name: str, world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["update", *spelled(name, REFUSED[name]), "box"], "minirun-oci") == 1
    assert "level=error" in capfd.readouterr().err
    assert world.calls == []


def test_what_no_kernel_has_is_ignored_with_a_warning(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["update", "--kernel-memory", "1g", "--memory", "1g", "box"], "minirun-oci") == 0
    assert "level=warning" in capfd.readouterr().err
    assert world.calls == [("update", "box", Resources(memory=Memory(limit=1 << 30)))]


def test_resources_of_a_file_come_alone(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "resources.json"
    file.write_text('{"pids": {"limit": 5}}')
    main(["update", "-r", str(file), "--memory", "1g", "box"], "minirun-oci")
    with file.open("rb") as stream:
        monkeypatch.setattr("sys.stdin", type("Input", (), {"buffer": stream}))
        main(["update", "-r", "-", "box"], "minirun-oci")
    assert world.calls == [("update", "box", Resources(pids_limit=5))] * 2


def test_help_shows_every_row_that_has_a_text(world: World) -> None:
    for program in ("runc", "crun"):
        for option in global_options():
            assert (f"--{option.name}" in main_help(program)) == bool(option.help)
        for name in names():
            text = command_help(command(name), program)
            for option in command(name).options():
                assert bool(re.search(rf"--{option.name}(?![\w-])", text)) == bool(option.help)


def test_the_documentation_has_every_command_and_option() -> None:
    text = (CHECKOUT / "docs/oci.md").read_text()
    documented: dict[str, set[str]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 6 and cells[1].startswith("`"):
            documented[cells[1].strip("`")] = set(re.findall(r"--([\w-]+)", cells[2]))
    table = {name: {option.name for owner, option in rows() if owner == name} for name in names()}
    table["(global)"] = {option.name for option in global_options() if len(option.name) > 1}
    assert documented == table | {name: set() for name in ABSENT_COMMANDS}
