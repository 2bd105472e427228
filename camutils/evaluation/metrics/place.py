"""Does the map's order find the object? Average precision over pixels: no rising function of the map moves it.

`pixel_ap` decides, image by image. `pooled_pixel_ap` is the literature's PxAP, here for comparison with other people's tables
only: it pools pixels of all images, so it compares heats *between* images and moves with contrast.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .forward import check_unit
from .location import Boxes, check_pairs, region_masks
from .order import cuts, exact


def pixel_ap(maps: Tensor | Sequence[Tensor], regions: Sequence[Boxes]) -> Tensor:
    """Average precision of the pixels, ranked by heat, against the object's pixels: 1 is perfect, a constant map has their share.

        AP = sum_k (R_k - R_{k-1}) P_k    over the distinct heats k, highest first
        P_k, R_k: precision and recall of {L >= k}; pixels of one heat enter together and share their precision

    maps (B, H, W), or a list of (H_b, W_b), any finite heats; regions: one per image, boxes (n_b, 4) in pixels or a mask
    (H, W) bool. Returns (B,) float32 in [0, 1], NaN where the image has no object pixel. Heats that agree in 16 bits are of one
    heat (`order`). Raises as `energy_game`, but a map may be negative: only its order counts.
    """
    values = []
    for L, objects in check_pairs(maps, regions):
        on, shown, found = cuts(L, region_masks(objects, L.shape[1:], L.device))
        precision = found.to(exact(L.device)) / shown
        AP = (precision * on).sum(1) / on.sum(1)  # 0 / 0 is NaN
        values.append(AP.float())
    return torch.cat(values)


def pooled_pixel_ap(maps: Tensor | Sequence[Tensor], regions: Sequence[Boxes]) -> float:
    """PxAP over the pixels of all images together (Choe et al. 2020, arXiv 2001.07437), for parity with other tables only.

        PxAP = sum_l P(t_l) (R(t_l) - R(t_{l+1})),    P, R of {L >= t} over all images,    t_l = 0, 0.001, ..., 0.999, 1

    The thresholds are those of the authors' code (clovaai/wsolevaluation), which gives percent and leaves pixels of doubt
    out; we have none. maps in [0, 1], regions: as `pixel_ap`. Returns a number in [0, 1]; images without an object pixel are
    left out, NaN if all are. Heats are compared between images, so this moves with contrast. Raises as `pixel_ap`, and ValueError
    for a map outside [0, 1].
    """
    edges = torch.cat([torch.arange(1000, dtype=torch.float64) * 0.001, torch.ones(1, dtype=torch.float64)])
    on, off = torch.zeros(2, len(edges), dtype=torch.int64)  # pixels of each bin [t_l, t_{l+1}), the last one [1, 1]
    for L, objects in check_pairs(maps, regions):
        check_unit(L)
        inside = region_masks(objects, L.shape[1:], L.device)
        L, inside = (v[inside.any(2).any(1)] for v in (L.to(exact(L.device)).clamp(0, 1), inside))
        bins = torch.bucketize(L, edges.to(L), right=True) - 1
        on += bins[inside].bincount(minlength=len(edges)).cpu()
        off += bins[~inside].bincount(minlength=len(edges)).cpu()
    found, shown = on.flip(0).cumsum(0).double(), (on + off).flip(0).cumsum(0).double()
    gain = on.flip(0).double()
    return float((gain * found / shown.clamp(min=1)).sum() / found[-1])
