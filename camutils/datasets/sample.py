"""One form for every data set: a sample, a skipped file, and the data set that gives either.

A file that cannot be used never stops a run and never vanishes: it comes back as `Skipped` with its reason. What was changed
in order to use one (grey or CMYK to RGB, turned upright, boxes clipped) stands in the sample's `notes`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from .geometry import Geometry, Resize, resize_and_crop
from .reader import BadFile, central_square

Label = int | str  # a class: its number or its name
Named = TypeVar("Named", bound=Label)
Object = tuple[Named, list[int], bool]  # class, box x0 y0 x1 y1, difficult
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


class Sample(NamedTuple):
    """name; image (3, h, w) float32 RGB in [0, 1] as the network takes it; classes: what is annotated, each once;
    boxes: per class (n, 4) int64 x0 y0 x1 y1, half open, original pixels; difficult: per class (n,) bool; geometry; notes;
    masks: per class (H, W) bool, the objects' own pixels in the original picture; None where they are not known."""

    name: str
    image: Tensor
    classes: list[Label]
    boxes: list[Tensor]
    difficult: list[Tensor]
    geometry: Geometry
    notes: tuple[str, ...] = ()
    masks: list[Tensor] | None = None


class Skipped(NamedTuple):
    """A file that cannot be used: its name and why."""

    name: str
    reason: str


class Images(Dataset[Sample | Skipped]):
    """A data set: `dataset[i]` is the `Sample` that `read(names[i])` gives, or `Skipped` where it raises BadFile.

    kind: scenes, voc, imagenet or folder; names: one per image, in order; link: which probability its networks mean;
    boxes: whether its objects have any; boxes_sha256: checksum of what they were read from, where that is the caller's own.
    """

    def __init__(self, kind: str, names: list[str], read: Callable[[str], Sample], link: str = "softmax", boxes: bool = True,
                 boxes_sha256: str | None = None):
        self.kind, self.names, self.read, self.link, self.boxes = kind, list(names), read, link, boxes
        self.boxes_sha256 = boxes_sha256

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample | Skipped:
        name = self.names[index]
        try:
            return self.read(name)
        except BadFile as error:
            return Skipped(name, str(error))


def chosen(dataset: Images, first: int = 0, limit: int | None = None) -> range:
    """Indices of `limit` images (None: all) from number `first` on, fewer where the set ends. ValueError where none is left."""
    if not 0 <= first < len(dataset):
        raise ValueError(f"first {first} of {len(dataset)} images; accepted: 0 or more, and below their number")
    return range(first, len(dataset) if limit is None else min(first + limit, len(dataset)))


def read_all(dataset: Images, indices: Iterable[int] | None = None) -> tuple[list[Sample], list[Skipped]]:
    """Samples and skipped files of a data set (or of the images `indices`), in order."""
    if indices is None:
        indices = range(len(dataset))
    items = [dataset[i] for i in indices]
    samples = [item for item in items if isinstance(item, Sample)]
    skipped = [item for item in items if isinstance(item, Skipped)]
    return samples, skipped


def to_sample(name: str, image: Image.Image, objects: Sequence[Object[Label]], notes: tuple[str, ...], resize: Resize = 256,
              crop: int = 224) -> Sample:
    """Sample of an upright image and its objects (class, box x0 y0 x1 y1 in upright pixels, difficult).

    Boxes are clipped to the image; what lies outside is dropped; a note tells either.
    """
    H, W = image.size[::-1]
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
    geometry = resize_and_crop((H, W), resize, crop)
    return Sample(name, central_square(image, resize, crop), list(kept), boxes, difficult, geometry, notes)


def without_boxes(sample: Sample, label: Label) -> Sample:
    """The sample with one class, of which no box is known."""
    return sample._replace(classes=[label], boxes=[torch.zeros(0, 4, dtype=torch.int64)],
                           difficult=[torch.zeros(0, dtype=torch.bool)])
