"""The winner of a search, by the rule of data/experiments/README.md: better in place and at equal area, steady, cheap.

`python -m camutils.evaluation.winner` prints what the rule says of data/experiments/43_search.toml, from data/results.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..core.maps import Method
from ..core.targets import Targets
from ..datasets.scene import scene
from ..methods import METHODS
from ..networks.load import load_model
from .experiments import find_runs
from .measure import parse_method
from .results import Row
from .tables import column, read_results
from .verdicts import WORTH

UNSTEADY = ("unsteady_grey", "unsteady_noise")
MOST_PASSES, MOST_UNSTEADY, TIED = 10, 2.0, 1.0


class Candidate(NamedTuple):
    """A method's means over the networks; unsteady_ratio: to the base's, on the worst network; gain as the rule says; whether it
    may win (passes, unsteadiness), whether it stands on the front of those that may, and whether it is the one."""

    method: str
    passes: float
    pixel_ap: float
    drop_15: float
    unsteady: float
    unsteady_ratio: float
    gain: float
    may_win: bool
    on_front: bool
    wins: bool


def passes(method: Method, model: nn.Module, images: Tensor, targets: Targets) -> float:
    """What a map costs: images of the original size through the network; an enlarged one counts by its area.

    images (1, 3, H, W). The bare network is counted, whatever the method wraps around it.
    """
    area = images.shape[-2] * images.shape[-1]
    found = 0.0

    def count(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        nonlocal found
        found += len(given[0]) * given[0].shape[-2] * given[0].shape[-1] / area

    method(model, images, targets)  # what is looked up once for a network is looked up here
    handle = model.register_forward_pre_hook(count)
    try:
        method(model, images, targets)
    finally:
        handle.remove()
    return found


def unsteadiness(rows: list[Row], method: str) -> float:
    """How far a map's order of pixels moves, 0 to 1: the mean over rows of `unsteady_grey` and `unsteady_noise`.

    Raises ValueError for what was not measured.
    """
    return _mean(rows, method, UNSTEADY)


def _mean(rows: list[Row], method: str, metrics: Iterable[str]) -> float:
    """The mean of a method's rows, and of several metrics; NaN is left out."""
    return float(torch.stack([torch.from_numpy(column(rows, method, m)).nanmean() for m in metrics]).mean())


def choose(tables: Sequence[list[Row]], cost: Mapping[str, float], base: str = "grad_cam") -> list[Candidate]:
    """The candidates, the highest gain first, with what the rule says of each; at most one of them wins.

        gain = mean over networks of (AP - AP_base) / 0.02 + (Drop_base - Drop) / 2

    tables: the rows of one network each; cost: method -> passes, of all that are candidates. Raises ValueError for a method, or
    the base, that a table lacks.
    """
    means = {m: [(_mean(rows, m, ["pixel_ap"]), _mean(rows, m, ["drop_15"]), unsteadiness(rows, m)) for rows in tables]
             for m in dict.fromkeys([base, *cost])}
    found = [_candidate(m, cost[m], means[m], means[base]) for m in cost]
    able = [c for c in found if c.may_win]
    front = {c.method for c in able if not any(_dominates(other, c) for other in able)}
    best = max((c.gain for c in able if c.method in front), default=0.0)
    tied = [c for c in able if c.method in front and c.gain >= best - TIED]
    winner = min(tied, key=lambda c: (c.passes, c.unsteady)).method if tied else None
    marked = [c._replace(on_front=c.method in front, wins=c.method == winner) for c in found]
    return sorted(marked, key=lambda c: -c.gain)


def _candidate(method: str, cost: float, own: list[tuple[float, float, float]],
               base: list[tuple[float, float, float]]) -> Candidate:
    AP, drop, unsteady = (sum(values) / len(own) for values in zip(*own, strict=True))
    ratio = max(_times(mine[2], theirs[2]) for mine, theirs in zip(own, base, strict=True))
    gain = sum((mine[0] - theirs[0]) / WORTH["pixel_ap"] + (theirs[1] - mine[1]) / WORTH["drop_15"]
               for mine, theirs in zip(own, base, strict=True)) / len(own)
    return Candidate(method, cost, AP, drop, unsteady, ratio, gain, cost <= MOST_PASSES and ratio <= MOST_UNSTEADY, False, False)


def _times(mine: float, theirs: float) -> float:
    """How many times as unsteady; beside a map that never moves, 1 for another one and infinitely often for any else."""
    if theirs > 0:
        return mine / theirs
    return 1.0 if mine == theirs else float("inf")


def _dominates(a: Candidate, b: Candidate) -> bool:
    """Is a no worse than b in all three, and better in one?"""
    mine, theirs = (-a.pixel_ap, a.drop_15, a.unsteady), (-b.pixel_ap, b.drop_15, b.unsteady)
    return mine != theirs and all(x <= y for x, y in zip(mine, theirs, strict=True))


def searched(experiment: str = "43_search", base: str = "grad_cam") -> list[Candidate]:
    """What the rule says of an experiment's methods, from its stored runs; passes are counted on one scene.

    Raises FileNotFoundError where a run was not made yet, ValueError for an unknown experiment.
    """
    runs = find_runs([experiment])
    tables = [read_results(run.name) for run in runs]
    model, images = load_model("scenes_resnet", "cpu"), scene("tune", 0).image[None]
    cost = {text: passes(parse_method(text, METHODS), model, images, 0) for text in runs[0].methods}
    return choose(tables, cost, base)


def lines(found: Sequence[Candidate]) -> list[str]:
    """Candidates as lines of text, the winner marked *, the front +, what may not win in brackets."""
    width = max(len(c.method) for c in found) + 2
    said = [f"{'':2}{'method':{width}}{'passes':>7}{'AP':>7}{'Drop 15 %':>11}{'unsteady':>10}{'times':>7}{'gain':>7}"]
    for c in found:
        mark = "*" if c.wins else "+" if c.on_front else " "
        name = c.method if c.may_win else f"({c.method})"
        said.append(f"{mark} {name:{width}}{c.passes:7.2f}{c.pixel_ap:7.3f}{c.drop_15:11.1f}{c.unsteady:10.4f}"
                    f"{c.unsteady_ratio:7.2f}{c.gain:7.2f}")
    return said


if __name__ == "__main__":
    print("\n".join(lines(searched())))
