"""How sure is the network of equally large parts of the picture? Drop, Increase and deletion at equal area.

Every map shows the same share of the picture, so a sharper map wins nothing: only the order of the pixels counts.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from ...core.probe import check_images
from ...core.targets import Targets
from .confidence import average_drop, confidence_of_whole, increase
from .forward import ask, check_maps
from .order import Places

AREAS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7)


class EqualArea(NamedTuple):
    """A value at each area, (B, n) each: drop and increase in percent, deletion a confidence; low, high, low is good."""

    drop: Tensor
    increase: Tensor
    deletion: Tensor


def equal_area(model: nn.Module, images: Tensor, maps: Tensor, targets: Targets = None, *, areas: Sequence[float] = AREAS,
               link: str = "softmax", chunk: int = 16, confidence_before: Tensor | None = None) -> EqualArea:
    """Drop and Increase where only the hottest part of the picture is shown, and the confidence where just that part is black.

        O_a = Y(w_a x),    drop_a = 100 max(0, Y - O_a) / Y,    increase_a = 100 1[O_a > Y],    deletion_a = Y((1 - w_a) x)
        w_a: `top_area` of share a: 1 on the hottest pixels, its sum a H W, ties at the cut share; the rest is black

    images (B, 3, H, W), maps (B, H, W), any finite heats; areas: shares of the picture, above 0, below 1. A table shows the mean
    over the areas and the 15 % point. chunk: images per forward pass; 2 n forwards of each image, and one more for Y unless it is
    confidence_before (B,), which needs its targets. targets=None: the class with the largest logit on the whole image.
    Drop and Increase: Chattopadhyay et al. 2018 (arXiv 1710.11063), there of L x. Raises ValueError, TypeError for bad
    images, maps, targets, link or areas.
    """
    images = check_images(images)
    place = Places(check_maps(maps, images))
    if not len(areas) or not all(0 < a < 1 for a in areas):
        raise ValueError(f"areas {tuple(areas)}; accepted: shares above 0, below 1, one or more")
    Y, targets = confidence_of_whole(model, images, targets, link, confidence_before)

    def parts() -> Iterator[Tensor]:
        for area in areas:
            shown = place.top(area)[:, None].to(images)
            yield shown * images
            yield (1 - shown) * images

    O, hidden = ask(model, parts(), images, targets, link, chunk).unflatten(0, (-1, 2)).permute(1, 2, 0)  # noqa: E741
    whole = Y[:, None].expand_as(O)
    return EqualArea(average_drop(whole, O), increase(whole, O), hidden)
