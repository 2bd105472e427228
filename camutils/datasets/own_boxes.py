"""Boxes of one's own pictures, for `folder`: a COCO JSON file, a CSV file, or a folder of mask PNGs.

    boxes.json    COCO: images (id, file_name, height, width), annotations (image_id, category_id, bbox [x, y, w, h], iscrowd),
                  categories (id, name); a class is its category's name, or the id where no category has this id
    boxes.csv     columns image, class, x0, y0, x1, y1 in any order, one object a line; further columns are left out
    masks/        one PNG per picture, of the same path and stem, one channel: 0 is background, every other value is a class,
                  whose number it is, with one tight box

Boxes are half open, from 0, in the stored picture's pixels (x0 = 0 and x1 = width is all of it); fractions are rounded; a class
that is a whole number is a number. A picture is named by its path below the folder, by its file name, or by its stem.
"""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from ..places import from_home
from .annotations import Annotation, left_out, pixel
from .reader import BadFile
from .sample import Label, Object

Boxes = Callable[[str], Annotation[Label]]  # a picture's name -> its objects; BadFile where it has none
COLUMNS = ("image", "class", "x0", "y0", "x1", "y1")


def own_boxes(source: str | Path, names: list[str]) -> Boxes:
    """Where the objects of the pictures `names` stand: `source` is FILE.json, FILE.csv, or a folder of mask PNGs.

    Raises FileNotFoundError where it is not there, ValueError where it cannot be read or fits none of the pictures.
    """
    path = from_home(source)
    if path.is_dir():
        return partial(_of_mask, _masks(path, names))
    if not path.is_file():
        raise FileNotFoundError(f"no boxes at {path}; accepted: a COCO file .json, a table .csv, or a folder of mask PNGs")
    readers = {".json": _coco, ".csv": _table}
    if path.suffix.lower() not in readers:
        raise ValueError(f"boxes in {path.name}; accepted: a COCO file .json, a table .csv, or a folder of mask PNGs")
    try:
        listed = readers[path.suffix.lower()](path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path.name} cannot be read ({error}); accepted: text in UTF-8") from error
    found: dict[str, Annotation[Label]] = {}
    for entry, picture in zip(listed, _pictures(listed, names, path.name), strict=True):
        if picture in found:
            raise ValueError(f"{path.name} names {picture} twice, once as {entry!r}; accepted: one name for one picture")
        if picture:
            found[picture] = listed[entry]
    return partial(_of_list, found, path.name)


def checksum_of_boxes(source: str | Path, names: list[str]) -> str:
    """SHA-256 of the file, or of the masks of the pictures `names`, each with its name; of the same arguments as `own_boxes`."""
    path, digest = from_home(source), hashlib.sha256()
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    for name, mask in _masks(path, names).items():
        if mask.is_file():
            digest.update(f"{name} {hashlib.sha256(mask.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _pictures(entries: Iterable[str], names: list[str], source: str) -> list[str | None]:
    """The picture that each entry names: by path, else by file name, else by stem; None: it is not in the folder."""
    keys: dict[str, set[str]] = {}  # path, file name or stem -> pictures
    for name in names:
        for key in (name, PurePosixPath(name).name, PurePosixPath(name).stem):
            keys.setdefault(key, set()).add(name)
    known, found = set(names), []
    for entry in entries:
        path = PurePosixPath(entry.replace("\\", "/"))
        candidates = {str(path)} if str(path) in known else keys.get(path.name) or set()
        if len(candidates) > 1:
            raise ValueError(f"{source}: {entry!r} may be {' or '.join(sorted(candidates))}; accepted: a path below the folder")
        found.append(next(iter(candidates), None))
    if not any(found):
        raise ValueError(f"{source} names none of the {len(names)} pictures in the folder, such as {names[0]!r}; "
                         "accepted: the pictures' paths below the folder, file names, or stems")
    return found


def _of_list(found: dict[str, Annotation[Label]], source: str, name: str) -> Annotation[Label]:
    if name not in found or not found[name].objects:
        raise BadFile(f"no box for this picture in {source}")
    return found[name]


def _label(value: object) -> Label:
    """A class: a number where it is a whole one, else the text. ValueError for thousands of digits, and for half a character."""
    text = str(value).strip()
    text.encode()
    return int(text) if text.isdecimal() else text


def _corners(numbers: Iterable[Any]) -> list[int]:
    """Four numbers, rounded. Raises ValueError, TypeError or OverflowError for anything else."""
    box = [pixel(v) for v in numbers]
    if len(box) != 4:
        raise ValueError(box)
    return box


def _table(path: Path) -> dict[str, Annotation[Label]]:
    """Entry -> objects from a CSV file; ValueError names the first line that cannot be read."""
    objects: dict[str, list[Object[Label]]] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file, skipinitialspace=True)
        if missing := [c for c in COLUMNS if c not in (rows.fieldnames or [])]:
            raise ValueError(f"{path.name} has no column {', '.join(missing)}; accepted: a first line with {','.join(COLUMNS)}")
        for row in rows:
            try:
                image, name, *numbers = (row[c].strip() for c in COLUMNS)
                label, box = _label(name), _corners(numbers)
                if not image or not name:
                    raise ValueError(row)
            except (AttributeError, ValueError, OverflowError):
                given = ",".join(str(row[c] or "") for c in COLUMNS)
                raise ValueError(f"{path.name} line {rows.line_num}: {given}; accepted: a picture, a class, and four numbers "
                                 "x0,y0,x1,y1 in pixels") from None
            objects.setdefault(image, []).append((label, box, False))
    return {image: Annotation(found, None) for image, found in objects.items()}


def _coco(path: Path) -> dict[str, Annotation[Label]]:
    """Entry -> objects from a COCO file; crowds are difficult; an object without a box is left out with a note."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        classes = {c["id"]: _label(c["name"]) for c in content.get("categories", [])}
        images = {image["id"]: image for image in content["images"]}
        objects: dict[Any, list[Object[Label]]] = {key: [] for key in images}
        missing: Counter[Any] = Counter()
        for annotation in content["annotations"]:
            key, category = annotation["image_id"], annotation["category_id"]
            try:
                x, y, w, h = (float(v) for v in annotation["bbox"])
                box = _corners((x, y, x + w, y + h))
            except (KeyError, TypeError, ValueError, OverflowError):
                missing[key] += 1
                continue
            objects[key].append((classes.get(category, _label(category)), box, bool(annotation.get("iscrowd", 0))))
        found = {}
        for key, image in images.items():
            stated = int(image.get("height") or 0), int(image.get("width") or 0)
            found[str(image["file_name"])] = Annotation(objects[key], stated if min(stated) > 0 else None, left_out(missing[key]))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path.name} is no COCO file ({type(error).__name__}: {error}); accepted: JSON with images, "
                         "annotations and categories") from error
    if len(found) < len(images):
        raise ValueError(f"{path.name} has {len(images)} images of {len(found)} names; accepted: each file_name once")
    return found


def _masks(folder: Path, names: list[str]) -> dict[str, Path]:
    """Picture -> its mask. Raises ValueError where no picture has one."""
    masks = {name: folder / PurePosixPath(name).with_suffix(".png") for name in names}
    if not any(mask.is_file() for mask in masks.values()):
        raise ValueError(f"no mask in {folder} for any of the {len(names)} pictures; accepted: PNG files of the pictures' stems, "
                         f"such as {PurePosixPath(names[0]).with_suffix('.png')}")
    return masks


def _of_mask(masks: dict[str, Path], name: str) -> Annotation[Label]:
    """One box per value above 0 of a picture's mask."""
    if not masks[name].is_file():
        raise BadFile("no mask for this picture")
    try:
        with Image.open(masks[name], formats=["PNG"]) as file:
            values = np.asarray(file).astype(np.int64)  # of a palette: the numbers, not the colours
    except Exception as error:  # damaged files raise OSError, SyntaxError, struct.error, zlib.error and others
        raise BadFile(f"mask cannot be read ({type(error).__name__})") from error
    if values.ndim != 2:
        raise BadFile(f"mask has {values.shape[2]} channels; accepted: one, whose values are the classes")
    objects: list[Object[Label]] = []
    for value in np.unique(values[values > 0]).tolist():
        rows, columns = np.nonzero(values == value)
        objects.append((value, [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1], False))
    if not objects:
        raise BadFile("mask is empty: all its values are 0")
    return Annotation(objects, (values.shape[0], values.shape[1]))
