"""What `--format` makes of a list: columns as docker has them, JSON, or a template's text.

Owns: `Column`, and the choice between table, json and template. Leaves to others: padding (output), what a column says
(cli/present), the template language (cli/template, loaded only for a format that holds a template).
"""

from __future__ import annotations

from ..output import align
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Columns = dict[str, "Column"]

MINIMUM = 10  # a column is at least this wide, padding included


class Column(Record):
    """One field of a listed thing: its heading and how to say it."""

    heading: str
    value: Callable[[Any], Any]
    in_json: bool = True


def show(
    columns: Columns, items: Sequence[Any], template: str, default: Sequence[str], raw: Sequence[tuple[str, str]] = ()
) -> str:
    """Give the text of a list: `template` is what --format has, `default` names the columns of the plain table.

    `raw` has names and fields of the lists that docker's client shows so, a line each and an empty one after them.
    Raises InvalidInput for a template that can't be read or names a field that isn't there.
    """
    if template in ("", "table"):
        rows = [[columns[name].heading for name in default]]
        rows += [[str(columns[name].value(item)) for name in default] for item in items]
        return align(rows, MINIMUM)
    if template == "json":
        return "".join(_json({name: column.value(item) for name, column in _of_json(columns)}) + "\n" for item in items)
    if template == "raw" and raw:
        return "".join(raw_lines(columns, item, raw) + "\n" for item in items)
    from .template import compile_template
    from .template.typed import POINTER, Row

    def row(item: Any) -> Row:
        values = ((name, column.value(item)) for name, column in sorted(columns.items()))
        return Row((name, POINTER if value is None else value) for name, value in values)

    is_table = template.startswith("table ")
    body = template.removeprefix("table ") if is_table else template
    parsed = compile_template(body.strip(" ").replace("\\t", "\t").replace("\\n", "\n"))
    lines = [parsed.render(row(item)) for item in items]
    if not is_table:
        return "".join(line + "\n" for line in lines)
    heading = parsed.render(Row((name, _heading(column)) for name, column in columns.items()))
    return align((line.split("\t") for block in (heading, *lines) for line in block.split("\n")), MINIMUM)


def raw_lines(columns: Columns, item: Any, raw: Sequence[tuple[str, str]]) -> str:
    """Give one thing as `name: value` in lines."""
    values = ((name, str(columns[field].value(item))) for name, field in raw)
    return "".join(f"{name}: {text}\n" if text else f"{name}:\n" for name, text in values)


def _of_json(columns: Columns) -> list[tuple[str, Column]]:
    return [(name, column) for name, column in sorted(columns.items()) if column.in_json]


def _json(fields: dict[str, Any]) -> str:
    """Give an object as Go's encoding/json does, which escapes what HTML would read."""
    import json

    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _heading(column: Column) -> Any:
    """A field that takes an argument (`.Label "x"`) has that argument as its heading."""
    return (lambda name: name) if not column.heading else column.heading
