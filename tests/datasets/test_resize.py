"""Resizing: cases worked by hand, what must stay as it is, and Pillow's own results to the bit."""

import platform

import numpy as np
import PIL
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from camutils.datasets.resize import _cubic, _taps, _triangle, bicubic, bilinear

PILLOW = int(PIL.__version__.split(".")[0])
X86 = platform.machine() in ("x86_64", "AMD64")  # elsewhere Pillow's compiler may round a product and a sum as one
known = pytest.mark.skipif(not 11 <= PILLOW <= 13, reason="Pillow's arithmetic is known to us from 11 to 13")


def grey(rows):
    """A grey picture (H, W, 3) uint8 from a list of rows."""
    return np.repeat(np.array(rows, np.uint8)[..., None], 3, axis=2)


def rows_first(shape, size):
    """The rule of `bilinear` and of Pillow 13 for the order of the passes."""
    return shape[0] > size and shape[0] - size > 2 * (shape[1] - size)


@st.composite
def pictures(draw):
    """A picture (H, W, 3) uint8 of random bytes, or of random 0 and 255; a box in it; a size."""
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    box = x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if draw(st.booleans()):
        pixels = np.where(pixels < 128, 0, 255).astype(np.uint8)
    return pixels, box, draw(st.integers(1, 60))


def test_two_pixels_to_one():
    """Their mean; a half is rounded up: (0 + 101) / 2 -> 51."""
    assert np.array_equal(bilinear(grey([[10, 30]]), (0, 0, 2, 1), 1), grey([[20]]))
    assert np.array_equal(bilinear(grey([[0, 101], [0, 101]]), (0, 0, 2, 2), 1), grey([[51]]))


def test_three_pixels_to_one():
    """Centre 1.5, distances 1, 0, 1 of a triangle three wide: weights 2/3, 1, 2/3, that is 2/7, 3/7, 2/7."""
    assert np.array_equal(bilinear(grey([[7, 14, 28]]), (0, 0, 3, 1), 1), grey([[16]]))


def test_one_pixel_to_two_and_two_to_four():
    """Enlarged: the straight line between two middles, constant beyond the outer ones."""
    assert np.array_equal(bilinear(grey([[9]]), (0, 0, 1, 1), 2), grey([[9, 9], [9, 9]]))
    assert np.array_equal(bilinear(grey([[0, 100]]), (0, 0, 2, 1), 4)[0], grey([[0, 25, 75, 100]])[0])


def test_reads_beyond_the_box():
    """The left half of 0 0 | 70 80 to one pixel: centre 1, a triangle four wide reaches to 3, weights 3 : 3 : 1."""
    where, weight = _taps(4, 0, 2, 1, _triangle, 1)
    assert where.tolist() == [[0, 1, 2]] and np.allclose(weight, [[3 / 7, 3 / 7, 1 / 7]])
    assert np.array_equal(bilinear(grey([[0, 0, 70, 80]]), (0, 0, 2, 1), 1), grey([[10]]))


def test_order_of_the_passes():
    """The columns' pass is first, so a turned picture gives other bytes; for a picture high enough it is second."""
    square = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    straight = bilinear(square, (0, 0, 60, 60), 20).astype(int)
    turned = bilinear(square.swapaxes(0, 1), (0, 0, 60, 60), 20).swapaxes(0, 1)
    assert not rows_first((60, 60), 20) and np.abs(straight - turned).max() == 1
    high = np.random.default_rng(0).integers(0, 256, (90, 30, 3), dtype=np.uint8)
    turned = bilinear(high.swapaxes(0, 1), (0, 0, 90, 30), 20).swapaxes(0, 1)
    assert rows_first((90, 30), 20) and np.array_equal(bilinear(high, (0, 0, 30, 90), 20), turned)


@given(pictures())
def test_identity_and_constant(case):
    pixels, box, size = case
    x0, y0, x1, y1 = box
    side = min(x1 - x0, y1 - y0)
    square = x0, y0, x0 + side, y0 + side
    assert np.array_equal(bilinear(pixels, square, side), pixels[y0 : y0 + side, x0 : x0 + side])
    constant = np.full_like(pixels, pixels[0, 0])
    assert np.array_equal(bilinear(constant, box, size), np.full((size, size, 3), pixels[0, 0]))


@known
@settings(max_examples=300, deadline=None)
@given(pictures())
def test_bilinear_is_pillows(case):
    """Up to Pillow 12 the columns' pass is always first."""
    pixels, box, size = case
    assume(PILLOW >= 13 or not rows_first(pixels.shape, size))
    theirs = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR, box=box))
    assert np.abs(bilinear(pixels, box, size).astype(int) - theirs).max() <= (0 if X86 else 1)


@known
@pytest.mark.parametrize("size", range(24, 44))
def test_bicubic_is_pillows(size):
    rng = np.random.default_rng(size)
    for _ in range(20):
        values = (rng.integers(0, 17, (8, 8)) / 16).astype(np.float32)
        theirs = np.asarray(Image.fromarray(values).resize((size, size), Image.Resampling.BICUBIC))
        ours = bicubic(values, size)
        assert ours.dtype == np.float32 and np.abs(ours - theirs).max() <= (0 if X86 else 1e-6)


@known
@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 30), st.integers(0, 2**32))
def test_bicubic_is_pillows_on_any_floats(height, width, more, seed):
    values = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    size = height + more
    theirs = np.asarray(Image.fromarray(values).resize((size, size), Image.Resampling.BICUBIC))
    assert np.abs(bicubic(values, size) - theirs).max() <= (0 if X86 else 1e-5)


def test_bicubic_by_hand():
    """0 1 to four: f(1/4) = 111/128, f(5/4) = -9/128, so the first is -9 / (111 - 9); f(3/4) = 29/128, 29 / (111 + 29)."""
    assert np.allclose(_cubic(np.array([0, 0.25, 0.75, 1, 1.25, 2])) * 128, [128, 111, 29, 0, -9, 0], atol=1e-13)
    row = np.array([[0, 1]], np.float32)
    assert np.allclose(bicubic(row, 4), [[-3 / 34, 29 / 140, 1 - 29 / 140, 1 + 3 / 34]] * 4, atol=1e-7)


def test_bicubic_identity_and_constant():
    values = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    assert np.array_equal(bicubic(values, 8), values)
    assert np.allclose(bicubic(np.full((8, 8), 0.75, np.float32), 31), 0.75, atol=1e-6)


@pytest.mark.parametrize("box", [(0, 0, 5, 3), (-1, 0, 2, 2), (2, 1, 2, 3), (0, 0, 4, 4), (3, 0, 1, 2)])
def test_boxes_outside(box):
    with pytest.raises(ValueError, match="empty or not inside a picture of width 4 and height 3"):
        bilinear(np.zeros((3, 4, 3), np.uint8), box, 2)


def test_bicubic_only_enlarges():
    with pytest.raises(ValueError, match="height 8 to 7"):
        bicubic(np.zeros((8, 8), np.float32), 7)
