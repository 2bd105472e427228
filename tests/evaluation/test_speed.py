"""The harness of `camutils speed` by cases with known answers; counts, bounds and curves on a small network; the command."""

import csv
import json
import sys
import time
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import Tiny, seeded
from torch import nn

import camutils
from camutils.__main__ import main
from camutils.core.maps import shown_maps
from camutils.evaluation import machine
from camutils.evaluation.speed import bounds, cases, curves, full, harness, memory, open_suite, path_loop, rivals, suite, table
from camutils.evaluation.speed.harness import Contestant
from camutils.evaluation.speed.subjects import Fewer, describe, fewer, frozen

SMALL = {"integrated_grad_cam": {"steps": 3}, "gig_cam": {"steps": 3}, "gig_cam_m": {"steps": 2, "scales": (1, 1.5)},
         "cluster_cam": {"n_clusters": 3}, "combined_cam": {"n_clusters": 2}, "deletion_insertion": {"steps": 4}}


@pytest.fixture
def own():
    """The network Tiny as what is timed: 16 x 16 images, seven channels at its last layer."""
    return describe("tiny", seeded(Tiny, size=16), 16)


def case_of(name, batch=2):
    return cases.Case(name, batch, SMALL.get(name, {}))


def test_two_sleeps_of_known_length_have_their_ratio():
    naps = [Contestant("short", lambda: time.sleep(0.03)), Contestant("long", lambda: time.sleep(0.06))]
    taken = harness.interleave(naps, 7)
    found = harness.paired(taken["long"], taken["short"])
    assert found.low <= found.median <= found.high and 1.5 < found.median < 2.5
    assert harness.paired(taken["short"], taken["short"]) == (1, 1, 1)


def test_every_round_runs_everybody_once_in_an_order_of_its_own():
    ran = []
    everybody = [Contestant(name, lambda name=name: ran.append(name)) for name in "abcd"]
    harness.interleave(everybody, 8)
    rounds = ["".join(ran[i : i + 4]) for i in range(0, 32, 4)]
    assert all(sorted(one) == [*"abcd"] for one in rounds) and len({*rounds}) > 3
    first, ran[:] = [*ran], []
    harness.interleave(everybody, 8)
    assert ran == first  # the seed is fixed


def test_what_is_made_ready_is_not_on_the_clock():
    slow = Contestant("slow", lambda: None, ready=lambda: time.sleep(0.1))
    assert harness.seconds(slow) < 0.05


def test_spread_and_rounds():
    assert harness.spread([4, 1, 2, 3, 5]) == (3, 2, 4)
    assert harness.paired([2, 9], [1, 3]) == (2.5, 2.25, 2.75)  # ratios 2 and 3, not the ratio of sums
    assert [harness.rounds_for(s) for s in (0.1, 4.9, 5.0, 60)] == [15, 15, 3, 3]


def test_threads_come_back():
    before = torch.get_num_threads()
    with harness.threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("name", cases.NAMES)
def test_passes_are_counted_exactly_and_are_those_of_the_bound(name, own):
    """Every method sends as many images through the network as its bound says, forward and backward."""
    case = case_of(name)
    x, classes = own.images(2), own.classes(2)
    counted = harness.passes(Contestant("ours", cases.call(case, own, x, classes)))
    expected = {"integrated_grad_cam": (6, 6), "gig_cam": (6, 6), "gig_cam_m": (8, 8), "cluster_cam": (8, 0),
                "combined_cam": (6, 2), "deletion_insertion": (18, 0)}.get(name, (2, 2))
    live = shown_maps(camutils.activation(own.model, x, 0)[0]).sum()
    expected = (2 + int(live), 0) if name == "score_cam" else expected
    assert counted == expected
    asked = cases.parts(case, own, x, classes)
    assert sum(p.images * p.times for p in asked) == counted.forwards
    assert sum(p.images * p.times for p in asked if p.kind != "forward") == counted.backwards


@pytest.mark.parametrize("name", cases.NAMES)
def test_bounds_run_what_they_say(name, own):
    asked = cases.parts(case_of(name), own, own.images(2), own.classes(2))
    known = SimpleNamespace(setting=lambda part, form=None: bounds.Setting(2, "channels-last", 1))
    found = {one.name: harness.passes(one) for one in bounds.bounds(own, asked, known)}
    forwards = sum(p.images * p.times for p in asked)
    backwards = sum(p.images * p.times for p in asked if p.kind != "forward")
    assert found.pop("bound") == (forwards, backwards)
    assert found == ({"bound, as given": (forwards, backwards), "forwards": (forwards, 0)} if backwards else {})


def test_counting_sees_copies_and_part_batches_and_nothing_else(own):
    other = seeded(Tiny, size=16)
    with harness.counting() as counts:
        other(own.images(3))
        Fewer(own, 2)(own.images(3))
        own.model(own.images(2))[:, 0].sum().backward()
    assert counts == [5, 2]
    own.model(own.images(2))
    assert counts == [5, 2]  # the hook is gone


def test_every_method_has_a_bound_a_target_and_a_case():
    assert {*cases.NAMES} == {*camutils.METHODS, "deletion_insertion"}
    for asked in ("cpu", "gpu"):
        assert {case.method for case in cases.cases(asked)} == {*cases.NAMES} == {*cases.TARGETS[asked]}
        assert all(1 <= target.most <= 1.2 for target in cases.TARGETS[asked].values())
        assert len({(c.method, c.label, c.batch) for c in cases.cases(asked)}) == len(cases.cases(asked))
    assert {*rivals.GRAD_CAM, *rivals.NONE, "integrated_grad_cam", "gig_cam", "gig_cam_m"} == {*cases.NAMES}


def test_bare_gradients_are_those_of_probe(own):
    x, classes = own.images(2).contiguous(memory_format=torch.channels_last), own.classes(2)  # as `probe` hands them on
    A, g = camutils.probe(own.model, x, classes, own.layer)
    (bare,) = bounds.gradients(own.model, x, classes, [own.layer])
    assert torch.equal(bare, g)
    several = camutils.probe_layers(own.model, x, classes, own.stages)
    for layer, gradient in zip(own.stages, bounds.gradients(own.model, x, classes, own.stages), strict=True):
        assert torch.equal(gradient, several.g[layer])


def test_the_fastest_setting_is_found(own, monkeypatch):
    """Seconds that are made up: channels-last by 2 is fastest, then one thread is tried with it."""
    made_up = {"contiguous": 3.0, "channels-last": 1.0}

    def pretend(one, part, setting):
        run = lambda: None  # noqa: E731
        run.setting = setting
        return run

    monkeypatch.setattr(bounds, "bare", pretend)
    monkeypatch.setattr(bounds, "seconds", lambda one: made_up[one.run.setting.form] + abs(one.run.setting.chunk - 2)
                        - 0.5 * (one.run.setting.threads == 1))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    best = bounds.Best(own)
    part = cases.Part("head", 4)
    assert best.setting(part) == (2, "channels-last", 1) and str(best.setting(part)) == "by 2, channels-last, 1 thread"
    assert best.setting(part, "contiguous") == (2, "contiguous", 3)
    assert {s.chunk for s in best.tried(part)} == {1, 2, 4}


def test_slopes_of_known_functions():
    values = [1, 2, 4, 8]
    assert curves.slope(values, [3 * v**1.5 for v in values]) == pytest.approx(1.5)
    assert curves.slope(values, [7] * 4) == pytest.approx(0)
    assert 0.6 < curves.slope(values, [1 + v for v in values]) < 0.9
    assert [curves.verdict(found, 1) for found in (0.2, 1.05, 1.2)] == ["met", "met", "missed"]


def test_curves_of_a_known_cost():
    """A nap that grows linearly, and tensors that grow with the square."""
    def run(n):
        def once():
            time.sleep(0.01 * n)
            return torch.ones(1000 * n, n).sum()
        return once

    curve = curves.Curve("n", "none", (1, 2, 4), run, lambda n: n, lambda n: n**2)
    points = curves.measure(curve, 3, torch.device("cpu"))
    assert curves.slope((1, 2, 4), [p.seconds for p in points]) == pytest.approx(1, abs=0.25)
    assert curves.slope((1, 2, 4), [p.bytes for p in points]) == pytest.approx(2, abs=0.05)


def test_peak_memory_is_what_is_held_at_once():
    def one_after_the_other():
        for _ in range(5):
            torch.ones(250_000)

    cpu = torch.device("cpu")
    assert 1e6 <= memory.peak(one_after_the_other, cpu) < 1.1e6
    assert 5e6 <= memory.peak(lambda: [torch.ones(250_000) for _ in range(5)], cpu) < 5.5e6


def test_every_axis_has_a_curve_with_a_theory(own):
    found = curves.curves(own)
    assert {c.axis for c in found} == {"images", "image size", "channels", "steps", "clusters", "layers", "scales"}
    for axis in ("images", "image size"):
        assert {c.method for c in found if c.axis == axis} == {*cases.NAMES}
    (layers,) = (c for c in found if c.axis == "layers")
    counts = [layers.time(n) for n in layers.values]
    assert counts == sorted(counts) and counts[0] < counts[-1] and len(counts) == len(own.stages)
    for curve in found:
        assert all(curve.time(v) > 0 and curve.memory(v) > 0 for v in curve.values)
    assert {c.method for c in curves.curves(own, ["gig_cam"])} == {"gig_cam"}


def test_operations_of_a_pass_are_those_counted_by_hand(own):
    """Tiny on 16 x 16: conv1 16^2 x 3 x 6 x 9, conv2 8^2 x 6 x 8 x 9, conv3 8^2 x 8 x 7 x 9, fc 7 x 5, twice each."""
    conv1, conv2, conv3, fc = (2 * n for n in (256 * 162, 64 * 432, 64 * 504, 35))
    above = {"relu1": conv2 + conv3 + fc, "relu2": conv3 + fc, "relu3": fc}
    for n in range(1, len(own.stages) + 1):
        assert curves._operations(own, n) == conv1 + conv2 + conv3 + fc + above[own.stages[-n]]


def test_frozen_leaves_one_parameter_below_the_layer(own):
    assert [n for n, p in frozen(own, "conv2").named_parameters() if p.requires_grad] == ["conv2.bias"]
    assert [n for n, p in frozen(own, "relu1").named_parameters() if p.requires_grad] == ["bn1.bias"]
    assert all(p.requires_grad for p in own.model.parameters())


def test_fewer_channels_are_seen_by_a_copy_too(own):
    x, few = own.images(1), fewer(own, 3)
    A = camutils.activation(own.model, x, 0, own.layer)[0]
    for model in (few.model, deepcopy(few.model)):
        assert torch.equal(camutils.activation(model, x, 0, "seen")[0], A[:, :3])
        assert torch.equal(model(x), own.model(x))


def test_the_loop_in_numpy_walks_our_paths(own):
    """On the straight line equal; where it chooses, alike: it chooses colour values, ours pixels."""
    x, classes = own.images(2), torch.tensor([1, 3])
    straight = path_loop.path_map(own.model, x, classes, own.layer, 5, 1.0, 0.0)
    assert torch.allclose(straight, camutils.integrated_grad_cam(own.model, x, classes, raw=True, steps=5), atol=1e-6)
    chosen = path_loop.path_map(own.model, x, classes, own.layer, 8)
    ours = camutils.gig_cam(own.model, x, classes, raw=True, steps=8)
    assert torch.corrcoef(torch.stack([chosen.flatten(), ours.flatten()]))[0, 1] > 0.95


def test_the_loop_in_numpy_keeps_its_distances():
    rng = np.random.default_rng(0)
    image = rng.random((3, 4, 4)).astype(np.float32)
    x = np.zeros_like(image)
    for t in range(6):
        x = path_loop.move(x, image, rng.random(image.shape), (t + 1) / 6, 0.25, 0.1)
        assert np.abs(image - x).sum() == pytest.approx((1 - (t + 1) / 6) * image.sum(), abs=1e-4)
    assert np.allclose(x, image, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in cases.NAMES if n not in rivals.NONE and n != "integrated_grad_cam"])
def test_peers_at_both_settings_run_as_often_as_they_should(name):
    own = suite.subject("scenes_resnet")
    options = {"gig_cam": {"steps": 2}, "gig_cam_m": {"steps": 1, "scales": (1, 1.5)}}
    case = cases.Case(name, 1, options.get(name, {}))
    if name == "score_cam":
        own = fewer(own, 8)
    found = {one.name: harness.passes(one) for one in rivals.rivals(case, own, own.images(1), own.classes(1), 4)}
    assert found and all(f"{n}, best" in found for n in found if not n.endswith(", best"))
    if name == "score_cam":
        assert {p.backwards for p in found.values()} == {0} and all(8 < p.forwards <= 10 for p in found.values())
    else:
        assert {*found.values()} == {(2, 2) if name in ("gig_cam", "gig_cam_m") else (1, 1)}


def test_a_table_goes_on_where_it_stopped(tmp_path):
    key = {"suite": "cpu", "network": "n", "method": "m", "options": "steps=3", "batch": 8}
    first = table.Table(tmp_path / "ratios.csv")
    assert not first.holds(**key)
    first.add([{**key, "contestant": "ours", "ratio": 1.5}])
    again = table.Table(tmp_path / "ratios.csv")
    assert again.holds(**key) and not again.holds(**{**key, "batch": 1})
    again.add([{**key, "batch": 1, "contestant": "ours"}])
    assert len(table.Table(tmp_path / "ratios.csv").rows) == 2
    assert table.aligned(again.rows, ["contestant", "ratio"]) == ["contestant  ratio", "ours        1.5", "ours"]


def test_hours_of_whole_sets_worked_by_hand():
    """8 pictures in 4 s are half a second each; a path of 10 steps of 30 takes three times as long as was timed."""
    head = {"suite": "cpu", "network": "n", "contestant": "ours", "setting": ""}
    rows = [{**head, "method": "grad_cam", "options": "", "batch": 1, "seconds": 3.0},
            {**head, "method": "grad_cam", "options": "", "batch": "8", "seconds": "4.0"},
            {**head, "method": "grad_cam", "options": "", "batch": 8, "seconds": 1.0, "contestant": "captum"},
            {**head, "method": "gig_cam", "options": "steps=10", "batch": 8, "seconds": 4.0},
            {**head, "method": "integrative_cam", "options": "preset=literal", "batch": 8, "seconds": 4.0},
            {**head, "method": "deletion_insertion", "options": "steps=28", "batch": 1, "seconds": 7.2},
            {**head, "method": "score_cam", "options": "", "batch": 1, "seconds": 9.0, "setting": "first 64 channels"}]
    found = {row["method"]: row for row in full.full_sets(rows)}
    assert {name: row["seconds"] for name, row in found.items()} == {"grad_cam": 0.5, "gig_cam": 1.5, "deletion_insertion": 7.2}
    assert found["deletion_insertion"]["ILSVRC2012 val"] == pytest.approx(100)  # 50 000 x 7.2 s
    assert found["grad_cam"]["VOC2012 val"] == pytest.approx(5823 / 7200)
    assert full.default_steps("integrated_grad_cam") == 50 and full.default_steps("grad_cam") == 1


def test_times_of_two_machines_are_not_mixed(tmp_path, monkeypatch):
    suite.check_machine(tmp_path)
    suite.check_machine(tmp_path)
    written = json.loads((tmp_path / "machine.json").read_text())
    assert written["processor"] == machine.cpu_name() and written["torch"] == torch.__version__.split("+")[0]
    monkeypatch.setattr(machine, "cpu_name", lambda: "an abacus")
    with pytest.raises(ValueError, match="processor is .* there, an abacus here; accepted: another folder"):
        suite.check_machine(tmp_path)


def test_the_command_measures_writes_and_keeps(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(suite, "DATA", tmp_path / "data")
    (tmp_path / "data").mkdir()
    monkeypatch.setattr("sys.argv", ["camutils", "speed", "--suite", "all", "--networks", "scenes_resnet", "--methods",
                                     "grad_cam,cluster_cam", "--parts", "ratios", "--rounds", "1", "--threads", "1", "--out",
                                     str(tmp_path / "out"), "--store"])
    with pytest.raises(SystemExit) as status:
        main()
    said = capsys.readouterr().out
    assert status.value.code == 0
    if not torch.cuda.is_available():
        assert "gpu: no CUDA device here; missing rows of scenes_resnet: grad_cam x 1, grad_cam x 8" in said
    rows = [*csv.DictReader((tmp_path / "data" / "speed" / "ratios.csv").open())]
    on_cpu = [row for row in rows if row["suite"] == "cpu"]
    assert {(r["method"], r["batch"]) for r in on_cpu} == {("grad_cam", "1"), ("grad_cam", "2"), ("grad_cam", "8"),
                                                           ("cluster_cam", "1")}
    family = {r["contestant"] for r in on_cpu if r["method"] == "grad_cam"}
    assert family == {"bound", "bound, as given", "forwards", "ours", "ours, first call", "captum", "captum, best", "grad-cam",
                      "grad-cam, best", "torchcam", "torchcam, best"}
    assert all(float(r["ratio"]) == 1 for r in on_cpu if r["contestant"] == "bound")
    ours = [r for r in on_cpu if r["contestant"] == "ours"]
    assert all(r["verdict"] == ("met" if float(r["found"]) <= float(r["target"]) else "missed") for r in ours) and len(ours) == 4
    assert all(r["verdict"] == "" for r in on_cpu if r["contestant"] != "ours")
    written = (tmp_path / "out" / "ratios.csv").read_bytes()
    with pytest.raises(SystemExit):
        main()
    assert (tmp_path / "out" / "ratios.csv").read_bytes() == written and "ours" not in capsys.readouterr().out


@pytest.mark.parametrize("asked, said", [
    ({"suite": "tpu"}, "unknown suite 'tpu'; accepted: cpu, gpu, all"), ({"methods": ["grad_kam"]}, "unknown methods grad_kam"),
    ({"networks": ["resnet5"]}, "unknown network 'resnet5'"), ({"rounds": 0}, "0 rounds; accepted: 1 or more"),
    ({"which": ["speed"]}, "unknown parts speed; accepted: ratios, curves"), ({"workers": 0}, "0 threads"),
])
def test_what_is_asked_wrongly_is_told(asked, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        suite.run_speed(out=tmp_path, **asked)


def test_a_missing_peer_is_told_in_one_line(monkeypatch):
    for name in [n for n in sys.modules if n.endswith((".speed.suite", ".speed.rivals"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ImportError, match=r"this needs captum, which is not installed; pip install 'camutils\[test\]'"):
        open_suite()


def test_a_network_of_ones_own_is_described():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    own = describe("mine", net, 8)
    assert (own.layer, own.size, own.trained, own.named) == ("1", 8, False, False) and own.images(3, 1.5).shape == (3, 3, 12, 12)
