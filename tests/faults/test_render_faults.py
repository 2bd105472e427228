"""A render that is killed, whose kernel dies, or that finds damaged files: notebook and figures stay, or are made whole."""

import os
import time
from pathlib import Path

import nbformat
import pytest
from PIL import Image
from test_kills import start

from camutils.book import render

HERE = Path(__file__).parent
PICTURE = ("import os\nfrom pathlib import Path\nfrom PIL import Image\nfolder = Path(os.environ['CAMUTILS_FIGURES'])\n"
           "folder.mkdir(exist_ok=True)\nImage.new('RGB', (40, 40), 'red').save(folder / '90_line.png')\nprint('drawn')")
HANGS = ("Path('kernel.pid.part').write_text(str(os.getpid()))\nos.replace('kernel.pid.part', 'kernel.pid')\n"
         "import time\ntime.sleep(600)")


@pytest.fixture
def rendered(house):
    """The small project with a notebook that draws without camutils, as if it had been rendered."""
    book = nbformat.read(house / "notebooks" / "90_small.ipynb", as_version=4)
    for cell, source in zip(book.cells, ("value: int = 2", PICTURE, "print('value', value)", "'the last'"), strict=True):
        cell.source = source
    book.cells[1].outputs = [nbformat.v4.new_output("stream", text="drawn")]
    nbformat.write(book, house / "notebooks" / "90_small.ipynb")
    (house / "figures").mkdir()
    Image.new("RGB", (40, 40), "red").save(house / "figures" / "90_line.png")
    return house


def change(house, source) -> None:
    """Another first picture, and another last cell; the outputs stay."""
    book = nbformat.read(house / "notebooks" / "90_small.ipynb", as_version=4)
    book.cells[1].source, book.cells[-1].source = PICTURE.replace("red", "blue"), source
    nbformat.write(book, house / "notebooks" / "90_small.ipynb")


def committed(house) -> dict[str, bytes]:
    """Every file of the project's notebooks and figures, hidden ones too."""
    return {str(p.relative_to(house)): p.read_bytes() for kind in ("notebooks", "figures") for p in (house / kind).rglob("*")}


def runs(pid: int) -> bool:
    """Is there a process of this number that has not ended?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    try:
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:  # it ended meanwhile
        return False


def ends(pid: int, seconds: float = 60) -> bool:
    """Does this process end within so many seconds?"""
    end = time.monotonic() + seconds
    while runs(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not runs(pid)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no SIGKILL")
def test_killed_in_a_cell_it_leaves_everything_as_it_was_and_no_kernel_behind(rendered, tmp_path, monkeypatch):
    """With a picture drawn already; nobody was asked for anything on another machine meanwhile."""
    change(rendered, HANGS)
    before, told = committed(rendered), rendered / "notebooks" / "kernel.pid"
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("CAMUTILS_ASKED", str(tmp_path / "asked"))
    with start(HERE / "render_child.py", rendered) as process:
        while not told.exists() and process.poll() is None:
            time.sleep(0.02)
        assert process.poll() is None, process.stdout.read()
        kernel = int(told.read_text())
        assert runs(kernel)
    told.unlink()  # the end of the body was SIGKILL
    assert committed(rendered) == before
    assert ends(kernel)  # a kernel looks for its parent, once a second
    assert (tmp_path / "asked").read_text().splitlines() == ["camutils", "kernel"]  # the hooks were there, and heard nothing


@pytest.mark.parametrize("source", ["os.kill(os.getpid(), 9)", "os.abort()"])
def test_a_kernel_that_dies_is_one_line_and_leaves_everything_as_it_was(rendered, source):
    change(rendered, source)
    before = committed(rendered)
    with pytest.raises(OSError, match="90_small.ipynb: Kernel died, by a signal or for want of memory; the notebook and"):
        render.render()
    assert committed(rendered) == before


@pytest.mark.parametrize("content", [b"", b"no picture", None], ids=["empty", "text", "cut"])
def test_damaged_figures_are_made_anew(rendered, content, monkeypatch):
    """What papermill and the kernel would give is there already."""
    picture, book = rendered / "figures" / "90_line.png", rendered / "notebooks" / "90_small.ipynb"
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2] if content is None else content)

    def executed(source, result, *_, **__):
        Path(os.environ["CAMUTILS_FIGURES"]).mkdir()
        (Path(os.environ["CAMUTILS_FIGURES"]) / "90_line.png").write_bytes(whole)
        Path(result).write_bytes(book.read_bytes())

    monkeypatch.setattr(render.papermill, "execute_notebook", executed)
    render.render()
    assert picture.read_bytes() == render.smaller(whole)
