"""The course in numbers: `python -m camutils.book.course` prints for each notebook its minutes, words, pictures and exercises.

    print(listing())
"""

import re
from pathlib import Path
from typing import NamedTuple

import nbformat

from ..places import NOTEBOOKS
from .render import find_notebooks


class Counted(NamedTuple):
    """A notebook; minutes of machine time as notebooks/README.md has them ("" if it has none); words of its text up to "What we
    saw", and of all its text; pictures that it makes or shows; exercises that check an answer."""

    name: str
    minutes: str
    lesson_words: int
    words: int
    pictures: int
    exercises: int


def counted(notebook: Path, minutes: str = "") -> Counted:
    """What `Counted` holds, of one executed notebook."""
    cells = nbformat.read(notebook, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    code = [cell for cell in cells if cell.cell_type == "code"]
    made = sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    asked = {found for cell in code for found in re.findall(r'exercises\.check\("([\d.]+)"', cell.source)}
    return Counted(notebook.stem, minutes, len(text.partition("## What we saw")[0].split()), len(text.split()),
                   made + text.count("!["), len(asked))


def listing() -> str:
    """A table as text, a line per notebook, in their order; solutions are not counted."""
    page = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")
    minutes = dict(re.findall(r"^\| \[(\w+)\]\(.*\| ([\d.]+) \|$", page, re.MULTILINE))
    rows = [counted(path, minutes.get(path.stem, "")) for path in find_notebooks() if path.parent == NOTEBOOKS]
    lines = [f"{'notebook':28s}{'minutes':>8s}{'words':>7s}{'of all':>8s}{'pictures':>10s}{'exercises':>11s}"]
    lines += [f"{r.name:28s}{r.minutes:>8s}{r.lesson_words:7d}{r.words:8d}{r.pictures:10d}{r.exercises:11d}" for r in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    print(listing())
