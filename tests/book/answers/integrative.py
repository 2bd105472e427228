"""Answers to the exercises of notebooks 10 to 13, Integrative CAM: right ones, and wrong ones that the checks refuse."""

import copy

import torch
from torch import nn

from camutils.core.maps import normalise, upsample
from camutils.methods.integrative_cam import Parts
from camutils.methods.parts.fusion import layer_weights


def parts(weights=(0.2, 0.3, 0.5), S=4.0, beta=(3.0, 2.0, 1.0), seed=0, layers=("a", "b", "c"), pictures=1):
    """What integrative_cam gives for one picture, drawn."""
    heat = torch.rand(pictures, 6, 6, generator=torch.Generator().manual_seed(seed))
    n = len(layers)
    return Parts(heat, tuple(layers), {name: heat for name in layers}, torch.tensor([list(weights)[:n]] * pictures),
                 torch.tensor([list(beta)[:n]] * pictures), torch.ones(pictures, n, dtype=torch.bool), torch.full((pictures,), S))


LITERAL, TUNED = parts((0.5, 0.4, 0.1), seed=1), parts(seed=2)


def fuse(maps, weights, size):
    return normalise(sum(w * upsample(normalise(m[None]), size) for m, w in zip(maps, weights, strict=True)))[0]


def no_outer(maps, weights, size):
    return sum(w * upsample(normalise(m[None]), size) for m, w in zip(maps, weights, strict=True))[0]


def no_inner(maps, weights, size):
    return normalise(sum(w * upsample(m[None], size) for m, w in zip(maps, weights, strict=True)))[0]


def unweighted(maps, weights, size):
    return fuse(maps, [1 for _ in weights], size)


def flat_is_nan(maps, weights, size):
    low = [upsample(((m - m.min()) / (m.max() - m.min()))[None], size) for m in maps]
    return normalise(sum(w * m for m, w in zip(low, weights, strict=True)))[0]


def fold(conv, norm, eps=True, mean=True, old=True):
    slope = norm.weight / (norm.running_var + (norm.eps if eps else 0)).sqrt()
    new = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding)
    b = conv.bias if conv.bias is not None and old else torch.zeros_like(norm.bias)
    new.weight.data = (conv.weight * slope[:, None, None, None]).data
    new.bias.data = (norm.bias + slope * (b - (norm.running_mean if mean else 0))).data
    return new


def bias_unscaled(conv, norm):
    new = fold(conv, norm, old=False)
    if conv.bias is not None:
        new.bias.data += conv.bias.data
    return new


def no_stride(conv, norm):
    new = fold(conv, norm)
    new.stride = (1, 1)
    return new


def for_and_against(A, g):
    both = torch.stack([(a * d).abs().sum((1, 2, 3)) for a, d in zip(A, g, strict=True)], 1)
    return both / both.sum(1, keepdim=True)


def channel_sums(A, g):
    both = torch.stack([(a * d).sum((2, 3)).relu().amax(1) for a, d in zip(A, g, strict=True)], 1)
    return both / both.sum(1, keepdim=True)


MAPS = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(3))
X = torch.linspace(0.01, 3, 50)
SPLIT = (5.0, 8.0, {"conv": -4.0, "linear": 1.0, "remainder": 0.0})
RIGHT = {
    "10.1": [(4.5, 0.4), [4.5, 0.4]],
    "10.2": [{"layer_weight": "last", "channel_weight": "gradient", "bias": "none"},
             {"layer": ["layer4"], "channel_weight": "gradient", "bias": "none"},
             {"layer": "layer4", "channel_weight": "gradient", "bias": "none", "layer_weight": "uniform"}],
    "10.3": [fuse],
    "10.4": [(LITERAL, TUNED, "a", "c")],
    "11.1": [(-10, 7), [-10.0, 7.0]],
    "11.2": [(-0.2, -0.5)],
    "11.3": [fold],
    "11.4": [SPLIT, [torch.tensor([5.0]), torch.tensor(8.0), {"conv": torch.tensor([-4.0]), "remainder": 1.0}]],
    "12.1": [(1 / 16, 6 / 26), (0.0625, 0.231)],
    "12.2": [(1, 0.5), [1.0, 0.5]],
    "12.3": [lambda s: -torch.exp(-s / 2), lambda s: 3 * s - 4 * torch.exp(-0.5 * s)],
    "12.4": [37],
    "12.5": [(X, MAPS[0], MAPS[1])],
    "13.1": [((0.5, 0.25, 0.25), (0.6, 0, 0.4)), [[0.5, 0.25, 0.25], torch.tensor([0.6, 0, 0.4])]],
    "13.2": [{"uniform", "last", "activation"}, ["activation", "last", "uniform"]],
    "13.3": [for_and_against, channel_sums],
    "13.4": [(LITERAL, parts(S=2.0), "c")],
}
WRONG = {
    "10.1": [(-2.5, 0.4), (4.5, 8 / 13), (0.5, 0.4), (4.5, 0.6), (4.5, 0.5), 4.5, "both", (1.5, 0.4)],
    "10.2": [{}, {"channel_weight": "gradient", "bias": "none"}, {"layer_weight": "last", "channel_weight": "gradient"},
             {"layer_weight": "last", "bias": "none"}, {"layer_weight": "last", "channel_weight": "alpha", "bias": "none"},
             {"return_parts": True}, {"layer_weight": "first"}, "gradient"],
    "10.3": [no_outer, no_inner, unweighted, flat_is_nan, lambda m, w, s: m[0], fuse([torch.rand(2, 2)], [1], (4, 4))],
    "10.4": [(LITERAL, TUNED, "c", "c"), (LITERAL, TUNED, "a", "d"), (LITERAL, LITERAL, "a", "a"), (LITERAL, TUNED),
             (LITERAL, parts(S=9.0), "a", "c"), (LITERAL.heat, TUNED.heat, "a", "c"), (parts(pictures=2), TUNED, "a", "c"),
             (LITERAL, parts((1, 1, 1)), "a", "c"), (parts(layers=("a", "b"), weights=(0.5, 0.5)), TUNED, "a", "c"),
             (LITERAL, parts(layers=("a", "b", "z")), "a", "z")],
    "11.1": [(-2, 7), (10, -13), (30, -33), (-10, 5), (-10, -3), (-10, 8), 7, "seven"],
    "11.2": [(0.2, 0.5), (-0.2, -0.2), (-0.5, -0.2), (-0.2, -0.8), -0.2],
    "11.3": [lambda c, n: fold(c, n, eps=False), lambda c, n: fold(c, n, mean=False), lambda c, n: fold(c, n, old=False),
             bias_unscaled, no_stride, lambda c, n: copy.copy(c), lambda c, n: nn.Sequential(c, n), 5],
    "11.4": [(5.0, 8.0, {"conv": -4.0, "remainder": 0.0}), (5.0, 8.0, {"conv": -3.0}), (5.0, 8.0, {"remainder": -3.0}),
             (5.0, 8.0), (float("nan"), 8.0, {"conv": -4.0, "remainder": 1.0})],
    "12.1": [(1 / 8, 6 / 13), (1 / 9, 6 / 26), (1 / 16, 1 / 16), (1 / 16, 1 / 2), 1 / 16, ("a", "b")],
    "12.2": [(2, 1), (-1, -0.5), (0.5, 1), (1, 1), 1],
    "12.3": [lambda s: torch.exp(-s / 2), lambda s: torch.exp(s / 2), nn.functional.softplus, lambda s: -2 * s, torch.tanh,
             lambda s: s**2, "exp", lambda s: -torch.exp(-s)],
    "12.4": [36, 38, 5, 40, 36.5, "none"],
    "12.5": [(X, MAPS[0], MAPS[0]), (X[:3], MAPS[0], MAPS[1]), (X, MAPS[0] * 3, MAPS[1]), (X, MAPS[0, :, :4], MAPS[1]),
             (X / 1000, MAPS[0], MAPS[1]), (-X, MAPS[0], MAPS[1]), X],
    "13.1": [((0.4, 0.3, 0.3), (0.6, 0, 0.4)), ((0.5, 0.25, 0.25), (0.5, 1 / 6, 1 / 3)), ((4, 2, 2), (6, 0, 4)),
             ((0.5, 0.25, 0.25), (0.75, -0.25, 0.5)), ((0.5, 0.25, 0.25), 3), (0.5, 0.25, 0.25)],
    "13.2": [{"uniform", "last"}, {"uniform", "last", "activation", "product"}, {"contribution"}, set(), "uniform", {"none"}],
    "13.3": [lambda A, g: layer_weights(A, g, "product"), lambda A, g: layer_weights(A, g, "gradient"),
             lambda A, g: layer_weights(A, g, "contribution"), lambda A, g: 2 * for_and_against(A, g),
             lambda A, g: for_and_against(A, g)[0], lambda A, g: torch.full((3, 3), 1 / 3), "product"],
    "13.4": [(LITERAL, parts(S=2.0), "b"), (LITERAL, LITERAL, "a"), (LITERAL, parts(S=2.0), "x"), (LITERAL, parts(S=2.0)),
             (LITERAL, parts(layers=("a", "b", "z"), S=2.0), "a"), (None, TUNED, "a")],
}
