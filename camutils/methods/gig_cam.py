"""Integrated Grad-CAM and GIG-CAM: Grad-CAM's map, averaged along a path from a picture without content to the image.

Letters: x' baseline, x_t the image at step t of T, A and g activation and gradient there (B,K,h,w), M_t (B,h,w) the signed map.
The path is `paths.guided_path`; all derived in notebooks/20_gig_cam.
"""

from collections.abc import Callable, Iterable
from typing import Unpack

from torch import Tensor, nn, relu

from ..core.layers import Layer, default_layer, find_layers
from ..core.maps import einsum, finish, over_layers
from ..core.network import How, as_network
from ..core.probe import activation, check_images, probe
from ..core.targets import Targets
from .parts.paths import check_path, guided_path
from .parts.scales import SCALES, multi_scale

ACCUMULATE = ("uniform", "released")


def signed_map(model: nn.Module, targets: Targets, layer: Layer) -> Callable[[Tensor], Tensor]:
    """Function: images (B,C,H,W) -> M = sum_k mean_ij(g_kij) A_k, (B,h,w), Grad-CAM before its ReLU; what steers the path."""

    def signed(x: Tensor) -> Tensor:
        A, g = probe(model, x, targets, layer)
        return einsum("bk,bkhw->bhw", g.mean((2, 3)), A)

    return signed


def _start(model: nn.Module, images: Tensor, targets: Targets, layer: Layer) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The images, checked, and the signed map of one fixed layer and fixed targets."""
    images = check_images(images)
    (name,) = find_layers(model, layer, images, targets)
    if targets is None:  # the class of the image, not of each picture on the way
        targets = activation(model, images, None, name)[1]
    return images, signed_map(model, targets, name)


@over_layers
def integrated_grad_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
                        steps: int = 50, baseline: str | Tensor = "black", **how: Unpack[How]) -> Tensor:
    """Integrated Grad-CAM: Grad-CAM, averaged along the straight line to the image (Sattarzadeh et al. 2021, arXiv 2102.07805).

        L = (1/T) sum_t ReLU(M_t),    M_t = sum_k mean_ij(g_kij) A_k at x_t = x' + (t/T)(x - x'),   t = 0..T-1

    images (B, 3, H, W) -> heat map (B, H, W) in [0, 1], from `steps` = T forward passes, each with the head's gradient (and one
    forward pass if targets is None). baseline: "black", "mean", "blur", or a tensor (`baselines.baseline_images`).
    Raises ValueError, TypeError as `probe_layers`, and for values of options that are not accepted.
    Derived in notebooks/20_gig_cam.
    """
    model = as_network(model, **how)
    check_path(steps)
    images, signed = _start(model, images, targets, layer)
    walk = guided_path(signed, images, baseline, steps=steps, max_dist=0)
    return finish(sum((relu(step.M) for step in walk), images.new_zeros(())) / steps, images, raw)


@over_layers
def gig_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
            steps: int = 30, fraction: float = 0.25, max_dist: float = 0.02, baseline: str | Tensor = "black",
            order: str = "lowest", accumulate: str = "uniform", seed: int = 0, **how: Unpack[How]) -> Tensor:
    """GIG-CAM: Grad-CAM, averaged along a path that the map itself chooses (KSII TIIS 19(4), 1122-1139, 2025; arXiv 2106.09788).

        L = (1/T) sum_t ReLU(M_t),    M_t = sum_k mean_ij(g_kij) A_k at x_t,   x_{t+1} from x_t by the pixels of least |Up M_t|

    images (B, 3, H, W) -> heat map (B, H, W) in [0, 1], from `steps` = T forward passes, each with the head's gradient (and one
    forward pass if targets is None). fraction, max_dist, order, seed: how the pixels are chosen (`paths.guided_path`);
    max_dist=0 is Integrated Grad-CAM. baseline: "black", "mean", "blur", or a tensor. accumulate: "uniform" counts every step
    once, "released" as often as its map was asked for pixels, as the authors' code does (the last step counts once). The ReLU
    is taken on the layer's grid, as Grad-CAM's. Raises ValueError, TypeError as `probe_layers`, and for values of options that
    are not accepted. Derived in notebooks/20_gig_cam.
    """
    model = as_network(model, **how)
    check_path(steps, fraction, max_dist, order, seed)
    if accumulate not in ACCUMULATE:
        raise ValueError(f"accumulate {accumulate!r}; accepted: {', '.join(ACCUMULATE)}")
    images, signed = _start(model, images, targets, layer)
    walk = guided_path(signed, images, baseline, steps=steps, fraction=fraction, max_dist=max_dist, order=order, seed=seed)
    total = images.new_zeros(())
    count: Tensor | int = 0
    for step in walk:
        weight = step.passes[:, None, None] if accumulate == "released" else 1
        total, count = total + weight * relu(step.M), count + weight
    return finish(total / count, images, raw)


@over_layers
def gig_cam_m(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
              scales: Iterable[float] = SCALES, pooling: str = "grid", ratio: str | None = None, steps: int = 30,
              fraction: float = 0.25, max_dist: float = 0.02, baseline: str | Tensor = "black", order: str = "lowest",
              accumulate: str = "uniform", seed: int = 0, **how: Unpack[How]) -> Tensor:
    """GIG-CAM+M: `gig_cam` at every scale, fused by `multi_scale` (KSII TIIS 19(4), 1122-1139, 2025; arXiv 2106.09788).

        F = R = Up L(1);   for s in scales:  F <- Up(A / Up(AvgPool A)) * F with A = L(s),  R <- R + F;   N(R),   L = `gig_cam`

    images (B, 3, H, W) -> heat map (B, H, W) in [0, 1]; raw=True: R, (B, H, W). `steps` forward passes per scale, each with the
    head's gradient. scales, pooling, ratio: as `multi_scale`; the others: as `gig_cam`. A baseline tensor must fit every scale.
    Raises ValueError, TypeError as these two do. Derived in notebooks/20_gig_cam and 22_multi_scale.
    """
    model = as_network(model, **how)
    layer = default_layer(model, check_images(images), targets) if layer is None else layer  # one layer at every scale
    return multi_scale(gig_cam, model, images, targets, layer, raw=raw, scales=scales, pooling=pooling, ratio=ratio, steps=steps,
                       fraction=fraction, max_dist=max_dist, baseline=baseline, order=order, accumulate=accumulate, seed=seed)
