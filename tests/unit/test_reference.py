"""docs/commands.md is what the option table, docker's `--help` and the reasons make of it; nothing in it is out of date.

Where something fails here after a change of the option table: `make docs` writes the page anew and says which reasons
(reference/reasons.py) are missing or no longer needed.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest

from minirun.cli import options as ours
from minirun.command_line import Option
from reference import docker
from reference.__main__ import PAGE
from reference.table import MISSING, Comparison


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return Comparison(docker.recorded())


@pytest.fixture(scope="module")
def client() -> docker.Docker:
    if shutil.which("docker") is None:
        pytest.skip("no docker client here")
    return docker.read_client()


def test_the_page_is_what_the_tables_make(comparison: Comparison) -> None:
    assert PAGE.read_text() == comparison.page(), "out of date: make docs"


def test_each_difference_has_a_reason_and_each_reason_a_difference(comparison: Comparison) -> None:
    assert not comparison.unexplained, "these lack a reason in reference/reasons.py"
    assert not comparison.stale, "nothing needs these reasons any more: take them out of reference/reasons.py"


def test_each_command_and_option_of_either_is_on_the_page(comparison: Comparison) -> None:
    """Both spellings, too: what is missing is missing as a whole command, with a reason, or not at all."""
    shown = {word for section in comparison.sections for word in (section.command.spelling, *section.others)}
    theirs = docker.recorded()
    assert {spelling for command in theirs.commands for spelling in command.spellings} <= shown
    assert set(ours.names()) <= shown
    assert {f"{noun} {verb}" for noun, verbs in ours.NOUNS.items() for verb in verbs if verb} <= shown
    rows = {section.command.spelling: section for section in comparison.sections}
    for command in theirs.commands:
        section = rows[command.name]
        if section.command.status != MISSING:
            names = {row.spelling.partition("--")[2].split()[0] for row in section.options}
            assert {option.name for option in command.options} <= names


def test_the_record_is_what_the_client_says(client: docker.Docker) -> None:
    """Of the recorded version everything; another version has at least most of it: the reader can still read its help."""
    recorded = docker.recorded()
    if client.version == recorded.version:
        assert docker.as_text(client) == docker.as_text(recorded)
        return
    known = {command.name: {option.name for option in command.options} for command in recorded.commands}
    theirs = {command.name: {option.name for option in command.options} for command in client.commands}
    for name in ("run", "create", "ps", "exec", "logs", "images", "cp"):
        assert len(known[name] & theirs[name]) >= 0.9 * min(len(known[name]), len(theirs[name])), name


def test_the_record_reads_back(client: docker.Docker) -> None:
    assert docker.from_text(docker.as_text(client)) == client


def test_what_neither_help_shows_is_taken_by_both(client: docker.Docker) -> None:
    """A row without a help text is one that docker's client takes without showing it: never one of our own."""
    hidden = [(name, option.name) for name in ours.names() for option in _options(name) if not option.help]
    assert hidden
    for name, option in hidden:
        done = subprocess.run(["docker", *name.split(), f"--{option}=1"], capture_output=True, text=True, check=False)
        if client.version == docker.recorded().version:
            assert "unknown flag" not in done.stderr, f"docker {name} --{option}"


def test_what_is_absent_by_name_is_what_docker_has_and_we_lack() -> None:
    recorded = docker.recorded()
    mine = {option.name for name in ours.names() for option in _options(name)}
    mine |= {option.name for option in ours.global_options()}
    there = {command.name for command in recorded.commands if _has(command)}
    theirs = {option.name for option in recorded.options}
    theirs |= {option.name for command in recorded.commands if command.name in there for option in command.options}
    assert set(ours.ABSENT) == theirs - mine
    tops = {spelling.split()[0] for command in recorded.commands for spelling in command.spellings}
    plugins = {"buildx", "compose"}
    assert set(ours.ABSENT_COMMANDS) == (tops - set(ours.NOUNS) - set(ours.names())) | plugins


def _options(name: str) -> tuple[Option, ...]:
    command = ours.find(name)
    assert command is not None
    return command.options()


def _has(command: docker.Command) -> bool:
    from reference.table import target

    return any(target(spelling) for spelling in command.spellings)
