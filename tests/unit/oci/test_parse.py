"""runc's and crun's grammars, both of which callers use."""

from __future__ import annotations

import pytest

from minirun.command_line import Parsed
from minirun.errors import UsageError
from minirun.oci import values
from minirun.oci.options import find
from minirun.oci.parse import parse_command


def parsed(line: str) -> Parsed:
    name, *words = line.split()
    command = find(name)
    assert command is not None
    return parse_command(command, words, "minirun-oci")


@pytest.mark.parametrize(
    "line",
    [
        "run --detach --bundle /b x",
        "run -detach -bundle /b x",
        "run --detach=true --bundle=/b x",
        "run -detach=true -bundle=/b x",
        "run -d -b /b x",
        "run -db /b x",
        "run -db/b x",
        "run -b=/b -d x",
        "run x --bundle /b -d",
        "run --bundle /a --bundle /b -d -- x",
    ],
)
def test_every_spelling_of_the_same_options_means_the_same(line: str) -> None:
    got = parsed(line)
    assert got.values == {"detach": True, "bundle": "/b"}
    assert got.arguments == ("x",)


def test_options_of_exec_and_ps_stop_at_the_id() -> None:
    assert parsed("exec -t box ls -la --tty").arguments == ("box", "ls", "-la", "--tty")
    assert parsed("exec box -- ls").arguments == ("box", "--", "ls")
    assert parsed("ps -f json box -f --forest").arguments == ("box", "-f", "--forest")


def test_lists_keep_their_order() -> None:
    assert parsed("exec -e A=1 --env B=2 -e=C=3 box x").many("env") == ("A=1", "B=2", "C=3")


@pytest.mark.parametrize(
    "line",
    [
        "run -x y",
        "run --x y",
        "run -dx y",
        "run ---bundle /b x",
        "run --=x y",
        "run --detach=maybe x",
        "exec -u",
        "run -b",
    ],
)
def test_what_no_grammar_has_is_refused_in_one_line(line: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("exec -u alice box x", "ids are numbers"),
        ("exec -u 1:staff box x", "ids are numbers"),
        ("exec -u 4294967295 box x", "ids are numbers"),
        ("exec -g 1,,2 box x", "ids are numbers"),
        ("exec -e A box x", "NAME=VALUE"),
        ("exec -e =A box x", "NAME=VALUE"),
        ("exec -c CAP_NONE box x", 'unknown capability: "CAP_NONE"'),
        ("exec --cwd x box x", "absolute path"),
        ("exec --preserve-fds -1 box x", "from 0 to 65535"),
        ("exec --preserve-fds 1e3 box x", "whole number"),
        ("update --cpu-quota 99999999999999999999999 box", "whole number"),
        ("update --memory lots box", "invalid size"),
        ("events --interval 0s box", "span of time"),
        ("events --interval -1s box", "span of time"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_the_reason(line: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parsed(line)


def test_a_directory_is_the_callers(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert values.directory("x") == f"{tmp_path}/x"
