"""Answers to the exercises of notebooks 30 to 32, Cluster-CAM: right ones, and wrong ones that the checks refuse."""

from itertools import combinations

import torch

from camutils.core.maps import normalise
from camutils.methods.cluster_cam import Parts

DRAWN = torch.rand(4, 6, 6, generator=torch.Generator().manual_seed(0))
PAIRS = list(combinations(range(4), 2))
MEAN_R = sum(float(torch.corrcoef(DRAWN[[i, j]].flatten(1))[0, 1]) for i, j in PAIRS) / len(PAIRS)


def parts(scores, labels=(0, 0, 1, 1)):
    s = torch.tensor([scores])
    return Parts(DRAWN[:1], torch.tensor([labels]), DRAWN[None, :2], s, s.softmax(1), s.argmax(1), s.argmin(1))


def own_cut(A, labels, s):
    C = torch.stack([A[labels == i].mean(0) for i in range(len(s))])
    m = [(c - c.min()) / (c.max() - c.min()) for c in C]
    return (m[s.argmax()] - m[s.argmin()]).relu()


def of_raw_maps(A, labels, s):
    C = torch.stack([A[labels == i].mean(0) for i in range(len(s))])
    return (C[s.argmax()] - C[s.argmin()]).relu()


def rand_index(a, b):
    pairs = list(combinations(range(len(a)), 2))
    return sum((a[i] == a[j]) == (b[i] == b[j]) for i, j in pairs) / len(pairs)


def equal_names(a, b):
    return sum(x == y for x, y in zip(a, b, strict=True)) / len(a)


def soft_cut(C, s):
    soft = (s.softmax(0)[:, None, None] * C).sum(0)
    return (normalise(soft[None]) - normalise(C[s.argmin()][None])).relu()[0]


def only_cut(C, s):
    return (normalise(C[s.argmax()][None]) - normalise(C[s.argmin()][None])).relu()[0]


def unscaled(C, s):
    return ((s.softmax(0)[:, None, None] * C).sum(0) - normalise(C[s.argmin()][None])[0]).relu()


BACKS = {"black": parts((2.0, 1.0)), "mean": parts((3.0, 1.0)), "blur": parts((2.0, 4.0))}
RIGHT = {
    "30.1": [[0, 0, 0, 1], (0, 0, 0, 1)],
    "30.2": [(-1.5, -2.5, False)],
    "30.3": [11],
    "30.4": [own_cut, lambda A, labels, s: own_cut(A, labels, s).numpy()],
    "30.5": [(parts((9.0, 2.0)), parts((0.5, 1.0)))],
    "31.1": [(22, 6), [22.0, 6.0]],
    "31.2": [(4, 5)],
    "31.3": [[(3, 10), (3, 12), (1, 1)], torch.tensor([[5.0, 3], [3, 12], [3, 10]])],
    "31.4": [rand_index],
    "31.5": [(DRAWN, MEAN_R), (list(DRAWN), MEAN_R)],
    "32.1": [([1, 0.5, 3.5, 1.5], [0, 0, 0.5, 0.5]), (torch.tensor([[1, 0.5], [3.5, 1.5]]), torch.tensor([[0, 0], [0.5, 0.5]]))],
    "32.2": [2 / 3, 0.667],
    "32.3": [7.671],
    "32.4": [soft_cut],
    "32.5": [(BACKS, False), (BACKS | {"blur": parts((4.0, 2.0))}, True)],
}
WRONG = {
    "30.1": [[0, 0, 1, 1], [0, 1, 0, 1], [1, 1, 1, 0], [0, 0, 0], "0001", 3],
    "30.2": [(2, -1.75, False), (-1.5, -2.5, True), (-1, -2.5, False), (-1.5, -1.75, False), (-1.5, -2, True), (-1.5, -2.5), 7],
    "30.3": [110, 10, 20, 101, 129, "eleven"],
    "30.4": [of_raw_maps, lambda A, labels, s: own_cut(A, labels, -s), lambda A, labels, s: own_cut(A, labels, s).sum(),
             4, lambda A, labels, s: own_cut(A, labels, s) - own_cut(A, labels, -s),
             lambda A, labels, s: own_cut(A, labels, s) / 2],
    "30.5": [parts((1.0, 2.0)), (DRAWN, DRAWN), (parts((9.0, 2.0)), parts((9.0, 2.0))), (parts((0.5, 1.0)), parts((9.0, 2.0))),
             (parts((9.0, 2.0)), parts((0.5, 1.0), (0, 1, 1, 1)))],
    "31.1": [(20, 6), (22, 8), (23, 6), (6, 22), 22, "less"],
    "31.2": [(4, 4), (5, 4), (4, 6), (3, 5), 4],
    "31.3": [[(1, 1), (5, 1), (3, 10)], [(3, 1), (3, 3), (3, 11)], [(1, 1), (1, 1), (3, 10)], [(1, 1), (5, 1)], "far", 3],
    "31.4": [equal_names, lambda a, b: 1.0, lambda a, b: 1 - rand_index(a, b), lambda a, b: a.nope, 5],
    "31.5": [(DRAWN, 1.0), (DRAWN[:2], MEAN_R), (5 * DRAWN, MEAN_R), (DRAWN[[0, 0, 0]], 1.0), DRAWN, 3],
    "32.1": [([3, 1.5, 2.5, 0.5], [1, 0.5, 0, 0]), ([1, 0.5, 3.5, 1.5], [-1, -0.5, 0.5, 0.5]), 3,
             ([3, 1.5, 2.5, 0.5], [0, 0, 0.5, 0.5]),
             ([1, 0.5, 3.5, 1.5], [0, 0, 1, 0.5]), ([1, 2], [3, 4])],
    "32.2": [0.75, 1 / 3, 0.5, 1, 2, "half"],
    "32.3": [1, 6, 0, -2, "warm"],
    "32.4": [only_cut, unscaled, lambda C, s: soft_cut(C, -s), lambda C, s: soft_cut(C, s).sum(), 4,
             lambda C, s: soft_cut(C, s) - 0.1],
    "32.5": [(BACKS, True), BACKS, ({"black": BACKS["black"]}, True), (BACKS | {"mean": BACKS["black"]}, False),
             (BACKS | {"mean": parts((3.0, 1.0), (0, 1, 1, 1))}, False), (BACKS, "no")],
}
