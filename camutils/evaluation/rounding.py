"""How far does a map move when every weight and every input moves by one unit in the last place, which no computer promises?

A method whose map moves by about as little as the numbers did can be read to the pixel. One that asks which of two equal numbers
is the larger (in a ranking of pixels, a grouping of channels, a max-pooling layer) may answer otherwise, and its map jumps.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..core.layers import Layer, find_layers
from ..core.maps import Method
from ..core.network import copied
from ..core.probe import check_images, predict
from ..core.targets import Targets, fixed
from .metrics.forward import check_maps


class Rounding(NamedTuple):
    """largest: max over pixels of |L' - L|; relative: |L' - L|_2 / |L|_2; both (B,), the largest of all draws."""

    largest: Tensor
    relative: Tensor


def _moved(x: Tensor, shape: torch.Size, rng: torch.Generator) -> Tensor:
    """x with every value moved to the next number below, above, or not at all; drawn for `shape`, which x extends."""
    step, x = torch.randint(-1, 2, shape, generator=rng).expand(x.shape), x.detach().cpu()
    return torch.where(step == 0, x, torch.nextafter(x, torch.copysign(torch.tensor(torch.inf, dtype=x.dtype), step.to(x.dtype))))


def one_ulp(model: nn.Module, images: Tensor, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """A copy of the network and the images, every number of both moved by one unit in the last place, or not at all.

        w' = w + s ulp(w),    x' = x + s ulp(x),    s drawn from -1, 0, 1 for every number by itself

    w: weights and floating buffers; ulp: the distance to the next number of the same type. images (B, 3, H, W): every image sees
    the same draw, and what lies in [0, 1] stays there. The caller's network, images and the global random state are untouched.
    Raises TypeError, ValueError for images that are no finite float batch.
    """
    images, network, rng = check_images(images), copied(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for w in (*network.parameters(), *network.buffers()):
            if w.is_floating_point():
                w.copy_(_moved(w, w.shape, rng))
    x = _moved(images, images.shape[1:], rng).to(images)
    return network, torch.where((images >= 0) & (images <= 1), x.clamp(0, 1), x)


def rounding_sensitivity(method: Method, model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *,
                         draws: int = 4, seed: int = 0, **options: Any) -> Rounding:
    """How far one unit in the last place of every weight and input moves a method's heat maps: a `Rounding`.

        largest = max_d max_ij |L_d - L|_ij,    relative = max_d |L_d - L|_2 / |L|_2,    L_d the map of draw d of `one_ulp`

    images (B, 3, H, W) -> largest, relative, each (B,), in the heat map's unit (0 to 1) and in shares of it; a map of zeros
    counts as |L|_2 = 1. Float32 has 2^-23 = 1.2e-7: a map that moves by 1e-6 is steady, one that moves by 0.1 has jumped.
    method: any method of `camutils`; options go to it. targets: as `score`; None: the arg max of the untouched network. One call
    of `method` per draw and one more. Network, images, hooks and the global random state are left as they were.
    Raises ValueError for draws < 1 and for maps that are not (B, H, W) in [0, 1] (raw=True), TypeError for what is no map
    (return_parts=True); otherwise as `method`.
    """
    if draws < 1:
        raise ValueError(f"{draws} draws given; accepted: 1 or more")
    images = check_images(images)
    targets = fixed(predict(model, images), targets) if targets is None else targets
    L = check_maps(method(model, images, targets, layer, **options), images, unit=True).flatten(1)
    if layer is not None and layer != "all":  # a module of the caller's network is known by its name in the copy
        layer = list(find_layers(model, layer, images))
    norm, largest, relative = L.norm(dim=1), [], []
    for draw in range(draws):
        net, x = one_ulp(model, images, seed + draw)
        d = check_maps(method(net, x, targets, layer, **options), images, unit=True).flatten(1) - L
        largest.append(d.abs().amax(1))
        relative.append(d.norm(dim=1) / torch.where(norm > 0, norm, 1))
    return Rounding(torch.stack(largest).amax(0), torch.stack(relative).amax(0))
