"""The docstrings of `camutils` as pages: read from the source, never imported, so that a page is the same wherever it is made.

A docstring is plain text. What stands indented behind an empty line is an equation (set by `equations.tex`), code, or a table;
these two, and options that are lined up in columns, are shown as they stand. The rest are sentences: names in backticks lead to
what they name, arXiv numbers and notebooks to these.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...places import PACKAGE
from .equations import CODE, tex

INDENTED = re.compile(r" {4}")
COLUMNS = re.compile(r"^ +\S|\S {3,}\S|^[\w, ]+ {2,}\S")  # a line of a table: it runs on from above, or has wide gaps
PROSE = re.compile(r"(`[^`]+`|arXiv \d{4}\.\d{4,5}|notebooks/\d\d_\w+)")


class Module(NamedTuple):
    """A module: its dotted name, docstring, public functions and classes in order; `rooms` are packages."""

    name: str
    text: str
    public: list[ast.FunctionDef | ast.ClassDef]
    room: bool


def modules() -> list[Module]:
    """Every module of the package but the command line, rooms before what is in them."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py"), key=lambda p: (p.parent, p.stem != "__init__", p.stem)):
        if path.stem != "__main__":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            name = ".".join(["camutils", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
            public = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_"
                      and not any(ast.unparse(mark) == "overload" for mark in node.decorator_list)]
            found.append(Module(name, ast.get_docstring(tree) or "", public, path.stem == "__init__"))
    return found


def reference_pages() -> dict[str, str]:
    """Path -> Markdown of the pages of the reference: api/index.md, and one for each module and room."""
    found = modules()
    names = {module.name for module in found}
    objects = {f"{module.name}.{node.name}": node for module in found for node in module.public}
    pages = {}
    for module in found:
        below = [other for other in found if other.name.rpartition(".")[0] == module.name and module.room]
        title = "API reference" if module.name == "camutils" else module.name.removeprefix("camutils.")
        text = [f"# {title}\n", f"```{{py:module}} {module.name}\n```\n", *blocks(module.text, module.name, objects)]
        if module.name == "camutils":
            text.append(short_names(objects))
        text += [described(node, f"{module.name}.{node.name}", objects) for node in module.public]
        if below:
            text.append("## Inside\n" if module.room else "")
            text += [f"- [{one.name.removeprefix('camutils.')}]({page(one.name)}): {first_line(one.text)}" for one in below]
            text.append("\n```{toctree}\n:hidden:\n:maxdepth: 1\n\n" + "\n".join(page(o.name)[:-3] for o in below) + "\n```\n")
        pages[f"api/{page(module.name)}"] = "\n".join(text)
    assert len(pages) == len(names)
    return pages


def page(name: str) -> str:
    """The file of a module's page."""
    return "index.md" if name == "camutils" else f"{name}.md"


def first_line(text: str) -> str:
    """What a docstring says first, without the dot at its end, as Markdown."""
    return escaped(text.split("\n")[0].rstrip(".:"))


def short_names(objects: dict[str, ast.FunctionDef | ast.ClassDef]) -> str:
    """A table of everything that is `cam.NAME`, by rooms."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    rows = ["## All that is `cam.NAME`\n", "| | |", "|---|---|"]
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = locate(alias.name, f"camutils.{node.module}", objects)
                if full:
                    text = first_line(ast.get_docstring(objects[full]) or "").replace("|", "\\|").replace("\\\\|", "\\|")
                    rows.append(f"| {{py:obj}}`{alias.name} <{full}>` | {text} |")
    return "\n".join(rows) + "\n"


def locate(name: str, near: str, objects: dict[str, ast.FunctionDef | ast.ClassDef]) -> str:
    """The full name of an object that a docstring of the module `near` calls NAME; "" where it is none, or might be several."""
    name = name.removeprefix("cam.").removeprefix("camutils.")
    own = [full for full in (f"{near}.{name}", f"{near.rpartition('.')[0]}.{name}") if full in objects]
    inside = [full for full in objects if full.endswith(f".{name}")]
    below = [full for full in inside if full.startswith(f"{near}.")]
    for found in (own, below, inside):
        if len(found) == 1:
            return found[0]
    return ""


def described(node: ast.FunctionDef | ast.ClassDef, full: str, objects: dict[str, ast.FunctionDef | ast.ClassDef]) -> str:
    """A function or class with its signature and docstring, a class with the public methods that say something."""
    module, _, name = full.rpartition(".")
    body = blocks(ast.get_docstring(node) or "", module, objects)
    if isinstance(node, ast.FunctionDef):
        return directive("py:function", name + signature(node), body)
    inner = []
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name[0] != "_" and ast.get_docstring(part):
            methods = blocks(ast.get_docstring(part) or "", module, objects)
            inner.append(directive("py:method", part.name + signature(part, bound=True), methods))
    return directive("py:class", name + fields(node), body + inner, "`````")


def directive(kind: str, head: str, body: list[str], fence: str = "````") -> str:
    """A directive of Sphinx with its content."""
    return f"{fence}{{{kind}}} {head}\n\n" + "\n".join(body) + f"\n{fence}\n"


def signature(node: ast.FunctionDef, bound: bool = False) -> str:
    """Arguments and result as they stand in the source; `self` is left out."""
    written = ast.unparse(node.args)
    if bound:
        written = re.sub(r"^(self|cls)(, )?", "", written)
    return f"({written})" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")


def fields(node: ast.ClassDef) -> str:
    """What a class is made from: its __init__, or the fields of a tuple or data class."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return signature(part, bound=True).removesuffix(" -> None")
    own = [ast.unparse(part).replace(" = ", "=") for part in node.body if isinstance(part, ast.AnnAssign)]
    return f"({', '.join(own)})" if own else ""


def blocks(text: str, near: str, objects: dict[str, ast.FunctionDef | ast.ClassDef]) -> list[str]:
    """A docstring as Markdown, block by block."""
    return [block + "\n" for kind, lines in split(text) for block in [written(kind, lines, near, objects)]]


def split(text: str) -> Iterator[tuple[str, list[str]]]:
    """The blocks of a docstring: ("indented", lines), ("columns", lines) or ("sentences", lines)."""
    kind, lines = "", list[str]()
    for line in [*text.splitlines(), ""]:
        if not line.strip():
            new = "indented" if kind == "indented" else ""  # an empty line inside of an equation does not end it
        elif INDENTED.match(line) and kind in ("", "indented"):
            new = "indented"
        else:
            runs_on = kind == "sentences" and not line.startswith(" ") and "   " not in line
            new = "columns" if COLUMNS.search(line) and not runs_on else "sentences"
        if new != kind and lines:
            yield kind, lines
            lines = []
        if line.strip() or new:
            lines.append(line)
        kind = new
    while lines and not lines[-1].strip():
        lines.pop()
    if lines:
        yield kind, lines


def written(kind: str, lines: list[str], near: str, objects: dict[str, ast.FunctionDef | ast.ClassDef]) -> str:
    """One block as Markdown."""
    if kind == "sentences":
        return sentences(" ".join(lines), near, objects)
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    block = "\n".join(line[margin:] for line in lines).strip("\n")
    equation = tex(block) if kind == "indented" else None
    if equation:
        return f"```{{math}}\n{equation}\n```"
    language = "python" if any(CODE.search(line) for line in block.splitlines()) and parses(block) else "text"
    return f"```{language}\n{block}\n```"


def parses(block: str) -> bool:
    """Whether a block is Python."""
    try:
        ast.parse(block)
    except SyntaxError:
        return False
    return True


def sentences(text: str, near: str, objects: dict[str, ast.FunctionDef | ast.ClassDef]) -> str:
    """Sentences as Markdown, with links."""
    pieces = PROSE.split(text)
    return "".join(linked(piece, near, objects) if i % 2 else escaped(piece) for i, piece in enumerate(pieces))


def linked(found: str, near: str, objects: dict[str, ast.FunctionDef | ast.ClassDef]) -> str:
    """A name, an arXiv number or a notebook as a link."""
    if found.startswith("arXiv"):
        return f"[{found}](https://arxiv.org/abs/{found.split()[1]})"
    if found.startswith("notebooks/"):
        target = PACKAGE.parent / f"{found}.ipynb"
        return f"[{escaped(found)}](../{found}.ipynb)" if Path(target).is_file() else escaped(found)
    name = found.strip("`")
    full = locate(name, near, objects)
    return f"{{py:obj}}`{name} <{full}>`" if full else found


def escaped(text: str) -> str:
    """Plain text that Markdown leaves as it is; what stands in backticks is code."""
    return "".join(piece if i % 2 else re.sub(r"([\\*_\[\]<>#$|{}~^!])", r"\\\1", piece)
                   for i, piece in enumerate(re.split(r"(`[^`]+`)", text)))
