"""Boxes of one's own beside a folder of pictures: a COCO file, a table, masks. The same boxes in each give the same samples."""

import json

import numpy as np
import pytest
import torch
from make_sets import picture
from PIL import Image

from camutils.datasets import Skipped, folder, open_dataset, read_all

BOXES = {"a.png": [("3", [10, 20, 60, 70]), ("7", [0, 0, 100, 80])], "deep/b.png": [("3", [5, 5, 9, 50])]}
SIZE = (80, 100)  # (H, W) of every picture


@pytest.fixture
def pictures(tmp_path):
    root = tmp_path / "pictures"
    (root / "deep").mkdir(parents=True)
    for i, name in enumerate([*BOXES, "bare.png"]):
        picture(*SIZE[::-1], i).save(root / name)
    return root


def write_csv(path, rows=None):
    rows = rows if rows is not None else [(n, c, *box) for n, found in BOXES.items() for c, box in found]
    path.write_text("\n".join(["image,class,x0,y0,x1,y1", *(",".join(map(str, row)) for row in rows)]))
    return path


def coco(entries=BOXES, **more):
    """A COCO file's content. Ids are no positions; categories too have ids of their own."""
    numbers = sorted({c for found in entries.values() for c, _ in found})
    images = [{"id": 50 + i, "file_name": n, "height": SIZE[0], "width": SIZE[1]} for i, n in enumerate(entries)]
    annotations = []
    for image in images:
        for c, (x0, y0, x1, y1) in entries[image["file_name"]]:
            box = [x0, y0, x1 - x0, y1 - y0]
            annotations.append({"image_id": image["id"], "category_id": 900 + numbers.index(c), "bbox": box})
    categories = [{"id": 900 + i, "name": c} for i, c in enumerate(numbers)]
    return {"images": images, "annotations": annotations, "categories": categories} | more


def write_json(path, content=None):
    path.write_text(json.dumps(coco() if content is None else content))
    return path


def write_masks(folder, mode=None):
    for name, found in BOXES.items():
        values = np.zeros(SIZE, np.uint8 if mode != "I;16" else np.uint16)
        for c, (x0, y0, x1, y1) in reversed(found):  # the small one over the large one
            values[y0:y1, x0:x1] = int(c)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        mask = Image.fromarray(values)
        if mode == "P":
            mask.putpalette([255 - v for v in range(256) for _ in range(3)])  # values are numbers, whatever their colours
        mask.save(folder / name)
    return folder


def write(kind, tmp_path):
    if kind in ("csv", "json"):
        return {"csv": write_csv, "json": write_json}[kind](tmp_path / f"boxes.{kind}")
    return write_masks(tmp_path / "masks", kind)


@pytest.mark.parametrize("kind", ["csv", "json", "L", "P", "I;16"])
def test_the_same_boxes_in_every_form(kind, pictures, tmp_path):
    data = open_dataset("folder", pictures, boxes=write(kind, tmp_path))
    samples, skipped = read_all(data)
    assert data.kind == "folder" and data.boxes and data.names == ["a.png", "bare.png", "deep/b.png"]
    found = {s.name: {c: boxes.tolist() for c, boxes in zip(s.classes, s.boxes, strict=True)} for s in samples}
    assert found == {name: {int(c): [box] for c, box in boxes} for name, boxes in BOXES.items()}
    assert all(s.notes == () and not torch.cat(s.difficult).any() for s in samples)
    assert [s.name for s in skipped] == ["bare.png"] and skipped[0].reason.startswith(("no box for this picture in", "no mask"))


def test_a_folder_without_boxes_is_as_it_was(pictures):
    data = open_dataset("folder", str(pictures))
    assert not data.boxes and [s.classes for s in data] == [[], [], []]


def test_pictures_are_named_by_path_file_or_stem(pictures, tmp_path):
    names = {"a": [1, 2, 3, 4], "elsewhere/b.png": [2, 3, 4, 5], "not_here.png": [1, 1, 2, 2], "deep\\c.png": [3, 4, 5, 6]}
    picture(100, 80).save(pictures / "deep/c.png")
    picture(100, 80).save(pictures / "c.png")
    data = folder(pictures, write_csv(tmp_path / "b.csv", [(n, "cat", *box) for n, box in names.items()]))
    samples, skipped = read_all(data)
    assert {s.name: s.boxes[0].tolist() for s in samples} == {"a.png": [[1, 2, 3, 4]], "deep/b.png": [[2, 3, 4, 5]],
                                                              "deep/c.png": [[3, 4, 5, 6]]}
    assert [s.name for s in skipped] == ["bare.png", "c.png"] and all(s.classes == ["cat"] for s in samples)
    with pytest.raises(ValueError, match="'c.png'.*|'c' may be c.png or deep/c.png"):
        folder(pictures, write_csv(tmp_path / "b.csv", [("c", "cat", 1, 2, 3, 4)]))
    with pytest.raises(ValueError, match="a.png twice.*'a'"):
        folder(pictures, write_csv(tmp_path / "b.csv", [("a.png", "cat", 1, 2, 3, 4), ("a", "cat", 1, 2, 3, 4)]))


def test_columns_in_any_order_fractions_and_boxes_over_the_border(pictures, tmp_path):
    path = tmp_path / "b.csv"
    lines = ["\ufeffscore,y1,x1,y0,x0,class,image", "0.9, 70.4, 120, 19.6, -3, a cat, a.png", "1,9,9,9,8,12,a.png"]
    path.write_bytes("\r\n".join(lines).encode())
    sample = folder(pictures, path)[0]
    assert sample.classes == ["a cat"] and sample.boxes[0].tolist() == [[0, 20, 100, 70]]
    assert sample.notes == ("1 box clipped to the image", "1 box dropped: empty or outside the image")


def test_coco_crowds_are_difficult_and_an_object_without_a_box_costs_only_itself(pictures, tmp_path):
    content = coco()
    image = content["images"][0]["id"]
    content["annotations"][0]["iscrowd"] = 1
    content["annotations"] += [{"image_id": image, "category_id": 900}, {"image_id": image, "category_id": 900, "bbox": []},
                               {"image_id": image, "category_id": 31, "bbox": [1.4, 2.6, 3, 4]}]
    content["categories"][1]["name"] = "traffic light"
    sample = folder(pictures, write_json(tmp_path / "b.json", content))[0]
    assert sample.classes == [3, "traffic light", 31] and [d.tolist() for d in sample.difficult] == [[True], [False], [False]]
    assert sample.boxes[2].tolist() == [[1, 3, 4, 7]] and sample.notes == ("2 objects without a name or a box left out",)


@pytest.mark.parametrize("stated", ["stored", "upright", None])
def test_boxes_turn_with_the_picture_unless_they_were_made_on_the_upright_one(tmp_path, stated):
    root = tmp_path / "pictures"
    root.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right: stored 100 x 80 is seen as 80 x 100
    picture(100, 80).save(root / "a.jpg", exif=exif)
    content = coco({"a.jpg": [("3", [10, 20, 60, 70])]})
    if stated == "upright":
        content["images"][0] |= {"height": 100, "width": 80}
    if stated is None:
        content["images"][0] |= {"height": None}
    sample = folder(root, write_json(tmp_path / "b.json", content))[0]
    assert sample.boxes[0].tolist() == ([[10, 20, 60, 70]] if stated == "upright" else [[10, 10, 60, 60]])


def test_masks_inside_the_folder_are_no_pictures_and_bad_ones_are_skipped(pictures):
    masks = write_masks(pictures / "masks")
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(masks / "bare.png")
    odd = {"colour": picture(100, 80), "small": Image.new("L", (30, 30), 5), "half": Image.new("L", (50, 40), 5)}
    for name, mask in odd.items():
        picture(100, 80).save(pictures / f"{name}.jpg")
        mask.save(masks / f"{name}.png")
    picture(100, 80).save(pictures / "broken.jpg")
    (masks / "broken.png").write_text("no mask")
    samples, skipped = read_all(folder(pictures, masks))
    assert [s.name for s in samples] == ["a.png", "deep/b.png", "half.jpg"]
    assert samples[2].boxes[0].tolist() == [[0, 0, 100, 80]] and samples[2].notes == ("boxes scaled from 50 x 40 to 100 x 80",)
    assert {s.name: s.reason.split(" (")[0] for s in skipped} == {
        "bare.png": "mask is empty: all its values are 0", "broken.jpg": "mask cannot be read",
        "colour.jpg": "mask has 3 channels; accepted: one, whose values are the classes",
        "small.jpg": "annotation is for an image of 30 x 30, this one is 100 x 80"}
    with pytest.raises(ValueError, match="folder of their own"):
        folder(pictures, pictures)


TABLE = "image,class,x0,y0,x1,y1\n"
BAD = {  # file -> (content, words of the sentence)
    "columns.csv": ("image,class,x,y\na.png,cat,1,2", "no column x0, y0, x1, y1.*image,class,x0,y0,x1,y1"),
    "empty.csv": ("", "no column image"), "rows.csv": (TABLE, "names none of the 3 pictures.*'a.png'"),
    "number.csv": (TABLE + "a.png,cat,1,2,3,4\na.png,cat,1,two,3,4\n", "line 3: a.png,cat,1,two,3,4; accepted"),
    "short.csv": (TABLE + "a.png,cat,1,2\n", "line 2: a.png,cat,1,2,,; accepted"),
    "infinite.csv": (TABLE + "a.png,cat,1,2,inf,4\n", "line 2"), "nameless.csv": (TABLE + "a.png,,1,2,3,4\n", "line 2"),
    "latin.csv": (TABLE.encode() + "a.png,Bär,1,2,3,4".encode("latin-1"), "UTF-8"),
    "other.csv": (TABLE + "z.png,cat,1,2,3,4\n", "names none of the 3 pictures"),
    "text.json": ("no json", "no COCO file"), "list.json": ("[]", "no COCO file"), "bare.json": ("{}", "no COCO file.*images"),
    "orphan.json": (json.dumps(coco(images=[])), "no COCO file.*KeyError"),
    "twice.json": (json.dumps(coco(annotations=[], images=[{"id": i, "file_name": "a.png"} for i in (1, 2)])), "2 images of 1"),
    "boxes.xml": ("<annotation/>", "boxes.xml; accepted: a COCO file .json"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_cannot_be_used_are_refused_in_a_sentence(name, pictures, tmp_path):
    content, words = BAD[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=words):
        folder(pictures, tmp_path / name)


def test_what_is_not_there_or_does_not_belong_is_refused(pictures, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.json.*accepted"):
        folder(pictures, tmp_path / "nowhere.json")
    (tmp_path / "masks").mkdir()
    with pytest.raises(ValueError, match="no mask in .*a.png"):
        folder(pictures, tmp_path / "masks")
    for given in (("scenes",), ("voc", tmp_path), ("imagenet", tmp_path), (folder(pictures),)):
        with pytest.raises(ValueError, match="boxes.*folder"):
            open_dataset(*given, boxes=tmp_path / "b.csv")
    assert isinstance(folder(pictures, write_csv(tmp_path / "b.csv", [("a.png", "cat", 300, 0, 400, 9)]))[0], Skipped)
