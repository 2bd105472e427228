"""Checks of the exercises of notebooks 20 to 22, GIG-CAM+M."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...methods.parts.paths import guided_path
from ...methods.parts.scales import coarse, ratio_of, refine

X = torch.tensor([[2, 1, 2], [4, 2, 1], [1, 3, 4]], dtype=torch.float64)  # the nine pixels of notebook 20
V = X.flatten().numpy()  # how far each has to go


def _numbers(answer: Any, count: int) -> np.ndarray:
    """The answer as `count` finite numbers; ValueError for anything else."""
    found = np.asarray(answer, dtype=float)
    if found.shape != (count,) or not np.isfinite(found).all():
        raise ValueError(f"{count} numbers are asked for, in this order, none of them missing")
    return found


def least_and_most(answer: Any) -> str:
    """20.1: the least and the most that a path of four steps can give to a pixel with c = 2, v = 2."""
    least, most = _numbers(answer, 2)
    if least > most:
        return "the first number, the least, is larger than the second"
    if least == 0:
        return "every path starts in black: what is M there, at t = 0?"
    if least >= 1.25 or most <= 1.25:
        return "the line gives 1.25: a path that moves this pixel earlier gives less, one that moves it later gives more"
    right = math.isclose(least, 0.5, abs_tol=0.01) and math.isclose(most, 2, abs_tol=0.01)
    return "" if right else "write down M = 2 - x at t = 0, 1, 2, 3: once if it moves in the first step, once if in the last"


def first_step(answer: Any) -> str:
    """20.2: the progress of the nine pixels after the first step with d = 1/4."""
    p = _numbers(answer, 9)
    if p.min() < 0 or p.max() > 0.5 + 1e-6:
        return "a pixel has left its corridor: how far ahead of a = 1/4 may it be, with d = 1/4?"
    if not math.isclose(float(p @ V), 5, abs_tol=0.02):
        return f"these pixels cover {float(p @ V):.2f} in all, their progress times their way; a step covers 5"
    right = np.allclose(p, [0.5, 0.5, 0.5, 0, 0, 0, 0.5, 0, 0.5], atol=0.01)
    return "" if right else "the distance is right. Which pixels have the smallest |M|, and how many are taken at a time?"


def blind_start(answer: Any) -> str:
    """20.3: a baseline from which Integrated Grad-CAM with four steps finds nothing on the network that is satisfied by 10."""
    b = torch.as_tensor(answer, dtype=torch.float64)
    if b.shape != X.shape or not bool(b.isfinite().all()):
        return "a tensor of 3 x 3 numbers is asked for"
    if float(b.min()) < 0 or bool((b > X).any()):
        return "no pixel of it may be darker than black or brighter than in the picture"
    if torch.equal(b, X):
        return "this is the picture itself: there is no way to go"
    frames = torch.stack([b + t / 4 * (X - b) for t in range(4)])
    found = float((frames * (frames.sum((1, 2)) < 10)[:, None, None]).sum() / 4)
    return "" if found == 0 else f"the map still adds up to {found:.2f}: at which of the four pictures is there a gradient?"


def pick(answer: Any) -> str:
    """20.4: a function (p, M, p_max, fraction) -> the mask of the pixels that move next."""
    draw = torch.Generator().manual_seed(0)
    for n, arrived, fraction in ((9, 0, 0.25), (9, 4, 0.5), (12, 5, 0.25), (6, 5, 0.25)):
        p, M = (torch.rand(n, generator=draw, dtype=torch.float64) for _ in range(2))
        p, M = p * 0.7, M - 0.5
        p[:arrived] = 0.75
        free = p < 0.75
        count = math.ceil(fraction * int(free.sum()))
        found = torch.as_tensor(answer(p.clone(), M.clone(), 0.75, fraction))
        if found.shape != (n,) or not bool(((found == 0) | (found == 1)).all()):
            return f"for {n} pixels, {n} times true or false is asked for"
        mask = found.bool()
        if bool((mask & ~free).any()):
            return "it picks a pixel that has already come to p_max"
        if int(mask.sum()) != count:
            return (f"of {int(free.sum())} pixels that may still move, at a share of {fraction}, it picks {int(mask.sum())}: the "
                    "share is one of those that may still move, and it is rounded up")
        if float(M[mask].abs().max()) > float(M[free & ~mask].abs().min() if count < int(free.sum()) else math.inf):
            return "it picks as many as it should, and others: small is meant by size, whatever the sign"
    return ""


def own_path(answer: Any) -> str:
    """20.5: {"left": ten shares of the way, "late": the share of the sum that the last three steps bring}."""
    if not isinstance(answer, dict) or set(answer) != {"left", "late"}:
        return "a dictionary is asked for, with the keys left and late"
    left, late = _numbers(answer["left"], 10), float(answer["late"])
    if not math.isfinite(late):
        return "the share is no number: is ReLU(M) 0 at every step? Then ask for another class"
    if not 0 <= late <= 1:
        return "a share of a sum of ReLU(M) lies between 0 and 1"
    if abs(left[0] - 1) > 0.01:
        return "at t = 0 nothing has been walked yet: the pictures are taken before their step"
    even = np.allclose(left, 1 - np.arange(10) / 10, atol=0.01)
    return "" if even else "every step covers the same distance; is it measured over all pixels and colours, without squares?"


def product_of_two(answer: Any) -> str:
    """21.1: what a and b of f = a b are given on the line to (3, 3), and if b goes first."""
    line_a, line_b, corner_a, corner_b = _numbers(answer, 4)
    if not (math.isclose(line_a + line_b, 9, abs_tol=0.05) and math.isclose(corner_a + corner_b, 9, abs_tol=0.05)):
        return "whatever the path, the two add up to f at its end less f at its start"
    if not math.isclose(line_a, line_b, abs_tol=0.05):
        return "on the line a and b are always equal, and so are their gradients"
    right = math.isclose(corner_a, 9, abs_tol=0.05)
    return "" if right else "the gradient of b is a: what is it while b walks and a still stands at the start?"


def steps_for_half(answer: Any) -> str:
    """21.2: the fewest steps with which the sum on the line is at most 0.5 short of 81."""
    steps = float(answer)
    if steps < 1 or steps != round(steps):
        return "a whole number of steps is asked for"
    if 81 / steps > 0.5:
        return f"with {steps:.0f} steps the sum is {81 / steps:.3f} short"
    return "" if steps == 162 else "that is enough, and fewer would do: how far short may the sum be?"


def fair_path(answer: Any) -> str:
    """21.3: corners of a path from (0, 0) to (3, 3) on which both pixels of (2a + b)^2 are given 40.5."""
    places = np.asarray(answer, dtype=float)
    if places.ndim != 2 or places.shape[1] != 2 or len(places) < 2:
        return "a list of places (a, b) is asked for, at least the first and the last"
    if not (np.allclose(places[0], 0) and np.allclose(places[-1], 3)):
        return "the path starts at (0, 0) and ends at (3, 3)"
    moved = np.diff(places, axis=0)
    if (moved < 0).any():
        return "a pixel falls on the way: each of them may only rise, or wait"
    middle = (places[1:] + places[:-1]) / 2  # the gradient is linear: its value in the middle is its mean over the segment
    r = 2 * (2 * middle[:, 0] + middle[:, 1])
    a, b = float((2 * r * moved[:, 0]).sum()), float((r * moved[:, 1]).sum())
    return "" if abs(a - 40.5) < 0.25 else f"on this path a is given {a:.1f} and b {b:.1f}: who walks where it is steep?"


def a_first(answer: Any) -> str:
    """21.4: a map (1, 1, 2) of pictures (1, 1, 1, 2) that makes pixel a go first, all the way."""
    for pixels in ((3.0, 3.0), (1.0, 5.0), (4.0, 2.0)):
        picture = torch.tensor(pixels, dtype=torch.float64).view(1, 1, 1, 2)
        for step in guided_path(answer, picture, steps=6, max_dist=1.0, fraction=0.5):
            a, b = step.p.flatten().tolist()
            if b > 1e-6 and a < 1 - 1e-6:
                where = f"on the way to {pixels} a has come {a:.2f} of its way and b {b:.2f}"
                return f"{where}: " + ("equal |M| move together" if abs(a - b) < 1e-6 else "a should have arrived before b moves")
    return ""


def own_corridors(answer: Any) -> str:
    """21.5: {0: away, 0.02: away, 1: away}, means over pixels and ten steps."""
    if not isinstance(answer, dict) or set(answer) != {0, 0.02, 1}:
        return "a dictionary is asked for, with the keys 0, 0.02 and 1"
    none, narrow, wide = _numbers([float(answer[d]) for d in (0, 0.02, 1)], 3)
    if min(none, narrow, wide) < 0:
        return "a mean of distances is not below 0: is the absolute value taken?"
    if none > 1e-3:
        return "in a corridor of no width no pixel can be away from the line"
    if narrow > 0.021:
        return "in a corridor of 0.02 no pixel is further away than that: is progress measured, from 0 to 1?"
    if wide > 0.34:
        return "no path strays that far: pixels whose mean is t/T are at most 2 (t/T)(1 - t/T) away from it on average"
    return ""


def bounded_by_hand(answer: Any) -> str:
    """22.1: R at the peak, at its right neighbour, and in cell (1, 1), with the bounded ratio."""
    R = _numbers(answer, 3)
    if np.allclose(R, [48, 28, 9], atol=0.01):
        return "this is R of section 1, with the plain ratio"
    if np.allclose(R, [16, 12, 0], atol=0.01):
        return "this is F: R also holds the map of the small picture"
    right = np.allclose(R, [32, 24, 9], atol=0.01)
    return "" if right else "what is min(A / P, 1) in each of the three cells, and what does it leave of F?"


def three_by_three(answer: Any) -> str:
    """22.2: the plain ratio of a cell alone in the middle, and in a corner, of a 3 x 3 grid."""
    middle, corner = _numbers(answer, 2)
    alone = torch.eye(9, dtype=torch.float64).view(9, 3, 3)
    Q = ratio_of(alone, coarse(alone), "plain").amax(0)
    right = float(Q[1, 1]), float(Q[0, 0])
    if np.allclose([middle, corner], np.sqrt(right), atol=0.02):
        return "these are the ratios on one side: in two dimensions there are two"
    if np.allclose([corner, middle], right, atol=0.02):
        return "these two have changed places"
    if not math.isclose(middle, right[0], abs_tol=0.02):
        return "the middle: its pair is once on the left, once on the right; U says with which weights pairs come back to cells"
    held = math.isclose(corner, right[1], abs_tol=0.02)
    return "" if held else "the corner: it is paired once with its neighbour, once with itself"


def low_and_alone(answer: Any) -> str:
    """22.3: a map whose highest cell is not where the plain ratio is highest."""
    A = torch.as_tensor(answer, dtype=torch.float64)
    if A.ndim != 2 or min(A.shape) < 4:
        return "a map of at least 4 x 4 cells is asked for"
    if not bool(A.isfinite().all()) or float(A.min()) < 0 or float(A.max()) == 0:
        return "a map has finite cells, none below 0, and at least one above"
    Q = ratio_of(A[None], coarse(A[None]), "plain")[0]
    if bool((A[Q >= Q.max() - 1e-9] >= A.max()).any()):
        return f"the highest ratio, {float(Q.max()):.2f}, is in a cell as high as any: which cell could be more alone?"
    return ""


def own_fusion(answer: Any) -> str:
    """22.4: a function (maps, size) -> R, the bounded fusion."""
    draw, size = torch.Generator().manual_seed(0), (12, 12)
    maps = [torch.rand(1, n, n, generator=draw, dtype=torch.float64).sub(0.4).relu() for n in (4, 6, 9)]
    maps[1][:, :4, :4] = 0
    found = torch.as_tensor(answer([A.clone() for A in maps], size))
    if found.shape != (1, *size):
        return f"for maps (1, h, w) and the size {size} it gives {tuple(found.shape)}; (1, 12, 12) is asked for"
    if not bool(found.isfinite().all()):
        return "some cells are no number: what is A / P where P is 0?"

    def same(R: Tensor) -> bool:
        return torch.allclose(found.to(R), R, atol=1e-5)

    levels, plain = (list(refine(enumerate(maps), size, ratio=ratio)) for ratio in ("bounded", "plain"))
    if same(plain[-1].R):
        return "this is the fusion with the plain ratio: something lifts the map"
    if same(levels[-1].F):
        return "this is the last F: what becomes of the F of the smaller scales?"
    away = float((found.to(maps[0]) - levels[-1].R).abs().max())
    held = same(levels[-1].R)
    return "" if held else f"R is up to {away:.2f} off. On which grid is A pooled, and from which F does each scale start?"


def own_levels(answer: Any) -> str:
    """22.5: (the sums of F at three scales, the sum of R at the end), in units of the first F."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        return "two things are asked for: three shares, and the sum of R in the same unit"
    shares, R = _numbers(answer[0], 3), float(answer[1])
    if abs(shares[0] - 1) > 1e-3:
        return "the first F is the unit: its own share is known"
    if shares.min() < 0 or (np.diff(shares) > 1e-3).any():
        return "a ratio that is bounded by 1 never lifts: F cannot grow from scale to scale"
    held = math.isclose(R, shares.sum(), rel_tol=0.01)
    return "" if held else "R is not what the three F make of it: look at the drawing of section 4"


CHECKS: dict[str, Callable[[Any], str]] = {
    "20.1": least_and_most, "20.2": first_step, "20.3": blind_start, "20.4": pick, "20.5": own_path,
    "21.1": product_of_two, "21.2": steps_for_half, "21.3": fair_path, "21.4": a_first, "21.5": own_corridors,
    "22.1": bounded_by_hand, "22.2": three_by_three, "22.3": low_and_alone, "22.4": own_fusion, "22.5": own_levels,
}
