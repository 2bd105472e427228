"""Damaged, grey, rotated, missing: every file is used, converted with a note, or skipped with a reason. Never a crash."""

import hashlib
import io
import json
import shutil

import numpy as np
import pytest
import torch
from make_sets import picture, write_ilsvrc, write_voc, xml
from PIL import Image
from torchvision.ops import masks_to_boxes

from camutils.datasets import Sample, Skipped, folder, imagenet, open_dataset, read_all, resize_and_crop, scenes, voc
from camutils.datasets.ahead import load_ahead
from camutils.datasets.annotations import turn_box
from camutils.datasets.photos import to_input
from camutils.datasets.sample import chosen
from camutils.datasets.scene import scene
from camutils.datasets.voc import CHOSE

DOG = [("dog", 11, 21, 60, 80, 0)]


def jpeg(image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, **options)
    return file.getvalue()


def turned(image, orientation) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return jpeg(image, exif=exif)


def test_scenes_are_samples_with_identity_geometry():
    dataset, drawn = scenes("tune", 3), scene("tune", 2)
    sample = dataset[2]
    assert [len(dataset), dataset.names[2], sample.name, dataset.link] == [3, "tune_00002", "tune_00002", "sigmoid"]
    assert torch.equal(sample.image, drawn.image) and sample.classes == drawn.classes.tolist()
    assert torch.equal(torch.cat(sample.boxes), drawn.boxes) and not any(d.any() for d in sample.difficult)
    assert torch.equal(sample.geometry.restore(sample.image[0]), sample.image[0])


def test_scenes_know_their_digits_own_pixels_and_other_sets_do_not(tmp_path):
    for index in range(6):
        sample, drawn = scenes("test")[index], scene("test", index)
        assert len(sample.masks) == len(sample.classes) and torch.equal(torch.stack(sample.masks), drawn.masks)
        for mask, (box,) in zip(sample.masks, sample.boxes, strict=True):
            assert mask.shape == sample.geometry.size and mask.dtype == torch.bool
            assert box.tolist() == masks_to_boxes(mask[None])[0].add(torch.tensor([0, 0, 1, 1])).int().tolist()  # last pixel in
    picture(60, 90).save(tmp_path / "b.png")
    assert folder(tmp_path)[0].masks is None
    assert voc(write_voc(tmp_path, {"a": (picture(100, 80), DOG)}))[0].masks is None


def test_voc_boxes_are_counted_from_one_and_classes_keep_their_own(tmp_path):
    objects = [("dog", 1, 1, 100, 80, 0), ("cat", 11, 21, 60, 70, 1), ("dog", 31, 41, 50.6, 60, 1)]
    sample = voc(write_voc(tmp_path, {"a": (picture(100, 80), objects)}))[0]
    assert sample.classes == ["dog", "cat"] and sample.notes == ()
    assert sample.boxes[0].tolist() == [[0, 0, 100, 80], [30, 40, 51, 60]] and sample.boxes[1].tolist() == [[10, 20, 60, 70]]
    assert sample.difficult[0].tolist() == [False, True] and sample.difficult[1].tolist() == [True]
    assert sample.image.shape == (3, 224, 224) and sample.geometry == resize_and_crop((80, 100))


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB", "YCbCr"])
def test_other_colour_modes_are_converted_and_said(tmp_path, mode):
    source = picture(90, 80)
    sample = voc(write_voc(tmp_path, {"a": (jpeg(source.convert(mode)), DOG)}))[0]
    assert sample.notes == (() if mode in ("RGB", "YCbCr") else (f"converted from {mode} to RGB",))
    expected = to_input(source.convert("L") if mode == "L" else source)
    assert sample.image.shape == (3, 224, 224) and (sample.image - expected).abs().mean() < 0.02


def test_bad_files_are_skipped_by_name_and_reason(tmp_path):
    whole = jpeg(picture(100, 80))
    entries = {
        "good": (whole, DOG), "truncated": (whole[: len(whole) // 2], DOG), "text": (b"<html>not found</html>", DOG),
        "empty": (b"", DOG), "no_image": (None, DOG), "no_xml": (whole, None), "cut_xml": (whole, "<annotation><object>"),
        "no_object": (whole, []), "no_box": (whole, "<annotation><object><name>dog</name></object></annotation>"),
        "outside": (whole, [("dog", 200, 200, 300, 300, 0)]), "foreign": (whole, [("unicorn", 1, 1, 5, 5, 0)]),
        "other_shape": (whole, xml((80, 100), DOG)), "strip": (jpeg(picture(2100, 20)), [("dog", 1, 1, 9, 9, 0)]),
    }
    good, skipped = read_all(voc(write_voc(tmp_path, entries)))
    assert [s.name for s in good] == ["good"]
    reasons = dict(skipped)
    assert list(reasons) == [n for n in entries if n != "good"]
    wanted = {"truncated": "truncated", "text": "not a readable image", "empty": "not a readable image", "no_image": "missing",
              "no_xml": r"XML.*missing", "cut_xml": "XML.*cannot be read", "no_object": "no annotated object",
              "no_box": "no annotated object has a name and a box", "outside": "outside", "foreign": "unicorn",
              "other_shape": "80 x 100.*100 x 80", "strip": "2100 x 20"}
    for name, pattern in wanted.items():
        with pytest.raises(AssertionError, match=pattern):
            raise AssertionError(reasons[name])
    assert not any(str(tmp_path) in reason for reason in reasons.values())


def test_boxes_over_the_border_are_clipped_and_scaled_ones_said(tmp_path):
    image = picture(100, 80)
    entries = {"over": (image, [("dog", -4, 11, 120, 60, 0), ("dog", 200, 1, 210, 9, 0), ("cat", 500, 1, 600, 9, 0)]),
               "halved": (image, xml((200, 160), [("dog", 21, 41, 60, 80, 0)])), "no_size": (image, xml(None, DOG))}
    over, halved, no_size = read_all(voc(write_voc(tmp_path, entries)))[0]
    assert over.classes == ["dog"] and over.boxes[0].tolist() == [[0, 10, 100, 60]]
    assert over.notes == ("1 box clipped to the image", "2 boxes dropped: empty or outside the image")
    assert halved.boxes[0].tolist() == [[10, 20, 30, 40]] and halved.notes == ("boxes scaled from 200 x 160 to 100 x 80",)
    assert no_size.boxes[0].tolist() == [[10, 20, 60, 80]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotated_files_are_turned_with_their_boxes(tmp_path, orientation):
    """A red patch fills the box in the stored pixels: upright, it must still fill it."""
    stored = np.full((80, 120, 3), 40, np.uint8)
    stored[16:32, 72:112] = (250, 30, 30)
    data = turned(Image.fromarray(stored), orientation)
    box = [("dog", 73, 17, 112, 32, 0)]
    sample = voc(write_voc(tmp_path, {"a": (data, xml((120, 80), box))}), resize=(80, 80), crop=80)[0]
    H, W = (80, 120) if orientation < 5 else (120, 80)
    assert sample.geometry.size == (H, W)
    assert sample.notes == (() if orientation == 1 else (f"turned upright (EXIF orientation {orientation})",))
    x0, y0, x1, y1 = sample.boxes[0][0].tolist()
    assert (x1 - x0) * (y1 - y0) == 16 * 40
    red = sample.geometry.restore(sample.image[0]) > 0.6
    inside = torch.zeros(H, W, dtype=torch.bool)
    inside[y0:y1, x0:x1] = True
    assert (red == inside).double().mean() > 0.98 and red[inside].double().mean() > 0.9


def test_boxes_that_are_stated_for_the_upright_image_stay(tmp_path):
    data = turned(picture(120, 80), 6)
    sample = voc(write_voc(tmp_path, {"a": (data, xml((80, 120), [("dog", 11, 21, 60, 110, 0)]))}))[0]
    assert sample.boxes[0].tolist() == [[10, 20, 60, 110]] and sample.geometry.size == (120, 80)


def test_turn_box_by_hand():
    """2 x 3 pixels, the box is the top right one; where it stands upright, for each orientation (TIFF 6.0's table)."""
    expected = {1: [2, 0, 3, 1], 2: [0, 0, 1, 1], 3: [0, 1, 1, 2], 4: [2, 1, 3, 2],
                5: [0, 2, 1, 3], 6: [1, 2, 2, 3], 7: [1, 0, 2, 1], 8: [0, 0, 1, 1]}
    assert {o: turn_box([2, 0, 3, 1], (2, 3), o) for o in range(1, 9)} == expected


SYNSETS = [f"n{i:08d}" for i in range(1000)]
ENTRIES = {f"ILSVRC2012_val_0000000{i}": (picture(100, 80, i), [(SYNSETS[i], 0, 5, 100, 80, 0), (SYNSETS[i], 10, 10, 20, 20, 0)])
           for i in (3, 7)}


@pytest.mark.parametrize("source", ["labels", "synsets", "both", "solution"])
def test_ilsvrc_classes_come_from_any_of_the_official_files(tmp_path, source):
    labels = {n: int(n[-1]) for n in ENTRIES}
    files = {"labels": {"labels": labels}, "synsets": {"synsets": SYNSETS}, "both": {"labels": labels, "synsets": SYNSETS},
             "solution": {"synsets": SYNSETS, "solution": {n: SYNSETS[i] for n, i in labels.items()}}}[source]
    root = write_ilsvrc(tmp_path / "ILSVRC", ENTRIES, **files)
    for given in (root, tmp_path):
        if given == tmp_path and source != "labels":
            continue
        samples, skipped = read_all(imagenet(given))
        assert skipped == [] and [s.classes for s in samples] == [[3], [7]]
        assert samples[0].boxes[0].tolist() == [[0, 5, 100, 80], [10, 10, 20, 20]]  # from 0, last pixel not included


def test_ilsvrc_problems_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="kaggle.com"):
        imagenet(tmp_path)
    root = write_ilsvrc(tmp_path, {**ENTRIES, "other": (picture(50, 50), [(SYNSETS[5], 1, 1, 9, 9, 0)]),
                                   "bare": (picture(50, 50), None)})
    with pytest.raises(FileNotFoundError, match="val_labels.csv.*kaggle.com"):
        imagenet(root)
    write_ilsvrc(root, {}, labels={**{n: int(n[-1]) for n in ENTRIES}, "other": 9, "bare": 1}, synsets=SYNSETS)
    samples, skipped = read_all(imagenet(root))
    assert len(samples) == 2 and skipped == [Skipped("bare", "annotation file (XML) is missing"),
                                             Skipped("other", "labelled 9, but its boxes are of class 5")]
    (root / "val_labels.csv").write_text("a.JPEG,3\nb.JPEG,1000\n")
    with pytest.raises(ValueError, match="line 2.*1000"):
        imagenet(root)
    with pytest.raises(ValueError, match="train.*val"):
        imagenet(root, "train")


def test_an_object_without_a_box_or_name_costs_only_itself(tmp_path):
    """One with a box, four without: none, half of one, words, infinity, no name. The difficult flag stays with its own object."""
    whole = "<bndbox><xmin>11</xmin><ymin>21</ymin><xmax>60</xmax><ymax>80</ymax></bndbox>"
    bad = ["", "<bndbox><xmin>1</xmin></bndbox>", whole.replace("60", "wide"), whole.replace("80", "inf")]
    nodes = [f"<object><name>cat</name>{box}</object>" for box in bad]
    nodes.insert(2, f"<object><name>dog</name><difficult>1</difficult>{whole}</object>")
    entries = {"a": (picture(100, 80), f"<annotation>{''.join(nodes)}<object>{whole}</object></annotation>"),
               "b": (picture(100, 80), f"<annotation>{nodes[0]}{nodes[2]}</annotation>")}
    a, b = voc(write_voc(tmp_path, entries))
    assert a.classes == b.classes == ["dog"] and a.boxes[0].tolist() == [[10, 20, 60, 80]] and a.difficult[0].tolist() == [True]
    assert a.notes == ("5 objects without a name or a box left out",)
    assert b.notes == ("1 object without a name or a box left out",)


def write_tree(folder, synsets, seed=0):
    """Two pictures in each synset's folder; returns their names, in order."""
    names = []
    for synset in synsets:
        (folder / synset).mkdir(parents=True)
        for i, suffix in enumerate(("JPEG", "png")):
            picture(100, 80, seed + i).save(folder / synset / f"{i}.{suffix}")
            names.append(f"{synset}/{i}.{suffix}")
    return names


@pytest.mark.parametrize("place", ["Data/CLS-LOC/val", "ILSVRC/Data/CLS-LOC/val", "val", "."])
def test_ilsvrc_in_folders_of_synsets(tmp_path, place):
    """Without boxes, with the class of the folder; a stray folder and file are left out."""
    names = write_tree(tmp_path / place, [SYNSETS[3], SYNSETS[7]])
    (tmp_path / place / "other").mkdir()
    (tmp_path / place / SYNSETS[3] / "notes.txt").write_text("left out")
    (tmp_path / "synsets.txt").write_text("\n".join(SYNSETS))
    data = imagenet(tmp_path)
    assert data.names == names and not data.boxes
    samples, skipped = read_all(data)
    assert skipped == [] and [s.classes for s in samples] == [[3], [3], [7], [7]]
    assert all(s.boxes[0].shape == (0, 4) and s.difficult[0].shape == (0,) for s in samples)
    with Image.open(tmp_path / place / names[1]) as file:
        assert torch.equal(samples[1].image, to_input(file))


@pytest.mark.parametrize("sorted_too", [False, True])
def test_ilsvrc_in_folders_of_synsets_with_boxes(tmp_path, sorted_too):
    """Annotations flat, as they come, or sorted like the pictures; one is missing."""
    write_tree(tmp_path / "Data/CLS-LOC/val", [SYNSETS[3], SYNSETS[7]])
    for c in (3, 7):
        where = tmp_path / "Annotations/CLS-LOC/val" / (SYNSETS[c] if sorted_too else "")
        where.mkdir(parents=True, exist_ok=True)
        (where / f"{c // 7}.xml").write_text(xml((100, 80), [(SYNSETS[c], 0, 5, 90, 80, 0), (SYNSETS[1], 0, 0, 9, 9, 0)]))
    (tmp_path / "synsets.txt").write_text("\n".join(SYNSETS))
    data = imagenet(tmp_path)
    samples, skipped = read_all(data)
    assert data.boxes and [s.classes for s in samples] == [[3], [7]] and [s.name[-6:] for s in samples] == ["0.JPEG", "/1.png"]
    assert all(s.boxes[0].tolist() == [[0, 5, 90, 80]] and s.notes == ("1 boxes of other classes left out",) for s in samples)
    reasons = {s.reason for s in skipped}
    assert len(skipped) == 2 and reasons == ({"annotation file (XML) is missing"} if sorted_too
                                             else {"labelled 3, but its boxes are of class 1, 7",
                                                   "labelled 7, but its boxes are of class 1, 3"})


def test_a_thousand_folders_of_synsets_need_no_list(tmp_path):
    for synset in SYNSETS[::-1]:
        (tmp_path / synset).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / synset / "a.png")
    data = imagenet(tmp_path)
    assert len(data) == 1000 and data[285].classes == [285]
    (tmp_path / SYNSETS[0] / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match="no classes.*synsets.txt"):
        imagenet(tmp_path)


def test_sets_without_a_picture_are_refused(tmp_path):
    for place in ("official/Data/CLS-LOC/val", "official/Annotations/CLS-LOC/val", f"sorted/val/{SYNSETS[0]}"):
        (tmp_path / place).mkdir(parents=True)
    for name in ("official", "sorted"):
        with pytest.raises(ValueError, match="no picture in .*val; accepted: files ending in .jpg"):
            imagenet(tmp_path / name)
    with pytest.raises(ValueError, match="no picture in VOC2012/ImageSets/Main/val.txt"):
        voc(write_voc(tmp_path, {}))


def test_missing_sets_and_unknown_splits_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="VOCdevkit.*download=True"):
        voc(tmp_path)
    with pytest.raises(ValueError, match="unknown split 'test'; accepted: train, val, trainval, tune, confirm"):
        voc(tmp_path, "test")
    with pytest.raises(ValueError, match="dev.*train, tune, test"):
        scenes("dev")
    with pytest.raises(ValueError, match="no image in"):
        folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        folder(tmp_path / "nowhere")


def test_pictures_that_chose_a_default_are_a_split_of_their_own(tmp_path):
    """By their ids, not by their places, so that it holds of the full set and of any part of it, in the list's order."""
    assert len(CHOSE) == len(set(CHOSE)) == 50
    for count, digest in ((32, "a65e1c2b623866d7"), (50, "cf2be24105115712")):  # images_sha256 of the runs that chose
        assert hashlib.sha256("\n".join(CHOSE[:count]).encode()).hexdigest().startswith(digest)
    listed = ["2009_000001", CHOSE[3], CHOSE[0], "2009_000002"]
    root = write_voc(tmp_path, {name: (picture(100, 80), DOG) for name in listed})
    assert open_dataset("voc", root, "val").names == listed
    tune, confirm = open_dataset("voc", root, "tune"), open_dataset("voc", root, "confirm")
    assert tune.names == [CHOSE[3], CHOSE[0]] and confirm.names == ["2009_000001", "2009_000002"]
    assert [item.name for item in (tune[1], confirm[1])] == [CHOSE[0], "2009_000002"] and tune.kind == confirm.kind == "voc"


def test_a_split_without_a_picture_is_refused(tmp_path):
    root = write_voc(tmp_path, {"2009_000001": (picture(100, 80), DOG)})
    with pytest.raises(ValueError, match="no picture of split tune in .*val.txt of .*; accepted: .* names one of the 50"):
        voc(root, "tune")
    root = write_voc(tmp_path, {CHOSE[7]: (picture(100, 80), DOG)})
    with pytest.raises(ValueError, match="no picture of split confirm in .*; accepted: a list that names one beside the 50"):
        voc(root, "confirm")
    with pytest.raises(FileNotFoundError, match="no PASCAL VOC 2012 val set: .*ImageSets/Main/val.txt"):
        voc(tmp_path / "nowhere", "confirm")


def test_no_picture_of_imagenet_chose_a_default(tmp_path):
    root = write_ilsvrc(tmp_path, {name: (picture(90, 80), None) for name in ("a", "b")}, labels={"a": 1, "b": 2})
    assert open_dataset("imagenet", root, "confirm").names == imagenet(root).names == ["a", "b"]
    with pytest.raises(ValueError, match="split 'tune' of imagenet: none of its pictures chose a default; accepted: val, or"):
        open_dataset("imagenet", root, "tune")
    with pytest.raises(ValueError, match="unknown split 'train'; accepted: val .*, confirm"):
        imagenet(root, "train")


@pytest.mark.parametrize("first, limit, expected", [
    (0, None, range(7)), (0, 3, range(3)), (3, None, range(3, 7)), (3, 2, range(3, 5)), (5, 9, range(5, 7)), (6, 1, range(6, 7))])
def test_a_part_of_a_set_by_its_numbers(first, limit, expected):
    dataset = scenes("test", 7)
    assert chosen(dataset, first, limit) == expected
    assert [dataset[i].name for i in expected] == [f"test_{i:05d}" for i in expected]  # the same name whatever the part


@pytest.mark.parametrize("first", [-1, 7, 200])
def test_a_part_that_holds_no_image_is_refused(first):
    with pytest.raises(ValueError, match=f"first {first} of 7 images; accepted: 0 or more, and below their number"):
        chosen(scenes("test", 7), first, 2)


def test_a_folder_of_own_images(tmp_path):
    (tmp_path / "deep").mkdir()
    picture(60, 90).save(tmp_path / "b.png")
    picture(60, 90).convert("RGBA").save(tmp_path / "deep" / "a.PNG")
    (tmp_path / "deep" / "broken.jpg").write_bytes(b"no")
    (tmp_path / "notes.txt").write_text("left out")
    Image.fromarray(np.full((40, 40), 40_000, np.uint16)).save(tmp_path / "sixteen.png")
    dataset = folder(tmp_path)
    assert dataset.names == ["b.png", "deep/a.PNG", "deep/broken.jpg", "sixteen.png"]
    samples, skipped = read_all(dataset)
    assert [s.name for s in samples] == ["b.png", "deep/a.PNG"] and not any(s.classes for s in samples)
    assert [s.notes for s in samples] == [(), ("converted from RGBA to RGB",)]
    assert torch.equal(samples[0].image, samples[1].image)
    assert [s.name for s in skipped] == ["deep/broken.jpg", "sixteen.png"] and "8 bits" in skipped[1].reason


def test_reading_ahead_gives_the_same_items_in_order():
    dataset = scenes("test", 7)
    read = [(k, [item.name for item in items]) for k, items, _ in load_ahead(dataset, [(4, range(0, 3)), (9, range(3, 7))])]
    assert read == [(4, dataset.names[:3]), (9, dataset.names[3:])]


def test_the_official_sets_are_read_whole(assets):
    photographs, skipped = read_all(voc(assets))
    assert len(photographs) == 200 and skipped == [] and sum(len(s.classes) > 1 for s in photographs) == 29
    assert voc(assets, "tune").names == CHOSE == voc(assets).names[:50] and voc(assets, "confirm").names == voc(assets).names[50:]
    assert {c for s in photographs for c in s.classes} == {"dog", "cat", "sheep", "horse", "cow"}
    samples, skipped = read_all(imagenet(assets / "ILSVRC"))
    assert len(samples) == 100 and skipped == [] and all(len(s.classes) == 1 for s in samples)
    for sample in photographs + samples:
        H, W = sample.geometry.size
        boxes = torch.cat(sample.boxes)
        assert isinstance(sample, Sample) and sample.notes == () and (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2] <= W).all() and (boxes[:, 3] <= H).all() and (boxes[:, :2] < boxes[:, 2:]).all()


def test_real_pictures_sorted_into_synsets_are_the_same_samples(assets, tmp_path):
    """The first twelve of the official layout, as the usual script sorts them; then with boxes in a COCO file beside them."""
    official = read_all(imagenet(assets / "ILSVRC"), range(12))[0]
    synsets = [line.split()[0] for line in (assets / "synsets.txt").read_text().splitlines()]
    shutil.copy(assets / "synsets.txt", tmp_path)
    (tmp_path / "Annotations/CLS-LOC").mkdir(parents=True)
    shutil.copytree(assets / "ILSVRC/Annotations/CLS-LOC/val", tmp_path / "Annotations/CLS-LOC/val")
    content = {"images": [], "annotations": [], "categories": []}
    for i, sample in enumerate(official):
        synset = synsets[sample.classes[0]]
        (tmp_path / "val" / synset).mkdir(parents=True, exist_ok=True)
        shutil.copy(assets / "ILSVRC/Data/CLS-LOC/val" / f"{sample.name}.JPEG", tmp_path / "val" / synset)
        H, W = sample.geometry.size
        content["images"].append({"id": i, "file_name": f"{sample.name}.JPEG", "height": H, "width": W})
        for x0, y0, x1, y1 in sample.boxes[0].tolist():
            box = [x0, y0, x1 - x0, y1 - y0]
            content["annotations"].append({"image_id": i, "category_id": sample.classes[0], "bbox": box})
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    for data in (imagenet(tmp_path), folder(tmp_path / "val", tmp_path / "boxes.json")):
        found = {s.name.split("/")[1].removesuffix(".JPEG"): s for s in read_all(data)[0]}
        assert found.keys() == {s.name for s in official} and data.boxes
        for sample in official:
            other = found[sample.name]
            assert torch.equal(other.image, sample.image) and other.geometry == sample.geometry
            assert other.classes == sample.classes and torch.equal(other.boxes[0], sample.boxes[0])
