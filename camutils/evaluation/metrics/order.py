"""The order of a map's pixels: how many are hotter, which are tied. No rising function of the heats changes it.

Heats that agree in 16 bits are tied here: an enlarged map has plateaux, whose pixels rounding would order, on every machine
otherwise. The grain is relative to each heat, 1 in 65536, so that it survives powers of the map; one of fixed size would not.
"""

import torch
from torch import Tensor

from .forward import check_stack

BITS = 16


def exact(device: torch.device) -> torch.dtype:
    """float64 where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def grained(maps: Tensor) -> Tensor:
    """Every heat rounded to BITS bits of its own size; the order is kept, what differs by rounding becomes equal.

        L = m 2^e, 1/2 <= |m| < 1   ->   round(2^BITS m) 2^(e - BITS)
    """
    m, e = torch.frexp(maps.to(torch.promote_types(maps.dtype, torch.float32)))
    return torch.ldexp((m * 2**BITS).round(), e - BITS)


def cuts(maps: Tensor, inside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Every pixel, hottest first, as a cut {heat >= its own}: is it object, how many pixels has the cut, how many are object?

    maps (B, H, W), inside (B, H, W) bool -> on (B, P) bool, shown and found (B, P) int64, found <= shown <= P = H W pixels.
    Tied pixels enter together: they have the same shown and found.
    """
    cold, order = (-grained(maps)).flatten(1).sort(1)
    on = inside.flatten(1).gather(1, order)
    shown = torch.searchsorted(cold, cold, right=True)
    return on, shown, on.cumsum(1).gather(1, shown - 1)


class Places:
    """Where every pixel stands in its map's order: `above`, pixels that are hotter, `tied`, as hot, itself counted; (B, H, W)."""

    def __init__(self, maps: Tensor):
        heat = grained(maps).flatten(1).contiguous()
        rising = heat.sort(1).values
        below, upto = (torch.searchsorted(rising, heat, right=right) for right in (False, True))
        self.above, self.tied = (heat.shape[1] - upto).view_as(maps), (upto - below).view_as(maps)

    def top(self, share: float) -> Tensor:
        """The hottest `share` of the pixels as weights (B, H, W) in [0, 1], see `top_area`."""
        wanted = share * self.above[0].numel()
        return ((wanted - self.above.to(exact(self.above.device))) / self.tied).clamp(0, 1).float()


def top_area(maps: Tensor, share: float) -> Tensor:
    """Show the hottest `share` of every map: weights (B, H, W) in [0, 1], whose sum is exactly share H W.

        w = min(1, max(0, (share H W - above) / tied)),    above, tied: how many pixels are hotter, and as hot

    1 on the hottest pixels, 0 on the rest; pixels tied at the cut share what is left, so no order of pixels decides.
    maps (B, H, W), any finite heats; share in [0, 1]. float32. Raises TypeError, ValueError for other maps or shares.
    """
    place = Places(check_stack(maps))
    if not 0 <= share <= 1:
        raise ValueError(f"share {share} given; accepted: 0 to 1, a part of the picture's area")
    return place.top(share)
