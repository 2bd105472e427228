"""Measures of the order of a map's pixels: average precision, best overlap, the hottest share of the area."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torch.testing import assert_close

from camutils import upsample
from camutils.evaluation.metrics import best_iou, box_share, pixel_ap, pooled_pixel_ap, top_area
from camutils.evaluation.metrics.order import Places, grained

quick = settings(max_examples=40, deadline=None, database=None, derandomize=True)
BOX = torch.tensor([[0, 0, 2, 2]])
RISING = {  # each keeps the order of heats k / 8, and no two of them fall together
    "cube": lambda L: L**3, "exp": torch.exp, "root": lambda L: L.clamp(min=0) ** 0.25, "affine": lambda L: 5 * L - 3,
    "power": lambda L: L**8, "double": lambda L: L.double(), "half": lambda L: L.half(),
    "ranks": lambda L: torch.searchsorted(L.unique(), L.contiguous()).float()}


@st.composite
def maps_and_masks(draw, least=1):
    """Three maps of few heats, so that many pixels are tied, and masks with at least so many pixels."""
    size = draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    maps = torch.randint(0, draw(st.sampled_from([1, 3, 9])), (3, *size), generator=rng) / 8
    masks = torch.rand(3, *size, generator=rng) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    masks.view(3, -1)[:, :least] = True
    return maps, [*masks]


def plain_cuts(L, mask):
    """(pixels shown, of them object) at every cut {L >= heat}, heats falling."""
    cuts = [L >= heat for heat in sorted(set(L.flatten().tolist()), reverse=True)]
    return [(int(cut.sum()), int((cut & mask).sum())) for cut in cuts]


def test_average_precision_by_hand():
    L = torch.tensor([[[9.0, 8, 7], [6, 5, 4], [3, 2, 1]]])
    mask = torch.zeros(3, 3, dtype=torch.bool)
    mask[0, 0] = mask[0, 2] = mask[2, 2] = True  # found at ranks 1, 3 and 9
    assert_close(pixel_ap(L, [mask]), torch.tensor([(1 / 1 + 2 / 3 + 3 / 9) / 3]))
    tied = torch.tensor([[[2.0, 1], [1, 0]]])  # the box is the first column: one pixel alone, then one of two tied ones
    assert_close(pixel_ap(tied, [[[0, 0, 1, 2]]]), torch.tensor([0.5 * 1 + 0.5 * 2 / 3]))
    assert_close(pixel_ap(tied.flip(2), [[[1, 0, 2, 2]]]), torch.tensor([0.5 * 1 + 0.5 * 2 / 3]))  # no order among tied pixels
    assert_close(pixel_ap(-tied, [[[0, 0, 1, 2]]]), torch.tensor([0.5 * 1 / 3 + 0.5 * 2 / 4]))


def test_best_overlap_by_hand():
    L = torch.tensor([[[4.0, 3], [2, 1]]])
    assert_close(best_iou(L, [[[0, 0, 1, 2]]]), torch.tensor([2 / 3]))  # cuts: 1/2, 1/3, 2/3, 2/4
    assert_close(best_iou(L, [[[0, 0, 2, 1]]]), torch.tensor([1.0]))
    tied = torch.tensor([[[2.0, 1], [1, 0]]])
    assert_close(best_iou(tied, [[[0, 0, 1, 2]]]), torch.tensor([2 / 3]))  # cuts: 1/2, 2/3 (both tied pixels), 2/4


@quick
@given(maps_and_masks())
def test_equal_the_definition_and_scikit_learn(case):
    maps, masks = case
    learned = [average_precision_score(m.flatten().numpy(), L.flatten().numpy()) for L, m in zip(maps, masks, strict=True)]
    np.testing.assert_allclose(pixel_ap(maps, masks), learned, rtol=1e-6)
    overlaps = [max(f / (int(m.sum()) + n - f) for n, f in plain_cuts(L, m)) for L, m in zip(maps, masks, strict=True)]
    np.testing.assert_allclose(best_iou(maps, masks), overlaps, rtol=1e-6)


def test_average_precision_of_smooth_maps_equals_scikit_learn():
    """The grain of 16 bits costs at most 1 in 10 000 where a map has thousands of heats."""
    rng = torch.Generator().manual_seed(0)
    maps = upsample(torch.rand(6, 7, 7, generator=rng), (96, 120))
    masks = [*(upsample(torch.rand(6, 5, 5, generator=rng), (96, 120)) > 0.6)]
    learned = [average_precision_score(m.flatten().numpy(), L.flatten().numpy()) for L, m in zip(maps, masks, strict=True)]
    np.testing.assert_allclose(pixel_ap(maps, masks), learned, atol=1e-4)


@quick
@given(maps_and_masks(), st.sampled_from([*RISING]))
def test_no_rising_function_moves_them(case, name):
    maps, masks = case
    risen = RISING[name](maps)
    for metric in (pixel_ap, best_iou):
        assert torch.equal(metric(risen, masks), metric(maps, masks))
    assert torch.equal(top_area(risen, 0.3), top_area(maps, 0.3))


@pytest.mark.parametrize("gamma", [0.25, 2, 8])
def test_powers_of_smooth_maps_move_them_by_no_more_than_the_grain(gamma):
    rng = torch.Generator().manual_seed(1)
    maps = upsample(torch.rand(6, 7, 7, generator=rng), (96, 96))
    boxes = [torch.tensor([[10, 20, 60, 70]])] * 6
    for metric in (pixel_ap, best_iou):
        assert_close(metric(maps**gamma, boxes), metric(maps, boxes), rtol=0, atol=2e-4)
    assert (top_area(maps**gamma, 0.15) - top_area(maps, 0.15)).abs().mean((1, 2)).max() < 1e-3  # of the picture


@quick
@given(maps_and_masks(), st.floats(-3, 3))
def test_perfect_constant_and_batched_maps(case, heat):
    maps, masks = case
    perfect = torch.stack(masks).float()
    shares = torch.stack([m.float().mean() for m in masks])
    for metric in (pixel_ap, best_iou):
        assert metric(perfect, masks).tolist() == [1, 1, 1] and metric(heat + 2 * perfect, masks).tolist() == [1, 1, 1]
        assert_close(metric(torch.full_like(maps, heat), masks), shares)
        alone = torch.cat([metric(L[None], [m]) for L, m in zip(maps, masks, strict=True)])
        assert torch.equal(metric(maps, masks), alone) and torch.equal(metric([*maps], masks), alone)
        assert torch.equal(metric(maps.flip(0), masks[::-1]), alone.flip(0))


def test_boxes_and_masks_are_the_same_object():
    maps = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(6, 8, dtype=torch.bool)
    mask[1:4, 2:7] = True
    for metric in (pixel_ap, best_iou):
        assert torch.equal(metric(maps, [mask] * 2), metric(maps, [torch.tensor([[2, 1, 7, 4]])] * 2))
    assert_close(pixel_ap(torch.ones(1, 6, 8), [[[2, 1, 7, 4]]]).item(), box_share([[2, 1, 7, 4]], (6, 8)), rtol=1e-6, atol=0)


def test_what_differs_by_rounding_is_tied():
    """Rows of a plateau, one unit in the last place apart: which is higher would say whether the object is found first."""
    L = torch.full((1, 4, 4), 0.3)
    L[0, 2:] = torch.nextafter(torch.tensor(0.3), torch.tensor(1.0))
    for metric in (pixel_ap, best_iou):
        values = metric(L.repeat(2, 1, 1), [torch.tensor([[0, 0, 4, 2]]), torch.tensor([[0, 2, 4, 4]])])
        assert values.tolist() == [0.5, 0.5]
    assert torch.equal(top_area(L, 0.25), torch.full((1, 4, 4), 0.25))
    L[0, 2:] = 0.3001  # higher indeed
    assert pixel_ap(L, [torch.tensor([[0, 2, 4, 4]])]).item() == 1 and top_area(L, 0.5)[0, 2:].min() == 1


@quick
@given(st.lists(st.floats(-2.0**100, 2.0**100, width=32, allow_subnormal=False), min_size=2, max_size=30))
def test_grain_keeps_the_order_and_is_relative(heats):
    L = torch.tensor([[heats]])
    coarse = grained(L)
    assert (coarse.flatten()[L.flatten().argsort()].diff() >= 0).all()
    assert ((coarse - L).abs() <= L.abs() * 2**-15 + 1e-30).all()
    assert torch.equal(grained(coarse), coarse) and torch.equal(grained(-L), -coarse)


def test_top_area_by_hand():
    L = torch.tensor([[[3.0, 2], [2, 1]]])
    assert_close(top_area(L, 0.25), torch.tensor([[[1.0, 0], [0, 0]]]))
    assert_close(top_area(L, 0.5), torch.tensor([[[1, 0.5], [0.5, 0]]]))
    assert_close(top_area(L, 0.7), torch.tensor([[[1, 0.9], [0.9, 0]]]))
    assert_close(top_area(L, 0.8), torch.tensor([[[1, 1], [1, 0.2]]]))
    assert top_area(L, 0).max() == 0 and top_area(L, 1).min() == 1


@quick
@given(maps_and_masks(), st.floats(0, 1), st.floats(0, 1))
def test_top_area_has_the_area_and_grows(case, one, other):
    maps, _ = case
    small, large = (top_area(maps, share) for share in sorted((one, other)))
    P = maps[0].numel()
    assert_close(large.sum((1, 2)), torch.full((3,), max(one, other) * P), rtol=1e-5, atol=1e-5)
    assert (small <= large + 1e-6).all() and large.min() >= 0 and large.max() <= 1
    for L, w in zip(maps, large, strict=True):
        assert all(len(w[heat == L].unique()) == 1 for heat in L.unique())  # tied pixels are treated alike
        assert (w.flatten()[L.flatten().argsort(descending=True)].diff() <= 0).all()


def test_places_by_hand():
    place = Places(torch.tensor([[[3.0, 2], [2, 1]]]))
    assert place.above.tolist() == [[[0, 1], [1, 3]]] and place.tied.tolist() == [[[1, 2], [2, 1]]]


def test_pooled_by_hand():
    """Two images of two pixels; thresholds 0.001 apart: heats 0.9 (object), 0.5 (not), 0.5 (object), 0.1 (not)."""
    maps = torch.tensor([[[0.9, 0.5]], [[0.5, 0.1]]])
    assert pooled_pixel_ap(maps, [[[0, 0, 1, 1]]] * 2) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert pixel_ap(maps, [[[0, 0, 1, 1]]] * 2).tolist() == [1, 1]  # each image alone is perfect
    assert pooled_pixel_ap(maps[:1] * 0.001, [[[0, 0, 1, 1]]]) == 0.5  # 0.0009 and 0.0005: one bin, [0, 0.001)
    assert pooled_pixel_ap(torch.ones(1, 1, 2), [[[0, 0, 1, 1]]]) == 0.5


def official_pxap(maps, masks):
    """PxAP as Choe et al. put it, threshold by threshold: precision times what recall gains, from the highest threshold down."""
    heats, object_ = np.concatenate([L.double().flatten() for L in maps]), np.concatenate([m.flatten() for m in masks])
    total, recall_before = 0.0, 0.0
    for t in [1.0, *np.arange(0, 1, 0.001)[::-1]]:
        shown = heats >= t
        recall = (shown & object_).sum() / object_.sum()
        precision = (shown & object_).sum() / max(shown.sum(), 1)
        total, recall_before = total + precision * (recall - recall_before), recall
    return total


@quick
@given(maps_and_masks(), st.integers(0, 99))
def test_pooled_equals_the_definition(case, seed):
    _, masks = case
    maps = torch.rand(3, *masks[0].shape, generator=torch.Generator().manual_seed(seed))
    maps[0, 0, 0], maps[1, 0, 0], maps[2] = 1, 0, (maps[2] * 1000).round() / 1000  # both ends, and heats on the thresholds
    assert pooled_pixel_ap(maps, masks) == pytest.approx(official_pxap(maps, masks), rel=1e-12)
    assert pooled_pixel_ap([*maps], masks) == pooled_pixel_ap(maps, masks)


def test_pooled_moves_with_contrast_and_leaves_out_images_without_object():
    maps, boxes = torch.tensor([[[0.9, 0.5]], [[0.4, 0.1]]]), [[[0, 0, 1, 1]]] * 2
    gamma = torch.tensor([1, 0.1])[:, None, None]  # 0.4 becomes 0.91, 0.1 becomes 0.79: object, object, then the other two
    assert pooled_pixel_ap(maps, boxes) == pytest.approx(0.5 + 0.5 * 2 / 3) and pooled_pixel_ap(maps**gamma, boxes) == 1
    three = torch.cat([maps, torch.ones(1, 1, 2)])
    assert pooled_pixel_ap(three, [*boxes, []]) == pooled_pixel_ap(maps, boxes)
    assert math.isnan(pooled_pixel_ap(maps, [[], []]))


def test_no_object_is_skipped():
    boxes = [torch.zeros(0, 4), [], [[70, 70, 80, 80]], torch.zeros(3, 3, dtype=torch.bool), [[0, 0, 1, 1]]]
    maps = torch.zeros(5, 3, 3)
    maps[:, 0, 0] = 1
    for metric in (pixel_ap, best_iou):
        values = metric(maps, boxes)
        assert values.isnan().tolist() == [True] * 4 + [False] and values[4] == 1


def test_inputs_untouched():
    maps = torch.rand(2, 5, 5, requires_grad=True)
    before, state = maps.detach().clone(), torch.random.get_rng_state()
    for metric in (pixel_ap, best_iou):
        assert metric(maps, [BOX] * 2).dtype == metric(maps.double(), [BOX] * 2).dtype == torch.float32
        assert not metric(maps, [BOX] * 2).requires_grad
    assert isinstance(pooled_pixel_ap(maps, [BOX] * 2), float) and not top_area(maps, 0.5).requires_grad
    assert torch.equal(maps, before) and torch.equal(torch.random.get_rng_state(), state) and maps.grad is None


@pytest.mark.parametrize("metric", [pixel_ap, best_iou, pooled_pixel_ap])
@pytest.mark.parametrize("maps, regions, error, says", [
    (torch.rand(4, 4), [BOX], ValueError, r"\(4, 4\)"),
    ([], [], ValueError, "0 maps"),
    (torch.rand(2, 4, 4), [BOX], ValueError, "boxes of 1 images"),
    (torch.ones(1, 4, 4, dtype=torch.long), [BOX], TypeError, "int64"),
    (torch.full((1, 4, 4), math.nan), [BOX], ValueError, "NaN"),
    (torch.rand(1, 4, 4), [torch.tensor([[2, 0, 2, 2]])], ValueError, "x0 < x1"),
    (torch.rand(1, 4, 4), [torch.ones(3, 4, dtype=torch.bool)], ValueError, r"mask has shape \(3, 4\)")])
def test_errors(metric, maps, regions, error, says):
    with pytest.raises(error, match=says):
        metric(maps, regions)


def test_errors_of_one():
    with pytest.raises(ValueError, match=r"from 0 to 1.5; accepted: 0 to 1"):
        pooled_pixel_ap(torch.tensor([[[0, 1.5]]]), [[[0, 0, 1, 1]]])


@pytest.mark.parametrize("maps, share, error, says", [
    (torch.rand(2, 3, 3), 1.1, ValueError, "share 1.1"), (torch.rand(2, 3, 3), math.nan, ValueError, "share nan"),
    (torch.rand(3, 3), 0.5, ValueError, r"\(3, 3\)"), ([1], 0.5, TypeError, "list"),
    (torch.full((1, 2, 2), math.inf), 0.5, ValueError, "Inf")])
def test_errors_of_top_area(maps, share, error, says):
    with pytest.raises(error, match=says):
        top_area(maps, share)
