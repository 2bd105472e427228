"""Experiments as data: what a file stands for, what is refused and in which words, which runs are made and kept."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from camutils.__main__ import app
from camutils.evaluation import experiments
from camutils.evaluation.experiment_files import Run, expand, read_experiment
from camutils.evaluation.experiments import KEPT, find_runs, make_results
from camutils.evaluation.results import read_table
from camutils.places import ROOT

COUNTS = """
title = "How many clusters?"
kind = "benchmark"
methods = ["grad_cam", {method = "cluster_cam", n_clusters = [5, 8], merge = ["cut", "soft"]}]

[[runs]]
name = "31_tune_{model}"
dataset = "voc"
models = ["mobilenet_v2", "squeezenet1_1"]
split = "val"
limit = 50
metrics = ["energy", "drop"]
before = ["score_cam"]
after = ["layer_cam:layer=features.9"]
"""
TINY = """
title = "Two scenes"
kind = "benchmark"
methods = ["grad_cam"]

[[runs]]
name = "01_{model}"
dataset = "scenes"
models = ["scenes_resnet", "scenes_vgg"]
limit = 2
metrics = ["energy"]
"""
CONTROLS = """
title = "Do maps depend on the network?"
kind = "sanity"
methods = ["grad_cam"]

[[runs]]
name = "42_{model}"
dataset = "scenes"
models = ["scenes_vgg"]
limit = 2
"""
LISTING = """\
run                    kind       data set  network        split  images  methods  stored  metrics

01_two_scenes.toml: Two scenes
01_scenes_resnet       benchmark  scenes    scenes_resnet  test   2       1        no      energy
01_scenes_vgg          benchmark  scenes    scenes_vgg     test   2       1        no      energy

31_counts.toml: How many clusters?
31_tune_mobilenet_v2   benchmark  voc       mobilenet_v2   val    50      7        yes     energy,drop
31_tune_squeezenet1_1  benchmark  voc       squeezenet1_1  val    50      7        no      energy,drop

42_controls.toml: Do maps depend on the network?
42_scenes_vgg          sanity     scenes    scenes_vgg     test   2       1        no      controls
"""


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder with three experiments, in place of the project's."""
    folder = tmp_path / "data"
    (folder / "experiments").mkdir(parents=True)
    for name, text in {"01_two_scenes": TINY, "31_counts": COUNTS, "42_controls": CONTROLS}.items():
        (folder / "experiments" / f"{name}.toml").write_text(text)
    monkeypatch.setattr(experiments, "DATA", folder)
    monkeypatch.delenv("CAMUTILS_ASSETS", raising=False)
    return folder


def names(runs):
    return [run.name for run in runs]


@pytest.mark.parametrize("entry, texts", [
    ("grad_cam:layer=layer3", ["grad_cam:layer=layer3"]),
    ({"method": "grad_cam"}, ["grad_cam"]),
    ({"method": "gig_cam", "max_dist": 1.0}, ["gig_cam:max_dist=1.0"]),
    ({"method": "cluster_cam", "n_clusters": [5, "elbow"], "merge": ["cut", "soft"], "baseline": "blur"},
     ["cluster_cam:n_clusters=5:merge=cut:baseline=blur", "cluster_cam:n_clusters=5:merge=soft:baseline=blur",
      "cluster_cam:n_clusters=elbow:merge=cut:baseline=blur", "cluster_cam:n_clusters=elbow:merge=soft:baseline=blur"]),
    ({"layer": "layer3", "method": ["grad_cam", "hires_cam"]}, ["grad_cam:layer=layer3", "hires_cam:layer=layer3"]),
    ({"method": "combined_cam", "clustering": ["none", "cut"], "options": ["path=line", "scales=[1,1.5]:ratio=mean"]},
     ["combined_cam:clustering=none:path=line", "combined_cam:clustering=none:scales=[1,1.5]:ratio=mean",
      "combined_cam:clustering=cut:path=line", "combined_cam:clustering=cut:scales=[1,1.5]:ratio=mean"])])
def test_a_grid_is_every_combination(entry, texts):
    assert expand(entry) == texts


def test_a_file_is_a_run_for_each_network(data):
    methods = ["score_cam", "grad_cam", "cluster_cam:n_clusters=5:merge=cut", "cluster_cam:n_clusters=5:merge=soft",
               "cluster_cam:n_clusters=8:merge=cut", "cluster_cam:n_clusters=8:merge=soft", "layer_cam:layer=features.9"]
    runs = read_experiment(data / "experiments" / "31_counts.toml")
    assert runs == [Run(f"31_tune_{net}", "31_counts", "How many clusters?", "benchmark", "voc", net, "val", 50,
                        ["energy", "drop"], methods) for net in ("mobilenet_v2", "squeezenet1_1")]
    runs = read_experiment(data / "experiments" / "42_controls.toml")
    assert runs == [Run("42_scenes_vgg", "42_controls", "Do maps depend on the network?", "sanity", "scenes", "scenes_vgg",
                        split=None, limit=2, metrics=None, methods=["grad_cam"])]


@pytest.mark.parametrize("old, new, says", [
    ('title = "Two scenes"', "", r"no title in the file; needed: title, kind, methods, runs"),
    ('title = "Two scenes"', 'titel = "x"', r"unknown key 'titel' in the file; accepted: title, kind, methods, runs"),
    ('title = "Two scenes"', "title = 3", r"title = 3 in the file; accepted: text"),
    ('"benchmark"', '"bench"', r"unknown kind 'bench'; accepted: benchmark, sanity"),
    ('"benchmark"', '"sanity"', r"unknown key 'metrics' in \[\[runs\]\]; accepted: name, dataset, models, split, limit"),
    ("[[runs]]", "[runs]", r"runs = \{.*\} in the file; accepted: a list that is not empty"),
    ('methods = ["grad_cam"]', "methods = []", r"methods = \[\] in the file; accepted: a list that is not empty"),
    ('["grad_cam"]', '["grad_camm"]', r"unknown method 'grad_camm'; nearest: grad_cam.*accepted: grad_cam, .*name:option=value"),
    ('["grad_cam"]', '["grad_cam:layer"]', r"method 'grad_cam:layer'; accepted: name:option=value"),
    ('["grad_cam"]', '["gig_cam:step=5"]', r"unknown option of gig_cam 'step'; accepted: layer, raw, steps, .*seed"),
    ('["grad_cam"]', '["grad_cam+M:scale=2"]', r"unknown option of grad_cam\+M 'scale'; accepted: layer, raw, .*scales"),
    ('["grad_cam"]', '["gig_cam:step=5^2"]', r"unknown option of gig_cam 'step'; accepted: layer, raw, steps, .*seed"),
    ('["grad_cam"]', '["grad_cam^2:layer=1"]', r"method 'grad_cam\^2:layer=1'; accepted: name:option=value\^G, G a finite"),
    ('["grad_cam"]', '["grad_cam", {method = "grad_cam"}]', r"method 'grad_cam' twice; accepted: each method once"),
    ('["grad_cam"]', "[3]", r"3 among the methods; accepted: text, or a table of a method and values of its options"),
    ('["grad_cam"]', "[{seed = [1, 2]}]", r"\{'seed': \[1, 2\]\} among the methods; accepted: text, or a table of a method"),
    ('["grad_cam"]', '[{method = "gig_cam", seed = []}]', r"seed = \[\] in a grid; accepted: one value or more"),
    ('["grad_cam"]', '[{method = "gig_cam_m", scales = [[1, 2]]}]', r"scales = \[\[1, 2\]\] in a grid; .*as text"),
    ('name = "01_{model}"', "", r"no name in \[\[runs\]\]; needed: name, dataset, models, metrics"),
    ('metrics = ["energy"]', "", r"no metrics in \[\[runs\]\]; needed: name, dataset, models, metrics"),
    ('metrics = ["energy"]', 'metrics = ["energie"]', r"unknown metric 'energie'; accepted: pointing, energy, pixel_ap"),
    ("limit = 2", "limit = 0", r"limit = 0 in \[\[runs\]\]; accepted: a whole number from 1"),
    ("limit = 2", "limits = 2", r"unknown key 'limits' in \[\[runs\]\]; accepted: name, dataset, models, metrics, split, limit"),
    ('"scenes"', '"folder"', r"unknown dataset 'folder'; accepted: scenes, imagenet, voc"),
    ("limit = 2", "limit = 2\nfirst = 0", r"first = 0 in \[\[runs\]\]; accepted: a whole number from 1"),
    ("limit = 2", "limit = ", r"Invalid value \(at line 10, column 9\)")])
def test_what_is_refused_names_the_file_what_was_given_and_what_is_accepted(data, old, new, says):
    path = data / "experiments" / "01_two_scenes.toml"
    assert old in TINY
    path.write_text(TINY.replace(old, new, 1))
    with pytest.raises(ValueError, match=f"^01_two_scenes.toml: {says}"):
        find_runs()


def test_names_are_given_once_and_files_have_a_number(data):
    path = data / "experiments" / "02_again.toml"
    path.write_text(TINY)
    with pytest.raises(ValueError, match=r"02_again.toml: a run '01_scenes_resnet' stands in 01_two_scenes.toml already"):
        find_runs()
    path.write_text(TINY.replace("01_{model}", "02_scenes"))  # one name for two networks
    with pytest.raises(ValueError, match=r"02_again.toml: a run '02_scenes' stands in 02_again.toml already; accepted"):
        find_runs()
    path.rename(path.with_name("again.toml"))
    with pytest.raises(ValueError, match=r"again.toml: an experiment's file; accepted: NN_name.toml"):
        find_runs()


@pytest.mark.parametrize("wanted, found", [
    (None, ["01_scenes_resnet", "01_scenes_vgg", "31_tune_mobilenet_v2", "31_tune_squeezenet1_1", "42_scenes_vgg"]),
    (["01"], ["01_scenes_resnet", "01_scenes_vgg"]),
    ("31_counts", ["31_tune_mobilenet_v2", "31_tune_squeezenet1_1"]),
    (["42", "data/experiments/01_two_scenes.toml"], ["01_scenes_resnet", "01_scenes_vgg", "42_scenes_vgg"]),
    (["31_tune_squeezenet1_1", "31_tune_squeezenet1_1"], ["31_tune_squeezenet1_1"])])
def test_runs_are_found_by_number_file_and_name(data, wanted, found):
    assert names(find_runs(wanted)) == found


def test_an_unknown_name_is_answered_with_the_nearest(data):
    with pytest.raises(ValueError, match=r"unknown experiment '01_scene_vgg'; nearest: 01_scenes_vgg, .*; accepted: numbers"):
        make_results(["42", "01_scene_vgg"])
    with pytest.raises(ValueError, match=r"unknown experiment '99'; nearest: none; accepted"):
        find_runs(["99"])


def test_a_dry_run_lists_and_makes_nothing(data, tmp_path):
    (data / "results" / "31_tune_mobilenet_v2").mkdir(parents=True)
    (data / "results" / "31_tune_mobilenet_v2" / "config.json").write_text("{}")
    said = CliRunner().invoke(app, ["results", "--dry-run", "--out", str(tmp_path / "out")])
    assert said.exit_code == 0 and said.output == LISTING
    assert not (tmp_path / "out").exists()
    said = CliRunner().invoke(app, ["results", "42", "--dry-run"])
    assert [line.split()[0] for line in said.output.splitlines() if line] == ["run", "42_controls.toml:", "42_scenes_vgg"]


def test_runs_on_a_part_in_the_middle(data, tmp_path):
    path = data / "experiments" / "01_two_scenes.toml"
    path.write_text(TINY.replace("limit = 2", "first = 200\nlimit = 2").replace('"scenes_resnet", ', ""))
    (run,) = find_runs("01")
    assert (run.first, run.limit) == (200, 2)
    assert experiments.listing([run]).splitlines()[-1].split()[4:8] == ["test", "2", "from", "200"]
    make_results(["01"], out=tmp_path / "out")
    rows = read_table(data / "results" / "01_scenes_vgg" / "results.csv")
    assert {row["image"] for row in rows} == {"test_00200", "test_00201"}


def test_runs_are_made_kept_and_taken_up_again(data, tmp_path, monkeypatch):
    out, real = tmp_path / "out", experiments.benchmark

    def stops(dataset, model, *args, **options):
        if model == "scenes_vgg":
            raise KeyboardInterrupt
        return real(dataset, model, *args, **options)

    monkeypatch.setattr(experiments, "benchmark", stops)
    with pytest.raises(KeyboardInterrupt):
        make_results(["01", "42"], out=out, batch=2)
    assert sorted(p.name for p in (data / "results").iterdir()) == ["01_scenes_resnet"]
    first = (out / "01_scenes_resnet" / "results.csv").stat().st_mtime_ns

    monkeypatch.setattr(experiments, "benchmark", real)
    assert names(make_results(["01", "42"], out=out, batch=2)) == ["01_scenes_resnet", "01_scenes_vgg", "42_scenes_vgg"]
    assert (out / "01_scenes_resnet" / "results.csv").stat().st_mtime_ns == first
    for run in ("01_scenes_resnet", "01_scenes_vgg", "42_scenes_vgg"):
        kept = data / "results" / run
        assert sorted(p.name for p in kept.iterdir()) == sorted(KEPT)
        assert all((kept / name).read_bytes() == (out / run / name).read_bytes() for name in KEPT)
    rows = read_table(data / "results" / "01_scenes_vgg" / "results.csv")
    assert {row["method"] for row in rows} == {"grad_cam", "centre"} and len({row["image"] for row in rows}) == 2
    with pytest.raises(ValueError, match="another configuration: batch is 2 there, 1 here"):
        make_results(["01_scenes_vgg"], out=out, batch=1)


def test_two_processes_keep_the_files_of_one(data, tmp_path):
    make_results(["01", "42"], out=tmp_path / "one", batch=1)
    single = {path: path.read_bytes() for path in (data / "results").glob("*/*")}
    for path in single:
        path.unlink()
    child = tmp_path / "child.py"
    child.write_text("from pathlib import Path\nfrom camutils import experiments\n"
                     f"experiments.DATA = Path({str(data)!r})\n"
                     f"experiments.make_results(['01', '42'], out={str(tmp_path / 'two')!r}, batch=1)\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(child)]
    said = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stdout + said.stderr
    assert {path: path.read_bytes() for path in (data / "results").glob("*/*")} == single and len(single) == 12


def test_runs_without_their_data_set_are_left_out_in_one_line(data, tmp_path, monkeypatch, capsys):
    photographs = COUNTS.replace('"voc"', '"imagenet"').replace("31_tune", "32").replace("How many", "And on ImageNet, how many")
    (data / "experiments" / "32_photographs.toml").write_text(photographs)
    asked = []

    def record(dataset, model, methods, metrics, *, out, root, limit, first, split, batch):
        asked.append((dataset, model, len(methods), metrics, root, limit, split, batch))
        out.mkdir(parents=True)
        for name in KEPT:
            (out / name).write_text(name)

    monkeypatch.setattr(experiments, "benchmark", record)
    assert make_results(["31", "32"], out=tmp_path / "out") == [] == asked
    assert capsys.readouterr().out.splitlines() == [
        "left out: 2 runs on imagenet, for want of ILSVRC/ in the folder --assets or $CAMUTILS_ASSETS",
        "left out: 2 runs on voc, for want of VOCdevkit/ in the folder --assets or $CAMUTILS_ASSETS"]
    (tmp_path / "VOCdevkit").mkdir()
    monkeypatch.setenv("CAMUTILS_ASSETS", str(tmp_path))
    assert names(make_results(["31", "32"], out=tmp_path / "voc")) == ["31_tune_mobilenet_v2", "31_tune_squeezenet1_1"]
    assert asked.pop() == ("voc", "squeezenet1_1", 7, ["energy", "drop"], tmp_path, 50, "val", 8)
    assert capsys.readouterr().out.count("\n") == 1
    (tmp_path / "ILSVRC").mkdir()
    monkeypatch.delenv("CAMUTILS_ASSETS")
    said = CliRunner().invoke(app, ["results", "32_mobilenet_v2", "--assets", str(tmp_path), "--batch", "32", "--out",
                                    str(tmp_path / "all")])
    assert said.exit_code == 0
    assert asked.pop() == ("imagenet", "mobilenet_v2", 7, ["energy", "drop"], tmp_path / "ILSVRC", 50, "val", 32)
    assert (data / "results" / "32_mobilenet_v2" / "summary.csv").read_text() == "summary.csv"
