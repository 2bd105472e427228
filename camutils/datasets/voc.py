"""PASCAL VOC 2012 through torchvision's `VOCDetection` (Everingham et al. 2010, IJCV 88, 303-338)."""

from functools import partial
from pathlib import Path

from torchvision.datasets import VOCDetection

from .annotations import read_objects, upright_objects
from .geometry import Resize
from .reader import BadFile, read_picture
from .sample import Images, Sample, to_sample

VOC_CLASSES = ("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
               "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor")


def _read(files: dict[str, tuple[Path, Path]], resize: Resize, crop: int, name: str) -> Sample:
    picture, annotation = files[name]
    objects, stated, missing = read_objects(annotation, first=1)
    unknown = sorted({label for label, _, _ in objects} - set(VOC_CLASSES))
    if unknown:
        raise BadFile(f"unknown class {', '.join(unknown)}; VOC has {', '.join(VOC_CLASSES)}")
    image, stored, orientation, notes = read_picture(picture)
    objects, changed = upright_objects(objects, stated, stored, orientation)
    sample = to_sample(name, image, objects, missing + notes + changed, resize, crop)
    if not sample.classes:
        raise BadFile("every box is empty or outside the image")
    return sample


def voc(root: str | Path, split: str = "val", *, download: bool = False, resize: Resize = 256, crop: int = 224) -> Images:
    """VOC 2012 detection: root/VOCdevkit/VOC2012 in the official layout; samples are named by image id, classes by name.

    split: train, val or trainval. download=True fetches the official archive (2 GB) into `root` first.
    Boxes of objects of a class, difficult ones too, stand in the order of the file. Raises FileNotFoundError where the set
    is not there, ValueError for another split or an empty one.
    """
    if split not in ("train", "val", "trainval"):
        raise ValueError(f"unknown split {split!r}; accepted: train, val, trainval")
    root = Path(root).expanduser()
    try:
        found = VOCDetection(str(root), year="2012", image_set=split, download=download)
    except (RuntimeError, FileNotFoundError) as error:
        raise FileNotFoundError(
            f"no PASCAL VOC 2012 {split} set: looked for {root / 'VOCdevkit' / 'VOC2012'} with JPEGImages, Annotations and "
            f"ImageSets/Main/{split}.txt; `download=True` fetches it, or see http://host.robots.ox.ac.uk/pascal/VOC/voc2012"
        ) from error
    files = {Path(p).stem: (Path(p), Path(a)) for p, a in zip(found.images, found.targets, strict=True)}
    if not files:
        raise ValueError(f"no picture in VOC2012/ImageSets/Main/{split}.txt of {root}; accepted: an image id a line")
    return Images("voc", list(files), partial(_read, files, resize, crop))
