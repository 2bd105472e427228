"""The multi-scale fusion against a loop over cells, and on grids and options where it could go wrong."""

import numpy as np
import pytest
import torch
from conftest import Tiny, hooks, seeded
from hypothesis import given as draw
from hypothesis import settings
from hypothesis import strategies as st
from torch.nn.functional import avg_pool2d, interpolate
from torch.testing import assert_close

from camutils.core.maps import normalise, upsample
from camutils.evaluation.measure import parse_method, split_list
from camutils.methods import METHODS
from camutils.methods.gig_cam import gig_cam, gig_cam_m
from camutils.methods.grad_cam import grad_cam, layer_cam
from camutils.methods.parts.scales import POOLINGS, RATIOS, SCALES, coarse, enlarge, levels, multi_scale, ratio_of

CLASSES = [0, 3, 1, 4]
THREE = (1, 1.5, 2.25)  # 16, 24 and 36 pixels: grids of 8, 12 and 18
FEW = {"steps": 3}  # for the methods with a path


def bilinear(cells, size):
    """Bilinear resize of one map, pixel by pixel: pixel centres at (i + 1/2) h / H, held at the border."""
    out = torch.empty(size, dtype=cells.dtype)
    for i in range(size[0]):
        for j in range(size[1]):
            corners = []
            for place, n, wide in ((i, cells.shape[0], size[0]), (j, cells.shape[1], size[1])):
                at = max((place + 0.5) * n / wide - 0.5, 0)
                low = min(int(at), n - 1)
                corners.append((low, min(low + 1, n - 1), at - low))
            (a, b, u), (c, d, v) = corners
            out[i, j] = ((1 - u) * ((1 - v) * cells[a, c] + v * cells[a, d]) + u * ((1 - v) * cells[b, c] + v * cells[b, d]))
    return out


def means(cells, size):
    """Mean over the block of cells that each of size[0] x size[1] larger cells touches."""
    out = torch.empty(size, dtype=cells.dtype)
    for i in range(size[0]):
        for j in range(size[1]):
            rows, columns = ((k * n // m, -(-(k + 1) * n // m)) for k, n, m in zip((i, j), cells.shape, size, strict=True))
            block = cells[slice(*rows), slice(*columns)]
            out[i, j] = sum(block.flatten().tolist()) / block.numel()
    return out


def pooled(cells):
    """Means over pairs along each side, cut from either end where a side is odd (the cell left over twice), back on the grid."""
    (h, w), found = cells.shape, []
    for top in ((0, 1) if h % 2 else (0,)):
        for left in ((0, 1) if w % 2 else (0,)):
            rows = [min(max(i - top, 0), h - 1) for i in range(h + h % 2)]
            columns = [min(max(j - left, 0), w - 1) for j in range(w + w % 2)]
            out = torch.empty(len(rows) // 2, len(columns) // 2, dtype=cells.dtype)
            for i in range(out.shape[0]):
                for j in range(out.shape[1]):
                    block = [cells[a, b].item() for a in rows[2 * i:2 * i + 2] for b in columns[2 * j:2 * j + 2]]
                    out[i, j] = sum(block) / 4
            found.append(bilinear(out, (len(rows), len(columns)))[top:top + h, left:left + w])
    return sum(found) / len(found)


def slow_ratio(A, P, ratio):
    Q, e = torch.zeros_like(A), A.max().item() / 5
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            a, p = A[i, j].item(), P[i, j].item()
            if ratio == "gate":
                Q[i, j] = 1 if a > 0 else 0
            elif ratio == "regularised":
                Q[i, j] = (a + e) / (p + e) if p + e > 0 else 0
            elif p > 0:
                Q[i, j] = {"plain": a / p, "mean": a / p, "bounded": min(a / p, 1), "root": (a / p) ** 0.5}[ratio]
    return Q


def slow_fusion(maps, size, pooling, ratio):
    """R of one image from its raw maps, smallest scale first."""
    F = R = bilinear(maps[0], size)
    for before, A in zip(maps, maps[1:], strict=False):
        if pooling == "released":
            full = bilinear(A, size)
            Q = slow_ratio(full, pooled(full), ratio)
        elif pooling == "previous":
            Q = bilinear(slow_ratio(A, bilinear(means(A, before.shape), A.shape), ratio), size)
        else:
            Q = bilinear(slow_ratio(A, pooled(A), ratio), size)
        F = bilinear(A, size) if ratio == "mean" else Q * F
        R = R + F
    return R


def given(maps):
    """A method that returns these raw maps (B, h, w), one call after the other, and the sizes of the images that it got."""
    sizes, left = [], list(maps)

    def method(model, images, targets, layer, *, raw):
        sizes.append(tuple(images.shape[-2:]))
        return left.pop(0)

    return method, sizes


def fuse(maps, images, **options):
    """The fusion of these raw maps, on images of this size."""
    return multi_scale(given(maps)[0], None, images, 0, **{"scales": THREE} | options)


def random_maps(grids, batch=2, seed=0):
    """Non-negative maps with empty cells, an empty block and, in the last image, an empty second map."""
    rng = torch.Generator().manual_seed(seed)
    maps = [torch.rand(batch, *grid, generator=rng, dtype=torch.float64).sub(0.3).relu() for grid in grids]
    for A in maps:
        A[:, : A.shape[1] // 2, : A.shape[2] // 2] = 0
    maps[1][-1] = 0
    return maps


@pytest.fixture
def net():
    return seeded(Tiny, size=16).double()


# By hand

def test_by_hand():
    """A 2 x 2 map and a 4 x 4 map on a picture of 4 x 4 pixels."""
    small = torch.tensor([[[4., 0.], [0., 0.]]])
    large = torch.tensor([[[8., 0., 0., 0.], [0., 0., 0., 0.], [0., 0., 0., 0.], [0., 0., 0., 16.]]])
    first, second = levels(given([small, large])[0], None, torch.zeros(1, 3, 4, 4), 0, scales=(1, 2), ratio="plain")
    up = torch.tensor([1, 0.75, 0.25, 0])
    assert_close(first.R[0], 4 * torch.outer(up, up))
    assert first.F is first.R and (first.scale, second.scale) == (1, 2)
    # pooled: 2 at the upper left, 4 at the lower right; P at the two corners is 2 and 4, so Q = 4 there and 0 elsewhere
    assert second.Q[0].tolist() == [[4, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 4]]
    assert second.F[0].tolist() == [[16, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert_close(second.R[0], first.R[0] + second.F[0])
    bounded = fuse([small, large], torch.zeros(1, 3, 4, 4), scales=(1, 2), raw=True)
    assert bounded[0, 0].tolist() == [8, 3, 1, 0] and bounded[0, 3].tolist() == [0, 0, 0, 0]
    assert_close(fuse([small, large], torch.zeros(1, 3, 4, 4), scales=(1, 2), raw=True, ratio="mean"), first.R + large)


# Along a side of 5 cells a b c d e: pairs from the left (ab)(cd)(ee), from the right (aa)(bc)(de). The resize back takes 3/4 of
# a cell's own pair and 1/4 of the next one, at the ends the whole pair; the extra cell falls away. What a cell of P takes of
# a b c d e, both in 8ths, and their sum, the mean in 16ths:
#   from the left    a: 4 4 0 0 0    b: 3 3 1 1 0   c: 1 1 3 3 0   d: 0 0 3 3 2   e: 0 0 1 1 6
#   from the right   a: 6 1 1 0 0    b: 2 3 3 0 0   c: 0 3 3 1 1   d: 0 1 1 3 3   e: 0 0 0 4 4
#   sum              a: 10 5 1 0 0   b: 5 6 4 1 0   c: 1 4 6 4 1   d: 0 1 4 6 5   e: 0 0 1 5 10
# Along a side of 3, (ab)(cc) and (aa)(bc): a: 4 4 0 + 6 1 1   b: 3 3 2 + 2 3 3   c: 1 1 6 + 0 4 4.
SIDE_OF_5 = torch.tensor([[10, 5, 1, 0, 0], [5, 6, 4, 1, 0], [1, 4, 6, 4, 1], [0, 1, 4, 6, 5], [0, 0, 1, 5, 10]]) / 16


@pytest.mark.parametrize("A, P", [
    ([[1, 3], [5, 7]], [[4, 4], [4, 4]]),  # one block
    ([[16, 0, 0, 0, 0]], [[10, 5, 1, 0, 0]]), ([[0, 0, 16, 0, 0]], [[1, 4, 6, 4, 1]]),  # one row of 5: columns of SIDE_OF_5
    ([[1, 3, 5]], [[1.875, 3, 4.125]]),  # from the left (13)(55): 2, 2.75, 4.25; from the right (11)(35): 1.75, 3.25, 4
    ([[1], [3], [5]], [[1.875], [3], [4.125]]),
    ([[0, 0, 0], [0, 256, 0], [0, 0, 0]], [[25, 30, 25], [30, 36, 30], [25, 30, 25]]),  # (5 6 5) x (5 6 5)
    ([[1, 3]], [[2, 2]]), ([[7]], [[7]])])
def test_pooling_by_hand(A, P):
    assert torch.equal(coarse(torch.tensor([A]).float())[0], torch.tensor(P).float())


def test_pooling_of_5_x_5_by_hand():
    """One cell of 256 in every place in turn: P is the product of two rows of the table above."""
    for i in range(5):
        for j in range(5):
            A = torch.zeros(1, 5, 5)
            A[0, i, j] = 256
            assert torch.equal(coarse(A)[0], 256 * torch.outer(SIDE_OF_5[:, i], SIDE_OF_5[:, j]))
    corner = [[100, 50, 10, 0, 0], [50, 25, 5, 0, 0], [10, 5, 1, 0, 0], [0] * 5, [0] * 5]
    A = torch.zeros(1, 5, 5)
    A[0, 0, 0] = 256
    assert coarse(A)[0].tolist() == corner
    assert_close(ratio_of(A, coarse(A), "plain")[0, 0, 0], torch.tensor(2.56))  # 256 / 100


sides, cells = st.integers(1, 12), st.integers(0, 2**10)  # whole numbers: every sum below is exact, so equal means equal


@draw(st.data(), sides, sides)
@settings(max_examples=60, deadline=None)
def test_pooling_knows_no_left_and_right(data, h, w):
    """P of a mirrored or turned map is the mirrored or turned P, on even and odd grids alike."""
    A = torch.tensor(data.draw(st.lists(cells, min_size=h * w, max_size=h * w))).view(1, h, w).float()
    P = coarse(A)
    for axes in ((1,), (2,), (1, 2)):
        assert torch.equal(coarse(A.flip(axes)), P.flip(axes))
    assert torch.equal(coarse(A.transpose(1, 2)), P.transpose(1, 2))


@draw(sides, sides, st.floats(0, 1e6, width=32))
@settings(max_examples=60, deadline=None)
def test_pooling_keeps_a_constant(h, w, value):
    A = torch.full((2, h, w), value)
    assert_close(coarse(A), A, rtol=1e-6, atol=0)
    assert_close(ratio_of(A, coarse(A), "plain"), (A > 0).float(), rtol=1e-6, atol=0)


@draw(sides, sides)
@settings(max_examples=60, deadline=None)
def test_a_cell_alone(h, w):
    """The same ratio in all four corners; at most 64 / 9 anywhere, as on an even grid."""
    alone = torch.eye(h * w, dtype=torch.float64).view(-1, h, w)
    Q = ratio_of(alone, coarse(alone), "plain").sum(0)  # each cell's own ratio: elsewhere it is 0
    along = [1. if n == 1 else 2. if n % 2 == 0 else 1.6 for n in (h, w)]  # 1 / 1, 1 / (1 / 2), 1 / (10 / 16)
    for i in (0, -1):
        for j in (0, -1):
            assert_close(Q[i, j].item(), along[0] * along[1])
    assert Q.max() <= 64 / 9 + 1e-12


@draw(sides.filter(lambda n: n % 2 == 0), sides.filter(lambda n: n % 2 == 0), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_even_grids_are_pooled_once(h, w, seed):
    A = torch.randn(2, h, w, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(coarse(A), upsample(avg_pool2d(A, 2), (h, w)))


def test_ratio_by_hand():
    A, P = torch.tensor([[[0., 4., 10., 0., 5.]]]), torch.tensor([[[2., 1., 20., 0., 0.]]])
    expected = {"plain": [0, 4, 0.5, 0, 0], "mean": [0, 4, 0.5, 0, 0], "bounded": [0, 1, 0.5, 0, 0],
                "root": [0, 2, 0.5**0.5, 0, 0],
                "regularised": [2 / 4, 6 / 3, 12 / 22, 1, 7 / 2], "gate": [0, 1, 1, 0, 1]}
    assert set(expected) == set(RATIOS)
    for ratio, Q in expected.items():
        assert_close(ratio_of(A, P, ratio)[0, 0], torch.tensor(Q).float())
        assert not ratio_of(0 * A, 0 * P, ratio).any()


# The loop

@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_equals_the_loop(pooling, ratio):
    """Even, odd and uneven grids, on a picture that is no square; empty cells, blocks and maps."""
    grids, size = [(3, 4), (5, 6), (9, 11)], (10, 13)
    maps = random_maps(grids)
    R = fuse(maps, torch.zeros(2, 3, *size).double(), raw=True, pooling=pooling, ratio=ratio)
    assert R.dtype == torch.float64 and R.shape == (2, *size)
    for b in range(2):
        assert_close(R[b], slow_fusion([A[b] for A in maps], size, pooling, ratio), rtol=1e-12, atol=1e-12)
    assert R[0].std() > 0


@pytest.mark.parametrize("grids", [[(1, 1)] * 3, [(1, 1), (1, 2), (2, 3)], [(1, 3), (1, 4), (1, 7)], [(2, 1), (3, 1), (5, 1)]],
                         ids=str)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_narrow_grids(pooling, grids):
    maps = [A + 0.5 * (A == 0) for A in random_maps(grids)]
    for ratio in RATIOS:
        R = fuse(maps, torch.zeros(2, 3, 6, 5).double(), raw=True, pooling=pooling, ratio=ratio)
        for b in range(2):
            assert_close(R[b], slow_fusion([A[b] for A in maps], (6, 5), pooling, ratio), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pooling, ratio", [("grid", "bounded"), ("grid", "plain"), ("released", "plain"),
                                            ("previous", "bounded")])
def test_levels_of_a_network(pooling, ratio, net, images):
    """Every level's A is the method's raw map of the enlarged image; the loop over them gives F and R; the last R is the map."""
    x = images.double()
    found = list(levels(layer_cam, net, x, CLASSES, "conv2", scales=THREE, pooling=pooling, ratio=ratio))
    assert [level.scale for level in found] == list(THREE)
    assert [tuple(level.A.shape) for level in found] == [(4, 8, 8), (4, 12, 12), (4, 18, 18)]
    for level, side in zip(found, (16, 24, 36), strict=True):
        larger = interpolate(x, size=(side, side), mode="bilinear", align_corners=False) if side > 16 else x
        assert torch.equal(level.A, layer_cam(net, larger, CLASSES, "conv2", raw=True))
        assert level.Q.shape == level.F.shape == level.R.shape == (4, 16, 16)
    for b in range(4):
        for n in (2, 3):
            R = slow_fusion([level.A[b] for level in found[:n]], (16, 16), pooling, ratio)
            assert_close(found[n - 1].R[b], R, rtol=1e-10, atol=1e-14)
    for low, high in zip(found, found[1:], strict=False):
        assert torch.equal(high.F, high.Q * low.F) and torch.equal(high.R, low.R + high.F)
    options = {"scales": THREE, "pooling": pooling, "ratio": ratio}
    assert torch.equal(multi_scale(layer_cam, net, x, CLASSES, "conv2", raw=True, **options), found[-1].R)
    heat = multi_scale(layer_cam, net, x, CLASSES, "conv2", **options)
    assert heat.dtype == torch.float32 and torch.equal(heat, normalise(found[-1].R).float())
    assert heat.amin((1, 2)).tolist() == [0] * 4 and heat.amax((1, 2)).tolist() == [1] * 4


def test_bounded_only_takes_away(net, images):
    found = list(levels(grad_cam, net, images.double(), CLASSES, "conv2", scales=THREE))
    for low, high in zip(found, found[1:], strict=False):
        assert (high.F <= low.F).all() and (high.F < low.F).any() and high.Q.min() >= 0 and high.Q.max() <= 1
    plain = list(levels(grad_cam, net, images.double(), CLASSES, "conv2", scales=THREE, ratio="plain"))
    assert plain[1].Q.max() > 1
    assert plain[1].Q.max() <= 64 / 9 + 1e-12  # a cell alone in its neighbourhood: P >= (3/4)^2 A / 4


def test_released_ratio_is_nearly_1():
    """Why pooling belongs on the grid: after the resize, 2 x 2 pixels lie inside one cell, here of 16 x 16 pixels."""
    maps, x = random_maps([(4, 4), (6, 6)]), torch.zeros(2, 3, 96, 96).double()
    away = {}
    for pooling in POOLINGS:
        *_, last = levels(given(maps)[0], None, x, 0, scales=(1, 1.5), pooling=pooling, ratio="plain")
        away[pooling] = (last.Q - 1)[last.F > 0].abs().mean()
    assert 0 < away["released"] < 0.05 < 0.3 < away["grid"]


# What must hold for any method

@pytest.mark.parametrize("name", [n for n in METHODS if n != "gig_cam_m"])
def test_methods_of_every_kind(name, net, images):
    method, x = METHODS[name], images.double()
    options = FEW if name in ("integrated_grad_cam", "gig_cam") else {}
    for layer in ("conv2", None):
        for setting in ({}, {"pooling": "released"}, {"pooling": "previous", "ratio": "plain"}, {"ratio": "mean"}):
            alone = multi_scale(method, net, x, CLASSES, layer, scales=[1], **setting, **options)
            assert torch.equal(alone, method(net, x, CLASSES, layer, **options))  # one scale is the method itself
        maps = [method(net, enlarge(x, s), CLASSES, layer, raw=True, **options) for s in THREE]
        R = multi_scale(method, net, x, CLASSES, layer, scales=THREE, raw=True, **options)
        for b in range(2):
            assert_close(R[b], slow_fusion([A[b] for A in maps], (16, 16), "grid", "bounded"), rtol=1e-9, atol=1e-12)
        assert R.amax((1, 2)).gt(0).any() and R.min() >= 0


def test_a_map_at_image_size(net, images):
    """Integrative CAM of several layers is a map of the image itself, not of a grid: pooled pixel by pixel all the same."""
    first, second = levels(METHODS["integrative_cam"], net, images.double(), CLASSES, scales=(1, 1.5))
    assert first.A.shape == (4, 16, 16) and second.A.shape == (4, 24, 24)
    assert torch.equal(first.R, first.A)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_unit_of_the_maps(pooling):
    """Every scale's map in a unit of its own: the ratio has none, so the heat map stays; the mean over scales changes."""
    maps, images = random_maps([(4, 4), (6, 6), (9, 9)]), torch.zeros(2, 3, 12, 12).double()
    for ratio in RATIOS:
        heat, other, all_alike = (
            fuse([c * A for c, A in zip(units, maps, strict=True)], images, pooling=pooling, ratio=ratio)
            for units in ((1, 1, 1), (1, 1e6, 1e-6), (1e-9, 1e-9, 1e-9)))
        assert_close(all_alike, heat)
        if ratio == "mean":
            assert (other - heat).abs().max() > 0.1
        else:
            assert_close(other, heat)


def test_empty_maps(net, images):
    """Nothing at scale 1: nothing to refine. Nothing at a larger scale: F ends, R stays. A class without evidence: zeros."""
    maps = random_maps([(4, 4), (6, 6), (9, 9)])
    x = torch.zeros(2, 3, 8, 8).double()
    for ratio in set(RATIOS) - {"mean"}:
        for pooling in POOLINGS:
            assert not fuse([0 * maps[0], *maps[1:]], x, ratio=ratio, pooling=pooling).any()
            R = fuse(maps, x, ratio=ratio, pooling=pooling, raw=True)
            assert torch.equal(R[1], upsample(maps[0], (8, 8))[1])  # its second map is empty
    heat = multi_scale(grad_cam, net, images.double(), lambda out: 0 * out[:, 0], "conv2", scales=THREE)
    assert heat.shape == (4, 16, 16) and not heat.any()


def test_negative_cells():
    """A method with a sign of its own: where the neighbourhood is not positive the ratio is 0, nothing is NaN."""
    maps = [A - 0.3 for A in random_maps([(4, 4), (6, 6), (9, 9)])]
    for pooling in POOLINGS:
        for ratio in RATIOS:
            assert fuse(maps, torch.zeros(2, 3, 8, 8).double(), ratio=ratio, pooling=pooling, raw=True).isfinite().all()
    assert ratio_of(torch.tensor([[[-1., 1.]]]), torch.tensor([[[2., -2.]]]), "root").tolist() == [[[0, 0]]]


# Sizes

@pytest.mark.parametrize("size, expected", [
    ((224, 224), [(n, n) for n in range(224, 825, 100)]), ((16, 16), [(n, n) for n in (16, 23, 30, 37, 45, 52, 59)]),
    ((20, 33), [(20, 33), (29, 48), (38, 62), (47, 77), (56, 92), (65, 107), (74, 121)]), ((1, 3), None)])
def test_sizes_keep_the_aspect(size, expected):
    method, sizes = given([torch.ones(1, 1, 1)] * 7)
    R = multi_scale(method, None, torch.zeros(1, 3, *size), 0, raw=True)
    assert R.shape == (1, *size)
    assert sizes == (expected or [tuple(round(n * s) for n in size) for s in SCALES])


def test_not_square(net):
    wide = torch.rand(2, 3, 13, 22, generator=torch.Generator().manual_seed(3)).double()
    heat = multi_scale(layer_cam, net, wide, 1, "conv3", scales=THREE)
    assert heat.shape == (2, 13, 22) and heat.max() == 1
    turned = seeded(Tiny, size=16).double()
    for conv in (turned.conv1, turned.conv2, turned.conv3):
        conv.weight.data = conv.weight.data.transpose(2, 3).contiguous()
    other = multi_scale(layer_cam, turned, wide.transpose(2, 3), 1, "conv3", scales=THREE)
    assert_close(other, heat.transpose(1, 2), rtol=0, atol=1e-6)


def test_no_enlargement_at_scale_1(images):
    assert enlarge(images, 1) is images and enlarge(images, 1.0) is images
    assert enlarge(images, 1.5).shape == (4, 3, 24, 24)


# Targets, options, errors

class BySize(torch.nn.Module):
    """Prefers a class for every size: 16 pixels class 0, 24 class 1, 36 class 2."""

    def forward(self, x):
        return torch.eye(3)[(16, 24, 36).index(x.shape[-1])].expand(len(x), 3)


def test_targets_are_those_of_the_image(net, images):
    """targets=None asks every scale for the arg max at scale 1, though the network prefers another class for a larger copy."""
    asked = []

    def spy(model, images, targets, layer, *, raw):
        asked.append(targets)
        return images[:, 0]

    multi_scale(spy, BySize(), images, scales=THREE)
    assert [t.tolist() for t in asked] == [[0] * 4] * 3
    multi_scale(spy, None, images, "as given", scales=(1, 2))
    assert asked[3:] == ["as given"] * 2
    colour = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    multi_scale(spy, colour, torch.eye(3)[:, :, None, None].expand(3, 3, 16, 16), scales=(1, 2))
    assert [t.tolist() for t in asked[5:]] == [[0, 1, 2]] * 2  # each image its own
    x = images.double()
    own = net(x).argmax(1)
    assert torch.equal(multi_scale(grad_cam, net, x, scales=THREE), multi_scale(grad_cam, net, x, own, scales=THREE))
    with pytest.raises(ValueError, match="targets=None with an output that is not"):
        multi_scale(grad_cam, torch.nn.Conv2d(3, 2, 1), images, None, "", scales=THREE)


def test_options_go_to_the_method(net, images):
    x, options = images.double(), {"steps": 4, "max_dist": 0.4, "seed": 3, "order": "random"}
    maps = [gig_cam(net, enlarge(x, s), CLASSES, "conv2", raw=True, **options) for s in (1, 1.5)]
    R = multi_scale(gig_cam, net, x, CLASSES, "conv2", scales=(1, 1.5), raw=True, **options)
    assert_close(R[0], slow_fusion([A[0] for A in maps], (16, 16), "grid", "bounded"), rtol=1e-10, atol=1e-14)
    assert not torch.equal(R, multi_scale(gig_cam, net, x, CLASSES, "conv2", scales=(1, 1.5), raw=True, **FEW))


def test_every_option_changes_the_map(net, images):
    maps = [multi_scale(grad_cam, net, images.double(), CLASSES, "conv2", **{"scales": THREE} | change)
            for change in ({}, {"scales": (1, 1.5)}, {"scales": (1.5, 2)}, {"pooling": "released"}, {"pooling": "previous"},
                           *({"ratio": r} for r in RATIOS if r != "bounded"))]
    assert all(not torch.equal(a, b) for i, a in enumerate(maps) for b in maps[:i])
    for change, same in (({"ratio": "bounded"}, 0), ({"pooling": "released", "ratio": "plain"}, 3)):
        assert torch.equal(multi_scale(grad_cam, net, images.double(), CLASSES, "conv2", scales=THREE, **change), maps[same])


@pytest.mark.parametrize("options, error, words", [
    ({"scales": "1,2"}, TypeError, "scales are '1,2'; accepted: factors of the image size"),
    ({"scales": 2}, TypeError, "scales are 2; accepted"), ({"scales": None}, TypeError, "scales are None; accepted"),
    ({"scales": ["1", "2"]}, TypeError, "accepted: factors"),
    ({"scales": [True, 2]}, TypeError, "scales are .True, 2.; accepted"),
    ({"scales": [1, None]}, TypeError, "accepted: factors"),
    ({"scales": [2, 1]}, ValueError, r"scales \[2, 1\]; accepted: rising factors from 1 to 16"),
    ({"scales": [1, 1]}, ValueError, "accepted: rising"), ({"scales": [0.5, 1]}, ValueError, "accepted: rising"),
    ({"scales": [1, 224]}, ValueError, "accepted: rising"), ({"scales": []}, ValueError, "accepted: rising"),
    ({"scales": [float("nan")]}, ValueError, "accepted: rising"),
    ({"scales": [1, float("nan"), 2]}, ValueError, "accepted: rising"),
    ({"scales": [1, float("inf")]}, ValueError, "accepted: rising"),
    ({"pooling": "max"}, ValueError, "pooling 'max'; accepted: grid, released, previous"),
    ({"pooling": None}, ValueError, "pooling None; accepted"),
    ({"ratio": "bound"}, ValueError, "ratio 'bound'; accepted: bounded, plain, root, regularised, gate, mean"),
    ({"ratio": ""}, ValueError, "ratio ''; accepted"), ({"ratio": 1}, ValueError, "ratio 1; accepted")])
def test_bad_options(options, error, words, tiny, images):
    seen = []
    tiny.conv1.register_forward_hook(lambda m, i, out: seen.append(1))
    for call in (lambda: multi_scale(grad_cam, tiny, images, None, "conv2", **options),
                 lambda: levels(grad_cam, tiny, images, None, "conv2", **options),  # at the call, not at the first level
                 lambda: gig_cam_m(tiny, images, None, "conv2", **options)):
        with pytest.raises(error, match=words):
            call()
    assert not seen  # before anything runs


def test_unknown_option_and_what_the_method_refuses(tiny, images):
    for call in (lambda: multi_scale(grad_cam, tiny, images, 1, "conv2", smooth=True),
                 lambda: gig_cam_m(tiny, images, 1, "conv2", smooth=True)):
        with pytest.raises(TypeError, match="unexpected keyword argument 'smooth'"):
            call()
    with pytest.raises(ValueError, match="order 'low'; accepted"):
        multi_scale(gig_cam, tiny, images, 1, "conv2", order="low")
    with pytest.raises(ValueError, match="unknown layer 'conv9'"):
        multi_scale(grad_cam, tiny, images, 1, "conv9")
    with pytest.raises(ValueError, match="raw=True with 2 layers"):
        multi_scale(grad_cam, tiny, images, 1, ["conv2", "conv3"])
    with pytest.raises(ValueError, match="target 5 out of range"):
        multi_scale(grad_cam, tiny, images, 5, "conv2")
    with pytest.raises(TypeError, match="images are torch.uint8"):
        levels(grad_cam, tiny, images.byte(), 1, "conv2")
    with pytest.raises(ValueError, match=r"images .1. of the batch hold NaN"):
        multi_scale(grad_cam, tiny, torch.where(torch.arange(4)[:, None, None, None] == 1, torch.nan, images), 1, "conv2")


@pytest.mark.parametrize("scales", [(1, 1.5, 2.25), [1, 1.5, 2.25], np.array([1, 1.5, 2.25]), np.float32([1, 1.5, 2.25]),
                                    (s for s in (1, 1.5, 2.25))], ids=["tuple", "list", "array", "float32", "generator"])
def test_scales_of_any_kind(scales, tiny, images):
    expected = multi_scale(grad_cam, tiny, images, 1, "conv2", scales=THREE)
    assert torch.equal(multi_scale(grad_cam, tiny, images, 1, "conv2", scales=scales), expected)


# GIG-CAM+M and name+M

@pytest.mark.parametrize("options", [{}, {"pooling": "released"}, {"pooling": "previous", "ratio": "root"},
                                     {"max_dist": 0.3, "order": "random", "seed": 2, "baseline": "mean", "fraction": 0.5},
                                     {"accumulate": "released"}], ids=str)
def test_gig_cam_m_is_the_composition(options, tiny, images):
    for raw in (True, False):
        common = {"scales": (1, 1.5), "raw": raw} | FEW | options
        composed = multi_scale(gig_cam, tiny, images, CLASSES, "conv2", **common)
        assert torch.equal(gig_cam_m(tiny, images, CLASSES, "conv2", **common), composed)
    alone = {k: v for k, v in options.items() if k not in ("pooling", "ratio")} | FEW
    assert torch.equal(gig_cam_m(tiny, images, CLASSES, "conv2", scales=(1,), **options, **FEW),
                       gig_cam(tiny, images, CLASSES, "conv2", **alone))


def test_defaults_of_gig_cam_m():
    ours, path, fusion = gig_cam_m.__wrapped__.__kwdefaults__, gig_cam.__wrapped__.__kwdefaults__, multi_scale.__kwdefaults__
    assert ours == path | fusion


def test_gig_cam_m_over_layers(tiny, images):
    both = gig_cam_m(tiny, images, CLASSES, ["conv2", "conv3"], scales=(1, 1.5), **FEW)
    each = [gig_cam_m(tiny, images, CLASSES, n, scales=(1, 1.5), **FEW) for n in ("conv2", "conv3")]
    assert_close(both, normalise(sum(each) / 2))


def test_plus_m_by_name(tiny, images):
    names = split_list("layer_cam+M:scales=[1,1.5]:pooling=released,gig_cam+M:steps=3:scales=(1,1.5),grad_cam")
    released, gig, single = (parse_method(n, METHODS)(tiny, images, CLASSES, "conv2") for n in names)
    common = {"targets": CLASSES, "layer": "conv2", "scales": (1, 1.5)}
    assert torch.equal(released, multi_scale(layer_cam, tiny, images, pooling="released", **common))
    assert torch.equal(gig, gig_cam_m(tiny, images, steps=3, **common))
    assert torch.equal(single, grad_cam(tiny, images, CLASSES, "conv2"))
    assert torch.equal(parse_method("grad_cam+M:layer=conv2", METHODS)(tiny, images, CLASSES),
                       multi_scale(grad_cam, tiny, images, CLASSES, "conv2"))
    for wrong in ("grad+M", "+M", "grad_cam+M+M", "grad_cam+m", "centre+M"):
        with pytest.raises(ValueError, match="unknown method .*accepted: .*name[+]M for several scales"):
            parse_method(wrong, METHODS)
    with pytest.raises(TypeError, match="unexpected keyword argument 'scales'"):
        parse_method("grad_cam:scales=[1,2]", METHODS)(tiny, images, CLASSES, "conv2")
    with pytest.raises(ValueError, match="accepted: rising factors"):
        parse_method("grad_cam+M:scales=[2,1]", METHODS)(tiny, images, CLASSES, "conv2")
    with pytest.raises(ValueError, match="relu=False with ratio 'bounded'; accepted: 'mean'"):
        parse_method("grad_cam+M:relu=False", METHODS)(tiny, images, CLASSES, "conv2")
    signed = parse_method("grad_cam+M:relu=False:ratio=mean:scales=[1]", METHODS)(tiny, images, CLASSES, "conv2")
    assert_close(signed, grad_cam(tiny, images, CLASSES, "conv2", relu=False))


# What must stay as it was

@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("method", [grad_cam, layer_cam, gig_cam])
def test_batch_independence(method, pooling, net):
    rng, options = torch.Generator().manual_seed(5), {"scales": THREE, "pooling": pooling} | (FEW if method is gig_cam else {})
    x, classes = torch.rand(6, 3, 16, 16, generator=rng).double(), torch.randint(5, (6,), generator=rng)
    x[3] = 0
    full = multi_scale(method, net, x, classes, "conv2", **options)
    assert full.flatten(1).std(1).gt(0).sum() >= 4
    for rows in ([0], [3], [2, 5], torch.randperm(6, generator=rng).tolist()):
        assert (multi_scale(method, net, x[rows], classes[rows], "conv2", **options) - full[rows]).abs().max() <= 1e-6


def test_number_of_passes(tiny, images):
    seen = []
    tiny.conv1.register_forward_hook(lambda m, i, out: seen.append(tuple(i[0].shape)))
    multi_scale(grad_cam, tiny, images, CLASSES, "conv2", scales=THREE)
    assert seen == [(4, 3, n, n) for n in (16, 24, 36)]  # one per scale
    seen.clear()
    multi_scale(grad_cam, tiny, images, None, "conv2", scales=THREE)
    assert seen == [(4, 3, n, n) for n in (16, 16, 24, 36)]  # one more for the arg max
    seen.clear()
    gig_cam_m(tiny, images, CLASSES, "conv2", scales=(1, 1.5), **FEW)
    assert [s[-1] for s in seen] == [16] * 3 + [24] * 3
    seen.clear()
    walk = levels(grad_cam, tiny, images, CLASSES, "conv2")
    assert not seen
    next(walk)
    assert len(seen) == 1  # a scale at a time, on demand


def state(model):
    return ([m.training for m in model.modules()], hooks(model), [p.grad for p in model.parameters()],
            [p.requires_grad for p in model.parameters()], [b.tolist() for b in model.buffers()], torch.get_rng_state().tolist(),
            torch.is_grad_enabled(), torch.is_inference_mode_enabled())


def test_nothing_of_the_callers_changes(tiny, images):
    tiny.train()
    tiny.bn1.eval()
    before, x = state(tiny), images.clone().requires_grad_()
    for targets in (None, CLASSES):
        heat = multi_scale(grad_cam, tiny, x, targets, "conv2", scales=THREE)
        assert not heat.requires_grad and heat.max() == 1
        assert state(tiny) == before and torch.equal(images, x) and x.grad is None
    walk = levels(grad_cam, tiny, images, None, "conv2", scales=THREE)
    for _ in range(2):  # between the levels, and for a consumer that leaves early
        next(walk)
        assert state(tiny) == before
    walk.close()

    def fails(out):
        calls.append(1)
        return out[:, 1] if len(calls) < 3 else 1 / 0

    calls = []
    with pytest.raises(ZeroDivisionError):
        multi_scale(grad_cam, tiny, images, fails, "conv2", scales=THREE)
    assert state(tiny) == before and len(calls) == 3 and torch.equal(images, x)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_callers_grad_mode(mode, tiny, images):
    expected = multi_scale(grad_cam, tiny, images, None, "conv2", scales=THREE)
    with mode():
        assert torch.equal(multi_scale(grad_cam, tiny, images + 0, None, "conv2", scales=THREE), expected)
        assert torch.is_grad_enabled() == (mode is torch.enable_grad)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype, tiny, images):
    expected = multi_scale(grad_cam, tiny, images, CLASSES, "conv2", raw=True, scales=THREE)
    low = multi_scale(grad_cam, tiny.to(dtype), images.to(dtype), CLASSES, "conv2", raw=True, scales=THREE)
    assert low.dtype == torch.float32
    assert ((low - expected).norm() / expected.norm()).item() < (0.01 if dtype == torch.float16 else 0.08)


def test_autocast(tiny, images):
    expected = multi_scale(grad_cam, tiny, images, CLASSES, "conv2", raw=True, scales=THREE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = multi_scale(grad_cam, tiny, images, CLASSES, "conv2", raw=True, scales=THREE)
    assert low.dtype == torch.float32 and not torch.equal(low, expected)
    assert ((low - expected).norm() / expected.norm()).item() < 0.08


def test_memory_formats(tiny, images):
    expected = multi_scale(grad_cam, tiny, images, CLASSES, "conv2", scales=THREE)
    for same in (images.contiguous(memory_format=torch.channels_last), images.transpose(2, 3).contiguous().transpose(2, 3)):
        assert_close(multi_scale(grad_cam, tiny, same, CLASSES, "conv2", scales=THREE), expected, rtol=0, atol=1e-5)
