"""Resizing written out, so that a resized picture has the same bits on every machine.

One axis is resized at a time. Output pixel i of n looks at the input from `low` to `high` (in pixels; pixel j covers
j to j + 1, its middle is j + 1/2) and takes a weighted mean of the pixels j around its centre c_i:

    s = (high - low) / n        input pixels per output pixel        t = max(s, 1)
    c_i = low + (i + 1/2) s
    w_ij = f((j + 1/2 - c_i) / t),  f(x) = 0 for |x| >= r, and 0 outside the picture
    out_i = sum_j w_ij in_j / sum_j w_ij

    bilinear (r = 1):  f(x) = 1 - |x|
    bicubic  (r = 2):  f(x) = 1.5 |x|^3 - 2.5 |x|^2 + 1             for |x| < 1
                       f(x) = -0.5 (|x|^3 - 5 |x|^2 + 8 |x| - 4)    for 1 <= |x| < 2

At s > 1 the triangle or the cubic is stretched by t: a shrunk picture averages, it does not skip. `low` and `high` say
where the output lies, not what may be read: at the border a mean reaches beyond them, as far as the picture goes.

Order is everything here: a float sum depends on it, hence every sum is a loop over the taps (the j of one i, left to right)
of elementwise operations. Bytes are summed as integers with weights in units of 2^-22 and rounded to a byte after each of
the two passes, hence it matters too which pass is first. All of this is what Pillow 13 does, to the bit; Pillow up to 12
always takes the columns' pass first.
"""

from collections.abc import Callable
from functools import cache

import numpy as np

UNIT = 1 << 22  # weight 1 in fixed point: 255 * UNIT and a half still fit in 32 bits


def _triangle(x: np.ndarray) -> np.ndarray:
    """f of bilinear, x >= 0."""
    return np.where(x < 1, 1 - x, 0.0)


def _cubic(x: np.ndarray) -> np.ndarray:
    """f of bicubic, x >= 0."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _taps(length: int, low: int, high: int, size: int, f: Callable[[np.ndarray], np.ndarray],
          reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels of an axis of `length` each of `size` outputs reads, and how much of each.

    Returns where (size, taps) int64, inside the axis; weight (size, taps) float64, each row of sum 1. Outputs with fewer
    taps than others have weights 0 at the end of their row.
    """
    scale = (high - low) / size
    stretch = max(scale, 1.0)
    centre = low + (np.arange(size) + 0.5) * scale
    # pixels whose middle is within reach; astype cuts the fraction off, so + 0.5 rounds
    first = np.maximum((centre - reach * stretch + 0.5).astype(np.int64), 0)
    end = np.minimum((centre + reach * stretch + 0.5).astype(np.int64), length)
    where = first[:, None] + np.arange((end - first).max())
    weight = f(np.abs((where - centre[:, None] + 0.5) * (1 / stretch)))
    weight[where >= end[:, None]] = 0
    total = np.zeros(size)
    for tap in range(where.shape[1]):
        total = total + weight[:, tap]
    return np.minimum(where, length - 1), weight / total[:, None]


def _byte_pass(pixels: np.ndarray, where: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Resize the first axis of bytes, (n, m, 3) to (size, m, 3): integer sums, rounded to the nearest byte.

    No sum leaves 0..255: weights are >= 0, and their sum is UNIT to within half a unit per tap.
    """
    rows = pixels.reshape(len(pixels), -1)
    fixed = (weight * UNIT + 0.5).astype(np.int32)
    total = np.full((len(where), rows.shape[1]), UNIT // 2, np.int32)
    product = np.empty_like(total)
    for tap in range(where.shape[1]):
        np.multiply(rows.take(where[:, tap], axis=0), fixed[:, tap, None], out=product)
        total += product
    return (total >> 22).astype(np.uint8).reshape(len(where), *pixels.shape[1:])


def _turned(pixels: np.ndarray) -> np.ndarray:
    """(n, m, 3) -> (m, n, 3). Copied one colour at a time, which is several times as fast as three bytes here, three there."""
    turned = np.empty((pixels.shape[1], pixels.shape[0], 3), np.uint8)
    for colour in range(3):
        turned[..., colour] = pixels[..., colour].T
    return turned


def bilinear(pixels: np.ndarray, box: tuple[int, int, int, int], size: int) -> np.ndarray:
    """The part `box` of a picture, resized to a square: (size, size, 3) uint8.

    pixels: (H, W, 3) uint8; box: x0, y0, x1, y1 in whole pixels, half open. The pass over the columns is first, unless the
    picture is higher than `size` and its height exceeds `size` by more than twice as much as its width does.
    Raises ValueError for a box that is empty or not inside the picture.
    """
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ValueError(f"box {box} is empty or not inside a picture of width {width} and height {height}")
    columns, across = _taps(width, x0, x1, size, _triangle, 1)
    rows, down = _taps(height, y0, y1, size, _triangle, 1)
    left, top = columns.min(), rows.min()
    part = pixels[top : rows.max() + 1, left : columns.max() + 1]
    if height > size and height - size > 2 * (width - size):
        part = _byte_pass(part, rows - top, down)
        return _turned(_byte_pass(_turned(part), columns - left, across))
    part = _turned(_byte_pass(_turned(part), columns - left, across))
    return _byte_pass(part, rows - top, down)


@cache
def _cubic_taps(length: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    return _taps(length, 0, length, size, _cubic, 2)


def _float_pass(values: np.ndarray, where: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Resize the first axis of floats (n, m) to (size, m): sums in float64, the result rounded to float32."""
    products = weight[:, :, None] * values[where]  # (size, taps, m) float64
    total = np.zeros((len(where), values.shape[1]))
    for tap in range(where.shape[1]):
        total += products[:, tap]
    return total.astype(np.float32)


def bicubic(values: np.ndarray, size: int) -> np.ndarray:
    """A float picture, resized to a square: (H, W) float32 -> (size, size) float32; the columns' pass is first.

    Near an edge the result overshoots: the cubic has negative weights. Raises ValueError for a picture that is higher than
    `size`: not needed here, and then the order of the passes would matter.
    """
    height, width = values.shape
    if height > size:
        raise ValueError(f"bicubic only enlarges: height {height} to {size}")
    across = _float_pass(values.T, *_cubic_taps(width, size)).T
    return _float_pass(across, *_cubic_taps(height, size))
