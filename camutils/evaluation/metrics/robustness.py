"""Does the explanation hold still, and does it say how the score moves? ADCC, max-sensitivity, infidelity.

Random numbers come from a generator of their own, one draw for all images of a batch: an image's value does not depend on
what else is in the batch, and the global random state is untouched. `method` is any method of `camutils`; `options` go to it.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...core.layers import Layer
from ...core.maps import Method
from ...core.probe import check_images, predict
from ...core.targets import Targets, fixed
from .confidence import average_drop, drop_increase
from .forward import ask, check_maps, linked
from .similarity import pearson

Perturbation = Callable[[Tensor, int, torch.Generator], Iterable[Tensor]]  # (images, samples, rng) -> tensors like images


class ADCC(NamedTuple):
    """adcc and what it is made of, each (B,) in [0, 1]; drop and complexity: lower is better, the others: higher."""

    adcc: Tensor
    coherency: Tensor
    complexity: Tensor
    drop: Tensor


def adcc(method: Method, model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *,
         maps: Tensor | None = None, link: str = "softmax", **options: Any) -> ADCC:
    """Average drop, coherency and complexity in one number (Poppi et al. 2021, arXiv 2104.10252).

        coherency  = (1 + r(L(x), L(L * x))) / 2,  r: Pearson        complexity = mean |L(x)|
        drop       = max(0, Y - O) / Y                               ADCC = 3 / (1/coherency + 1/(1 - complexity) + 1/(1 - drop))

    images (B, 3, H, W). The map of the masked image explains the same target. Where either map is constant, r has no value and
    coherency is 0; where one of the three terms is 0, ADCC is 0. Two calls of `method`, two forwards (three if targets=None).
    maps (B, H, W): L(x), where it is at hand for these targets (one call less).
    """
    images = check_images(images)
    targets = fixed(predict(model, images), targets) if targets is None else targets
    L = check_maps(method(model, images, targets, layer, **options) if maps is None else maps, images, unit=True)
    again = check_maps(method(model, L[:, None] * images, targets, layer, **options), images, unit=True)
    coherency = ((1 + pearson(L, again)) / 2).nan_to_num(0)
    complexity = L.abs().mean((1, 2))
    drop = average_drop(*drop_increase(model, images, L, targets, link=link)) / 100
    terms = torch.stack([coherency.to(drop), 1 - complexity.to(drop), 1 - drop])
    mean = 3 / (1 / terms.clamp(min=torch.finfo(terms.dtype).tiny)).sum(0)
    return ADCC(torch.where((terms > 0).all(0), mean, 0), coherency, complexity, drop)


def sensitivity_max(method: Method, model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *,
                    maps: Tensor | None = None, radius: float = 0.02, samples: int = 10, seed: int = 0, **options: Any) -> Tensor:
    """The largest relative change of the map under small noise (Yeh et al. 2019, arXiv 1901.09392): lower is better.

        max_s |L(x + d_s) - L(x)|_2 / |L(x)|_2,    d_s uniform in [-radius, radius] per value

    images (B, 3, H, W) in [0, 1], which noise may leave by `radius` -> (B,). A map of zeros counts as |L(x)| = 1.
    Relative, as captum has it, so that maps of different size compare; the paper's definition leaves the division out.
    One call of `method` per sample and one more, unless L(x) is at hand as maps (B, H, W).
    Raises ValueError for samples < 1 or a radius that is not positive.
    """
    if samples < 1 or not radius > 0:
        raise ValueError(f"{samples} samples, radius {radius} given; accepted: samples >= 1, radius > 0")
    images, rng = check_images(images), torch.Generator().manual_seed(seed)
    targets = fixed(predict(model, images), targets) if targets is None else targets
    L = (method(model, images, targets, layer, **options) if maps is None else check_maps(maps, images)).flatten(1)
    norm, worst = L.norm(dim=1), torch.zeros(len(images), device=images.device)
    for _ in range(samples):
        d = radius * (2 * torch.rand(images.shape[1:], generator=rng) - 1).to(images)
        moved = method(model, images + d, targets, layer, **options).flatten(1)
        worst = torch.maximum(worst, (moved - L).norm(dim=1) / torch.where(norm > 0, norm, 1))
    return worst


def squares(images: Tensor, samples: int, rng: torch.Generator, side: float = 0.25) -> Iterator[Tensor]:
    """Perturbations I that black out one square, `side` times the shorter edge, at a random place."""
    H, W = images.shape[-2:]
    edge = max(1, round(side * min(H, W)))
    for _ in range(samples):
        y, x = (int(torch.randint(n - edge + 1, (), generator=rng)) for n in (H, W))
        I = torch.zeros_like(images)  # noqa: E741
        I[..., y : y + edge, x : x + edge] = images[..., y : y + edge, x : x + edge]
        yield I


def noise(images: Tensor, samples: int, rng: torch.Generator, sigma: float = 0.2) -> Iterator[Tensor]:
    """Perturbations I ~ N(0, sigma^2) per value."""
    for _ in range(samples):
        yield (sigma * torch.randn(images.shape[1:], generator=rng)).to(images).expand_as(images)


def infidelity(model: nn.Module, images: Tensor, maps: Tensor, targets: Targets = None, *, perturbation: Perturbation = squares,
               samples: int = 50, seed: int = 0, scaled: bool = True, link: str = "logit", chunk: int = 16) -> Tensor:
    """How badly the map predicts the change of the score under a perturbation (Yeh et al. 2019, arXiv 1901.09392).

        INFD = mean_I (beta I.L - (S(x) - S(x - I)))^2,    I.L = sum_cij I_cij L_ij
        beta = sum (I.L)(S(x) - S(x - I)) / sum (I.L)^2  (scaled=True: a heat map has no unit),  else 1

    images (B, 3, H, W), maps (B, H, W) -> (B,), lower is better; unit: that of the score, squared. perturbation:
    `squares`, `noise`, or any function (images, samples, rng) that yields tensors like images. samples + 1 forwards per image.
    """
    if samples < 1:
        raise ValueError(f"{samples} samples given; accepted: 1 or more")
    images = check_images(images)
    L = check_maps(maps, images)[:, None]
    output = predict(model, images)
    targets = fixed(output, targets)
    predicted: list[Tensor] = []

    def perturbed() -> Iterator[Tensor]:
        for I in perturbation(images, samples, torch.Generator().manual_seed(seed)):  # noqa: E741
            predicted.append((I * L).sum((1, 2, 3)))
            yield images - I

    change = linked(output, targets, len(images), link) - ask(model, perturbed(), images, targets, link, chunk)
    told = torch.stack(predicted).to(change)
    square = told.square().sum(0)
    beta = (told * change).sum(0) / torch.where(square > 0, square, 1) if scaled else 1
    return (beta * told - change).square().mean(0)
