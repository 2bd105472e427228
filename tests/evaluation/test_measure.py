"""The columns that call a method again or ask the network often are the metrics' own numbers, image by image."""

import sys

import numpy as np
import pytest
import torch
from benchmark_child import network, run

import camutils
from camutils.datasets import read_all, scenes
from camutils.evaluation.measure import METRICS, parse_method, seeded
from camutils.evaluation.metrics import adcc, infidelity, road, sensitivity_max
from camutils.evaluation.results import read_table
from camutils.evaluation.summary import summary
from camutils.evaluation.tables import HIGHER_IS_BETTER

ASKED = "energy,adcc,coherency,complexity,sensitivity,infidelity,road,road_least"
DIRECT = {  # the same by one call per image, nothing handed over
    "adcc": lambda f, net, x, c: adcc(f, net, x, c, link="sigmoid").adcc,
    "coherency": lambda f, net, x, c: adcc(f, net, x, c, link="sigmoid").coherency,
    "complexity": lambda f, net, x, c: f(net, x, c).mean((1, 2)),
    "sensitivity": sensitivity_max,
    "infidelity": lambda f, net, x, c: infidelity(net, x, f(net, x, c), c, link="sigmoid"),
    "road": lambda f, net, x, c: road(net, x, f(net, x, c), c, link="sigmoid").mean(1),
    "road_least": lambda f, net, x, c: road(net, x, f(net, x, c), c, order="least", link="sigmoid").mean(1)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Rows on six scenes: a method of its own layer, one with an option, and one that draws random numbers."""
    out = tmp_path_factory.mktemp("whole")
    run(out, 6, methods="grad_cam,layer_cam:layer=1,noise", metrics=ASKED)
    return out


@pytest.mark.parametrize("metric", DIRECT)
def test_column_is_the_metric_itself(whole, metric):
    table, net = read_table(whole / "results.csv"), network()
    layer_one = parse_method("layer_cam:layer=1", camutils.METHODS)
    methods = {"grad_cam": camutils.grad_cam, "layer_cam:layer=1": lambda model, x, c, layer=None: layer_one(model, x, c)}
    pairs = [(s.image[None], c) for s in read_all(scenes("test"), range(6))[0] for c in s.classes]
    for name, method in methods.items():
        seen = [row[metric] for row in table if row["method"] == name]
        expected = [float(DIRECT[metric](method, net, x, c)) for x, c in pairs]
        assert len(seen) == len(pairs) > 8 and np.ptp(expected) > 0
        np.testing.assert_allclose(seen, expected, rtol=5e-4, atol=1e-10)  # road and road_least: 1e-3 apart; infidelity: 1e-7


def test_a_method_that_draws_gets_the_same_draw_at_every_call(whole):
    """Its map does not look at the image, so noise on the image does not move it, and the masked image has the same map."""
    noise = [row for row in read_table(whole / "results.csv") if row["method"] == "noise"]
    assert all(row["sensitivity"] == 0 and row["coherency"] == 1 for row in noise)
    draw, state = seeded(lambda model, x, t: torch.rand(2), 5, torch.device("cpu")), torch.get_rng_state()
    first = draw(None, None, None)
    assert torch.equal(draw(None, None, None), first) and torch.equal(torch.get_rng_state(), state)
    torch.rand(1)  # neither what was drawn before
    assert torch.equal(draw(None, None, None), first)
    assert not torch.equal(seeded(lambda model, x, t: torch.rand(2), 6, torch.device("cpu"))(None, None, None), first)


def test_the_map_at_hand_is_not_made_again_and_its_calls_are_no_time_of_the_method(tmp_path, monkeypatch):
    calls, clock = [], iter(range(10**6))

    def counted(model, images, targets):
        calls.append(len(images))
        return camutils.grad_cam(model, images, targets)

    monkeypatch.setitem(camutils.METHODS, "hires_cam", counted)
    monkeypatch.setattr("camutils.evaluation.measure.time.perf_counter", lambda: next(clock) + 100 * len(calls))
    run(tmp_path, 2, methods="hires_cam", metrics="adcc,complexity,sensitivity", batch=8)
    assert len(calls) == 1 + 1 + 10  # the map, the masked image's, ten of moved images
    timing = read_table(tmp_path / "timing.csv")[0]
    assert 100 <= timing["hires_cam"] < 200 and timing["forwards"] >= 1100 and timing["location"] + timing["loading"] < 100


def test_an_interrupted_run_ends_with_the_same_rows(whole, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(*args):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["camutils.evaluation.benchmark"], "merge", kill)
        with pytest.raises(Killed):
            run(tmp_path, 6, methods="grad_cam,layer_cam:layer=1,noise", metrics=ASKED)
    (tmp_path / "parts" / "000000.json").unlink()
    run(tmp_path, 6, methods="grad_cam,layer_cam:layer=1,noise", metrics=ASKED)
    for name in ("config.json", "results.csv", "summary.csv"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()


def test_default_metrics_stay_the_cheap_ones_and_summaries_know_all(whole, tmp_path):
    run(tmp_path, 1, metrics=None)
    assert list(read_table(tmp_path / "results.csv")[0])[-4:] == ["pointing", "energy", "drop", "increase"]
    lines = summary(read_table(whole / "results.csv"))
    assert {line["metric"] for line in lines} == set(ASKED.split(",")) <= set(METRICS) and set(HIGHER_IS_BETTER) <= set(METRICS)
    assert {line["method"] for line in lines if line["metric"] == "adcc"} == {"grad_cam", "layer_cam:layer=1", "noise"}
