"""Real photographs that need no download: those that scikit-image and scikit-learn ship (CC0, public domain or CC BY).

Decoders of JPEG may round differently, those of PNG may not. The five photographs that are JPEG in these packages were
decoded once and lie in data/photographs/ as PNG; the other nine are PNG there. So `photograph` gives the same bytes everywhere.

    photograph("chelsea")              (H, W, 3) uint8, original size
    photo_batch(["chelsea", "coffee"]) (B, 3, 224, 224) float in [0, 1]
"""

from collections.abc import Iterable
from functools import cache

import numpy as np
import torch
from PIL import Image

from ..extras import extra
from ..places import DATA
from .geometry import Resize
from .reader import to_input

SOURCES = {  # name -> (where, name there)
    "chelsea": ("skimage", "chelsea"),
    "coffee": ("skimage", "coffee"),
    "motorcycle": ("skimage", "stereo_motorcycle"),
    "china": ("data", "china.png"),
    "flower": ("data", "flower.png"),
    "rocket": ("data", "rocket.png"),
    "astronaut": ("skimage", "astronaut"),
    "retina": ("data", "retina.png"),
    "hubble": ("data", "hubble.png"),
    "tissue": ("skimage", "immunohistochemistry"),
    "camera": ("skimage", "camera"),
    "grass": ("skimage", "grass"),
    "gravel": ("skimage", "gravel"),
    "brick": ("skimage", "brick"),
}


@cache
def photograph(name: str) -> np.ndarray:
    """One photograph as RGB, (H, W, 3) uint8, read-only; grey ones are repeated over the channels.

    Raises ValueError for a name that is not in `SOURCES`.
    """
    if name not in SOURCES:
        raise ValueError(f"unknown photograph {name!r}; accepted: {', '.join(SOURCES)}")
    where, key = SOURCES[name]
    if where == "data":
        pixels = np.array(Image.open(DATA / "photographs" / key))
    else:
        pixels = getattr(extra("skimage.data", "scikit-image"), key)()
        pixels = pixels[0] if isinstance(pixels, tuple) else pixels  # the stereo pair: left view
    pixels = np.ascontiguousarray(np.repeat(pixels[..., None], 3, 2) if pixels.ndim == 2 else pixels)
    pixels.setflags(write=False)
    return pixels


def photo_batch(names: Iterable[str], resize: Resize = 256, crop: int = 224) -> torch.Tensor:
    """Several photographs as one batch (B, 3, crop, crop), RGB in [0, 1]."""
    return torch.stack([to_input(photograph(name), resize, crop) for name in names])
