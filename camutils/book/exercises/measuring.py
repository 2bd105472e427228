"""Checks of the exercises of notebook 02, Measuring a heat map."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...evaluation import metrics

BOX = torch.tensor([[1, 1, 3, 3]])
L = torch.tensor([[0, 0, 0.5, 0], [0, 2, 4, 0], [0, 1, 3, 0], [0, 0, 0, 0]]) / 4  # the map of section 1
SPILLED = torch.tensor([[0, 0, 2.5, 0], [0, 2, 4, 0], [0, 1, 3, 0], [0, 0, 0, 0]]) / 4
NAMES = {"pointing", "energy", "drop", "deletion", "pixel_ap"}


class _Network(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def halved(answer: Any) -> str:
    """02.1: which metrics change where L is multiplied by 0.5?"""
    if isinstance(answer, str) or not set(answer) <= NAMES:
        return f"a set of names is asked for, out of {', '.join(sorted(NAMES))}"
    if "energy" in answer:
        return "the energy game is a quotient: what does the factor do to its upper and to its lower part?"
    if set(answer) & {"pointing", "deletion", "pixel_ap"}:
        return "one of these reads only the order of the cells: does half of everything change an order?"
    return "" if "drop" in answer else "one metric multiplies the picture by the map: what of half a map?"


def hot_spill(answer: Any) -> str:
    """02.2: the AP of the map whose spill is hotter than every other cell."""
    value = float(answer)
    if not 0 <= value <= 1:
        return "AP is a mean of shares: it lies between 0 and 1"
    if math.isclose(value, 0.8875, abs_tol=2e-3):
        return "this is the AP of section 1, where the spill came third: now it comes first"
    right = float(metrics.pixel_ap(torch.where(SPILLED == 2.5 / 4, 2.0, SPILLED)[None], [BOX]))
    return "" if abs(value - right) < 2e-3 else "write the five cells down, hottest first, and a share at each of the four"


def two_areas(answer: Any) -> str:
    """02.3: a network for which deletion and insertion of the map do not add up to 1."""
    network = _Network(answer)
    black, white = (float(network(torch.full((1, 3, 4, 4), v)).reshape(-1)[0]) for v in (0.0, 1.0))
    if not (0 <= black <= 1 and 0 <= white <= 1):
        return f"a confidence lies between 0 and 1; on a black and on a white picture it is {black:.2f} and {white:.2f}"
    if white <= black:
        return "the object is there in the white picture: the confidence should be higher there than in a black one"
    white_picture = torch.ones(1, 3, 4, 4)
    curves = metrics.deletion_insertion(network, white_picture, L[None], 0, steps=16, insertion_from="black", link="logit")
    total = float(curves.deletion_auc[0] + curves.insertion_auc[0])
    return "" if abs(total - 1) > 0.05 else f"for this network the two areas still add up to {total:.2f}"


def rising(answer: Any) -> str:
    """02.4: a rising function, not a power, that lifts the energy of the spilled map above 0.95."""
    t = torch.linspace(0, 1, 101)
    f = torch.as_tensor(answer(t), dtype=torch.float32)
    if f.shape != t.shape or not bool(f.isfinite().all()):
        return "the function should take a tensor of heats and give one number for each"
    if float(f.min()) < 0 or float(f.max()) > 1 + 1e-6:
        return f"heats lie in [0, 1]; this gives {float(f.min()):.2f} to {float(f.max()):.2f}"
    if bool((f.diff() <= 0).any()):
        return "it does not rise everywhere: two heats become equal, or change places, and then AP may change"
    exponents = f[[12, 25, 50, 75]].log() / t[[12, 25, 50, 75]].log()  # t^k: k everywhere
    if float(exponents.max() - exponents.min()) < 0.01 * float(exponents.abs().max()):
        return "this is a power of the heat"
    energy = float(metrics.energy_game(torch.as_tensor(answer(SPILLED), dtype=torch.float32)[None], [BOX]))
    return "" if energy > 0.95 else f"the energy is {energy:.3f}"


def own_photograph(answer: Any) -> str:
    """02.5: {"energy": (map, squared), "drop": ..., "pixel_ap": ..., "drop_15": ...} on the reader's photograph."""
    names = ("energy", "drop", "pixel_ap", "drop_15")
    if not isinstance(answer, dict) or set(answer) != set(names):
        return f"a dictionary is asked for, of pairs (Grad-CAM, Grad-CAM squared) with the keys {', '.join(names)}"
    before, after = ({name: float(np.ravel(answer[name][i])[0]) for name in names} for i in (0, 1))
    if not all(math.isfinite(v) for v in (*before.values(), *after.values())):
        return "a number is missing (NaN): does the box lie in the picture?"
    if abs(after["pixel_ap"] - before["pixel_ap"]) > 1e-3 or abs(after["drop_15"] - before["drop_15"]) > 0.5:
        return "AP and Drop at 15 % read only the order of the pixels: squaring must leave them as they are"
    if max(before["energy"], before["pixel_ap"]) > 1:
        return "energy and AP lie between 0 and 1"
    same = abs(after["energy"] - before["energy"]) < 1e-6 and abs(after["drop"] - before["drop"]) < 1e-6
    return "energy and Drop are the same for both maps: was the second one squared?" if same else ""


CHECKS = {"02.1": halved, "02.2": hot_spill, "02.3": two_areas, "02.4": rising, "02.5": own_photograph}
