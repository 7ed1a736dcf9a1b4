"""What fits next on a command line: the table's words, in their places. The shells themselves: tests/integration/cli."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from minirun.cli.complete import _OF_OPTION, complete
from minirun.cli.options import NOUNS, find, names
from minirun.cli.shells import SCRIPTS

HERE = {
    "containers": ["web", "db", "old"],
    "running": ["web", "db"],
    "stopped": ["old"],
    "paused": ["db"],
    "images": ["busybox", "redis:7"],
    "volumes": ["data"],
    "signals": ["SIGKILL", "SIGTERM"],
    "environment": ["HOME", "PATH"],
    "capabilities": ["ALL", "NET_ADMIN"],
}


def fits(line: str) -> list[str]:
    """Give the words that fit at the end of a line; FILES stands for names of files."""
    found = complete(line.split(" "), lambda kind, current: [(name, "") for name in HERE[kind]])
    return [word for word, _ in found.candidates] + ["FILES"] * found.files


def test_the_first_word_is_a_command_or_a_noun():
    assert fits("re") == ["rename", "restart"]
    assert set(fits("")) == {name for name in names() if " " not in name} | set(NOUNS)
    assert fits("help re") == ["rename", "restart"]
    assert fits("vol") == ["volume"]


@pytest.mark.parametrize("noun", NOUNS)
def test_after_a_noun_come_its_verbs(noun):
    assert set(fits(f"{noun} ")) == set(NOUNS[noun]) - {""}


@pytest.mark.parametrize("name", names())
def test_every_option_that_help_shows_is_offered(name):
    command = find(name)
    assert command is not None
    offered = set(fits(f"{name} -"))
    shown = [option for option in command.options() if option.help]
    assert offered == {"--help"} | {f"--{o.name}" for o in shown} | {f"-{o.short}" for o in shown if o.short}


def test_no_key_of_the_table_is_stale():
    known = {option.name for name in names() if (command := find(name)) for option in command.options()}
    assert set(_OF_OPTION) <= known | {"root", "run-root"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("rm ", ["db", "old", "web"]),
        ("container rm w", ["web"]),
        ("rm -f web d", ["db"]),
        ("start ", ["old"]),
        ("stop ", ["db", "web"]),
        ("exec ", ["db", "web"]),
        ("exec -it ", ["db", "web"]),
        ("unpause ", ["db"]),
        ("rename old ", []),
        ("rename old new ", []),
        ("run ", ["busybox", "redis:7"]),
        ("run -it --rm b", ["busybox"]),
        ("run -e A=b --name x ", ["busybox", "redis:7"]),
        ("image rm r", ["redis:7"]),
        ("rmi busybox r", ["redis:7"]),
        ("image log ", ["busybox", "redis:7"]),
        ("tag b", ["busybox"]),
        ("push b", ["busybox"]),
        ("volume rm ", ["data"]),
        ("inspect ", ["busybox", "data", "db", "old", "redis:7", "web"]),
        ("container inspect ", ["db", "old", "web"]),
        ("image inspect ", ["busybox", "redis:7"]),
        ("volume inspect ", ["data"]),
        ("cp ", ["db:", "old:", "web:", "FILES"]),
        ("cp web:/etc", []),
        ("cp web:/etc/passwd ./", ["FILES"]),
        ("import ", ["FILES"]),
        ("ps ", []),
        ("info x", []),
        ("completion ", ["bash", "fish", "zsh"]),
    ],
)
def test_arguments_are_of_the_kind_that_the_usage_line_says(line, expected):
    assert fits(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("run --network h", ["host"]),
        ("run --network=h", ["--network=host"]),
        ("run --ipc sh", ["shareable"]),
        ("run --pid container:w", ["container:web"]),
        ("run --network container:", ["container:db", "container:web"]),
        ("run --network=container:w", ["--network=container:web"]),
        ("kill -s SIGK", ["SIGKILL"]),
        ("kill --signal=SIGT", ["--signal=SIGTERM"]),
        ("run --pull ", ["always", "missing", "never"]),
        ("update --restart o", ["on-failure", "on-failure:"]),
        ("run -e H", ["HOME"]),
        ("run -ite H", ["HOME"]),
        ("run -v ", ["data:"]),
        ("run -v /", ["FILES"]),
        ("run -v data:", ["FILES"]),
        ("run --volumes-from w", ["web"]),
        ("run --cap-add N", ["NET_ADMIN"]),
        ("run --env-file ", ["FILES"]),
        ("run --memory ", []),
        ("--root ", ["FILES"]),
        ("--root /x r", ["rename", "restart", "rm", "rmi", "run"]),
        ("--root=/x rm o", ["old"]),
        ("-D rm o", ["old"]),
    ],
)
def test_an_options_value_is_of_its_kind(line, expected):
    assert fits(line) == expected


@pytest.mark.parametrize(
    "line", ["run busybox ", "run busybox -", "exec web ls --", "nonsense ", "help run ", "image nonsense "]
)
def test_what_belongs_to_somebody_else_is_files(line):
    assert fits(line) == ["FILES"]


def test_after_two_hyphens_come_no_options():
    assert fits("rm -- -") == []
    assert fits("rm -- w") == ["web"]


@pytest.mark.parametrize(
    ("line", "goes_on"), [("run -v d", True), ("run -e", False), ("rm w", False), ("run --security-opt s", False)]
)
def test_no_blank_follows_a_word_that_goes_on(line, goes_on):
    assert complete(line.split(" "), lambda kind, current: [(name, "") for name in HERE[kind]]).goes_on == goes_on


def test_options_come_with_what_help_says():
    found = dict(complete(["ps", "--for"], lambda *_: []).candidates)
    assert found == {"--format": "Format output using a custom template"}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_script_is_one_that_its_shell_reads(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    done = subprocess.run([shell, "-n"], input=SCRIPTS[shell], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
