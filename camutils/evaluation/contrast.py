"""The contrast control: is a method better, or does its map only look sharper?

Raised to a power, M^gamma, a map points where it did, and yet its energy on the object and its Average Drop rise together, as
far as the best methods' do. So a method is asked for more than that: to be better than Grad-CAM *at the contrast that costs
the same Drop*, or that covers the same area. The powers are rows of a run, `grad_cam^0.25` to `grad_cam^8`: `powers`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .results import Row
from .statistics import Comparison, comparison, joint_bootstrap
from .tables import column, mean
from .verdicts import Verdict, better_or_worse, decide, judged, pairs, standing_on, verdicts

GAMMAS = tuple(2.0 ** (k / 2) for k in range(-4, 7))  # 1/4, ..., 1 (the map itself), ..., 8
EQUALS = ("drop", "area")  # what is made equal: Average Drop, or the map's effective area; both follow the power
REACHED = 0.95  # the least share of resamples in which some power reaches the method
UNMOVED = ("pixel_ap", "drop_15")  # measures that no rescaling of a map moves


class AtEqual(NamedTuple):
    """A method less the base at the power that makes them equal; comparison None and gamma NaN where none does, and why.

    gamma: that power. grain: what chords between the stored powers cannot tell, in the unit of the gain: how far the difference
    moves where every second power is left out, the one half or the other (where the curve bends evenly, a chord half as long
    errs less than that); the interval is that much wider. reachable: share of the resamples in which some power reaches the
    method. reason: "" or "not reachable: ...".
    """

    comparison: Comparison | None
    gamma: float
    grain: float
    reachable: float
    reason: str


class Beats(NamedTuple):
    """Whether contrast cannot explain that a method is better: `beats` where `better` names a measure; the rest stands beside."""

    beats: bool
    better: tuple[str, ...]
    worse: tuple[str, ...]
    notes: tuple[str, ...]  # measures without a verdict, and why


def powers(base: str = "grad_cam") -> list[str]:
    """The rows that the control needs, as the runner calls them: grad_cam^0.25, ..., grad_cam, grad_cam^1.414214, ..."""
    return [base if gamma == 1 else f"{base}^{round(gamma, 6):.7g}" for gamma in GAMMAS]


def stored_powers(rows: list[Row], base: str = "grad_cam") -> dict[float, str]:
    """gamma -> name of its row, rising, of all powers of the base that were measured in [1/4, 8], the base (1) among them.

    Raises ValueError where there are fewer than three, or not the base itself.
    """
    names = dict.fromkeys(row["method"] for row in rows)
    found = {float(name.removeprefix(f"{base}^")): name for name in names if name.startswith(f"{base}^")}
    found |= {1.0: base} if base in names else {}
    found = {gamma: found[gamma] for gamma in sorted(found) if GAMMAS[0] <= gamma <= GAMMAS[-1]}
    if base not in found.values() or len(found) < 3:
        raise ValueError(f"powers of {base!r}: {', '.join(found.values()) or 'none'} given; accepted: {base} and at least two of "
                         + ", ".join(powers(base)))
    return found


def at_equal(rows: list[Row], method: str, gain: str = "energy", equal: str = "drop", base: str = "grad_cam", *,
             resamples: int = 2000, seed: int = 0, level: float = 0.95) -> AtEqual:
    """What a method gains over the base once a power of the base has made them equal in Drop, or in area.

        d = gain(method) - gain(base^gamma),    gamma in [1/4, 8]: equal(base^gamma) = equal(method)

    The curve over log gamma is a chord between neighbouring powers; of several crossings the one nearest gamma = 1 counts.
    gamma is found anew in every resample of the images, so the interval holds its uncertainty. "Not reachable" where no power
    reaches the method in the data, or in more than 5 % of the resamples (up to there they are left out).
    rows: of `tables.read_results`; gain: any metric (pointing: Drop and area are then means over classes, too).
    Raises ValueError for rows, metrics or an `equal` that are not there.
    """
    if equal not in EQUALS:
        raise ValueError(f"equal={equal!r} given; accepted: {', '.join(EQUALS)}")
    found = stored_powers(rows, base)
    standing_on(rows, [method, *found.values()], (gain, equal))  # on the same images?
    columns = [column(rows, name, metric) for metric in (equal, gain) for name in (method, *found.values())]
    classes = column(rows, method, "class") if gain == "pointing" else None
    T, stars = joint_bootstrap(columns, column(rows, method, "image"), classes, resamples=resamples, seed=seed)
    both, K = np.concatenate([T[:, None], stars], 1), len(found)  # the data, then its resamples: (2 + 2 K, 1 + resamples)
    target, costs, own, gains = both[0], both[1 : K + 1], both[K + 1], both[K + 2 :]
    x = np.log([*found])
    at, reached = _reach(x, costs, gains, target)
    d = own - reached
    halves = [sorted({0, *range(first, K, 2), K - 1}) for first in (0, 1)]  # every second power: chords of twice the length
    grain = np.max([abs(_reach(x[half], costs[half], gains[half], target)[1][0] - reached[0]) for half in halves])
    inside = ~np.isnan(d[1:])
    share = float(inside.mean())
    reason = _reason(base, equal, target[0], costs[:, 0], share, grain)
    if reason:
        return AtEqual(None, np.nan, np.nan, share, reason)
    return AtEqual(comparison(d[0], d[1:][inside], level, grain), float(np.exp(at[0])), float(grain), share, "")


def _reach(x: np.ndarray, cost: np.ndarray, gain: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where chords of cost reach the target, nearest x = 0, and the gain there: (R,) each, NaN where they do not.

    x (K,) rising; cost, gain (K, R); target (R,).
    """
    start, end = cost[:-1] - target, cost[1:] - target
    crosses = start * end <= 0
    walked = np.divide(start, start - end, out=np.zeros_like(start), where=start != end)  # share of the chord up to the target
    at = x[:-1, None] + walked * np.diff(x)[:, None]
    there = gain[:-1] + walked * np.diff(gain, axis=0)
    nearest = np.where(crosses, abs(at), np.inf).argmin(0)[None]
    at, there = (np.where(crosses.any(0), np.take_along_axis(v, nearest, 0)[0], np.nan) for v in (at, there))
    return at, there


def _reason(base: str, equal: str, target: float, costs: np.ndarray, share: float, grain: float) -> str:
    """Why there is no answer, or ""."""
    low, high = costs.min(), costs.max()
    if not low <= target <= high:
        return f"not reachable: {equal} {target:.3g}, powers of {base} have {low:.3g} to {high:.3g}"
    if share < REACHED:
        return f"not reachable: in {1 - share:.0%} of the resamples no power of {base} has the method's {equal}"
    if np.isnan(grain):
        return f"not reachable: only at the turn of {equal} between two powers of {base}"
    return ""


def at_equals(rows: list[Row], methods: Sequence[str], gain: str = "energy", equals: Sequence[str] = EQUALS,
              base: str = "grad_cam", level: float = 0.05, *, resamples: int = 2000, seed: int = 0) -> list[Verdict]:
    """`at_equal` of many methods as `Verdict`s, columns "energy at equal drop" and "... area"; arguments as `verdicts`."""
    cells, found = pairs(methods, equals, base), []
    for method, equal in cells:
        r = at_equal(rows, method, gain, equal, base, resamples=resamples, seed=seed, level=1 - level)
        images, classes = standing_on(rows, [method, *stored_powers(rows, base).values()], (gain, equal))
        found.append(judged(method, f"{gain} at equal {equal}", r.comparison, images, classes, r.reason))
    return decide(found, level)


def beats(rows: list[Row], method: str, against: str = "grad_cam", *, unmoved: Sequence[str] = UNMOVED, level: float = 0.05,
          resamples: int = 2000, seed: int = 0) -> Beats:
    """The rule of this project: a method beats another only where contrast cannot explain it.

    Either it is better, decided, in a measure that no rescaling of a map moves (`unmoved`), or in energy at equal Drop *and*
    at equal area. All these are decided together (`verdicts.decide`). ValueError as `verdicts`; without powers of `against`
    energy is a note.
    """
    found, notes = _asked(rows, method, against, unmoved, level, resamples, seed)
    return _summed_up(decide(found, level), notes)


def beats_over_sets(sets: Mapping[str, list[Row]], methods: Sequence[str], against: str = "grad_cam", *,
                    unmoved: Sequence[str] = UNMOVED, level: float = 0.05, resamples: int = 2000,
                    seed: int = 0) -> dict[str, dict[str, Beats]]:
    """`beats` of many methods on several networks or data sets, decided together: name of the set -> method -> `Beats`.

    sets: name -> rows; a method that one of them does not have is left out there. ValueError as `beats`, and for no sets.
    """
    if not sets:
        raise ValueError("no sets of rows given; accepted: name -> rows, at least one")
    known = {name: {row["method"] for row in rows} - {against} for name, rows in sets.items()}
    asked = {(name, method): _asked(rows, method, against, unmoved, level, resamples, seed)
             for name, rows in sets.items() for method in methods if method in known[name]}
    together = iter(decide([v for found, _ in asked.values() for v in found], level))
    said = {key: _summed_up([next(together) for _ in found], notes) for key, (found, notes) in asked.items()}
    return {name: {method: said[name, method] for method in methods if (name, method) in said} for name in sets}


def _asked(rows: list[Row], method: str, against: str, unmoved: Sequence[str], level: float, resamples: int,
           seed: int) -> tuple[list[Verdict], list[str]]:
    """All comparisons that `beats` asks of a method, and notes on those that cannot be made."""
    rows = [row for row in rows if row["method"] in (method, against) or row["method"].startswith(f"{against}^")]
    found = verdicts(rows, [method], unmoved, against, level, resamples=resamples, seed=seed)
    try:
        stored_powers(rows, against)
    except ValueError as missing:
        return found, [f"energy: {missing}"]
    return found + at_equals(rows, [method], "energy", EQUALS, against, level, resamples=resamples, seed=seed), []


def _summed_up(found: list[Verdict], notes: list[str]) -> Beats:
    """What decided comparisons of one method say; energy counts where both of its comparisons fall to one side."""
    notes = notes + [f"{v.metric}: {v.note}" for v in found if v.note]
    sides = {v.metric: better_or_worse(v) for v in found}
    energies = {sides.pop(metric) for metric in [*sides] if " at equal " in metric}
    if len(energies) == 1:
        sides["energy at equal drop and area"] = energies.pop()
    better, worse = (tuple(metric for metric, side in sides.items() if side == wanted) for wanted in "+-")
    return Beats(bool(better), better, worse, tuple(notes))


def contrast_curve(rows: list[Row], gain: str = "energy", loss: str = "drop",
                   base: str = "grad_cam") -> dict[float, tuple[float, float]]:
    """The base's powers as points of a front: gamma -> (mean loss, mean gain), rising in gamma."""
    return {gamma: (mean(rows, name, loss), mean(rows, name, gain)) for gamma, name in stored_powers(rows, base).items()}
