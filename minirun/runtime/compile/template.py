"""A plan for many containers of one kind: compiled once, for a container whose names are blanks, and filled in at each start.

Owns: `Template` and its blanks. Leaves to others: which containers are of one kind (engine/templates), every operation (the steps).

Most operations of a start are those of the start before, to the byte. What differs are texts (the id in paths, the host name),
which are blanks here, and the addresses, whose steps are taken anew. A blank holds a NUL, as no text of a plan can: nothing that
a user wrote is ever taken for one, and a blank that was left open doesn't pass the encoder.
"""

from __future__ import annotations

from ...linux.plan import ORDER, Operation, Plan, encoded
from ...record import Record
from . import steps_of_container
from .context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..spec import Spec
    from .context import Endpoint, Placement, Step

ID, HOSTNAME = "\0id", "\0hostname"


class _Ready(Record):
    """Operations that are the same each time, and their encoding."""

    operations: tuple[Operation, ...]
    encoding: bytes


class Template:
    """The plans of all containers that differ in their id, their host name and their addresses alone."""

    def __init__(self, spec: Spec, placement: Placement) -> None:
        """Compile for a container with blanks as its id and host name. Raises what `compile_container` would."""
        from . import network

        self.spec = spec
        self._placement = placement
        self._context = Context(spec, placement)
        self._pieces: list[tuple[str, _Ready | Operation | Step]] = []
        steps = steps_of_container()
        for side in ORDER:
            for step in steps[side]:
                if step in (network.from_outside, network.from_inside):
                    self._pieces.append((side, step))
                else:
                    self._add(side, list(step(self._context)))

    def _add(self, side: str, operations: Sequence[Operation]) -> None:
        for operation in operations:
            if any(map(_is_open, operation.arguments)):
                self._pieces.append((side, operation))
                continue
            before = self._pieces[-1] if self._pieces else None
            run: tuple[Operation, ...] = (operation,)
            if before is not None and before[0] == side and isinstance(before[1], _Ready):
                run = (*before[1].operations, operation)
                self._pieces.pop()
            self._pieces.append((side, _Ready(operations=run, encoding=encoded(side, run))))

    def fill(self, names: Mapping[str, str], endpoint: Endpoint | None) -> Plan:
        """Give the plan of one container: `names` has a text for each blank, `endpoint` is what it leased, if it has a network."""
        context = self._context.at(self._placement.replace(endpoint=endpoint))
        plan = Plan()
        encoding = []
        for side, piece in self._pieces:
            operations = getattr(plan, side)
            if isinstance(piece, _Ready):
                operations += piece.operations
                encoding.append(piece.encoding)
                continue
            own = [_filled(piece, names)] if isinstance(piece, Operation) else list(piece(context))
            operations += own
            encoding.append(encoded(side, own))
        plan.close(encoding)
        return plan


def _is_open(value: object) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_is_open, value))
    return isinstance(value, str) and "\0" in value


def _filled(operation: Operation, names: Mapping[str, str]) -> Operation:
    def fill(value: object) -> object:
        if isinstance(value, str):
            if "\0" in value:
                for blank, text in names.items():
                    value = value.replace(blank, text)
        elif isinstance(value, (tuple, list)):
            return tuple(map(fill, value))
        return value

    arguments = tuple(map(fill, operation.arguments))
    return Operation(code=operation.code, arguments=arguments, optional=operation.optional)
