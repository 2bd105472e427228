"""A folder of a user's own images, with boxes of their own beside it, or none."""

from functools import partial
from pathlib import Path

from ..places import from_home
from .annotations import upright_objects
from .geometry import Resize
from .own_boxes import Boxes, checksum_of_boxes, own_boxes
from .reader import BadFile, read_picture
from .sample import EXTENSIONS, Images, Sample, to_sample


def _read(root: Path, boxes: Boxes | None, resize: Resize, crop: int, name: str) -> Sample:
    if boxes is None:
        image, _, _, notes = read_picture(root / name)
        return to_sample(name, image, [], notes, resize, crop)
    objects, stated, missing = boxes(name)
    image, stored, orientation, notes = read_picture(root / name)
    objects, changed = upright_objects(objects, stated, stored, orientation)
    sample = to_sample(name, image, objects, missing + notes + changed, resize, crop)
    if not sample.classes:
        raise BadFile("every box is empty or outside the image")
    return sample


def folder(root: str | Path, boxes: str | Path | None = None, *, resize: Resize = 256, crop: int = 224) -> Images:
    """Every image file under `root` (searched in depth, sorted by name), named by its path below it.

    boxes: a COCO file .json, a table .csv (image,class,x0,y0,x1,y1), or a folder of mask PNGs, as `datasets.own_boxes` says;
    a picture without a box is skipped then; without `boxes` there are no classes. resize: shorter side, or (H', W'); crop: side
    of the central square; pixels. Files with other extensions are left out.
    Raises FileNotFoundError where there is no such folder or file, ValueError where no image is in it or `boxes` do not fit.
    """
    root = from_home(root)
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}; accepted: a folder of images")
    names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
    if boxes is not None and (masks := from_home(boxes).resolve()).is_dir():
        if masks == root.resolve():
            raise ValueError(f"masks and pictures both in {root}; accepted: masks in a folder of their own")
        names = [name for name in names if not (root / name).resolve().is_relative_to(masks)]  # masks are no pictures
    if not names:
        raise ValueError(f"no image in {root}; accepted: files ending in {', '.join(EXTENSIONS)}")
    found = None if boxes is None else own_boxes(boxes, names)
    checksum = None if boxes is None else checksum_of_boxes(boxes, names)
    return Images("folder", names, partial(_read, root, found, resize, crop), boxes=found is not None, boxes_sha256=checksum)
