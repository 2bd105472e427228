"""Does the map depend on what the network has learned? Randomise it from the head down and watch the map change."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...core.layers import Layer, find_layers
from ...core.maps import Method
from ...core.network import copied, unwrap
from ...core.probe import check_images, predict
from ...core.targets import Targets, fixed
from .similarity import spearman


class Cascade(NamedTuple):
    """modules: what was randomised, head first; correlation (len(modules), B): rank correlation after each of them."""

    modules: list[str]
    correlation: Tensor


def redraw(parameters: Iterable[Tensor], rng: torch.Generator) -> None:
    """Replace parameters, in place, by normal numbers with each one's own mean and deviation."""
    with torch.no_grad():
        for p in parameters:
            p.copy_(p.mean() + p.std(correction=0) * torch.randn(p.shape, generator=rng).to(p))


def cascading_randomisation(method: Method, model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *,
                            modules: Iterable[str] | None = None, seed: int = 0, **options: Any) -> Cascade:
    """Rank correlation of the map with the original one while the weights are randomised, from the head down, cumulatively.

        rho_t = Spearman(L(network with the last t modules redrawn), L(network))      (Adebayo et al. 2018, arXiv 1810.03292)

    images (B, 3, H, W); targets: fixed on the untouched network. modules: names, in the order of randomising, each with
    everything in it; None: every module that owns parameters, last one first. A tensor is redrawn from a normal distribution
    with its own mean and deviation, so activations keep their size; batch norm keeps its running statistics. A map that says
    something about the network falls towards 0. A randomised map that is constant counts as 0; NaN where the original is.
    Works on a copy: the caller's network and the global random state are untouched. One call of `method` per module and one more.
    Raises ValueError for an unknown module; otherwise as `method`.
    """
    images, network = check_images(images), copied(model)
    net = unwrap(network)
    targets = fixed(predict(network, images), targets) if targets is None else targets
    if layer is not None and layer != "all":  # a module of the caller's network is known by its name in the copy
        layer = list(find_layers(model, layer, images))
    own = [n for n, m in net.named_modules() if any(True for _ in m.parameters(recurse=False))]
    names = own[::-1] if modules is None else list(find_layers(net, list(modules)))
    rng, inside = torch.Generator().manual_seed(seed), dict(net.named_modules())
    L = method(network, images, targets, layer, **options)
    rows: list[Tensor] = []
    empty = spearman(L, L).isnan()
    for name in names:
        redraw(inside[name].parameters(recurse=modules is not None), rng)
        rho = spearman(L, method(network, images, targets, layer, **options))
        rows.append(torch.where(empty, torch.nan, rho.nan_to_num(0)))
    return Cascade(names, torch.stack(rows))
