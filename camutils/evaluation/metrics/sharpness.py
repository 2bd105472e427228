"""How sharp is a map, and how sharp can a power make it? Contrast as a number, so that it can be held equal.

A power L^gamma changes nothing about where a map points. What a power alone changes in a metric is contrast.
"""

import math

import torch
from torch import Tensor

from .forward import check_stack, check_unit
from .order import exact

STEPS = 40  # halvings of the range of log gamma: far below float32


def _area(L: Tensor) -> Tensor:
    """`effective_area` of maps (B, H, W) without checks, in their own type."""
    L = L.flatten(1) / L.amax((1, 2)).clamp(min=torch.finfo(L.dtype).tiny)[:, None]  # squares of small heats would vanish
    square = L.square().sum(1)
    return torch.where(square > 0, L.sum(1).square() / (L.shape[1] * torch.where(square > 0, square, 1)), 0)


def _unit(maps: Tensor) -> Tensor:
    L = check_stack(maps)
    check_unit(L)
    return L.clamp(0, 1)


def effective_area(maps: Tensor) -> Tensor:
    """Over which share of the picture is a map spread? 1: constant, k / P: k pixels of one heat; 0 for a map of zeros.

        (sum L)^2 / (P sum L^2),    P = H W    (the participation ratio)

    maps (B, H, W), L >= 0, finite -> (B,) float32. Multiplying a map changes nothing, a power above 1 makes it smaller.
    Raises TypeError, ValueError for other maps.
    """
    L = check_stack(maps)
    if float(L.min()) < 0:
        raise ValueError(f"a map reaches down to {float(L.min()):.3g}; accepted: L >= 0")
    return _area(L.to(exact(L.device))).float()


def sharpen(maps: Tensor, gamma: Tensor | float) -> Tensor:
    """A map's power: L^gamma. The order of the pixels stays, contrast rises with gamma > 1 and falls with gamma < 1.

    maps (B, H, W) in [0, 1]; gamma: a number above 0, or one for each map (B,). Returns maps of the same type.
    Raises TypeError, ValueError for maps outside [0, 1], or another gamma.
    """
    maps, powers = _unit(maps), torch.as_tensor(gamma)
    if tuple(powers.shape) not in ((), (len(maps),)) or not (powers.isfinite() & (powers > 0)).all():
        raise ValueError(f"gamma {gamma!r} for {len(maps)} maps; accepted: a finite number above 0, or one for each map")
    return maps ** (powers.to(maps).view(-1, 1, 1) if powers.ndim else float(powers))


def gamma_for_area(maps: Tensor, area: Tensor | float, low: float = 0.25, high: float = 8) -> Tensor:
    """The power that brings each map to an effective area: gamma with effective_area(L^gamma) = area, by halving log gamma.

        d log area / d log gamma = 2 gamma (E_gamma[log L] - E_2gamma[log L]) <= 0,    E_s: mean with weights L^s

    since E_s[log L] rises with s; so there is one gamma, or none. maps (B, H, W) in [0, 1]; area: a number in (0, 1], or (B,).
    Returns (B,) float32, NaN where no gamma in [low, high] reaches the area. Where every gamma does (a map of one heat on
    black), any is right. Raises TypeError, ValueError for other maps, areas, or unless 0 < low < high.
    """
    L = _unit(maps).to(exact(maps.device))
    wanted = torch.as_tensor(area).detach().to(L)
    if tuple(wanted.shape) not in ((), (len(L),)) or not ((wanted > 0) & (wanted <= 1)).all():
        raise ValueError(f"area {area!r} for {len(L)} maps; accepted: a number above 0, up to 1, or one for each map")
    if not 0 < low < high < math.inf:
        raise ValueError(f"gamma from {low} to {high}; accepted: 0 < low < high")
    first, last = (torch.full((len(L),), math.log(end)).to(L) for end in (low, high))

    def area_at(log_gamma: Tensor) -> Tensor:
        return _area(L ** log_gamma.exp().view(-1, 1, 1))

    grain = 1e-9  # of the area, so that an end itself is reached
    reached = (area_at(last) <= wanted * (1 + grain)) & (wanted <= area_at(first) * (1 + grain))
    for _ in range(STEPS):
        middle = (first + last) / 2
        wide = area_at(middle) > wanted
        first, last = torch.where(wide, middle, first), torch.where(wide, last, middle)
    return torch.where(reached, ((first + last) / 2).exp(), torch.nan).float()
