"""What a template consists of once it is read. Values only; how they are filled in is evaluate's."""

from __future__ import annotations

from ...record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Node(Record):
    """Anything that stands in a template; `position` is where, for messages."""

    position: int


class Text(Node):
    """Goes out as it is."""

    text: str


class Literal(Node):
    """A number, a string, true, false or nil."""

    value: Any


class Dot(Node):
    """`.`: what is looked at."""


class Variable(Node):
    """`$name`, or `$`: what the template was given."""

    name: str


class Function(Node):
    """A function's name; its arguments stand beside it in the command."""

    name: str


class Field(Node):
    """`base.Name`; base is a Dot for a plain `.Name`."""

    base: Node
    name: str
    source: str  # as written, for messages


class Command(Node):
    """`.Field arg ...`, `function arg ...` or a single value."""

    operands: tuple[Node, ...]


class Pipeline(Node):
    """Commands joined by `|`, each result the last argument of the next, perhaps kept in variables."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    declares: bool = False  # := makes a variable, = changes one


class Action(Node):
    """`{{pipeline}}`: its value goes out, unless it was kept in a variable."""

    pipeline: Pipeline


class Branch(Node):
    """`if`, `with` or `range`, with what else to do."""

    kind: str
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...] = ()


class Jump(Node):
    """`break` or `continue` in a range."""

    kind: str
