"""Cluster-CAM: channels in groups, one forward pass per group, the best group's map less the worst group's. No gradients.

What the preprint's abstract (arXiv 2302.01642; we had no more) says: feature maps are split into clusters without supervision, a
cognition-base map and cognition-scissors are forged from them and merged. The rest is a reading, and every choice is an option:
kmeans.py and clusters.py (the groups), masks.py (the scores), here base, scissors and the merge.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Unpack, overload

import torch
from torch import Tensor, nn, relu

from ..core.baselines import baseline_images
from ..core.layers import Layer
from ..core.maps import cut, einsum, finish, over_layers, shown_maps, upsample
from ..core.network import How, as_network
from ..core.probe import activation, check_images
from ..core.targets import Targets
from .parts.clusters import Estimator, check_grouping, group_channels
from .parts.masks import at_once, masked_scores

MERGES = ("cut", "weighted_cut", "soft", "soft_cut", "base")


class Parts(NamedTuple):
    """What the map is made of, for N clusters, the most that an image of the batch has.

    heat (B,H,W); labels (B,K) cluster of every channel, -1 for none; maps C (B,N,h,w), 0 beyond an image's own clusters; scores
    s (B,N) and shares p (B,N), 0 where there is no cluster or its map is flat; base and scissors (B,), -1 where there is none.
    """

    heat: Tensor
    labels: Tensor
    maps: Tensor
    scores: Tensor
    p: Tensor
    base: Tensor
    scissors: Tensor


def cluster_maps(A: Tensor, labels: Tensor) -> Tensor:
    """C_n = mean of the activations in cluster n: A (B,K,h,w), labels (B,K) -> (B,N,h,w), zeros for a cluster without members."""
    numbers = torch.arange(max(int(labels.max()) + 1, 1), device=A.device)
    member = (labels[:, None] == numbers[:, None]).to(A.dtype)
    return einsum("bnk,bkhw->bnhw", member, A) / member.sum(2).clamp(min=1)[..., None, None]


def rank_clusters(s: Tensor, shown: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shares p = softmax(s), base = arg max s, scissors = arg min s, among clusters that are `shown` (B,N); the first of equals.

    s (B,N) -> p (B,N), 0 where not shown; base and scissors (B,), -1 where an image shows nothing.
    """
    lowest = s.masked_fill(~shown, -torch.inf)
    p = lowest.softmax(1).masked_fill(~shown, 0)
    base = lowest.argmax(1)
    scissors = s.masked_fill(~shown, torch.inf).argmin(1)
    none = ~shown.any(1)
    return p, base.masked_fill(none, -1), scissors.masked_fill(none, -1)


def merge_maps(C: Tensor, p: Tensor, base: Tensor, scissors: Tensor, size: Sequence[int], merge: str = "cut") -> Tensor:
    """One map from the clusters' maps C (B,N,h,w), as `cluster_cam` says: (B,h,w) for soft and base, else (B,H,W) = size."""
    b = torch.arange(len(C), device=C.device)
    if merge in ("soft", "soft_cut"):
        soft = relu(einsum("bn,bnhw->bhw", p.to(C.dtype), C))
    if merge == "soft":
        return soft
    if merge == "base":
        return C[b, base] * (base >= 0)[:, None, None]
    m_base, m_scissors = (upsample(C[b, i], size) for i in (base, scissors))
    if merge == "soft_cut":
        return cut(upsample(soft, size), m_scissors)
    if merge == "cut":
        return cut(m_base, m_scissors)
    weight = p[b, base].to(C.dtype)[:, None, None]
    return cut(m_base, m_scissors, (weight, 1 - weight))


def _check(n_clusters: int | str, clustering: str | Estimator, merge: str, seed: int) -> None:
    """ValueError or TypeError for options that are not accepted."""
    check_grouping(n_clusters, clustering, seed)
    if merge not in MERGES:
        raise ValueError(f"merge {merge!r}; accepted: {', '.join(MERGES)}")
    if n_clusters == 1 and isinstance(clustering, str) and merge in ("cut", "soft_cut"):
        raise ValueError(f"n_clusters 1 with merge {merge!r} leaves nothing, since base and scissors are one cluster; "
                         "accepted: 2 or more, or merge weighted_cut, soft, base")


@overload
def cluster_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
                n_clusters: int | str = 10, clustering: str | Estimator = "kmeans", merge: str = "cut",
                baseline: str | Tensor = "black", seed: int = 0, chunk: int | None = None,
                return_parts: Literal[False] = False, **how: Unpack[How]) -> Tensor:
    """The heat map."""


@overload
def cluster_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
                n_clusters: int | str = 10, clustering: str | Estimator = "kmeans", merge: str = "cut",
                baseline: str | Tensor = "black", seed: int = 0, chunk: int | None = None,
                return_parts: Literal[True], **how: Unpack[How]) -> Parts:
    """The heat map and what it is made of."""


@over_layers
def cluster_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
                n_clusters: int | str = 10, clustering: str | Estimator = "kmeans", merge: str = "cut",
                baseline: str | Tensor = "black", seed: int = 0, chunk: int | None = None,
                return_parts: bool = False, **how: Unpack[How]) -> Tensor | Parts:
    """Show where the cluster that the class needs most differs from the one it needs least (arXiv 2302.01642).

        C_n = mean of A_k over cluster n,    m_n = N(Up C_n),    s_n = S(m_n x + (1 - m_n) x') - S(x'),    p = softmax_n(s)
        L = ReLU(m_base - m_scissors),    base = arg max s,    scissors = arg min s

    images (B, 3, H, W) -> heat map (B, H, W) in [0, 1]; 1 + N images through the network for every image, N the most clusters
    of the batch. Nothing needs a gradient: frozen and quantised networks and inference mode will do.
    n_clusters, clustering, seed   `clusters.group_channels`; rows are vec(A_k) / |vec(A_k)|, maps average A itself
    merge   cut           ReLU(m_base - m_scissors)              weighted_cut  ReLU(p m_base - (1 - p) m_scissors), p of the base
            soft          ReLU(sum_n p_n C_n)                    soft_cut      ReLU(N(Up soft) - m_scissors)
            base          C_base
    baseline   x': black, mean, blur, or a tensor (`baselines.baseline_images`)
    chunk      images per pass; None: 4 of 224 x 224, more if smaller; 64 on an accelerator; a callable target: the batch.
               A dynamically quantised layer scales by what is in its batch: there chunk=1 keeps masks from changing each other
    raw=True: L before the last N, in the activation's precision: (B, h, w) for soft and base, (B, H, W) for the other three,
    which subtract maps of the image's size. return_parts=True: a `Parts`; one more image through the network, for S(x').
    soft with n_clusters=K is Score-CAM. A cluster whose map is flat shows nothing: p = 0, neither base nor scissors. Where an
    image has a single cluster left, base is scissors: its map is 0 under cut and soft_cut; without any, under every merge; and
    where no more is left than rounding (`maps.cut`).
    Raises ValueError, TypeError as `probe_layers`, and for values of options that are not accepted. Derived in
    notebooks/30_cluster_cam.
    """
    model = as_network(model, **how)
    images = check_images(images)
    _check(n_clusters, clustering, merge, seed)
    chunk = at_once(images) if chunk is None else chunk
    x_b = None if isinstance(baseline, str) and baseline == "black" else baseline_images(images, baseline)
    A, targets, _ = activation(model, images, targets, layer)                                    # 1. one forward pass
    labels = group_channels(A, n_clusters, clustering, seed)                                     # 2. channels into clusters
    C = cluster_maps(A, labels)                                                                  # 3. their mean maps
    shown = shown_maps(C)
    asked = torch.cat([C, torch.zeros_like(C[:, :1])], 1) if return_parts else C                 # a flat map shows x'
    s = masked_scores(model, images, targets, asked, baseline=x_b, chunk=chunk)                  # 4. n masked forward passes
    p, base, scissors = rank_clusters(s[:, : C.shape[1]], shown)
    L = merge_maps(C, p, base, scissors, images.shape[-2:], merge)                               # 5. base less scissors
    heat = finish(L, images, raw)
    if return_parts:
        s = (s[:, :-1] - s[:, -1:]) * shown  # less S(x'), the last one asked
        return Parts(heat, labels, C, s, p, base, scissors)
    return heat
