"""The multi-scale fusion +M: the map of a small picture, refined by what the maps of larger copies of it see in detail.

A function of any method: `multi_scale(grad_cam, model, images)` is Grad-CAM+M. Derived in notebooks/22_multi_scale.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, product
from numbers import Real
from typing import Any, NamedTuple

from torch import Tensor, nn, stack, where
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate, pad

from ...core.layers import Layer
from ...core.maps import Method, normalise, upsample
from ...core.network import as_network, take_how
from ...core.probe import check_images, predict
from ...core.targets import Targets, fixed

SCALES = tuple(side / 224 for side in range(224, 825, 100))  # the paper's 224, 324, ..., 824 for pictures of 224
POOLINGS = ("grid", "released", "previous")
RATIOS = ("bounded", "plain", "root", "regularised", "gate", "mean")


class Level(NamedTuple):
    """One scale: its factor; A (B,h,w) the raw map there; Q (B,H,W) its ratio, unused at the first; F, R (B,H,W) after."""

    scale: float
    A: Tensor
    Q: Tensor
    F: Tensor
    R: Tensor


def check_scales(scales: Iterable[float], pooling: str, ratio: str | None) -> tuple[float, ...]:
    """The scales as floats; TypeError or ValueError for what is not accepted."""
    given: list[Any] = list(scales) if isinstance(scales, Iterable) and not isinstance(scales, str) else [None]
    if not all(isinstance(s, Real) and not isinstance(s, bool) for s in given):
        raise TypeError(f"scales are {scales!r}; accepted: factors of the image size, such as (1, 1.5, 2)")
    found = tuple(map(float, given))
    if not found or not (1 <= found[0] and found[-1] <= 16 and all(low < high for low, high in pairwise(found))):
        raise ValueError(f"scales {scales!r}; accepted: rising factors from 1 to 16, such as (1, 1.5, 2)")
    if pooling not in POOLINGS:
        raise ValueError(f"pooling {pooling!r}; accepted: {', '.join(POOLINGS)}")
    if ratio is not None and ratio not in RATIOS:
        raise ValueError(f"ratio {ratio!r}; accepted: {', '.join(RATIOS)}")
    return found


def enlarge(images: Tensor, scale: float) -> Tensor:
    """The images (B,C,H,W), bilinear, `scale` times as high and wide (rounded to whole pixels), aspect kept."""
    size = [round(n * scale) for n in images.shape[-2:]]
    return images if scale == 1 else interpolate(images, size=size, mode="bilinear", align_corners=False)


def coarse(A: Tensor) -> Tensor:
    """Up(AvgPool 2x2 A): means of 2 x 2 cells, back on the grid of A (B,h,w).

    An odd side is no row of pairs. Our reading: pair its cells from the first one on and from the last one on, count the cell
    that is left over twice, and take the mean of both P. Away from the border this weighs the cells along an odd side by
    (1, 4, 6, 4, 1) / 16. So a constant stays itself, a mirrored A gives the mirrored P, and A / P <= 64/9 on any grid (A >= 0).
    """
    (h, w), found = A.shape[-2:], []
    for top, left in product(range(h % 2 + 1), range(w % 2 + 1)):
        whole = pad(A[:, None], (left, w % 2 - left, top, h % 2 - top), mode="replicate")[:, 0]
        P = upsample(avg_pool2d(whole, 2), whole.shape[-2:])
        found.append(P[:, top:top + h, left:left + w])
    return stack(found).mean(0)


def ratio_of(A: Tensor, P: Tensor, ratio: str) -> Tensor:
    """What the detail A tells beyond its coarse version P, (B,h,w), 0 where P is 0.

        plain  Q = A / P     bounded  min(A / P, 1)     root  sqrt(A / P)     gate  1 where A > 0
        regularised  (A + e) / (P + e) with e = max A / 5 of each map
    """
    if ratio == "regularised":
        e = A.amax((1, 2), keepdim=True) / 5
        A, P = A + e, P + e
    if ratio == "gate":
        return (A > 0).to(A.dtype)
    Q = where(P > 0, A / where(P > 0, P, 1), 0)
    return {"bounded": Q.clamp(max=1), "root": Q.clamp(min=0).sqrt()}.get(ratio, Q)


def levels(method: Method, model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *,
           scales: Iterable[float] = SCALES, pooling: str = "grid", ratio: str | None = None, **options: Any) -> Iterator[Level]:
    """The fusion scale by scale, smallest first: `Level`s. Arguments and errors: as `multi_scale`."""
    scales, ratio = check_scales(scales, pooling, ratio), ratio or ("plain" if pooling == "released" else "bounded")
    if options.get("relu") is False and ratio != "mean":
        raise ValueError(f"relu=False with ratio {ratio!r}; accepted: 'mean', since ratios of maps with two signs say nothing")
    how = take_how(options)
    model = as_network(model, **how) if how else model
    return _levels(method, model, check_images(images), targets, layer, scales, pooling, ratio, options)


def _levels(method: Method, model: nn.Module, images: Tensor, targets: Targets, layer: Layer, scales: Iterable[float],
            pooling: str, ratio: str, options: dict[str, Any]) -> Iterator[Level]:
    if targets is None:  # the class of the image itself, at every scale
        targets = fixed(predict(model, images), None)
    maps = ((s, method(model, enlarge(images, s), targets, layer, raw=True, **options)) for s in scales)
    return refine(maps, images.shape[-2:], pooling, ratio)


def refine(maps: Iterable[tuple[float, Tensor]], size: Sequence[int], pooling: str = "grid",
           ratio: str = "bounded") -> Iterator[Level]:
    """The fusion itself: (scale, raw map (B,h,w)) smallest first -> `Level`s, F and R at `size` (H, W). As `multi_scale` says."""
    F: Tensor | None = None
    R: Tensor | None = None
    grid: tuple[int, int] | None = None
    for scale, A in maps:
        full = upsample(A, size)
        fine = full if pooling == "released" else A
        if pooling == "previous" and grid is not None:
            P = upsample(adaptive_avg_pool2d(A, grid), A.shape[-2:])
        else:
            P = coarse(fine)
        Q = upsample(ratio_of(fine, P, ratio), size)
        F = full if F is None or ratio == "mean" else Q * F
        R, grid = F if R is None else R + F, (A.shape[-2], A.shape[-1])
        yield Level(scale, A, Q, F, R)


def multi_scale(method: Method, model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *,
                raw: bool = False, scales: Iterable[float] = SCALES, pooling: str = "grid", ratio: str | None = None,
                **options: Any) -> Tensor:
    """Refine a method's map by its maps of enlarged images: any method +M (KSII TIIS 19(4), 1122-1139, 2025).

        F = R = Up L(1);   for s > 1:  A = L(s),  P = Up(AvgPool2x2 A),  Q = A / P,  F <- Up Q * F,  R <- R + F;   N(R)

    L(s) is the method's raw map of the image enlarged s times; F, R at the image's size. images (B, 3, H, W) -> heat map
    (B, H, W) in [0, 1]; raw=True: R. method: a function with the common signature; options go to it. scales: rising factors,
    the first one the base; default 1 to 3.7, the paper's 224 to 824 pixels. A single scale is the method itself.
    pooling   grid       on the map's own grid, where 2 x 2 cells are a detail       previous  to the grid of the scale before
              released   after the resize to the image, as the authors' code: P is nearly A there, Q nearly 1
    ratio     bounded    min(Q, 1): detail only takes away, the default on a grid; plain Q (default for released), root,
              regularised, gate (`ratio_of`); mean: no ratio at all, R = sum_s Up L(s), the control that only sees more pixels
    What they do to a map is shown in notebooks/22_multi_scale. targets=None: the arg max at scale 1.
    layer=None: the method's own, found at every scale; in a network so deep that its last map is 1 x 1 at scale 1 and larger
    at the others these are several layers, so name one there (`gig_cam_m` takes that of scale 1 everywhere).
    Raises ValueError, TypeError as the method does, and for values of options that are not accepted.
    """
    for level in levels(method, model, images, targets, layer, scales=scales, pooling=pooling, ratio=ratio, **options):
        R = level.R
    return R if raw else normalise(R).float()
