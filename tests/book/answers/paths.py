"""Answers to the exercises of notebooks 20 to 22, GIG-CAM+M."""

import math
from typing import Any

import numpy as np
import torch

import camutils as cam
from camutils.methods.parts.scales import coarse

X = torch.tensor([[2.0, 1, 2], [4, 2, 1], [1, 3, 4]])
LEFT = [1 - t / 10 for t in range(10)]


def chosen(p, M, p_max, fraction, of_all=False, signed=False, up=True):
    free = p < p_max
    rank = torch.where(free, M if signed else M.abs(), torch.inf)
    count = fraction * (len(p) if of_all else int(free.sum()))
    mask = torch.zeros_like(free)
    mask[rank.argsort()[: math.ceil(count) if up else math.floor(count)]] = True
    return mask


def with_arrived(p, M, p_max, fraction):
    mask = torch.zeros(len(p), dtype=torch.bool)
    mask[M.abs().argsort()[: math.ceil(fraction * len(p))]] = True
    return mask


def fused(maps, size, bound=1.0, add=True, chain=True, zero=True, late=False):
    first = F = R = cam.upsample(maps[0], size)
    for A in maps[1:]:
        A = cam.upsample(A, size) if late else A
        P = coarse(A)
        Q = A / P
        Q = torch.where(P > 0, Q, 0).clamp(max=bound) if zero else Q
        F = cam.upsample(Q, size) * (F if chain else first)
        R = R + F
    return R if add else F


SPECK = torch.zeros(8, 8)
SPECK[:4, :4], SPECK[6, 6] = 8, 0.01
ALONE = torch.zeros(4, 4)
ALONE[1, 1] = 1

RIGHT: dict[str, list[Any]] = {
    "20.1": [(0.5, 2), [0.5, 2.0]],
    "20.2": [[0.5, 0.5, 0.5, 0, 0, 0, 0.5, 0, 0.5], np.array([0.5, 0.5, 0.5, 0, 0, 0, 0.5, 0, 0.5])],
    "20.3": [0.6 * X, X / 2, (X - 1).tolist()],
    "20.4": [chosen, lambda p, M, p_max, fraction: chosen(p, M, p_max, fraction).long().tolist()],
    "20.5": [{"left": LEFT, "late": 0.6}, {"left": np.array(LEFT), "late": torch.tensor(1.0)}],
    "21.1": [(4.5, 4.5, 9, 0)],
    "21.2": [162, 162.0],
    "21.3": [[(0, 0), (2.25, 0), (3, 3)], np.array([(0, 0), (1, 0), (2.25, 0), (3, 3)])],
    "21.4": [lambda x: torch.tensor([[[0.0, 1.0]]]), lambda x: torch.tensor([[[0.1, -7.0]]], dtype=torch.float64)],
    "21.5": [{0: 0.0, 0.02: 0.015, 1: 0.25}],
    "22.1": [(32, 24, 9)],
    "22.2": [(64 / 9, 2.56), (7.11, 2.56)],
    "22.3": [SPECK, SPECK.tolist()],
    "22.4": [fused],
    "22.5": [((1, 0.6, 0.4), 2.0), ([1.0, 0.9, 0.9], 2.8)],
}
WRONG: dict[str, list[Any]] = {
    "20.1": [(0, 2), (0.5, 1.25), (1.25, 2), (2, 0.5), (0.5, 5), 2],
    "20.2": [[0.75, 0.75, 0.75, 0, 0, 0, 0.25, 0, 0.25], [0.5, 0.5, 0.5, 0, 0, 0, 0, 0, 0], [0.25] * 9, [0.5, 0.5], None,
             [0, 0, 0, 0.5, 0.5, 0, 0, 0, 0.5], [0, 0, 0.5, 0, 0, 0, 0, 0, 1.0]],
    "20.3": [torch.zeros(3, 3), X, 0.4 * X, X + 1, -X, [1, 2], 7],
    "20.4": [with_arrived, lambda *a: chosen(*a, of_all=True), lambda *a: chosen(*a, signed=True),
             lambda *a: chosen(*a, up=False), lambda p, M, p_max, fraction: M.abs().argsort()[:3], lambda p: p, 3],
    "20.5": [{}, {"left": [t / 10 for t in range(9, -1, -1)], "late": 0.5}, {"left": LEFT, "late": 60}, "mine",
             {"left": LEFT[:9], "late": 0.6}, {"left": LEFT, "late": np.nan}, {"left": [v**2 for v in LEFT], "late": 0.5}],
    "21.1": [(4.5, 4.5, 0, 9), (6, 3, 6, 3), (4.5, 4.5, 4.5, 4.5), (3, 3, 9, 0), 9],
    "21.2": [81, 161, 163, 1000, 0, 161.5, "many"],
    "21.3": [[(0, 0), (3, 3)], [(0, 0), (0, 3), (3, 3)], [(0, 0), (3, 0), (3, 3)], [(0, 0), (2.5, 0), (2.25, 0), (3, 3)],
             [(0, 0), (2.25, 0)], [2.25, 0], None],
    "21.4": [lambda x: torch.ones(1, 1, 2), lambda x: torch.tensor([[[1.0, 0.0]]]), lambda x: x[:, 0], lambda x: x, 3],
    "21.5": [{0: 0.1, 0.02: 0.02, 1: 0.3}, {0: 0, 0.02: 0.05, 1: 0.3}, {0: 0, 0.02: 0.02, 1: 0.6}, {0: 0, 0.02: -0.01, 1: 0.2},
             {0: 0, 1: 0.2}, [0, 0.02, 0.2]],
    "22.1": [(48, 28, 9), (16, 12, 0), (32, 24, 0), (32, 28, 9), 32],
    "22.2": [(8 / 3, 1.6), (2.56, 7.11), (9, 2.56), (7.11, 4), (7.11,), "much"],
    "22.3": [ALONE, torch.ones(4, 4), -SPECK, SPECK[:3, :3], torch.zeros(5, 5), 8],
    "22.4": [lambda *a: fused(*a, bound=torch.inf), lambda *a: fused(*a, add=False), lambda *a: fused(*a, chain=False),
             lambda *a: fused(*a, zero=False), lambda *a: fused(*a, late=True), lambda maps, size: maps[-1], 2],
    "22.5": [((1, 0.6, 0.4), 1.0), ((1, 1.2, 1.4), 3.6), ((0.5, 0.3, 0.2), 1.0), ((1, 0.6), 1.6), 2.0, None],
}
