"""placeholder: replaced on merging"""
from collections.abc import Callable, Sequence
from functools import partial
from math import isqrt

from torch import Tensor


def channels_last(out: Tensor) -> Tensor:
    return out.permute(0, 3, 1, 2)


def tokens(out: Tensor, grid: tuple[int, int]) -> Tensor:
    h, w = grid
    return out[:, out.shape[1] - h * w :].transpose(1, 2).unflatten(2, (h, w))


def _fits(h: int, w: int, size: Sequence[int]) -> bool:
    return abs(h * size[1] - w * size[0]) <= max(size)


def layout_of(shape: Sequence[int], size: Sequence[int], reshape: str | None = None) -> Callable[[Tensor], Tensor] | None:
    if len(shape) == 4 and (reshape == "channels_last" or (
            reshape is None and not _fits(shape[2], shape[3], size) and _fits(shape[1], shape[2], size))):
        return channels_last
    if len(shape) == 3 and reshape in (None, "tokens"):
        found = []
        for t in range(9):
            n = shape[1] - t
            h = isqrt(max(n, 0) * size[0] // size[1])
            if h and n % h == 0 and h * size[1] == (n // h) * size[0]:
                found.append((h, n // h))
        if len(found) == 1:
            return partial(tokens, grid=found[0])
    return None
