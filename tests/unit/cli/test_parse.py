"""pflag's grammar, read off the option table."""

from __future__ import annotations

import pytest

from minirun.cli.options import find
from minirun.cli.parse import parse_command
from minirun.command_line import Parsed
from minirun.errors import InvalidInput, UsageError


def parsed(line: str, *more: str) -> Parsed:
    name, *words = [*line.split(), *more]
    command = find(name)
    assert command is not None
    return parse_command(command, words)


def refusal(line: str, *more: str) -> str:
    with pytest.raises(UsageError) as caught:
        parsed(line, *more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "run -it -e A=1 busybox sh",
        "run -i -t -eA=1 busybox sh",
        "run -ite A=1 busybox sh",
        "run -iteA=1 busybox sh",
        "run --interactive --tty --env A=1 busybox sh",
        "run --interactive=true --tty=1 --env=A=1 busybox sh",
        "run -i=true -t -e=A=1 busybox sh",
        "run -it -e A=1 -- busybox sh",
    ],
)
def test_every_spelling_of_the_same_options_means_the_same(line: str) -> None:
    got = parsed(line)
    assert got.fields() == {"interactive": True, "terminal": True, "environment": ("A=1",)}
    assert got.arguments == ("busybox", "sh")


def test_options_stop_at_the_first_argument_of_run_and_exec() -> None:
    assert parsed("run busybox ls -la --rm").arguments == ("busybox", "ls", "-la", "--rm")
    assert parsed("run busybox -- x").arguments == ("busybox", "--", "x")
    assert parsed("exec box sh -c true").arguments == ("box", "sh", "-c", "true")


def test_options_of_other_commands_may_follow_arguments() -> None:
    got = parsed("rm box -f other")
    assert got.arguments == ("box", "other")
    assert got.flag("force")


def test_a_lone_dash_is_an_argument() -> None:
    assert parsed("import - busybox").arguments == ("-", "busybox")


def test_a_switch_can_be_turned_off_again() -> None:
    assert parsed("run --rm --rm=false busybox").fields() == {"auto_remove": False}
    assert not parsed("run --sig-proxy=false busybox").flag("sig-proxy", default=True)
    assert parsed("run busybox").flag("sig-proxy", default=True)


def test_of_single_values_the_last_one_wins_and_lists_grow() -> None:
    got = parsed("run -m 1m -m 2m --dns 1.1.1.1 --dns=::1 -l a=1 -l b --label a=2 busybox").fields()
    assert got == {"memory_bytes": 2 << 20, "dns": ("1.1.1.1", "::1"), "labels": {"a": "2", "b": ""}}


def test_options_that_share_a_field_are_joined() -> None:
    got = parsed(
        "run -v /a:/b --mount type=bind,src=/c,dst=/d,ro --mount type=tmpfs,dst=/t --tmpfs /u busybox"
    ).fields()
    assert [bind.target for bind in got["binds"]] == ["/d", "/b"]
    assert [mount.target for mount in got["tmpfs"]] == ["/t", "/u"]


def test_one_option_can_set_several_fields() -> None:
    got = parsed("run --log-opt max-size=10m --log-opt max-file=5 busybox").fields()
    assert got == {"log_max_bytes": 10_000_000, "log_max_files": 5}


def test_an_empty_word_is_a_value() -> None:
    assert parsed("run", "--entrypoint", "", "busybox").fields() == {"entrypoint": ()}
    assert parsed("run", "--entrypoint=", "busybox").fields() == {"entrypoint": ()}


def test_help_comes_before_the_count_of_arguments() -> None:
    assert parsed("run --help").flag("help")
    assert parsed("ps -h").flag("help")
    assert parsed("run -h name busybox").fields() == {"hostname": "name"}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("run --foo x", "unknown flag: --foo"),
        ("run --foo=1 x", "unknown flag: --foo"),
        ("run -Z x", "unknown shorthand flag: 'Z' in -Z"),
        ("run -itZ x", "unknown shorthand flag: 'Z' in -Z"),
        ("run --memor 1m x", "unknown flag: --memor"),
        ("run -m", "flag needs an argument: 'm' in -m"),
        ("run -itm", "flag needs an argument: 'm' in -m"),
        ("run --memory", "flag needs an argument: --memory"),
        ("run --=x b", "bad flag syntax: --=x"),
        ("run ---x b", "bad flag syntax: ---x"),
        ("run --rm=maybe b", 'invalid argument "maybe" for "--rm" flag: neither true nor false'),
        ("run -m 5x b", 'invalid argument "5x" for "-m, --memory" flag: invalid suffix: \'x\''),
        ("run --ip 1.2.3.4 b", "unknown flag: --ip (docker has it, minirun does not yet)"),
        ("run --storage-opt size=1g b", "unknown flag: --storage-opt (docker's; there are no quotas)"),
        ("run", "'minirun run' requires at least 1 argument"),
        ("exec box", "'minirun exec' requires at least 2 arguments"),
        ("ps box", "'minirun ps' accepts no arguments"),
        ("logs", "'minirun logs' requires 1 argument"),
        ("logs a b", "'minirun logs' requires 1 argument"),
        ("images a b", "'minirun images' requires at most 1 argument"),
        ("tag a", "'minirun tag' requires 2 arguments"),
    ],
)
def test_a_wrong_line_is_refused_in_dockers_words(line: str, sentence: str) -> None:
    assert refusal(line) == sentence


@pytest.mark.parametrize(
    "line",
    [
        "logs --since bogus box",
        "events --until bogus",
        "inspect --type bogus box",
        "update --restart on-failure:x box",
        "update --cpuset-cpus x box",
        "create --name a/b busybox",
        "create -w relative busybox",
        "create -v /a:/b:bogus busybox",
        "create --log-opt bogus=1 busybox",
    ],
)
def test_a_value_that_docker_looks_at_later_is_no_wrong_line(line: str) -> None:
    """Then it ends with 1, and `run` with 125 (cli/main)."""
    with pytest.raises(InvalidInput) as caught:
        parsed(line)
    assert "invalid argument" not in str(caught.value)
