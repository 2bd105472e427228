"""Paths from a baseline to the image, against the steps of the text done pixel by pixel, and what every path promises."""

import pytest
import torch
from conftest import slow_walk, straight
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.multiprocessing.reductions import StorageWeakRef
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import camutils
from camutils.core.maps import upsample
from camutils.methods.gig_cam import signed_map
from camutils.methods.parts.paths import ORDERS, advance, guided_path


@pytest.mark.parametrize("options", [{}, {"fraction": 0.1, "max_dist": 0.1}, {"fraction": 0.5, "max_dist": 1.0},
                                     {"fraction": 1.0, "max_dist": 0.2}], ids=str)
@pytest.mark.parametrize("start", ["black", "above and below"])
def test_equals_the_text_pixel_by_pixel(start, options, tiny, images):
    model, x, classes, T = tiny.double(), images[:2].double(), [1, 4], 6
    rng = torch.Generator().manual_seed(7)
    baseline = torch.zeros_like(x) if start == "black" else 2 * torch.rand(x.shape, generator=rng).double() - 0.5
    fraction, max_dist = options.get("fraction", 0.25), options.get("max_dist", 0.02)
    path = list(guided_path(signed_map(model, classes, "conv2"), x, baseline, steps=T, **options))
    for b in range(2):
        def S_at(point, b=b):
            A, g = straight(model, point[None], classes[b:b + 1], "conv2")
            M = sum(g[0, k].sum() / g[0, k].numel() * A[0, k] for k in range(A.shape[1]))
            return upsample(M[None], point.shape[1:])[0]

        slow = list(slow_walk(S_at, x[b], baseline[b], T, fraction, max_dist))
        for step, (expected, passes) in zip(path, slow, strict=True):
            assert_close(step.x[b], expected, rtol=0, atol=1e-10)
            assert step.passes[b] == (passes if step.t < T - 1 else 1)  # the last step moves all that is left
            assert_close(upsample(step.M, (16, 16))[b], S_at(expected), rtol=1e-8, atol=1e-10)
    line = torch.stack([baseline + t / T * (x - baseline) for t in range(T)])
    bend = (torch.stack([s.x for s in path]) - line).abs().max()
    if fraction == 1:  # all pixels at once are the straight line
        assert bend < 1e-12
    else:
        assert bend > 0.5 * max_dist * (x - baseline).abs().max() and max(s.passes.max() for s in path) > 1


def attributions(gradient, image, baseline, **options):
    """Guided Integrated Gradients of a function of two numbers: sum_t M_t (x_{t+1} - x_t), an image of 1 x 2 pixels."""
    image, baseline = (torch.tensor(v, dtype=torch.float64).view(1, 1, 1, 2) for v in (image, baseline))
    path = list(guided_path(lambda x: gradient(*x.flatten()).view(1, 1, 2), image, baseline, **options))
    points = [s.x for s in path] + [image]
    return sum(s.M[:, None] * (after - s.x) for s, after in zip(path, points[1:], strict=True)).flatten().tolist()


def test_guided_integrated_gradients_of_functions_of_two_numbers():
    linear = attributions(lambda a, b: torch.stack([0 * a + 2, 0 * b + 1]), [10, 5], [-1, -3])
    assert linear == pytest.approx([22, 8], abs=1e-10)
    for options in ({}, {"max_dist": 1.0, "fraction": 0.1}):
        squares = attributions(lambda a, b: torch.stack([4 * a, 2 * b]), [3, 3], [0, 0], steps=500, **options)
        assert squares == pytest.approx([18, 9], rel=0.005)

    def bent(a, b):
        return (2 * a + b) * torch.tensor([4.0, 2.0])

    for options in ({"max_dist": 0}, {"fraction": 1, "max_dist": 0.02}, {"fraction": 1, "max_dist": 1}):
        assert attributions(bent, [3, 3], [0, 0], steps=200, **options) == pytest.approx([54, 27], rel=0.01)
    guided = attributions(bent, [3, 3], [0, 0], steps=200, fraction=0.1, max_dist=1)
    assert guided == pytest.approx([72, 9], rel=0.01)


def noise_map(seed=0, grid=(5, 4)):
    """A map that changes from step to step and has nothing to do with the image."""
    draw = torch.Generator().manual_seed(seed)
    return lambda x: torch.randn(len(x), *grid, generator=draw, dtype=torch.float64).to(x.dtype)


def check_promises(path, images, baseline, max_dist, tolerance):
    """||x - x_t||_1 falls linearly, every component is inside the corridor and never moves back."""
    T, way = len(path), images - baseline
    full, before = way.abs().sum((1, 2, 3)), baseline
    for t, step in enumerate(path):
        assert step.t == t and step.x.shape == images.shape and step.x.dtype == images.dtype and step.x.isfinite().all()
        left = (images - step.x).abs().sum((1, 2, 3))
        assert_close(left, (1 - t / T) * full, rtol=0, atol=tolerance * full.max().item())
        low, high = (baseline + a * way for a in (max(t / T - max_dist, 0), min(t / T + max_dist, 1)))
        slack = tolerance * way.abs().max()
        assert ((step.x >= torch.minimum(low, high) - slack) & (step.x <= torch.maximum(low, high) + slack)).all()
        assert ((step.x - before) * way.sign() >= -slack).all()
        assert_close(step.x, baseline + step.p[:, None] * way)  # all channels of a pixel together
        before = step.x
    assert_close(path[0].x, baseline.expand_as(images), rtol=0, atol=0)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["float32", "float64"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("max_dist", [0, 0.02, 0.3, 1])
def test_corridor_and_linear_fall(max_dist, order, dtype, tolerance):
    rng = torch.Generator().manual_seed(3)
    x = torch.randn(3, 3, 12, 10, generator=rng).to(dtype)  # signed: some components rise, some fall
    for baseline in (torch.zeros_like(x), torch.full_like(x, 5.0), torch.randn(x.shape, generator=rng).to(dtype)):
        path = list(guided_path(noise_map(), x, baseline, steps=9, max_dist=max_dist, order=order))
        check_promises(path, x, baseline, max_dist, tolerance)
        if max_dist == 0:
            assert all(torch.equal(s.p, torch.full_like(s.p, t / 9)) for t, s in enumerate(path))
        else:
            assert path[4].p.std() > 0.3 * min(max_dist, 0.3)


def test_lowest_highest_and_random():
    x, size = torch.ones(2, 1, 8, 8), (8, 8)
    S = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0))
    second = {order: list(guided_path(lambda x: S, x, max_dist=1, order=order, steps=4, fraction=0.1))[1].p for order in ORDERS}
    for order in ("lowest", "highest"):
        for p, s in zip(second[order], S.abs(), strict=True):
            moved, rest = s[p > 0], s[p == 0]
            assert 16 <= len(moved) <= 16 + 6  # a quarter of the way, in groups of a tenth
            assert moved.max() <= rest.min() if order == "lowest" else moved.min() >= rest.max()
    assert torch.equal(second["random"][0], second["random"][1])  # one draw for all images
    assert second["random"].ne(second["lowest"]).any() and second["random"].ne(second["highest"]).any()
    again, other = (list(guided_path(lambda x: S, x, max_dist=1, order="random", steps=4, seed=seed))[1].p for seed in (0, 1))
    assert torch.equal(again, list(guided_path(lambda x: S, x, max_dist=1, order="random", steps=4))[1].p)
    assert not torch.equal(again, other) and again.shape == (2, *size)


@pytest.mark.parametrize("order", ORDERS)
def test_batch_independence(order, tiny, images):
    model, x, classes = tiny.double(), images.double() * torch.tensor([1, 0.1, 5, 0]).view(4, 1, 1, 1), torch.tensor([0, 3, 1, 4])
    options = {"steps": 6, "order": order, "max_dist": 0.3}
    full = list(guided_path(signed_map(model, classes, "conv2"), x, **options))
    for rows in ([1], [3], [2, 0, 1]):
        part = guided_path(signed_map(model, classes[rows], "conv2"), x[rows], **options)
        for all_of_them, some in zip(full, part, strict=True):
            assert (all_of_them.x[rows] - some.x).abs().max() <= 1e-10
            assert torch.equal(all_of_them.passes[rows], some.passes)
    assert len(torch.stack([s.passes for s in full]).unique()) > 1 or order == "random"  # some images wait for others


def test_ties_move_together():
    """A flat map moves all pixels alike, also where resizing it leaves rounding; a symmetric one keeps an image symmetric."""
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    flat = list(guided_path(lambda x: torch.full((2, 2, 2), -0.7), x, steps=5, fraction=0.1, max_dist=1))
    for t, step in enumerate(flat):
        assert_close(step.p, torch.full_like(step.p, t / 5))
    mirrored = x + x.flip(3)
    for step in guided_path(lambda x: x.mean(1) - x.mean(1).square(), mirrored, steps=7, fraction=0.1, max_dist=0.5):
        assert_close(step.x, step.x.flip(3), rtol=0, atol=1e-6)
        assert step.t < 2 or step.p.std() > 0.05  # at black, the map is flat
    S = torch.tensor([[[1.0, 1.0, 1.0, 2.0]]])  # three pixels tie at the threshold of one: they share the way
    second = list(guided_path(lambda x: S, torch.ones(1, 1, 1, 4), steps=2, fraction=0.25, max_dist=1))[1]
    assert_close(second.p, torch.tensor([[[2 / 3, 2 / 3, 2 / 3, 0.0]]]))


def test_black_images_and_pixels_that_need_not_move():
    x = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    x[1], x[2, :, :4] = 0, 0
    path = list(guided_path(noise_map(), x, steps=5, max_dist=0.5))
    check_promises(path, x, torch.zeros_like(x), 0.5, 1e-6)
    assert all(torch.equal(s.x[1], x[1]) and torch.equal(s.x[2, :, :4], x[2, :, :4]) and s.passes[1] == 1 for s in path)
    for step in guided_path(noise_map(), x, x, steps=3):
        assert torch.equal(step.x, x)
    for size in ((1, 1), (1, 7), (3, 2)):  # also images smaller than the map's grid
        x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
        check_promises(list(guided_path(noise_map(), x, steps=4, max_dist=0.3)), x, torch.zeros_like(x), 0.3, 1e-6)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("order", ["lowest", "highest"])
def test_maps_that_are_not_finite_do_not_stop_the_walk(order, value):
    x = torch.ones(2, 1, 6, 6)
    M = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(0))
    M[0, :, :3], M[1] = value, value
    check_promises(list(guided_path(lambda x: M, x, steps=4, max_dist=1, order=order)), x, torch.zeros_like(x), 1, 1e-6)


def test_one_step_and_one_group():
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    (only,) = guided_path(noise_map(), x, "mean", steps=1)
    assert_close(only.x, x.mean((2, 3), keepdim=True).expand_as(x))
    assert only.passes.tolist() == [1, 1]
    for max_dist in (0.02, 1):  # fraction 1: whatever the map says, everybody moves
        for t, step in enumerate(guided_path(noise_map(), x, steps=8, fraction=1, max_dist=max_dist)):
            assert_close(step.x, x * t / 8)
            assert step.passes.tolist() == [1, 1]


def test_more_pixels_than_quantile_takes():
    x = torch.ones(1, 1, 4097, 4096)  # torch.quantile refuses more than 2^24 numbers in many versions
    first, second = guided_path(lambda x: torch.tensor([[[0.0, 3.0], [1.0, 2.0]]]), x, steps=2, fraction=0.5, max_dist=1)
    assert first.p.max() == 0 and second.p.mean(dtype=torch.float64).item() == pytest.approx(0.5, abs=1e-6)
    assert (second.p[0, :1000, :1000] == 1).all() and (second.p[0, :1000, -1000:] == 0).all()


@st.composite
def walks(draw):
    """v (B,P), ranks per step (T,B,P) with ties, fraction, max_dist."""
    B, P, T = draw(st.integers(1, 3)), draw(st.integers(1, 30)), draw(st.integers(1, 6))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    v = torch.rand(B, P, generator=rng, dtype=torch.float64) * torch.randint(0, 3, (B, P), generator=rng)
    ranks = torch.randint(0, draw(st.sampled_from([1, 3, 1000])), (T, B, P), generator=rng)
    return v, ranks, draw(st.floats(1e-3, 1)), draw(st.one_of(st.floats(1e-3, 1), st.sampled_from([0, 0.02, 1])))


@settings(deadline=None, max_examples=150)
@given(walks())
def test_advance(walk):
    """The distance is met, the corridor kept, nobody moves back, and of two pixels the one of lower rank goes first."""
    v, ranks, fraction, d = walk
    p = torch.zeros_like(v)
    for t, rank in enumerate(ranks):
        a = (t + 1) / len(ranks)
        new, passes = advance(p, rank, v, a, fraction, d)
        low, high = max(a - d, 0), min(a + d, 1)
        assert_close((new * v).sum(1), a * v.sum(1), rtol=1e-12, atol=1e-12)
        assert (new >= p - 1e-12).all() and (new >= low - 1e-12).all() and (new <= high + 1e-12).all()
        assert passes.dtype == torch.long and (passes >= 1).all() and (passes <= v.shape[1]).all()
        lifted = p.clamp(min=low)
        for b in range(len(v)):
            can = (v[b] > 0) & (lifted[b] < high - 1e-9)
            share = ((new[b] - lifted[b]) / (high - lifted[b]))[can]
            by_rank = share[rank[b][can].argsort(stable=True)]
            assert (by_rank.diff() <= 1e-6).all()  # first those that go all the way, then one group, then the untouched
            between = by_rank[(by_rank > 1e-6) & (by_rank < 1 - 1e-6)]
            assert len(between) == 0 or between.max() - between.min() < 1e-6
            for value in rank[b][can].unique():
                assert share[rank[b][can] == value].std(correction=0) < 1e-6
        p = new
    assert torch.equal(p, torch.ones_like(p))


def test_numbers_worked_by_hand():
    """Ten pixels of distance 1, ranks 0 to 9, from 0 to a mean of 0.4: groups of ceil(n / 4) are 3, 2 (of 7), 2 (of 5)."""
    p, v, rank = torch.zeros(2, 10), torch.ones(2, 10), torch.arange(10).expand(2, 10)
    new, passes = advance(p, rank, v, 0.4, 0.25, 0.2)
    # the corridor is 0.2 to 0.6: all at 0.2, 2 of 4 still missing; groups hold 1.2 and 0.8
    assert_close(new, torch.tensor([0.6] * 5 + [0.2] * 5).expand(2, 10))
    assert passes.tolist() == [2, 2]
    new, passes = advance(p, rank, v * torch.tensor([[1.0], [0.0]]), 0.4, 0.25, 1)
    assert_close(new[0], torch.tensor([1.0] * 3 + [0.5] * 2 + [0.0] * 5))
    assert passes.tolist() == [2, 1]
    p, v, rank = torch.zeros(1, 100), torch.ones(1, 100), 99 - torch.arange(100)[None]
    new, passes = advance(p, rank, v, 0.08, 0.07, 1)  # 0.07 of 100 is 7, whatever 0.07 * 100 is in binary; then 7 of 93
    assert_close(new, torch.tensor([[0.0] * 86 + [1 / 7] * 7 + [1.0] * 7]))
    assert passes.tolist() == [2]


class Syncs(TorchDispatchMode):
    """Counts what would make the host wait for a device: a tensor's value read, or a shape that depends on values."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += any(name in str(func) for name in self.NAMES)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("B", [1, 5])
def test_the_host_waits_once_per_pass_whatever_the_batch(B):
    x = torch.rand(B, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    path = guided_path(noise_map(), x, steps=6, max_dist=0.1, fraction=0.1)
    with Syncs() as seen:
        bool(torch.ones(1).any())
    assert seen.count == 1
    passes = []
    with Syncs() as seen:
        for step in path:
            passes.append(step.passes)
    assert seen.count == sum(int(n.max()) for n in passes[:-1])  # the last step has nothing to choose and does not ask
    assert seen.count > 6


class Live(TorchDispatchMode):
    """The largest number of bytes that tensors made inside held at any time."""

    def __init__(self):
        super().__init__()
        self.storages, self.peak = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                held = StorageWeakRef(tensor.untyped_storage())
                self.storages[held.cdata] = (held, tensor.untyped_storage().nbytes())
        self.storages = {k: (held, size) for k, (held, size) in self.storages.items() if not held.expired()}
        self.peak = max(self.peak, sum(size for _, size in self.storages.values()))
        return out


@pytest.mark.parametrize("options", [{}, {"accumulate": "released", "max_dist": 1}], ids=str)
def test_peak_memory_is_that_of_one_step(options, tiny, images):
    peaks = {}
    for T in (4, 20):
        with Live() as seen:
            camutils.gig_cam(tiny, images, 1, "conv2", steps=T, **options)
        peaks[T] = seen.peak
    with Live() as seen:
        kept = list(guided_path(signed_map(tiny, 1, "conv2"), images, steps=20))
    assert peaks[20] <= 1.001 * peaks[4] and peaks[4] > 10 * images.nbytes
    assert seen.peak > peaks[20] + 15 * images.nbytes and len(kept) == 20  # what keeping every step would take


@pytest.mark.parametrize("options, error, words", [
    ({"steps": 0}, ValueError, "0 steps; accepted: 1 or more"),
    ({"steps": 2.0}, TypeError, "steps is 2.0; accepted: a whole number of 1 or more"),
    ({"steps": True}, TypeError, "steps is True; accepted: a whole number"),
    ({"fraction": 0}, ValueError, "fraction 0; accepted: a number above 0 up to 1"),
    ({"fraction": 1.1}, ValueError, "fraction 1.1; accepted: a number above 0 up to 1"),
    ({"fraction": float("nan")}, ValueError, "fraction nan; accepted"),
    ({"fraction": "all"}, TypeError, "fraction is 'all'; accepted: a number above 0 up to 1"),
    ({"max_dist": -0.1}, ValueError, "max_dist -0.1; accepted: a number from 0 up to 1"),
    ({"max_dist": 2}, ValueError, "max_dist 2; accepted: a number from 0 up to 1"),
    ({"max_dist": None}, TypeError, "max_dist is None; accepted: a number from 0 up to 1"),
    ({"max_dist": False}, TypeError, "max_dist is False; accepted: a number"),
    ({"order": "shuffled"}, ValueError, "order 'shuffled'; accepted: lowest, highest, random"),
    ({"order": None}, ValueError, "order None; accepted: lowest, highest, random"),
    ({"seed": 1.5}, TypeError, "seed is 1.5; accepted: a whole number"),
    ({"seed": None}, TypeError, "seed is None; accepted: a whole number"),
    ({"baseline": "white"}, ValueError, "baseline 'white'; accepted: black, mean, blur, or a tensor"),
    ({"baseline": torch.zeros(5, 3, 1, 1)}, ValueError, r"shape \(5, 3, 1, 1\); accepted .* \(4, 3, 16, 16\)")])
def test_bad_options(options, error, words, images):
    with pytest.raises(error, match=words):  # at once, not at the first step
        guided_path(noise_map(), images, **options)


def test_bad_images_and_maps(images):
    with pytest.raises(ValueError, match=r"images have shape \(3, 16, 16\)"):
        guided_path(noise_map(), images[0])
    with pytest.raises(TypeError, match="unexpected keyword argument 'smooth'"):
        guided_path(noise_map(), images, smooth=1)
    for M in (torch.zeros(4, 2, 5, 5), torch.zeros(3, 5, 5), torch.zeros(4, 5)):
        with pytest.raises(ValueError, match=r"the path's map has shape .*; accepted: \(4, h, w\)"):
            next(guided_path(lambda x, M=M: M, images))
