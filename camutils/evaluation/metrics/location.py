"""Does the map lie where the object is? Pointing game, energy game, and the baselines that they need beside them.

Boxes are x0 y0 x1 y1 in pixels of the map, half open: [3, 5, 4, 6] is one pixel, column 3, row 5. A pixel belongs to a box
if its centre (column + 0.5, row + 0.5) does, so boxes need not be whole numbers. What reaches over the border is cut off.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...core.maps import normalise
from ..statistics import class_mean
from .forward import check_stack

__all__ = ["box_mask", "box_share", "centre_map", "class_mean", "energy_game", "pointing_game"]

Boxes = Tensor | np.ndarray | Sequence[Sequence[float]]  # of one image: (n, 4), or where it says so a mask (H, W)


def check_boxes(given: Boxes) -> Tensor:
    """Boxes of one image as float64 (n, 4) on the CPU. Raises ValueError for what is no box."""
    boxes = torch.as_tensor(given).detach().cpu()
    if boxes.numel() == 0:
        return torch.zeros(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.is_complex() or boxes.dtype == torch.bool:
        raise ValueError(f"boxes are {boxes.dtype} of shape {tuple(boxes.shape)}; accepted: numbers (n, 4), x0 y0 x1 y1")
    if not (boxes.isfinite().all() and (boxes[:, 2:] > boxes[:, :2]).all()):
        good = boxes.isfinite().all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
        wrong = boxes[~good][0].tolist()
        raise ValueError(f"box {wrong} given; accepted: x0 y0 x1 y1 with x0 < x1 and y0 < y1, in pixels")
    return boxes.double()


def _pixels(boxes: Sequence[Boxes], size: Sequence[int], device: torch.device | str) -> tuple[Tensor, Tensor]:
    """First and last + 1 pixel of the boxes of B images, inside the image: (B, n, 4) int64; which exist: (B, n) bool."""
    edge = torch.tensor([size[1], size[0]] * 2)
    whole = []
    for b in boxes:
        first = (check_boxes(b) - 0.5).ceil().long()  # the first pixel whose centre is at or behind this edge
        whole.append(torch.minimum(first.clamp(min=0), edge))
    spans = pad_sequence(whole, batch_first=True).to(device)  # padding is [0, 0, 0, 0]: no pixel
    return spans, (spans[..., 2:] > spans[..., :2]).all(-1)


def _masks(boxes: Sequence[Boxes], size: Sequence[int], device: torch.device | str) -> Tensor:
    """Union of each image's boxes, (B, H, W) bool: rows inside times columns inside."""
    spans, _ = _pixels(boxes, size, device)
    x0, y0, x1, y1 = spans.unsqueeze(-1).unbind(2)
    row, column = (torch.arange(n, device=device) for n in size)
    rows, columns = ((row >= y0) & (row < y1)).float(), ((column >= x0) & (column < x1)).float()
    return rows.transpose(1, 2) @ columns > 0


def check_pairs(maps: Tensor | Sequence[Tensor], boxes: Sequence[Boxes]) -> list[tuple[Tensor, list[Boxes]]]:
    """Maps and their boxes in batches of one size: one batch for a tensor, batches of one for a list."""
    if isinstance(maps, Tensor):
        stacks = [maps]
    else:
        stacks = [m[None] if isinstance(m, Tensor) else m for m in maps]
    stacks = [check_stack(stack, listed=True) for stack in stacks]
    count = sum(len(s) for s in stacks)
    if not count or len(boxes) != count:
        raise ValueError(f"{count} maps and boxes of {len(boxes)} images; accepted: one or more maps, boxes of as many images")
    if isinstance(maps, Tensor):
        return [(stacks[0], list(boxes))]
    return [(s, [b]) for s, b in zip(stacks, boxes, strict=True)]


def pointing_game(maps: Tensor | Sequence[Tensor], boxes: Sequence[Boxes], tolerance: float = 15) -> Tensor:
    """Is the map's highest point on the object, give or take `tolerance` pixels? (Zhang et al. 2016, arXiv 1608.00507)

        hit = 1[min over box pixels q of |argmax L - q|_2 < tolerance],    tolerance 0: argmax L itself in a box

    maps (B, H, W), or a list of (H_b, W_b), at the image's original size; boxes: one (n_b, 4) per image.
    Returns (B,) float32: 1 hit, 0 miss, NaN where the image has no box pixel (skipped, never a hit). Of several highest
    points (up to rounding) the first counts, row by row; a constant map points nowhere: a miss. Of a data set: `class_mean`.
    Raises TypeError, ValueError for maps or boxes of another form, NaN in a map, a negative tolerance.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance {tolerance} given; accepted: pixels, 0 or more")
    return torch.cat([_pointing(*pair, tolerance) for pair in check_pairs(maps, boxes)])


def _first_peak(maps: Tensor) -> Tensor:
    """The first pixel, row by row, that is as high as any, (B,). Heights that differ by rounding, 64 eps, are equal.

    An enlarged map has such pixels: where its peak is a cell at the rim, several have its height, each rounded otherwise.
    """
    L = maps.flatten(1)
    highest = L.amax(1, keepdim=True)
    grain = 64 * torch.finfo(L.dtype).eps * highest.abs()
    return (L >= highest - grain).int().argmax(1)


def _pointing(maps: Tensor, boxes: list[Boxes], tolerance: float) -> Tensor:
    spans, there = _pixels(boxes, maps.shape[1:], maps.device)
    peak, W = _first_peak(maps), maps.shape[2]
    point = torch.stack([peak % W, peak // W], 1)[:, None]    # (B,1,2) x, y
    first, last = spans[..., :2], spans[..., 2:] - 1          # (B,n,2) a box's first and last pixel
    apart = (first - point).clamp(min=0) + (point - last).clamp(min=0)
    squared = apart.square().sum(-1)                          # (B,n) to the nearest pixel of each box
    near = (squared < tolerance**2) | (squared == 0)
    hit = (near & there).any(1) & (normalise(maps).amax((1, 2)) > 0)
    return torch.where(there.any(1), hit.float(), torch.nan)


def energy_game(maps: Tensor | Sequence[Tensor], boxes: Sequence[Boxes]) -> Tensor:
    """Which share of the map's energy lies on the object? (Wang et al. 2020, Score-CAM, arXiv 1910.01279)

        EPG = sum_{ij in box} L_ij / sum_ij L_ij

    maps, boxes: as `pointing_game`, L >= 0; instead of boxes an image may give a mask, (H, W) bool. Returns (B,) in [0, 1],
    NaN where the image has no box pixel; a map of zeros gives 0. Raises as `pointing_game`; ValueError for a negative L.
    """
    shares = []
    for L, objects in check_pairs(maps, boxes):
        if float(L.min()) < 0:
            raise ValueError(f"a map reaches down to {float(L.min()):.3g}; accepted: L >= 0 (energy has no sign)")
        L = L.to(torch.promote_types(L.dtype, torch.float32))
        inside = region_masks(objects, L.shape[1:], L.device)
        total = L.sum((1, 2))
        share = (L * inside).sum((1, 2)) / torch.where(total > 0, total, 1)
        shares.append(torch.where(inside.any(2).any(1), share.clamp(max=1), torch.nan))
    return torch.cat(shares)


def region_masks(objects: list[Boxes], size: Sequence[int], device: torch.device) -> Tensor:
    """Boxes (n, 4) or masks (H, W) of B images as masks (B, H, W)."""
    masks = {b: o for b, o in enumerate(objects) if isinstance(o, Tensor) and o.dtype == torch.bool}
    for mask in masks.values():
        if mask.shape != size:
            raise ValueError(f"a mask has shape {tuple(mask.shape)}; accepted: its map's, {tuple(size)}")
    regions = _masks([() if b in masks else o for b, o in enumerate(objects)], size, device)
    for b, mask in masks.items():
        regions[b] = mask.to(device)
    return regions


def box_mask(boxes: Boxes, size: tuple[int, int]) -> Tensor:
    """The pixels that one image's boxes (n, 4) cover together: bool (H, W), size = (H, W) in pixels."""
    return _masks([boxes], tuple(size), boxes.device if isinstance(boxes, Tensor) else "cpu")[0]


def box_share(boxes: Boxes, size: tuple[int, int]) -> float:
    """Share of the image that one image's boxes (n, 4) cover together, in [0, 1]; size = (H, W) in pixels.

    The difficult subset of the pointing game: the class's boxes cover < 0.25 and another class is present
    (Zhang et al. 2016, arXiv 1608.00507).
    """
    return float(box_mask(boxes, size).double().mean())


def centre_map(size: Sequence[int]) -> Tensor:
    """The baseline that knows nothing: 1 at pixel (H // 2, W // 2), falling with the distance to 0. (H, W) float32 in [0, 1]."""
    H, W = size
    row, column = torch.arange(H) - H // 2, torch.arange(W) - W // 2
    distance = torch.hypot(row[:, None].float(), column[None].float())
    return 1 - distance / distance.max().clamp(min=1)
