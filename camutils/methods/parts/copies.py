"""A method averaged over copies of the picture that say the same: moved a little, mirrored, or with a little noise."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ...core.layers import Layer
from ...core.maps import Method, normalise
from ...core.network import as_network, take_how
from ...core.probe import check_images, predict
from ...core.targets import Targets, fixed

COPIES = ("shift", "flip", "noise")


class Copy(NamedTuple):
    """A changed picture (B, C, H, W), and how its maps (B, H, W) are laid over those of the picture itself."""

    images: Tensor
    back: Callable[[Tensor], Tensor]


def moved(x: Tensor, down: int, right: int) -> Tensor:
    """Pictures (B, C, H, W) moved by whole pixels; what comes in at the border repeats the border."""
    (H, W), far = x.shape[-2:], max(abs(down), abs(right))
    return pad(x, (far,) * 4, mode="replicate")[..., far - down:far - down + H, far - right:far - right + W]


def _laid_back(maps: Tensor, down: int, right: int) -> Tensor:
    """Maps (B, H, W) of pictures that were moved, over the pictures themselves."""
    return moved(maps[:, None], -down, -right)[:, 0]


def _shifts(images: Tensor, size: float) -> Iterator[Copy]:
    """Four copies, moved by `size` of the shorter side along the diagonals."""
    step = max(1, round(size * min(images.shape[-2:])))
    for down in (-step, step):
        for right in (-step, step):
            yield Copy(moved(images, down, right), partial(_laid_back, down=down, right=right))


def _flips(images: Tensor, size: float) -> Iterator[Copy]:
    yield Copy(images, lambda L: L)
    yield Copy(images.flip(3), lambda L: L.flip(2))


def _noise(images: Tensor, size: float) -> Iterator[Copy]:
    rng = torch.Generator().manual_seed(0)
    for _ in range(4):
        yield Copy(images + size * (2 * torch.rand(images.shape[1:], generator=rng) - 1).to(images), lambda L: L)


MADE = {"shift": (_shifts, 1 / 28), "flip": (_flips, 0.0), "noise": (_noise, 0.02)}  # kind -> what makes the copies, usual size


def over_copies(method: Method, model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *,
                raw: bool = False, copies: str = "shift", size: float | None = None, **options: Any) -> Tensor:
    """The mean of a method's maps of copies of the picture, each laid back over the picture.

        L = N(mean_c back_c L(x_c))

    images (B, 3, H, W) -> heat map (B, H, W) in [0, 1]; raw=True: before the last N.
    method: a function with the common signature; options go to it.
    copies    shift   four, moved along the diagonals by `size` of the shorter side (1/28: 8 of 224 pixels, a quarter of a cell)
              flip    two, the picture and its mirror image
              noise   four, with noise of up to `size` (0.02) per value, the same for every image (SmoothGrad, arXiv 1706.03825)
    targets=None: the arg max of the picture itself. Raises TypeError, ValueError as the method, and for unknown copies or a size
    that is not positive.
    """
    if copies not in MADE:
        raise ValueError(f"copies {copies!r}; accepted: {', '.join(COPIES)}")
    make, usual = MADE[copies]
    if size is not None and (isinstance(size, bool) or not isinstance(size, (int, float)) or not 0 < size < 1):
        raise ValueError(f"size {size!r}; accepted: a number between 0 and 1, or None")
    network, images = as_network(model, **take_how(options)), check_images(images)
    if targets is None:
        targets = fixed(predict(network, images), None)
    found = [copy.back(method(network, copy.images, targets, layer, **options)) for copy in make(images, size or usual)]
    mean = torch.stack(found).mean(0)
    return mean if raw else normalise(mean)
