"""How alike are two batches of maps? Correlation of values and of ranks, image by image."""

import torch
from torch import Tensor


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's r of each pair of maps, (B,) in [-1, 1]; NaN where a map is constant.

        r = <a - mean a, b - mean b> / (|a - mean a| |b - mean b|)

    a, b (B, H, W). Computed in float64 where the device has it.
    """
    exact = torch.float32 if a.device.type == "mps" else torch.float64
    a, b = (v.flatten(1).to(exact) for v in (a, b))
    flat = (a.amax(1) == a.amin(1)) | (b.amax(1) == b.amin(1))
    a, b = (v - v.mean(1, keepdim=True) for v in (a, b))
    r = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=torch.finfo(exact).tiny)
    return torch.where(flat, torch.nan, r.clamp(-1, 1)).float()


def average_ranks(maps: Tensor) -> Tensor:
    """Rank of every pixel in its map, 1 = lowest; equal values share the mean of their ranks. (B, H, W) -> (B, H * W)."""
    values = maps.flatten(1).contiguous()
    ordered = values.sort(1).values
    below, upto = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
    return (below + upto + 1) / 2


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's rank correlation of each pair of maps, (B,) in [-1, 1]; NaN where a map is constant. a, b (B, H, W)."""
    return pearson(average_ranks(a), average_ranks(b))
