"""Scenes: real handwritten digits on real photographs, with exact ground truth.

One to three digits of different classes (scikit-learn's `load_digits`), 24 to 43 px high, stand on a crop of a
photograph, 96 x 96. Their colour differs in luminance by at least `CONTRAST` from the mean of what they cover.
Scene `index` of a split has the same bits on every machine: no JPEG decoder, no library's resize and no library's sum
stands between the sources and the pixels (`datasets.resize`). Splits share neither a digit nor a region of a photograph.
"""

import math
from functools import cache
from itertools import combinations
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch.utils.data import Dataset

from ..extras import extra
from .photos import photograph
from .resize import bicubic, bilinear

SIZE, SMALLEST, LARGEST, CONTRAST = 96, 24, 43, 0.4
LENGTH = {"train": 20_000, "tune": 1000, "test": 1000}
DIGIT_SHARE = {"train": (0.0, 0.6), "tune": (0.6, 0.8), "test": (0.8, 1.0)}  # of every class
STRIP = {"train": (0.0, 0.5), "tune": (0.5, 0.75), "test": (0.75, 1.0)}  # of every photograph's longer side
BACKGROUNDS = ("chelsea", "coffee", "motorcycle", "china", "flower", "rocket", "astronaut",
               "retina", "hubble", "tissue", "camera", "grass", "gravel", "brick")
LUMINANCE = (0.2126, 0.7152, 0.0722)  # Rec. 709

Numbers = TypeVar("Numbers", float, np.ndarray)


class Scene(NamedTuple):
    """image (3, 96, 96) float32 in [0, 1]; classes (n,) int64; boxes (n, 4) int64 x0 y0 x1 y1, half open, in pixels;
    masks (n, 96, 96) bool: the digits' own pixels."""

    image: torch.Tensor
    classes: torch.Tensor
    boxes: torch.Tensor
    masks: torch.Tensor


@cache
def _digits(split: str) -> list[np.ndarray]:
    """The split's digits, class by class: ten arrays (n, 8, 8) float32 in [0, 1]."""
    data, (low, high) = extra("sklearn.datasets", "scikit-learn").load_digits(), DIGIT_SHARE[split]
    order = np.random.default_rng(0).permutation(len(data.target))
    groups = [order[data.target[order] == c] for c in range(10)]
    return [(data.images[g[int(low * len(g)) : int(high * len(g))]] / 16).astype(np.float32) for g in groups]


@cache
def _strip(split: str, name: str) -> np.ndarray:
    """The split's own part of a photograph, (h, w, 3) uint8: a strip across its longer side."""
    pixels, (low, high) = photograph(name), STRIP[split]
    height, width = pixels.shape[:2]
    if width >= height:
        return pixels[:, int(low * width) : int(high * width)]
    return pixels[int(low * height) : int(high * height)]


def _background(split: str, rng: np.random.Generator) -> np.ndarray:
    """A random square of the split's part of a random photograph, resized to (96, 96, 3), in [0, 1]."""
    strip = _strip(split, BACKGROUNDS[rng.integers(len(BACKGROUNDS))])
    height, width = strip.shape[:2]
    side = int(rng.integers(SIZE, min(height, width) + 1))
    x = int(rng.integers(0, width - side + 1))
    y = int(rng.integers(0, height - side + 1))
    return bilinear(strip, (x, y, x + side, y + side), SIZE).astype(np.float32) / 255


def _apart(a: tuple[int, int, int], b: tuple[int, int, int]) -> bool:
    """Do two squares (x, y, side) not overlap? Their centres are, along x or y, at least the mean side apart."""
    (x_a, y_a, side_a), (x_b, y_b, side_b) = a, b
    along_x = abs((2 * x_a + side_a) - (2 * x_b + side_b))  # twice the way from centre to centre
    along_y = abs((2 * y_a + side_a) - (2 * y_b + side_b))
    return max(along_x, along_y) >= side_a + side_b


def _places(count: int, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """`count` squares (x, y, side) inside the scene that do not overlap: drawn anew until they do not."""
    while True:
        sides = rng.integers(SMALLEST, LARGEST + 1, count)
        squares = []
        for side in sides.tolist():
            x, y = rng.integers(0, SIZE - side + 1, 2).tolist()
            squares.append((x, y, side))
        if all(_apart(a, b) for a, b in combinations(squares, 2)):
            return squares


def _luminance(colours: np.ndarray) -> np.ndarray:
    """0.2126 red + 0.7152 green + 0.0722 blue, added in this order: (..., 3) float64 -> (...) float64."""
    red, green, blue = colours[..., 0], colours[..., 1], colours[..., 2]
    return red * LUMINANCE[0] + green * LUMINANCE[1] + blue * LUMINANCE[2]


def _mean(values: np.ndarray) -> float:
    """The mean of (n,) float64: the exact sum, rounded once, whatever the order."""
    return math.fsum(values.tolist()) / len(values)


def _between(low: float, high: float, fraction: Numbers) -> Numbers:
    """low + (high - low) fraction. `Generator.uniform` may fuse product and sum, which rounds otherwise on some processors."""
    return low + (high - low) * fraction


def _colour(behind: float, rng: np.random.Generator) -> np.ndarray:
    """A random colour whose luminance is at least CONTRAST away from `behind`, the mean luminance that it covers."""
    tint = _between(0.02, 0.98, rng.random(3))
    own = float(_luminance(tint))
    if behind < 0.5:  # towards white
        wanted = _between(behind + CONTRAST, 1, rng.random())
        return 1 - (1 - tint) * min(1, (1 - wanted) / (1 - own))
    wanted = _between(0, behind - CONTRAST, rng.random())  # towards black
    return tint * min(1, wanted / own)


def scene(split: str, index: int) -> Scene:
    """Draw scene `index` of a split; the same arguments give the same scene.

    Raises ValueError for a split other than train, tune, test, or a negative index.
    """
    if split not in LENGTH or index < 0:
        raise ValueError(f"no scene {index!r} in split {split!r}; accepted: an index >= 0 and one of {', '.join(LENGTH)}")
    rng = np.random.default_rng([list(LENGTH).index(split), index])
    picture, digits = _background(split, rng), _digits(split)
    classes = rng.choice(10, rng.integers(1, 4), replace=False)
    boxes, masks = [], []
    for c, (x, y, side) in zip(classes, _places(len(classes), rng), strict=True):
        stroke = bicubic(digits[c][rng.integers(len(digits[c]))], side)
        alpha = np.clip((stroke - 0.3) / 0.4, 0, 1)[..., None]
        patch, ink = picture[y : y + side, x : x + side], alpha[..., 0] > 0.5
        colour = _colour(_mean(_luminance(patch[ink].astype(np.float64))), rng)
        patch[:] = (1 - alpha) * patch + alpha * colour
        rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
        boxes.append([x + columns[0], y + rows[0], x + columns[-1] + 1, y + rows[-1] + 1])
        masks.append(np.pad(ink, ((y, SIZE - y - side), (x, SIZE - x - side))))
    image = torch.from_numpy(picture.transpose(2, 0, 1).copy())
    return Scene(image, torch.tensor(classes), torch.tensor(np.array(boxes)), torch.tensor(np.array(masks)))


class Scenes(Dataset[Scene]):
    """The scenes of one split as a PyTorch data set of `Scene` tuples; `len` is LENGTH[split] unless given."""

    def __init__(self, split: str = "test", length: int | None = None):
        if split not in LENGTH:
            raise ValueError(f"unknown split {split!r}; accepted: {', '.join(LENGTH)}")
        self.split, self.length = split, LENGTH[split] if length is None else length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Scene:
        if not 0 <= index < self.length:
            raise IndexError(f"scene {index} of {self.length}")
        return scene(self.split, index)
