"""What every metric that asks the network shares: forward passes without a trace, confidences, checks of maps."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ...core.probe import predict
from ...core.targets import Targets, score

LINKS = ("softmax", "sigmoid", "logit")


def linked(output: Any, targets: Targets, batch: int, link: str = "softmax") -> Tensor:
    """The confidence of each image, (B,), from the network's output.

        softmax: p_c = exp(z_c) / sum_j exp(z_j)      sigmoid: 1 / (1 + exp(-z_c))      logit: z_c

    Over a single logit the softmax would be 1 whatever the network says: there it means sigmoid.

    A callable target is applied before the link ends: "softmax" gives it log p in place of the logits and takes exp of what it
    returns, so log-sum-exp over a group of classes becomes the group's probability; "sigmoid" takes what it returns as
    log-odds; "logit" returns it as it is. Raises ValueError for an unknown link, and as `score`.
    """
    if link not in LINKS:
        raise ValueError(f"unknown link {link!r}; accepted: {', '.join(LINKS)}")
    if isinstance(output, Tensor):
        output = output.to(torch.promote_types(output.dtype, torch.float32))
    if link == "softmax" and isinstance(output, Tensor) and output.ndim == 2 and output.shape[1] == 1:
        link = "sigmoid"  # one logit: a softmax over it is 1, whatever it says
    if link != "softmax":
        S = score(output, targets, batch)
        return S.sigmoid() if link == "sigmoid" else S
    if not isinstance(output, Tensor) or output.ndim < 2:
        raise ValueError(f"link 'softmax' needs an output (B, classes, ...), not {type(output).__name__}; accepted then: "
                         "link='sigmoid' or 'logit' with a callable target")
    return score(output.log_softmax(1), targets, batch).exp().clamp(max=1)


def ask(model: nn.Module, variants: Iterable[Tensor], images: Tensor, targets: Targets, link: str, chunk: int) -> Tensor:
    """Confidences (n, B) on n changed copies of a batch, about `chunk` images at a time, at least one whole batch.

    variants: iterable of tensors (B, 3, H, W), made one by one as they are needed. Targets are applied to each copy of the
    batch in the batch's own order, so a list, or a callable that knows its images, stays right.
    """
    B = len(images)
    rows: list[Tensor] = []
    waiting: list[Tensor] = []

    def flush() -> None:
        rows_of = torch.arange(B, device=images.device).repeat(len(waiting))
        x = torch.cat(waiting)
        output = predict(model, x, rows_of)
        if len(waiting) == 1:
            parts = [output]
        else:  # an output that is no tensor cannot be split: ask again, one batch at a time
            parts = output.split(B) if isinstance(output, Tensor) else [predict(model, variant) for variant in waiting]
        rows.extend(linked(part, targets, B, link) for part in parts)
        waiting.clear()

    for variant in variants:
        waiting.append(variant)
        if (len(waiting) + 1) * B > chunk:
            flush()
    if waiting:
        flush()
    return torch.stack(rows)


def check_maps(maps: Tensor, images: Tensor, *, unit: bool = False) -> Tensor:
    """The maps as the images' type on their device, if they are finite floats (B, H, W) of the images' size.

    unit=True: also in [0, 1] (up to 1e-6, which resizing may add). Raises TypeError, ValueError.
    """
    if not isinstance(maps, Tensor) or not maps.is_floating_point():
        got = maps.dtype if isinstance(maps, Tensor) else type(maps).__name__
        raise TypeError(f"maps are {got}; accepted: a float tensor (B, H, W)")
    wanted = (len(images), *images.shape[-2:])
    if tuple(maps.shape) != wanted:
        raise ValueError(f"maps have shape {tuple(maps.shape)}; accepted for these images: {wanted}")
    maps = maps.detach()
    if not maps.isfinite().all():
        raise ValueError("maps hold NaN or Inf; accepted: finite values")
    if unit:
        check_unit(maps)
    return maps.to(images)


def check_unit(maps: Tensor) -> None:
    """ValueError unless maps are in [0, 1], up to 1e-6, which resizing may add."""
    if not -1e-6 <= float(maps.min()) <= float(maps.max()) <= 1 + 1e-6:
        raise ValueError(f"maps reach from {float(maps.min()):.3g} to {float(maps.max()):.3g}; accepted: 0 to 1 (see normalise)")


def check_stack(maps: Tensor, listed: bool = False) -> Tensor:
    """The maps, without their graph, if they are finite floats (B, H, W), of whatever size. Raises TypeError, ValueError.

    listed: the message says that the caller takes a list of maps, too.
    """
    if not isinstance(maps, Tensor) or not maps.is_floating_point():
        got = maps.dtype if isinstance(maps, Tensor) else type(maps).__name__
        raise TypeError(f"maps are {got}; accepted: a float tensor (B, H, W){', or a list of float tensors (H, W)' * listed}")
    if maps.ndim != 3 or 0 in maps.shape:
        raise ValueError(f"maps have shape {tuple(maps.shape)}; accepted: (B, H, W){', or a list of (H, W)' * listed}")
    if not maps.isfinite().all():
        raise ValueError("maps hold NaN or Inf; accepted: finite values")
    return maps.detach()


def ranks(maps: Tensor) -> Tensor:
    """Place of every pixel in its map's order, 0 = highest value; ties in the order of the pixel index. (B, H, W) int64.

    For metrics that take whole pixels away one after the other: `road` must have holes, which half a pixel is not, and
    `deletion_insertion` steps by numbers of pixels. Where an area is shown, ties share it: `order`.
    """
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    places = torch.arange(order.shape[1], device=maps.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view_as(maps)
