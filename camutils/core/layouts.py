"""How a layer's output is a map (B, K, h, w) of its picture: as it is, channels last, or as a row of tokens.

    (B, K, h, w)        what convolutions put out              (B, h, w, K)   channels last: Swin, the inside of ConvNeXt
    (B, t + h w, K)     tokens, t of them before the picture's own (ViT: one, the class token)

Convolutions shrink a picture by the same factor both ways, so a grid h x w fits a picture H x W where h / w is H / W up to the
rounding of one cell; of a square picture only square grids do.
"""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

Arrange = Callable[[Tensor], Tensor]
FIRST = 8  # tokens before the picture's own, at most: class, distillation, registers
USUAL = 5  # a class token and four registers: what has more counts only where nothing else fits


def channels_last(out: Tensor) -> Tensor:
    """(B, h, w, K) -> (B, K, h, w)."""
    return out.permute(0, 3, 1, 2)


def tokens(out: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, t + h w, K) -> (B, K, h, w): the first t tokens are left out."""
    h, w = grid
    return out[:, out.shape[1] - h * w :].transpose(1, 2).unflatten(2, (h, w))


def fits(h: int, w: int, size: Sequence[int]) -> bool:
    """Can h x w be the grid of a picture of `size` (H, W) pixels?"""
    H, W = size
    return h == w if H == W else abs(h * W - w * H) <= max(H, W)


def token_grids(count: int, size: Sequence[int]) -> list[tuple[int, int]]:
    """The grids (h, w) that so many tokens of a picture (H, W) may be, count = t + h w, the one with the fewest t first."""
    H, W = size
    found: dict[int, tuple[int, int]] = {}
    for t in range(FIRST + 1):
        for h in range(2, count + 1):
            w = round(h * W / H)
            if h * w == count - t and h * W == w * H:
                found[t] = (h, w)
    usual = [grid for t, grid in found.items() if t <= USUAL]
    return usual or list(found.values())


def layout_of(shape: Sequence[int], size: Sequence[int], reshape: str | None = None) -> Arrange | None:
    """The function that makes a map of an output of this shape, None where it is one already, or where no map can be told.

    shape: of the layer's output, batch first; size: (H, W) of the pictures. reshape: "channels_last" or "tokens" where the caller
    says so, of several grids that with the fewest tokens before it; None: channels last only where the first reading does not fit
    the picture and the last one does, tokens only where one grid fits.
    """
    if len(shape) == 4:
        last = not fits(shape[2], shape[3], size) and fits(shape[1], shape[2], size)
        return channels_last if reshape == "channels_last" or (reshape is None and last) else None
    if len(shape) == 3 and reshape in (None, "tokens"):
        grids = token_grids(shape[1], size)
        if len(grids) == 1 or (grids and reshape == "tokens"):
            return partial(tokens, grid=grids[0])
    return None


def map_shape(shape: Sequence[int], size: Sequence[int], reshape: str | None = None) -> tuple[int, int, int] | None:
    """(K, h, w) of a layer's output, None where it is no map with more than 1 x 1 cells. Arguments: as `layout_of`."""
    arrange = layout_of(shape, size, reshape)
    if arrange is channels_last:
        K, h, w = shape[3], shape[1], shape[2]
    elif arrange is not None:
        (h, w), K = arrange.keywords["grid"], shape[2]  # type: ignore[attr-defined]  # a partial of `tokens`
    elif len(shape) == 4:
        K, h, w = shape[1:]
    else:
        return None
    return (K, h, w) if h * w > 1 else None
