"""Notebooks for a class: nothing but outputs is missing, every link leads somewhere, nobody's file is replaced."""

import re
from hashlib import sha256

import nbformat
import pytest

from camutils.book import handout
from camutils.book.render import find_notebooks
from camutils.places import NOTEBOOKS, ROOT

PROSE = """Look at ![a map](../figures/photos/90_map.png), <img src="../figures/90_drawn.png">, [one](../figures/90_line.png),
[next](91_next.ipynb#2-how), [later](92_later.ipynb), [answers](solutions/90_small.ipynb), [data](../README.md), [here](#top),
[the paper](https://example.org/a.pdf), $f[K](x)$.

<details><summary>Answer</summary>

It is 42.
</details>"""
HANDED = PROSE.replace("[later](92_later.ipynb)", "later").replace("[answers](solutions/90_small.ipynb)", "answers").replace(
    "[data](../README.md)", "data")


@pytest.fixture
def school(house):
    """The small project with three notebooks that have been run, solutions, and figures."""
    path = house / "notebooks" / "90_small.ipynb"
    book = nbformat.read(path, 4)
    for number, cell in enumerate(book.cells, 1):
        cell.update(execution_count=number, outputs=[nbformat.v4.new_output("stream", text="seen before")])
    (house / "notebooks" / "solutions").mkdir()
    for name in ("91_next", "92_later", "solutions/90_small", "solutions/91_next"):
        nbformat.write(book, house / "notebooks" / f"{name}.ipynb")
    book.cells.insert(0, nbformat.v4.new_markdown_cell(PROSE, id="prose"))
    nbformat.write(book, path)
    for name in ("README.md", "figures/photos/90_map.png", "figures/90_drawn.png", "figures/90_line.png", "figures/90_other.png"):
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).write_bytes(name.encode())
    return house


def files(folder):
    """Path -> bytes of everything in a folder, or nothing without one."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_copy_lacks_its_outputs_and_nothing_else(school):
    before = files(school)
    made = handout.handout()
    folder = school / "build" / "handout"
    assert made == [folder / "notebooks" / f"{name}.ipynb" for name in ("90_small", "91_next", "92_later")]
    for path in made[1:]:
        book = nbformat.read(school / "notebooks" / path.name, 4)
        for cell in book.cells:
            cell.update(execution_count=None, outputs=[])
        assert nbformat.read(path, 4) == book
    assert b"seen before" not in b"".join(files(folder).values())
    assert {name: content for name, content in files(school).items() if not name.startswith("build/")} == before


def test_what_a_text_shows_comes_along_and_other_links_lose_their_target(school):
    handout.handout(["90", "91_next"])
    folder = school / "build" / "handout"
    pictures = ["figures/90_drawn.png", "figures/90_line.png", "figures/photos/90_map.png"]
    assert sorted(files(folder)) == [*pictures, "notebooks/90_small.ipynb", "notebooks/91_next.ipynb", "written.sha256"]
    assert all((folder / name).read_bytes() == (school / name).read_bytes() for name in pictures)
    assert nbformat.read(folder / "notebooks" / "90_small.ipynb", 4).cells[0].source == HANDED


@pytest.mark.parametrize("place", ["notebooks", "notebooks/class", ".", "notebooks/../notebooks/class", "link"])
def test_the_notebooks_own_folder_is_refused(school, place):
    (school / "link").symlink_to(school / "notebooks")
    before = files(school)
    with pytest.raises(ValueError, match=r"would write into .*notebooks; accepted: a folder elsewhere"):
        handout.handout(["91"], school / place)
    assert files(school) == before


@pytest.mark.parametrize("name", ["mine.ipynb", "notebooks/mine.ipynb", "notebooks/90_small.ipynb", "figures/90_line.png"])
def test_someone_elses_file_is_left_alone(school, name):
    path = school / "class" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=f"{re.escape(str(path))} is not as a handout wrote it; accepted as --out"):
        handout.handout(["90"], school / "class")
    assert files(school / "class") == {name: b"mine"}


def test_an_earlier_handout_is_replaced_unless_someone_worked_in_it(school):
    folder, source = school / "class", school / "notebooks" / "91_next.ipynb"
    (copy,) = handout.handout(["91"], folder)
    source.write_text(source.read_text().replace("a number", "another number"))
    handout.handout(["91"], folder)
    assert "another number" in copy.read_text()
    handout.handout(["92"], folder)  # one more beside it
    handout.handout(None, folder)
    assert sorted(p.name for p in copy.parent.iterdir()) == ["90_small.ipynb", "91_next.ipynb", "92_later.ipynb"]
    listed = [line.split("  ") for line in (folder / "written.sha256").read_text().splitlines()]
    assert len(listed) == 6 and all(sha256((folder / name).read_bytes()).hexdigest() == code for code, name in listed)
    copy.write_text(copy.read_text().replace("another number", "a pupil's number"))
    before = files(folder)
    with pytest.raises(FileExistsError, match="91_next.ipynb is not as a handout wrote it"):
        handout.handout(["92"], folder)
    assert files(folder) == before


def test_an_unknown_notebook_writes_nothing(school):
    with pytest.raises(ValueError, match="unknown notebook '93'; accepted: 90_small"):
        handout.handout(["90", "93"])
    assert not (school / "build").exists()


@pytest.mark.parametrize("names", [None, ["00", "20", "43"]])
def test_every_link_of_the_real_ones_leads_somewhere(tmp_path, names):
    made = handout.handout(names, tmp_path)
    assert [p.name for p in made] == [p.name for p in find_notebooks(names) if p.parent.name != "solutions"]
    shown = 0
    for path in made:
        prose = "\n".join(c.source for c in nbformat.read(path, 4).cells if c.cell_type == "markdown")
        for target in re.findall(r"\]\(([^)#\s]+)", prose):
            if (NOTEBOOKS / target).exists():
                assert (path.parent / target).resolve().is_relative_to(tmp_path) and (path.parent / target).is_file(), target
                shown += 1
    assert shown >= 2
    assert all((ROOT / name).read_bytes() == content for name, content in files(tmp_path).items() if name.startswith("figures/"))
