"""Links and alpha: closed forms against nested autograd, entry by entry; limits; what is refused."""

import math

import pytest
import torch
from conftest import Tiny, seeded
from torch import nn
from torch.testing import assert_close

from camutils import grad_cam_pp, probe_layers
from camutils.methods.parts.links import LINKS, _reciprocal, alpha, alpha_exact, alpha_from, link_derivatives, rho
from camutils.methods.parts.rivals import rival_derivatives

WRITTEN = {  # the functions themselves, for the oracle
    "linear": lambda s: 3 * s + 1, "exp": torch.exp, "softplus": lambda s: torch.log1p(torch.exp(s)),
    "sigmoid": lambda s: 1 / (1 + torch.exp(-s)), "tanh": torch.tanh, "square": lambda s: s * s}


def arctan(s):
    return torch.atan(s)


def cubic(s):
    return s**3 + 2 * s


def orders(f, x):
    """f', f'', f''' at a number, by autograd of autograd of autograd."""
    x = torch.tensor(float(x), dtype=torch.float64, requires_grad=True)
    y, found = f(x), []
    for _ in range(3):
        (y,) = torch.autograd.grad(y, x, create_graph=True, materialize_grads=True) if y.requires_grad else (0 * x,)
        found.append(y.item())
    return found


@pytest.mark.parametrize("link", [*LINKS, arctan, cubic])
def test_derivatives_are_those_of_the_function(link):
    S = torch.tensor([-6.0, -2.5, -0.7, -1e-3, 1e-3, 0.4, 1.3, 5.0], dtype=torch.float64)
    sign, second, third = link_derivatives(S, link)
    for i, s in enumerate(S):
        first, f2, f3 = orders(WRITTEN.get(link, link), s)
        assert sign[i] == math.copysign(1, first)
        size = max(abs(f2), abs(f3)) or 1.0
        own = max(abs(second[i]), abs(third[i])) or 1.0
        expected = torch.tensor([f2, f3], dtype=torch.float64) / size
        assert_close(torch.stack([second[i], third[i]]) / own, expected, rtol=1e-8, atol=1e-8)


def test_rho_in_closed_form():
    S = torch.linspace(-4, 4, 17, dtype=torch.float64)
    s, t = torch.sigmoid(S), torch.tanh(S)
    away = S.abs() > 1e-9
    assert_close(rho(S, "exp"), torch.ones_like(S))
    assert torch.equal(rho(S), rho(S, "exp"))
    assert_close(rho(S, "softplus"), 1 - 2 * s)
    assert_close(rho(S, "sigmoid")[away], ((1 - 6 * s + 6 * s**2) / (1 - 2 * s))[away])
    assert_close(rho(S, "tanh")[away], ((1 - 3 * t**2) / t)[away])
    assert torch.equal(rho(S, "square"), torch.zeros_like(S)) and rho(S, "linear").isnan().all()
    assert rho(S, "sigmoid")[~away].isinf().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_limits_without_overflow(dtype):
    S = torch.tensor([-1e4, -800.0, 800.0, 1e4], dtype=dtype)
    for link, low, high in [("exp", 1, 1), ("softplus", 1, -1), ("sigmoid", 1, -1), ("tanh", 2, -2), ("square", 0, 0)]:
        assert torch.equal(rho(S, link), torch.tensor([low, low, high, high], dtype=dtype))
        assert link_derivatives(S, link)[0].tolist() == ([-1, -1, 1, 1] if link == "square" else [1] * 4)


class Head(nn.Sequential):
    """Piecewise linear, 5 classes: conv, batch norm, ReLU, max-pool, linear, ReLU, linear, from maps of 2 x 4 x 4."""

    def __init__(self, activation=nn.ReLU):
        super().__init__(nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), activation(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(24, 8), activation(), nn.Linear(8, 5))


def network(activation=nn.ReLU, scale=3.0):
    """A stem whose output, of both signs, is explained, and a head above it; float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = nn.Sequential(nn.Conv2d(3, 2, 3, 2, 1), Head(activation)).double().eval()
        for m in net.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.normal_()
                m.running_var.uniform_(0.5, 2)
        net[1][-1].weight.data.mul_(scale)
    return net, torch.rand(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(4)) * 4 - 1.5


def brute(Y, A, floor=None):
    """alpha by its definition: nested autograd with respect to each single entry. Y: (1,K,h,w) -> scalar. A (K,h,w)."""
    out = torch.zeros(A.shape, dtype=A.dtype)
    for index in range(A.numel()):
        at = A.clone()[None].requires_grad_()
        y, found = Y(at), []
        for _ in range(3):
            (d,) = torch.autograd.grad(y, at, create_graph=True, materialize_grads=True)
            y = d.flatten()[index]
            found.append(y.item())
            y = y if y.requires_grad else y + 0 * at.sum()
        _, second, third = found
        denominator = 2 * second + A[index // A[0].numel()].sum().item() * third
        if second and floor is not None:
            denominator = second * max(denominator / second, floor)
        out.view(-1)[index] = second / denominator if second else (0.0 if third else 1 / A[0].numel())
    return out


@pytest.mark.parametrize("floor", [None, 1.0])
@pytest.mark.parametrize("link", [*LINKS, arctan, cubic])
def test_alpha_is_nested_autograd_entry_by_entry(link, floor):
    net, x = network()
    classes = [0, 2, 4]
    seen = probe_layers(net, x, classes, "0")
    A, g = seen.A["0"], seen.g["0"]
    ours = alpha(A, g, seen.S, link, floor=floor)
    f = WRITTEN.get(link, link)
    for b, c in enumerate(classes):
        expected = brute(lambda a, c=c: f(net[1](a)[0, c]), A[b], None if link == "exp" else floor)
        live = g[b] != 0
        assert live.sum() > 8
        assert_close(ours[b][live], expected[live], rtol=1e-8, atol=1e-10)
    assert (ours[g == 0] == 0).all()
    if floor == 1.0 and link != "exp":
        assert ours.min() >= 0 and ours.max() <= 1


@pytest.mark.parametrize("link", ["softmax", "log_odds"])
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_alpha_of_the_links_of_all_logits_is_nested_autograd(link, scale):
    net, x = network(scale=scale)
    classes = [0, 2, 4]
    seen, Y, used = rival_derivatives(net, x, classes, "0", link, mass=1)
    (first, second, third), A = Y["0"], seen.A["0"]
    ours = alpha_from(A, second, third, floor=None)
    assert used.tolist() == [5, 5, 5]
    for b, c in enumerate(classes):
        def f(a, c=c):
            p = net[1](a).softmax(1)[0, c]
            return p if link == "softmax" else (p / (1 - p)).log()
        live = seen.g["0"][b] != 0
        assert_close(ours[b][live], brute(f, A[b])[live], rtol=1e-6, atol=1e-8)
        at = A[b][None].clone().requires_grad_()
        (d,) = torch.autograd.grad(f(at), at)
        assert_close(first[b] / first[b].abs().max(), d[0] / d.abs().max(), rtol=1e-8, atol=1e-10)


def test_softmax_is_the_formula_of_the_moments():
    """Y' = y (g_c - mu), Y'' = y [(g_c - mu)^2 - V], Y''' = y [(g_c - mu)^3 - 3 (g_c - mu) V - M3], class by class."""
    model, x = seeded(Tiny, size=16).double(), torch.rand(2, 3, 16, 16, dtype=torch.float64)
    seen, Y, _ = rival_derivatives(model, x, [1, 3], "conv2", mass=1)
    p = seen.output.detach().softmax(1)[:, :, None, None, None]
    G = torch.stack([probe_layers(model, x, c, "conv2").g["conv2"] for c in range(5)], 1)
    d = G[[0, 1], [1, 3]] - (p * G).sum(1)
    centred = G - (p * G).sum(1, keepdim=True)
    V, M3 = (p * centred**2).sum(1), (p * centred**3).sum(1)
    y = p[[0, 1], [1, 3]]
    for ours, expected in zip(Y["conv2"], (y * d, y * (d**2 - V), y * (d**3 - 3 * d * V - M3)), strict=True):
        assert_close(ours * (y * (1 - y)), expected, rtol=1e-9, atol=1e-12 * expected.abs().max().item())


def test_truncated_softmax_uses_fewer_classes_and_nearly_the_same_derivatives():
    model, x = seeded(Tiny, size=16).double(), torch.rand(3, 3, 16, 16, dtype=torch.float64)
    model.fc.weight.data.mul_(300)
    exact, short = (rival_derivatives(model, x, [0, 1, 2], "conv3", "log_odds", mass=m) for m in (1, 0.999))
    assert exact.classes.tolist() == [5, 5, 5] and (short.classes < 5).any() and (short.classes >= 3).all()
    for a, b in zip(exact.Y["conv3"][:1], short.Y["conv3"][:1], strict=True):
        assert (a - b).abs().max() < 5e-3 * a.abs().max()
    two = rival_derivatives(model, x, [0, 1, 2], "conv3", "log_odds", mass=1e-6)
    assert two.classes.tolist() == [3, 3, 3]


def test_two_classes_make_log_odds_linear():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 2)).double()
    seen, Y, used = rival_derivatives(net, torch.rand(2, 3, 8, 8, dtype=torch.float64), 0, "1", "log_odds")
    assert used.tolist() == [2, 2] and (alpha_from(seen.A["1"], *Y["1"][1:]) == 1 / 36).all().item()


@pytest.mark.parametrize("link", ["softmax", "log_odds"])
@pytest.mark.parametrize("target, size", [(0, 1e4), (1, 1e4), (0, -1e4)])
def test_huge_logits_of_all_classes(link, target, size):
    model, x = seeded(Tiny, size=16), torch.rand(2, 3, 16, 16)
    model.fc.bias.data.copy_(torch.tensor([size, 0.0, 1.0, -3.0, 0.5]))
    seen, Y, _ = rival_derivatives(model, x, target, "conv3", link)
    assert all(d.isfinite().all() for d in Y["conv3"]) and Y["conv3"][0].abs().max() > 1e-4
    weights = alpha_from(seen.A["conv3"], *Y["conv3"][1:])
    assert weights.isfinite().all() and weights.max() > 0


def test_exp_is_grad_cam_pp(tiny, images):
    model, x = tiny.double(), images.double()
    seen = probe_layers(model, x, 2, "conv2")
    A, g = seen.A["conv2"], seen.g["conv2"]
    expected = torch.where(g != 0, g**2 / (2 * g**2 + A.sum((2, 3), keepdim=True) * g**3), 0)
    assert_close(alpha(A, g), expected, rtol=1e-9, atol=1e-12)
    for floor in (None, 0.7):
        assert torch.equal(alpha(A, g), alpha(A, g, seen.S, "exp", floor=floor))
    w = (alpha(A, g) * g.relu()).sum((2, 3), keepdim=True)
    assert_close(grad_cam_pp(model, x, 2, "conv2", raw=True), (w * A).sum(1).relu())


def piecewise(s):
    return torch.relu(s) + 0.5 * s


@pytest.mark.parametrize("link", ["linear", torch.relu, piecewise])
def test_no_curvature_is_the_limit_of_a_constant_alpha(link):
    rng = torch.Generator().manual_seed(0)
    A, g, S = torch.rand(2, 3, 4, 5, generator=rng), torch.randn(2, 3, 4, 5, generator=rng), torch.tensor([2.0, 3.0])
    assert_close((alpha(A, g, S, link) * g.relu()).sum((2, 3)), g.relu().mean((2, 3)))


def test_floor_where_rho_is_negative():
    A = torch.tensor([[[[1.0, 3.0]]]])
    for slope, expected in [(0.1, 1 / 1.6), (0.25, 1.0), (0.49, 1.0), (0.5, 1.0), (0.7, 1.0)]:  # 2 - 4 g = 1.6, 1, 0.04, 0, -0.8
        weights = alpha(A, torch.full_like(A, slope), torch.tensor([1e4]), "sigmoid")
        assert_close(weights, torch.full_like(A, expected))
    S = torch.tensor([1e4])
    bare = [alpha(A, torch.full_like(A, g), S, "sigmoid", floor=None)[0, 0, 0, 0].item() for g in (0.49, 0.5, 0.7)]
    assert bare[0] == pytest.approx(25, rel=1e-3) and bare[1] == 0 and bare[2] == pytest.approx(-1.25)
    assert alpha(A, torch.ones_like(A), torch.zeros(1), "sigmoid").abs().max() == 0  # f'' = 0 at the inflection


@pytest.mark.parametrize("link", [*LINKS, arctan])
def test_alpha_is_finite_for_any_score(link):
    rng = torch.Generator().manual_seed(0)
    A, g = torch.randn(6, 3, 4, 4, generator=rng), torch.randn(6, 3, 4, 4, generator=rng)
    A[0], g[1], A[2, :, 0, 0] = 0, 0, -A[2].sum((1, 2)) + A[2, :, 0, 0]
    weights = alpha(A, g, torch.tensor([0.0, 1e4, -1e4, 30.0, -1e-30, 88.0]), link)
    assert weights.isfinite().all() and (weights[g == 0] == 0).all()


@pytest.mark.parametrize("activation", [nn.ReLU, nn.SiLU, nn.GELU])
def test_exact_alpha_of_any_head(activation):
    net, x = network(activation)
    seen = probe_layers(net, x[:1], 1, "0")
    A, g = seen.A["0"], seen.g["0"]
    exact = alpha_exact(lambda a: net[1](a[None])[0, 1].exp(), A, chunk=7)
    live = g != 0
    assert_close(exact[live], brute(lambda a: net[1](a)[0, 1].exp(), A[0])[None][live], rtol=1e-7, atol=1e-9)
    close = torch.allclose(exact[live], alpha(A, g)[live], rtol=1e-6)
    assert close == (activation is nn.ReLU)  # above smooth activations the closed form leaves their curvature out


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_own_function_inside_the_callers_context(context):
    S = torch.tensor([0.5, -1.0])
    expected = link_derivatives(S, arctan)
    with context():
        for ours, same in zip(link_derivatives(S.clone(), arctan), expected, strict=True):
            assert torch.equal(ours, same)


def no_tensor(s):
    return 3.0


def through_numpy(s):
    return torch.from_numpy(s.detach().numpy() ** 2)


def infinite(s):
    return torch.log(s)


def root(s):
    return torch.sqrt(s.abs())


class OnceOnly(torch.autograd.Function):
    @staticmethod
    def forward(ctx, s):
        return s * 2

    @staticmethod
    def backward(ctx, d):
        return d


def once(s):
    return OnceOnly.apply(s)


@pytest.mark.parametrize("link, words", [(no_tensor, "no_tensor cannot be differentiated three times"),
                                         (through_numpy, "through_numpy cannot be differentiated three times"),
                                         (once, "once cannot be differentiated three times"),
                                         (lambda s: torch.stack([s, s]), "lambda> cannot be differentiated three times"),
                                         (infinite, "infinite has no finite f, f', f'', f''' at S = 0"),
                                         (root, "root has no finite f, f', f'', f''' at S = 0")])
def test_functions_without_three_derivatives(link, words):
    with pytest.raises(ValueError, match=words):
        link_derivatives(torch.tensor([1.0, 0.0]), link)


def test_names_that_are_no_link():
    S, A = torch.ones(2), torch.rand(2, 1, 2, 2)
    with pytest.raises(ValueError, match="link 'relu'; accepted: linear, exp, .* softmax, log_odds, or"):
        link_derivatives(S, "relu")
    with pytest.raises(TypeError, match="link is a int; accepted: linear, exp"):
        link_derivatives(S, 3)
    with pytest.raises(ValueError, match="link 'softmax' depends on every logit; accepted here: linear, exp"):
        alpha(A, A, S, "softmax")
    with pytest.raises(ValueError, match="S is missing; accepted without it: the links exp and linear, not 'tanh'"):
        alpha(A, A, link="tanh")


def test_rivals_refuse(tiny, images):
    with pytest.raises(ValueError, match="link 'exp'; accepted here: softmax, log_odds"):
        rival_derivatives(tiny, images, 1, "conv2", "exp")
    with pytest.raises(ValueError, match=r"mass 0; accepted: above 0, up to 1"):
        rival_derivatives(tiny, images, 1, "conv2", mass=0)
    with pytest.raises(ValueError, match="link 'softmax' with a callable target; accepted: a class"):
        rival_derivatives(tiny, images, lambda out: out[:, 0], "conv2")
    tiny.fc = nn.Linear(7, 1)
    with pytest.raises(ValueError, match="link 'softmax' with 1 class; accepted: a network with two classes or more"):
        rival_derivatives(tiny, images, 0, "conv2")


def test_whole_numbers_are_refused():
    with pytest.raises(TypeError, match=r"S is torch.int64; accepted: a float tensor"):
        link_derivatives(torch.tensor([5]), torch.sigmoid)


def test_a_denominator_of_nothing_is_told_from_one_of_zero():
    """1 / (2 + slope): 1 / 4, 0 in place of 1 / 0, and what is no number stays none, so that `check_finite` can say so."""
    slope, all_of_them = torch.tensor([2.0, -2.0, torch.nan]).view(1, 1, 1, 3), torch.ones(1, 1, 1, 3)
    found = _reciprocal(slope, all_of_them > 0, all_of_them, all_of_them, None).flatten()
    assert_close(found, torch.tensor([0.25, 0, torch.nan]), equal_nan=True)
