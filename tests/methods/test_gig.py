"""Integrated Grad-CAM and GIG-CAM against loops over a full graph, and what a path must leave alone."""

import pytest
import torch
from conftest import Tiny, hooks, seeded, slow_walk, straight
from torch.testing import assert_close
from torchvision.transforms.functional import gaussian_blur

from camutils.core.maps import normalise, upsample
from camutils.methods.gig_cam import gig_cam, integrated_grad_cam, signed_map
from camutils.methods.parts.paths import ORDERS, guided_path

BOTH = {"integrated_grad_cam": integrated_grad_cam, "gig_cam": gig_cam}
CLASSES = [0, 3, 1, 4]


def grad_cam_sum(model, x, classes, layer):
    """sum_k mean(g_k) A_k from a full graph, channel by channel, without a ReLU."""
    A, g = straight(model, x, classes, layer)
    return sum(g[:, k].sum((1, 2)).view(-1, 1, 1) / g[0, k].numel() * A[:, k] for k in range(A.shape[1]))


@pytest.mark.parametrize("layer", ["conv1", "conv2", "relu3"])
@pytest.mark.parametrize("baseline", ["black", "mean", "blur", "own"])
def test_integrated_grad_cam_equals_the_loop(baseline, layer, tiny, images):
    model, x, T = tiny.double(), images.double(), 5
    start = {"black": torch.zeros_like(x), "mean": x.mean((2, 3), keepdim=True).expand_as(x), "own": 1.5 - x.flip(0)}
    given = start["own"] if baseline == "own" else baseline
    if baseline == "blur":
        start["blur"] = gaussian_blur(x, [11, 11], [5.0, 5.0])
    L = torch.zeros_like(grad_cam_sum(model, x, CLASSES, layer))
    for i in range(T):
        L += grad_cam_sum(model, start[baseline] + i / T * (x - start[baseline]), CLASSES, layer).clamp(min=0) / T
    assert L.amax((1, 2)).gt(0).any()
    assert_close(integrated_grad_cam(model, x, CLASSES, layer, raw=True, steps=T, baseline=given), L, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-6), (torch.float64, 1e-12)], ids=["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"order": "highest"}, {"order": "random", "fraction": 0.1}, {"accumulate": "released"}],
                         ids=str)
def test_max_dist_0_is_integrated_grad_cam(options, dtype, tolerance, tiny, images):
    model, x = tiny.to(dtype), images.to(dtype)
    for raw in (True, False):
        guided = gig_cam(model, x, CLASSES, "conv2", raw=raw, steps=7, max_dist=0, **options)
        linear = integrated_grad_cam(model, x, CLASSES, "conv2", raw=raw, steps=7)
        assert linear.max() > 0
        assert_close(guided, linear, rtol=0, atol=tolerance * linear.max().item())


@pytest.mark.parametrize("order", ORDERS)
def test_a_narrow_corridor_is_nearly_integrated_grad_cam(order, tiny, images):
    """The same limit through the code that sorts."""
    model, x = tiny.double(), images.double()
    near = gig_cam(model, x, CLASSES, "conv2", raw=True, steps=7, max_dist=1e-7, order=order)
    line = integrated_grad_cam(model, x, CLASSES, "conv2", raw=True, steps=7)
    assert not torch.equal(near, line)
    assert_close(near, line, rtol=0, atol=1e-5 * line.max().item())


@pytest.mark.parametrize("accumulate", ["uniform", "released"])
def test_gig_cam_equals_the_text_pixel_by_pixel(accumulate, tiny, images):
    model, x, T, (fraction, max_dist) = tiny.double(), images[:2].double(), 6, (0.25, 0.15)
    ours = gig_cam(model, x, CLASSES[:2], "conv2", raw=True, steps=T, fraction=fraction, max_dist=max_dist, accumulate=accumulate)
    for b in range(2):
        def M_at(point, b=b):
            return grad_cam_sum(model, point[None], CLASSES[b:b + 1], "conv2")

        walk = slow_walk(lambda point, M_at=M_at: upsample(M_at(point), point.shape[1:])[0], x[b], torch.zeros_like(x[b]), T,
                         fraction, max_dist)
        total, count = 0, 0
        for t, (point, passes) in enumerate(walk):
            weight = passes if accumulate == "released" and t < T - 1 else 1  # the last step moves all that is left
            total, count = total + weight * M_at(point)[0].relu(), count + weight
        assert count == T if accumulate == "uniform" else count > T
        assert_close(ours[b], total / count, rtol=1e-9, atol=1e-12)


def test_sum_over_the_path(tiny, images):
    """The map is the mean over the path's own maps: a user can walk by hand."""
    path = list(guided_path(signed_map(tiny, CLASSES, "conv2"), images, steps=5, max_dist=0.3))
    L = torch.stack([s.M.relu() for s in path]).mean(0)
    assert_close(gig_cam(tiny, images, CLASSES, "conv2", raw=True, steps=5, max_dist=0.3), L)
    assert_close(gig_cam(tiny, images, CLASSES, "conv2", steps=5, max_dist=0.3), normalise(upsample(L, (16, 16))))
    assert min(s.M.min() for s in path) < 0  # what steers is signed


def test_every_option_changes_the_map(tiny, images):
    default = {"steps": 6, "max_dist": 0.3}
    maps = [gig_cam(tiny, images, CLASSES, "conv2", **default | change) for change in (
        {}, {"steps": 5}, {"max_dist": 0.1}, {"fraction": 0.9}, {"order": "highest"}, {"order": "random"},
        {"order": "random", "seed": 1}, {"baseline": "mean"}, {"baseline": "blur"}, {"accumulate": "released"})]
    assert all(not torch.equal(a, b) for i, a in enumerate(maps) for b in maps[:i])
    assert torch.equal(maps[0], gig_cam(tiny, images, CLASSES, "conv2", **default, seed=1))  # nothing is drawn
    whole = gig_cam(tiny, images, CLASSES, "conv2", steps=6, max_dist=1, fraction=1)
    assert_close(whole, integrated_grad_cam(tiny, images, CLASSES, "conv2", steps=6), rtol=0, atol=1e-4)


def test_one_step_is_the_map_of_the_baseline(tiny, images):
    start = images.flip(0)
    expected = grad_cam_sum(tiny, start, CLASSES, "conv2").clamp(min=0)
    for method in BOTH.values():
        assert_close(method(tiny, images, CLASSES, "conv2", raw=True, steps=1, baseline=start), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", BOTH)
def test_shape_dtype_and_range(method, dtype, tiny, images):
    model, x = tiny.to(dtype), images.to(dtype)
    L, raw = (BOTH[method](model, x, CLASSES, "conv2", steps=3, raw=raw) for raw in (False, True))
    assert L.shape == (4, 16, 16) and L.dtype == torch.float32 and L.min() == 0 and L.max() == 1 and not L.requires_grad
    assert raw.shape == (4, 8, 8) and raw.dtype == dtype and raw.min() >= 0 and not raw.requires_grad
    several = BOTH[method](model, x, CLASSES, ["conv2", "conv3"], steps=3)
    each = [BOTH[method](model, x, CLASSES, n, steps=3) for n in ("conv2", "conv3")]
    assert_close(several, normalise(sum(each) / 2))


@pytest.mark.parametrize("order", ORDERS)
def test_batch_independence(order, images):
    model, rng = seeded(Tiny, size=16).double(), torch.Generator().manual_seed(5)
    x, classes = torch.rand(7, 3, 16, 16, generator=rng).double(), torch.randint(5, (7,), generator=rng)
    x[3] = 0
    options = {"steps": 8, "max_dist": 0.2, "order": order}
    full = gig_cam(model, x, classes, "conv2", **options)
    assert full.flatten(1).std(1).gt(0).sum() >= 4
    mixed = torch.randperm(7, generator=rng)
    for rows in ([0], [3], [2, 5], mixed.tolist()):
        assert (gig_cam(model, x[rows], classes[rows], "conv2", **options) - full[rows]).abs().max() <= 1e-10


def test_black_images(tiny, images):
    """An image that is its own baseline: the path stands still, the map is that of the image."""
    images[1] = 0
    for method in BOTH.values():
        raw = method(tiny, images, CLASSES, "conv2", raw=True, steps=4)
        assert raw.isfinite().all()
        assert_close(raw[1], grad_cam_sum(tiny, images, CLASSES, "conv2").clamp(min=0)[1])


@pytest.mark.parametrize("method", BOTH)
def test_targets_are_those_of_the_image(method, tiny, images):
    with torch.no_grad():  # the logits at black become 0, 0, 0, 0, 1e-6
        tiny.fc.bias -= tiny(torch.zeros(1, 3, 16, 16))[0] - torch.tensor([0, 0, 0, 0, 1e-6])
    top = tiny(images).argmax(1)
    assert tiny(torch.zeros_like(images)).argmax(1).tolist() == [4] * 4 and top.ne(4).any()
    f = BOTH[method]
    expected = f(tiny, images, top, "conv2", steps=4)
    assert torch.equal(f(tiny, images, None, "conv2", steps=4), expected)
    assert not torch.equal(f(tiny, images, 4, "conv2", steps=4), expected)
    by_function = f(tiny, images, lambda out: out.gather(1, top[:, None])[:, 0], "conv2", steps=4)
    assert_close(by_function, expected)


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("targets, layer, forwards", [(1, "conv2", [4] * 6), (None, "conv2", [4] * 7),
                                                      (1, ["conv2", "conv3"], [4] * 12), (1, None, [1] + [4] * 6)])
def test_passes(targets, layer, forwards, method, tiny, images):
    """T forward passes, each with one gradient of the head; one more for targets=None, one image for a layer to be found."""
    seen, back = [], []
    tiny.conv1.register_forward_hook(lambda m, i, out: seen.append(len(out)))

    def watch(m, i, out):
        if out.requires_grad:
            out.register_hook(lambda g: back.append(len(g)))

    tiny.fc.register_forward_hook(watch)
    BOTH[method](tiny, images, targets, layer, steps=6)
    assert seen == forwards and back == [4] * 6 * (2 if isinstance(layer, list) else 1)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("method", BOTH)
def test_callers_grad_mode(method, mode, tiny, images):
    expected = BOTH[method](tiny, images, CLASSES, "conv2", steps=4)
    with mode():
        made_inside = images + 0
        assert torch.equal(BOTH[method](tiny, made_inside, CLASSES, "conv2", steps=4), expected)
        assert torch.is_grad_enabled() == (mode is torch.enable_grad)
    leaf = images.clone().requires_grad_()
    out = BOTH[method](tiny, leaf, CLASSES, "conv2", steps=4, baseline=torch.zeros(3, 1, 1, requires_grad=True))
    assert torch.equal(out, expected) and not out.requires_grad and leaf.grad is None


def state(model):
    return ([m.training for m in model.modules()], hooks(model), [p.grad for p in model.parameters()],
            [p.requires_grad for p in model.parameters()], [b.tolist() for b in model.buffers()], torch.get_rng_state().tolist(),
            torch.is_grad_enabled(), torch.is_inference_mode_enabled())


@pytest.mark.parametrize("order", ["lowest", "random"])
def test_nothing_of_the_callers_changes(order, tiny, images):
    tiny.train()
    tiny.bn1.eval()
    before, x = state(tiny), images.clone()
    finished = gig_cam(tiny, images, None, "conv2", steps=3, order=order)
    integrated_grad_cam(tiny, images, None, "conv2", steps=3)
    assert state(tiny) == before and torch.equal(images, x) and finished.max() == 1
    walk = guided_path(signed_map(tiny, 1, "conv2"), images, steps=5, order=order)
    for _ in range(2):  # between the steps, and for a consumer that leaves early
        next(walk)
        assert state(tiny) == before
    walk.close()
    del walk
    assert state(tiny) == before and torch.equal(images, x)

    def fails(out):
        calls.append(1)
        return out[:, 1] if len(calls) < 3 else 1 / 0

    calls = []
    with pytest.raises(ZeroDivisionError):
        gig_cam(tiny, images, fails, "conv2", steps=5, order=order)
    assert state(tiny) == before and len(calls) == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", BOTH)
def test_half_precision(method, dtype, tiny, images):
    """No comparison to float32 bit by bit: a pixel whose turn comes earlier or later makes a small difference."""
    expected = BOTH[method](tiny, images, CLASSES, "conv2", raw=True, steps=5)
    low = BOTH[method](tiny.to(dtype), images.to(dtype), CLASSES, "conv2", raw=True, steps=5)
    assert low.dtype == torch.float32
    assert ((low - expected).norm() / expected.norm()).item() < (0.01 if dtype == torch.float16 else 0.08)
    points = guided_path(signed_map(tiny, CLASSES, "conv2"), images.to(dtype), steps=5)
    for t, step in enumerate(points):
        assert step.x.dtype == dtype and step.p.dtype == torch.float32
        left = (images.to(dtype).float() - step.x.float()).abs().sum((1, 2, 3))
        assert_close(left, (1 - t / 5) * images.sum((1, 2, 3)), rtol=2 * torch.finfo(dtype).eps, atol=0)


def test_autocast(tiny, images):
    expected = gig_cam(tiny, images, CLASSES, "conv2", raw=True, steps=4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = gig_cam(tiny, images, CLASSES, "conv2", raw=True, steps=4)
    assert low.dtype == torch.float32 and not torch.equal(low, expected)
    assert ((low - expected).norm() / expected.norm()).item() < 0.08


@pytest.mark.parametrize("method", BOTH)
def test_memory_formats(method, tiny, images):
    expected = BOTH[method](tiny, images, CLASSES, "conv2", steps=4)
    for same in (images.contiguous(memory_format=torch.channels_last), images.transpose(2, 3).contiguous().transpose(2, 3)):
        assert_close(BOTH[method](tiny, same, CLASSES, "conv2", steps=4), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("options, error, words", [
    ({"steps": 0}, ValueError, "0 steps; accepted: 1 or more"),
    ({"steps": "30"}, TypeError, "steps is '30'; accepted: a whole number"),
    ({"baseline": "white"}, ValueError, "baseline 'white'; accepted: black, mean, blur, or a tensor"),
    ({"baseline": 0}, TypeError, "baseline is a int; accepted: black, mean, blur, or a tensor"),
    ({"baseline": torch.zeros(3, 3, 16, 16)}, ValueError, r"baseline has shape \(3, 3, 16, 16\)"),
    ({"smooth": True}, TypeError, "unexpected keyword argument 'smooth'")])
def test_bad_options(options, error, words, method, tiny, images):
    with pytest.raises(error, match=words):
        BOTH[method](tiny, images, 1, "conv2", **options)


@pytest.mark.parametrize("options, error, words", [
    ({"fraction": 0.0}, ValueError, "fraction 0.0; accepted: a number above 0 up to 1"),
    ({"fraction": None}, TypeError, "fraction is None; accepted: a number above 0 up to 1"),
    ({"max_dist": 1.5}, ValueError, "max_dist 1.5; accepted: a number from 0 up to 1"),
    ({"max_dist": "0.02"}, TypeError, "max_dist is '0.02'; accepted: a number from 0 up to 1"),
    ({"order": "low"}, ValueError, "order 'low'; accepted: lowest, highest, random"),
    ({"seed": "a"}, TypeError, "seed is 'a'; accepted: a whole number"),
    ({"accumulate": "all"}, ValueError, "accumulate 'all'; accepted: uniform, released"),
    ({"accumulate": None}, ValueError, "accumulate None; accepted: uniform, released")])
def test_bad_options_of_the_guided_path(options, error, words, tiny, images):
    seen = []
    tiny.conv1.register_forward_hook(lambda m, i, out: seen.append(1))
    with pytest.raises(error, match=words):
        gig_cam(tiny, images, None, "conv2", **options)
    assert not seen  # before anything runs
