"""Is there a cut at which the map is the object? Best overlap per map, and MaxBoxAcc, its counterpart over a data set.

`best_iou` gives every map its own cut, so no rising function moves it. MaxBoxAcc has one threshold for all images: it compares
heats between images, and moves with contrast.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from ...extras import extra
from .forward import check_unit
from .location import Boxes, check_boxes, check_pairs, region_masks
from .order import cuts, exact

THRESHOLDS = tuple(level / 255 for level in range(1, 256))  # all that the authors' code can tell apart: it makes heats bytes
CONTOURS = ("largest", "all")


def best_iou(maps: Tensor | Sequence[Tensor], regions: Sequence[Boxes]) -> Tensor:
    """The largest overlap with the object's pixels that any cut through the map reaches: 1 is perfect.

        max_t |{L >= t} and object| / |{L >= t} or object|    over all heats t of the map; tied pixels enter together

    maps, regions: as `pixel_ap`. Returns (B,) float32 in [0, 1], NaN where the image has no object pixel. A constant map has the
    object's share of the image. Raises as `pixel_ap`.
    """
    values = []
    for L, objects in check_pairs(maps, regions):
        inside = region_masks(objects, L.shape[1:], L.device)
        _, shown, found = cuts(L, inside)
        size = inside.sum((1, 2))
        IoU = (found.to(exact(L.device)) / (size[:, None] + shown - found)).amax(1)
        values.append(torch.where(size > 0, IoU, torch.nan).float())
    return torch.cat(values)


def max_box_accuracy(maps: Tensor | Sequence[Tensor], boxes: Sequence[Boxes], iou: float | Sequence[float] = 0.5,
                     thresholds: Sequence[float] = THRESHOLDS, contours: str = "largest") -> float:
    """MaxBoxAcc: share of images whose box is found, at the one threshold that is best for all (Choe et al. 2020).

        max_t mean_b 1[max over boxes of IoU(box of the component of {L_b >= t}, box) >= iou]

    Version 1 (CVPR, arXiv 2001.07437): one iou, the tightest box of the *largest* connected component. Version 2 (extended,
    arXiv 2007.04178): iou=(0.3, 0.5, 0.7), contours="all" (any component may hit), mean over the three, each at its own best t.
    maps in [0, 1] (B, H, W) or a list of (H_b, W_b); boxes: one (n_b, 4) per image; images without any are left out, NaN if all
    are. Pixels touch also across corners. The authors' code (clovaai/wsolevaluation) makes boxes one pixel wider, measures
    components by the area inside their outline and counts holes as components too; we count pixels. On the CPU (scipy).
    Raises TypeError, ValueError for other maps, boxes, thresholds, contours, or an iou outside (0, 1].
    """
    wanted = [iou] if isinstance(iou, int | float) else list(iou)
    if not wanted or not all(0 < i <= 1 for i in wanted):
        raise ValueError(f"iou {iou!r} given; accepted: above 0, up to 1, one or several")
    if not len(thresholds) or not all(0 < t <= 1 for t in thresholds):
        raise ValueError(f"thresholds {list(thresholds)[:5]} given; accepted: above 0, up to 1, one or more")
    if contours not in CONTOURS:
        raise ValueError(f"contours {contours!r}; accepted: {', '.join(CONTOURS)}")
    best: list[Tensor] = []  # per image the best IoU at each threshold
    for stack, objects in check_pairs(maps, boxes):
        check_unit(stack)
        heats = stack.cpu().to(torch.promote_types(stack.dtype, torch.float32)).numpy()  # a threshold is of the heats' own type
        for L, given in zip(heats, objects, strict=True):
            known = check_boxes(given)
            if len(known):
                found = [component_boxes(L >= t, contours == "largest") for t in thresholds]
                best.append(torch.stack([box_iou(f, known).amax() if len(f) else torch.zeros(()).double() for f in found]))
    if not best:
        return float("nan")
    hits = [(torch.stack(best) >= i).double().mean(0).amax() for i in wanted]
    return float(torch.stack(hits).mean())


def component_boxes(shown: np.ndarray, largest: bool) -> Tensor:
    """Tightest boxes x0 y0 x1 y1, half open, of the connected components of a mask (H, W): (n, 4) float64; of the largest only.

    Of several largest ones the first counts, row by row.
    """
    ndimage = extra("scipy.ndimage", "scipy")
    parts, count = ndimage.label(shown, structure=[[1, 1, 1]] * 3)
    spans = [[x.start, y.start, x.stop, y.stop] for y, x in ndimage.find_objects(parts)]
    if largest and count:
        sizes = torch.as_tensor(parts.ravel()).bincount()[1:]
        spans = [spans[int(sizes.argmax())]]
    return torch.tensor(spans, dtype=torch.float64).view(-1, 4)
