"""Filling a template in.

Owns: dot, variables, fields, pipelines, branches. Leaves to others: functions and how values are written (functions).

An object of JSON is both Go's struct and Go's map, which differ when a name is missing: a struct has no such field,
which is an error; a map gives `<no value>`. An object whose keys all begin with a capital letter, as docker's fields
do, is taken for a struct; labels, ports and networks are maps. Of what `inspect` shows the types are known: typed.
"""

from __future__ import annotations

from .errors import TemplateError, at
from .functions import FUNCTIONS, LAZY, CallError, is_true, written
from .nodes import Action, Branch, Command, Dot, Field, Function, Jump, Literal, Node, Pipeline, Text, Variable
from .typed import Map, Nil, Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class _NoValue:
    """What a map gives for a key that it doesn't have, and what a command without an input from the left is given."""


NO_VALUE = _NoValue()


class _Leave(Exception):
    """A `break` or `continue` on its way to the range."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class Evaluation:
    """One filling in; `text` is the template's, for messages."""

    def __init__(self, text: str, data: Any) -> None:
        self.text = text
        self.variables: list[tuple[str, Any]] = [("$", data)]
        self.data = data
        self.out: list[str] = []

    def run(self, body: tuple[Node, ...]) -> str:
        """Give what the template says. Raises TemplateError."""
        self._walk(body, self.data)
        return "".join(self.out)

    def _fail(self, node: Node, source: str, message: str) -> TemplateError:
        return TemplateError(f'template: :{at(self.text, node.position)}: executing "" at <{source}>: {message}')

    def _walk(self, body: tuple[Node, ...], dot: Any) -> None:
        for node in body:
            if isinstance(node, Text):
                self.out.append(node.text)
            elif isinstance(node, Action):
                value = self._pipeline(node.pipeline, dot)
                if not node.pipeline.variables:
                    self.out.append("<no value>" if value is None or value is NO_VALUE else written(value))
            elif isinstance(node, Branch):
                self._branch(node, dot)
            elif isinstance(node, Jump):
                raise _Leave(node.kind)

    # ---- branches

    def _branch(self, node: Branch, dot: Any) -> None:
        known = len(self.variables)
        try:
            if node.kind == "range":
                self._range(node, dot)
                return
            value = _plain(self._pipeline(node.pipeline, dot))
            if is_true(value):
                self._walk(node.body, value if node.kind == "with" else dot)
            else:
                self._walk(node.otherwise, dot)
        finally:
            del self.variables[known:]

    def _range(self, node: Branch, dot: Any) -> None:
        value = _plain(self._pipeline(node.pipeline.replace(variables=()), dot))
        known = len(self.variables)
        empty = True
        for key, item in self._items(node, value):
            empty = False
            self._bind(node.pipeline, (key, item)[2 - len(node.pipeline.variables) :])
            try:
                self._walk(node.body, item)
            except _Leave as leave:
                if leave.kind == "break":
                    break
            finally:
                del self.variables[known:]
        if empty:
            self._walk(node.otherwise, dot)

    def _items(self, node: Branch, value: Any) -> Iterator[tuple[Any, Any]]:
        if isinstance(value, dict):
            yield from sorted(value.items(), key=lambda pair: str(pair[0]))
        elif isinstance(value, (list, tuple)):
            yield from enumerate(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            yield from ((number, number) for number in range(value))
        elif value is not None and not isinstance(value, Nil):
            raise self._fail(node.pipeline, _operand_text(node.pipeline), f"range can't iterate over {written(value)}")

    # ---- pipelines

    def _pipeline(self, pipeline: Pipeline, dot: Any) -> Any:
        value: Any = NO_VALUE
        for place, command in enumerate(pipeline.commands):
            value = self._command(command, dot, () if place == 0 else (_plain(value),))
        if pipeline.variables:
            self._bind(pipeline, (value,))
        return value

    def _bind(self, pipeline: Pipeline, values: tuple[Any, ...]) -> None:
        for name, value in zip(pipeline.variables, values, strict=True):
            if pipeline.declares:
                self.variables.append((name, value))
                continue
            for place in range(len(self.variables) - 1, -1, -1):
                if self.variables[place][0] == name:
                    self.variables[place] = (name, value)
                    break

    def _command(self, command: Command, dot: Any, piped: tuple[Any, ...]) -> Any:
        first, *rest = command.operands
        if isinstance(first, Function):
            return self._call(first, rest, dot, piped)
        if isinstance(first, Literal) and first.value is None:
            raise self._fail(first, "nil", "nil is not a command")
        value = self._value(first, dot)
        if callable(value):
            self._check_count(first, value, len(rest) + len(piped))
            arguments = [_plain(self._value(operand, dot)) for operand in rest]
            return self._guarded(first, lambda: value(*arguments, *piped))
        if rest or piped:
            raise self._fail(first, _text_of(first), "can't give argument to non-function " + _text_of(first))
        return value

    def _call(self, function: Function, operands: list[Node], dot: Any, piped: tuple[Any, ...]) -> Any:
        work = FUNCTIONS[function.name]
        self._check_count(function, work, len(operands) + len(piped))
        if function.name in LAZY:  # and, or: what isn't needed isn't looked at

            def values() -> Iterator[Any]:
                for operand in operands:
                    yield _plain(self._value(operand, dot))
                yield from piped

            return self._guarded(function, lambda: work(values()))
        arguments = [_plain(self._value(operand, dot)) for operand in operands]
        return self._guarded(function, lambda: work(*arguments, *piped))

    def _check_count(self, node: Node, work: Callable[..., Any], count: int) -> None:
        """Refuse too few or too many arguments, in Go's words."""
        name = _text_of(node).rpartition(".")[2]
        code = work.__code__
        takes_more = bool(code.co_flags & 0x04) or name in LAZY  # *arguments; inspect, CO_VARARGS
        least = code.co_argcount - len(work.__defaults__ or ())
        if count < least or (count > code.co_argcount and not takes_more):
            wanted = f"at least {least}" if takes_more else str(least)
            raise self._fail(node, _text_of(node), f"wrong number of args for {name}: want {wanted} got {count}")

    def _guarded(self, node: Node, work: Any) -> Any:
        try:
            return work()
        except (CallError, TypeError, ValueError, OverflowError) as error:
            name = _text_of(node)
            raise self._fail(node, name, f"error calling {name}: {error}") from error

    def _value(self, node: Node, dot: Any) -> Any:
        if isinstance(node, Dot):
            return dot
        if isinstance(node, Literal):
            return node.value
        if isinstance(node, Variable):
            return next(value for name, value in reversed(self.variables) if name == node.name)
        if isinstance(node, Pipeline):
            return self._pipeline(node, dot)
        if isinstance(node, Function):
            return self._call(node, [], dot, ())
        assert isinstance(node, Field)
        return self._field(node, self._value(node.base, dot))

    def _field(self, node: Field, value: Any) -> Any:
        if isinstance(value, dict):
            if node.name in value:
                return value[node.name]
            if isinstance(value, Struct) and node.name in value.absent:
                return value.absent[node.name]
            if isinstance(value, Struct) or (
                value and not isinstance(value, Map) and all(str(key)[:1].isupper() for key in value)
            ):
                raise self._fail(node, node.source, f'map has no entry for key "{node.name}"')
            return NO_VALUE
        if value is None or value is NO_VALUE or isinstance(value, Nil):
            raise self._fail(node, node.source, f"nil data; no entry for key {node.name!r}".replace("'", '"'))
        raise self._fail(node, node.source, f"can't evaluate field {node.name} in type {_kind(value)}")


def _plain(value: Any) -> Any:
    return None if value is NO_VALUE else value


def _kind(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[]interface {}"
    return {bool: "bool", int: "int", float: "float64", str: "string"}.get(type(value), "interface {}")


def _text_of(node: Node) -> str:
    if isinstance(node, Field):
        return node.source
    return node.name if isinstance(node, (Function, Variable)) else "."


def _operand_text(pipeline: Pipeline) -> str:
    return _text_of(pipeline.commands[0].operands[0])
