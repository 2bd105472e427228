"""The scenes as an annotated data set: exact boxes and masks, the network's input is the image itself."""

from functools import partial

import torch

from .geometry import Geometry
from .sample import Images, Sample
from .scene import SIZE, Scenes

IDENTITY = Geometry((SIZE, SIZE), (SIZE, SIZE), (0, 0, SIZE, SIZE))


def _read(drawn: Scenes, name: str) -> Sample:
    scene = drawn[int(name.rsplit("_", 1)[1])]
    boxes = [box[None] for box in scene.boxes]
    easy = [torch.zeros(1, dtype=torch.bool) for _ in boxes]
    return Sample(name, scene.image, scene.classes.tolist(), boxes, easy, IDENTITY, masks=list(scene.masks))


def scenes(split: str = "test", length: int | None = None) -> Images:
    """The scenes of a split (train, tune or test) as samples named SPLIT_INDEX; classes are digits. Errors: as `Scenes`."""
    drawn = Scenes(split, length)
    return Images("scenes", [f"{split}_{i:05d}" for i in range(len(drawn))], partial(_read, drawn), link="sigmoid")
