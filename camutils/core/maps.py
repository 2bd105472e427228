"""From a layer's activations to a heat map over the image: sum, upsample, normalise, mean over several layers."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .layers import Layer, find_layers
from .network import as_network, take_how
from .targets import Targets

Method = Callable[..., Tensor]  # (model, images, targets=None, layer=None, *, raw=False, options of its own) -> maps (B, H, W)
AnyMethod = TypeVar("AnyMethod", bound=Callable[..., Any])  # Any: a Tensor, or with return_parts=True what a method calls Parts


def einsum(equation: str, *tensors: Tensor) -> Tensor:
    """torch.einsum at the tensors' own precision, also inside a caller's autocast."""
    with torch.autocast(tensors[0].device.type, enabled=False):
        return torch.einsum(equation, *tensors)


def upsample(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resize (align_corners=False) of maps (B, h, w) to (B, H, W); `size` is (H, W) in pixels."""
    return interpolate(maps[:, None], size=tuple(size), mode="bilinear", align_corners=False)[:, 0]


def normalise(maps: Tensor) -> Tensor:
    """Min-max of every map to [0, 1]; a constant map gives zeros, never NaN.

        N(L) = (L - min L) / (max L - min L)

    maps (B, H, W). A map counts as constant where max L - min L is no more than rounding: 16 eps max |L|.
    """
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    span = high - low
    flat = span <= 16 * torch.finfo(maps.dtype).eps * torch.maximum(low.abs(), high.abs())
    return (maps - low) / span.masked_fill(flat, torch.inf)


def _rounding(maps: Tensor) -> Tensor:
    """How far rounding may move N(maps), (B,1,1): 16 eps max |L| / (max L - min L); 16 eps for a constant map."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    span, largest = high - low, torch.maximum(low.abs(), high.abs())
    eps = 16 * torch.finfo(maps.dtype).eps
    flat = span <= eps * largest
    return eps * torch.where(flat, 1, largest / torch.where(flat, 1, span))


def cut(maps: Tensor, scissors: Tensor, weights: tuple[Tensor | float, Tensor | float] = (1, 1)) -> Tensor:
    """What is left of N(L) less N(scissors); all zero where no more is left than rounding, which N would enlarge to a map.

        ReLU(u N(L) - v N(scissors)),    (u, v) = weights

    maps and scissors (B, H, W) -> (B, H, W).
    """
    u, v = weights
    left = (u * normalise(maps) - v * normalise(scissors)).relu()
    rounding = torch.maximum(_rounding(maps), _rounding(scissors))
    return torch.where(left.amax((1, 2), keepdim=True) <= rounding, 0, left)


def shown_maps(C: Tensor) -> Tensor:
    """Which of the maps (B,N,h,w) show anything, that is, are not flat: (B,N)."""
    return normalise(C.flatten(0, 1)).amax((1, 2)).view(C.shape[:2]) > 0


def check_finite(maps: Tensor) -> None:
    """ValueError for raw maps (B, h, w) that hold NaN or Inf; it names their images."""
    finite = maps.flatten(1).isfinite().all(1)
    if not finite.all():
        raise ValueError(f"the maps of images {(~finite).nonzero()[:, 0].tolist()} of the batch are not finite; accepted: "
                         "activations and gradients without NaN and Inf, and not so large that their products overflow "
                         f"{maps.dtype}: try float64")


def finish(maps: Tensor, images: Tensor, raw: bool = False) -> Tensor:
    """The last step of every method: raw maps as they are, or N(Up L) as float32 (B, H, W) in [0, 1].

    maps (B, h, w) on the layer's grid; images (B, 3, H, W) give the size. Raises ValueError for a map that is not finite.
    """
    check_finite(maps)
    return maps if raw else normalise(upsample(maps, images.shape[-2:])).float()


def over_layers(method: AnyMethod) -> AnyMethod:
    """Let a method that reads one layer take a list, or "all": N(mean_l N(Up L_l)), one pass per layer.

    `raw=True` and `return_parts=True` then raise ValueError: maps on several grids are no tensor.
    """

    @wraps(method)
    def over(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, **options: Any) -> Any:
        network = as_network(model, **take_how(options))
        if not (layer == "all" or isinstance(layer, (list, tuple))):
            return method(network, images, targets, layer, **options)
        names = list(find_layers(network, layer, images, targets))
        if len(names) == 1:
            return method(network, images, targets, names[0], **options)
        for option, what in (("raw", "raw maps"), ("return_parts", "parts")):
            if options.get(option):
                raise ValueError(f"{option}=True with {len(names)} layers; accepted: {what} of one layer at a time")
        return normalise(torch.stack([method(network, images, targets, n, **options) for n in names]).mean(0))

    return over  # type: ignore[return-value]  # takes and gives what `method` does, which no checker can see
