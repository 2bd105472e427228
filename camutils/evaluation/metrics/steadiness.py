"""Does the order of a map's pixels hold still when the picture moves by less than an eye can see?

`sensitivity_max` measures a relative L2 change, which moves with contrast; here ranks are compared, and nothing that keeps the
order of the pixels counts. Random numbers: as in `robustness`, one draw for all images of a batch, from a generator of their own.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...core.layers import Layer
from ...core.maps import Method
from ...core.probe import check_images, predict
from ...core.targets import Targets, fixed
from .forward import check_maps
from .similarity import average_ranks, pearson

KINDS = ("grey", "noise")
LEVEL, RADIUS = 1 / 255, 0.02  # one grey level; the noise of `sensitivity_max`


class Stability(NamedTuple):
    """The map, and mean and standard deviation of each of its pixels over pictures moved by one grey level: (B, H, W) each."""

    map: Tensor
    mean: Tensor
    spread: Tensor


def moved_images(images: Tensor, kind: str, draws: int, seed: int) -> Iterator[Tensor]:
    """The images, moved `draws` times, in the same way for each of them.

        grey: x + d, d = 1/255 or -1/255, each value by itself        noise: d uniform in [-0.02, 0.02]
    """
    rng = torch.Generator().manual_seed(seed)
    for _ in range(draws):
        u = torch.rand(images.shape[1:], generator=rng)
        d = LEVEL * (1 - 2 * (u < 0.5).float()) if kind == "grey" else RADIUS * (2 * u - 1)
        yield images + d.to(images)


def unsteadiness(method: Method, model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *,
                 maps: Tensor | None = None, kind: str = "grey", draws: int = 4, seed: int = 0, **options: Any) -> Tensor:
    """How far do the ranks of a map's pixels move with the picture? 0: not at all, 1: the order is another one; lower is better.

        mean_s 1 - Spearman(L(x), L(x + d_s)),    ties share their mean rank

    kind "grey": every value moves by one grey level, 1/255, up or down at random; "noise": d_s uniform in [-0.02, 0.02].
    images (B, 3, H, W) RGB in [0, 1], which the moved ones may leave by as much -> (B,) in [0, 2]. Two constant maps
    have the same order, 0; a constant one and another one nothing in common, 1. One call of `method` per draw and one more,
    unless L(x) is at hand as maps (B, H, W). Raises ValueError for another kind, draws < 1; otherwise as `method`.
    """
    if kind not in KINDS or draws < 1:
        raise ValueError(f"kind {kind!r}, {draws} draws given; accepted: {', '.join(KINDS)}, draws >= 1")
    images = check_images(images)
    targets = fixed(predict(model, images), targets) if targets is None else targets
    L = method(model, images, targets, layer, **options) if maps is None else check_maps(maps, images)
    ranks = average_ranks(L)
    total = torch.zeros(len(images), device=images.device)
    for moved in moved_images(images, kind, draws, seed):
        M = method(model, moved, targets, layer, **options)
        total += 1 - torch.where(_constant(L) & _constant(M), 1, pearson(ranks, average_ranks(M)).nan_to_num(0))
    return total / draws


def _constant(maps: Tensor) -> Tensor:
    return maps.amax((1, 2)) == maps.amin((1, 2))


def stability(method: Method, model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *,
              draws: int = 8, seed: int = 0, **options: Any) -> Stability:
    """How far may one map be trusted? Its pixels' mean and standard deviation over pictures moved by one grey level.

        mean = mean_s L(x + d_s),    spread = sqrt(mean_s (L(x + d_s) - mean)^2),    d_s: 1/255 or -1/255 for each value

    images (B, 3, H, W) RGB in [0, 1] -> (map, mean, spread), (B, H, W) each, in the unit of the map. draws + 1 calls of `method`.
    Where the spread is as large as the difference of two pixels, the map does not say which of them counts more.
    targets=None: the class with the largest logit on the unmoved image. Raises ValueError for draws < 2; otherwise as `method`.
    """
    if draws < 2:
        raise ValueError(f"{draws} draws given; accepted: 2 or more, since one has no spread")
    images = check_images(images)
    targets = fixed(predict(model, images), targets) if targets is None else targets
    L = method(model, images, targets, layer, **options)
    draw = torch.stack([method(model, x, targets, layer, **options) for x in moved_images(images, "grey", draws, seed)])
    return Stability(L, draw.mean(0), draw.std(0, correction=0))
