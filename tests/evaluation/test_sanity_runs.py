"""The sanity runs: each control against a plain calculation, a map that ignores the network found out, runs that go on."""

import json
from functools import partial

import numpy as np
import pytest
import scipy.stats
import torch
from conftest import Tiny, seeded
from torch import nn

from camutils import METHODS, cascade_modules, control_maps, edges, grad_cam, likeness, load_model, sanity
from camutils.datasets import Geometry, Images, Sample, Skipped
from camutils.evaluation.metrics import cascading_randomisation
from camutils.evaluation.results import read_table
from camutils.evaluation.sanity import EDGES, summarise

HEAD_FIRST = ["fc", "conv3", "conv2", "bn1", "conv1"]
MODEL_CONTROLS = [*(f"cascade:{n}" for n in HEAD_FIRST), "labels", "class"]
PICTURES = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(3))
CLASSES = [[0, 3], [4], [1, 2], [2], [3, 4], [0]]


def small_set(count: int = 6, skip: int | None = None) -> Images:
    """Pictures of 16 x 16 with one or two of five classes, each in a box; `skip`: one that cannot be read."""
    def read(name):
        i, box = int(name[1:]), torch.tensor([[2, 3, 9, 10]])
        n = len(CLASSES[i])
        return Sample(name, PICTURES[i], CLASSES[i], [box + k for k in range(n)], [torch.zeros(1, dtype=torch.bool)] * n,
                      Geometry((16, 16), (16, 16), (0, 0, 16, 16)))

    class Some(Images):
        def __getitem__(self, index):
            return Skipped(self.names[index], "damaged") if index == skip else super().__getitem__(index)

    return Some("scenes", [f"p{i}" for i in range(count)], read, link="sigmoid")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run of two methods on six pictures: its folder, the network, the one of the labels control."""
    out, net, other = tmp_path_factory.mktemp("sanity"), seeded(Tiny, size=16), seeded(Tiny, size=16, seed=1)
    sanity(small_set(), net, "grad_cam,layer_cam:layer=conv2", out=out, shuffled=other, batch=4, draws=2, device="cpu")
    return out, net, other


def rows_of(out, method, control):
    return [r for r in read_table(out / "results.csv") if (r["method"], r["control"]) == (method, control)]


def rho(a, b):
    return scipy.stats.spearmanr(a.flatten(), b.flatten()).statistic


def test_a_row_per_image_class_method_and_control(ran):
    rows = read_table(ran[0] / "results.csv")
    pairs = [(f"p{i}", str(c)) for i, classes in enumerate(CLASSES) for c in classes]
    controls = ["itself", *MODEL_CONTROLS, "noise=0.02", "noise=0.05", "noise=0.1", "other", "mean", "centre"]
    keys = {(*pair, m, c) for pair in pairs for m in (EDGES, "grad_cam", "layer_cam:layer=conv2") for c in controls}
    assert len(rows) == len(keys) and {(r["image"], r["class"], r["method"], r["control"]) for r in rows} == keys
    config = json.loads((ran[0] / "config.json").read_text())["config"]
    assert config["methods"] == ["grad_cam", "layer_cam:layer=conv2"] and config["modules"] == HEAD_FIRST


def test_edges_ignore_the_network_and_every_network_control_says_so(ran):
    for control in ("itself", *MODEL_CONTROLS):
        rows = rows_of(ran[0], EDGES, control)
        assert {r["correlation"] for r in rows} == {r["ssim"] for r in rows} == {1}, control
    assert max(r["correlation"] for r in rows_of(ran[0], EDGES, "noise=0.1")) < 1
    assert np.mean([r["correlation"] for r in rows_of(ran[0], EDGES, "other")]) < 0.3


def test_each_control_is_the_plain_one(ran):
    out, net, other = ran
    pairs = [(i, c) for i, classes in enumerate(CLASSES) for c in classes]
    L = [grad_cam(net, PICTURES[i : i + 1], c)[0] for i, c in pairs]
    noise = [torch.rand(3, 16, 16, generator=rng) for rng in [torch.Generator().manual_seed(0)] for _ in range(2)]
    v, u = (torch.arange(16) - 8 for _ in range(2))
    far = torch.hypot(v[:, None].float(), u[None].float())
    for k, (i, c) in enumerate(pairs):
        x = PICTURES[i : i + 1]
        absent = next(d % 5 for d in range(c + 1, c + 6) if d % 5 not in CLASSES[i])
        apart = [M for M, (j, _) in zip(L, pairs, strict=True) if j != i]
        shown = [apart[(k + n * len(apart) // 8) % len(apart)] for n in range(8)]
        wanted = {"labels": [grad_cam(other, x, c)[0]], "class": [grad_cam(net, x, absent)[0]],
                  "noise=0.1": [grad_cam(net, x + 0.1 * (2 * d - 1), c)[0] for d in noise], "other": shown,
                  "mean": [torch.stack(apart).mean(0)], "centre": [1 - far / far.max()]}
        for control, maps in wanted.items():
            row = rows_of(out, "grad_cam", control)[k]
            assert (row["image"], row["class"]) == (f"p{i}", str(c))
            assert row["correlation"] == pytest.approx(np.mean([np.nan_to_num(rho(L[k], M)) for M in maps]), abs=2e-3), control
            hits = [2 + p <= M.argmax() % 16 < 9 + p and 3 + p <= M.argmax() // 16 < 10 + p
                    for p in [CLASSES[i].index(c)] for M in maps if M.max() > 0]
            assert row["pointing"] == pytest.approx(sum(map(float, hits)) / len(maps), abs=1e-4), control


def test_the_cascade_is_cascading_randomisation_averaged_over_its_draws(ran):
    out, net, _ = ran
    x, targets = torch.stack([PICTURES[i] for i, c in enumerate(CLASSES) for _ in c]), [c for own in CLASSES for c in own]
    expected = torch.stack([cascading_randomisation(grad_cam, net, x, targets, modules=HEAD_FIRST, seed=s).correlation
                            for s in (0, 1)]).mean(0)
    for name, values in zip(HEAD_FIRST, expected, strict=True):
        assert [r["correlation"] for r in rows_of(out, "grad_cam", f"cascade:{name}")] == pytest.approx(values.tolist(), abs=1e-3)
    assert expected.max() < 0.999


def test_the_same_network_twice_gives_the_same_map(tiny, images):
    maps = control_maps(grad_cam, tiny, images, torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 2, 3]), modules=["fc"],
                        shuffled=tiny, radii=[0.1], draws=1)
    assert list(maps) == ["itself", "cascade:fc", "labels", "class", "noise=0.1"]
    assert torch.equal(maps["labels"][0], maps["itself"][0]) and torch.equal(maps["class"][0], maps["itself"][0])
    assert not torch.equal(maps["noise=0.1"][0], maps["itself"][0])


def test_likeness_by_hand_and_of_constant_maps():
    L = torch.zeros(3, 8, 8)
    L[:2] = torch.arange(64.0).view(8, 8) / 63
    M = torch.stack([L[0] ** 3, torch.ones(8, 8), L[0]])
    correlation, ssim = likeness(L, M)
    assert correlation[0] == 1 and 0 < ssim[0] < 1 and correlation[1] == 0 and correlation[2].isnan() and ssim[2].isnan()


def test_mean_and_distance_to_the_floor_in_the_summary():
    rest = {"method": "m", "ssim": 0, "pointing": 1, "energy": 0.5}
    rows = [{"image": f"p{i}", "control": control, "correlation": value} | rest
            for i, value in enumerate([0.5, 0.75, 1.0]) for control, value in (("labels", value), ("other", 0.25))]
    labels, floor = summarise(rows)
    assert (labels["mean"], labels["above"], floor["mean"], floor["above"]) == (0.75, 0.5, 0.25, 0)
    assert 0.25 <= labels["above_low"] < 0.5 < labels["above_high"] <= 0.75 and labels["pointing"] == 1


def test_another_method_is_added_and_finished_ones_stay(ran, tmp_path):
    _, net, other = ran
    run = partial(sanity, small_set(4), net, shuffled=other, batch=4, device="cpu")
    run("grad_cam", out=tmp_path / "two")
    first = (tmp_path / "two" / "results.csv").read_text()
    run("layer_cam", out=tmp_path / "two")
    run("grad_cam,layer_cam", out=tmp_path / "one")
    assert (tmp_path / "two" / "results.csv").read_text().startswith(first)
    for name in ("results.csv", "summary.csv", "config.json"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes(), name
    with pytest.raises(ValueError, match="another configuration: draws is 1 there, 2 here"):
        run("layer_cam", out=tmp_path / "two", draws=2)


def test_a_damaged_picture_is_noted_and_without_a_twin_the_labels_control_is_left_out(tmp_path, tiny):
    sanity(small_set(4, skip=1), tiny, "grad_cam", out=tmp_path, device="cpu")
    assert (tmp_path / "notes.csv").read_text() == "image,what,note\np1,skipped,damaged\n"
    rows = read_table(tmp_path / "results.csv")
    assert {r["image"] for r in rows} == {"p0", "p2", "p3"} and "labels" not in {r["control"] for r in rows}


def test_steps_of_the_cascade_of_the_embedded_networks():
    assert cascade_modules(load_model("scenes_resnet", "cpu")) == ["fc", "layer4", "layer3", "layer2", "layer1", "stem"]
    vgg = cascade_modules(load_model("scenes_vgg", "cpu"))
    assert vgg == ["classifier.2", "classifier.0", *(f"features.{i}" for i in (13, 11, 8, 6, 3, 0))]
    assert cascade_modules(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())) == ["0"]


def test_the_cascade_keeps_a_head_without_parts_and_looks_into_wrappers(tiny):
    dense = nn.ModuleDict({"features": nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), "classifier": nn.Linear(4, 5)})
    assert cascade_modules(dense) == ["classifier", "features.0"]
    assert cascade_modules(nn.DataParallel(tiny)) == cascade_modules(torch.compile(tiny, backend="eager")) == HEAD_FIRST


def test_a_given_network_runs_where_it_is_and_the_centre_is_no_method(tmp_path, tiny):
    lines = sanity(small_set(3), tiny, "centre,grad_cam", out=tmp_path, device="cuda")
    assert {line["method"] for line in lines} == {EDGES, "grad_cam"}
    assert json.loads((tmp_path / "config.json").read_text())["config"]["device"] == "cpu"


def test_a_method_without_any_map_does_not_stop_the_summary(tmp_path, tiny):
    nn.init.zeros_(tiny.fc.weight)
    line = sanity(small_set(3), tiny, "grad_cam", out=tmp_path, device="cpu")[-1]
    assert line["method"] == "grad_cam" and np.isnan([line[c] for c in ("mean", "low", "above", "above_high", "ssim")]).all()
    assert len((tmp_path / "summary.csv").read_text().splitlines()) == 1 + 2 * (5 + 1 + 1 + 3 + 3)


def test_too_few_pictures_and_one_that_holds_every_class(tmp_path, tiny, monkeypatch):
    with pytest.raises(ValueError, match="1 of 2 pictures can be used; accepted: 2 or more"):
        sanity(small_set(2, skip=1), tiny, "grad_cam", out=tmp_path / "few", device="cpu")
    monkeypatch.setattr(f"{__name__}.CLASSES", [[0], [0, 1, 2, 3, 4], [1]])
    with pytest.raises(ValueError, match="p1 holds all 5 classes"):
        sanity(small_set(3), tiny, "grad_cam", out=tmp_path / "all", device="cpu")


def test_a_part_in_the_middle(tmp_path, tiny):
    sanity(small_set(5), tiny, "grad_cam", out=tmp_path, first=1, limit=3, device="cpu")
    assert {row["image"] for row in read_table(tmp_path / "results.csv")} == {"p1", "p2", "p3"}
    config = json.loads((tmp_path / "config.json").read_text())["config"]
    assert [config["first"], config["limit"], config["images"]] == [1, 3, 3]
    with pytest.raises(ValueError, match="first is 1 there, 2 here"):
        sanity(small_set(5), tiny, "grad_cam", out=tmp_path, first=2, limit=3, device="cpu")


def test_edges_of_a_step():
    x = torch.zeros(2, 3, 8, 8)
    x[0, :, :, 4:] = 1
    L = edges(None, x.requires_grad_())
    assert L.shape == (2, 8, 8) and (L[1] == 0).all() and (L[0, 1:-1, 3:5] == 1).all() and (L[0, :, :3] == 0).all()
    assert EDGES not in METHODS


@pytest.mark.parametrize("change, says", [
    (dict(methods="grad_camm"), "unknown method 'grad_camm'"), (dict(methods="centre"), "at least one method"),
    (dict(draws=0), "draws 0"), (dict(limit=1), "limit 1"), (dict(first=9), "first 9 of"),
    (dict(modules=["fcc"]), "unknown layer 'fcc'")])
def test_refusals(change, says, tiny, tmp_path):
    with pytest.raises(ValueError, match=says):
        sanity(**(dict(dataset=small_set(), model=tiny, methods="grad_cam", out=tmp_path, device="cpu") | change))
