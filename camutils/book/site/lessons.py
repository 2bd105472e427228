"""Notebooks as the site shows them: a text for every picture, a place to link to at every figure, links to pages.

The committed notebooks are read and stay as they are. A figure's text is made of what its cell writes into it (titles, names of
axes and columns; of a diagram the first line of its docstring) and of what the lesson says below it.
"""

import ast
import re
from collections.abc import Iterator
from inspect import getdoc
from typing import NamedTuple

import nbformat

from ...methods import METHODS
from ...places import ROOT
from .. import diagrams
from ..figures import LABELS
from .pages import relinked

SAVED = re.compile(r'save_(?:figure|moving)\(\w+, "([^"]+)"')
LONGEST = 400  # letters of a figure's text
OWN = {"1": "integrative_cam", "2": "gig_cam", "3": "cluster_cam"}  # first digit of a lesson -> the method that it is about
SIGNS = {"alpha": "α", "beta": "β", "gamma": "γ", "lambda": "λ", "rho": "ρ", "sum": "Σ", "odot": "·", "cdot": "·", "times": "×",
         "le": "≤", "ge": "≥", "partial": "∂", "max": "max", "min": "min", "ln": "ln", "log": "log", "sigma": "σ", "approx": "≈"}


class Drawn(NamedTuple):
    """A figure of a lesson: its name, the lesson's path, what it shows in words, the methods in it."""

    name: str
    lesson: str
    text: str
    methods: tuple[str, ...]

    @property
    def place(self) -> str:
        """The anchor at the cell that makes it."""
        return place(self.name)


def place(name: str) -> str:
    """The anchor at the cell that makes the figure NAME."""
    return "figure-" + name.replace("_", "-")


def staged(path: str) -> tuple[nbformat.NotebookNode, list[Drawn], set[str]]:
    """A notebook, its path in the repository, as Sphinx gets it; its figures; the files that its texts need."""
    notebook, drawn, files = nbformat.read(ROOT / path, as_version=4), list[Drawn](), set[str]()
    cells: list[nbformat.NotebookNode] = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            cell.source, needed = relinked(cell.source, path, path)
            files |= needed
        elif names := SAVED.findall(cell.source):
            below = next((other.source for other in notebook.cells[number + 1:] if other.cell_type == "markdown"), "")
            figure = Drawn(names[0], path, figure_text(names[0], cell.source, below), methods_in(cell.source, below, names[0]))
            drawn.append(figure)
            cell.metadata["mystnb"] = {"image": {"alt": figure.text}}
            mark = nbformat.v4.new_markdown_cell(f'<span id="{figure.place}"></span>', id=f"place-{number}")
            cells.append(mark)
        cells.append(cell)
    notebook.cells = cells
    return notebook, drawn, files


def figure_text(name: str, source: str, below: str) -> str:
    """What a figure shows, in words: what its cell writes into it, and what the lesson says below it."""
    number, _, words = name.partition("_")
    written = "; ".join(dict.fromkeys(written_in(source)))
    said = plain(below)
    text = f"Figure {words.replace('_', ' ')} of notebook {number}"
    text += (f", with the words {written}" if written else "") + f". {said}"
    if len(text) <= LONGEST:
        return text
    short = text[:LONGEST]
    end = max(short.rfind(mark) for mark in (". ", "? ", ": "))
    return short[:end + 1] if end > LONGEST / 3 else short[:short.rfind(" ")] + " …"


def written_in(source: str) -> Iterator[str]:
    """Texts that a cell writes into its figure; … where it writes a number or name that is known only when it runs."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("set_title", "suptitle", "set_xlabel", "set_ylabel") and node.args:
            yield from _text(node.args[0])
        if called == "show_maps" and len(node.args) > 1 and isinstance(node.args[1], ast.Dict):
            for key in node.args[1].keys:
                yield from _text(key)
        if isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "diagrams":
            yield (getdoc(getattr(diagrams, called)) or "").split("\n")[0].rstrip(".")
        for keyword in node.keywords:
            if keyword.arg in ("title", "xlabel", "ylabel"):
                yield from _text(keyword.value)


def _text(node: ast.expr | None) -> Iterator[str]:
    """The text of a constant or of an f-string."""
    pieces = node.values if isinstance(node, ast.JoinedStr) else [node]
    texts = (piece.value if isinstance(piece, ast.Constant) else None for piece in pieces)
    text = "".join(piece if isinstance(piece, str) else "…" for piece in texts)
    if re.search(r"\w{2}", text):
        yield plain(text)


def plain(markdown: str) -> str:
    """The words of a piece of Markdown, first paragraph first, in one line."""
    text = re.sub(r"<summary>.*?</summary>|<[^>]+>|^#+ .*$", "", markdown, flags=re.M)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\\(?:mathrm|text|big|Big|,|;|!|quad|tfrac|frac|left|right)\b|\\[,;! ]", " ", text)
    text = re.sub(r"\\([a-zA-Z]+)", lambda sign: SIGNS.get(sign[1], sign[1]), text)
    text = re.sub(r"[*`${}]", "", text)
    return " ".join(text.split())


def methods_in(source: str, below: str, name: str) -> tuple[str, ...]:
    """Methods that the cell of a figure names, by function or label; else those of the text below; else the lesson's own."""
    for text in (source, below):
        found = tuple(method for method in METHODS
                      if re.search(rf"\b{method}\b|(?<![\w-]){re.escape(LABELS[method])}(?![\w+])", text))
        if found:
            return found
    return (OWN[name[0]],) if name[0] in OWN else ()
