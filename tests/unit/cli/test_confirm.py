"""What prune commands read of their options."""

from __future__ import annotations

from minirun.cli.confirm import conditions
from minirun.cli.options import find
from minirun.cli.parse import parse_command


def test_nothing_is_older_than_the_epoch() -> None:
    command = find("image prune")
    assert command is not None
    assert conditions(parse_command(command, ["--filter", "until=99999999999h"])) == {"until": ["0"]}
