"""The adaptive path as released code walks it: one image after the other, pixels chosen in NumPy. Re-derived, to be timed beside.

Guided Integrated Gradients (Kapishnikov et al. 2021, arXiv 2106.09788, algorithm 1) with |Up M| of GIG-CAM in place of the
gradient. Features are colour values here, not pixels, and every gradient goes through a whole graph.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...core.maps import upsample

Array = NDArray[np.float32]


def signed_map(model: nn.Module, x: Tensor, target: int, layer: str) -> Tensor:
    """M = sum_k mean_ij(g_kij) A_k of one image, (1,h,w), by a forward hook and a graph of everything."""
    kept: list[Tensor] = []
    hook = model.get_submodule(layer).register_forward_hook(lambda module, given, out: kept.append(out))
    with torch.enable_grad():
        S = model(x)[0, target]
    hook.remove()
    (g,) = torch.autograd.grad(S, kept[0])
    return (g.mean((2, 3), keepdim=True) * kept[0].detach()).sum(1)


def move(x: Array, image: Array, rank: Array, a: float, fraction: float, max_dist: float) -> Array:
    """Move features of least rank towards the image (from black) until |image - x|_1 is (1 - a) |image|_1."""
    low, high = image * max(a - max_dist, 0), image * min(a + max_dist, 1)
    goal, gamma = np.abs(image).sum() * (1 - a), np.inf
    while gamma > 1:
        x = np.where(np.abs(x) < np.abs(low), low, x)
        missing = np.abs(image - x).sum() - goal
        if missing <= 1e-6 * max(goal, 1):
            break
        rank = np.where(x == high, np.inf, rank)
        chosen = (rank <= np.quantile(rank, fraction, method="lower")) & (rank < np.inf)
        room = np.abs(high - x)[chosen].sum()
        gamma = missing / room if room > 0 else np.inf
        if not (rank < np.inf).any():
            break
        x = np.where(chosen, high if gamma > 1 else x + gamma * (high - x), x)
    return x


def path_map(model: nn.Module, images: Tensor, classes: Tensor, layer: str, steps: int, fraction: float = 0.25,
             max_dist: float = 0.02) -> Tensor:
    """(1/T) sum_t ReLU(M_t) of every image, one after the other: images (B,3,H,W) -> (B,h,w)."""
    found = []
    for image, target in zip(images.cpu().numpy(), classes.tolist(), strict=True):
        x, total = np.zeros_like(image), torch.zeros(())
        for t in range(steps):
            M = signed_map(model, torch.from_numpy(x)[None].to(images), target, layer)
            total = total + M.relu().cpu()
            rank = np.broadcast_to(upsample(M, images.shape[-2:]).abs().cpu().numpy(), image.shape)
            x = move(x, image, rank, (t + 1) / steps, fraction, max_dist).astype(image.dtype)
        found.append(total[0] / steps)
    return torch.stack(found)
