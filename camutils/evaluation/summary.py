"""From a table of rows to means with intervals and paired comparisons."""

from pathlib import Path
from typing import Any

import numpy as np

from ..whole import write_whole
from .measure import LOCATION, METRICS
from .results import Row, as_csv
from .statistics import bootstrap_mean, paired_bootstrap

SMALL = 0.25  # difficult subset: the class's boxes cover less of the image, and another class is present
COLUMNS = ["subset", "metric", "method", "mean", "low", "high", "count", "against", "difference", "difference_low",
           "difference_high", "p"]


def summary(table: list[Row], *, baseline: str = "grad_cam", resamples: int = 2000, seed: int = 0) -> list[Row]:
    """Mean of every metric, method and subset with its 95 % interval by image, and the paired difference to `baseline`.

    table: rows of `read_table` on results.csv. The pointing game is the mean over classes, every other metric over rows.
    Subsets: `all`, and `difficult` (methods.md: boxes < 25 % of the image and another class present), location only.
    Without rows of the baseline, or for itself, the comparison is empty. Raises ValueError for an empty table, and for one whose
    methods have not the same images and classes.
    """
    if not table:
        raise ValueError("an empty table was given; accepted: at least one row of results.csv")
    if missing := [column for column in ("share", "classes") if column not in table[0]]:
        raise ValueError(f"a table without {', '.join(missing)} was given; accepted: rows of results.csv")
    methods = list(dict.fromkeys(row["method"] for row in table))
    first = [row for row in table if row["method"] == methods[0]]
    pairs = {method: [(row["image"], row["class"]) for row in table if row["method"] == method] for method in methods}
    for method in methods:
        if pairs[method] != pairs[methods[0]]:
            raise ValueError(f"{method} has rows of other images or classes than {methods[0]}; accepted: a row of each method "
                             "for each image and class")
    images, classes = (np.array([row[key] for row in first]) for key in ("image", "class"))
    hard = np.array([row["share"] < SMALL and row["classes"] > 1 for row in first])
    lines = []
    for metric in (m for m in METRICS if m in table[0]):
        values = {method: np.array([row[metric] for row in table if row["method"] == method]) for method in methods}
        subsets = {"all": np.ones(len(first), bool)} | ({"difficult": hard} if metric in LOCATION else {})
        for subset, rows in subsets.items():
            kinds = classes[rows] if metric == "pointing" else None
            for method in methods:
                own = values[method][rows]
                if not len(own) or np.isnan(own).all():
                    continue
                options: dict[str, Any] = {"groups": images[rows], "classes": kinds, "resamples": resamples, "seed": seed}
                mean = bootstrap_mean(own, **options)
                line = {"subset": subset, "metric": metric, "method": method, **mean._asdict()}
                if baseline in values and method != baseline and not np.isnan(own + values[baseline][rows]).all():
                    d = paired_bootstrap(own, values[baseline][rows], **options)
                    line |= {"against": baseline, "difference": d.difference, "difference_low": d.low,
                             "difference_high": d.high, "p": d.p}
                lines.append(line)
    return lines


def write_summary(path: Path, lines: list[Row]) -> None:
    """Store a summary as CSV."""
    write_whole(path, as_csv(lines, COLUMNS))


def show(lines: list[Row]) -> str:
    """A summary as text: one line per metric, subset and method."""
    wide = max([len(line["method"]) for line in lines] + [6])
    text = []
    for line in lines:
        row = (f"{line['metric']:>14} {line['subset']:>9} {line['method']:<{wide}} {line['mean']:8.3f} "
               f"[{line['low']:.3f}, {line['high']:.3f}]  n = {line['count']}")
        if "difference" in line:
            row += (f"   {line['difference']:+.3f} [{line['difference_low']:+.3f}, {line['difference_high']:+.3f}] "
                    f"to {line['against']}, p = {line['p']:.3g}")
        text.append(row)
    return "\n".join(text)
