"""Annotated images, all in one form: `Sample` with boxes in original pixels and the `Geometry` that maps a heat map back.

    scenes("test")                     digits on photographs, exact boxes            camutils.datasets.scene
    voc(root, "val")                   PASCAL VOC 2012 in its official layout        20 classes, difficult flags
    imagenet(root)                     ILSVRC2012 validation in its official layout  1000 classes
    folder(root, boxes)                a user's own images                           COCO file, table, masks, or none

Splits tune and confirm keep apart what chose a default and what may judge it: of the scenes, tune and test; of VOC's val, 50
pictures and all others; of ImageNet's none chose.

Each gives an `Images` data set: `dataset[i]` is a `Sample`, or a `Skipped` that says which file and why. What they are made of:
scene, photos, resize (drawn), reader, annotations, own_boxes, sample, geometry (read), examples (what notebooks show).
May import: core.
"""

from collections.abc import Callable
from pathlib import Path

from .folder import folder
from .geometry import Geometry, resize_and_crop
from .heads import linear_head, pooled_features
from .imagenet import imagenet
from .sample import Images, Sample, Skipped, read_all
from .scene_set import scenes
from .voc import VOC_CLASSES, voc
from .voc_targets import VOC_TO_IMAGENET, group_scores, group_target, grouped_output

DATASETS: dict[str, Callable[..., Images]] = {"scenes": scenes, "voc": voc, "imagenet": imagenet, "folder": folder}


def open_dataset(dataset: str | Images, root: str | Path | None = None, split: str | None = None,
                 boxes: str | Path | None = None) -> Images:
    """A data set by name, or the given one; boxes: those of a folder, as `folder` takes them.

    Raises ValueError for an unknown name or a missing or superfluous root, split or boxes, and what the data set raises.
    """
    if not isinstance(dataset, str):
        if boxes:
            raise ValueError(f"an open data set and boxes {str(boxes)!r}; accepted: boxes for folder only, where it is opened")
        return dataset
    if dataset not in DATASETS:
        raise ValueError(f"unknown data set {dataset!r}; accepted: {', '.join(DATASETS)}")
    if (root is None) != (dataset == "scenes") or (split and dataset == "folder") or (boxes and dataset != "folder"):
        beside = f" and boxes {str(boxes)!r}" if boxes else ""
        raise ValueError(f"data set {dataset!r} with root {str(root)!r} and split {split!r}{beside}; accepted: scenes without a "
                         "root, voc and imagenet with one, folder with one and no split, and boxes for a folder only")
    options = {}
    if root is not None:
        options["root"] = root
    if split:
        options["split"] = split
    if boxes:
        options["boxes"] = boxes
    return DATASETS[dataset](**options)


__all__ = ["DATASETS", "VOC_CLASSES", "VOC_TO_IMAGENET", "Geometry", "Images", "Sample", "Skipped", "folder", "group_scores",
           "group_target", "grouped_output", "imagenet", "linear_head", "open_dataset", "pooled_features", "read_all",
           "resize_and_crop", "scenes", "voc"]
