"""The Grad-CAM family: one forward pass, the gradient of the head, four ways to weight activations with it.

Letters: A (B,K,h,w) activation of the layer, S (B,) the explained score, g = dS/dA. Every method takes
images (B, 3, H, W), targets and layer as `probe_layers` does and returns a heat map (B, H, W) in [0, 1], float32;
raw=True gives its own map after the ReLU, unnormalised, (B, h, w). Errors: those of `probe_layers`.
All derived by hand in notebooks/01_grad_cam_family.
"""

from typing import Unpack

from torch import Tensor, nn, relu, where

from ..core.layers import Layer
from ..core.maps import einsum, finish, over_layers
from ..core.network import How, as_network
from ..core.probe import probe
from ..core.targets import Targets
from .parts.links import alpha


@over_layers
def grad_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
             relu: bool = True, **how: Unpack[How]) -> Tensor:
    """Weight every channel by its mean gradient (Selvaraju et al. 2017, arXiv 1610.02391, eq. 1 and 2).

        L = ReLU(sum_k w_k A_k),    w_k = mean_ij g_kij

    relu=False: the sum with its sign, lowest value 0 and highest 1; it orders the pixels that the ReLU makes equal.
    images (B, 3, H, W) -> heat map (B, H, W) in [0, 1]. Derived in notebooks/01_grad_cam_family.
    """
    model = as_network(model, **how)
    A, g = probe(model, images, targets, layer)
    w = g.mean((2, 3))
    L = einsum("bk,bkhw->bhw", w, A)
    return finish(L.relu() if relu else L, images, raw)


@over_layers
def grad_cam_pp(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
                normalize_alpha: bool = False, **how: Unpack[How]) -> Tensor:
    """Grad-CAM++: weight a channel by its positive gradients, each with its own alpha (arXiv 1710.11063, eq. 19).

        L = ReLU(sum_k w_k A_k),    w_k = sum_ij alpha_kij ReLU(g_kij)
        alpha = g^2 / (2 g^2 + (sum_ab A_kab) g^3) = 1 / (2 + (sum_ab A_kab) g),    0 where g = 0

    The sum over A stands outside g^3, and the explained function is exp(S), whose common factor cancels in N.
    normalize_alpha=True: as the authors' code, alpha = 0 where g <= 0 and divided by its sum over each channel.
    images (B, 3, H, W) -> heat map (B, H, W) in [0, 1]. Derived in notebooks/01_grad_cam_family.
    """
    model = as_network(model, **how)
    A, g = probe(model, images, targets, layer)
    weight = alpha(A, g, link="exp")
    if normalize_alpha:
        weight = where(g > 0, weight, 0)
        total = weight.sum((2, 3), keepdim=True)
        weight = where(total != 0, weight / where(total != 0, total, 1), 0)
    w = (weight * relu(g)).sum((2, 3))
    return finish(relu(einsum("bk,bkhw->bhw", w, A)), images, raw)


@over_layers
def layer_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
              **how: Unpack[How]) -> Tensor:
    """Weight every position by its own positive gradient (Jiang et al. 2021, IEEE TIP 30, eq. 6 and 7).

        L = ReLU(sum_k ReLU(g_k) * A_k)

    images (B, 3, H, W) -> heat map (B, H, W) in [0, 1]. Derived in notebooks/01_grad_cam_family.
    """
    model = as_network(model, **how)
    A, g = probe(model, images, targets, layer)
    return finish(relu((relu(g) * A).sum(1)), images, raw)


@over_layers
def hires_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
              **how: Unpack[How]) -> Tensor:
    """Weight every position by its own gradient, sign and all (Draelos and Carin 2020, arXiv 2011.08891, eq. 4).

        L = ReLU(sum_k g_k * A_k)

    images (B, 3, H, W) -> heat map (B, H, W) in [0, 1]. Derived in notebooks/01_grad_cam_family.
    """
    model = as_network(model, **how)
    A, g = probe(model, images, targets, layer)
    return finish(relu((g * A).sum(1)), images, raw)
