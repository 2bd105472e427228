"""From original pixels to the network's input and back: an exact hand case, a plain loop, round trips, torch's own resize."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from camutils.datasets import Geometry, resize_and_crop
from camutils.datasets.photos import to_input

SIZES = st.tuples(st.integers(20, 90), st.integers(20, 90))


def slow_restore(geometry, M):
    """Pixel by pixel: where the original pixel's centre lies in the crop, its four neighbours there."""
    (H, W), (H_, W_), (top, left, h, w) = geometry
    L = torch.zeros(H, W, dtype=M.dtype)
    for v in range(H):
        for u in range(W):
            y, x = (v + 0.5) * H_ / H - top, (u + 0.5) * W_ / W - left
            if not (0 <= y < h and 0 <= x < w):
                continue
            y, x = min(max(y - 0.5, 0), h - 1), min(max(x - 0.5, 0), w - 1)
            y0, x0 = int(y), int(x)
            y1, x1, a, b = min(y0 + 1, h - 1), min(x0 + 1, w - 1), y - y0, x - x0
            L[v, u] = (1 - a) * ((1 - b) * M[y0, x0] + b * M[y0, x1]) + a * ((1 - b) * M[y1, x0] + b * M[y1, x1])
    return L


def test_the_hand_case():
    """4 x 8 pixels, halved to 2 x 4, the middle 2 x 2 of them kept: original columns 2 to 5 are inside."""
    geometry = Geometry((4, 8), (2, 4), (0, 1, 2, 2))
    M = torch.tensor([[0.0, 4.0], [8.0, 12.0]])
    inside = torch.tensor([[0, 1, 3, 4], [2, 3, 5, 6], [6, 7, 9, 10], [8, 9, 11, 12.0]])
    expected = torch.zeros(4, 8)
    expected[:, 2:6] = inside
    assert torch.equal(geometry.restore(M), expected)
    boxes = torch.tensor([[2, 0, 6, 4], [3, 1, 5, 2], [0, 0, 2, 4], [0, 1, 8, 3]])
    forward = torch.tensor([[0, 0, 2, 2], [0.5, 0.5, 1.5, 1], [0, 0, 0, 2], [0, 0.5, 2, 1.5]], dtype=torch.float64)
    assert torch.equal(geometry.to_input(boxes), forward)
    back = torch.tensor([[2, 0, 6, 4], [3, 1, 5, 2], [2, 0, 2, 4], [2, 1, 6, 3]], dtype=torch.float64)
    assert torch.equal(geometry.to_original(forward), back)


@settings(max_examples=15, deadline=None)
@given(SIZES, st.integers(24, 40), st.integers(8, 24), st.integers(0, 9))
def test_restore_equals_the_plain_loop(size, resize, crop, seed):
    geometry = resize_and_crop(size, resize, crop)
    M = torch.rand(crop, crop, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(geometry.restore(M), slow_restore(geometry, M), atol=1e-12)


def test_without_a_crop_restore_is_torch_interpolate():
    M = torch.rand(2, 3, 20, 30, dtype=torch.float64)
    geometry = Geometry((47, 61), (20, 30), (0, 0, 20, 30))
    assert torch.allclose(geometry.restore(M), interpolate(M, (47, 61), mode="bilinear", align_corners=False), atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(SIZES, st.integers(24, 60), st.integers(8, 24), st.lists(st.floats(-10, 100), min_size=4, max_size=4))
def test_boxes_forward_and_back_are_the_box_inside_the_crop(size, resize, crop, numbers):
    geometry = resize_and_crop(size, resize, crop)
    box = torch.tensor([[*sorted(numbers[::2]), *sorted(numbers[1::2])]], dtype=torch.float64)[:, [0, 2, 1, 3]]
    visible = geometry.to_original(torch.tensor([[0, 0, crop, crop]]))[0]
    clipped = torch.maximum(torch.minimum(box, visible[[2, 3, 2, 3]]), visible[[0, 1, 0, 1]])
    assert torch.allclose(geometry.to_original(geometry.to_input(box)), clipped, atol=1e-9)


@pytest.mark.parametrize("size", [(60, 90), (91, 47), (256, 256), (333, 500), (70, 200)])
def test_geometry_is_where_the_pixels_of_to_input_come_from(size):
    """An image whose red is its row and green its column: after `to_input` and `restore` every inside pixel is itself."""
    H, W = size
    row, column = np.mgrid[:H, :W]
    ramp = np.stack([row * 255 / (H - 1), column * 255 / (W - 1), 0 * row], 2).round().astype(np.uint8)
    geometry = resize_and_crop(size)
    back = geometry.restore(to_input(ramp)) * 255
    inside = geometry.restore(torch.ones(224, 224)) > 0
    steady = inside[None] & (torch.from_numpy(ramp).permute(2, 0, 1) > 8) & (torch.from_numpy(ramp).permute(2, 0, 1) < 247)
    apart = (back - torch.from_numpy(ramp).permute(2, 0, 1)).abs()
    assert steady.sum() > H * W / 2
    assert apart[steady].max() < 2  # two of 255 levels; a shift by one pixel of 60 would be four


def test_a_peak_comes_back_to_its_own_place():
    """A box drawn in the original, seen on the input through `to_input`, holds the same peak there as after `restore`."""
    geometry = resize_and_crop((300, 450))
    x0, y0, x1, y1 = geometry.to_input(torch.tensor([[200, 100, 230, 140]]))[0].round().int().tolist()
    M = torch.zeros(224, 224)
    M[(y0 + y1) // 2, (x0 + x1) // 2] = 1
    peak = geometry.restore(M).argmax().item()
    assert abs(peak // 450 - 120) <= 2 and abs(peak % 450 - 215) <= 2


def test_zero_outside_the_crop_and_identity_without_one():
    geometry = resize_and_crop((100, 300))
    inside = geometry.restore(torch.ones(224, 224))
    assert set(inside.unique().tolist()) == {0, 1}
    assert inside.sum() == pytest.approx((100 * 224 / 256) ** 2, rel=0.05)
    M = torch.rand(96, 96)
    assert torch.equal(Geometry((96, 96), (96, 96), (0, 0, 96, 96)).restore(M), M)


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match=r"\(7, 7\).*\(224, 224\)"):
        resize_and_crop((300, 400)).restore(torch.ones(7, 7))
    with pytest.raises(ValueError, match="crop 224.*larger"):
        resize_and_crop((300, 400), 200)
    assert resize_and_crop((300, 400), (224, 224)).crop == (0, 0, 224, 224)
