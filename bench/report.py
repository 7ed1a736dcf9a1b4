"""Rows of the table: what was measured, for whom, against which target.

Owns: `Row`, how numbers and verdicts are written. Leaves to others: the numbers.
"""

from __future__ import annotations

import json
from pathlib import Path

COLUMNS = ("floor", "minirun", "docker", "podman", "runc", "crun", "bare C", "tar")


class Row:
    """One line: values by program in one unit, and the targets with their verdicts."""

    def __init__(self, what: str, unit: str, values: dict[str, float]) -> None:
        self.what = what
        self.unit = unit
        self.values = values
        self.targets: list[tuple[str, bool]] = []

    def at_most(self, limit: float, words: str) -> Row:
        """Add the target that minirun's value is at most `limit`."""
        self.targets.append((f"{words} <= {_number(limit)}", self.values["minirun"] <= limit))
        return self

    def above_floor(self, milliseconds: float) -> Row:
        """Add the target that minirun needs at most so much more than the bare interpreter."""
        limit = self.values["floor"] + milliseconds
        return self.at_most(limit, f"floor + {milliseconds:g}")

    def at_least(self, limit: float, words: str) -> Row:
        """Add the target that minirun's value is at least `limit`."""
        self.targets.append((f"{words} >= {_number(limit)}", self.values["minirun"] >= limit))
        return self

    def at_most_times(self, peer: str, factor: float) -> Row:
        """Add the target that minirun needs at most so many times what a peer needs; nothing without the peer."""
        if peer in self.values:
            ratio = self.values["minirun"] / self.values[peer]
            self.targets.append((f"{ratio:.2f} times {peer}, target {factor:g}", ratio <= factor))
        return self

    def fraction_of(self, peer: str, fraction: float) -> Row:
        """Add the target that minirun needs at most this fraction of what a peer needs; nothing without the peer."""
        if peer in self.values:
            ratio = self.values["minirun"] / self.values[peer]
            self.targets.append((f"1/{1 / ratio:.1f} of {peer}, target 1/{1 / fraction:g}", ratio <= fraction))
        return self


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def render(rows: list[Row]) -> str:
    """Give the table as text; programs that appear in no row get no column."""
    columns = [name for name in COLUMNS if any(name in row.values for row in rows)]
    lines = [["what", "unit", *columns, "targets"]]
    for row in rows:
        cells = [_number(row.values[name]) if name in row.values else "-" for name in columns]
        verdicts = "; ".join(f"{'ok' if met else 'MISSED'}: {words}" for words, met in row.targets)
        lines.append([row.what, row.unit, *cells, verdicts])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    text = []
    for line in lines:
        left = line[0].ljust(widths[0]) + "  " + line[1].ljust(widths[1])
        numbers = "  ".join(cell.rjust(width) for cell, width in zip(line[2:-1], widths[2:], strict=True))
        text.append(f"{left}  {numbers}   {line[-1]}".rstrip())
    return "\n".join(text)


def save(rows: list[Row], path: Path) -> None:
    """Write the rows as JSON, for a comparison with another run."""
    data = [{"what": row.what, "unit": row.unit, "values": row.values, "targets": row.targets} for row in rows]
    path.write_text(json.dumps(data, indent=1) + "\n")
