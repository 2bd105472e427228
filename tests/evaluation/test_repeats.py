"""Stored rows are measured again: what comes out the same holds, what does not is named."""

import pytest
from typer.testing import CliRunner

from camutils.__main__ import app
from camutils.evaluation import experiments, repeats, tables
from camutils.evaluation.experiment_files import Run
from camutils.evaluation.repeats import TOLERANCE, compared
from camutils.evaluation.results import as_csv, read_table

ASKED = '''
title = "Two scenes"
kind = "benchmark"
methods = ["grad_cam", "layer_cam"]

[[runs]]
name = "01_{model}"
dataset = "scenes"
models = ["scenes_resnet"]
first = 3
limit = 3
metrics = ["pixel_ap", "drop"]
'''
METHODS = ["grad_cam", "layer_cam"]
RUN = Run("01_x", "01_two", "Two", "benchmark", "scenes", "scenes_resnet", None, 3, ["energy", "drop"], METHODS)


def rows(energy=0.0, drop=0.0, images=("a", "b", "c")):
    return [{"image": image, "class": 1.0, "method": method, "energy": 0.5 + energy * (method == "layer_cam"),
             "drop": 20.0 + drop} for image in images for method in METHODS]


def test_the_metric_farthest_off_is_named():
    same = compared(RUN, rows(), rows())
    assert (same.rows, same.mean, same.row, same.holds) == (3, 0, 0, True)
    off = compared(RUN, rows(), rows(energy=0.001, drop=0.15))  # a half, and three quarters, of what is accepted
    assert (off.metric, off.holds) == ("drop", True) and off.mean == pytest.approx(0.15)
    assert off.tolerance == TOLERANCE["drop"] == 0.2
    off = compared(RUN, rows(), rows(energy=0.003, drop=0.15))
    assert (off.metric, off.holds) == ("energy", False) and off.mean == off.row == pytest.approx(0.003)
    with pytest.raises(ValueError, match="01_x: 2 rows are not in both"):
        compared(RUN, rows(), rows(images=("a", "b")))


def test_one_row_may_be_off_where_the_mean_is_not():
    again = rows()
    again[1]["energy"] += 0.005
    found = compared(RUN, rows(), again)
    assert found.holds and found.row == pytest.approx(0.005) and found.mean == pytest.approx(0.005 / 3)


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "01_two.toml").write_text(ASKED)
    for module in (experiments, repeats, tables):
        monkeypatch.setattr(module, "DATA", tmp_path)
    experiments.make_results(out=tmp_path / "out")
    return tmp_path


def test_a_stored_run_is_measured_again_by_its_first_rows(data):
    path = data / "results" / "01_scenes_resnet" / "results.csv"
    stored = read_table(path)
    of_two = sum(row["method"] == "grad_cam" for row in stored if row["image"] in ("test_00003", "test_00004"))
    said = CliRunner().invoke(app, ["results", "--again", str(of_two)])
    assert said.exit_code == 0 and said.stdout.splitlines()[1].split()[:2] == ["01_scenes_resnet", str(of_two)], said.output
    for row in stored:
        row["drop"] += 1
    path.write_text(as_csv(stored, list(stored[0])))
    said = CliRunner().invoke(app, ["results", "--again", "1"])
    assert said.exit_code == 1 and said.stdout.rstrip().endswith("NOT within") and " drop " in said.stdout
    assert path.read_text() == as_csv(stored, list(stored[0]))
    assert sorted(p.name for p in path.parent.iterdir()) == sorted(experiments.KEPT)
    with pytest.raises(ValueError, match="0 rows; accepted: 1 or more"):
        list(repeats.repeat_results(rows=0))
