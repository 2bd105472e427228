"""The runner: its numbers, what it leaves behind, kills, shared work, bad files, refusals; and the summary by hand."""

import csv
import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import benchmark_child
import pytest
import torch
from benchmark_child import network, run
from make_sets import picture, write_voc
from PIL import Image
from torch import nn

import camutils
from camutils.datasets import group_target, read_all, scenes, voc
from camutils.evaluation.benchmark import benchmark
from camutils.evaluation.measure import parse_method, split_list, split_power, without_power
from camutils.evaluation.metrics import confidence
from camutils.evaluation.results import read_table
from camutils.evaluation.sanity import sanity
from camutils.evaluation.summary import summary
from camutils.methods.parts import masks
from camutils.places import ROOT

CHILD = Path(benchmark_child.__file__)
COMMITTED = ("config.json", "results.csv", "notes.csv", "summary.csv")


def start(*words, before=()):
    """The small benchmark in a process of its own, one thread; its group can be killed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen([sys.executable, *before, str(CHILD), *map(str, words)], env=environment, start_new_session=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def same(one, other) -> None:
    """All files that may be committed agree, byte by byte."""
    for name in COMMITTED:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The results of one uninterrupted run on 22 scenes, in six chunks."""
    out = tmp_path_factory.mktemp("whole")
    run(out, 22)
    return out


def test_rows_are_image_by_class_by_method_and_their_numbers_are_the_plain_ones(whole):
    table, net = read_table(whole / "results.csv"), network()
    samples = read_all(scenes("test"), range(22))[0]
    keys = [(s.name, str(c), m) for s in samples for c in s.classes for m in ("grad_cam", "noise", "centre")]
    assert [(r["image"], r["class"], r["method"]) for r in table] == keys
    rows = iter([r for r in table if r["method"] == "grad_cam"])
    for s in samples:
        for c, boxes in zip(s.classes, s.boxes, strict=True):
            row, (x0, y0, x1, y1) = next(rows), boxes[0].tolist()
            L = camutils.grad_cam(net, s.image[None], c)[0]
            v, u = divmod(int(L.argmax()), 96)
            Y, O = (net(x[None])[0, c].sigmoid().item() for x in (s.image, s.image * L))  # noqa: E741
            expected = {"pointing": float(L.max() > 0 and x0 <= u < x1 and y0 <= v < y1),
                        "energy": float(L[y0:y1, x0:x1].sum() / L.sum().clamp(min=1e-30)), "confidence": float(Y),
                        "drop": float(100 * max(0, Y - O) / Y), "share": (x1 - x0) * (y1 - y0) / 96**2,
                        "classes": len(s.classes), "difficult": 0}
            for name, value in expected.items():
                assert row[name] == pytest.approx(value, rel=1e-3, abs=1e-4), (s.name, c, name)
    assert all(r["drop"] != r["drop"] and r["energy"] == r["energy"] for r in table if r["method"] == "centre")


def test_two_processes_end_with_the_files_of_one(whole, tmp_path):
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    process = start(tmp_path, 22, 0, before=torchrun)
    said, _ = process.communicate(timeout=180)
    assert process.returncode == 0, said
    same(whole, tmp_path)


@pytest.mark.parametrize("measured", [partial(benchmark, metrics="energy", limit=1),
                                      partial(sanity, limit=2, radii=(0.05,), modules=["6"])], ids=["benchmark", "sanity"])
def test_no_clock_chooses_how_score_cam_rounds(measured, tmp_path):
    """The fastest number of masks a pass is another one when a run is started again; it moves last digits."""
    net = network()
    measured("scenes", net, "score_cam", out=tmp_path, device="cpu")
    assert all(not tries for each in masks.TRIALS[net].values() for tries in each.values())


def test_a_finished_run_is_not_measured_again(whole, monkeypatch, capsys):
    before = {p.name: p.read_bytes() for p in whole.iterdir()}
    monkeypatch.setattr(sys.modules["camutils.evaluation.benchmark"], "measure", None)
    lines = run(whole, 22)
    assert {p.name: p.read_bytes() for p in whole.iterdir()} == before
    assert repr(lines) == repr(read_table(whole / "summary.csv"))
    assert "loading and location" in capsys.readouterr().out


@pytest.mark.parametrize(("change", "said"), [
    ({"limit": 21}, "limit is 22 there, 21 here"), ({"first": 4}, "first is None there, 4 here"),
    ({"batch": 8}, "batch is 4 there, 8 here"),
    ({"methods": "grad_cam"}, "methods is"),
    ({"metrics": "energy"}, "metrics is"),
    ({"seed": 1}, "seed is 0 there, 1 here"),
    ({"tolerance": 3}, "tolerance is 0 there, 3 here"),
    ({"options": {"layer": "0"}}, "options is"),
    ({"link": "softmax"}, "link is 'sigmoid' there")])
def test_another_configuration_is_refused_and_changes_nothing(whole, change, said):
    before = {p.name: p.read_bytes() for p in whole.iterdir()}
    with pytest.raises(ValueError, match=said):
        run(whole, change.pop("limit", 22), **change)
    assert {p.name: p.read_bytes() for p in whole.iterdir()} == before


def test_a_part_in_the_middle_gives_the_rows_that_the_whole_gives_there(whole, tmp_path, capsys):
    """Images 8 to 15, the third and fourth chunk of the whole run: the same names, classes and numbers, to the byte."""
    run(tmp_path, 8, first=8)
    names = [f"test_{i:05d}" for i in range(8, 16)]
    with (whole / "results.csv").open(newline="") as theirs, (tmp_path / "results.csv").open(newline="") as ours:
        expected = [row for row in csv.reader(theirs) if row[0] in names and "noise" not in row]
        found = [row for row in csv.reader(ours) if "noise" not in row][1:]
    assert found == expected and len(found) > 16
    record = json.loads((tmp_path / "config.json").read_text())["config"]
    assert [record[key] for key in ("first", "limit", "images")] == [8, 8, 8]
    assert "first" not in json.loads((whole / "config.json").read_text())["config"]  # as runs were written down before
    with pytest.raises(ValueError, match="first is 8 there, 12 here"):
        run(tmp_path, 8, first=12)
    before = (tmp_path / "results.csv").stat().st_mtime_ns
    run(tmp_path, 8, first=8)
    assert (tmp_path / "results.csv").stat().st_mtime_ns == before


def test_other_weights_and_other_versions_are_refused(whole, tmp_path):
    net = network()
    net[0].bias.data += 1e-6
    with pytest.raises(ValueError, match="weights_sha256"):
        benchmark("scenes", net, "grad_cam,hires_cam", out=whole, limit=22, batch=4)
    record = json.loads((whole / "config.json").read_text())
    record["versions"]["torch"] = "1.0"
    (tmp_path / "config.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="torch is '1.0' there"):
        run(tmp_path, 22)
    (tmp_path / "config.json").unlink()
    (tmp_path / "results.csv").write_text("somebody else's")
    with pytest.raises(ValueError, match="without config.json"):
        run(tmp_path, 22)


def test_what_may_be_committed_names_no_machine(whole):
    for name in COMMITTED:
        text = (whole / name).read_text()
        assert not any(word in text for word in (str(ROOT), str(whole), os.uname().nodename, str(Path.home()) + "/"))
    record = json.loads((whole / "config.json").read_text())
    assert len(record["weights_sha256"]) == len(record["images_sha256"]) == 64
    assert {"torch", "torchvision", "numpy", "camutils"} <= set(record["versions"]) and record["config"]["seed"] == 0


def test_the_callers_network_and_random_state_stay(tmp_path):
    net, state = network().train(), torch.get_rng_state()
    benchmark("scenes", net, "grad_cam", "energy,drop", out=tmp_path, limit=3)
    assert net.training and all(m.training for m in net.modules()) and torch.equal(state, torch.get_rng_state())
    assert all(p.grad is None for p in net.parameters())


def test_every_batch_draws_from_its_own_seed_and_again_the_same(tmp_path, monkeypatch):
    seen = []

    def draw(model, images, targets):
        seen.append(torch.rand(()).item())
        return images[:, 0]

    monkeypatch.setitem(camutils.METHODS, "grad_cam", draw)
    for out in ("a", "b"):
        benchmark("scenes", network(), "grad_cam", "energy", out=tmp_path / out, limit=10, batch=2)
    half = len(seen) // 2
    assert seen[:half] == seen[half:] and len(set(seen)) == half >= 5


@pytest.fixture
def photographs(tmp_path):
    """Five VOC images: two good ones, one with a person and a difficult cat, one damaged, one without annotation."""
    dog, other = [("dog", 21, 31, 80, 70, 0)], picture(90, 120, 3)
    return write_voc(tmp_path / "set", {
        "a": (picture(120, 90, 1), dog), "b": (b"damaged", dog), "c": (picture(120, 90, 2), None),
        "d": (other, [("person", 1, 1, 40, 60, 0), ("cat", 5, 5, 60, 60, 1), ("sheep", 30, 40, 80, 90, 0)]),
        "e": (picture(100, 100, 4).convert("L"), [("boat", 41, 41, 140, 60, 0)])})


def imagenet_like() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 1000)).eval()


def test_voc_with_an_imagenet_network_and_bad_files(photographs, tmp_path, capsys):
    net, out = imagenet_like(), tmp_path / "out"
    benchmark("voc", net, "grad_cam:layer=1", "pointing,energy,drop", out=out, root=photographs, batch=2)
    table = read_table(out / "results.csv")
    assert [(r["image"], r["class"]) for r in table[::2]] == [("a", "dog"), ("d", "cat"), ("d", "sheep"), ("e", "boat")]
    with (out / "notes.csv").open() as file:
        notes = {(n["image"], n["what"], n["note"].split(" (")[0]) for n in csv.DictReader(file)}
    assert notes == {("b", "skipped", "not a readable image"), ("c", "skipped", "annotation file"),
                     ("d", "left out", "class person: this network has no output for it"),
                     ("e", "changed", "converted from L to RGB"), ("e", "changed", "1 box clipped to the image")}
    said = capsys.readouterr().out
    assert "skipped: 2" in said and "changed: 2" in said and "left out: 1" in said
    cat = table[2]
    assert cat["difficult"] == 1 and cat["pointing"] != cat["pointing"] and cat["energy"] != cat["energy"]  # NaN: all difficult
    samples = {s.name: s for s in read_all(voc(photographs))[0]}
    for row in table[::2]:
        x = samples[row["image"]].image[None]
        target = group_target(row["class"])
        assert row["confidence"] == pytest.approx(float(confidence(net, x, target)), rel=1e-4)
        if row["difficult"] == 0:
            L = camutils.grad_cam(net, x, target, "1")
            sample = samples[row["image"]]
            L = sample.geometry.restore(L)[0]
            x0, y0, x1, y1 = sample.boxes[sample.classes.index(row["class"])][0].tolist()
            assert row["energy"] == pytest.approx(float(L[y0:y1, x0:x1].sum() / L.sum().clamp(min=1e-9)), rel=1e-3)
    assert max(r["energy"] for r in table[::2] if not r["difficult"]) > 0
    assert net(torch.rand(1, 3, 64, 64)).shape == (1, 1000)


def test_a_folder_is_measured_at_its_top_class(tmp_path):
    (tmp_path / "set").mkdir()
    for i in range(3):
        picture(90, 70, i).save(tmp_path / "set" / f"{i}.png")
    net = imagenet_like()
    benchmark("folder", net, "grad_cam", out=tmp_path / "out", root=tmp_path / "set")
    table = read_table(tmp_path / "out" / "results.csv")
    samples = read_all(camutils.datasets.folder(tmp_path / "set"))[0]
    assert [r["class"] for r in table[::2]] == [str(int(net(s.image[None]).argmax())) for s in samples]
    assert all(r["drop"] == r["drop"] for r in table[::2]) and "pointing" not in table[0]
    with pytest.raises(ValueError, match="accepted for folder"):
        benchmark("folder", net, "grad_cam", "pointing", out=tmp_path / "other", root=tmp_path / "set")


def test_a_folder_with_boxes_of_its_own_is_measured_at_these(tmp_path, monkeypatch):
    """Classes by number and by name; a name that two outputs share, and one that none has, are left out and said."""
    root = tmp_path / "set"
    root.mkdir()
    for i in range(4):
        picture(300, 300, i).save(root / f"{i}.png")
    rows = ["0,285,30,40,200,220", "1,Egyptian cat,30,40,200,220", "1,5,0,0,300,300", "2,crane,1,1,9,9", "3,unicorn,1,1,9,9"]
    (tmp_path / "b.csv").write_text("\n".join(["image,class,x0,y0,x1,y1", *rows]))
    net, data = imagenet_like(), camutils.open_dataset("folder", root, boxes=tmp_path / "b.csv")
    names = camutils.class_names("resnet18")
    names[134] = "crane"  # as ImageNet calls the bird too
    monkeypatch.setattr("camutils.evaluation.benchmark.class_names", lambda name: names)
    monkeypatch.setattr("camutils.evaluation.benchmark.load_model", lambda name, device: net)
    benchmark(data, "resnet18", "grad_cam", "pointing,energy,drop", out=tmp_path / "out", device="cpu")
    table = [r for r in read_table(tmp_path / "out" / "results.csv") if r["method"] == "grad_cam"]
    assert [(r["image"], r["class"]) for r in table] == [("0.png", "285"), ("1.png", "Egyptian cat"), ("1.png", "5")]
    samples = read_all(data)[0]
    for row, sample, c in zip(table, (samples[0], samples[1], samples[1]), (285, 285, 5), strict=True):
        L = sample.geometry.restore(camutils.grad_cam(net, sample.image[None], c))
        box = sample.boxes[sample.classes.index(row["class"] if row["class"] == "Egyptian cat" else c)]
        assert row["energy"] == pytest.approx(float(camutils.energy_game(L, [box])), rel=1e-4)
        assert row["share"] == pytest.approx(1.0 if c == 5 else 170 * 180 / 300**2)
    notes = [(r["image"], r["note"]) for r in read_table(tmp_path / "out" / "notes.csv")]
    assert notes == [(f"{i}.png", f"class {c}: this network has no output for it") for i, c in ((2, "crane"), (3, "unicorn"))]
    (tmp_path / "b.csv").write_text("\n".join(["image,class,x0,y0,x1,y1", *rows[1:]]))  # other boxes are another run
    data = camutils.open_dataset("folder", root, boxes=tmp_path / "b.csv")
    with pytest.raises(ValueError, match="boxes_sha256 is '[0-9a-f]{64}' there, '[0-9a-f]{64}' here"):
        benchmark(data, "resnet18", "grad_cam", "pointing,energy,drop", out=tmp_path / "out", device="cpu")


def test_masks_have_a_checksum_of_their_names_and_bytes(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "masks").mkdir()
    for i in (1, 2):
        picture(40, 40, i).save(tmp_path / "set" / f"{i}.png")
        Image.new("L", (40, 40), i).save(tmp_path / "masks" / f"{i}.png")

    def checksum():
        return camutils.open_dataset("folder", tmp_path / "set", boxes=tmp_path / "masks").boxes_sha256

    first = checksum()
    assert checksum() == first
    Image.new("L", (40, 40), 5).save(tmp_path / "masks" / "2.png")
    second = checksum()
    (tmp_path / "masks" / "2.png").unlink()
    assert len({first, second, checksum()}) == 3


def test_imagenet_in_folders_without_boxes_is_measured_at_its_class_without_location(tmp_path):
    synsets = [f"n{i:08d}" for i in range(1000)]
    for c in (3, 7):
        (tmp_path / "val" / synsets[c]).mkdir(parents=True)
        picture(90, 70, c).save(tmp_path / "val" / synsets[c] / "a.JPEG")
    (tmp_path / "synsets.txt").write_text("\n".join(synsets))
    net = imagenet_like()
    benchmark("imagenet", net, "grad_cam", out=tmp_path / "out", root=tmp_path)
    table = read_table(tmp_path / "out" / "results.csv")
    assert [(r["class"], r["method"], r["difficult"]) for r in table] == [(c, m, 0) for c in "37" for m in ("grad_cam", "centre")]
    assert "energy" not in table[0] and all(r["share"] != r["share"] for r in table)
    with pytest.raises(ValueError, match="accepted for imagenet without boxes"):
        benchmark("imagenet", net, "grad_cam", "pointing", out=tmp_path / "other", root=tmp_path)


class Brightness(nn.Module):
    """A network without a single weight."""

    def forward(self, x):
        return x.mean((2, 3))


@pytest.mark.parametrize(("net", "said"), [
    (nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), "Sequential does not take pictures "
     r"\(1, 3, 96, 96\): its first convolution takes 1 channel; accepted: a network that takes RGB"),
    (nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), r"does not take pictures \(1, 3, 96, 96\): mat1"),
    (Brightness(), "Brightness has neither parameters nor buffers; accepted: a network with weights")])
def test_a_network_that_does_not_fit_is_told_in_a_sentence(net, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        benchmark("scenes", net, "grad_cam", out=tmp_path / "out", limit=2)


def test_a_network_whose_weights_are_buffers_is_measured(tmp_path):
    net = imagenet_like()
    for module in net.modules():
        for name, p in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, p.detach())
    assert not list(net.parameters())
    benchmark("scenes", net, "grad_cam", out=tmp_path / "out", limit=1)
    assert len(read_table(tmp_path / "out" / "results.csv")) >= 2


def test_only_bad_files_is_one_clear_error(tmp_path):
    root = write_voc(tmp_path / "set", {"a": (b"no", [("dog", 1, 1, 9, 9, 0)])})
    with pytest.raises(ValueError, match="no image could be measured"):
        benchmark("voc", imagenet_like(), "grad_cam", out=tmp_path / "out", root=root)
    assert "not a readable image" in (tmp_path / "out" / "notes.csv").read_text()


@pytest.mark.parametrize(("words", "said"), [
    ({"methods": "grad_kam"}, "grad_kam.*grad_cam, grad_cam_pp"), ({"methods": "grad_cam:layer"}, "name:option=value"),
    ({"metrics": "pointing,speed"}, "accepted for scenes.*insertion"), ({"methods": "centre"}, "at least one"),
    ({"methods": "grad_cam,grad_cam"}, "each once"), ({"batch": 0}, "batch 0"), ({"limit": 0}, "limit 0"),
    ({"first": -1}, "first -1 of 1000 images; accepted: 0 or more"), ({"first": 1000}, "first 1000 of 1000 images"),
    ({"root": "there"}, "scenes without a root"), ({"dataset": "coco"}, "coco.*imagenet, folder"), ({"split": "dev"}, "dev"),
    ({"dataset": "voc"}, "voc.*root 'None'")])
def test_what_cannot_be_measured_is_refused_before_a_file_is_written(tmp_path, words, said):
    asked = {"dataset": "scenes", "methods": "grad_cam", "metrics": "energy", "limit": 2} | words
    with pytest.raises(ValueError, match=said):
        benchmark(model=network(), out=tmp_path / "out", **asked)
    assert not (tmp_path / "out").exists()


def test_methods_carry_options():
    assert split_list("a, b:x=[1,2]:y=(3,4),c") == ["a", "b:x=[1,2]:y=(3,4)", "c"]
    method = parse_method("m:steps=3:fraction=0.5:raw=True:layer=layer4.1:scales=[1,2]", {"m": dict})
    assert method() == {"steps": 3, "fraction": 0.5, "raw": True, "layer": "layer4.1", "scales": [1, 2]}
    assert parse_method("m:layer=1", {"m": dict})() == {"layer": "1"}
    assert parse_method("m:layer=['0','1']", {"m": dict})() == {"layer": ["0", "1"]}


def test_methods_carry_a_power():
    known = {"m": lambda steps=1: torch.full((1, 2, 2), 1 / steps)}
    assert split_power("m:steps=2^0.5") == ("m:steps=2", 0.5) and split_power("m:steps=2") == ("m:steps=2", None)
    assert parse_method("m:steps=2^3", known)().tolist() == [[[0.125, 0.125], [0.125, 0.125]]]
    base, gamma = without_power(partial(parse_method("m:steps=2^3", known), steps=4))  # as `options` are added to every method
    assert gamma == 3 and base()[0, 0, 0] == 0.25
    assert without_power(parse_method("m", known))[1] is None
    for wrong in ("m^", "m^two", "m^0", "m^-1", "m^nan", "m^inf", "m^2^2", "m^2:steps=1"):
        with pytest.raises(ValueError, match=rf"method '{re.escape(wrong)}'; accepted: name:option=value\^G"):
            parse_method(wrong, known)
    with pytest.raises(ValueError, match="unknown method 'n'"):
        parse_method("n^2", known)


def row(image, label, method, pointing, energy, share=0.5, classes=1):
    return {"image": image, "class": label, "method": method, "share": share, "classes": classes, "difficult": 0,
            "confidence": 0.5, "pointing": pointing, "energy": energy}


def test_summary_by_hand():
    """Class a: 1 hit of 3, class b: 1 of 1, so pointing is (1/3 + 1) / 2; NaN rows do not count."""
    nan = float("nan")
    given = [("i", "a", 1, 0.5, 0.1, 2), ("i", "b", 1, 0.3, 0.5, 2), ("j", "a", 0, 0.2, 0.1, 1), ("k", "a", 0, 0.6, 0.2, 2),
             ("l", "b", nan, nan, 0.2, 2)]
    table = [row(i, c, m, p if m == "grad_cam" else p * 0, e if m == "grad_cam" else e + 0.1, s, n)
             for i, c, p, e, s, n in given for m in ("grad_cam", "other")]
    lines = {(line["metric"], line["subset"], line["method"]): line for line in summary(table)}
    assert lines["pointing", "all", "grad_cam"]["mean"] == pytest.approx(2 / 3)
    assert lines["pointing", "all", "grad_cam"]["count"] == 4
    assert lines["energy", "all", "grad_cam"]["mean"] == pytest.approx(0.4)
    assert lines["pointing", "difficult", "grad_cam"]["mean"] == pytest.approx(1 / 2)  # (i, a) and (k, a)
    assert lines["energy", "difficult", "grad_cam"]["mean"] == pytest.approx(0.55)
    other = lines["energy", "all", "other"]
    assert other["difference"] == pytest.approx(0.1) and other["difference_low"] == pytest.approx(0.1)
    assert other["against"] == "grad_cam" and other["p"] < 0.01 and "difference" not in lines["energy", "all", "grad_cam"]
    assert lines["pointing", "all", "other"]["difference"] == pytest.approx(-2 / 3)
    with pytest.raises(ValueError, match="empty table"):
        summary([])


@pytest.mark.parametrize("name", ["mobilenet_v2", "squeezenet1_1"])
def test_imagenet_networks_on_real_photographs(assets, tmp_path, name, monkeypatch):
    """24 images: Grad-CAM finds the object more often than chance, on both sets and both networks."""
    monkeypatch.setenv("CAMUTILS_CHECKPOINTS", str(assets / "checkpoints"))
    for kind, root in (("voc", assets), ("imagenet", assets / "ILSVRC")):
        lines = benchmark(kind, name, "grad_cam", "pointing,energy", out=tmp_path / kind, root=root, limit=24, device="cpu")
        means = {(line["metric"], line["method"]): line["mean"] for line in lines if line["subset"] == "all"}
        assert means["energy", "grad_cam"] > means["energy", "centre"] + 0.05
        share = sum(r["share"] for r in read_table(tmp_path / kind / "results.csv")) / (2 * 24)
        assert means["pointing", "grad_cam"] > share
