"""A method's map less its map of what speaks against the class: of the opposite score, or of the class's rivals."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...core.layers import Layer
from ...core.maps import Method, cut, normalise
from ...core.network import as_network, take_how
from ...core.probe import check_images, predict
from ...core.targets import Targets, class_indices, score

AGAINST = ("opposite", "rivals")


def _opposite(c: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda z: -z.gather(1, c.to(z.device)[:, None])[:, 0]


def _rivals(c: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda z: z.scatter(1, c.to(z.device)[:, None], -torch.inf).logsumexp(1)


def less(method: Method, model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *,
         raw: bool = False, against: str = "opposite", **options: Any) -> Tensor:
    """Take from a method's map what it shows for the contrary.

        L = N(ReLU(L(S) - L(S'))),    opposite  S' = -S_c        rivals  S' = log sum_{j != c} exp S_j

    images (B, 3, H, W) -> heat map (B, H, W) in [0, 1]; raw=True: before the last N. targets: classes, or None for the arg max.
    method: a function with the common signature; options go to it. Raises TypeError, ValueError as the method, and for another
    `against` or callable targets.
    """
    if against not in AGAINST:
        raise ValueError(f"against {against!r}; accepted: {', '.join(AGAINST)}")
    if callable(targets):
        raise ValueError("targets is a function; accepted here: None, an int, a list or LongTensor of one class per image")
    network, images = as_network(model, **take_how(options)), check_images(images)
    output = predict(network, images)
    score(output, targets, len(images))  # refuses what is not (B, classes), and classes that are not there
    if against == "rivals" and output.shape[1] < 2:
        raise ValueError("a network with one logit has no rivals; accepted: against='opposite'")
    c = output.argmax(1) if targets is None else class_indices(targets, output.shape[1], len(images))
    contrary = (_opposite if against == "opposite" else _rivals)(c)
    mine, theirs = (method(network, images, asked, layer, **options) for asked in (c, contrary))
    left = cut(mine, theirs)
    return left if raw else normalise(left)
