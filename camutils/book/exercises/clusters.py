"""Checks of the exercises of notebooks 30 to 32, Cluster-CAM."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.maps import cut, normalise
from ...evaluation.metrics import pearson
from ...methods.cluster_cam import MERGES, Parts, cluster_maps, merge_maps, rank_clusters
from ...methods.parts.kmeans import kmeans

SIX = torch.tensor([[1, 1], [1, 3], [5, 1], [5, 3], [3, 10], [3, 12]], dtype=torch.float64)  # the rows of notebook 31
TWO = torch.tensor([[[4, 2], [2, 0]], [[0, 0], [4, 2]]], dtype=torch.float64)  # the cluster maps of notebook 32
BACKS = ("black", "mean", "blur")


def other_start(answer: Any) -> str:
    """30.1: the labels of four channels after k-means from the centres x_2 and x_3."""
    if isinstance(answer, str) or not isinstance(answer, Sequence) or len(answer) != 4 or not set(answer) <= {0, 1}:
        return "four labels are asked for, each of them 0 or 1"
    labels = [int(v) for v in answer]
    if labels[2] == labels[3]:
        return "the third and the fourth row are the two centres at the start, 0.72 apart: does one of them change sides?"
    if labels[2] == 1:
        return "label 0 is for the cluster that starts at the third row, and yours has 1 there"
    if labels[0] == 1 or labels[1] == 1:
        return "work out the first two rows' squared distances to both centres: one of them shares no cell with them"
    return ""


def against_one(answer: Any) -> str:
    """30.2: both clusters' scores, and whether the map changes, where channel 1 counts with weight -1/2."""
    if not isinstance(answer, tuple | list) or len(answer) != 3:
        return "three things are asked for: (score of {0, 1}, score of {2, 3}, whether the map changes)"
    first, second = (float(v) for v in answer[:2])
    if not isinstance(answer[2], bool):
        return "the third is True or False: does the map change?"
    if math.isclose(first, 2) or math.isclose(second, -1.75):
        return "a score is still that of section 2: work out the evidence of all four cells anew, less half of channel 1"
    if not math.isclose(first, -1.5, abs_tol=1e-3):
        return "the score of {0, 1}: its mask is 1 in the cells 0 and 1, so it adds up the evidence of these two"
    if not math.isclose(second, -2.5, abs_tol=1e-3):
        return "the score of {2, 3}: its mask has 1/2, 1/4 and 1 in the cells 1 to 3"
    return "the map reads the scores in one respect only: which is the highest and which the lowest" if answer[2] else ""


def all_digits(answer: Any) -> str:
    """30.3: how many pictures go through the network for the maps of all ten digits of one scene."""
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return "a number of pictures is asked for"
    if answer == 110:
        return "this asks ten times: which of these passes are the same for every digit?"
    if answer in (10, 20):
        return "count the pass that gives the activations, and one pass for each cluster"
    if answer in (100, 101):
        return "one pass through the network gives the scores of all ten digits at once"
    return "" if answer == 11 else "one pass for the activations; then which pictures are new to the network?"


def own_cut(answer: Any) -> str:
    """30.4: a function A, labels, scores -> base less scissors on the grid."""
    rng = torch.Generator().manual_seed(0)
    cases = ([0, 0, 1, 1, 2], [1.0, 3.0, 2.0]), ([2, 0, 1, 0, 2], [-1.0, -2.0, -3.0]), ([0, 1, 1, 1, 0], [4.0, -4.0])
    for labels, scores in cases:
        A, label, s = torch.rand(5, 4, 6, generator=rng, dtype=torch.float64), torch.tensor(labels), torch.tensor(scores)
        found = torch.as_tensor(answer(A.clone(), label.clone(), s.clone()), dtype=torch.float64)
        C = cluster_maps(A[None], label[None])[0]
        best, worst = C[s.argmax()][None], C[s.argmin()][None]
        if found.shape != A.shape[1:]:
            return f"a map of shape {tuple(A.shape[1:])} is asked for; yours has {tuple(found.shape)}"
        if float(found.min()) < 0:
            return f"your map falls to {float(found.min()):.2f}: what of the cells where the scissors are brighter?"
        if torch.allclose(found, (best - worst).relu()[0]):
            return "the two maps are subtracted as they are: both become masks, from 0 to 1, before that"
        if torch.allclose(found, cut(worst, best)[0]):
            return "base and scissors have changed places"
        if not torch.allclose(found, cut(best, worst)[0], atol=1e-6):
            return f"for labels {labels} and scores {scores} the map is another one"
    return ""


def own_classes(answer: Any) -> str:
    """30.5: parts of Cluster-CAM on the reader's photograph, for a class that is there and one that is not."""
    if not isinstance(answer, tuple | list) or isinstance(answer, Parts) or len(answer) != 2:
        return "two Parts are asked for: of the class that is there, and of the class that is not"
    for name, part in zip(("first", "second"), answer, strict=True):
        if not isinstance(part, Parts):
            return f"the {name} is no Parts: `cluster_cam(..., return_parts=True)` gives one"
    there, absent = answer
    if there.labels.shape != absent.labels.shape or not torch.equal(there.labels, absent.labels):
        return "the clusters of the two are not the same: ask about the same picture, with the same network, number and seed"
    if torch.allclose(there.scores, absent.scores):
        return "all scores are the same for both: was the same class asked for twice?"
    if float(there.scores.max()) <= float(absent.scores.max()):
        return "the class that should be absent has the higher score behind its best mask: have they changed places?"
    return ""


def seventh_row(answer: Any) -> str:
    """31.1: inertias of seven rows with two and three clusters."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return "two inertias are asked for: (for n = 2, for n = 3)"
    two, three = (float(v) for v in answer)
    rows = torch.cat([SIX, torch.tensor([[3.0, 11]], dtype=torch.float64)])[None]
    if not math.isclose(two, float(kmeans(rows, 2).inertia), abs_tol=1e-3):
        return "n = 2: the new row joins the upper pair; how far is it from the mean of that pair?"
    right = math.isclose(three, float(kmeans(rows, 3).inertia), abs_tol=1e-3)
    return "" if right else "n = 3: the two lower pairs leave what they left; what does the upper one leave with its new row?"


def two_elbows(answer: Any) -> str:
    """31.2: the elbow of one curve in two ranges."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return "two numbers of clusters are asked for: (searched from 3 to 7, searched from 4 to 7)"
    wide, narrow = (int(v) for v in answer)
    if wide == narrow:
        return "both are the same: scale the curve anew where the search begins at 4, since its ends are others"
    if wide != 4:
        return "from 3 to 7: u is 0, 1/4, 1/2, 3/4, 1, and v falls from 1 to 0 over inertias from 100 to 20"
    return "" if narrow == 5 else "from 4 to 7: u is 0, 1/3, 2/3, 1, and v falls from 1 to 0 over inertias from 40 to 20"


def bad_start(answer: Any) -> str:
    """31.3: three of the six rows from which k-means does not reach the least inertia."""
    centres = torch.as_tensor(np.asarray(answer, float)).reshape(-1, 2)
    if len(centres) != 3:
        return f"three centres of two numbers each are asked for; here are {len(centres)}"
    if not all(bool((SIX == c).all(1).any()) for c in centres):
        return "a centre is none of the six rows"
    if len(centres.unique(dim=0)) < 3:
        return "two of the centres are the same row: take three different ones"
    inertia = float(kmeans(SIX[None], 3, centres=centres[None]).inertia)
    return "" if inertia > 6.5 else "from here k-means finds the best: what if two centres lie in one heap, far from the rest?"


def own_rand_index(answer: Any) -> str:
    """31.4: a function of two lists of labels -> the share of pairs on which they agree."""
    draws = np.random.default_rng(0)
    cases = [([0, 0, 1, 1], [1, 1, 0, 0]), ([0, 0, 1, 1], [0, 1, 0, 1]), ([0, 0, 0], [0, 1, 2]), ([0, 1, 2, 0], [5, 5, 2, 5])]
    cases += [(draws.integers(4, size=12).tolist(), draws.integers(3, size=12).tolist()) for _ in range(10)]
    for a, b in cases:
        found = float(answer(list(a), list(b)))
        pairs = list(combinations(range(len(a)), 2))
        right = sum((a[i] == a[j]) == (b[i] == b[j]) for i, j in pairs) / len(pairs)
        if not math.isclose(found, right, abs_tol=1e-6):
            hint = " (the numbers of the clusters are only names)" if sorted(set(a)) == sorted(set(b)) else ""
            return f"for {a} and {b} it says {found:.3f}{hint}"
    return ""


def own_seeds(answer: Any) -> str:
    """31.5: maps of several seeds on the reader's photograph, and their mean correlation."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return "two things are asked for: (the maps of the seeds, the mean correlation over their pairs)"
    given = answer[0]
    maps = torch.stack([torch.as_tensor(v) for v in given]) if isinstance(given, tuple | list) else torch.as_tensor(given)
    if maps.ndim == 4 and maps.shape[1] == 1:
        maps = maps[:, 0]
    if maps.ndim != 3 or len(maps) < 3:
        return f"the maps have shape {tuple(maps.shape)}; three seeds or more are asked for: (seeds, H, W)"
    if float(maps.min()) < 0 or float(maps.max()) > 1 + 1e-6:
        return "a heat map lies between 0 and 1: are these the maps as `cluster_cam` gives them?"
    if all(torch.equal(maps[0], other) for other in maps[1:]):
        return "all maps are equal to the last digit: was the seed really another one each time?"
    r = torch.stack([pearson(maps[i][None], maps[j][None])[0] for i, j in combinations(range(len(maps)), 2)]).double()
    mean = float(r.nanmean())
    return "" if abs(float(answer[1]) - mean) < 0.01 else "the number is not the mean over all pairs of two different seeds"


def other_base(answer: Any) -> str:
    """32.1: soft and cut of the two clusters where the second is the base."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return "two lists of four cells are asked for: (soft, cut)"
    soft, less = (torch.as_tensor(np.asarray(v, float)).flatten() for v in answer)
    if len(soft) != 4 or len(less) != 4:
        return "each map has four cells: upper left, upper right, lower left, lower right"
    s = torch.tensor([[0, math.log(3)]], dtype=torch.float64)
    ranked = rank_clusters(s, torch.ones(1, 2, dtype=torch.bool))
    right = {merge: merge_maps(TWO[None], *ranked, (2, 2), merge).flatten() for merge in MERGES}
    if float(less.min()) < 0:
        return "cut: the ReLU sets what is below 0 to 0"
    if torch.allclose(less, torch.tensor([1, 0.5, 0, 0], dtype=torch.float64)):
        return "cut: this is the old one; the second cluster is the base now"
    if not torch.allclose(soft, right["soft"], atol=1e-3):
        return "soft: the softmax of (0, ln 3) is in proportion 1 to 3; weigh the maps C, not the masks"
    return "" if torch.allclose(less, right["cut"], atol=1e-3) else "cut: the base's mask less the scissors', each from 0 to 1"


def shared_cell(answer: Any) -> str:
    """32.2: the share p below which weighted_cut leaves nothing of the shared cell."""
    p = float(answer)
    if not 0 <= p <= 1:
        return "a share lies between 0 and 1"
    if math.isclose(p, 0.75, abs_tol=1e-3):
        return "this is the p of section 1, where the shared cell is not yet black"
    if math.isclose(p, 1 / 3, abs_tol=5e-3):
        return "the base has p and the scissors 1 - p: have they changed places?"
    right = math.isclose(p, 2 / 3, abs_tol=5e-3)
    return "" if right else "in the shared cell the base's mask is 1/2 and the scissors' is 1: set the difference to 0"


def temperature(answer: Any) -> str:
    """32.3: the temperature that leaves the base 0.6 of the softmax of 12, 6, 0."""
    T = float(answer)
    if not math.isfinite(T) or T <= 0:
        return "a temperature is a number above 0"
    share = float(torch.tensor([12.0, 6, 0]).div(T).softmax(0)[0])
    return "" if abs(share - 0.6) < 2e-3 else f"with this temperature the base has {share:.3f}"


def own_soft_cut(answer: Any) -> str:
    """32.4: a function of cluster maps and scores -> soft_cut on the grid."""
    rng = torch.Generator().manual_seed(0)
    for n in (2, 3, 5):
        C, s = torch.rand(n, 4, 5, generator=rng, dtype=torch.float64), 2 * torch.rand(n, generator=rng, dtype=torch.float64)
        found = torch.as_tensor(answer(C.clone(), s.clone()), dtype=torch.float64)
        if found.shape != C.shape[1:]:
            return f"a map of shape {tuple(C.shape[1:])} is asked for; yours has {tuple(found.shape)}"
        if float(found.min()) < 0:
            return f"your map falls to {float(found.min()):.2f}: where is the ReLU?"
        soft, scissors = (s.softmax(0)[:, None, None] * C).sum(0)[None], C[s.argmin()][None]
        if torch.allclose(found, (soft - normalise(scissors)).relu()[0], atol=1e-6):
            return "the weighted sum has to be scaled from 0 to 1, too, before the scissors are taken off"
        if torch.allclose(found, cut(C[s.argmax()][None], scissors)[0], atol=1e-6):
            return "this is the cut: it begins with the base, soft_cut with the weighted sum of all clusters"
        if not torch.allclose(found, cut(soft, scissors)[0], atol=1e-6):
            return f"for {n} clusters the map is another one"
    return ""


def own_backs(answer: Any) -> str:
    """32.5: parts of Cluster-CAM on the reader's photograph with three baselines, and whether the base stays."""
    if not isinstance(answer, tuple | list) or isinstance(answer, Parts) or len(answer) != 2 or not isinstance(answer[0], dict):
        return "two things are asked for: ({\"black\": parts, \"mean\": parts, \"blur\": parts}, True or False)"
    found, same = answer
    if set(found) != set(BACKS) or not all(isinstance(part, Parts) for part in found.values()):
        return "the dictionary holds a Parts for each of black, mean and blur, as `return_parts=True` gives them"
    labels = [found[back].labels for back in BACKS]
    if any(v.shape != labels[0].shape or not torch.equal(v, labels[0]) for v in labels):
        return "the clusters differ: take one picture, one network and one seed, and change only the baseline"
    scores: list[Tensor] = [found[back].scores for back in BACKS]
    if any(torch.equal(a, b) for a, b in combinations(scores, 2)):
        return "two of them have the same scores to the last digit: was the baseline really another one?"
    if not isinstance(same, bool):
        return "the second answer is True or False: is the base the same cluster in all three?"
    stays = all(torch.equal(found[back].base, found["black"].base) for back in BACKS)
    return "" if same == stays else "look at `parts.base` of the three once more"


CHECKS: dict[str, Callable[[Any], str]] = {
    "30.1": other_start, "30.2": against_one, "30.3": all_digits, "30.4": own_cut, "30.5": own_classes,
    "31.1": seventh_row, "31.2": two_elbows, "31.3": bad_start, "31.4": own_rand_index, "31.5": own_seeds,
    "32.1": other_base, "32.2": shared_cell, "32.3": temperature, "32.4": own_soft_cut, "32.5": own_backs,
}
