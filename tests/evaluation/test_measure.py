"""The columns that call a method again or ask the network often are the metrics' own numbers, image by image."""

import sys

import numpy as np
import pytest
import torch
from benchmark_child import network, run

import camutils
from camutils.datasets import read_all, scenes
from camutils.evaluation.measure import METRICS, measure, parse_method, seeded
from camutils.evaluation.metrics import (
    adcc,
    best_iou,
    effective_area,
    equal_area,
    infidelity,
    pixel_ap,
    road,
    sensitivity_max,
    unsteadiness,
)
from camutils.evaluation.metrics.equal_area import AREAS
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


NEW = ("pixel_ap,pixel_ap_ink,best_iou,energy,drop,drop_area,drop_15,increase_area,increase_15,deletion_area,deletion_15,area,"
       "unsteady_grey,unsteady_noise")


@pytest.fixture(scope="module")
def contrast(tmp_path_factory):
    """Rows on four scenes of methods that differ in contrast, and of one that draws random numbers."""
    out = tmp_path_factory.mktemp("contrast")
    run(out, 4, methods="grad_cam,noise,grad_cam^2,layer_cam^0.5", metrics=NEW)
    return read_table(out / "results.csv")


def columns(table, method, metric):
    return np.array([row[metric] for row in table if row["method"] == method])


@pytest.mark.parametrize("name", ["grad_cam", "grad_cam^2", "layer_cam^0.5"])
def test_columns_without_contrast_are_the_metrics_themselves(contrast, name):
    net, method = network(), parse_method(name, camutils.METHODS)
    samples = [(s, i, c) for s in read_all(scenes("test"), range(4))[0] for i, c in enumerate(s.classes)]
    found = {metric: [] for metric in NEW.split(",")}
    for s, i, c in samples:
        x = s.image[None]
        L = method(net, x, c)
        part = equal_area(net, x, L, c, link="sigmoid")
        moved = {f"unsteady_{kind}": unsteadiness(method, net, x, c, kind=kind) for kind in ("grey", "noise")}
        values = {"pixel_ap": pixel_ap(L, [s.boxes[i]]), "best_iou": best_iou(L, [s.boxes[i]]), "area": effective_area(L),
                  "drop_area": part.drop.mean(1), "drop_15": part.drop[:, 2], "increase_area": part.increase.mean(1),
                  "increase_15": part.increase[:, 2], "deletion_area": part.deletion.mean(1), "deletion_15": part.deletion[:, 2]}
        for metric, value in (values | moved).items():
            found[metric].append(float(value))
    for metric, expected in found.items():
        if expected:
            seen = columns(contrast, name, metric)
            assert len(seen) == len(samples) > 5
            np.testing.assert_allclose(seen, expected, rtol=2e-3, atol=1e-4)


def test_a_power_moves_the_papers_measures_and_no_others(contrast):
    still = ("pixel_ap", "best_iou", "drop_area", "drop_15", "deletion_area", "deletion_15", "unsteady_grey", "unsteady_noise")
    for metric in still:
        plain, power = (columns(contrast, m, metric) for m in ("grad_cam", "grad_cam^2"))
        assert np.ptp(plain) > 0
        np.testing.assert_allclose(power, plain, rtol=1e-3, atol=1e-3)
    for metric in ("energy", "drop", "area"):
        assert np.abs(columns(contrast, "grad_cam", metric) - columns(contrast, "grad_cam^2", metric)).max() > 0.01
    assert columns(contrast, "noise", "unsteady_noise").max() == 0  # the same draw at every call


def test_centre_has_a_place(contrast):
    centre = [row for row in contrast if row["method"] == "centre"]
    assert all(0 < row["pixel_ap"] < 1 and 0 < row["best_iou"] < 1 and np.isnan(row["drop_15"]) for row in centre)
    assert all(0 < row["pixel_ap_ink"] < 1 for row in contrast)  # scenes know their digits' pixels


def test_ink_is_the_objects_own_pixels():
    """The column is `pixel_ap` against the masks, empty without them; a class whose boxes are all difficult has no location."""
    samples = read_all(scenes("test"), range(3))[0]
    samples[1] = samples[1]._replace(difficult=[torch.ones_like(d) for d in samples[1].difficult])
    samples[2] = samples[2]._replace(masks=None)
    pairs, net = [(s, i, int(c)) for s in samples for i, c in enumerate(s.classes)], network()
    rows = measure(net, pairs, {"grad_cam": camutils.grad_cam}, ["pixel_ap", "pixel_ap_ink"], link="sigmoid", tolerance=0,
                   device=torch.device("cpu"), seed=0, seconds={})
    for (s, i, c), row in zip(pairs, [row for row in rows if row["method"] == "grad_cam"], strict=True):
        if s is samples[0]:
            expected = float(pixel_ap(camutils.grad_cam(net, s.image[None], c), [s.masks[i]]))
            np.testing.assert_allclose(row["pixel_ap_ink"], expected, rtol=1e-3)
            assert row["pixel_ap_ink"] != row["pixel_ap"]
        else:
            assert np.isnan(row["pixel_ap_ink"]) and np.isnan(row["pixel_ap"]) == (s is samples[1])


def test_methods_that_differ_in_power_share_their_calls(tmp_path, monkeypatch):
    calls = []

    def counted(model, images, targets):
        calls.append(len(images))
        return camutils.grad_cam(model, images, targets)

    monkeypatch.setitem(camutils.METHODS, "hires_cam", counted)
    run(tmp_path, 2, methods="hires_cam^2,hires_cam,hires_cam^0.5", metrics="area,unsteady_grey,unsteady_noise", batch=8)
    assert len(calls) == 1 + 4 + 4
    table = read_table(tmp_path / "results.csv")
    one, two, half = (columns(table, f"hires_cam{power}", "area") for power in ("", "^2", "^0.5"))
    assert (two < one).all() and (one < half).all()


def test_only_the_areas_that_are_asked_for_are_shown(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("camutils.evaluation.measure.equal_area", lambda *a, **k: asked.append(k["areas"]) or equal_area(*a, **k))
    run(tmp_path / "a", 1, methods="grad_cam", metrics="drop_15,increase_15")
    run(tmp_path / "b", 1, methods="grad_cam", metrics="drop_15,drop_area,drop")
    assert asked == [(0.15,), AREAS]
    one, two = (read_table(tmp_path / name / "results.csv") for name in "ab")
    np.testing.assert_allclose(columns(one, "grad_cam", "drop_15"), columns(two, "grad_cam", "drop_15"), rtol=1e-3, atol=1e-3)
