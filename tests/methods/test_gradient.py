"""The Grad-CAM family against plain loops, hand-worked numbers, and what every heat map promises."""

import pytest
import torch
from conftest import Tiny, linear_network, seeded
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

import camutils
from camutils import METHODS, grad_cam, hires_cam, normalise, probe, upsample


def loop(method, A, g):
    """The definition, one image, channel and position after another. A, g: (B, K, h, w) -> (B, h, w)."""
    B, K, h, w = A.shape
    cells = [(i, j) for i in range(h) for j in range(w)]
    L = torch.zeros(B, h, w, dtype=A.dtype)
    for b in range(B):
        for k in range(K):
            a, d = A[b, k].tolist(), g[b, k].tolist()
            total = sum(a[i][j] for i, j in cells)
            alpha = {(i, j): d[i][j] ** 2 / (2 * d[i][j] ** 2 + total * d[i][j] ** 3) if d[i][j] else 0 for i, j in cells}
            if method == "grad_cam_pp normalized":
                positive = sum(v for (i, j), v in alpha.items() if d[i][j] > 0)
                alpha = {(i, j): v / positive if d[i][j] > 0 else 0 for (i, j), v in alpha.items()}
            weight = {"grad_cam": sum(d[i][j] for i, j in cells) / (h * w),
                      "grad_cam_pp": sum(alpha[i, j] * max(d[i][j], 0) for i, j in cells)}
            weight["grad_cam_pp normalized"] = weight["grad_cam_pp"]
            for i, j in cells:
                at = {"layer_cam": max(d[i][j], 0), "hires_cam": d[i][j]}
                L[b, i, j] += weight.get(method, at.get(method)) * a[i][j]
    return L.clamp(min=0)

FAMILY = ("grad_cam", "grad_cam_pp", "layer_cam", "hires_cam")


@pytest.mark.parametrize("layer", ["conv1", "relu1", "conv2", "relu2"])
@pytest.mark.parametrize("method", [*FAMILY, "grad_cam_pp normalized"])
def test_equals_the_loop(method, layer, tiny, images):
    model, x, classes = tiny.double(), images.double(), [0, 3, 1, 4]
    A, g = probe(model, x, classes, layer)
    name, _, variant = method.partition(" ")
    options = {"normalize_alpha": True} if variant else {}
    ours, expected = METHODS[name](model, x, classes, layer, raw=True, **options), loop(method, A, g)
    assert expected.amax((1, 2)).gt(0).any()
    assert_close(ours, expected, rtol=1e-8, atol=1e-10 * expected.max().item())


@pytest.mark.parametrize("variant", ["grad_cam_pp", "grad_cam_pp normalized"])
def test_alpha_may_be_negative(variant):
    """sum A < 0 makes alpha and its sum negative, and a gradient of 0 in between stays out: the loop decides."""
    net = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.Flatten(), nn.Linear(8, 1, bias=False)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(2).view(2, 2, 1, 1))
        net[2].weight.copy_(torch.tensor([[1.0, 2.0, 0.0, -1.0, 0.5, 1.5, 3.0, 0.0]]))
    x = torch.tensor([[-4.0, 1.0, -6.0, 3.0, -2.0, -1.0, 1.0, -3.0]], dtype=torch.float64).view(1, 2, 2, 2)
    A, g = probe(net, x, 0, "0")
    alpha = 1 / (2 + A.sum((2, 3), keepdim=True) * g)
    assert alpha[g > 0].max() < 0
    ours = camutils.grad_cam_pp(net, x, 0, "0", raw=True, normalize_alpha="normalized" in variant)
    assert ours.max() > 0
    assert_close(ours, loop(variant, A, g))


def hand_network():
    """conv 1 -> 2 of ones with biases -50 and -75, ReLU, fc 8 -> 4 with weights 1 for channel 0's cells, -1 for three others."""
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4)).eval()
    with torch.no_grad():
        net[0].weight.fill_(1)
        net[0].bias.copy_(torch.tensor([-50.0, -75.0]))
        net[3].weight.copy_(torch.tensor([1.0] * 5 + [-1.0] * 3).expand(4, 8))
        net[3].bias.zero_()
    return net, torch.arange(16.0).view(1, 1, 4, 4)


def test_numbers_worked_by_hand():
    net, image = hand_network()
    at_conv, at_relu = (grad_cam(net, image, 0, layer, raw=True)[0] for layer in ("0", "1"))
    assert_close(at_conv, torch.tensor([[11.25, 13.5], [20.25, 22.5]]), rtol=0, atol=0)
    assert_close(at_relu, torch.tensor([[0.0, 4.0], [28.0, 32.5]]), rtol=0, atol=0)
    finished = normalise(upsample(torch.tensor([[[0.0, 4.0], [28.0, 32.5]]]), (4, 4)))
    assert_close(grad_cam(net, image, 0, "1"), finished)


@pytest.mark.parametrize("method", FAMILY)
def test_shape_dtype_and_range(method, tiny, images):
    for dtype in (torch.float32, torch.float64):
        model, x = tiny.to(dtype), images.to(dtype)
        finished, raw = METHODS[method](model, x, 2, "conv3"), METHODS[method](model, x, 2, "conv3", raw=True)
        assert finished.shape == (4, 16, 16) and finished.dtype == torch.float32 and not finished.requires_grad
        assert raw.shape == (4, 8, 8) and raw.dtype == dtype and not raw.requires_grad and raw.min() >= 0
        live = raw.flatten(1).std(1) > 0
        assert live.any()
        assert (finished[live].amin((1, 2)) == 0).all() and (finished[live].amax((1, 2)) == 1).all()
        assert_close(finished, normalise(upsample(raw, (16, 16))).float(), rtol=0, atol=0)


@pytest.mark.parametrize("method", FAMILY)
def test_constant_map_gives_zeros(method):
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.fill_(0.3)
        net[3].weight.fill_(0.7)
    x = torch.rand(2, 3, 8, 8)
    assert METHODS[method](net, x, 1, "0", raw=True).min() > 0
    assert torch.equal(METHODS[method](net, x, 1, "0"), torch.zeros(2, 8, 8))


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-10)], ids=["float32", "float64"])
@pytest.mark.parametrize("method", FAMILY)
def test_batch_independence(method, dtype, tolerance):
    model = seeded(Tiny, size=16).to(dtype)
    rng = torch.Generator().manual_seed(5)
    x, classes = torch.rand(9, 3, 16, 16, generator=rng).to(dtype), torch.randint(5, (9,), generator=rng)
    full = METHODS[method](model, x, classes, "conv2")
    order = torch.randperm(9, generator=rng)
    shuffled = METHODS[method](model, x[order], classes[order], "conv2")
    assert full.flatten(1).std(1).gt(0).sum() >= 5 and not torch.equal(full[order], full)
    assert (shuffled - full[order]).abs().max() <= tolerance
    for rows in ([0], [7], [2, 5, 8]):
        assert (METHODS[method](model, x[rows], classes[rows], "conv2") - full[rows]).abs().max() <= tolerance


def test_last_layer_cannot_tell_grad_cam_and_hires_cam_apart(tiny, images):
    model, x = tiny.double(), images.double()
    last = [m(model, x, 1, "relu3", raw=True) for m in (grad_cam, hires_cam)]
    earlier = [m(model, x, 1, "relu2", raw=True) for m in (grad_cam, hires_cam)]
    assert last[0].max() > 0
    assert_close(*last)
    assert (earlier[0] - earlier[1]).abs().max() > 0.05 * earlier[0].max()


@pytest.mark.parametrize("method", FAMILY)
def test_list_of_layers_and_all(method, tiny, images):
    f = METHODS[method]
    one = {n: f(tiny, images, 1, n) for n in ("conv1", "conv2", "conv3", "relu2")}
    mean = normalise((one["relu2"] + one["conv3"]) / 2)
    assert_close(f(tiny, images, 1, ["relu2", "conv3"]), mean)
    assert_close(f(tiny, images, 1, (tiny.relu2, "conv3")), mean)
    assert_close(f(tiny, images, 1, "all"), normalise((one["conv1"] + one["conv2"] + one["conv3"]) / 3))
    assert torch.equal(f(tiny, images, 1, ["conv3"]), one["conv3"])
    assert f(tiny, images, 1, ["conv3"], raw=True).shape == (4, 8, 8)
    with pytest.raises(ValueError, match="raw=True with 2 layers; accepted: raw maps of one layer"):
        f(tiny, images, 1, ["conv2", "conv3"], raw=True)


def test_targets_in_every_form(tiny, images):
    logits = tiny(images).detach()
    top = logits.argmax(1)
    expected = grad_cam(tiny, images, top)
    for same in (None, top.tolist(), top.int(), top.numpy(), lambda out: out.max(1).values):
        assert_close(grad_cam(tiny, images, same), expected)
    assert torch.equal(grad_cam(tiny, images, 2), grad_cam(tiny, images, [2, 2, 2, 2]))
    assert not torch.equal(grad_cam(tiny, images, 2), grad_cam(tiny, images, 3))


maps = st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=9, max_size=9), min_size=1, max_size=3).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64).view(-1, 3, 3))


@given(maps)
def test_normalise_range(L):
    out = normalise(L)
    assert out.min() >= 0 and out.max() <= 1
    for one, given_map in zip(out, L, strict=True):
        span = (given_map.max() - given_map.min()).item()
        if span > 1e-9 * given_map.abs().max():
            assert one.min() == 0 and one.max() == 1
            assert_close(one, (given_map - given_map.min()) / span)


@given(maps, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_normalise_ignores_positive_affine_maps(L, scale, shift):
    span = L.amax((1, 2)) - L.amin((1, 2))
    L = L[span > 1e-2]
    if len(L):
        assert_close(normalise(scale * L + shift), normalise(L), rtol=0, atol=1e-5)


@given(st.floats(-(2.0**100), 2.0**100, width=32), st.sampled_from([torch.float32, torch.float64]))
def test_normalise_constant_gives_zeros(value, dtype):
    assert torch.equal(normalise(torch.full((2, 3, 4), value, dtype=dtype)), torch.zeros(2, 3, 4, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normalise_takes_rounding_for_constant(dtype):
    noise = torch.finfo(dtype).eps * torch.randint(-2, 3, (1, 5, 5), generator=torch.Generator().manual_seed(0))
    L = 0.7 * (1 + noise.to(dtype))
    assert L.std() > 0 and torch.equal(normalise(L), torch.zeros_like(L))
    assert normalise(L * torch.linspace(1, 1 + 1e-4, 5, dtype=dtype)).max() == 1  # a slight slope is one


def test_upsample_is_bilinear_without_aligned_corners():
    out = camutils.upsample(torch.tensor([[[0.0, 1.0]]]), (1, 4))
    assert_close(out, torch.tensor([[[0.0, 0.25, 0.75, 1.0]]]))


def test_grad_cam_before_its_relu():
    """A (2,2,2) and gradients whose channel means are 1 and -1: the sum is A_0 - A_1, signed; by min-max 0 to 1."""
    A = torch.tensor([[[1.0, 2], [3, 4]], [[4.0, 2], [0, 1]]])
    model = linear_network(torch.tensor([1.0, -1])[:, None, None].expand(2, 2, 2))
    signed = torch.tensor([[[-3.0, 0], [3, 3]]])
    assert_close(grad_cam(model, A[None], 0, "0", raw=True, relu=False), signed)
    assert_close(grad_cam(model, A[None], 0, "0", raw=True), signed.relu())
    assert_close(grad_cam(model, A[None], 0, "0", relu=False), torch.tensor([[[0, 0.5], [1, 1]]]))


def test_before_the_relu_where_something_is_shown_the_order_is_the_same(tiny, images):
    cut, signed = (grad_cam(tiny, images, 1, "conv3", raw=True, relu=relu) for relu in (True, False))
    assert torch.equal(cut, signed.relu()) and (signed < 0).any() and (signed > 0).any()
    assert torch.equal(grad_cam(tiny, images, 1, "conv3", relu=True), grad_cam(tiny, images, 1, "conv3"))
    both = grad_cam(tiny, images, 1, ["conv2", "conv3"], relu=False)
    assert both.min() == 0 and both.max() == 1
