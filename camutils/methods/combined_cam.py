"""The three papers' axes, crossed: channel weight x path x layers x clusters x scales, all in one function.

    at every scale s, along a path x_t:       M_l = mean_t ReLU(sum_k w_k A_k),      w by `channel_weight`, or shared in clusters
    over scales, layer by layer:              R_l = `scales.refine`(M_l at s)
    over layers:                              L = sum_l lambda_l N(R_l),             lambda by `layer_weight`
    scissors:                                 L <- ReLU(N(L) - m_scissors),          m_scissors by `clustering`

Letters: A, g activation and gradient of a layer (B,K,h,w). Measured in notebooks/43_combining.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Unpack

import torch
from torch import Tensor, nn, relu

from ..core.baselines import blurred
from ..core.layers import Layer, find_layers
from ..core.maps import cut, einsum, finish, normalise, shown_maps, upsample
from ..core.network import How, as_network
from ..core.probe import Probed, check_images, predict, probe_layers
from ..core.stages import stages
from ..core.targets import Targets, fixed
from .cluster_cam import cluster_cam, cluster_maps, rank_clusters
from .integrative_cam import CHANNEL_WEIGHTS, weigh
from .parts.clusters import check_grouping, group_channels
from .parts.fusion import LAYER_WEIGHTS, layer_weights
from .parts.links import alpha
from .parts.masks import at_once, masked_scores
from .parts.paths import check_path, guided_path
from .parts.scales import check_scales, enlarge, refine

AXES = {
    "channel_weight": (*CHANNEL_WEIGHTS, "score"),
    "path": ("point", "line", "guided"),
    "layer_weight": LAYER_WEIGHTS,
    "clustering": ("none", "shared", "gradient_cut", "cut"),
}


def share(g: Tensor, labels: Tensor) -> Tensor:
    """Every channel's gradient becomes the mean of its cluster's: g (B,K,h,w), labels (B,K) -> the same shape; none: g."""
    mean = cluster_maps(g, labels)
    own = labels.clamp(min=0)[..., None, None].expand_as(g)
    return torch.where((labels < 0)[..., None, None], g, mean.gather(1, own))


def scissors_by(e: Tensor, C: Tensor) -> Tensor:
    """The map of the cluster with the least e, (B,h,w), zeros where no cluster shows anything: e (B,N), C (B,N,h,w)."""
    number = rank_clusters(e, shown_maps(C))[2]
    return C[torch.arange(len(C), device=C.device), number] * (number >= 0)[:, None, None]


def gradient_scissors(A: Tensor, g: Tensor, labels: Tensor) -> Tensor:
    """The map of the cluster that the score owes least to, (B,h,w), from what one gradient tells: no masks, no more passes.

        C_n = mean of A_k over cluster n,    e_n = mean of sum_ij g_kij A_kij over cluster n,    scissors = arg min e
    """
    owed = (g * A).sum((2, 3))                                             # (B,K) what the score owes to each channel
    e = cluster_maps(owed[..., None, None], labels)[..., 0, 0]             # (B,N) as a map of one cell: its cluster's mean
    return scissors_by(e, cluster_maps(A, labels))


def masked_scissors(model: nn.Module, images: Tensor, targets: Targets, A: Tensor, labels: Tensor) -> Tensor:
    """The map of the cluster whose mask on a blurred image has the lowest score, (B,h,w): a forward pass per cluster."""
    C = cluster_maps(A, labels)
    s = masked_scores(model, images, targets, C, baseline=blurred(images), chunk=at_once(images))
    return scissors_by(s, C)


def _along(model: nn.Module, images: Tensor, targets: Targets, names: list[str], rule: str, path: str, steps: int,
           labels: dict[str, Tensor] | None, seen: Probed | None) -> dict[str, Tensor]:
    """Layer -> mean over the path of ReLU(sum_k w_k A_k), (B,h,w). seen: what is known of the images themselves, or None."""
    maps = dict.fromkeys(names, images.new_zeros(()))

    def look(x: Tensor, seen: Probed | None = None) -> Tensor:
        if seen is None:
            seen = probe_layers(model, x, targets, names)
        for n, A in seen.A.items():
            g = share(seen.g[n], labels[n]) if labels else seen.g[n]
            maps[n] = maps[n] + relu(weigh(A, g, rule, partial(alpha, A, g, seen.S, "exp")))
        deepest = list(seen.A)[-1]
        w = seen.g[deepest].mean((2, 3))
        return einsum("bk,bkhw->bhw", w, seen.A[deepest])  # its signed map steers a guided path

    if path == "point":
        look(images, seen)
        return maps
    for _ in guided_path(look, images, steps=steps, max_dist=0.02 if path == "guided" else 0):
        pass  # each step calls `look`, which adds to `maps`
    return {n: M / steps for n, M in maps.items()}


def _check(given: dict[str, str], steps: int, n_clusters: int, seed: int) -> None:
    """ValueError, TypeError for options that are not accepted."""
    for axis, value in given.items():
        if value not in AXES[axis]:
            raise ValueError(f"{axis} {value!r}; accepted: {', '.join(AXES[axis])}")
    if given["channel_weight"] == "score" and (given["path"] != "point" or given["clustering"] not in ("none", "cut")):
        raise ValueError(f"channel_weight 'score' with path {given['path']!r}, clustering {given['clustering']!r}; accepted: "
                         "path 'point', clustering 'none' or 'cut', since it has clusters of its own and no gradient")
    check_path(steps)
    check_grouping(n_clusters, "kmeans", seed)


def combined_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
                 channel_weight: str = "pixel_positive", path: str = "point", layer_weight: str = "contribution",
                 clustering: str = "cut", scales: Iterable[float] = (1,), ratio: str | None = None, steps: int = 5,
                 n_clusters: int = 8, seed: int = 0, **how: Unpack[How]) -> Tensor:
    """Cross the axes of Integrative CAM, GIG-CAM+M and Cluster-CAM freely (arXiv 2412.01354, KSII TIIS 19(4), arXiv 2302.01642).

        L = ReLU(N(sum_l lambda_l N(R_l)) - m_scissors),    R_l = refine_s(mean_t ReLU(sum_k w_k A_k at x_t, scale s))

    An experiment, and no recommendation. The defaults, every stage with positive gradients at every position less the scissors,
    were chosen by pointing game, energy and Drop. On pictures that chose nothing the scissors cost place on every network asked,
    and make a map that is many times as unsteady as Grad-CAM's; clustering="none" leaves them away. images (B, 3, H, W) -> heat
    map (B, H, W) in [0, 1], by default from one forward pass, one backward pass and `n_clusters` forward passes behind masks.
    channel_weight  gradient, alpha, pixel, pixel_positive (`integrative_cam`), or score: p_n of `n_clusters` clusters behind
                    their masks on a blurred image (`cluster_cam`, merge soft), no gradient in the weights
    path            point: the image itself        line, guided: the mean over `steps` pictures from black (`guided_path`)
    layer_weight    last: `default_layer` alone        or every stage (`layer`: your list), fused as `fusion.layer_weights`
    clustering      none    shared: a channel's gradient is the mean over its cluster
                    cut: less the map of the cluster with the lowest score behind its mask on a blurred image, as soft_cut
                    gradient_cut: less the map of the cluster with the least mean of sum_ij g A, without further passes
    scales, ratio   as `multi_scale`, layer by layer; (1,): one scale, all that a network of one input size takes
    raw=True: L before the last N: (B, h, w) for one layer, one scale, no scissors; (B, H, W) for all others.
    Raises ValueError, TypeError as `probe_layers`, and for values of options that are not accepted. Derived in
    notebooks/43_combining.
    """
    model = as_network(model, **how)
    images = check_images(images)
    scales, ratio = check_scales(scales, "grid", ratio), ratio or "bounded"
    _check({"channel_weight": channel_weight, "path": path, "layer_weight": layer_weight, "clustering": clustering}, steps,
           n_clusters, seed)
    if layer is None and layer_weight != "last":
        layer = stages(model, images, targets)
    names, size = list(find_layers(model, layer, images, targets)), images.shape[-2:]
    by_score = channel_weight == "score"
    at_hand = path == "point" and scales[0] == 1 and not by_score  # then the first maps come from the images themselves
    seen = None                                                    # what one pass of the images themselves tells
    if at_hand or len(names) > 1 or clustering != "none":
        seen = probe_layers(model, images, targets, names)
    if targets is None:  # the class of the images themselves, at every scale and along every path
        output = predict(model, images) if seen is None else seen.output
        targets = fixed(output, None)
    shared = None
    if seen is not None and clustering == "shared":
        shared = {n: group_channels(seen.A[n], n_clusters, seed=seed) for n in names}

    maps: dict[str, list[tuple[float, Tensor]]] = {n: [] for n in names}  # layer -> (scale, raw map), ...
    for s in scales:
        x = enlarge(images, s)
        if by_score:
            soft: dict[str, Any] = {"n_clusters": n_clusters, "merge": "soft", "baseline": "blur", "seed": seed}
            found = {n: cluster_cam(model, x, targets, n, raw=True, **soft) for n in names}
        else:
            known = seen if s == 1 and at_hand else None
            found = _along(model, x, targets, names, channel_weight, path, steps, shared, known)
        for n in names:
            maps[n].append((s, found[n]))
    R = {n: _over_scales(m, size, ratio) for n, m in maps.items()}                    # scales
    L = _fuse(R, seen, layer_weight, size)                                            # layers
    if seen is not None and clustering in ("cut", "gradient_cut"):                    # scissors
        A, g = seen.A[names[-1]], seen.g[names[-1]]
        labels = group_channels(A, n_clusters, seed=seed)
        if clustering == "cut":
            C = masked_scissors(model, images, targets, A, labels)
        else:
            C = gradient_scissors(A, g, labels)
        L = cut(upsample(L, size), upsample(C, size))
    return finish(L, images, raw)


def _over_scales(maps: list[tuple[float, Tensor]], size: Sequence[int], ratio: str) -> Tensor:
    """One layer's maps of all scales in one: R of the last level of `refine`, (B,H,W); a single one as it is."""
    if len(maps) == 1:
        return maps[0][1]
    *_, last = refine(maps, size, "grid", ratio)
    return last.R


def _fuse(R: dict[str, Tensor], seen: Probed | None, rule: str, size: Sequence[int]) -> Tensor:
    """The layers' maps in one: sum_l lambda_l N(Up R_l), (B,H,W); a single one as it is."""
    if seen is None or len(R) == 1:
        return next(iter(R.values()))
    weights = layer_weights(list(seen.A.values()), list(seen.g.values()), rule)
    shares = zip(weights.unbind(1), R.values(), strict=True)
    return sum((w[:, None, None] * upsample(normalise(M), size) for w, M in shares), weights.new_zeros(()))
