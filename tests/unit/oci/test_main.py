"""`minirun-oci` from words to exit code, over a runtime that only remembers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minirun import __version__
from minirun.errors import CommandNotFound, MinirunError, NotFound
from minirun.oci.main import main
from tests.unit.oci.fakes import Container, World

Captured = pytest.CaptureFixture[str]
STAMP = "2026-01-02T03:04:05Z"


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1767323045_999999999)


def run(line: str, *more: str, called: str = "minirun-oci") -> int:
    return main([*line.split(), *more], called)


def logged(message: str) -> str:
    return f'time="{STAMP}" level=error msg="{message}"\n'


def test_a_failure_is_a_line_of_the_log_on_standard_error(world: World, capfd: Captured) -> None:
    assert run("state missing") == 1
    assert capfd.readouterr() == ("", logged("container does not exist"))


def test_with_a_log_file_the_plain_message_is_on_standard_error(world: World, capfd: Captured, tmp_path: Path) -> None:
    path = tmp_path / "log"
    for _ in range(2):
        assert run(f"--log {path} --log-format json state missing") == 1
    assert capfd.readouterr() == ("", "container does not exist\n" * 2)
    lines = path.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"level": "error", "msg": "container does not exist", "time": STAMP}
    ] * 2


def test_a_log_file_that_cannot_be_opened_is_said_before_anything_is_done(world: World, capfd: Captured) -> None:
    assert run("--log /nonexistent/log delete -f box") == 1
    assert capfd.readouterr().err == logged("/nonexistent/log: no such file or directory")
    assert world.calls == []


def test_debug_logs_the_command_and_its_code(world: World, capfd: Captured, tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert run(f"--debug --log {path} start box") == 0
    assert [line.partition("level=")[2] for line in path.read_text().splitlines()] == [
        'debug msg="minirun-oci: start box"',
        'debug msg="minirun-oci: start ends with 0"',
    ]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("line", "called", "message"),
    [
        ("create box", "runc", "runc create failed: container with given ID already exists"),
        ("run box", "minirun-oci", "minirun-oci run failed: container with given ID already exists"),
        ("delete box", "runc", "cannot delete container box that is not stopped: running"),
        ("start missing", "crun", "container does not exist"),
    ],
)
def test_create_and_run_say_what_failed(line: str, called: str, message: str, world: World, capfd: Captured) -> None:
    assert run(line, called=called) == 1
    assert capfd.readouterr() == ("", logged(message))


def test_an_exec_that_cannot_be_set_up_ends_with_255(
    world: World, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("exec missing true") == 255
    assert run("exec box") == 255
    assert run("exec -p /nonexistent box") == 255

    def refuse(*_: object) -> int:
        raise CommandNotFound("exec: nosuch")

    monkeypatch.setattr("minirun.oci.commands.exec.exec_", refuse)
    assert run("exec box nosuch") == 255
    assert [line.partition('msg="')[2] for line in capfd.readouterr().err.splitlines()] == [
        'exec failed: container does not exist"',
        'exec failed: process args cannot be empty: give a command or --process"',
        'exec failed: /nonexistent: no such file or directory"',
        'exec failed: unable to start container process: exec: nosuch"',
    ]


@pytest.mark.parametrize(
    "words", ["--user name", "--user -1", "--cwd here", "--env NAME", "--cap CAP_NONE", "--preserve-fds -1"]
)
def test_a_value_that_exec_cannot_take_is_no_process_either(words: str, world: World, capfd: Captured) -> None:
    assert run(f"exec {words} box true") == 255
    assert "exec failed: invalid argument" in capfd.readouterr().err
    assert run(f"exec --nosuch {words} box true") == 1


def test_run_and_exec_end_with_the_code_of_their_program(world: World) -> None:
    assert run("run other") == 9
    assert run("exec box true") == 3


def test_a_missing_container_is_deleted_by_force_without_an_error(world: World, capfd: Captured) -> None:
    assert run("delete --force missing") == 0
    assert capfd.readouterr() == ("", "")
    assert run("delete missing") == 1


def test_several_containers_are_deleted_by_name_or_by_expression(world: World) -> None:
    world.held = [Container(world, name, "stopped") for name in ("a1", "a2", "b1")]
    assert run("delete a1 b1") == 0
    assert run("delete --regex ^a") == 0
    assert run("kill -r ^b KILL") == 0
    assert world.calls == [
        ("delete", "a1", False), ("delete", "b1", False), ("delete", "a1", False), ("delete", "a2", False),
        ("kill", "b1", 9, ("all", False)),
    ]  # fmt: skip


def test_a_bad_expression_is_an_error(world: World, capfd: Captured) -> None:
    assert run("delete -r", "(") == 1
    assert "invalid regular expression" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "number"), [("", 15), ("KILL", 9), ("SIGHUP", 1), ("sigint", 2), ("10", 10), ("rtmin+1", 35)]
)
def test_a_signal_has_many_spellings(words: str, number: int, world: World) -> None:
    assert run(f"kill box {words}") == 0
    assert world.calls == [("kill", "box", number, ("all", False))]


def test_an_unknown_signal_is_named(world: World, capfd: Captured) -> None:
    assert run("kill box FOO") == 1
    assert capfd.readouterr().err == logged('unknown signal \\"FOO\\"')
    assert world.calls == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("state", r"runc: \"state\" requires exactly 1 argument(s)"),
        ("state a b", r"runc: \"state\" requires exactly 1 argument(s)"),
        ("kill", r"runc: \"kill\" requires a minimum of 1 argument(s)"),
        ("kill a TERM b", r"runc: \"kill\" requires a maximum of 2 argument(s)"),
        ("delete", r"runc: \"delete\" requires a minimum of 1 argument(s)"),
        ("list x", r"runc: \"list\" requires exactly 0 argument(s)"),
        ("state --foo x", "flag provided but not defined: -foo"),
        ("--foo state x", "flag provided but not defined: -foo"),
        ("run -b", "flag needs an argument: 'b' in -b"),
        ("frob", "No help topic for 'frob': there is no such command; runc --help lists what there is"),
        ("checkpoint --image-path x box", "checkpoint is not supported: containers can't be checkpointed"),
        ("restore x", "restore is not supported: containers can't be checkpointed"),
        ("list -f xml", r"invalid argument \"xml\" for \"-f, --format\" flag: invalid format option: it must be table or json"),
        ("--log-format xml list", r"invalid argument \"xml\" for \"--log-format\" flag: it must be text or json"),
        ("events --interval abc box",
         r"invalid argument \"abc\" for \"--interval\" flag: it must be a span of time like 5s"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_ends_with_1(line: str, message: str, world: World, capfd: Captured) -> None:
    assert run(line, called="/usr/bin/runc") == 1
    assert capfd.readouterr() == ("", logged(message))


@pytest.mark.parametrize(
    ("called", "first"),
    [
        ("minirun-oci", f"minirun-oci version {__version__}"),
        ("/usr/local/bin/runc", "runc version 1."),
        ("crun", "crun version 1."),
        ("anything", f"minirun-oci version {__version__}"),
    ],
)
def test_the_version_has_the_form_of_the_name_that_was_called(
    called: str, first: str, world: World, capfd: Captured
) -> None:
    for line in ("--version", "-v", "-version"):
        assert run(line, called=called) == 0
        lines = capfd.readouterr().out.splitlines()
        assert lines[0].startswith(first)
        assert lines[1] == f"commit: minirun-{__version__}"
        assert "spec: 1.2.0" in lines


def test_crun_says_where_its_state_is_and_what_was_built_in(world: World, capfd: Captured) -> None:
    assert run("-V", called="crun") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[2] == "rundir: /run/minirun-oci"
    assert lines[-1] == "+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF"


@pytest.mark.parametrize("line", ["", "--help", "-h", "help", "h", "-?"])
def test_help_has_the_form_of_the_name_that_was_called(line: str, world: World, capfd: Captured) -> None:
    assert run(line, called="runc") == 0
    assert capfd.readouterr().out.startswith("NAME:\n   runc - Open Container Initiative runtime\n\nUSAGE:\n")
    assert run(line, called="crun") == 0
    assert capfd.readouterr().out.startswith("Usage: crun [OPTION...] COMMAND [OPTION...]\n\nCOMMANDS:\n")


def test_help_of_a_command_needs_no_arguments(world: World, capfd: Captured) -> None:
    for line in ("kill --help", "kill -h", "help kill"):
        assert run(line) == 0
        assert capfd.readouterr().out.startswith("NAME:\n   minirun-oci kill - ")


def test_help_of_what_is_missing_says_so(world: World, capfd: Captured) -> None:
    for line in ("checkpoint -h", "help checkpoint"):
        assert run(line, called="runc") == 0
        assert capfd.readouterr().out.startswith("NAME:\n   runc checkpoint - not supported: ")
        assert run(line, called="crun") == 0
        assert "not supported: " in capfd.readouterr().out


def test_global_options_reach_the_runtime(world: World) -> None:
    for line, root, driver in (
        ("", "/run/minirun-oci", "cgroupfs"),
        ("--root /x", "/x", "cgroupfs"),
        ("--systemd-cgroup", "/run/minirun-oci", "systemd"),
        ("--systemd-cgroup=false", "/run/minirun-oci", "cgroupfs"),
        ("--cgroup-manager disabled", "/run/minirun-oci", "disabled"),
        ("--cgroup-manager=cgroupfs --systemd-cgroup", "/run/minirun-oci", "cgroupfs"),
        ("--rootless auto --criu /bin/criu", "/run/minirun-oci", "cgroupfs"),
    ):
        assert run(f"{line} state box") == 0
        assert world.runtime is not None
        assert (world.runtime.root, world.runtime.cgroup_driver) == (root, driver)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (OSError(28, "No space left on device", "/x"), 1, logged("/x: no space left on device")),
        (ExceptionGroup("undoing", [OSError(5, "I/O error"), MinirunError("b")]), 1, logged("undoing: i/o error; b")),
        (ZeroDivisionError("x"), 1, logged("this is a defect of minirun: ZeroDivisionError: x; --debug logs where")),
        (NotFound("a\nb\x1b[31m"), 1, logged("a\\nb\\x1b[31m")),
    ],
)
def test_what_becomes_of_an_exception(
    error: BaseException, code: int, said: str, world: World, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(world, "find", fail)
    assert run("start box") == code
    assert capfd.readouterr() == ("", said)


def test_debug_logs_where_a_defect_is(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("x")

    monkeypatch.setattr(world, "find", fail)
    assert run(f"--debug --log {tmp_path}/log start box") == 1
    assert "in fail" in (tmp_path / "log").read_text()
