"""The stored measurements: `make results` would make the same ones, and each says what it was measured with."""

import json
import re
import shlex
import shutil
import subprocess

import pytest

from camutils.measure import split_list
from camutils.places import DATA, ROOT

RUNS = sorted(p for p in (DATA / "results").iterdir() if p.is_dir() and p.name != "runs")


@pytest.fixture(scope="module")
def recipe():
    """Run -> the options that `make results` starts it with."""
    if not shutil.which("make"):
        pytest.skip("no make here")
    text = subprocess.run(["make", "-n", "results", "ASSETS=DATA"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    runs, nets = {}, [""]
    for line in text.replace("\\\n", "").splitlines():
        nets = loop[1].split() if (loop := re.search(r"for net in ([\w ]+); do", line)) else nets
        for command in re.findall(r"(?:benchmark|sanity) (--dataset.*?build/results/\S+)", line):
            words = shlex.split(command)
            for net in nets if "$net" in command else [""]:
                options = {k: v.replace("$net", net) for k, v in zip(words[::2], words[1::2], strict=True)}
                runs[options["--out"].rsplit("/", 1)[1]] = options
    return runs


def test_every_run_is_stored_and_every_stored_run_is_made(recipe):
    assert sorted(recipe) == [run.name for run in RUNS]


@pytest.mark.parametrize("run", RUNS, ids=lambda p: p.name)
def test_stored_run_is_what_the_recipe_makes(run, recipe):
    config, options = json.loads((run / "config.json").read_text())["config"], recipe[run.name]
    assert set(config["methods"]) == set(split_list(options["--methods"]))
    assert config.get("metrics") == (split_list(options["--metrics"]) if "--metrics" in options else None)  # sanity has none
    assert [config[k] for k in ("model", "dataset", "split")] == [options.get(f"--{k}") for k in ("model", "dataset", "split")]
    assert str(config["limit"]) == options.get("--limit", "None")


@pytest.mark.parametrize("run", RUNS, ids=lambda p: p.name)
def test_stored_run_says_what_it_was_measured_with(run):
    record = json.loads((run / "config.json").read_text())
    assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?", record["commit"]) and record["versions"]["torch"]
    assert re.fullmatch(r"[0-9a-f]{64}", record["weights_sha256"]) and (run / "summary.csv").stat().st_size > 500
