"""The fixed pictures that the notebooks show: chosen by index or name before any map was made, failures among them.

    pictures("scenes", [0, 2])      images, labels, boxes: one row per picture
    examples("scenes", [0, 2])      the same with targets: one row per picture and class
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .photos import photo_batch
from .scene import scene

PHOTO_CLASS = {  # what EfficientNet-Lite0 answers and is asked about; `flower` is none of its classes: a failure on purpose
    "chelsea": (285, "Egyptian cat"),
    "coffee": (967, "espresso"),
    "motorcycle": (665, "moped"),
    "flower": (985, "daisy"),
}


class Pictures(NamedTuple):
    """images (B, 3, H, W) in [0, 1]; one label per row; boxes: per row (n, 4) x0 y0 x1 y1 in pixels, or None."""

    images: Tensor
    labels: list[str]
    boxes: list[Tensor] | None


class Examples(NamedTuple):
    """Rows to explain: images (B, 3, H, W), one target per row, its label, and the box of that target (1, 4), or None."""

    images: Tensor
    targets: list[int]
    labels: list[str]
    boxes: list[Tensor] | None


def _unknown(data: str) -> ValueError:
    return ValueError(f"unknown data {data!r}; accepted: scenes, photos")


def pictures(data: str = "scenes", picks: Iterable[Any] | None = None) -> Pictures:  # Any: numbers or names, as `data` says
    """One row per picture. picks: indices of test scenes (default 0 to 23) or names of photographs (default PHOTO_CLASS).

    Raises ValueError for other data than "scenes" and "photos", and for an unknown pick.
    """
    if data == "scenes":
        found = [scene("test", i) for i in (range(24) if picks is None else picks)]
        labels = [" ".join(str(c) for c in s.classes.tolist()) for s in found]
        return Pictures(torch.stack([s.image for s in found]), labels, [s.boxes for s in found])
    if data == "photos":
        names = list(PHOTO_CLASS if picks is None else picks)
        return Pictures(photo_batch(names), names, None)
    raise _unknown(data)


def examples(data: str = "scenes", picks: Iterable[Any] | None = None) -> Examples:  # Any: numbers or names, as `data` says
    """One row per picture and class. picks: indices of test scenes (default 0 and 2), or names out of PHOTO_CLASS.

    Raises ValueError for other data than "scenes" and "photos", and for an unknown pick.
    """
    if data == "scenes":
        rows = []
        for i in (0, 2) if picks is None else picks:
            drawn = scene("test", i)
            for c, box in zip(drawn.classes.tolist(), drawn.boxes, strict=True):
                rows.append((drawn.image, c, box[None]))
        images, targets, boxes = zip(*rows, strict=True)
        return Examples(torch.stack(images), list(targets), [f"digit {c}" for c in targets], list(boxes))
    if data == "photos":
        names = list(PHOTO_CLASS if picks is None else picks)
        if unknown := [n for n in names if n not in PHOTO_CLASS]:
            raise ValueError(f"no class is known for {', '.join(unknown)}; accepted: {', '.join(PHOTO_CLASS)}")
        return Examples(photo_batch(names), [PHOTO_CLASS[n][0] for n in names], [PHOTO_CLASS[n][1] for n in names], None)
    raise _unknown(data)
