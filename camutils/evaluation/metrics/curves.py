"""How fast does the network lose, or find, the class as pixels go or come in the map's order? Only the order counts here."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...core.baselines import blurred
from ...core.probe import check_images, predict
from ...core.targets import Targets, fixed
from .forward import ask, check_maps, linked, ranks
from .imputation import impute


class Curves(NamedTuple):
    """Confidences after each step, (B, steps + 1) each, and the areas under them, (B,) each."""

    deletion: Tensor
    insertion: Tensor
    deletion_auc: Tensor
    insertion_auc: Tensor


def auc(curve: Tensor, at: Tensor | None = None) -> Tensor:
    """Area under curves (..., n) by the trapezoid rule; `at` (n,): where the points lie in [0, 1], None: evenly spread.

        AUC = sum_j (at_{j+1} - at_j) (y_j + y_{j+1}) / 2
    """
    at = torch.linspace(0, 1, curve.shape[-1], device=curve.device, dtype=curve.dtype) if at is None else at
    return torch.trapezoid(curve, at, dim=-1)


def deletion_insertion(model: nn.Module, images: Tensor, maps: Tensor, targets: Targets = None, *, steps: int = 28,
                       insertion_from: str = "blur", link: str = "softmax", chunk: int = 16) -> Curves:
    """Confidence while the most important pixels turn black, and while they enter a blurred image (RISE, arXiv 1806.07421).

        deletion_j = Y(x with the n_j highest pixels of L black),    insertion_j = Y(blur x with the n_j highest pixels of x)
        n_j = floor(j H W / steps),  j = 0..steps;    AUC: trapezoid over n_j / (H W), so 1 is a confidence of 1 throughout

    images (B, 3, H, W), maps (B, H, W). steps=H moves one image row's worth of pixels at a time, as the paper's code does.
    Ties: in the order of the pixel index. insertion_from: "blur" (11 x 11, sigma 5; the paper's code blurs with a black border,
    ours reflects) or "black". chunk: images per forward pass. 2 * steps + 1 forwards of each image. Low deletion, high insertion
    AUC are good. Raises ValueError, TypeError for bad images, maps, targets, link, or steps outside 1..H*W.
    """
    images = check_images(images)
    place, P = ranks(check_maps(maps, images)), images[0, 0].numel()
    if not 1 <= steps <= P or steps != int(steps):
        raise ValueError(f"{steps} steps for {P} pixels; accepted: a whole number from 1 to {P}")
    if insertion_from not in ("blur", "black"):
        raise ValueError(f"insertion_from={insertion_from!r}; accepted: 'blur', 'black'")
    counts = [j * P // steps for j in range(steps + 1)]
    black = torch.zeros_like(images)
    start = blurred(images) if insertion_from == "blur" else black
    output = predict(model, images)
    targets = fixed(output, targets)
    Y = linked(output, targets, len(images), link)[None]
    taken = (torch.where(place[:, None] < n, black, images) for n in counts[1:])
    given = (torch.where(place[:, None] < n, images, start) for n in counts[:-1])
    deletion = torch.cat([Y, ask(model, taken, images, targets, link, chunk)]).T
    insertion = torch.cat([ask(model, given, images, targets, link, chunk), Y]).T
    at = torch.tensor(counts, device=images.device, dtype=Y.dtype) / P
    return Curves(deletion, insertion, auc(deletion, at), auc(insertion, at))


def road(model: nn.Module, images: Tensor, maps: Tensor, targets: Targets = None, *,
         percentiles: Sequence[float] = (10, 20, 30, 40, 50, 70, 90), order: str = "most", noise: float = 0.01, seed: int = 0,
         link: str = "softmax", chunk: int = 16) -> Tensor:
    """Remove and debias: confidence when the most (or least) important pixels are replaced by noisy linear imputation.

        x_p = impute(x without round(p H W / 100) pixels) + noise * n,    n ~ N(0, 1) on the replaced pixels

    images (B, 3, H, W), maps (B, H, W) -> (B, len(percentiles)) confidences. order "most": the highest pixels go first (low is
    good), "least": the lowest (high is good). One field n, drawn from `seed`, serves every image, so no image depends on the
    batch; the global random state is untouched. Source: Rong et al. 2022, arXiv 2202.00449.
    Raises ValueError, TypeError for bad images, maps, targets, link, order, or percentiles outside (0, 100).
    """
    images = check_images(images)
    place, P = ranks(check_maps(maps, images)), images[0, 0].numel()
    gone = [round(p * P / 100) for p in percentiles]
    if order not in ("most", "least"):
        raise ValueError(f"order {order!r}; accepted: 'most', 'least'")
    if not gone or not all(0 < p < 100 for p in percentiles) or max(gone) == P:
        raise ValueError(f"percentiles {tuple(percentiles)} of {P} pixels; accepted: above 0, below 100, leaving a pixel")
    n = torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(seed)).to(images)
    targets = fixed(predict(model, images), targets) if targets is None else targets

    def removed() -> Iterator[Tensor]:
        for count in gone:
            kept = place >= count if order == "most" else place < P - count
            yield torch.where(kept[:, None], images, impute(images, kept) + noise * n)

    return ask(model, removed(), images, targets, link, chunk).T
