"""Channels into groups: k-means, any scikit-learn estimator, and two controls.

Channels are sorted by what they hold before they are grouped, so that their order in the network does not matter.
Letters: K channels, n clusters. Derived in notebooks/30_cluster_cam and notebooks/31_cluster_count.
"""

from operator import index
from typing import Any, Protocol

import torch
from torch import Tensor

from ...core.maps import einsum
from ...extras import extra
from .kmeans import elbow, kmeans, normalised_rows

CLUSTERINGS = ("kmeans", "agglomerative", "spectral", "random", "consecutive")


class Estimator(Protocol):
    """What groups rows, (k, Z) -> a whole number for each, -1 for none: scikit-learn's clusterers, or a class like them."""

    def fit_predict(self, X: Any, /) -> Any:  # Any: NumPy's arrays, or what passes for them
        """The label of each row."""


def content_order(rows: Tensor) -> Tensor:
    """The order of channels by what they hold, (B, K): by the product with one fixed random vector; dead channels last."""
    fixed = torch.randint(1, 2**32, (rows.shape[2],), generator=torch.Generator().manual_seed(0)).to(rows)
    key = einsum("bkz,z->bk", rows, fixed)
    return torch.where(rows.any(2), key, torch.inf).argsort(stable=True, dim=1)


def _estimate(rows: Tensor, n: int, clustering: str | Estimator, seed: int) -> Tensor:
    """Labels (k,) of one image's live rows from scikit-learn; global random state is not touched."""
    clone = extra("sklearn.base", "scikit-learn").clone
    if clustering == "agglomerative":
        if n == 1:
            return torch.zeros_like(rows[:, 0], dtype=torch.long)
        clustering = extra("sklearn.cluster", "scikit-learn").AgglomerativeClustering(n)
    if clustering == "spectral":
        if n == 1:
            return torch.zeros_like(rows[:, 0], dtype=torch.long)
        spectral = extra("sklearn.cluster", "scikit-learn").SpectralClustering
        clustering = spectral(n, affinity="nearest_neighbors", n_neighbors=min(10, len(rows)), random_state=seed)
    estimator = clone(clustering, safe=False)
    settings = estimator.get_params() if hasattr(estimator, "get_params") else {}
    unseeded = {k: seed for k, v in settings.items() if k.split("__")[-1] == "random_state" and v is None}
    if unseeded:
        estimator = estimator.set_params(**unseeded)
    labels = torch.as_tensor(estimator.fit_predict(rows.cpu().numpy()))
    if labels.shape != rows.shape[:1] or labels.is_floating_point():
        raise ValueError(f"fit_predict gave {labels.dtype} of shape {tuple(labels.shape)}; accepted: {len(rows)} whole numbers")
    numbered = labels.unique(return_inverse=True)[1]
    return torch.where(labels < 0, -1, numbered).to(rows.device)


def _renumber(labels: Tensor) -> Tensor:
    """Clusters numbered by their first member; -1 stays."""
    (B, K), n = labels.shape, int(labels.max()) + 1
    if n == 0:
        return labels
    place = torch.arange(K, device=labels.device).expand_as(labels)
    column = torch.where(labels < 0, n, labels)                   # column n is for what is in no cluster
    first = torch.full((B, n + 1), K, device=labels.device)
    first = first.scatter_reduce(1, column, place, "amin")[:, :n]  # (B,n) place of each cluster's first member, K without one
    number = _rank_of(first)                                      # (B,n) old number -> new number
    return torch.where(labels < 0, -1, number.gather(1, labels.clamp(min=0)))


def _rank_of(keys: Tensor) -> Tensor:
    """The rank of each number in its row, 0 for the least, (B,K): `argsort` tells who is first, twice who stands where."""
    return keys.argsort(stable=True, dim=1).argsort(1)


def check_grouping(n_clusters: int | str, clustering: str | Estimator, seed: int) -> None:
    """ValueError or TypeError for what `group_channels` does not accept."""
    if isinstance(clustering, type) or not (isinstance(clustering, str) or hasattr(clustering, "fit_predict")):
        raise TypeError(f"clustering is {clustering!r}; accepted: {', '.join(CLUSTERINGS)}, or an estimator (an instance with "
                        "fit_predict)")
    if isinstance(clustering, str) and clustering not in CLUSTERINGS:
        raise ValueError(f"clustering {clustering!r}; accepted: {', '.join(CLUSTERINGS)}, or an estimator with fit_predict")
    if isinstance(n_clusters, str) and (n_clusters != "elbow" or clustering != "kmeans"):
        raise ValueError(f"n_clusters {n_clusters!r} with clustering {clustering!r}; accepted: a whole number from 1 on, or "
                         "'elbow' with clustering 'kmeans'")
    for name, value, least in (("n_clusters", 1 if n_clusters == "elbow" else n_clusters, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{name} is {value!r}; accepted: a whole number from {least} on")
        if not least <= index(value) < 2**32:
            raise ValueError(f"{name} {value}; accepted: a whole number from {least} to {2**32 - 1}")


def group_channels(A: Tensor, n_clusters: int | str = 10, clustering: str | Estimator = "kmeans", seed: int = 0) -> Tensor:
    """The cluster of every channel, (B, K): 0, 1, ... in order of the first member's content; -1: in none.

        kmeans        `kmeans`, k-means++, four restarts, of each image alone
        agglomerative scikit-learn's AgglomerativeClustering (Ward): join the two groups that cost least until n are left
        spectral      scikit-learn's SpectralClustering on the graph of 10 nearest neighbours
        random        control: n groups of equal size, give or take one, drawn with `seed`
        consecutive   control: n such groups of neighbours in the network's own order of channels, the one order that it is about
        an estimator with fit_predict: a clone for each image, with its own number of clusters and not n_clusters; `seed` where it
        has no random state; label -1 (noise) keeps a channel out

    A (B, K, h, w). n_clusters: a whole number; "elbow" (kmeans only, see `elbow`). Dead channels (all zero) are in no cluster;
    flat ones have a direction and are grouped like any other. Where n_clusters is no less than the number of live channels, each
    of them is a cluster of its own, and nothing is searched; fewer distinct rows than clusters give fewer clusters.
    Raises ValueError, TypeError for options that are not accepted, ValueError for activations that are not finite.
    """
    check_grouping(n_clusters, clustering, seed)
    rows = normalised_rows(A)                                 # (B,K,Z) in the network's order
    order = content_order(rows)                               # (B,K) which channel is first, second, ... by content
    own_place = order.argsort(1)                              # (B,K) the way back: where each channel stands in that order
    rows = rows.gather(1, order[..., None].expand_as(rows))   # from here on in the order by content
    live = rows.any(2)                                        # (B,K) False only at the end: dead channels are last
    size = live.sum(1, keepdim=True)                          # (B,1) number of live channels
    n, seed = 3 if isinstance(n_clusters, str) else index(n_clusters), index(seed)
    named = isinstance(clustering, str)
    alone = (size <= n) & named                               # (B,1) images where every channel is a cluster of its own
    place = torch.arange(rows.shape[1], device=rows.device).expand_as(order)
    if alone.all():
        labels = place
    elif clustering == "kmeans" and n_clusters == "elbow":
        labels = elbow(rows, seed)
    elif clustering == "kmeans":
        labels = kmeans(rows, n, seed=seed).labels
    elif clustering == "random":
        labels = _random_groups(live, n, seed)
    elif clustering == "consecutive":
        labels = _consecutive_groups(live, own_place, order, n)
    else:
        labels = torch.zeros_like(order)
        for b, k in enumerate(size[:, 0].tolist()):
            if k > (n if named else 1):  # otherwise there is nothing to search
                labels[b, :k] = _estimate(rows[b, :k], n, clustering, seed)
    labels = torch.where(alone, place, labels)
    labels = _renumber(torch.where(live, labels, -1))
    return labels.gather(1, own_place).to(A.device)


def _random_groups(live: Tensor, n: int, seed: int) -> Tensor:
    """Labels (B,K): the live channels in random order, dealt out to n groups in turn."""
    K = live.shape[1]
    shuffled = torch.randperm(K, generator=torch.Generator().manual_seed(seed)).to(live.device)
    return _rank_of(torch.where(live, shuffled, K)) % n  # K: behind all others


def _consecutive_groups(live: Tensor, own_place: Tensor, order: Tensor, n: int) -> Tensor:
    """Labels (B,K): live channel i of k in the network's order goes to group floor(i n / k)."""
    live_in_network = live.gather(1, own_place)          # (B,K) in the network's order
    count = live_in_network.cumsum(1)                    # live channels up to and with this one
    rank = count.gather(1, order) - 1                    # (B,K) in the order by content again
    k = live.sum(1, keepdim=True).clamp(min=1)
    return (rank * n).div(k, rounding_mode="floor")
