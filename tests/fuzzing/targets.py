"""What of camutils reads files or values of somebody else, each as a function of bytes that a fuzzer may change.

    read, seeds = TARGETS["coco"](folder)      read(data) puts the bytes into `folder` and lets camutils' own reader have them

A read ends well, with what the reader's docstring promises (`assert`), or with an error that the reader means: `expected`.
"""

import ast
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import papermill
import torch
from benchmark_child import network
from make_sets import picture, write_ilsvrc, write_voc, xml
from papermill.translators import PythonTranslator
from PIL import Image

import camutils
import camutils.__main__ as command
from camutils import explain
from camutils.book import compare, handout, render
from camutils.core.names import split_name
from camutils.datasets import Sample, Skipped, folder, imagenet, voc
from camutils.datasets.annotations import read_objects, upright_objects
from camutils.datasets.imagenet import read_labels, read_synsets
from camutils.datasets.own_boxes import own_boxes
from camutils.datasets.reader import BadFile, read_picture
from camutils.datasets.sample import to_sample
from camutils.evaluation import benchmark, experiment_files, measure, results, sanity, summary, tables
from camutils.evaluation.speed import suite, table
from camutils.networks.given import _put_weights, pick_classes
from camutils.networks.load import read_checksums
from camutils.places import DATA

Read = Callable[[bytes], object]
CLEAR = ("accepted", "needed", "start the same command again", "notes.csv says why", "was measured on other images",
         "nearest: ", "01_name.toml: ", "weights.pth does not fit a:b: ")


def expected(error: Exception) -> bool:
    """Does this error tell a user what is wrong? A BadFile, an OSError of a file, or a text that says what is accepted."""
    if isinstance(error, BadFile) or (isinstance(error, OSError) and (error.filename or not error.errno)):
        return True
    return type(error) in (ValueError, TypeError) and any(word in str(error) for word in CLEAR)


def text_of(data: bytes) -> str:
    """Bytes as Python gives a command's arguments."""
    return data.decode("utf-8", "surrogateescape")


def check_objects(objects) -> None:
    """Objects of an annotation: a name or a number, four whole numbers, a flag."""
    for name, box, difficult in objects:
        assert (isinstance(name, str) and name == name.strip() != "") or type(name) is int, name
        assert len(box) == 4 and all(type(v) is int for v in box) and type(difficult) is bool, (box, difficult)


def check_sample(sample: Sample | Skipped) -> None:
    """What `Sample` and `Skipped` say of themselves."""
    if isinstance(sample, Skipped):
        assert sample.reason
        return
    H, W = sample.geometry.size
    assert sample.image.shape[0] == 3 and 0 <= sample.image.min() <= sample.image.max() <= 1
    assert len(set(sample.classes)) == len(sample.classes) == len(sample.boxes) == len(sample.difficult)
    for boxes, difficult in zip(sample.boxes, sample.difficult, strict=True):
        assert boxes.dtype == torch.int64 and boxes.shape == (len(difficult), 4)
        x0, y0, x1, y1 = boxes.unbind(1)
        assert (0 <= x0).all() and (x0 < x1).all() and (x1 <= W).all() and (0 <= y0).all() and (y0 < y1).all() and (y1 <= H).all()


def voc_xml(place: Path) -> tuple[Read, list[bytes]]:
    """An annotation, of VOC and of ILSVRC, turned upright and made a sample."""
    path, image = place / "a.xml", picture(60, 40)

    def read(data: bytes) -> None:
        path.write_bytes(data)
        for first in (0, 1):
            found = read_objects(path, first)
            check_objects(found.objects)
            assert found.stated is None or min(found.stated) > 0
            for orientation in (1, 6):
                stored = (40, 60) if orientation == 1 else (60, 40)
                objects, notes = upright_objects(found.objects, found.stated, stored, orientation)
                check_objects(objects)
                check_sample(to_sample("a", image, objects, found.notes + notes, 40, 8))

    objects = [("dog", 1, 1, 30, 30, 0), ("cat", 2.5, 3, 50, 60, 1)]
    return read, [xml((60, 40), objects).encode(), xml((120, 80), objects).encode(), xml((60, 40), objects).encode("utf-16")]


def voc_list(place: Path) -> tuple[Read, list[bytes]]:
    """ImageSets/Main/val.txt of VOC."""
    root = write_voc(place, {name: (picture(60, 40), [("dog", 1, 1, 30, 30, 0)]) for name in ("a", "2007_001073")})

    def read(data: bytes) -> None:
        (root / "VOCdevkit/VOC2012/ImageSets/Main/val.txt").write_bytes(data)
        for split in ("val", "tune", "confirm"):
            found = voc(root, split, resize=40, crop=8)
            assert len(found)
            for i in range(min(len(found), 3)):
                check_sample(found[i])

    return read, [b"a\n2007_001073\n", b"2007_001073  1\na -1\n", b"../a\n"]


SYNSETS = [f"n{i:08d}" for i in range(1000)]


def imagenet_list(place: Path) -> tuple[Read, list[bytes]]:
    """ImageSets/CLS-LOC/val.txt of ILSVRC."""
    root = write_ilsvrc(place, {"a": (picture(60, 40), [(SYNSETS[1], 1, 1, 30, 30, 0)])}, labels={"a": 1}, synsets=SYNSETS)
    (root / "ImageSets/CLS-LOC").mkdir(parents=True)

    def read(data: bytes) -> None:
        (root / "ImageSets/CLS-LOC/val.txt").write_bytes(data)
        found = imagenet(root, resize=40, crop=8)
        for i in range(min(len(found), 3)):
            check_sample(found[i])

    return read, [b"a 1\nb 2\n", b"a\n", b"/a 1\n"]


def imagenet_synsets(place: Path) -> tuple[Read, list[bytes]]:
    """synsets.txt and LOC_synset_mapping.txt."""
    path = place / "synsets.txt"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        found = read_synsets(path)
        assert sorted(found.values()) == [*range(1000)] and all(name == name.strip() != "" for name in found)

    mapping = "\n".join(f"{name} tench, Tinca tinca" for name in SYNSETS)
    return read, ["\n".join(SYNSETS).encode(), mapping.encode(), b"n00000001\n"]


def imagenet_labels(place: Path) -> tuple[Read, list[bytes]]:
    """val_labels.csv and LOC_val_solution.csv."""
    path, known = place / "val_labels.csv", {name: i for i, name in enumerate(SYNSETS)}

    def read(data: bytes) -> None:
        path.write_bytes(data)
        for given in ({}, known):
            assert all(type(index) is int and 0 <= index < 1000 for index in read_labels(path, given).values())

    return read, [b"a.JPEG,1\nb.JPEG,999\n", b"ImageId,PredictionString\na,n00000001 1 2 3 4 n00000001 5 6 7 8\n", b'"a","7"\n']


def boxes_of_ones_own(name: str, seeds: list[bytes]) -> Callable[[Path], tuple[Read, list[bytes]]]:
    """Boxes beside a folder of pictures, in a file of this name."""
    def target(place: Path) -> tuple[Read, list[bytes]]:
        (place / "set").mkdir()
        for photo in ("a.png", "b.png"):
            picture(60, 40).save(place / "set" / photo)

        def read(data: bytes) -> None:
            (place / name).write_bytes(data)
            for photo in ("a.png", "b.png"):
                try:
                    found = own_boxes(place / name, ["a.png", "b.png"])(photo)
                except BadFile:
                    continue
                check_objects(found.objects)
                assert all(isinstance(label, int) or label.encode() for label, _, _ in found.objects)
            dataset = folder(place / "set", place / name, resize=40, crop=8)
            for i in range(2):
                check_sample(dataset[i])

        return read, seeds
    return target


COCO = {"images": [{"id": 1, "file_name": "a.png", "height": 40, "width": 60}, {"id": 2, "file_name": "b.png"}],
        "annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 2.5, 30, 30], "iscrowd": 0},
                        {"image_id": 2, "category_id": 4, "bbox": [0, 0, 9, 9], "iscrowd": 1}],
        "categories": [{"id": 3, "name": "dog"}, {"id": 4, "name": "7"}]}
BOXES = b"image,class,x0,y0,x1,y1\na.png,dog,1,2.5,30,30\nb.png,7,0,0,9,9\n"
coco = boxes_of_ones_own("boxes.json", [json.dumps(COCO).encode(), b"\xef\xbb\xbf" + json.dumps(COCO).encode()])
boxes_csv = boxes_of_ones_own("boxes.csv", [BOXES, b"\xef\xbb\xbf" + BOXES, BOXES.replace(b",", b", "),
                                            b'y1,"x1",y0,x0,class,image,more\n9,9,0,0,"a cat",a,x\n'])


def saved(image: Image.Image, kind: str, place: Path) -> bytes:
    """The bytes of a picture's file."""
    image.save(place / "seed", kind)
    return (place / "seed").read_bytes()


def masks(place: Path) -> tuple[Read, list[bytes]]:
    """The PNG mask of a picture."""
    for name in ("set", "masks"):
        (place / name).mkdir()
    picture(60, 40).save(place / "set" / "a.png")

    def read(data: bytes) -> None:
        (place / "masks" / "a.png").write_bytes(data)
        with patch.object(Image, "MAX_IMAGE_PIXELS", 100_000):  # else one that says it is large takes its seconds
            check_sample(folder(place / "set", place / "masks", resize=40, crop=8)[0])

    return read, [saved(picture(60, 40).convert(mode), "PNG", place) for mode in ("L", "P", "RGB")]


def pictures(place: Path) -> tuple[Read, list[bytes]]:
    """A picture of any format."""
    path = place / "a.png"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        with patch.object(Image, "MAX_IMAGE_PIXELS", 100_000):
            found = read_picture(path)
        assert found.image.mode == "RGB" and found.orientation in range(1, 9)
        assert sorted(found.image.size) == sorted(found.stored) and min(found.stored) > 0

    kinds = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
    return read, [saved(picture(9, 7), kind, place) for kind in kinds] + [saved(picture(9, 7).convert("LA"), "PNG", place)]


COLUMNS = [*measure.COLUMNS, "confidence", "pointing"]
LINES = [{"image": image, "class": "3", "method": method, "share": 0.1, "classes": 2, "difficult": 0, "confidence": 0.5,
          "pointing": hit} for image, hit in (("a", 1.0), ("b", 0.0)) for method in ("grad_cam", "centre")]
TABLE = results.as_csv(LINES, COLUMNS).encode()


def results_table(place: Path) -> tuple[Read, list[bytes]]:
    """results.csv of a stored run, as notebooks read it and as a summary is made of it."""
    path = place / "results" / "run" / "results.csv"
    path.parent.mkdir(parents=True)

    def read(data: bytes) -> None:
        path.write_bytes(data)
        with patch.object(tables, "DATA", place):
            rows = tables.read_results("run")
        for row in rows:
            assert all(isinstance(value, str if column in results.TEXT else float) for column, value in row.items())
        made = summary.summary(rows, resamples=2)
        assert summary.show(made) if made else True

    return read, [TABLE, TABLE.replace(b"0.5", b""), TABLE.splitlines()[0] + b"\n"]


def results_summary(place: Path) -> tuple[Read, list[bytes]]:
    """summary.csv of a stored run."""
    path = place / "results" / "run" / "summary.csv"
    path.parent.mkdir(parents=True)

    def read(data: bytes) -> None:
        path.write_bytes(data)
        with patch.object(tables, "DATA", place):
            found = tables.read_summary("run")
        assert all(line["subset"] == "all" for by_metric in found.values() for line in by_metric.values())

    return read, [results.as_csv(summary.summary(LINES, resamples=2), summary.COLUMNS).encode()]


@cache
def record() -> dict:
    """What a small run's config.json holds."""
    config = {"dataset": "scenes", "methods": ["grad_cam"], "batch": 1}
    return results.provenance(config, network(), ["a", "b"]) | {"commit": None}


def results_config(place: Path) -> tuple[Read, list[bytes]]:
    """config.json, of a stored run and of a folder in which a run goes on."""
    path = place / "results" / "run" / "config.json"
    path.parent.mkdir(parents=True)

    def read(data: bytes) -> None:
        path.write_bytes(data)
        with patch.object(tables, "DATA", place), redirect_stdout(StringIO()):
            found = tables.read_config("run")
            assert isinstance(found["config"], dict) and isinstance(found["versions"], dict)
            results.check_folder(path.parent, record())

    return read, [json.dumps(record(), indent=1).encode(), json.dumps(record() | {"commit": "abc"}).encode()]


def results_parts(place: Path) -> tuple[Read, list[bytes]]:
    """One part of a run that goes on; what is made of it can be read again."""
    path = results.part_path(place, 0)
    path.parent.mkdir()

    def read(data: bytes) -> None:
        path.write_bytes(data)
        results.merge(place, 1, COLUMNS)
        for name in ("results", "notes", "timing"):
            results.read_table(place / f"{name}.csv")

    notes = [{"image": "a", "what": "changed", "note": "turned"}]
    part = {"rows": LINES, "notes": notes, "timing": {"images": 2, "loading": 0.5}}
    return read, [json.dumps(part).encode(), json.dumps({"rows": [], "notes": [], "timing": {}}).encode()]


def resumed(name: str) -> Callable[[Path], tuple[Read, list[bytes]]]:
    """A benchmark that goes on in a folder of which this one file is damaged."""
    def target(place: Path) -> tuple[Read, list[bytes]]:
        model, whole, out = network(), place / "whole", place / "out"

        def run(folder: Path) -> list[results.Row]:
            with patch.object(results, "_commit", lambda: None), redirect_stdout(StringIO()):
                return benchmark.benchmark("scenes", model, "grad_cam", "pointing", out=folder, limit=2, batch=1, device="cpu")

        finish = benchmark._finish

        def copied(*asked: object) -> None:
            shutil.copytree(out, whole)  # with its parts, which the end of a run takes away
            finish(*asked)

        with patch.object(benchmark, "_finish", copied):
            run(out)
        if not name.startswith("parts"):
            whole = out.rename(place / "ended")

        def read(data: bytes) -> None:
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(whole, out)
            (out / name).write_bytes(data)
            assert isinstance(run(out), list)

        return read, [(whole / name).read_bytes()]
    return target


def resumed_sanity(place: Path) -> tuple[Read, list[bytes]]:
    """A run of sanity checks that goes on in a folder whose results.csv, or config.json behind a `{`, is damaged."""
    model, out = network(), place / "out"

    def run() -> list[results.Row]:
        with patch.object(results, "_commit", lambda: None), redirect_stdout(StringIO()):
            return sanity.sanity("scenes", model, "grad_cam", out=out, limit=2, device="cpu")

    run()
    stored = {name: (out / name).read_bytes() for name in ("config.json", "results.csv")}

    def read(data: bytes) -> None:
        for name, content in stored.items():
            (out / name).write_bytes(data if data[:1] == content[:1] else content)
        with patch.object(sanity, "_method_rows", lambda *_: []):  # a method that is not there would be measured
            assert isinstance(run(), list)

    return read, [*stored.values()]


def experiment(place: Path) -> tuple[Read, list[bytes]]:
    """A file of data/experiments."""
    path = place / "01_name.toml"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        for run in experiment_files.read_experiment(path):
            assert all(isinstance(text, str) for text in (run.name, run.title, run.model, *run.methods, *(run.metrics or [])))
            assert run.limit is None or (type(run.limit) is int and run.limit > 0), run.limit
            assert type(run.first) is int and run.first >= 0 and isinstance(run.split, str | None)

    small = ('title = "t"\nkind = "benchmark"\nmethods = ["grad_cam:relu=False^0.5", {method = ["cluster_cam", "gig_cam"], '
             'options = ["layer=0"]}]\n[[runs]]\nname = "01_{model}"\ndataset = "scenes"\nmodels = ["scenes_vgg"]\n'
             'metrics = ["energy"]\nlimit = 5\nfirst = 1\nsplit = "tune"\nbefore = ["hires_cam"]\n')
    names = ("42_sanity_checks", "43_search", "22_scale_fusion")
    return read, [small.encode(), *((DATA / "experiments" / f"{name}.toml").read_bytes() for name in names)]


def speed_machine(place: Path) -> tuple[Read, list[bytes]]:
    """machine.json of stored times."""
    with patch.object(suite, "machine", lambda packages: {"cpu": "x", "cores": 2}):
        seed = json.dumps(suite.check_machine(place)).encode()

    def read(data: bytes) -> None:
        (place / "machine.json").write_bytes(data)
        with patch.object(suite, "machine", lambda packages: {"cpu": "x", "cores": 2}):
            assert suite.check_machine(place)["cores"] == 2

    return read, [seed]


def speed_table(place: Path) -> tuple[Read, list[bytes]]:
    """ratios.csv of stored times, read, asked, added to and shown."""
    path = place / "ratios.csv"
    stored = (DATA / "speed" / "ratios.csv").read_bytes().splitlines(keepends=True)

    def read(data: bytes) -> None:
        path.write_bytes(data)
        found = table.Table(path)
        found.holds(suite="cpu", network="scenes_vgg", method="grad_cam", options="", batch=1)
        judged = [row for row in found.rows if row.get("verdict")]
        table.aligned(judged, suite.VERDICTS)
        suite.full_sets(found.rows)
        found.add([])
        assert len(table.Table(path).rows) == len(found.rows)

    return read, [b"".join(stored[:4]), b"".join([stored[0], *stored[20:22]])]


def checksums(place: Path) -> tuple[Read, list[bytes]]:
    """SHA256SUMS beside checkpoints, and the list that a handout leaves."""
    def read(data: bytes) -> None:
        (place / "SHA256SUMS").write_bytes(data)
        (place / handout.LIST).write_bytes(data)
        assert all(isinstance(text, str) for pair in read_checksums(place).items() for text in pair)
        assert all(codes for codes in handout.read_list(place).values())

    return read, [(DATA / "checkpoints" / "SHA256SUMS").read_bytes()[:300]]


def weights(place: Path) -> tuple[Read, list[bytes]]:
    """A file of weights."""
    torch.save({"a": torch.zeros(2)}, place / "old.pth", _use_new_zipfile_serialization=False)

    model = torch.nn.Linear(2, 1)
    torch.save({"state_dict": model.state_dict()}, place / "new.pth")

    def read(data: bytes) -> None:
        (place / "weights.pth").write_bytes(data)
        _put_weights(model, place / "weights.pth", "a:b")

    return read, [(place / name).read_bytes() for name in ("new.pth", "old.pth")]


def notebook(place: Path) -> tuple[Read, list[bytes]]:
    """A notebook that `camutils compare` is given."""
    cells = [{"cell_type": "code", "id": "a", "metadata": {}, "source": "print(1)", "execution_count": 1, "outputs": [
        {"output_type": "stream", "name": "stdout", "text": ["1\n"]},
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": "aGFsbG8=", "text/plain": ["<Figure>"]}}]},
             {"cell_type": "markdown", "id": "b", "metadata": {}, "source": ["# Text"]}]
    seed = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()
    (place / "a.ipynb").write_bytes(seed)

    def read(data: bytes) -> None:
        (place / "b.ipynb").write_bytes(data)
        said = compare.compare_notebooks(place / "a.ipynb", place / "b.ipynb")
        assert all(isinstance(line, str) for line in said)

    return read, [seed, b'{"cells": [], "metadata": {}, "nbformat": 3, "nbformat_minor": 0, "worksheets": []}']


def parameter(place: Path) -> tuple[Read, list[bytes]]:
    """`camutils render -p NAME=VALUE` up to the cell that papermill writes: it reads as the same value, and as nothing else."""
    inspect = cache(papermill.inspect_notebook)

    def written(book: Path, values: dict, *_: object) -> None:
        cell = ast.parse(PythonTranslator.codify(values).encode())
        for line, (name, value) in zip(cell.body, values.items(), strict=True):
            if value == value and value not in (float("inf"), -float("inf")):  # those are written as float('nan')
                assert isinstance(line, ast.Assign) and ast.literal_eval(line.value) == value, name

    def read(data: bytes) -> None:
        with (patch.object(render, "execute", written), patch.object(papermill, "inspect_notebook", inspect),
              patch.object(render, "check_writable", lambda folder: None), patch.object(render, "load_model", lambda *_: None)):
            text = text_of(data)
            command.render(["11_bias_term" if text.startswith("networks") else "42_sanity_checks"], parameter=[text])

    return read, [b"seed=1", b'networks=["scenes_vgg", "scenes_resnet"]', b"picks=[0, 2]", b"photo=~/a.png", b"photo=README.md"]


def method(place: Path) -> tuple[Read, list[bytes]]:
    """Methods as they are typed."""
    def read(data: bytes) -> None:
        for text in measure.split_list(text_of(data)):
            base, gamma = measure.split_power(text)
            assert gamma is None or 0 < gamma < float("inf")
            assert callable(measure.parse_method(text, camutils.METHODS))
            title, function = explain.parse(text, "layer3")
            assert title and callable(function)

    return read, [b"grad_cam,grad_cam:relu=False^0.5", b"gig_cam:steps=10:seed=1", b"grad_cam+C+M", b"grad_cam:layer=['a','b']",
                  b"combined_cam:clusters={'a': (1, -2)}", b"score_cam:batch=8,centre"]


def classes(place: Path) -> tuple[Read, list[bytes]]:
    """--class of `camutils explain`, and a layer's name."""
    names, p = camutils.class_names("mobilenet_v2"), torch.linspace(0, 1, 1000)
    tiny, image = network(), torch.rand(1, 3, 32, 32)

    def read(data: bytes) -> None:
        text = text_of(data)
        module, call, functions = split_name(text)
        assert isinstance(module, str) and (call is None or call >= 0)
        try:
            assert camutils.grad_cam(tiny, image, 0, text).shape == (1, 32, 32)
        except Exception as error:
            if not expected(error):
                raise
        assert all(type(c) is int and 0 <= c < 1000 for c in pick_classes(text, names, p))

    return read, [b"top3", b"tabby", b"281", b"n01440764", b"Egyptian Cat", b"2[0]", b"0:relu:add"]


TARGETS: dict[str, Callable[[Path], tuple[Read, list[bytes]]]] = {
    "voc_xml": voc_xml, "voc_list": voc_list, "imagenet_list": imagenet_list, "imagenet_synsets": imagenet_synsets,
    "imagenet_labels": imagenet_labels, "coco": coco, "boxes_csv": boxes_csv, "masks": masks, "pictures": pictures,
    "results_table": results_table, "results_summary": results_summary, "results_config": results_config,
    "results_parts": results_parts, "resumed_config": resumed("config.json"), "resumed_part": resumed("parts/000000.json"),
    "resumed_results": resumed("results.csv"), "resumed_timing": resumed("timing.csv"), "resumed_sanity": resumed_sanity,
    "experiment": experiment, "speed_machine": speed_machine, "speed_table": speed_table, "checksums": checksums,
    "weights": weights, "notebook": notebook, "parameter": parameter, "method": method, "classes": classes,
}
