"""Notebooks for a class: copies without outputs, in a folder that stands by itself.

    handout()                every notebook -> build/handout/notebooks/; the pictures in their texts -> build/handout/figures/
    handout(["00", "02"])    some of them

Answers that are folded in a text (<details>) stay: they are part of the lesson. notebooks/solutions/ is never copied. A link to
another file of the repository that does not come along keeps its words only. `written.sha256` lists what was written, so that
nobody else's file, and no copy that someone has worked in, is ever replaced.
"""

import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import nbformat
from nbconvert.preprocessors import ClearOutputPreprocessor

from ..places import BUILD, NOTEBOOKS, ROOT
from ..whole import write_whole
from .render import find_notebooks

LIST = "written.sha256"  # in the form of sha256sum: checksum, two spaces, path
PICTURE = re.compile(r"""(?:\]\(|src=["'])\.\./(figures/[^)"'\s]+)""")
LINK = re.compile(r"\[([^\[\]]*)\]\(([^()\s]+)\)")  # words, target


def handout(names: Iterable[str] | None = None, out: Path | str | None = None) -> list[Path]:
    """Write copies of notebooks without outputs and return them; the committed ones are only read.

    names: see `find_notebooks`; out: their folder, default build/handout. Raises, before anything is written, ValueError for an
    unknown notebook or a folder in notebooks/, FileExistsError for one with files that are not of an earlier handout.
    """
    folder = Path(out or BUILD / "handout")
    chosen = [notebook for notebook in find_notebooks(names) if notebook.parent.name != "solutions"]
    for place in (folder.resolve(), (folder / "notebooks").resolve()):
        if place.is_relative_to(NOTEBOOKS.resolve()):
            raise ValueError(f"--out {folder} would write into {NOTEBOOKS}; accepted: a folder elsewhere")
    files = {}  # path in the folder -> content
    for notebook in chosen:
        copy, pictures = without_outputs(notebook, {p.name for p in chosen})
        files[f"notebooks/{notebook.name}"] = (nbformat.writes(copy) + "\n").encode()
        files |= {name: (ROOT / name).read_bytes() for name in pictures}
    listed = read_list(folder)
    check_own(folder, files, listed)
    new = {name: {sha256(content).hexdigest()} for name, content in files.items()}
    folder.mkdir(parents=True, exist_ok=True)
    write_list(folder, {name: listed.get(name, set()) | new.get(name, set()) for name in {*listed, *new}})  # a kill may follow
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_whole(folder / name, content)
    write_list(folder, listed | new)
    return [folder / "notebooks" / notebook.name for notebook in chosen]


def without_outputs(notebook: Path, together: set[str]) -> tuple[nbformat.NotebookNode, set[str]]:
    """A notebook without outputs and counts, and the pictures, figures/NAME, that its text shows.

    together: names of the notebooks that are handed out; links to others keep their words only. ValueError for a picture that
    is not in figures/.
    """
    copy, _ = ClearOutputPreprocessor().preprocess(nbformat.read(notebook, as_version=4), {})
    pictures: set[str] = set()

    def kept(link: re.Match[str]) -> str:
        target = notebook.parent / link[2].partition("#")[0]
        here = link[2].startswith("../figures/") or target.parent == notebook.parent and target.name in together
        return link[0] if here or not target.is_file() else link[1]

    for cell in copy.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(kept, cell.source)
            pictures.update(PICTURE.findall(cell.source))
    if outside := [name for name in pictures if ".." in Path(name).parts]:
        raise ValueError(f"{notebook.name} shows {outside[0]}; accepted: pictures in figures/")
    return copy, pictures


def read_list(folder: Path) -> dict[str, set[str]]:
    """What earlier handouts wrote to this folder: path in it -> checksums, more than one where a handout was cut off."""
    path, found = folder / LIST, dict[str, set[str]]()
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        code, _, name = line.partition("  ")
        found.setdefault(name, set()).add(code)
    return found


def write_list(folder: Path, listed: dict[str, set[str]]) -> None:
    """What `read_list` reads."""
    write_whole(folder / LIST, "".join(f"{code}  {name}\n" for name in sorted(listed) for code in sorted(listed[name])))


def check_own(folder: Path, files: dict[str, bytes], listed: dict[str, set[str]]) -> None:
    """FileExistsError for a notebook in the folder that no handout wrote, or that was changed since, and for such a file in the
    way."""
    found = {*folder.glob("*.ipynb"), *folder.glob("notebooks/*.ipynb"), *(p for p in map(folder.joinpath, files) if p.exists())}
    for path in sorted(found):
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        if content != files.get(name) and sha256(content).hexdigest() not in listed.get(name, ()):
            raise FileExistsError(f"{path} is not as a handout wrote it; accepted as --out: another folder, or move it away")
