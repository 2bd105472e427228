"""Many verdicts at once: which are decided together, which differences are worth having, and none from fewer than 30 images.

    found = verdicts(rows, ["gig_cam", "integrative_cam"], ["pixel_ap", "drop_15"], against="grad_cam")
    print(verdict_table(found))

Where each of 200 comparisons is decided at 5 % by itself, ten are where nothing differs; `statistics.false_discovery` holds
the share of such among those decided down. Measured over many images a difference may be sure and too small to matter: WORTH.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .results import Row
from .statistics import Comparison, false_discovery
from .tables import HIGHER_IS_BETTER, column, difference

MOVES_WITH_CONTRAST = ("energy", "drop", "increase", "adcc", "coherency", "complexity", "sensitivity", "infidelity", "area")
FEWEST = 30  # images that a verdict stands on, at least
POINTS = ("drop", "drop_top15", "drop_top50", "drop_15", "drop_area",  # in per cent
          "increase", "increase_top15", "increase_top50", "increase_15", "increase_area")
SHARES = ("pointing", "energy", "pixel_ap", "pixel_ap_ink", "best_iou", "insertion", "deletion", "deletion_15", "deletion_area",
          "road", "road_least", "adcc", "coherency", "complexity", "sensitivity", "unsteady_grey", "unsteady_noise")
WORTH = dict.fromkeys(POINTS, 2.0) | dict.fromkeys(SHARES, 0.02) | {"infidelity": np.inf}  # the smallest difference worth having;
# infidelity is a squared logit, whose size is the network's: no difference of it is called worth having


class Verdict(NamedTuple):
    """A paired difference, method minus the one it is compared with, and what may be said of it among many others.

    images, classes: how many it stands on (classes: only of a mean over classes, else 0); decided: after Benjamini and
    Hochberg; worth: at least the smallest difference worth having; note: why there is no verdict (low, high, p: NaN), else "".
    """

    method: str
    metric: str
    difference: float
    low: float
    high: float
    p: float
    images: int
    classes: int
    decided: bool
    worth: bool
    note: str


def standing_on(rows: list[Row], methods: Sequence[str], metrics: Sequence[str]) -> tuple[int, int]:
    """Number of images and of classes for which all of these methods have all of these metrics.

    Raises ValueError for what was not measured, and for methods that were measured on other rows than the first.
    """
    for key in ("image", "class"):
        first, *others = (column(rows, method, key) for method in methods)
        for method, other in zip(methods[1:], others, strict=True):
            if not np.array_equal(first, other):
                raise ValueError(f"{method!r} was measured on other images or classes than {methods[0]!r}; accepted: the same")
    there = ~np.any([np.isnan(column(rows, method, metric)) for method in methods for metric in metrics], 0)
    images, classes = (column(rows, methods[0], key)[there] for key in ("image", "class"))
    return len(np.unique(images)), len(np.unique(classes))


def verdicts(rows: list[Row], methods: Sequence[str], metrics: Sequence[str], against: str = "grad_cam", level: float = 0.05, *,
             resamples: int = 2000, seed: int = 0) -> list[Verdict]:
    """Every method against one, in every metric: paired differences, of those called decided at most a share `level` is wrong.

    Intervals hold 1 - level each; `statistics.false_discovery` over all cells decides; `rounding` is not decided.
    `against` itself is left out. Raises ValueError for methods or metrics that were not measured, or none to compare.
    """
    found = []
    for method, metric in pairs(methods, metrics, against):
        worth_having(metric)
        images, classes = standing_on(rows, (method, against), (metric,))
        enough = images >= FEWEST
        d = difference(rows, method, against, metric, seed, resamples=resamples, level=1 - level) if enough else None
        found.append(judged(method, metric, d, images, classes))
    return decide(found, level)


def over_sets(sets: dict[str, list[Row]], methods: Sequence[str], metrics: Sequence[str], against: str = "grad_cam",
              level: float = 0.05, *, resamples: int = 2000, seed: int = 0) -> dict[str, list[Verdict]]:
    """`verdicts` of several networks or data sets, name -> rows, all cells of all of them decided together.

    A method that one of them does not have is left out there. Raises ValueError as `verdicts`, and for no sets.
    """
    found = {}
    for name, rows in sets.items():
        known = {row["method"] for row in rows}
        own = [method for method in methods if method in known]
        found[name] = verdicts(rows, own, metrics, against, level, resamples=resamples, seed=seed)
    return together(found, level)


def changes(sets: Mapping[str, list[Row]], steps: Mapping[str, tuple[str, str]], metrics: Sequence[str], level: float = 0.05, *,
            resamples: int = 2000, seed: int = 0) -> dict[str, list[Verdict]]:
    """What one change at a time does: every method against its own neighbour, all cells of all sets decided together.

    steps: label -> (method, the one that it is compared with); the label is the verdict's method. A step is left out where a set
    lacks one of the two. Raises ValueError as `verdicts`, and for no sets.
    """
    found = {}
    for name, rows in sets.items():
        known, own = {row["method"] for row in rows}, []
        for label, (method, against) in steps.items():
            if {method, against} <= known:
                cells = verdicts(rows, [method], metrics, against, level, resamples=resamples, seed=seed)
                own += [v._replace(method=label) for v in cells]
        found[name] = own
    return together(found, level)


def together(found: Mapping[str, Sequence[Verdict]], level: float = 0.05) -> dict[str, list[Verdict]]:
    """Verdicts of several sets, name -> cells, decided anew over all cells of all of them (`decide`). ValueError for no sets."""
    if not found:
        raise ValueError("no sets given; accepted: name -> rows, or verdicts, at least one")
    cells = iter(decide([v for own in found.values() for v in own], level))
    return {name: [next(cells) for _ in own] for name, own in found.items()}


def worth_having(metric: str) -> float:
    """The smallest difference worth having, in the metric's unit; "energy at equal drop" is asked as energy is."""
    name = metric.partition(" at equal ")[0]
    if name not in WORTH:
        raise ValueError(f"no smallest difference worth having is known of {metric!r}; accepted: {', '.join(WORTH)}")
    return WORTH[name]


def pairs(methods: Sequence[str], metrics: Sequence[str], against: str) -> list[tuple[str, str]]:
    """The cells of a table of verdicts, method by method. ValueError where there is none."""
    cells = [(method, metric) for method in methods if method != against for metric in metrics]
    if not cells:
        raise ValueError(f"methods {methods} against {against!r} in {metrics} given; accepted: another method, and a metric")
    return cells


def judged(method: str, metric: str, d: Comparison | None, images: int, classes: int, note: str = "") -> Verdict:
    """One cell before `decide`: a comparison as a `Verdict`; None, or fewer than 30 images, is a note in its place.

    classes: of the rows; only the pointing game is a mean over them.
    """
    classes = classes if metric.startswith("pointing") else 0
    if images < FEWEST:
        d, note = None, f"n < {FEWEST}"
    if d is None:
        return Verdict(method, metric, np.nan, np.nan, np.nan, np.nan, images, classes, False, False, note)
    return Verdict(method, metric, *d, images, classes, False, abs(d.difference) >= worth_having(metric), note)


def decide(found: list[Verdict], level: float = 0.05) -> list[Verdict]:
    """The same cells, with `decided` set by the false discovery rate over all that have a p value (`false_discovery`).

    Never decided: less than a hundredth of what is worth having. So far a map and its power differ in `pixel_ap` by rounding,
    and always to the same side, which a test takes for certain.
    """
    asked = [v for v in found if not v.note]
    rejected = iter(false_discovery([v.p for v in asked], level) if asked else [])
    return [v if v.note else v._replace(decided=bool(next(rejected)) and not rounding(v)) for v in found]


def rounding(v: Verdict) -> bool:
    """Whether a difference is below a hundredth of what is worth having (infidelity, which has no such thing: below 1e-5)."""
    worth = worth_having(v.metric)
    return abs(v.difference) < (worth / 100 if np.isfinite(worth) else 1e-5)


def better_or_worse(v: Verdict) -> str:
    """`+` decided and better, `-` decided and worse, "" undecided."""
    if not v.decided:
        return ""
    return "+" if (v.difference > 0) == (v.metric.partition(" at equal ")[0] in HIGHER_IS_BETTER) else "-"


def verdict_table(found: list[Verdict], labels: dict[str, str] | None = None) -> str:
    """Verdicts as text: a line per method, a column per metric: difference, interval, and what may be said of it.

    `+` better and `-` worse, decided; `(+)`, `(-)` decided, but less than is worth having; nothing: undecided.
    """
    if not found:
        raise ValueError("no verdicts given; accepted: those of `verdicts`, at least one")
    methods, metrics = (list(dict.fromkeys(names)) for names in zip(*((v.method, v.metric) for v in found), strict=True))
    names = {method: (labels or {}).get(method, method) for method in methods}
    cells = {(v.method, v.metric): _cell(v) for v in found}
    wide = max(map(len, names.values())) + 2
    lines = [" " * wide + "".join(f"{metric:^32}" for metric in metrics).rstrip()]
    for method in methods:
        lines.append((names[method].ljust(wide) + "".join(cells.get((method, m), "").ljust(32) for m in metrics)).rstrip())
    marked = ", ".join(m for m in metrics if m in MOVES_WITH_CONTRAST)
    over = sorted({v.classes for v in found if v.classes})
    counts = sorted({v.images for v in found})
    lines += [f"images: {' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))}"]
    lines += [f"contrast moves: {marked}"] * bool(marked)
    lines += [f"pointing: a mean over {' or '.join(map(str, over))} classes"] * bool(over)
    return "\n".join(lines)


def _cell(v: Verdict) -> str:
    """One verdict: `+0.042 [+0.016, +0.070] +`."""
    if v.note:
        return v.note.partition(":")[0]
    digits = 1 if worth_having(v.metric) >= 1 else 3
    side = better_or_worse(v)
    mark = f"({side})" if side and not v.worth else side
    d, low, high = (f"{round(value, digits) + 0:+.{digits}f}" for value in (v.difference, v.low, v.high))  # + 0: no -0.0
    return f"{d} [{low}, {high}] {mark}".rstrip()
