"""Checks of the exercises of notebook 40: which method for what."""

from itertools import product
from typing import Any

import numpy as np
import torch

from ...evaluation.metrics import spearman
from .trusting import no_map, numbers

OFFERED = {"A": (0.79, 5.0, 1), "B": (0.84, 4.5, 2), "C": (0.83, 5.0, 90), "D": (0.80, 5.5, 129), "E": (0.77, 6.0, 1)}
# of 40.1: letter -> AP, Drop at 15 %, passes
AGREEING, RIGHT_THERE, RIGHT_ELSEWHERE, ASKED = 80, 76, 10, 100  # of 40.2: maps that agree, right among them and among the others
ASKED_OF = ("AP", "Drop at 15 %", "energy at equal Drop", "energy at equal area")  # the four signs of 40.4
SIGNS = ("+", "-", "")  # decided and better, decided and worse, undecided


def no_worse(a: str, b: str) -> bool:
    """Whether A is nowhere worse than B: no lower AP, no higher Drop, no more passes."""
    (ap, drop, passes), (other_ap, other_drop, other_passes) = OFFERED[a], OFFERED[b]
    return ap >= other_ap and drop <= other_drop and passes <= other_passes


def left_over(answer: Any) -> str:
    """40.1: the methods of the table that no other one makes superfluous, as letters."""
    given = {str(letter).strip().upper() for letter in answer if str(letter).strip(" ,")}
    if not given or not given <= OFFERED.keys():
        return f"letters out of {''.join(OFFERED)} are asked for, such as \"CD\""
    for a, b in product(OFFERED, OFFERED):
        if a != b and b in given and no_worse(a, b):
            return f"one of these is superfluous: another method has no less AP, no more Drop and no more passes than {b}"
    missing = [b for b in OFFERED if b not in given and not any(a != b and no_worse(a, b) for a in OFFERED)]
    return f"{len(missing)} more would be missed: nothing else is as good in all three columns" if missing else ""


def agreeing(answer: Any) -> str:
    """40.2: how often the first method is right at all, right where they agree, and the share of its errors that agree."""
    found, off = numbers(answer, 3, "(right at all, right where they agree, share of the errors that lie where they agree)")
    if off:
        return off
    errors = ASKED - RIGHT_THERE - RIGHT_ELSEWHERE
    right = (RIGHT_THERE + RIGHT_ELSEWHERE) / ASKED, RIGHT_THERE / AGREEING, (AGREEING - RIGHT_THERE) / errors
    if any(v > 1 for v in found):
        return "three shares are asked for, between 0 and 1"
    if abs(found[0] - right[0]) > 6e-3:
        return "right at all: count the maps that are right, whether the methods agree or not"
    if abs(found[1] - right[1]) > 6e-3:
        return "right where they agree: divide by the maps on which they agree"
    if abs(found[2] - (AGREEING - RIGHT_THERE) / AGREEING) < 6e-3:
        return "the third is a share of the *errors*, not of the maps on which they agree"
    return "" if abs(found[2] - right[2]) < 6e-3 else "how many maps are wrong, and how many of these wrong ones agree?"


def agree_within(answer: Any) -> str:
    """40.3: a function (points (N, M, 2), distance) -> (N,): in which rows no two of M points are farther apart."""
    draws = np.random.default_rng(0)
    hand = np.array([[[0, 0], [6, 0], [-6, 0]], [[0, 0], [3, 4], [3, 4]], [[7, 7], [7, 7], [20, 7]]])
    for points, distance in ((hand, 8.0), (hand, 5.0), *((draws.uniform(0, 30, (40, 4, 2)), d) for d in (12.0, 20.0, 30.0))):
        said = np.asarray(answer(points.astype(float), distance))
        if said.shape != (len(points),):
            return f"one answer for each of the {len(points)} rows is asked for; these have the shape {said.shape}"
        farthest = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1).max((1, 2))
        wrong = np.flatnonzero(said.astype(bool) != (farthest <= distance))
        if len(wrong):
            row = ", ".join(f"({y:.3g}, {x:.3g})" for y, x in points[wrong[0]])
            return f"for the points {row} and a distance of {distance:g} it says {bool(said[wrong[0]])}: look at *every* pair"
    return ""


def rule(answer: Any) -> str:
    """40.4: a function of four signs -> whether a method beats another by the rule of this project."""
    for AP, drop_15, at_drop, at_area in product(SIGNS, repeat=4):
        right = "+" in (AP, drop_15) or at_drop == at_area == "+"
        if bool(answer(AP, drop_15, at_drop, at_area)) != right:
            said = "beats" if not right else "does not beat"
            signs = (AP, drop_15, at_drop, at_area)
            case = ", ".join(f"{name} {sign or 'undecided'}" for name, sign in zip(ASKED_OF, signs, strict=True))
            return f"it says that such a method {said} the other: {case}"
    return ""


def own_agreement(answer: Any) -> str:
    """40.5: three maps of the reader's own photograph, and the largest distance between their hottest points in pixels."""
    if not isinstance(answer, tuple | list) or len(answer) != 4:
        return "four things are asked for: three maps of one picture, and the largest distance between their hottest points"
    maps = [torch.as_tensor(a).detach().cpu().float().squeeze() for a in answer[:3]]
    if any(L.ndim != 2 or L.shape != maps[0].shape for L in maps):
        return f"three maps of one picture, (H, W) each; these are {', '.join(str(tuple(L.shape)) for L in maps)}"
    off = no_map(torch.stack(maps), torch.empty(3, 3, *maps[0].shape))
    if off:
        return off
    likeness = [float(spearman(maps[i][None], maps[j][None])) for i, j in ((0, 1), (0, 2), (1, 2))]
    if max(likeness) > 0.999:
        return "two of these maps order their pixels alike: they are one witness, not two (notebook 01)"
    tops = torch.tensor([divmod(int(L.argmax()), L.shape[1]) for L in maps]).double()
    farthest, given = float(torch.cdist(tops, tops).max()), float(answer[3])
    near = abs(given - farthest) < 0.5
    return "" if near else "the distance is another one: between the hottest pixels, the largest of three, in pixels"


CHECKS = {"40.1": left_over, "40.2": agreeing, "40.3": agree_within, "40.4": rule, "40.5": own_agreement}
