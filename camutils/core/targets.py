"""What is explained: one score S per image, chosen from the network's output by `targets`."""

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import torch
from torch import Tensor

Targets = int | Sequence[int] | Tensor | Callable[[Any], Tensor] | None  # Any: whatever the network returns


def class_indices(targets: int | Sequence[int] | Tensor, classes: int, batch: int) -> Tensor:
    """One class index per image as a LongTensor (B,): from an int (for all), a list or an integer tensor of length B.

    Raises TypeError for anything that is not whole numbers, ValueError for a wrong count or an index outside [0, classes).
    """
    if isinstance(targets, Tensor):
        if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
            raise TypeError(f"targets are {targets.dtype}; accepted: whole numbers (LongTensor)")
        values: Any = targets.tolist()
    else:
        values = targets
    try:
        if hasattr(values, "__iter__"):
            values = [index(v) for v in values]
        else:
            values = [index(values)] * batch
    except TypeError:
        raise TypeError(f"targets are {targets!r}; accepted: None, an int, a list or LongTensor of one class per image, "
                        "or a callable output -> (B,)") from None
    if len(values) != batch:
        raise ValueError(f"{len(values)} targets for {batch} images; accepted: one int for all, or one per image")
    wrong = sorted({v for v in values if not 0 <= v < classes})
    if wrong:
        if classes == 1:
            raise ValueError(f"target {', '.join(map(str, wrong))} for a network with one logit; accepted: None or 0, the logit; "
                             "for the negative class a callable: lambda output: -output[:, 0]")
        raise ValueError(f"target {', '.join(map(str, wrong))} out of range; accepted: 0 to {classes - 1} ({classes} classes)")
    return torch.tensor(values, dtype=torch.long)


def score(output: Any, targets: Targets, batch: int) -> Tensor:
    """The explained score S, shape (B,): the logit of each image's target class.

        S_b = output[b, targets[b]],   targets = None: arg max of each image,   callable: S = targets(output)

    output: what the network returned, (B, C) unless `targets` is a callable, which may take anything apart.
    Raises TypeError or ValueError, see `class_indices`; also for an output without classes, and for a score that is not finite.
    """
    if callable(targets):
        S: Tensor = targets(output)
        if not isinstance(S, Tensor) or tuple(S.shape) != (batch,):
            got: object = tuple(S.shape) if isinstance(S, Tensor) else type(S).__name__
            raise ValueError(f"the target function returned {got}; accepted: a tensor of shape ({batch},), one score per image")
    else:
        if not isinstance(output, Tensor) or output.ndim != 2:
            got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(f"the network returned {got}, not (B, classes); accepted then: output=, a function "
                             "of it that gives logits (B, classes), or targets=callable, output -> (B,)")
        if targets is None:
            chosen = output.argmax(1)
        else:
            chosen = class_indices(targets, output.shape[1], batch).to(output.device)
        S = output.gather(1, chosen.detach()[:, None])[:, 0]
    if not S.isfinite().all():
        first = int((~S.isfinite()).nonzero()[0])
        raise ValueError(f"the score of image {first} is not finite ({float(S[first])}); accepted: finite scores (half precision "
                         "overflows early: try float32 or float64; NaN comes from weights or activations that hold it)")
    return S


def fixed(output: Any, targets: Targets) -> Targets:
    """The targets, where None has become the arg max of this output: so that changed images are asked the same question."""
    if targets is not None:
        return targets
    if not isinstance(output, Tensor) or output.ndim != 2:
        raise ValueError("targets=None with an output that is not (B, classes); accepted then: output=, a function of it that "
                         "gives logits (B, classes), or targets=callable, output -> (B,)")
    return output.argmax(1)
