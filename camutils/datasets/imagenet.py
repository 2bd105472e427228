"""ILSVRC2012 validation with boxes, in the layout that Kaggle's archive has (Russakovsky et al. 2015, arXiv 1409.0575)."""

import csv
from functools import partial
from pathlib import Path

from .annotations import read_objects, upright_objects
from .geometry import Resize
from .reader import BadFile, read_picture
from .sample import Images, Sample, to_sample

WHERE = ("it is not downloaded: get it from https://www.kaggle.com/c/imagenet-object-localization-challenge (or "
         "https://image-net.org after registration) and give the folder that holds Data/CLS-LOC/val and Annotations/CLS-LOC/val")


def _beside(root: Path, *names: str) -> Path | None:
    """The first of these files in the set's folder or beside it (Kaggle's archive puts its CSV files beside ILSVRC/)."""
    return next((f / n for n in names for f in (root, root.parent) if (f / n).is_file()), None)


def read_synsets(path: Path) -> dict[str, int]:
    """Synset -> class index from a file of 1000 lines, a synset first in each (synsets.txt, LOC_synset_mapping.txt)."""
    synsets = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
    if len(set(synsets)) != 1000:
        raise ValueError(f"{path.name} names {len(set(synsets))} synsets; accepted: 1000, one a line, in class order")
    return {synset: index for index, synset in enumerate(synsets)}


def read_labels(path: Path, synsets: dict[str, int]) -> dict[str, int]:
    """Image name (no extension) -> class index, from val_labels.csv (file, index) or LOC_val_solution.csv (id, boxes).

    Raises ValueError that names the first line which is neither.
    """
    labels = {}
    with path.open(newline="") as lines:
        for number, row in enumerate(csv.reader(lines), 1):
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


def _read(root: Path, labels: dict[str, int], synsets: dict[str, int], resize: Resize, crop: int, name: str) -> Sample:
    pictures = root / "Data/CLS-LOC/val"
    found, stated = read_objects(root / "Annotations/CLS-LOC/val" / f"{name}.xml", first=0)
    named = {label for label, _, _ in found}
    if not synsets and len(named) > 1:
        raise BadFile(f"boxes of several classes ({', '.join(sorted(named))}), and no synsets.txt to tell them apart")
    if synsets and named - set(synsets):
        raise BadFile(f"unknown synset {', '.join(sorted(named - set(synsets)))}")
    if labels and name not in labels:
        raise BadFile("no class for this image in the labels file")
    objects = [(synsets[label] if synsets else labels[name], box, difficult) for label, box, difficult in found]
    image, stored, orientation, notes = read_picture(pictures / f"{name}.JPEG")
    if labels:
        own = [o for o in objects if o[0] == labels[name]]
        if not own:
            others = ", ".join(map(str, sorted({o[0] for o in objects})))
            raise BadFile(f"labelled {labels[name]}, but its boxes are of class {others}")
        if len(own) < len(objects):
            notes += (f"{len(objects) - len(own)} boxes of other classes left out",)
        objects = own
    objects, changed = upright_objects(objects, stated, stored, orientation)
    sample = to_sample(name, image, objects, notes + changed, resize, crop)
    if not sample.classes:
        raise BadFile("every box is empty or outside the image")
    return sample


def imagenet(root: str | Path, split: str = "val", *, resize: Resize = 256, crop: int = 224) -> Images:
    """ILSVRC2012 validation images with their boxes; samples are named by file, classes are ImageNet indices, 0 to 999.

    The class comes from val_labels.csv (file, index) or LOC_val_solution.csv, else from the XML's synset; synsets become
    indices by synsets.txt or LOC_synset_mapping.txt. Each is looked for in `root` and beside it. Images: those that
    ImageSets/CLS-LOC/val.txt lists, else all in the folder.
    Raises FileNotFoundError that says where to get the set, ValueError for another split or a damaged labels file.
    """
    if split != "val":
        raise ValueError(f"unknown split {split!r}; accepted: val (no other has public boxes for every image)")
    given = Path(root).expanduser()
    there = [r for r in (given, given / "ILSVRC") if (r / "Data/CLS-LOC/val").is_dir()]
    if not there or not (there[0] / "Annotations/CLS-LOC/val").is_dir():
        raise FileNotFoundError(f"no ILSVRC2012 validation set with boxes in {given}; {WHERE}")
    root = there[0]
    mapping = _beside(root, "synsets.txt", "LOC_synset_mapping.txt")
    table = _beside(root, "val_labels.csv", "LOC_val_solution.csv")
    if not mapping and not table:
        raise FileNotFoundError(f"no classes in {root}: neither val_labels.csv or LOC_val_solution.csv nor synsets.txt or "
                                f"LOC_synset_mapping.txt is there or beside it; {WHERE}")
    synsets = read_synsets(mapping) if mapping else {}
    labels = read_labels(table, synsets) if table else {}
    listed = root / "ImageSets/CLS-LOC/val.txt"
    if listed.is_file():
        names = [line.split()[0] for line in listed.read_text().splitlines() if line.strip()]
    else:
        names = sorted(p.stem for p in (root / "Data/CLS-LOC/val").iterdir() if p.suffix.upper() == ".JPEG")
    return Images("imagenet", names, partial(_read, root, labels, synsets, resize, crop))
