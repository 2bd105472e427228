"""Is what the map shows enough for the network? Confidence on the masked image, against that on the whole one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...core.probe import check_images, predict
from ...core.targets import Targets, fixed
from .forward import check_maps, linked
from .order import Places

Confidences = Tensor | Sequence[float]  # one per image
SHARES = {"soft": None, "top15": 0.15, "top50": 0.5}


def confidence(model: nn.Module, images: Tensor, targets: Targets = None, link: str = "softmax") -> Tensor:
    """How sure the network is of each image's target: (B,) in [0, 1], from one forward pass.

        softmax: p_c = exp(z_c) / sum_j exp(z_j)        sigmoid: 1 / (1 + exp(-z_c)), for multi-label networks

    images (B, 3, H, W); targets: as `score` (None: the class with the largest logit). A callable target sees log p in place
    of the logits under "softmax" and the confidence is exp of what it returns: log-sum-exp over a group of classes gives the
    group's probability. Under "sigmoid" it sees the logits and returns log-odds. link="logit" gives the bare score.
    Raises TypeError, ValueError for bad images, targets, or an unknown link.
    """
    images = check_images(images)
    return linked(predict(model, images), targets, len(images), link)


def masked_images(images: Tensor, maps: Tensor, variant: str = "soft") -> Tensor:
    """Leave of each image what its map shows; the rest becomes black.

        soft: L * x        top15, top50: 1[L among the highest 15 or 50 % of the pixels] * x

    images (B, 3, H, W), maps (B, H, W) in [0, 1] -> (B, 3, H, W). `top` shows exactly that share of every picture: pixels tied at
    the cut share what is left of it (`top_area`). Raises ValueError for an unknown variant, maps of another size or range.
    """
    if variant not in SHARES:
        raise ValueError(f"unknown variant {variant!r}; accepted: {', '.join(SHARES)}")
    images = check_images(images)
    maps = check_maps(maps, images, unit=True)
    share = SHARES[variant]
    shown = maps if share is None else Places(maps).top(share).to(maps)
    return shown[:, None] * images


def drop_increase(model: nn.Module, images: Tensor, maps: Tensor, targets: Targets = None, variant: str = "soft", *,
                  link: str = "softmax", confidence_before: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Confidences Y on the images and O on the masked images, (B,) each: two forward passes, one if Y is passed in.

    targets=None: the class with the largest logit on the whole image, for both. `average_drop` and `increase` read (Y, O).
    confidence_before: Y from an earlier call with the same targets and link. Raises as `confidence` and `masked_images`;
    ValueError for confidence_before with targets=None, which would leave the class unknown, or of another shape.
    """
    images = check_images(images)
    masked = masked_images(images, maps, variant)
    Y, targets = confidence_of_whole(model, images, targets, link, confidence_before)
    return Y, linked(predict(model, masked), targets, len(images), link)


def confidence_of_whole(model: nn.Module, images: Tensor, targets: Targets, link: str,
                        given: Tensor | None) -> tuple[Tensor, Targets]:
    """The confidence Y (B,) on whole images, as it is given or from a forward pass, and the targets that it is of.

    Raises ValueError for a given Y without targets, which would leave the class unknown, or of another shape.
    """
    if given is None:
        output = predict(model, images)
        targets = fixed(output, targets)
        return linked(output, targets, len(images), link), targets
    if targets is None or tuple(given.shape) != (len(images),):
        raise ValueError(f"confidence_before of shape {tuple(given.shape)} with targets {targets!r}; "
                         f"accepted: ({len(images)},), with the targets that it was computed for")
    return given, targets


def _pair(Y: Confidences, O: Confidences) -> tuple[Tensor, Tensor]:  # noqa: E741
    Y, O = torch.as_tensor(Y), torch.as_tensor(O)  # noqa: E741
    if Y.shape != O.shape:
        raise ValueError(f"confidences have shapes {tuple(Y.shape)} and {tuple(O.shape)}; accepted: the same shape")
    if (Y < 0).any() or (O < 0).any():
        raise ValueError("a confidence is negative; accepted: 0 to 1 (link 'softmax' or 'sigmoid')")
    return Y, O


def average_drop(Y: Confidences, O: Confidences) -> Tensor:  # noqa: E741
    """Drop in percent, per image (Chattopadhyay et al. 2018, Grad-CAM++, arXiv 1710.11063): lower is better.

        100 max(0, Y - O) / Y,    0 where Y = 0

    Y, O (B,): confidence on the image and on the masked image. The mean over images is Average Drop %.
    """
    Y, O = _pair(Y, O)  # noqa: E741
    return 100 * (Y - O).clamp(min=0) / torch.where(Y > 0, Y, 1)


def increase(Y: Confidences, O: Confidences) -> Tensor:  # noqa: E741
    """100 where the masked image is more certain than the whole one, else 0; higher is better (arXiv 1710.11063).

        100 * 1[O > Y]

    The mean over images is Increase in Confidence %.
    """
    Y, O = _pair(Y, O)  # noqa: E741
    return 100 * (O > Y).float()
