"""What the fuzzer of readers.py found: damaged files and odd values, each with the error that it gets now."""

import json
from pathlib import Path

import benchmark_child
import pytest
import torch
from make_sets import picture, write_ilsvrc, write_voc, xml

import camutils
import camutils.__main__ as command
from camutils.book import compare, handout
from camutils.core.names import split_name
from camutils.datasets import folder, imagenet, voc
from camutils.datasets.annotations import read_objects, upright_objects
from camutils.datasets.imagenet import read_labels, read_synsets
from camutils.datasets.own_boxes import own_boxes
from camutils.datasets.reader import BadFile, read_picture
from camutils.evaluation import results, tables
from camutils.evaluation.experiment_files import expand, read_experiment
from camutils.evaluation.measure import parse_method
from camutils.evaluation.sanity import summarise
from camutils.evaluation.speed import suite
from camutils.evaluation.speed.full import full_sets
from camutils.evaluation.speed.table import RATIOS, Table
from camutils.evaluation.summary import summary
from camutils.networks.given import own_network, pick_classes

DEEP, DIGITS, UTF_16 = b"[" * 100_000, b"9" * 5000, "a,b\n".encode("utf-16")
DAMAGED = {"empty": b"", "cut": b'{"config": {"a"', "deep": DEEP, "digits": DIGITS, "no text": b"\xff\xfe\x00", "a list": b"[1]",
           "half a character": b'{"config": "\\ud800"}', "null": b"null", "no key": b'{"a": 1}'}
damaged = pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)


def row(image="a", method="grad_cam", **values):
    numbers = {"share": 0.1, "classes": 2, "difficult": 0, "confidence": 0.5}
    return {"image": image, "class": "3", "method": method} | numbers | values


# Pictures and their boxes

def test_numbers_beyond_every_picture_are_no_box(tmp_path):
    """1e308 was a box, which overflowed where the boxes were scaled to the picture."""
    boxes = [("dog", 1, 1, 1e308, 30, 0), ("cat", 1, 1, -(2**31), 30, 0), ("cat", 1, 1, 9, 9, 0)]
    (tmp_path / "a.xml").write_text(xml((30, 20), boxes))
    objects, stated, notes = read_objects(tmp_path / "a.xml", first=0)
    assert objects == [("cat", [1, 1, 9, 9], False)] and notes == ("2 objects without a name or a box left out",)
    assert upright_objects(objects, stated, (40, 60), 1)[0] == [("cat", [2, 2, 18, 18], False)]


@pytest.mark.parametrize("stated, fits", [((10**400, 10**400), True), ((10**400, 1), False), ((1, 10**400), False),
                                          ((101, 100), True), ((102, 100), False)])
def test_a_stated_size_may_be_any_number(stated, fits):
    if fits:
        assert upright_objects([], stated, (100, 100), 1)[0] == []
    else:
        with pytest.raises(BadFile, match="annotation is for an image of"):
            upright_objects([], stated, (100, 100), 1)


@pytest.mark.parametrize("head", ['<?xml version="1.0" encoding="nothing"?>', '<?xml version="1.0" encoding="utf-32"?>'])
def test_an_annotation_in_an_unknown_encoding_is_bad(head, tmp_path):
    (tmp_path / "a.xml").write_text(head + xml((30, 20), [("dog", 1, 1, 9, 9, 0)]))
    with pytest.raises(BadFile, match="annotation file .* cannot be read"):
        read_objects(tmp_path / "a.xml", first=0)


def test_a_name_too_long_for_a_file_is_a_missing_picture(tmp_path):
    name = "x" * 300
    root = write_voc(tmp_path / "voc", {"a": (picture(60, 40), [("dog", 1, 1, 30, 30, 0)])})
    (root / "VOCdevkit/VOC2012/ImageSets/Main/val.txt").write_text(f"a\n{name}\n")
    found = voc(root)
    assert found[0].classes == ["dog"] and "File name too long" in found[1].reason
    root = write_ilsvrc(tmp_path / "ILSVRC", {"a": (picture(60, 40), [("n00000001", 1, 1, 30, 30, 0)])}, labels={"a": 1, name: 1})
    (root / "ImageSets/CLS-LOC").mkdir(parents=True)
    (root / "ImageSets/CLS-LOC/val.txt").write_text(f"a 1\n{name} 2\n")
    found = imagenet(root)
    assert found[0].classes == [1] and "File name too long" in found[1].reason


def test_lists_are_text_in_utf_8(tmp_path):
    root = write_voc(tmp_path / "voc", {"a": (picture(60, 40), [("dog", 1, 1, 30, 30, 0)])})
    (root / "VOCdevkit/VOC2012/ImageSets/Main/val.txt").write_bytes(UTF_16)
    with pytest.raises(ValueError, match="ImageSets/Main/val.txt cannot be read .*; accepted: text in UTF-8"):
        voc(root)
    for name in ("synsets.txt", "val_labels.csv", "val.txt"):
        (tmp_path / name).write_bytes(UTF_16)
    for read in (lambda: read_synsets(tmp_path / "synsets.txt"), lambda: read_labels(tmp_path / "val_labels.csv", {})):
        with pytest.raises(ValueError, match=r"(synsets.txt|val_labels.csv) cannot be read .*; accepted: text in UTF-8"):
            read()
    root = write_ilsvrc(tmp_path / "ILSVRC", {"a": (picture(60, 40), [("n00000001", 1, 1, 30, 30, 0)])}, labels={"a": 1})
    (root / "ImageSets/CLS-LOC").mkdir(parents=True)
    (root / "ImageSets/CLS-LOC/val.txt").write_bytes(UTF_16)
    with pytest.raises(ValueError, match="val.txt cannot be read .*; accepted: text in UTF-8"):
        imagenet(root)


def test_a_list_may_begin_with_a_byte_order_mark(tmp_path):
    names = [f"n{i:08d}" for i in range(1000)]
    (tmp_path / "synsets.txt").write_text("\n".join(names), encoding="utf-8-sig")
    assert read_synsets(tmp_path / "synsets.txt") == {name: i for i, name in enumerate(names)}
    (tmp_path / "val_labels.csv").write_text("a.JPEG,1\n", encoding="utf-8-sig")
    assert read_labels(tmp_path / "val_labels.csv", {}) == {"a": 1}


def test_a_synset_that_stands_twice_shifts_no_class(tmp_path):
    names = [f"n{i:08d}" for i in range(1000)]
    (tmp_path / "synsets.txt").write_text("\n".join([names[0], *names]))  # names[999] was class 1000
    with pytest.raises(ValueError, match="names 1000 synsets in 1001 lines; accepted: 1000, one a line"):
        read_synsets(tmp_path / "synsets.txt")


def test_a_cell_that_csv_does_not_take_is_told(tmp_path):
    (tmp_path / "val_labels.csv").write_text("a.JPEG," + "x" * 140_000)
    with pytest.raises(ValueError, match=r"val_labels.csv cannot be read \(field larger .*; accepted: file,class index"):
        read_labels(tmp_path / "val_labels.csv", {})


COCO = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]}]}


@pytest.mark.parametrize("content", [
    DEEP, b'{"images": ' + DEEP, DIGITS,
    json.dumps(COCO | {"images": [{"id": 1, "file_name": "a.png", "height": 1e999, "width": 1}]}).encode(),
    json.dumps(COCO | {"categories": [{"id": 3, "name": "9" * 5000}]}).encode(),
    json.dumps(COCO | {"categories": [{"id": 3, "name": "\ud800"}]}).encode()])
def test_a_damaged_coco_file_is_told(content, tmp_path):
    (tmp_path / "boxes.json").write_bytes(content)
    with pytest.raises(ValueError, match="boxes.json is no COCO file .*; accepted: JSON with images, annotations and categories"):
        own_boxes(tmp_path / "boxes.json", ["a.png"])


def test_a_size_below_zero_is_not_stated(tmp_path):
    """With -40 x -60 the shapes agreed, and the boxes were turned over."""
    picture(60, 40).save(tmp_path / "a.png")
    images = [{"id": 1, "file_name": "a.png", "height": -20, "width": -30}]
    (tmp_path / "boxes.json").write_text(json.dumps(COCO | {"images": images}))
    assert folder(tmp_path, tmp_path / "boxes.json")[0].boxes[0].tolist() == [[1, 2, 4, 6]]


def test_a_class_of_thousands_of_digits_names_its_line(tmp_path):
    (tmp_path / "boxes.csv").write_text(f"image,class,x0,y0,x1,y1\na.png,{'9' * 5000},0,0,9,9\n")
    with pytest.raises(ValueError, match="boxes.csv line 2: .*; accepted: a picture, a class, and four numbers"):
        own_boxes(tmp_path / "boxes.csv", ["a.png"])


def test_the_home_of_nobody_is_a_place_that_is_not_there():
    """`Path.expanduser` raises RuntimeError."""
    place = "~nobody-of-this-name/a.png"
    for read in (folder, voc, imagenet, camutils.to_input, lambda path: own_boxes(path, ["a.png"])):
        with pytest.raises(FileNotFoundError, match="~nobody-of-this-name"):
            read(place)
    with pytest.raises(BadFile, match="image file is missing"):
        read_picture(place)
    with pytest.raises(FileNotFoundError, match="no photograph ~nobody"):
        command.render(["42_sanity_checks"], parameter=[f"photo={place}"])


# Results

@damaged
def test_a_damaged_config_is_named(content, tmp_path, monkeypatch):
    path = tmp_path / "results" / "run" / "config.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    monkeypatch.setattr(tables, "DATA", tmp_path)
    for read in (lambda: tables.read_config("run"), lambda: results.check_folder(path.parent, {})):
        with pytest.raises(ValueError, match="config.json is damaged.*; accepted: "):
            read()


@pytest.mark.parametrize("record", [{"config": 1, "versions": {}, "commit": ""}, {"config": {}, "versions": None, "commit": ""}])
def test_a_config_is_made_of_objects(record, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="config.json is damaged: config and versions are no objects; accepted: "):
        results.read_provenance(tmp_path / "config.json")


def write(tmp_path, content: bytes) -> Path:
    path = results.part_path(tmp_path, 0)
    path.parent.mkdir()
    path.write_bytes(content)
    return path


@damaged
def test_a_damaged_part_is_named(content, tmp_path):
    write(tmp_path, content)
    with pytest.raises(ValueError, match=r"parts/000000.json is damaged.*; accepted: "):
        results.merge(tmp_path, 1, ["image"])
    assert [p.name for p in tmp_path.iterdir()] == ["parts"]


@pytest.mark.parametrize("changed", [
    {"rows": {}}, {"notes": 3}, {"timing": [1]}, {"timing": {"images": "2"}}, {"rows": [1]}, {"rows": [row(share="much")]},
    {"rows": [row(image=7)]}, {"rows": [row(classes=True)]}, {"rows": [row(confidence=[0.5])]}, {"notes": [{"image": None}]}])
def test_a_part_of_other_kinds_is_named(changed, tmp_path):
    part = {"rows": [row()], "notes": [], "timing": {"images": 2, "loading": 0.5}}
    write(tmp_path, json.dumps(part | changed).encode())
    with pytest.raises(ValueError, match=r"parts/000000.json is damaged \(.*\); delete it and start the same command again"):
        results.merge(tmp_path, 1, [*row()])
    assert [p.name for p in tmp_path.iterdir()] == ["parts"]


def test_a_run_goes_on_when_its_damaged_part_is_taken_away(tmp_path):
    """What the message says helps: the same table in the end."""
    def run(place: str):
        return benchmark_child.run(tmp_path / place, 8)

    run("whole")
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("camutils.evaluation.benchmark._finish", lambda *_: None)
        with pytest.raises(FileNotFoundError):  # no summary
            run("out")
    results.part_path(out, 1).write_bytes(results.part_path(out, 1).read_bytes()[:99])
    with pytest.raises(ValueError, match="000001.json is damaged"):
        run("out")
    results.part_path(out, 1).unlink()
    run("out")
    assert (out / "results.csv").read_bytes() == (tmp_path / "whole" / "results.csv").read_bytes()


GOOD = results.as_csv([row()], [*row()])


@pytest.mark.parametrize("text, said", [
    (GOOD + "b,3\n", "line 3 has not as many cells"), (GOOD + "b,3,centre,0,0,0,0,0\n", "line 3 has not as many cells"),
    (GOOD.replace("0.5", "half"), "could not convert string to float: 'half'"), (GOOD + "x" * 140_000, "line 3: field larger"),
    (GOOD.replace("method", "way"), "has no column method"), ("", "has no column image, class, method"),
    (GOOD + "\udcff", "can't decode byte")])
def test_a_damaged_table_is_named(text, said, tmp_path, monkeypatch):
    path = tmp_path / "results" / "run" / "results.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode(errors="surrogateescape"))
    monkeypatch.setattr(tables, "DATA", tmp_path)
    with pytest.raises(ValueError, match=f"run/results.csv.*{said}.*; accepted: the table as it was written"):
        tables.read_results("run")


def test_a_summary_of_a_cut_table_is_refused(tmp_path, monkeypatch):
    rows = [row(image, method, energy=0.5) for image in "ab" for method in ("grad_cam", "centre")]
    assert summary(rows, resamples=2)
    with pytest.raises(ValueError, match="centre has rows of other images or classes than grad_cam; accepted: "):
        summary(rows[:-1])
    with pytest.raises(ValueError, match="a table without share, classes was given; accepted: rows of results.csv"):
        summary([{k: v for k, v in r.items() if k not in ("share", "classes")} for r in rows])
    path = tmp_path / "results" / "run" / "summary.csv"
    path.parent.mkdir(parents=True)
    path.write_text("subset,mean\nall,1\n")
    monkeypatch.setattr(tables, "DATA", tmp_path)
    with pytest.raises(ValueError, match="summary.csv has no column method, metric; accepted: "):
        tables.read_summary("run")


EMPTY = {"versions": {}, "commit": None}


@pytest.mark.parametrize("config, table, said", [
    (b"{", GOOD, "config.json is damaged"),
    (json.dumps(EMPTY | {"config": {}}).encode(), GOOD, "config.json is damaged .methods are no list of names"),
    (json.dumps(EMPTY | {"config": {"methods": [1]}}).encode(), GOOD, "config.json is damaged .methods are no list of names"),
    (json.dumps(EMPTY | {"config": {"methods": ["grad_cam"]}}).encode(), GOOD, "results.csv has no column control, correlation")])
def test_sanity_checks_name_the_damaged_file(config, table, said, tmp_path, monkeypatch):
    (tmp_path / "config.json").write_bytes(config)
    (tmp_path / "results.csv").write_text(table)
    monkeypatch.setattr("camutils.evaluation.sanity.check_folder", lambda *_: None)  # it would refuse other settings
    with pytest.raises(ValueError, match=f"{said}.*; accepted: "):
        camutils.sanity("scenes", benchmark_child.network(), "grad_cam", out=tmp_path, limit=2, device="cpu")


def test_controls_that_were_cut_off_are_told():
    numbers = dict.fromkeys(("correlation", "ssim", "pointing", "energy"), 0.5)
    rows = [{"image": image, "class": "1", "method": "grad_cam", "control": control} | numbers for control in ("itself", "other")
            for image in "ab"]
    assert len(summarise(rows)) == 2
    for cut in (rows[:2], rows[:3]):
        with pytest.raises(ValueError, match="grad_cam has other rows for itself than for other; accepted: a row of each"):
            summarise(cut)


# Experiments, times, lists, notebooks

FILE = ('title = "t"\nkind = "benchmark"\nmethods = ["grad_cam"]\n[[runs]]\nname = "01_{model}"\ndataset = "scenes"\n'
        'models = ["scenes_vgg"]\nmetrics = ["energy"]\n')


@pytest.mark.parametrize("text, said", [
    ("a = " + "[" * 100_000, "recursion"), (FILE + "limit = -1\n", "limit = -1 in .*; accepted: a whole number"),
    (FILE + "first = true\n", "first = True in .*; accepted: a whole number"),
    (FILE.replace('["scenes_vgg"]', "[5]"), "5 among models in .*; accepted: text"),
    (FILE.replace('["energy"]', "[[1]]"), r"\[1\] among metrics in .*; accepted: text")])
def test_an_experiment_of_other_kinds_is_named(text, said, tmp_path):
    (tmp_path / "01_a.toml").write_text(text)
    with pytest.raises(ValueError, match=f"01_a.toml: .*{said}"):
        read_experiment(tmp_path / "01_a.toml")


def test_a_grid_does_not_fill_the_memory():
    grid = {"method": ["grad_cam"]} | {f"a{i}": [1, 2] for i in range(60)}
    with pytest.raises(ValueError, match="a grid of 1152921504606846976 methods; accepted: up to 1000"):
        expand(grid)
    assert expand({"method": ["a", "b"], "c": [1]}) == ["a:c=1", "b:c=1"] and expand({"method": 5}) == ["5"]


@damaged
def test_times_of_a_damaged_machine_are_refused(content, tmp_path):
    (tmp_path / "machine.json").write_bytes(content)
    with pytest.raises(ValueError, match="machine.json is damaged|holds times of another machine"):
        suite.check_machine(tmp_path)


HEAD = ",".join(RATIOS)


@pytest.mark.parametrize("text, said", [("", "has no column suite"), (f"{HEAD}\ncpu\n", "line 2 has not as many cells"),
                                        (f"{HEAD}\n" + "x" * 140_000, "line 2: field larger")])
def test_a_damaged_table_of_times_is_named(text, said, tmp_path):
    (tmp_path / "ratios.csv").write_text(text)
    with pytest.raises(ValueError, match=f"ratios.csv.*{said}.*; accepted: the table as it was written"):
        Table(tmp_path / "ratios.csv")


@pytest.mark.parametrize("changed", [{"batch": "0"}, {"batch": ""}, {"batch": "9" * 400}, {"seconds": "fast"},
                                     {"options": "steps=x"}])
def test_times_that_are_no_numbers_are_told(changed):
    known = dict.fromkeys(RATIOS, "") | {"network": "n", "method": "gig_cam", "contestant": "ours", "batch": "1", "seconds": "2",
                                         "options": "steps=10 odd"}
    assert full_sets([known])[0]["seconds"] > 0
    with pytest.raises(ValueError, match="a row of gig_cam on n .*; accepted: seconds, batch and steps as they were written"):
        full_sets([known | changed])


def test_a_damaged_list_of_a_handout_is_read_as_other_names(tmp_path):
    (tmp_path / handout.LIST).write_bytes(b"abc  a\xff.ipynb\nabc  b.ipynb\n")
    assert handout.read_list(tmp_path) == {"a\ufffd.ipynb": {"abc"}, "b.ipynb": {"abc"}}


CELL = {"cell_type": "code", "id": "a", "metadata": {}, "source": "1", "execution_count": 1, "outputs": []}
PNG = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "a"}}


BOOKS = [{"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
         for cell in ({}, CELL | {"outputs": [{}]}, CELL | {"source": {}}, CELL | {"outputs": [PNG]})]


@pytest.mark.parametrize("content", [b"", b"\xff", DEEP, b"{}", *(json.dumps(book).encode() for book in BOOKS)])
def test_a_file_that_is_no_notebook_is_named(content, tmp_path):
    (tmp_path / "a.ipynb").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.ipynb cannot be read \(.*\); accepted: an executed notebook"):
        compare.compare_notebooks(tmp_path / "a.ipynb", tmp_path / "a.ipynb")


@pytest.mark.parametrize("state", [{1: torch.zeros(2)}, {"a": 1}, {"state_dict": {None: torch.zeros(2)}}, [torch.zeros(2)], 5])
def test_weights_without_names_are_refused(state, tmp_path, monkeypatch):
    torch.save(state, tmp_path / "weights.pth")
    (tmp_path / "own_module.py").write_text("from torch import nn\n\n\ndef build():\n    return nn.Linear(2, 1)\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="weights.pth holds no state dict; accepted: names and tensors"):
        own_network("own_module:build", tmp_path / "weights.pth")
    (tmp_path / "weights.pth").rename(tmp_path / "alexnet.pth")
    monkeypatch.setenv("CAMUTILS_CHECKPOINTS", str(tmp_path))
    with pytest.raises(ValueError, match="alexnet.pth does not hold the weights of alexnet; accepted: torchvision's state dict"):
        camutils.load_model("alexnet", "cpu")


# Values on the command line

@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "{" * 3])
def test_a_parameter_that_json_does_not_take_is_text(text):
    assert command._value(text) == text


@pytest.mark.parametrize("text", ["[" * 101 + "]" * 101, "[" * 900 + "]" * 900, '{"a":' * 150 + "1" + "}" * 150])
def test_a_parameter_is_no_list_in_a_list_without_end(text):
    """Python did not read the cell that papermill wrote: too many nested parentheses."""
    with pytest.raises(ValueError, match="has more than 100 brackets; accepted: a value, or a list of values"):
        command._value(text)
    assert command._value("[" * 100 + "]" * 100) and command._value("[" * 900) == "[" * 900


@pytest.mark.parametrize("text", ["\udcff", '"\\ud800"', '["a", "\\udfff"]'])
def test_half_a_character_is_no_parameter(text):
    with pytest.raises(ValueError, match="holds half a character; accepted: text in UTF-8"):
        command._value(text)


@pytest.mark.parametrize("value", ["[" * 1000, "(" * 300, "-" * 100_000 + "1", "{[]}", "{{}}", "9" * 5000, "\0"])
def test_an_option_that_is_no_literal_is_text(value):
    """Python's parser raises MemoryError, RecursionError and TypeError, too."""
    assert parse_method(f"grad_cam:a={value}", camutils.METHODS).keywords == {"a": value}


@pytest.mark.parametrize("word", ["9" * 5000, "top" + "9" * 5000, "top\u0663", "\u00b2"])
def test_a_class_of_odd_digits_is_refused(word):
    with pytest.raises(ValueError, match="accepted: "):
        pick_classes(word, ["cat", "dog"], torch.tensor([0.2, 0.8]))


@pytest.mark.parametrize("layer", ["conv[\u00b2]", f"conv[{'9' * 5000}]"])
def test_a_call_of_odd_digits_is_no_call(layer):
    assert split_name(layer) == (layer, None, ()) and split_name("conv[12]") == ("conv", 12, ())
    with pytest.raises(ValueError, match="unknown layer"):
        camutils.grad_cam(benchmark_child.network(), torch.rand(1, 3, 32, 32), 0, layer)
