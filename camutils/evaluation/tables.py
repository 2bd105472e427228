"""Tables of measured results, as the notebooks print them: means with 95 % intervals, and what a paired comparison decides.

    rows = read_results("02_deciding_scenes_resnet", "10_deciding_scenes_resnet")
    print(table(rows, {"Grad-CAM": "grad_cam", "ours": "integrative_cam"}, ["energy", "drop"], against="grad_cam"))

Many verdicts at once: `verdicts`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..places import DATA, need_checkout
from .measure import CENTRE
from .results import KEYS, Row, read_provenance, read_table
from .statistics import Comparison, Interval, bootstrap_mean, class_mean, paired_bootstrap

HIGHER_IS_BETTER = ("pointing", "energy", "increase", "increase_top15", "increase_top50", "insertion", "adcc", "coherency",
                    "road_least", "pixel_ap", "pixel_ap_ink", "best_iou", "increase_area", "increase_15")


SCENES = {f"scenes_{net}{seed and f'_seed{seed}'}": f"{net}\n{seed or 0}" for net in ("resnet", "vgg") for seed in ("", 1, 2)}
PHOTOGRAPHS = {f"{data}_efficientnet_lite{n}": f"{name}\nLite{n}" for data, name in (("imagenet", "ILSVRC"), ("voc", "VOC"))
               for n in range(3)}


def read_results(*names: str, common: bool = False) -> list[Row]:
    """Rows of one or several runs of the runner in data/results, measured on the same images and classes, as one list.

    A method that several runs hold is taken from the first. common=True: of runs on different images, only the images and
    classes that all of them have. Raises FileNotFoundError for a missing run, ValueError for runs on other images or classes;
    with common=True only where they share none.
    """
    runs = {name: read_table(_stored(name, "results.csv"), KEYS) for name in names}
    asked = {name: [_pair(row) for row in rows if row["method"] == CENTRE] for name, rows in runs.items()}
    first, *others = names
    shared = set(asked[first]).intersection(*(asked[name] for name in others)) if common else set(asked[first])
    for name in others:
        if (not shared if common else asked[name] != asked[first]):
            raise ValueError(f"{name} was measured on other images or classes than {first}")
    found: list[Row] = []
    for rows in runs.values():
        known = {row["method"] for row in found}
        found += [row for row in rows if row["method"] not in known and (not common or _pair(row) in shared)]
    return found


def read_sets(experiments: Sequence[str], sets: Mapping[str, str] = SCENES | PHOTOGRAPHS,
              common: bool = False) -> dict[str, list[Row]]:
    """`read_results` on several networks or data sets: label -> its rows of these experiments, EXPERIMENT_NAME in data/results.

    sets: name -> label. A name whose first experiment was not measured is left out; of the others, which may be asked of fewer
    networks, those count that were. common: as `read_results`. Raises FileNotFoundError where no name has the first one, and
    ValueError as `read_results`.
    """
    first, *others = experiments
    found = {}
    for name, label in sets.items():
        if _made(f"{first}_{name}"):
            known = [first, *(other for other in others if _made(f"{other}_{name}"))]
            found[label] = read_results(*(f"{experiment}_{name}" for experiment in known), common=common)
    if not found:
        raise FileNotFoundError(f"no results of {first} for {', '.join(sets)}; `camutils results` measures what data/experiments "
                                "ask")
    return found


def _made(name: str) -> bool:
    return (DATA / "results" / name / "results.csv").exists()


def _pair(row: Row) -> tuple[str, str]:
    return row["image"], row["class"]


def _stored(name: str, file: str) -> Path:
    """Where a file of a stored run is. FileNotFoundError for a run that was not made."""
    need_checkout("measured results are")
    path = DATA / "results" / name / file
    if not path.exists():
        what = file.split(".")[0]
        raise FileNotFoundError(f"no {what} of {name}; `camutils results` measures what data/experiments ask")
    return path


def read_summary(name: str) -> dict[str, dict[str, Row]]:
    """The means of a stored run over all its rows: method -> metric -> mean, low, high, count, difference to Grad-CAM."""
    found: dict[str, dict[str, Row]] = {}
    for line in read_table(_stored(name, "summary.csv"), ("subset", "method", "metric")):
        if line["subset"] == "all":
            found.setdefault(line["method"], {})[line["metric"]] = line
    return found


def read_config(name: str) -> dict[str, Any]:
    """What a stored run measured, with what: its config.json. FileNotFoundError if it is missing, ValueError if damaged."""
    return read_provenance(_stored(name, "config.json"))


def column(rows: list[Row], method: str, metric: str) -> np.ndarray:
    """One metric of one method, in the order of the rows: (N,). ValueError for a method or metric that was not measured."""
    own = [row for row in rows if row["method"] == method]
    if not own:
        raise ValueError(f"{method!r} was not measured; accepted: {', '.join(dict.fromkeys(row['method'] for row in rows))}")
    if metric not in own[0]:
        raise ValueError(f"{metric!r} was not measured; accepted: {', '.join(own[0])}")
    return np.array([row[metric] for row in own])


def _by(rows: list[Row], method: str, metric: str) -> dict[str, Any]:
    classes = column(rows, method, "class") if metric == "pointing" else None
    return {"groups": column(rows, method, "image"), "classes": classes}


def mean(rows: list[Row], method: str, metric: str) -> float:
    """The mean that `interval` gives, without its interval."""
    values = column(rows, method, metric)
    return class_mean(values, column(rows, method, "class") if metric == "pointing" else np.zeros(len(values)))


def interval(rows: list[Row], method: str, metric: str, seed: int = 0) -> Interval:
    """Mean and 95 % bootstrap interval by image; the pointing game as a mean over classes (`statistics.bootstrap_mean`)."""
    return bootstrap_mean(column(rows, method, metric), **_by(rows, method, metric), seed=seed)


def difference(rows: list[Row], method: str, against: str, metric: str, seed: int = 0, *, resamples: int = 2000,
               level: float = 0.95) -> Comparison:
    """Paired comparison of two methods on the same rows, method minus against (`statistics.paired_bootstrap`)."""
    pair = (column(rows, m, metric) for m in (method, against))
    return paired_bootstrap(*pair, **_by(rows, method, metric), seed=seed, resamples=resamples, level=level)


def verdict(rows: list[Row], method: str, against: str, metric: str, seed: int = 0) -> str:
    """`+` where the paired 95 % interval lies on the better side of 0, `-` on the worse, ` ` where it holds 0.

    A difference below 1e-5 is rounding (two names for one map), and is not decided.
    """
    if method == against:
        return " "
    d = difference(rows, method, against, metric, seed)
    if d.low <= 0 <= d.high or abs(d.difference) < 1e-5:
        return " "
    return "+" if (d.low > 0) == (metric in HIGHER_IS_BETTER) else "-"


def table(rows: list[Row], methods: dict[str, str], metrics: list[str], against: str | None = None, seed: int = 0) -> str:
    """Means with intervals as text: a line per method (label -> name), a column per metric, verdicts against one method."""
    wide = max(map(len, methods)) + 2
    lines = [" " * wide + "".join(f"{metric:^26}" for metric in metrics).rstrip()]
    for label, method in methods.items():
        cells = []
        for metric in metrics:
            m = interval(rows, method, metric, seed)
            mark = verdict(rows, method, against, metric, seed) if against else ""
            digits = 1 if max(abs(m.low), abs(m.high)) > 2 else 3
            cells.append(f"{m.mean:.{digits}f} [{m.low:.{digits}f}, {m.high:.{digits}f}] {mark}".ljust(26))
        lines.append((label.ljust(wide) + "".join(cells)).rstrip())
    return "\n".join(lines)


def on_front(points: dict[str, tuple[float, float]]) -> list[str]:
    """Names of the points (loss, gain) that no other point beats in one without losing in the other: the Pareto front."""
    return [name for name, (loss, gain) in points.items()
            if not any(x <= loss and y >= gain and (x, y) != (loss, gain) for x, y in points.values())]
