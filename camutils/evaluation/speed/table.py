"""Rows of the two tables, as files that a killed run goes on with, and as text."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ...whole import write_whole
from ..results import as_csv, read_lines

RATIOS = ("suite", "network", "weights", "size", "method", "options", "batch", "contestant", "setting", "rounds", "seconds",
          "forwards", "backwards", "ratio", "low", "high", "to_ours", "of", "found", "target", "verdict")
CURVES = ("suite", "network", "axis", "method", "value", "rounds", "seconds", "low", "high", "bytes", "slope", "theory",
          "verdict", "memory_slope", "memory_theory", "memory_verdict")
KEYS = {"ratios.csv": ("suite", "network", "method", "options", "batch"), "curves.csv": ("suite", "network", "axis", "method")}
COLUMNS = {"ratios.csv": RATIOS, "curves.csv": CURVES}
Row = dict[str, Any]


class Table:
    """A CSV file that is written anew, whole, whenever rows come; what it holds already need not be measured again."""

    def __init__(self, path: Path):
        self.path, self.columns, self.keys = path, COLUMNS[path.name], KEYS[path.name]
        self.rows: list[Row] = []
        if path.exists():
            self.rows = [*read_lines(path, self.columns)]

    def holds(self, **row: Any) -> bool:
        """Are there rows of this?"""
        return any(all(had[k] == str(row[k]) for k in self.keys) for had in self.rows)

    def add(self, rows: Iterable[Row]) -> None:
        """Write them down."""
        self.rows += rows
        write_whole(self.path, as_csv(self.rows, self.columns))


def _cell(value: Any) -> str:
    if value == "" or value is None:
        return ""
    try:
        return f"{float(value):.3g}" if isinstance(value, float) or "." in str(value) else str(value)
    except ValueError:
        return str(value)


def aligned(rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """Some columns of rows as lines of text."""
    cells = [[column.replace("_", " ") for column in columns], *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
