"""Paths from a baseline to the image: a batch of pictures in which the pixels fade in, together or chosen by a map.

Every pixel of a picture is described by one number, its progress p in [0, 1]: x_t = x' + p (x - x'), all its channels together.
So the distance that is left is ||x - x_t||_1 = sum_ij (1 - p_ij) v_ij with v_ij = sum_c |x - x'|_cij, whatever the signs, and a
pixel that has to fall is a pixel like any other. Derived in notebooks/20_gig_cam.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...core.baselines import baseline_images
from ...core.maps import upsample
from ...core.probe import check_images

ORDERS = ("lowest", "highest", "random")
BEHIND = 2.0**30  # a rank behind all others: in single precision there are 2^17 of them, 2^24 if they are drawn


class Step(NamedTuple):
    """One step of a path: t; the images x_t (B,C,H,W); the signed map M_t (B,h,w) there; the progress p (B,H,W) of every pixel;
    and how often M_t was asked which pixels to move next, (B,)."""

    t: int
    x: Tensor
    M: Tensor
    p: Tensor
    passes: Tensor


def check_path(steps: int, fraction: float = 1, max_dist: float = 0, order: str = "lowest", seed: int = 0) -> None:
    """Raise TypeError or ValueError for values that no path can be walked with."""
    for name, value, what in (("steps", steps, "a whole number of 1 or more"), ("seed", seed, "a whole number")):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} is {value!r}; accepted: {what}")
    if steps < 1:
        raise ValueError(f"{steps} steps; accepted: 1 or more")
    for name, number, low in (("fraction", fraction, "above 0"), ("max_dist", max_dist, "from 0")):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise TypeError(f"{name} is {number!r}; accepted: a number {low} up to 1")
        if not 0 <= number <= 1 or (name == "fraction" and number == 0):
            raise ValueError(f"{name} {number!r}; accepted: a number {low} up to 1")
    if order not in ORDERS:
        raise ValueError(f"order {order!r}; accepted: {', '.join(ORDERS)}")


def advance(p: Tensor, rank: Tensor, v: Tensor, a: float, fraction: float, max_dist: float) -> tuple[Tensor, Tensor]:
    """Move pixels, lowest rank first, until the mean progress weighted by v is a: new p (B,P), passes (B,).

        p_min = max(a - d, 0),   p_max = min(a + d, 1);   p <- max(p, p_min);   until sum p v = a sum v:
        G = the `fraction` of smallest rank among the pixels with p < p_max;   gamma = (a sum v - sum p v) / sum_G (p_max - p) v
        p <- p + min(gamma, 1) (p_max - p) on G

    p, rank, v (B,P): progress; what orders the pixels, whole numbers from 0; how far apart x and x' are there. Pixels of equal
    rank move together, pixels with v = 0 are of no consequence. All images at once: one sort, then a threshold per pass; images
    that are there wait. Which pixels are free, or in G, is said in 0 and 1 as numbers: a CPU takes five times as long to choose
    by booleans.
    """
    p_min, p_max = max(a - max_dist, 0.0), min(a + max_dist, 1.0)
    passes = torch.ones(len(p), 1, dtype=torch.long, device=p.device)
    if max_dist == 0 or a >= 1:  # nothing to choose
        return torch.full_like(p, a), passes[:, 0]
    p, rank, top = p.clamp(min=p_min), rank.to(v), v.new_tensor(p_max)
    free = p.clone().lt_(p_max).mul_(v.sign())                           # (B,P) may still move: 1, else 0
    ranked = _sorted(rank + (1 - free) * (BEHIND if rank.dtype == torch.float32 else BEHIND**2))
    left = _count(free)                                                  # (B,1) how many may still move
    done = torch.zeros_like(left)                                        # (B,1) how many have moved
    missing = a * v.sum(1, keepdim=True) - (p * v).sum(1, keepdim=True)  # (B,1) what the sum still lacks
    active = (missing > 0) & (left > 0)                                  # (B,1) images that are not there yet
    while True:
        last = done + _part_of(left, fraction) - 1                       # place of the last pixel that this pass takes
        threshold = ranked.gather(1, last.clamp(max=p.shape[1] - 1))
        G = rank.clone().le_(threshold).mul_(free).mul_(active)          # (B,P) moves now: 1, else 0
        room = ((top - p) * v).mul_(G).sum(1, keepdim=True)              # what G adds if it moves all the way
        gamma = torch.where(room > missing, missing / torch.where(room > 0, room, 1), 1)
        p = torch.lerp(p, top, G * gamma)
        count = _count(G)
        free, done, left = free - G, done + count, left - count
        missing = missing - room
        active = active & (missing > 0) & (left > 0)
        if not active.any():
            return p, passes[:, 0]
        passes = passes + active


def _count(marks: Tensor) -> Tensor:
    """How many of the marks (B,P), 0 or 1, are 1: (B,1)."""
    return marks.sum(1, keepdim=True, dtype=torch.float64).long()


def _sorted(rank: Tensor) -> Tensor:
    """Every row (B,P) of whole numbers in order. A CPU sorts integers by radix, six times as fast, one row at a time."""
    if rank.device.type != "cpu":
        return rank.sort(1).values
    whole = rank.to(torch.int32 if rank.dtype == torch.float32 else torch.int64)
    return torch.stack([row.sort().values for row in whole]).to(rank)


def _part_of(count: Tensor, fraction: float) -> Tensor:
    """`fraction` of whole numbers (B,1), rounded up, at least 1: 0.07 of 100 is 7, in binary as well."""
    exact = (count.cpu() if count.device.type == "mps" else count).double()  # mps knows no float64
    return (exact * fraction - 1e-6).ceil().long().clamp(min=1).to(count.device)


def guided_path(signed_map: Callable[[Tensor], Tensor], images: Tensor, baseline: str | Tensor = "black", *, steps: int = 30,
                fraction: float = 0.25, max_dist: float = 0.02, order: str = "lowest", seed: int = 0) -> Iterator[Step]:
    """Walk from the baseline to the images in equal distances, each step choosing its pixels by the map at the last: `Step`s.

        x_0 = x',   x_t -> x_{t+1}: `advance` with rank = |S_t|, S_t = Up M_t, M_t = signed_map(x_t), a = (t + 1) / T

    So ||x - x_t||_1 = (1 - t/T) ||x - x'||_1 and x_T = x (which is not yielded: T maps for T steps). max_dist=0 is the straight
    line x' + (t/T)(x - x'). order: "lowest" |S_t| first, "highest", or "random" (one draw per step from `seed`, for all images).
    images (B,C,H,W); baseline: as `baseline_images`; signed_map: x_t -> (B,h,w) on any grid. Only one step is held at a time.
    Raises TypeError, ValueError (`check_path`, `check_images`, `baseline_images`; a map that is not (B,h,w)).
    Source: Kapishnikov et al. 2021 (Guided Integrated Gradients), arXiv 2106.09788, with the map of GIG-CAM (KSII TIIS 19(4),
    1122-1139, 2025) in place of the gradient.
    """
    check_path(steps, fraction, max_dist, order, seed)
    images = check_images(images)
    return _walk(signed_map, images, baseline_images(images, baseline), steps, fraction, max_dist, order, seed)


def _walk(signed_map: Callable[[Tensor], Tensor], images: Tensor, baseline: Tensor, steps: int, fraction: float,
          max_dist: float, order: str, seed: int) -> Iterator[Step]:
    (B, _, H, W), way = images.shape, images - baseline
    v = way.abs().sum(1, dtype=torch.promote_types(images.dtype, torch.float32)).flatten(1)
    p, draw = torch.zeros_like(v), torch.Generator().manual_seed(seed)
    for t in range(steps):
        shown = p.view(B, 1, H, W)
        x = (baseline + shown * way).to(images.dtype)
        M = signed_map(x)
        if M.ndim != 3 or len(M) != B:
            raise ValueError(f"the path's map has shape {tuple(M.shape)}; accepted: ({B}, h, w)")
        rank = p if max_dist == 0 else _ranks(M, (H, W), order, draw).to(v.device)
        p, passes = advance(p, rank, v, (t + 1) / steps, fraction, max_dist)
        yield Step(t, x, M, shown[:, 0], passes)


def _ranks(M: Tensor, size: Sequence[int], order: str, draw: torch.Generator) -> Tensor:
    """What orders the pixels (B,P), whole numbers from 0, lowest first. |S| that differ by no more than rounding, 64 eps max |S|,
    are ties; where S is not a number, no pixel goes before another."""
    if order == "random":
        drawn = torch.rand(1, size[0] * size[1], generator=draw)
        return (drawn * 2**24).expand(len(M), -1)  # which has as many values
    S = upsample(M, size).abs().flatten(1)
    grain = 64 * torch.finfo(S.dtype).eps * S.amax(1, keepdim=True)
    rank = (S / torch.where(grain > 0, grain, 1)).round().nan_to_num(0)
    return rank if order == "lowest" else rank.amax(1, keepdim=True) - rank
