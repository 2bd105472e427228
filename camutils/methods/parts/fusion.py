"""Many layers' maps into one: a weight per layer and image, and which layers say nothing new."""

import torch
from torch import Tensor

LAYER_WEIGHTS = ("product", "sum", "gradient", "activation", "uniform", "contribution", "last")


def _shares(values: Tensor) -> Tensor:
    """Non-negative numbers (B, L) -> shares that sum to 1 over the layers; equal ones where all are 0."""
    total = values.sum(1, keepdim=True)
    return torch.where(total > 0, values / torch.where(total > 0, total, 1), 1 / values.shape[1])


def _mean_sizes(values: list[Tensor]) -> Tensor:
    """Mean of the absolute values, layer by layer: (B, L). torch's 1-norm needs no copy, but takes four times as long."""
    return torch.stack([v.abs().mean((1, 2, 3)) for v in values], 1)


def layer_weights(A: list[Tensor], g: list[Tensor], rule: str = "contribution", explained: Tensor | None = None) -> Tensor:
    """One weight per image and layer, lambda (B, L), which sum to 1 over the layers (a reading of arXiv 2412.01354).

        product        lambda ~ G_l C_l,    G = mean|g|, C = mean|A|, each divided by its sum over layers first
        sum            (G_l + C_l) / 2
        gradient       G_l                  activation    C_l
        contribution   max(0, sum g*A), the part of the score that the layer's activations account for
        uniform        1 / L                last          1 for the last layer

    A, g: one (B, K_l, h_l, w_l) per layer; explained: sum g*A (B, L), where it is at hand. Where every layer has 0, all weights
    are 1 / L. Raises ValueError for another rule.
    """
    if rule not in LAYER_WEIGHTS:
        raise ValueError(f"layer_weight {rule!r}; accepted: {', '.join(LAYER_WEIGHTS)}")
    if rule == "contribution":
        if explained is None:
            explained = torch.stack([(d * a).sum((1, 2, 3)) for a, d in zip(A, g, strict=True)], 1)
        return _shares(explained.relu())
    if rule in ("uniform", "last"):
        equal = g[0].new_ones(len(g[0]), len(g))
        equal[:, :-1] *= rule == "uniform"
        return _shares(equal)
    G = _shares(_mean_sizes(g)) if rule != "activation" else g[0].new_ones(())
    C = _shares(_mean_sizes(A)) if rule != "gradient" else g[0].new_ones(())
    return (G + C) / 2 if rule == "sum" else _shares(G * C)


def keep_distinct(maps: Tensor, threshold: float) -> Tensor:
    """Which layers add something, (B, L), decided image by image from the last layer down to the first.

        dropped where 1 - mean_ij |L_l - L_m| >= threshold for a kept later layer m

    maps (B, L, H, W) in [0, 1]; threshold in (0, 1], 1: only equal maps are dropped. The last layer is always kept.
    """
    kept = torch.ones(maps.shape[:2], dtype=torch.bool, device=maps.device)
    for one in range(maps.shape[1] - 2, -1, -1):
        alike = 1 - (maps[:, one + 1 :] - maps[:, one, None]).abs().mean((2, 3))
        kept[:, one] = ~((alike >= threshold) & kept[:, one + 1 :]).any(1)
    return kept


def share_among(weights: Tensor, kept: Tensor) -> Tensor:
    """Weights (B, L) of the kept layers, scaled to sum to 1; equal ones where all of theirs are 0."""
    total = (weights * kept).sum(1, keepdim=True)
    return torch.where(total > 0, weights * kept / torch.where(total > 0, total, 1), kept / kept.sum(1, keepdim=True))
