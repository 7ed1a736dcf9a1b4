"""Which command lines a preloaded process leaves to their caller."""

from __future__ import annotations

import pytest

from minirun.cli import needs_caller as cli
from minirun.cli.options import find, names
from minirun.oci import needs_caller as oci
from minirun.oci.options import find as find_oci


def test_the_names_are_those_of_commands() -> None:
    assert {*cli.NEVER_READ, *cli.WITH_FLAG, *cli.UNLESS_FLAG} <= set(names())
    assert all(find_oci(name) for name in (*oci.START_NOTHING, *oci.LEAVE_BEHIND))


def test_the_flags_are_those_of_the_commands() -> None:
    for name, flags in {**cli.WITH_FLAG, **{name: (flag,) for name, flag in cli.UNLESS_FLAG.items()}}.items():
        command = find(name)
        assert command is not None
        assert set(flags) <= {option.name for option in command.options()}


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("ps -a", False),
        ("--root /x container ls", False),
        ("run --rm busybox cat", False),
        ("run -it busybox sh", True),
        ("run --rm -i busybox cat", True),
        ("run -d busybox cat -i", False),
        ("exec -t box sh", True),
        ("exec box sh -t", False),
        ("attach box", True),
        ("start box", False),
        ("start -a box", True),
        ("login", True),
        ("system prune", True),
        ("system prune -f", False),
        ("load", True),
        ("load -i file", False),
        ("import - name", True),
        ("nonsense", False),
        ("run --nonsense", False),
        ("", False),
        ("system", False),
    ],
)
def test_at_a_terminal_what_may_read_it_is_its_callers(line: str, needs: bool) -> None:
    assert cli.needs_caller(line.split(), has_terminal=True, reads_terminal=True) == needs
    assert not cli.needs_caller(line.split(), has_terminal=True, reads_terminal=False)


@pytest.mark.parametrize(
    ("line", "alone", "with_terminal"),
    [
        ("list", False, False),
        ("state box", False, False),
        ("kill box KILL", False, False),
        ("run box", False, True),
        ("run --detach box", True, True),
        ("exec box true", False, True),
        ("exec -d box true", True, True),
        ("create box", True, True),
        ("delete box", False, True),  # hooks
        ("start box", False, True),
        ("nonsense", False, False),
    ],
)
def test_what_leaves_or_starts_a_process_of_an_engine_is_its_callers(
    line: str, alone: bool, with_terminal: bool
) -> None:
    assert oci.needs_caller(line.split(), has_terminal=False, reads_terminal=False) == alone
    assert oci.needs_caller(line.split(), has_terminal=True, reads_terminal=False) == with_terminal
