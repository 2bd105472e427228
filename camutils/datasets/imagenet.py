"""ILSVRC2012 validation, as Kaggle's archive has it or in folders of synsets (Russakovsky et al. 2015, arXiv 1409.0575)."""

import csv
from functools import partial
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from ..places import from_home
from .annotations import read_objects, upright_objects
from .geometry import Resize
from .reader import BadFile, read_picture, read_text
from .sample import EXTENSIONS, Images, Object, Sample, to_sample, without_boxes

VAL, BOXES = "Data/CLS-LOC/val", "Annotations/CLS-LOC/val"
SYNSET = "n" + "[0-9]" * 8  # the name of a class's folder
WHERE = ("it is not downloaded: get it from https://www.kaggle.com/c/imagenet-object-localization-challenge (or "
         f"https://image-net.org after registration) and give the folder that holds {VAL} and {BOXES}")


def _beside(root: Path, *names: str) -> Path | None:
    """The first of these files in the set's folder or beside it (Kaggle's archive puts its CSV files beside ILSVRC/)."""
    return next((f / n for n in names for f in (root, root.parent) if (f / n).is_file()), None)


def read_synsets(path: Path) -> dict[str, int]:
    """Synset -> class index from a file of 1000 lines, a synset first in each (synsets.txt, LOC_synset_mapping.txt)."""
    synsets = [line.split()[0] for line in read_text(path).splitlines() if line.strip()]
    if not len(synsets) == len(set(synsets)) == 1000:
        raise ValueError(f"{path.name} names {len(set(synsets))} synsets in {len(synsets)} lines; accepted: 1000, one a line, in "
                         "class order")
    return {synset: index for index, synset in enumerate(synsets)}


def read_labels(path: Path, synsets: dict[str, int]) -> dict[str, int]:
    """Image name (no extension) -> class index, from val_labels.csv (file, index) or LOC_val_solution.csv (id, boxes).

    Raises ValueError that names the first line which is neither.
    """
    labels = {}
    try:
        rows = list(csv.reader(StringIO(read_text(path))))
    except csv.Error as error:
        raise ValueError(f"{path.name} cannot be read ({error}); accepted: file,class index (0 to 999) or "
                         "ImageId,PredictionString") from error
    for number, row in enumerate(rows, 1):
        if number == 1 and row and row[-1].strip().lower() in ("predictionstring", "label", "class", "index", "class_index"):
            continue
        try:
            value = row[1].split()[0]
            index = int(value) if value.isdigit() else synsets[value]
            if not 0 <= index < 1000:
                raise ValueError(index)
        except (IndexError, KeyError, ValueError):
            need = "" if synsets else " (synset names need synsets.txt or LOC_synset_mapping.txt beside it)"
            raise ValueError(f"{path.name} line {number}: {','.join(row)!r}; accepted: file,class index (0 to 999) or "
                             f"ImageId,PredictionString{need}") from None
        labels[Path(row[0]).stem] = index
    return labels


class Files(NamedTuple):
    """What belongs to one image; annotation: None in a set without boxes; synset: its folder's name, empty in a flat folder."""

    picture: Path
    annotation: Path | None
    synset: str


def _read(files: dict[str, Files], labels: dict[str, int], synsets: dict[str, int], resize: Resize, crop: int,
          name: str) -> Sample:
    picture, annotation, synset = files[name]
    known = synsets.get(synset) if synset and synsets else labels.get(picture.stem)
    if known is None and (labels or synset):
        raise BadFile(f"unknown synset {synset}" if synset and synsets else "no class for this image in the labels file")
    if annotation is None:
        image, _, _, notes = read_picture(picture)
        assert known is not None  # a flat folder has annotations
        return without_boxes(to_sample(name, image, [], notes, resize, crop), known)
    found, stated, missing = read_objects(annotation, first=0)
    named = {label for label, _, _ in found}
    if not synsets and len(named) > 1:
        raise BadFile(f"boxes of several classes ({', '.join(sorted(named))}), and no synsets.txt to tell them apart")
    if synsets and named - set(synsets):
        raise BadFile(f"unknown synset {', '.join(sorted(named - set(synsets)))}")
    objects: list[Object[int]] = []
    for label, box, difficult in found:
        c = synsets[label] if synsets else known
        assert c is not None  # without synsets there are labels
        objects.append((c, box, difficult))
    image, stored, orientation, notes = read_picture(picture)
    if known is not None:
        own = [o for o in objects if o[0] == known]
        if not own:
            others = ", ".join(map(str, sorted({o[0] for o in objects})))
            raise BadFile(f"labelled {known}, but its boxes are of class {others}")
        if len(own) < len(objects):
            notes += (f"{len(objects) - len(own)} boxes of other classes left out",)
        objects = own
    objects, changed = upright_objects(objects, stated, stored, orientation)
    sample = to_sample(name, image, objects, missing + notes + changed, resize, crop)
    if not sample.classes:
        raise BadFile("every box is empty or outside the image")
    return sample


def _flat(root: Path) -> dict[str, Files]:
    """Name without extension -> files of the official layout: those that ImageSets lists, else all in the folder."""
    listed = root / "ImageSets/CLS-LOC/val.txt"
    if listed.is_file():
        names = [line.split()[0] for line in read_text(listed).splitlines() if line.strip()]
    else:
        names = sorted(p.stem for p in (root / VAL).iterdir() if p.suffix.upper() == ".JPEG")
    if outside := [n for n in names if Path(n).name != n]:
        raise ValueError(f"{outside[0]!r} in {listed.name} leads out of {root / VAL}; accepted: names of files there, no ending")
    return {n: Files(root / VAL / f"{n}.JPEG", root / BOXES / f"{n}.xml", "") for n in names}


def _by_synset(folder: Path, boxes: Path) -> dict[str, Files]:
    """SYNSET/FILE -> files of pictures in folders of their synsets; their boxes lie in `boxes`, in such folders or flat."""
    files = {}
    for picture in sorted(folder.glob(f"{SYNSET}/*")):
        if picture.suffix.lower() in EXTENSIONS:
            synset = picture.parent.name
            inside, flat = (boxes / synset / f"{picture.stem}.xml", boxes / f"{picture.stem}.xml")
            annotation = (inside if inside.is_file() else flat) if boxes.is_dir() else None
            files[f"{synset}/{picture.name}"] = Files(picture, annotation, synset)
    return files


def _find(given: Path) -> tuple[Path, dict[str, Files]]:
    """The set's folder and its files. Raises FileNotFoundError where no layout of `imagenet` is there, ValueError if empty."""
    root = next((r for r in (given, given / "ILSVRC") if (r / VAL).is_dir()), given)
    pictures = next((f for f in (root / VAL, given / "val", given) if any(f.glob(SYNSET))), None)
    if pictures:
        files = _by_synset(pictures, root / BOXES)
    elif (root / VAL).is_dir() and (root / BOXES).is_dir():
        pictures, files = root / VAL, _flat(root)
    else:
        raise FileNotFoundError(f"no ILSVRC2012 validation set with boxes in {given}, and no folder of a synset, such as "
                                f"n01440764, in it or in {given / 'val'}; {WHERE}")
    if not files:
        raise ValueError(f"no picture in {pictures}; accepted: files ending in {', '.join(EXTENSIONS)}")
    return root, files


def imagenet(root: str | Path, split: str = "val", *, resize: Resize = 256, crop: int = 224) -> Images:
    """ILSVRC2012 validation images with their boxes; classes are ImageNet indices, 0 to 999.

    Layouts: Data/CLS-LOC/val with Annotations/CLS-LOC/val, as it comes (samples are named by file); pictures in folders of
    their synsets, in Data/CLS-LOC/val, val, or `root` itself (named SYNSET/FILE; without boxes where there are no Annotations).
    The class comes from the folder, from val_labels.csv (file, index) or LOC_val_solution.csv, else from the XML's synset;
    synsets become indices by synsets.txt or LOC_synset_mapping.txt, or by their order where all thousand have a folder. Each
    file is looked for in `root` and beside it. Images: those that ImageSets/CLS-LOC/val.txt lists, else all in the folder.
    split: val, or confirm, the same pictures: none of them chose a default of ours, so that there is no tune.
    Raises FileNotFoundError that says where to get the set, ValueError for another split, a damaged labels file, or no picture.
    """
    if split == "tune":
        raise ValueError("split 'tune' of imagenet: none of its pictures chose a default; accepted: val, or confirm, the same")
    if split not in ("val", "confirm"):
        raise ValueError(f"unknown split {split!r}; accepted: val (no other has public boxes for every image), confirm")
    root, files = _find(from_home(root))
    mapping = _beside(root, "synsets.txt", "LOC_synset_mapping.txt")
    table = _beside(root, "val_labels.csv", "LOC_val_solution.csv")
    folders = sorted({f.synset for f in files.values()})
    if not mapping and not table and len(folders) != 1000:
        raise FileNotFoundError(f"no classes in {root}: neither val_labels.csv or LOC_val_solution.csv nor synsets.txt or "
                                f"LOC_synset_mapping.txt is there or beside it; {WHERE}")
    synsets = read_synsets(mapping) if mapping else {}
    labels = read_labels(table, synsets) if table else {}
    if not mapping and len(folders) == 1000:
        synsets = {synset: index for index, synset in enumerate(folders)}
    boxed = any(f.annotation for f in files.values())
    return Images("imagenet", list(files), partial(_read, files, labels, synsets, resize, crop), boxes=boxed)
