"""One form for every data set: a sample, a skipped file, and the data set that gives either.

A file that cannot be used never stops a run and never vanishes: it comes back as `Skipped` with its reason. What was changed
in order to use one (grey or CMYK to RGB, turned upright, boxes clipped) stands in the sample's `notes`.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from .geometry import Geometry, Resize, resize_and_crop
from .photos import to_input

Label = int | str  # a class: its number or its name
Named = TypeVar("Named", bound=Label)
Object = tuple[Named, list[int], bool]  # class, box x0 y0 x1 y1, difficult
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
LONGEST = 20  # longer side / shorter side; beyond that the resized image would be huge and its crop nearly nothing


class Sample(NamedTuple):
    """name; image (3, h, w) float32 RGB in [0, 1] as the network takes it; classes: what is annotated, each once;
    boxes: per class (n, 4) int64 x0 y0 x1 y1, half open, original pixels; difficult: per class (n,) bool; geometry; notes."""

    name: str
    image: Tensor
    classes: list[Label]
    boxes: list[Tensor]
    difficult: list[Tensor]
    geometry: Geometry
    notes: tuple[str, ...] = ()


class Skipped(NamedTuple):
    """A file that cannot be used: its name and why."""

    name: str
    reason: str


class BadFile(ValueError):
    """One file of a data set cannot be used; `Images` turns it into `Skipped`."""


class Images(Dataset[Sample | Skipped]):
    """A data set: `dataset[i]` is the `Sample` that `read(names[i])` gives, or `Skipped` where it raises BadFile.

    kind: scenes, voc, imagenet or folder; names: one per image, in order; link: which probability its networks mean.
    """

    def __init__(self, kind: str, names: list[str], read: Callable[[str], Sample], link: str = "softmax"):
        self.kind, self.names, self.read, self.link = kind, list(names), read, link

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample | Skipped:
        name = self.names[index]
        try:
            return self.read(name)
        except BadFile as error:
            return Skipped(name, str(error))


def read_all(dataset: Images, indices: Iterable[int] | None = None) -> tuple[list[Sample], list[Skipped]]:
    """Samples and skipped files of a data set (or of the images `indices`), in order."""
    if indices is None:
        indices = range(len(dataset))
    items = [dataset[i] for i in indices]
    samples = [item for item in items if isinstance(item, Sample)]
    skipped = [item for item in items if isinstance(item, Skipped)]
    return samples, skipped


def open_upright(path: Path) -> tuple[Image.Image, tuple[int, int], int, tuple[str, ...]]:
    """An image file as upright RGB, its stored (H, W), its EXIF orientation (1: stored upright), and notes.

    Raises BadFile, with the reason, for whatever keeps the file from being read to its end.
    """
    if not path.is_file():
        raise BadFile("image file is missing")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on damaged metadata, which is not used
            with Image.open(path) as stored:
                stored.load()
                orientation = stored.getexif().get(0x0112, 1)
                orientation = orientation if orientation in range(1, 9) else 1
                mode, size = stored.mode, stored.size[::-1]
                upright = ImageOps.exif_transpose(stored) if orientation > 1 else stored
                if mode.startswith(("I", "F")):
                    raise BadFile(f"pixels are {mode}, more than 8 bits each")
                see_through = mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in stored.info
                image = _on_black(upright) if see_through else upright.convert("RGB")
    except BadFile:
        raise
    except Exception as error:  # damaged files raise OSError, SyntaxError, EOFError, struct.error, zlib.error and others
        text = str(error).replace(str(path), path.name).replace(str(path.parent), "")
        raise BadFile(f"not a readable image ({type(error).__name__}: {text})") from error
    notes: tuple[str, ...] = ()
    if mode != "RGB":
        notes += (f"converted from {mode} to RGB",)
    if orientation > 1:
        notes += (f"turned upright (EXIF orientation {orientation})",)
    return image, size, orientation, notes


def _on_black(image: Image.Image) -> Image.Image:
    """Transparent pixels over black, which is what 0 means for every mask."""
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")


def to_sample(name: str, image: Image.Image, objects: Sequence[Object[Label]], notes: tuple[str, ...], resize: Resize = 256,
              crop: int = 224) -> Sample:
    """Sample of an upright image and its objects (class, box x0 y0 x1 y1 in upright pixels, difficult).

    Boxes are clipped to the image; what lies outside is dropped; a note tells either.
    """
    H, W = image.size[::-1]
    if max(H, W) > LONGEST * min(H, W):
        raise BadFile(f"{W} x {H} pixels; accepted: the longer side up to {LONGEST} times the shorter")
    kept: dict[Label, list[tuple[list[int], bool]]] = {}
    outside, clipped = 0, 0
    for label, (x0, y0, x1, y1), hard in objects:
        box = [min(max(x0, 0), W), min(max(y0, 0), H), min(max(x1, 0), W), min(max(y1, 0), H)]
        if box[0] >= box[2] or box[1] >= box[3]:  # nothing of it is inside
            outside += 1
            continue
        if box != [x0, y0, x1, y1]:
            clipped += 1
        kept.setdefault(label, []).append((box, bool(hard)))
    if clipped:
        notes += (f"{clipped} box{'es' * (clipped > 1)} clipped to the image",)
    if outside:
        notes += (f"{outside} box{'es' * (outside > 1)} dropped: empty or outside the image",)
    boxes = [torch.tensor([b for b, _ in found]) for found in kept.values()]
    difficult = [torch.tensor([d for _, d in found]) for found in kept.values()]
    return Sample(name, to_input(image, resize, crop), list(kept), boxes, difficult, resize_and_crop((H, W), resize, crop), notes)
