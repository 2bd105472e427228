"""From an image's own pixels to the network's input and back: resize, then a central crop.

Letters: original H x W, resized H' x W', crop h x w at (top, left), all in pixels. The centre of original pixel v lies at
input row v' = (v + 1/2) H'/H - 1/2 - top (align_corners=False); columns alike.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.transforms.v2.functional import resize as _resize

Resize = int | Sequence[int]  # to how many pixels: the shorter side, or (H', W')


class Geometry(NamedTuple):
    """size (H, W) of the original, resized (H', W'), crop (top, left, h, w) in the resized image; pixels."""

    size: tuple[int, int]
    resized: tuple[int, int]
    crop: tuple[int, int, int, int]

    def to_input(self, boxes: Tensor) -> Tensor:
        """Boxes (n, 4) x0 y0 x1 y1 from original pixels to the network's input, clipped to it: (n, 4) float64.

            x' = x W'/W - left,    y' = y H'/H - top

        A box outside the crop comes back empty (x1 = x0 or y1 = y0).
        """
        (H, W), (H_, W_), (top, left, h, w) = self
        scale = torch.tensor([W_ / W, H_ / H] * 2, dtype=torch.float64)
        shifted = boxes.double().view(-1, 4) * scale - torch.tensor([left, top] * 2)
        return shifted.clamp_min(0).minimum(torch.tensor([w, h] * 2))

    def to_original(self, boxes: Tensor) -> Tensor:
        """Boxes (n, 4) from the network's input to original pixels, float64: the inverse of `to_input` inside the crop."""
        (H, W), (H_, W_), (top, left, h, w) = self
        scale = torch.tensor([W / W_, H / H_] * 2, dtype=torch.float64)
        return (boxes.double().view(-1, 4) + torch.tensor([left, top] * 2)) * scale

    def restore(self, maps: Tensor) -> Tensor:
        """Heat maps (..., h, w) on the network's input to original size (..., H, W): bilinear, zero outside the crop.

            L[v, u] = M(v', u') where the pixel's centre lies inside the crop, else 0; beyond M's outer centres its edge repeats

        Raises ValueError where the maps are not h x w.
        """
        if tuple(maps.shape[-2:]) != tuple(self.crop[2:]):
            raise ValueError(f"maps are {tuple(maps.shape[-2:])}; accepted: the network's input size {tuple(self.crop[2:])}")
        if self.size == self.resized and self.crop == (0, 0, *self.size):
            return maps
        (H, W), (H_, W_), (top, left, h, w) = self
        first_v, last_v, low, high, part = _places(H, H_, top, h, maps.device, maps.dtype)
        rows = torch.lerp(maps.index_select(-2, low), maps.index_select(-2, high), part[:, None])
        first_u, last_u, low, high, part = _places(W, W_, left, w, maps.device, maps.dtype)
        inside = torch.lerp(rows.index_select(-1, low), rows.index_select(-1, high), part)
        return pad(inside, (first_u, W - last_u, first_v, H - last_v))


@lru_cache(maxsize=256)
def _places(length: int, resized: int, start: int, cropped: int, device: torch.device,
            dtype: torch.dtype) -> tuple[int, int, Tensor, Tensor, Tensor]:
    """Along one side: first and last + 1 original pixel inside the crop; for each its two neighbours there, and the share of
    the second."""
    place = (torch.arange(length, dtype=torch.float64) + 0.5) * resized / length - start  # the crop's edges are 0 and `cropped`
    inside = ((place >= 0) & (place < cropped)).nonzero()[:, 0]
    first, last = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
    centre = (place[first:last] - 0.5).clamp(0, cropped - 1)
    low = centre.floor().long()
    high = (low + 1).clamp_max(cropped - 1)
    return first, last, low.to(device), high.to(device), (centre - low).to(device, dtype)


def resize_and_crop(size: tuple[int, int], resize: Resize = 256, crop: int = 224) -> Geometry:
    """The geometry of `camutils.to_input`: shorter side to `resize` (or both sides to a pair (H', W')), central crop.

    size (H, W) in pixels. Raises ValueError where the crop is larger than the resized image, or either is no size.
    """
    sides = [resize] if isinstance(resize, int) else list(resize)
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise ValueError(f"resize {resize} given; accepted: the shorter side in pixels, 1 or more, or both sides (H', W')")
    H_, W_ = _resize(torch.empty(1, *size, device="meta"), sides).shape[1:]
    resized = (H_, W_)
    if not 1 <= crop <= min(resized):
        what = f"larger than the picture, {H_} x {W_} after resize {resize}" if crop > 0 else "no square"
        raise ValueError(f"crop {crop} is {what}; accepted: 1 to {min(resized)} pixels")
    top, left = (int(round((side - crop) / 2.0)) for side in resized)
    return Geometry((size[0], size[1]), resized, (top, left, crop, crop))
