"""Checks of the exercises of notebooks 42 and 50: trust and cost."""

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.maps import Method
from ...datasets.examples import Examples, examples
from ...evaluation import metrics
from ...evaluation.controls import edges
from ...evaluation.speed.harness import Contestant, countable, passes
from ...methods import METHODS
from ...networks.load import load_model

TOY = torch.tensor([[0, 4, 0], [0, 7, 1], [0, 4.5, 3]])  # the learned map of section 1
HEAD_RANDOM = ((0.78, 0.26), (-0.17, 0.08))  # correlation and floor of two methods
OWN = (10, 20, 12), (12, 22, 36)  # milliseconds of the bare passes and of a method, round by round, in 50.2
SIDES = 1, 1.5, 2  # of 50.1
CLUSTERS = 4, 8, 16, 32  # of 50.4


def numbers(answer: Any, count: int, asked: str) -> tuple[list[float], str]:
    """So many finite numbers, or a sentence that asks for them."""
    if not isinstance(answer, tuple | list) or len(answer) != count:
        return [], f"{count} numbers are asked for: {asked}"
    found = [float(v) for v in answer]
    return found, "" if all(map(math.isfinite, found)) else "one of these is no finite number"


def mirrored(answer: Any) -> str:
    """42.1: the rank correlation of the learned map with its mirror image."""
    value, right, plain = float(answer), *(float(f(TOY[None], TOY.flip(1)[None])) for f in (metrics.spearman, metrics.pearson))
    if not -1 <= value <= 1:
        return "a correlation lies between -1 and 1"
    if value > 0.999:
        return "the mirror image is another map: the heats of the left and of the right column change places"
    if abs(value - right) < 2e-3:
        return ""
    if abs(value - plain) < 2e-3:
        return "this is the correlation of the values: put the ranks in their place first"
    return "write both maps as ranks, the four zeros with 2.5 each, and subtract 5; then multiply cell by cell, as in section 1"


def surviving(answer: Any) -> str:
    """42.2: how much of the likeness survives in two methods, (rho - floor) / (1 - floor)."""
    found, off = numbers(answer, 2, "(share of the first method, share of the second)")
    if off:
        return off
    if any(abs(v - rho) < 2e-3 for v, (rho, _) in zip(found, HEAD_RANDOM, strict=True)):
        return "this is the correlation itself: what two unrelated maps share comes off first"
    if any(abs(v - (rho - floor)) < 2e-3 for v, (rho, floor) in zip(found, HEAD_RANDOM, strict=True)):
        return "an unchanged map should have 1 on this scale: divide by what is left between the floor and 1"
    for which, v, (rho, floor) in zip(("first", "second"), found, HEAD_RANDOM, strict=True):
        if abs(v - (rho - floor) / (1 - floor)) > 6e-3:
            return f"the share of the {which} method is another one; a map less alike than two unrelated ones is below 0"
    return ""


@cache
def scenes(*picks: int) -> tuple[nn.Module, Examples]:
    """`scenes_resnet`, countable, and every digit of some test scenes."""
    return countable(load_model("scenes_resnet", "cpu")), examples("scenes", picks)


def unmoved(answer: Any) -> str:
    """42.3: a method whose maps no noise moves, and that are not the same in every pixel."""
    model, rows = scenes(0, 2)
    off = no_map(answer(model, rows.images, rows.targets, None), rows.images)
    if off:
        return off
    for kind, said in (("noise", "noise of 0.02"), ("grey", "one grey level")):
        worst = float(metrics.unsteadiness(answer, model, rows.images, rows.targets, kind=kind, draws=2).max())
        if worst > 1e-6:
            return f"under {said} the pixels change their order: an unsteadiness of {worst:.2g}"
    return ""


def no_map(maps: Any, images: Tensor) -> str:
    """What is wrong with heat maps of these images, "" if nothing is."""
    if not isinstance(maps, Tensor) or maps.shape != (len(images), *images.shape[-2:]):
        got = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        return f"the maps should be a tensor (B, H, W), a heat for every pixel of every picture; these are {got}"
    if not bool(maps.isfinite().all()) or float(maps.min()) < 0 or float(maps.max()) > 1 + 1e-6:
        return "heats lie between 0 and 1"
    if bool((maps.flatten(1).amax(1) == maps.flatten(1).amin(1)).any()):
        return "a map is the same in every pixel: it has no order that could move"
    return ""


@cache
def mixed_likeness() -> list[float]:
    """For shares of edges of 0.1 to 0.9: the mean rank correlation of the mixed map where the head is random."""
    model, rows = scenes(0, 2, 3)
    ink, kept = edges(model, rows.images), list[Tensor]()

    def keep(model: nn.Module, images: Tensor, targets: Any, layer: Any) -> Tensor:
        kept.append(METHODS["grad_cam"](model, images, targets, layer))
        return kept[-1]

    metrics.cascading_randomisation(keep, model, rows.images, torch.tensor(rows.targets), modules=["fc"])
    before, after = kept
    mixes = [[(1 - s) * L + s * ink for L in (before, after)] for s in (n / 10 for n in range(1, 10))]
    return [float(metrics.spearman(*pair).nanmean()) for pair in mixes]


def mixed(answer: Any) -> str:
    """42.4: the smallest tenth of edges with which Grad-CAM keeps a correlation above 0.5 where the head is random."""
    share = float(answer)
    if not any(math.isclose(share, n / 10, abs_tol=1e-6) for n in range(1, 10)):
        return "one of the nine shares 0.1, 0.2, ... 0.9 is asked for"
    found = mixed_likeness()
    mine = found[round(10 * share) - 1]
    if mine <= 0.5:
        return f"with this share the mean correlation is {mine:.2f}: not above 0.5 yet"
    before = found[: round(10 * share) - 1]
    return "the correlation is above 0.5 here, but it is so with fewer edges, too" if before and max(before) > 0.5 else ""


def unsettled(answer: Any) -> str:
    """42.5: (map, spread, pixel, pixel) of the reader's own: two pixels with different heats whose order is not settled."""
    if not isinstance(answer, tuple | list) or len(answer) != 4:
        return "four things are asked for: (map, spread, (row, column), (row, column))"
    heat, spread = (torch.as_tensor(a).detach().cpu().double().squeeze() for a in answer[:2])
    if heat.ndim != 2 or heat.shape != spread.shape:
        return f"map and spread should be of one picture, (H, W) each; these are {tuple(heat.shape)} and {tuple(spread.shape)}"
    if float(heat.min()) < 0 or float(heat.max()) > 1 + 1e-6:
        return "the heats of a map lie between 0 and 1: is this the map, or raw=True?"
    if float(spread.min()) < 0 or float(spread.max()) > 0.5 + 1e-6:
        return "a spread of heats between 0 and 1 lies between 0 and 0.5: are map and spread in this order?"
    if not bool(spread.any()):
        return "this map has no spread at all: all pairs with different heats are settled. Take another method or picture"
    one, two = (tuple(int(v) for v in pixel) for pixel in answer[2:])
    if len(one) != 2 or len(two) != 2:
        return "a pixel is (row, column)"
    apart, shaken = abs(float(heat[one]) - float(heat[two])), 2 * max(float(spread[one]), float(spread[two]))
    if apart == 0:
        return "these two pixels have the same heat: there is no order to settle"
    return "" if apart <= shaken else f"this pair is settled: the heats are {apart:.3f} apart, two spreads are {shaken:.3f}"


def path_at_scales(answer: Any) -> str:
    """50.1: forward passes of GIG-CAM+M with 20 steps at three sizes, as pictures and by their area."""
    found, off = numbers(answer, 2, "(pictures through the network, the same by their area)")
    if off:
        return off
    pictures, area = 20 * len(SIDES), 20 * sum(s**2 for s in SIDES)
    if found[0] != pictures:
        return "every size walks the whole path: how many pictures are that?"
    if abs(found[1] - 20 * sum(SIDES)) < 1e-6:
        return "a picture that is twice as high is also twice as wide"
    if found[1] <= pictures:
        return "a larger picture costs more than one pass"
    return "" if abs(found[1] - area) < 0.5 else "add up the squares of the three factors; every step walks at every size"


def paired_ratio(answer: Any) -> str:
    """50.2: the median of the ratios within rounds."""
    value = float(answer)
    bare, own = OWN
    ratios = sorted(b / a for a, b in zip(bare, own, strict=True))
    if abs(value - ratios[1]) < 2e-2:
        return ""
    if abs(value - sum(ratios) / 3) < 2e-2 or abs(value - sum(own) / sum(bare)) < 2e-2:
        return "this is a mean, and the disturbed round pulls at it: take the one in the middle"
    if abs(value - sorted(own)[1] / sorted(bare)[1]) < 2e-2:
        return "this divides a median by a median, of two different rounds: divide within each round first"
    return "three ratios, one within each round; then the one in the middle"


def one_forward(answer: Any) -> str:
    """50.3: a method of one forward pass and no backward pass."""
    model, rows = scenes(0, 2)
    made: Method = answer
    off = no_map(made(model, rows.images, rows.targets, None), rows.images)
    if off:
        return off
    counted = passes(Contestant("", lambda: made(model, rows.images, rows.targets, None)))
    n = len(rows.images)
    if counted.backwards:
        return f"{counted.backwards} pictures had their score differentiated: no backward pass was asked for"
    if counted.forwards != n:
        return f"{counted.forwards} pictures went through the network, for {n} to explain"
    scene = [i for i, image in enumerate(rows.images) if not torch.equal(image, rows.images[0])][0]
    L = made(model, rows.images, rows.targets, None)
    return "two different scenes get the same map" if torch.equal(L[0], L[scene]) else ""


def fitted(answer: Any) -> str:
    """50.4: the slope of 1 + n over n = 4, 8, 16, 32 on log axes."""
    value = float(answer)
    right = np.polyfit(np.log(CLUSTERS), np.log([1 + n for n in CLUSTERS]), 1)[0]
    if abs(value - right) < 5e-3:
        return ""
    if abs(value - 1) < 5e-3:
        return "it would be 1 for n passes; the pass of the picture itself does not grow"
    if value > 1:
        return "eight times the clusters are less than eight times the passes: the slope is below 1"
    return "logarithms of the passes over logarithms of n; a straight line by least squares (`numpy.polyfit`)"


def own_score_cam(answer: Any) -> str:
    """50.5: channels, flat ones and forward passes of Score-CAM on the reader's own network and photograph."""
    found, off = numbers(answer, 3, "(channels of the layer, channels that are flat, pictures through the network)")
    if off:
        return off
    K, flat, forwards = found
    if any(v != round(v) for v in found) or K < 1 or not 0 <= flat <= K:
        return "channels are counted: whole numbers, and no more flat ones than there are"
    if forwards == 2 + K - flat:
        return "one too many: the first call of a network also looks for its layer. Count a second call"
    if forwards == K - flat:
        return "one pass is missing: who has made the channels?"
    adds_up = forwards == 1 + K - flat
    return "" if adds_up else "a channel costs a pass unless it is flat, and one pass comes before them: these do not add up"


CHECKS = {
    "42.1": mirrored, "42.2": surviving, "42.3": unmoved, "42.4": mixed, "42.5": unsettled,
    "50.1": path_at_scales, "50.2": paired_ratio, "50.3": one_forward, "50.4": fitted, "50.5": own_score_cam,
}
