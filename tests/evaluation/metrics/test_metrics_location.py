"""Pointing game, energy game, boxes: hand-worked values, the plain definition as oracle, properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from camutils.evaluation.metrics import box_mask, box_share, centre_map, class_mean, energy_game, pointing_game

quick = settings(max_examples=40, deadline=None, database=None, derandomize=True)


def at(row, column, size=(60, 60)):
    """A map whose only highest point is (row, column)."""
    L = torch.zeros(size)
    L[row, column] = 1
    return L


def plain_pointing(L, boxes, tolerance):
    """The definition, pixel by pixel."""
    mask, (H, W) = box_mask(boxes, L.shape), L.shape
    row, column = divmod(int(L.argmax()), W)
    if not mask.any():
        return math.nan
    inside = [math.hypot(i - row, j - column) for i in range(H) for j in range(W) if mask[i, j]]
    return float(min(inside) < tolerance or min(inside) == 0)


@st.composite
def boxes_in(draw, size, least=0):
    H, W = size
    boxes = []
    for _ in range(draw(st.integers(least, 3))):
        x0, y0 = draw(st.integers(0, W - 1)), draw(st.integers(0, H - 1))
        boxes.append([x0, y0, draw(st.integers(x0 + 1, W)), draw(st.integers(y0 + 1, H))])
    return torch.tensor(boxes).reshape(-1, 4)


@pytest.mark.parametrize("row, column, hit", [
    (25, 25, 1), (25, 43, 1), (25, 44, 0),  # the box's last column is 29: 14 px outside, 15 px
    (6, 25, 1), (5, 25, 0), (43, 20, 1), (44, 20, 0), (25, 6, 1), (25, 5, 0),
    (38, 41, 0), (38, 40, 1)])  # corner (29, 29): 9² + 12² = 225, 9² + 11² = 202
def test_tolerance_is_strict(row, column, hit):
    assert pointing_game(at(row, column)[None], [torch.tensor([[20, 20, 30, 30]])]).tolist() == [hit]


@pytest.mark.parametrize("row, column, hit", [(20, 20, 1), (29, 29, 1), (30, 29, 0), (29, 30, 0), (19, 20, 0)])
def test_tolerance_zero_asks_for_the_pixel_itself(row, column, hit):
    assert pointing_game(at(row, column)[None], [torch.tensor([[20, 20, 30, 30]])], 0).tolist() == [hit]


def test_no_box_is_skipped():
    boxes = [torch.zeros(0, 4), [], [[70, 70, 80, 80]], [[-9, 0, -2, 5]], torch.tensor([[3.6, 3, 4.4, 4]]), [[0, 0, 1, 1]]]
    maps = at(0, 0).repeat(6, 1, 1)
    for game in (pointing_game, energy_game):
        values = game(maps, boxes)
        assert values.isnan().tolist() == [True] * 5 + [False] and values[5] == 1


def test_constant_map_points_nowhere():
    maps = torch.stack([torch.zeros(8, 8), torch.full((8, 8), 0.3)])
    assert pointing_game(maps, [[[0, 0, 8, 8]]] * 2).tolist() == [0, 0]
    assert_close(energy_game(maps, [[[0, 0, 4, 8]]] * 2), torch.tensor([0, 0.5]))


def test_first_of_several_highest_points():
    L = torch.zeros(1, 4, 4)
    L[0, 1, 3] = L[0, 2, 0] = 1
    assert pointing_game(L, [[[3, 1, 4, 2]]], 0).item() == 1 and pointing_game(L, [[[0, 2, 1, 3]]], 0).item() == 0


def test_energy_by_hand():
    L = torch.arange(16.0).view(1, 4, 4)  # rows 0..3, 4..7, 8..11, 12..15; sum 120
    assert_close(energy_game(L, [[[1, 1, 3, 3]]]), torch.tensor([(5 + 6 + 9 + 10) / 120]))
    assert_close(energy_game(L, [[[1, 1, 3, 3], [2, 2, 4, 4]]]), torch.tensor([(30 + 11 + 14 + 15) / 120]))  # 10 counts once
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[3, 3] = mask[0, 1] = True
    assert_close(energy_game(L.repeat(2, 1, 1), [mask, [[0, 0, 4, 1]]]), torch.tensor([16 / 120, 6 / 120]))


def test_box_mask_and_share():
    assert box_mask([[1, 0, 3, 2]], (3, 4)).int().tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert box_mask(torch.tensor([[0.5, 0.6, 2.6, 1.6]]), (2, 4)).int().tolist() == [[0, 0, 0, 0], [1, 1, 1, 0]]  # by centres
    assert box_share([[-5, -5, 2, 1], [1, 0, 2, 3]], (4, 5)) == 4 / 20
    assert box_share([], (4, 5)) == 0 and box_share([[0, 0, 5, 4]], (4, 5)) == 1


@pytest.mark.parametrize("size", [(7, 7), (8, 6), (1, 1), (500, 375)])
def test_centre_map(size):
    L = centre_map(size)
    assert L.shape == size and L.dtype == torch.float32 and (L == 1).sum() == 1 and L.min() >= 0
    assert divmod(int(L.argmax()), size[1]) == (size[0] // 2, size[1] // 2)


def test_class_mean_is_the_official_average():
    hits = torch.tensor([1, 1, 0, math.nan, 0, 1.0])
    assert class_mean(hits, [3, 3, 3, 3, 7, 7]) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert class_mean(hits[:4], ["dog", "dog", "dog", "cat"]) == pytest.approx(2 / 3)
    assert math.isnan(class_mean([math.nan], [0]))


def test_maps_of_different_sizes():
    maps, boxes = [at(3, 4, (10, 20)), at(25, 7, (30, 8))], [[[0, 0, 5, 5]], [[0, 0, 2, 2]]]
    assert pointing_game(maps, boxes, 2).tolist() == [1, 0] and energy_game(maps, boxes).tolist() == [1, 0]
    for game in (pointing_game, energy_game):
        alone = torch.cat([game(m[None], [b]) for m, b in zip(maps, boxes, strict=True)])
        assert torch.equal(game(maps, boxes), alone)


@quick
@given(st.data(), st.integers(0, 2**16), st.sampled_from([0, 1, 2, 3, 4.5]))
def test_equals_the_definition(data, seed, tolerance):
    size = data.draw(st.tuples(st.integers(2, 12), st.integers(2, 12)))
    boxes = [data.draw(boxes_in(size)) for _ in range(3)]
    maps = torch.rand(3, *size, generator=torch.Generator().manual_seed(seed))
    expected = [plain_pointing(L, b, tolerance) for L, b in zip(maps, boxes, strict=True)]
    np.testing.assert_array_equal(pointing_game(maps, boxes, tolerance), expected)
    shares = [float(L[box_mask(b, size)].sum() / L.sum()) if len(b) else math.nan for L, b in zip(maps, boxes, strict=True)]
    np.testing.assert_allclose(energy_game(maps, boxes), shares, rtol=1e-5)
    order = torch.tensor([2, 0, 1])
    for game in (pointing_game, energy_game):  # order, and what else is in the batch, do not matter
        np.testing.assert_array_equal(game(maps[order], [boxes[i] for i in order]), game(maps, boxes)[order])
        np.testing.assert_array_equal(game(maps[:1], boxes[:1]), game(maps, boxes)[:1])


@quick
@given(st.data(), st.floats(0.01, 1000))
def test_perfect_uniform_and_scaled_maps(data, factor):
    size = data.draw(st.tuples(st.integers(2, 12), st.integers(2, 12)))
    boxes = data.draw(boxes_in(size, least=1))
    perfect = box_mask(boxes, size)[None].float()
    assert energy_game(perfect, [boxes]).item() == 1
    assert_close(energy_game(torch.full((1, *size), factor), [boxes]).item(), box_share(boxes, size), rtol=1e-6, atol=0)
    if perfect.min() == 0:
        assert pointing_game(perfect, [boxes], 0).item() == 1
    L = torch.rand(1, *size, generator=torch.Generator().manual_seed(0))
    assert_close(energy_game(factor * L, [boxes]), energy_game(L, [boxes]))
    assert torch.equal(pointing_game(factor * L + 1, [boxes], 0), pointing_game(L, [boxes], 0))


def test_inputs_untouched_and_dtypes():
    maps, boxes = torch.rand(2, 5, 5), [torch.tensor([[1.0, 1, 3, 3]])] * 2
    before = maps.clone()
    assert pointing_game(maps, boxes).dtype == energy_game(maps.half(), boxes).dtype == torch.float32
    assert torch.equal(maps, before) and boxes[0].tolist() == [[1, 1, 3, 3]]
    assert_close(energy_game(maps.double(), boxes).float(), energy_game(maps, boxes))
    assert not energy_game(maps.requires_grad_(), boxes).requires_grad


BOX = torch.tensor([[0, 0, 2, 2]])


@pytest.mark.parametrize("game", [pointing_game, energy_game])
@pytest.mark.parametrize("maps, boxes, error, says", [
    (torch.rand(4, 4), [BOX], ValueError, r"\(4, 4\)"),
    (torch.rand(0, 4, 4), [], ValueError, r"\(0, 4, 4\)"),
    ([], [], ValueError, "0 maps"),
    (torch.rand(2, 4, 4), [BOX], ValueError, "boxes of 1 images"),
    ([torch.rand(4, 4)], [BOX, BOX], ValueError, "1 maps"),
    (torch.ones(1, 4, 4, dtype=torch.long), [BOX], TypeError, "int64"),
    ([[1, 2]], [BOX], TypeError, "maps are list; accepted: a float tensor"),
    (torch.full((1, 4, 4), math.nan), [BOX], ValueError, "NaN"),
    (torch.rand(1, 4, 4), [torch.tensor([[2, 0, 2, 2]])], ValueError, "x0 < x1"),
    (torch.rand(1, 4, 4), [torch.tensor([[0, 0, math.nan, 2]])], ValueError, "x0 < x1"),
    (torch.rand(1, 4, 4), [torch.tensor([[0, 0, 2]])], ValueError, r"\(n, 4\)")])
def test_errors(game, maps, boxes, error, says):
    with pytest.raises(error, match=says):
        game(maps, boxes)


def test_errors_of_one_game():
    with pytest.raises(ValueError, match="-0.5"):
        energy_game(torch.full((1, 4, 4), -0.5), [BOX])
    with pytest.raises(ValueError, match=r"mask has shape \(3, 4\)"):
        energy_game(torch.rand(1, 4, 4), [torch.ones(3, 4, dtype=torch.bool)])
    with pytest.raises(ValueError, match="tolerance -1"):
        pointing_game(torch.rand(1, 4, 4), [BOX], -1)
    with pytest.raises(ValueError, match="classes have shape"):
        class_mean([1, 0], [1])


def test_points_that_are_equal_but_for_rounding_are_equally_high():
    """A peak at the rim of a small grid is a plateau when enlarged; which of its pixels rounds up must not decide."""
    maps = torch.zeros(3, 8, 8)
    maps[:, 3, 2] = maps[:, 3, 6] = 1.0
    maps[1, 3, 2] = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))  # a unit in the last place lower
    maps[2, 3, 2] = 0.999  # lower indeed
    left = torch.tensor([[1, 2, 4, 5]])
    assert pointing_game(maps, [left] * 3, tolerance=0).tolist() == [1, 1, 0]
