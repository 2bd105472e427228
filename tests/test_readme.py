"""The Python of the README and of its pages, run as it stands, from top to bottom, in a folder with a picture; their links."""

import re

import matplotlib
import pytest
from PIL import Image

from camutils import photograph
from camutils.book.readme_table import MEASURES, lines, time_lines
from camutils.places import ROOT

PAGES = {name: (ROOT / name).read_text() for name in ("README.md", "camutils/README.md", "camutils/BESIDE_OTHERS.md",
                                                      "notebooks/README.md", "data/README.md", "data/experiments/README.md",
                                                      "CONTRIBUTING.md", "CHANGELOG.md")}


@pytest.mark.parametrize("page, count", [("README.md", 1), ("camutils/README.md", 4)])
def test_the_examples_run(page, count, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    Image.fromarray(photograph("chelsea")).save("dog.jpg")
    found = re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL)
    runnable, names = [c for c in found if not c.startswith("method(")], {}
    for code in runnable:
        exec(compile(code, page, "exec"), names)
    assert len(runnable) == count and names["heat"].shape == (1, 224, 224) and (tmp_path / "dog_grad_cam.png").exists()
    if page != "README.md":
        assert names["g3"].shape[1:] == (96, 12, 12) and names["g4"].shape[1:] == (128, 12, 12)
    matplotlib.pyplot.close("all")


def anchors(text):
    """The anchors that a Markdown page gives its heads: small letters, hyphens for spaces."""
    heads = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?s)```.*?```", "", text))
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", PAGES[page])
    for link in links:
        if not link.startswith(("http", "mailto")):
            path, _, anchor = link.partition("#")
            target = (ROOT / page).parent / path if path else ROOT / page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text()), link


def test_the_readme_is_short():
    assert len(PAGES["README.md"].split()) < 1000


@pytest.mark.parametrize("command", sorted({c for text in PAGES.values() for c in re.findall(r"(?m)^camutils (\w+)", text)}))
def test_the_commands_exist(command):
    from camutils.__main__ import app

    names = {c.name or c.callback.__name__ for c in app.registered_commands}
    assert command in names


def test_the_comparison_table_is_what_the_stored_results_say():
    assert all("\n".join(lines(measure)) in PAGES["notebooks/README.md"] for measure in MEASURES)


def test_the_table_of_times_is_what_was_stored():
    said = PAGES["camutils/BESIDE_OTHERS.md"]
    assert all(table in said for table in "\n".join(time_lines()).split("\n\n"))
