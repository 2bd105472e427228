"""The README's Python, run as it stands, from top to bottom, in a folder with a picture."""

import re

import matplotlib
import pytest
from PIL import Image

from camutils import photograph
from camutils.book.readme_table import lines, time_lines
from camutils.places import ROOT

CODE = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    Image.fromarray(photograph("chelsea")).save("dog.jpg")
    runnable = [c for c in CODE if not c.startswith("method(")]
    names = {}
    for code in runnable:
        exec(compile(code, "README.md", "exec"), names)
    assert len(runnable) == 4 and names["heat"].shape == (1, 224, 224) and (tmp_path / "dog_grad_cam.png").exists()
    assert names["g3"].shape[1:] == (96, 12, 12) and names["g4"].shape[1:] == (128, 12, 12)
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize("command", re.findall(r"(?m)(?:^|`)camutils (\w+)", (ROOT / "README.md").read_text()))
def test_the_commands_exist(command):
    from camutils.__main__ import app

    names = {c.name or c.callback.__name__ for c in app.registered_commands}
    assert command in names


def test_the_comparison_table_is_what_the_stored_results_say():
    assert "\n".join(lines()) in (ROOT / "README.md").read_text()


def test_the_table_of_times_is_what_was_stored():
    said = (ROOT / "README.md").read_text()
    assert all(table in said for table in "\n".join(time_lines()).split("\n\n"))
