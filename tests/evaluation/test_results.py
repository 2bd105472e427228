"""The stored measurements: the experiments ask for the same ones, and each says what it was measured with."""

import hashlib
import json
import re

import pytest

from camutils.datasets.voc import CHOSE
from camutils.evaluation.experiments import find_runs
from camutils.places import DATA

STORED = sorted(p.name for p in (DATA / "results").iterdir() if p.is_dir() and p.name != "runs")
ASKED = {run.name: run for run in find_runs()}


def record(name):
    return json.loads((DATA / "results" / name / "config.json").read_text())


def test_every_run_is_stored_and_every_stored_run_is_asked_for():
    assert set(STORED) == set(ASKED)


@pytest.mark.parametrize("name", STORED)
def test_a_stored_run_is_what_its_experiment_makes(name):
    config, run = record(name)["config"], ASKED[name]
    asked = {key: getattr(run, key) for key in ("dataset", "model", "split", "limit", "methods")} | {"seed": 0}
    if run.kind == "benchmark":
        link, tolerance = ("sigmoid", 0) if run.dataset == "scenes" else ("softmax", 15)
        asked |= {"metrics": run.metrics, "options": {}, "link": link, "tolerance": tolerance}
    else:
        asked |= {"draws": 1, "radii": [0.02, 0.05, 0.1]}
    assert {key: config[key] for key in asked} == asked
    assert ("metrics" in config) == (run.kind == "benchmark")
    assert run.limit is None or config["images"] == run.limit


@pytest.mark.parametrize("name", [run.name for run in ASKED.values() if "_tune_" in run.name])
def test_what_chose_a_default_is_in_a_tuning_split(name):
    """Scenes of the split tune; of VOC's val the first pictures of CHOSE, which no other id may be among."""
    run = ASKED[name]
    if run.dataset == "scenes":
        assert run.split == "tune"
    else:
        assert run.dataset == "voc" and run.split in ("val", "tune") and run.first == 0 and run.limit <= len(CHOSE)
        asked = "\n".join(CHOSE[: run.limit])
        assert record(name)["images_sha256"] == hashlib.sha256(asked.encode()).hexdigest()


def test_every_picture_that_is_set_apart_chose_one():
    assert max(run.limit for run in ASKED.values() if "_tune_" in run.name and run.dataset == "voc") == len(CHOSE)


@pytest.mark.parametrize("name", STORED)
def test_a_stored_run_says_what_it_was_measured_with(name):
    found = record(name)
    assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?", found["commit"]) and found["versions"]["torch"]
    assert re.fullmatch(r"[0-9a-f]{64}", found["weights_sha256"])
    assert (DATA / "results" / name / "summary.csv").read_text().count("\n") > len(ASKED[name].metrics or "1")  # a head
