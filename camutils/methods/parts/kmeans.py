"""k-means for a whole batch at once on its device: k-means++, restarts, empty clusters filled again, the elbow.

A channel's row is its activation as a vector of length 1, rounded to 2^-12. Rows, their sums and their products are then whole
multiples of 2^-24, which float64 adds without rounding in any order: neither the batch around an image nor the number of threads
changes a label, and no autocast touches them. Letters: K channels, Z = h w positions, n clusters, R restarts. Derived in
notebooks/30_cluster_cam.
"""

from math import ceil, log, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

RACE = 4  # updates of every restart, before the best of them goes on alone


class Clustered(NamedTuple):
    """Labels (B, K) from -1 to n - 1, centres (B, n, Z) = mean of the members' rows (0 if none), inertia (B,) = sum |x - c|^2."""

    labels: Tensor
    centres: Tensor
    inertia: Tensor


def normalised_rows(A: Tensor) -> Tensor:
    """Every channel as a row of length 1, vec(A_k) / |vec(A_k)|, rounded to 2^-12; a dead channel (all zero) stays zero.

    A (B, K, h, w) -> (B, K, h w), float64. Raises ValueError where A holds NaN or Inf.
    """
    finite = A.isfinite().flatten(1).all(1)
    if not finite.all():
        raise ValueError(f"the layer's activations hold NaN or Inf for images {(~finite).nonzero()[:, 0].tolist()} of the batch; "
                         "accepted: finite activations")
    rows = (A.cpu() if A.device.type == "mps" else A).flatten(2).double()  # mps knows no float64
    largest = rows.abs().amax(2, keepdim=True)
    rows = rows / torch.where(largest > 0, largest, 1)  # so that squares neither vanish nor overflow
    length = rows.square().sum(2, keepdim=True).sqrt()
    return (rows / torch.where(length > 0, length, 1) * 2**12).round() / 2**12


def _to_centres(rows: Tensor, sums: Tensor, counts: Tensor) -> Tensor:
    """|x - c|^2 - |x|^2 of every row and every centre c = sums / counts, (B, R, n, K); infinite where counts is 0.

    Only `sums` meets a sum over positions, so that nothing is rounded before the last, elementwise steps.
    """
    c = counts.clamp(min=1)
    own = (sums.square().sum(3) / c).masked_fill(counts == 0, torch.inf)
    cross = sums @ rows[:, None].mT
    return cross.mul_(-2).add_(own[..., None]).div_(c[..., None])


def seed_centres(rows: Tensor, n: int, restarts: int = 1, seed: int = 0) -> Tensor:
    """k-means++ (Arthur and Vassilvitskii 2007): each next centre is a row, drawn with probability ~ |x - nearest centre|^2.

    rows (B, K, Z) -> (B, R, n, Z). Greedy, as scikit-learn's: of 2 + ln n rows drawn, the one that leaves the least sum of
    distances. Every image sees the same draws, those of a generator of its own: its centres do not depend on the images beside
    it. Dead rows are never drawn, unless no live one is left that is not yet a centre.
    """
    B, K, Z = rows.shape
    rng, tries = torch.Generator().manual_seed(seed), 2 + int(log(n))
    draws = torch.rand(n, restarts, tries, dtype=torch.float64, generator=rng).to(rows.device)
    live = rows.any(2)[:, None]                     # (B,1,K)
    size = rows.square().sum(2)[:, None]            # (B,1,K) |x|^2
    b = torch.arange(B, device=rows.device)[:, None]
    r = torch.arange(restarts, device=rows.device)  # [b, r, best] takes one entry per image and restart
    nearest = live.double().expand(B, restarts, K)  # |x - nearest centre|^2; without a centre, live rows are equally likely
    centres = rows.new_zeros(B, restarts, n, Z)
    for i, u in enumerate(draws):                   # u (R,T) in [0, 1), T tries
        summed = nearest.cumsum(2)
        total = summed[:, :, -1:]
        pick = torch.searchsorted(summed, u * total, right=True).clamp(max=K - 1)  # (B,R,T) the row in whose share u falls
        tried = rows[b[..., None], pick]                                           # (B,R,T,Z)
        distance = (_to_centres(rows, tried, torch.ones_like(pick)) + size[:, None]) * live[:, :, None]
        left = distance if i == 0 else torch.minimum(nearest[:, :, None], distance)  # (B,R,T,K) with this row as a centre
        best = left.sum(3).argmin(2)                                               # (B,R)
        nearest = left[b, r, best]
        centres[:, :, i] = tried[b, r, best]
    return centres


def _fill_empty(labels: Tensor, distance: Tensor, counts: Tensor) -> Tensor:
    """Give every empty cluster the farthest row from its own centre that is left, unless that lies on its centre."""
    n, empty = counts.shape[2], counts == 0                                     # empty (B,R,n)
    farthest = distance.argsort(dim=2, descending=True, stable=True)[:, :, :n]  # rows, the farthest first
    e = (empty.cumsum(2) - 1).clamp(0, farthest.shape[2] - 1)                   # 0, 1, ... for the first, second empty cluster
    row = farthest.gather(2, e)                                                 # (B,R,n): the e-th takes the e-th farthest row
    takes = empty & (distance.gather(2, row) > 0)
    filled = takes.any(1).any(0).nonzero()[:, 0]                                # clusters that take a row in any image or restart
    for j in filled.tolist():
        its_row = row[:, :, j, None]                                            # (B,R,1)
        label = torch.where(takes[:, :, j, None], j, labels.gather(2, its_row))
        labels = labels.scatter(2, its_row, label)
    return labels


def _lloyd(rows: Tensor, sums: Tensor, counts: Tensor, iterations: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Assign and update until no label changes: labels (B,R,K), sums (B,R,n,Z), counts (B,R,n), inertia (B,R)."""
    dead = ~rows.any(2)[:, None]          # (B,1,K)
    size = rows.square().sum(2)[:, None]  # (B,1,K) |x|^2
    numbers = torch.arange(sums.shape[2], device=rows.device)[:, None]
    labels: Tensor | None = None
    for _ in range(iterations):
        distance, found = _to_centres(rows, sums, counts).min(2)
        found = found.masked_fill(dead, -1)
        if labels is not None and torch.equal(found, labels):
            break
        labels = found
        member = (labels[:, :, None] == numbers).to(rows)  # (B,R,n,K) of 0 and 1
        counts = member.sum(3)
        if (counts == 0).any():
            labels = _fill_empty(labels, (distance + size).masked_fill(dead, 0), counts)
            member = (labels[:, :, None] == numbers).to(rows)
            counts = member.sum(3)
        sums = member @ rows[:, None]
    if labels is None:
        raise ValueError(f"{iterations} iterations; accepted: 1 or more")
    inertia = size.sum(2) - (sums.square().sum(3) / counts.clamp(min=1)).sum(2)  # sum |x|^2 - sum_n |c_n|^2 count_n
    return labels, sums, counts, inertia


def kmeans(rows: Tensor, n: int, *, seed: int = 0, restarts: int = 4, iterations: int = 100,
           centres: Tensor | None = None) -> Clustered:
    """k-means of every image's rows at once, restarts beside each other.

        label_k = arg min_n |x_k - c_n|^2 (the first of equals),    c_n = mean of its rows,    until no label changes

    rows (B, K, Z) as `normalised_rows` (a zero row is in no cluster: label -1), n clusters -> `Clustered`. After RACE updates the
    restart with the least inertia goes on alone, for at most `iterations` more. centres (B, n, Z): start from these, once,
    instead of k-means++. A cluster that runs empty is given the row farthest from its own centre; where there are fewer
    distinct rows than clusters, some stay empty.
    """
    b = torch.arange(len(rows), device=rows.device)
    sums = centres[:, None].to(rows) if centres is not None else seed_centres(rows, n, restarts, seed)
    counts = sums.new_ones(sums.shape[:3])
    if sums.shape[1] > 1:
        _, sums, counts, inertia = _lloyd(rows, sums, counts, RACE)
        best = inertia.argmin(1)
        sums, counts = sums[b, best][:, None], counts[b, best][:, None]
    labels, sums, counts, inertia = (found[:, 0] for found in _lloyd(rows, sums, counts, iterations))
    return Clustered(labels, sums / counts.clamp(min=1)[..., None], inertia.clamp(min=0))


def elbow(rows: Tensor, seed: int = 0) -> Tensor:
    """Labels (B, K) of k-means with as many clusters as each image's inertia curve suggests, n in 3 .. ceil(sqrt K).

        n = arg max (1 - u - v),    u, v: n and inertia, each scaled from 0 to 1 over the range

    The point of the curve that lies farthest below the straight line between its ends; the least n where inertia does not fall.
    """
    most = max(3, ceil(sqrt(rows.shape[1])))
    runs = [kmeans(rows, n, seed=seed) for n in range(3, most + 1)]
    labels = torch.stack([run.labels for run in runs], 1)  # (B,N,K) for N numbers of clusters
    curve = torch.stack([run.inertia for run in runs], 1)  # (B,N)
    span = curve[:, :1] - curve[:, -1:]
    v = torch.where(span > 0, (curve - curve[:, -1:]) / torch.where(span > 0, span, 1), 1)
    u = torch.linspace(0, 1, len(runs), dtype=v.dtype, device=v.device)
    chosen = (1 - u - v).argmax(1)
    b = torch.arange(len(rows), device=rows.device)
    return labels[b, chosen]
