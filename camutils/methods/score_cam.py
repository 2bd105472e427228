"""Score-CAM: every channel is asked for, one masked forward pass each. Derived in notebooks/30_cluster_cam."""

from typing import Unpack

import torch
from torch import Tensor, nn, relu

from ..core.layers import Layer
from ..core.maps import einsum, finish, over_layers, shown_maps
from ..core.network import How, as_network
from ..core.probe import activation, check_images
from ..core.targets import Targets
from .parts.masks import scores_of_live


@over_layers
def score_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
              chunk: int | None = None, **how: Unpack[How]) -> Tensor:
    """Weight every channel by what the network says of the image behind it (Wang et al. 2020, arXiv 1910.01279, algorithm 1).

        L = ReLU(sum_k w_k A_k),    w = softmax_k(s),    s_k = S(x * m_k),    m_k = N(Up A_k)

    One forward pass per channel and image; a flat channel shows nothing: it gets weight 0, costs no pass, and its score does not
    enter the softmax. The paper subtracts the black image's score, which cancels in the softmax. targets=None: the arg max of
    the whole image. chunk: images per forward pass; None: measured (`masked_scores`).
    images (B, 3, H, W) -> heat map (B, H, W) in [0, 1]. Errors: those of `masked_scores`. Derived in notebooks/30_cluster_cam.
    """
    model = as_network(model, **how)
    A, targets, _ = activation(model, images, targets, layer)
    live = shown_maps(A)
    s = scores_of_live(model, check_images(images), targets, A, live, None, chunk)
    w = s.masked_fill(~live, -torch.inf).softmax(1).masked_fill(~live, 0)
    return finish(relu(einsum("bk,bkhw->bhw", w.to(A.dtype), A)), images, raw)
