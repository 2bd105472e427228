"""The contract that every notebook keeps: its form, its outputs, its figures. (That outputs reproduce is nbval's part.)"""

import io
import re
from base64 import b64decode

import nbformat
import numpy as np
import pytest
from PIL import Image, ImageChops

from camutils.book.exercises import CHECKS
from camutils.book.render import PRESETS, find_notebooks, parameters_of
from camutils.places import NOTEBOOKS, ROOT, figure_path

REPORTS = ("19", "29", "39", "41", "43")  # tables to look things up in: no exercises
ALL = [p for p in find_notebooks() if p.parent == NOTEBOOKS]
TOOLS = ("90",)  # notebooks to use, not to learn from: they are as short as they can be
SOLUTIONS = [p for p in find_notebooks() if p.parent != NOTEBOOKS]
each = pytest.mark.parametrize("path", ALL, ids=lambda p: p.stem)


def cells(path, kind):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == kind]


def text(path):
    return "\n".join(c.source for c in cells(path, "markdown"))


def test_there_are_notebooks():
    assert [p.stem for p in ALL][:2] == ["00_first_heatmap", "01_grad_cam_family"]


@pytest.mark.parametrize("number", TOOLS)
def test_a_tool_says_how_it_is_used_and_what_to_try(number):
    (path,) = [p for p in ALL if p.stem.startswith(f"{number}_")]
    prose = text(path)
    assert prose.startswith(f"# {number} · ") and "This notebook is a tool" in prose.split("##")[0]
    assert re.findall(r"(?m)^## (.+)$", prose) == ["What you can do", "Things to try"]
    tried = prose.split("## Things to try")[1]
    assert len(re.findall(r"(?m)^\d\. .+", tried)) == 5


@pytest.mark.parametrize("path", [p for p in ALL if p.stem.split("_")[0] not in TOOLS], ids=lambda p: p.stem)
def test_skeleton(path):
    number = path.stem.split("_")[0]
    prose = text(path)
    assert prose.startswith(f"# {number} · ")
    opening = "After this notebook you can" if "After this notebook you can" in prose else "In this notebook we"
    exercises = () if number in REPORTS else ("## Exercises",)
    for part in ("**Reference", opening, "## What we saw", *exercises):
        assert part in prose, f"{path.stem} lacks {part!r}"
    assert not re.search(r"\b(RESULT|SAW)", prose), "an unfilled place"
    asked = prose.split(opening)[1].split("\n#")[0]
    answered = prose.split("## What we saw")[1].split("## Exercises")[0]
    assert asked.count("\n- ") == answered.count("\n- ") == 3


@each
def test_one_commented_and_annotated_parameters_cell(path):
    tagged = [c for c in cells(path, "code") if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    for line in tagged[0].source.split("\n"):
        assert re.fullmatch(r"\w+: \w+(\[\w+\])? = .+  # .+", line), line


@each
def test_executed_top_to_bottom_without_errors(path):
    code = cells(path, "code")
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    for cell in code:
        assert not any(o.output_type == "error" or o.get("name") == "stderr" for o in cell.outputs), cell.source
        assert not any(tag == "injected-parameters" for tag in cell.metadata.get("tags", []))
        assert "papermill" not in cell.metadata and "execution" not in cell.metadata


@each
def test_outputs_name_no_machine(path):
    for cell in cells(path, "code"):
        for out in cell.outputs:
            shown = out.get("text", "") + out.get("data", {}).get("text/plain", "")
            assert str(ROOT) not in shown and not re.search(r"\b0x[0-9a-f]{6,}", shown), shown


@each
def test_figures_carry_the_number_and_exist(path):
    number = path.stem.split("_")[0]
    source = "\n".join(c.source for c in cells(path, "code"))
    saved = re.findall(r'save_figure\(\w+, "([^"]+)"\)', source)
    assert saved and all(name.startswith(f"{number}_") for name in saved)
    assert all((ROOT / "figures" / f"{name}.png").exists() for name in saved)
    shown = re.findall(r"\]\(\.\./(figures/[^)]+)\)", text(path))
    assert all((ROOT / name).exists() for name in shown), shown
    if set(PRESETS["photos"]) <= set(parameters_of(path)):
        assert all(figure_path(name, "photos").exists() for name in saved)


def test_no_picture_stands_twice():
    seen = {}
    for path in sorted((ROOT / "figures").rglob("*.png")):
        seen.setdefault(path.read_bytes(), []).append(path.relative_to(ROOT).as_posix())
    assert [names for names in seen.values() if len(names) > 1] == []


def test_every_figure_comes_from_a_notebook():
    saved = {name for p in ALL for c in cells(p, "code") for name in re.findall(r'save_figure\(\w+, "([^"]+)"\)', c.source)}
    assert {p.stem for p in (ROOT / "figures").rglob("*.png")} <= saved


def looks(png):
    """A picture without its margin, in 32 x 24 cells: what is left when letters are drawn at another size."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    box = ImageChops.difference(picture, Image.new("RGB", picture.size, "white")).getbbox()
    return np.asarray(picture.crop(box).resize((32, 24), Image.Resampling.BOX), float) / 255


def test_a_figure_is_made_and_shown_in_one_cell_and_is_its_file():
    """One cell saves it and shows it, and no file in figures/ looks more like what is shown than its own."""
    shown = {}
    for path in ALL:
        for cell in cells(path, "code"):
            names = re.findall(r'save_figure\(\w+, "([^"]+)"', cell.source)
            pictures = [b64decode(o.data["image/png"]) for o in cell.outputs if "image/png" in o.get("data", {})]
            assert len(names) == len(pictures) <= 1, (path.stem, names)
            shown |= dict(zip(names, map(looks, pictures), strict=True))
    files = {name: looks((ROOT / "figures" / f"{name}.png").read_bytes()) for name in shown}
    for name, seen in shown.items():
        away = {other: np.sqrt(((seen - file) ** 2).mean()) for other, file in files.items()}
        assert min(away, key=away.get) == name and away[name] < 0.055, (name, away[name])


def test_readme_table_names_every_notebook():
    readme = (ROOT / "README.md").read_text()
    assert all(f"notebooks/{p.name}" in readme for p in ALL)
    course = (NOTEBOOKS / "README.md").read_text()
    assert all(f"]({p.name})" in course for p in ALL)


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda p: p.stem)
def test_solutions_solve_every_exercise_of_their_lesson(path):
    (lesson,) = [p for p in ALL if p.stem.startswith(f"{path.stem}_")]
    asked = set(re.findall(r'exercises.check\("(\d\d\.\d)", answer\)', "".join(c.source for c in cells(lesson, "code"))))
    assert asked == {number for number in CHECKS if number.startswith(f"{path.stem}.")}
    code = cells(path, "code")
    said = "".join(o.get("text", "") for c in code for o in c.outputs)
    assert {number for number in asked if f"{number}: yes, this holds" in said} == asked
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))


def test_a_blank_exercise_is_not_answered():
    for lesson in ALL:
        for cell in cells(lesson, "code"):
            if "exercises.check" in cell.source:
                assert cell.source.startswith("answer = ...  # ") and cell.outputs[0].text.endswith(": not answered\n")


def test_every_lesson_with_checked_exercises_has_solutions():
    assert {number.split(".")[0] for number in CHECKS} == {p.stem for p in SOLUTIONS}
