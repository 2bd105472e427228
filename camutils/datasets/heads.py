"""A linear multi-label head on a frozen network: for users who have VOC's training images.

    features (N, K) = mean over space of a layer's activations;   logit_c = w_c . features + b_c
"""

import numpy as np
import torch
from torch import Tensor, nn

from ..core.layers import Layer, find_layers
from ..core.network import evaluating
from ..core.probe import check_images
from ..extras import extra


class Trunk(nn.Module):
    """A frozen network up to one of its layers: images -> that layer's activations (B, K, h, w)."""

    def __init__(self, backbone: nn.Module, layer: str):
        super().__init__()
        self.backbone, self.layer = backbone, layer

    def forward(self, x: Tensor) -> Tensor:
        seen: list[Tensor] = []
        hook = self.backbone.get_submodule(self.layer).register_forward_hook(lambda module, args, out: seen.append(out.clone()))
        try:
            self.backbone(x)
        finally:
            hook.remove()
        return seen[-1]


class HeadOn(nn.Module):
    """images -> logits (B, C): `features` (the trunk), mean over space, `head`. CAM methods find the layer `features`."""

    def __init__(self, trunk: Trunk, head: nn.Linear):
        super().__init__()
        self.features, self.head = nn.Sequential(trunk), head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


def _trunk(backbone: nn.Module, layer: Layer, images: Tensor | None = None) -> Trunk:
    found = list(find_layers(backbone, layer, images))
    if len(found) != 1:
        raise ValueError(f"{len(found)} layers given ({', '.join(found)}); accepted here: one")
    return Trunk(backbone, found[0])


def pooled_features(backbone: nn.Module, images: Tensor, layer: Layer = None) -> Tensor:
    """Mean over space of a layer's activations: images (B, 3, H, W) -> (B, K), no gradient. layer, errors: as `find_layers`."""
    trunk = _trunk(backbone, layer, check_images(images))
    with evaluating(backbone), torch.no_grad():
        return trunk(images).mean((2, 3))


def linear_head(backbone: nn.Module, features: Tensor, labels: Tensor, layer: Layer = None, *,
                strength: float = 1.0) -> nn.Module:
    """Fit one logistic regression per class on pooled features; return the network backbone + mean + linear layer.

    features (N, K) of `pooled_features` (same layer); labels (N, C), 1 where the class is there and 0 where not; strength: C
    of scikit-learn's LogisticRegression on standardised features, larger fits closer. The result is in eval mode, on the
    backbone's device, frozen; its probabilities are sigmoids. Raises ValueError for other shapes or a class that is
    everywhere or nowhere.
    """
    X, Y = np.asarray(features.detach().cpu(), np.float64), np.asarray(labels.detach().cpu())
    if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y) or not np.isin(Y, (0, 1)).all() or not np.isfinite(X).all():
        raise ValueError(f"features {X.shape} and labels {Y.shape}; accepted: finite (N, K) and (N, C) of 0 and 1")
    constant = [c for c in range(Y.shape[1]) if len(np.unique(Y[:, c])) < 2]
    if constant:
        raise ValueError(f"class {constant[0]} is in all images or in none; accepted: classes with both")
    mean, std = X.mean(0), X.std(0)
    std[std == 0] = 1
    regression = extra("sklearn.linear_model", "scikit-learn").LogisticRegression
    fits = [regression(C=strength, max_iter=2000).fit((X - mean) / std, y) for y in Y.T]
    weight = np.stack([fit.coef_[0] for fit in fits]) / std
    bias = np.array([fit.intercept_[0] for fit in fits]) - weight @ mean
    like = next(backbone.parameters())
    head = nn.utils.skip_init(nn.Linear, X.shape[1], Y.shape[1])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias))
    return HeadOn(_trunk(backbone, layer), head.requires_grad_(False).to(like.device, like.dtype)).eval()
