"""The command line from words to exit code, over an engine that only remembers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from minirun import __version__
from minirun.cli.invocation import Invocation
from minirun.cli.main import main
from minirun.errors import CommandNotFound, Exhausted, MinirunError
from tests.unit.cli.fakes import ID, Engine, container

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    fake = Engine()
    monkeypatch.setattr(Invocation, "engine", lambda self: fake)
    return fake


def run(line: str, *more: str) -> int:
    return main([*line.split(), *more])


def one_line(capfd: Captured) -> str:
    """Give what was said on standard error, which must be a single line, with nothing on standard output."""
    out, err = capfd.readouterr()
    assert not out
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err.rstrip("\n")


@pytest.mark.parametrize("line", ["", "--help", "help"])
def test_alone_it_prints_help(line: str, capfd: Captured) -> None:
    assert run(line) == 0
    assert capfd.readouterr().out.startswith("Usage:  minirun [OPTIONS] COMMAND\n")


@pytest.mark.parametrize("line", ["run --help", "help run", "container run --help"])
def test_help_of_a_command(line: str, capfd: Captured) -> None:
    assert run(line) == 0
    out = capfd.readouterr().out
    assert out.startswith("Usage:  minirun ")
    assert "run [OPTIONS] IMAGE [COMMAND] [ARG...]" in out.splitlines()[0]


@pytest.mark.parametrize("line", ["container", "container --help", "image -h"])
def test_help_of_a_noun(line: str, capfd: Captured) -> None:
    assert run(line) == 0
    assert "COMMAND\n\nManage " in capfd.readouterr().out


@pytest.mark.parametrize("line", ["--version", "-v"])
def test_the_version(line: str, capfd: Captured) -> None:
    assert run(line) == 0
    assert capfd.readouterr().out == f"minirun version {__version__}\n"


def test_version_needs_no_root(capfd: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run("version --format {{.Client.Version}}") == 0
    assert capfd.readouterr().out == f"{__version__}\n"


def test_anything_else_needs_root(capfd: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run("ps") == 1
    assert one_line(capfd).startswith("Error: minirun needs root")
    assert run("run busybox") == 125
    assert one_line(capfd).endswith("try: sudo minirun run ...")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("run --foo x", "minirun: unknown flag: --foo. See 'minirun run --help'."),
        ("container run --foo x", "minirun: unknown flag: --foo. See 'minirun container run --help'."),
        ("--frob ps", "minirun: unknown flag: --frob. See 'minirun --help'."),
    ],
)  # fmt: skip
def test_a_wrong_flag_ends_with_125(line: str, sentence: str, capfd: Captured) -> None:
    assert run(line) == 125
    assert one_line(capfd) == sentence


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("run", "minirun: 'minirun run' requires at least 1 argument. See 'minirun run --help'."),
        ("frob", "minirun: unknown command: minirun frob. See 'minirun --help'."),
        (
            "build .",
            (
                "minirun: unknown command: minirun build (docker has it, minirun does not yet:"
                " bring images with 'minirun pull', 'minirun import' or 'minirun load'). See 'minirun --help'."
            ),
        ),
        (
            "container trust box",
            "minirun: unknown command: minirun container trust (docker has it, minirun does not yet). See 'minirun --help'.",
        ),
        ("container frob", "minirun: unknown command: minirun container frob. See 'minirun --help'."),
    ],
)
def test_a_wrong_command_or_count_ends_with_1(line: str, sentence: str, capfd: Captured) -> None:
    assert run(line) == 1
    assert one_line(capfd) == sentence


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("run -d -a stdout x", "minirun: conflicting options: cannot specify both --attach and --detach"),
        ("start -a box box", "Error: you cannot start and attach multiple containers at once"),
        ("stop --time 1 --timeout 2 box", "Error: conflicting options: cannot specify both --timeout and --time"),
        ("volume create --name a b",
         "Error: conflicting options: cannot specify a volume-name through both --name and as a positional arg"),
        ("login --password-stdin x", "Error: the --password-stdin option requires --username to be set"),
        ("login -u a -p b --password-stdin x",
         "Error: conflicting options: cannot specify both --password and --password-stdin"),
    ],
)  # fmt: skip
def test_what_excludes_each_other_ends_with_1(line: str, sentence: str, engine: Engine, capfd: Captured) -> None:
    assert run(line) == 1
    assert one_line(capfd) == sentence


def test_run_in_the_background_prints_the_id(engine: Engine, capfd: Captured) -> None:
    assert run("run -d --name box busybox sleep 9") == 0
    assert capfd.readouterr().out == ID + "\n"
    assert [call[0] for call in engine.calls] == ["create", "start", "detach", "closed"]
    assert engine.calls[0][1].command == ("sleep", "9")


def test_run_of_a_missing_image_ends_with_125(engine: Engine, capfd: Captured) -> None:
    assert run("run --pull never missing") == 125
    assert one_line(capfd) == "minirun: No such image: missing:latest"
    assert engine.calls[-1] == ("closed",)


def test_run_ends_with_the_code_of_the_failure(
    engine: Engine, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, code in (
        (CommandNotFound("exec: nosuch"), 127),
        (Exhausted("no address"), 125),
        (MinirunError("x"), 125),
    ):

        def start(*_: object, error: MinirunError = error) -> None:
            raise error

        monkeypatch.setattr(engine, "start", start)
        assert run("run -d busybox nosuch") == code
        assert capfd.readouterr() == (f"{ID}\n", f"minirun: {error}\n")  # it is there, with the reason
    assert "remove" not in [call[0] for call in engine.calls]


def test_a_container_that_removes_itself_is_removed_when_it_cannot_start(
    engine: Engine, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object) -> None:
        raise CommandNotFound("exec: nosuch")

    monkeypatch.setattr(engine, "start", start)
    assert run("run -d --rm busybox nosuch") == 127
    assert ("remove", ID, True, False) in engine.calls


def test_explain_prints_and_starts_nothing(engine: Engine, capfd: Captured) -> None:
    assert run("run --explain busybox") == 0
    assert capfd.readouterr().out == "child  mount proc on /proc\nchild  exec\n"
    assert [call[0] for call in engine.calls] == ["closed"]


def test_a_terminal_is_demanded(engine: Engine, capfd: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: False)
    assert run("exec -it box sh") == 1
    assert one_line(capfd) == "Error: the input device is not a TTY"
    assert run("run -it busybox") == 1
    assert one_line(capfd) == "minirun: the input device is not a TTY"
    assert engine.calls == []


def test_the_id_is_written_to_the_cidfile(engine: Engine, capfd: Captured, tmp_path: Path) -> None:
    path = tmp_path / "id"
    assert run(f"run -d --cidfile {path} busybox") == 0
    assert path.read_text() == ID
    capfd.readouterr()
    assert run(f"run -d --cidfile {path} busybox") == 125
    assert one_line(capfd).startswith("minirun: container ID file found")
    assert [call[0] for call in engine.calls].count("create") == 1


def test_a_cidfile_is_taken_back_when_nothing_was_created(engine: Engine, capfd: Captured, tmp_path: Path) -> None:
    path = tmp_path / "id"
    assert run(f"create --pull never --cidfile {path} missing") == 1
    assert not path.exists()
    assert run(f"create --cidfile {tmp_path}/no/id busybox") == 1
    assert "failed to create the container ID file" in capfd.readouterr().err


def test_commands_of_many_names_go_on_after_an_error(engine: Engine, capfd: Captured) -> None:
    for line in ("rm", "stop", "kill", "restart", "start"):
        engine.calls.clear()
        assert run(f"{line} missing box") == 1
        out, err = capfd.readouterr()
        assert out == "box\n"
        assert err == "Error: No such container: missing\n"
        assert engine.calls[-1] == ("closed",)


def test_options_reach_the_engine(engine: Engine, capfd: Captured) -> None:
    run("stop -t 3 box")
    run("stop --time 4 -s INT box")
    run("kill -s INT box")
    run("kill box")
    run("rm -fv box")
    run("ps -a -n 5 -f status=exited -f status=dead -f name=x")
    assert [call for call in engine.calls if call[0] != "closed"] == [
        ("stop", "box", 3, ""),
        ("stop", "box", 4, "INT"),
        ("kill", "box", "INT"),
        ("kill", "box", "KILL"),
        ("remove", "box", True, True),
        (
            "containers",
            {"all": True, "limit": 5, "latest": False, "filters": {"status": ["exited", "dead"], "name": ["x"]}},
        ),
    ]


def test_forced_removal_of_nothing_is_no_error(engine: Engine, capfd: Captured) -> None:
    assert run("rm -f missing") == 0
    assert capfd.readouterr() == ("", "Error: No such container: missing\n")


def test_ps(engine: Engine, capfd: Captured) -> None:
    assert run("ps") == 0
    assert capfd.readouterr().out.splitlines()[1].startswith('0123456789ab   busybox   "sh"      ')
    assert run("container ls -q") == 0
    assert capfd.readouterr().out == ID[:12] + "\n"
    assert run("ps -q --no-trunc") == 0
    assert capfd.readouterr().out == ID + "\n"
    assert run("ps", "--format", "{{.Names}}") == 0
    assert capfd.readouterr().out == "box\n"
    assert run("ps", "--format", "{{.Names") == 1
    assert one_line(capfd) == "Error: template parsing error: template: :1: unclosed action"
    assert run("inspect", "--format", "{{.Names", "box") == 64
    assert one_line(capfd) == "Error: template parsing error: template: :1: unclosed action"


def test_wait_prints_codes(engine: Engine, capfd: Captured) -> None:
    assert run("wait box box") == 0
    assert capfd.readouterr().out == "3\n3\n"


def test_logs_pass_bytes_to_their_streams(engine: Engine, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run("logs --tail 5 --since 1 box") == 0
    assert capfdbinary.readouterr() == (b"one\xff\n", b"half done\n")
    assert engine.calls[0] == ("logs", "box", {"follow": False, "tail": 5, "since_ns": 10**9, "until_ns": None})


def test_logs_stamp_each_line_once(engine: Engine, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run("logs -t box") == 0
    stamp = b"2026-01-02T03:04:05.120000000Z "
    assert capfdbinary.readouterr() == (stamp + b"one\xff\n", stamp + b"half done\n")


def test_inspect(engine: Engine, capfd: Captured) -> None:
    assert run("inspect box") == 0
    out = capfd.readouterr().out
    assert out.startswith('[\n    {\n        "Id": "0123')
    assert json.loads(out)[0]["Name"] == "/box"
    assert run("inspect", "-f", "{{.State.Pid}} {{.Name}}", "box", "box") == 0
    assert capfd.readouterr().out == "7 /box\n7 /box\n"
    assert run("container inspect box") == 0
    assert engine.calls[-2] == ("inspect", "box", "container")


def test_inspect_shows_what_it_finds(engine: Engine, capfd: Captured) -> None:
    assert run("inspect box missing") == 1
    out, err = capfd.readouterr()
    assert len(json.loads(out)) == 1
    assert err == "Error: No such container: missing\n"
    assert run("inspect missing") == 1
    assert capfd.readouterr().out == "[]\n"


def test_info(engine: Engine, capfd: Captured) -> None:
    assert run("info") == 0
    assert capfd.readouterr().out == (
        "Containers: 1\n Running: 1\nKernel Version: 6.1\nTotal Memory: 1GiB\n"
        "Cgroup:\n Version: 2\n Controllers: cpu memory\nIPv6: true\n"
    )
    assert run("system info --format json") == 0
    assert json.loads(capfd.readouterr().out)["Containers"] == 1


def test_info_warns_on_standard_error_line_by_line(
    engine: Engine, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "info", lambda: {"Images": 1, "Warnings": ["no this", "no that"]})
    assert run("info") == 0
    assert capfd.readouterr() == ("Images: 1\n", "WARNING: no this\nWARNING: no that\n")
    assert run("info -f {{.Images}}") == 0
    assert capfd.readouterr() == ("1\n", "")


def test_a_missing_container(engine: Engine, capfd: Captured) -> None:
    assert run("exec missing true") == 1
    assert one_line(capfd) == "Error: No such container: missing"
    assert run("logs missing") == 1
    assert one_line(capfd) == "Error: No such container: missing"


def test_exec_gives_the_code_of_its_process(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minirun.cli.commands.exec.may_share", lambda **_: True)  # whatever pytest made of our output
    assert run("exec box true") == 3


def test_control_characters_of_an_error_are_written_out(capfd: Captured) -> None:
    assert run("run", "--\x1b]0;x\x07", "busybox") == 125
    assert one_line(capfd) == "minirun: unknown flag: --\\x1b]0;x\\x07. See 'minirun run --help'."


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (OSError(28, "No space left on device", "/x"), 1, "Error: /x: no space left on device\n"),
        (ExceptionGroup("undoing", [OSError(5, "io"), MinirunError("b")]), 1, "Error: undoing: [Errno 5] io; b\n"),
        (ZeroDivisionError("x"), 125,
         "Error: this is a defect of minirun: ZeroDivisionError: x; 'minirun --debug ps ...' shows where\n"),
    ],
)  # fmt: skip
def test_what_becomes_of_an_exception(
    error: BaseException, code: int, sentence: str, engine: Engine, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def containers(**_: object) -> None:
        raise error

    monkeypatch.setattr(engine, "containers", containers)
    assert run("ps") == code
    assert capfd.readouterr() == ("", sentence)


def test_debug_shows_where_an_error_comes_from(engine: Engine, capfd: Captured) -> None:
    assert run("--debug rm missing") == run("rm missing") == 1
    output = capfd.readouterr().err
    assert output.startswith("Traceback (most recent call last):\n")
    assert "minirun.errors.NotFound: No such container: missing\nError: No such container: missing\n" in output


def test_debug_changes_no_exit_code(engine: Engine) -> None:
    assert run("--debug run --bogus busybox") == run("run --bogus busybox") == 125


def test_start_says_the_name_as_it_was_given(engine: Engine, capfd: Captured) -> None:
    engine.held = (container(), container(id="b" * 64, name="other"))
    assert run(f"start {ID[:12]} other") == 0
    assert capfd.readouterr().out == f"{ID[:12]}\nother\n"
