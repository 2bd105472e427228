"""Do stored rows come out again, here? The first rows of every stored run, measured anew: `camutils results --again 16`.

    for line in repeat_results(["02_deciding"]):
        print(line)
A row is one picture with one class and one method. Two machines differ in the last digits of their sums; TOLERANCE says how far
apart a mean over the rows may be: a tenth of the smallest difference worth having (`verdicts.WORTH`).
"""

import os
import tempfile
from collections.abc import Iterable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..places import DATA
from .benchmark import benchmark
from .experiment_files import Run
from .experiments import find_runs, roots, runs_at_hand
from .results import Row, read_table
from .verdicts import WORTH

TOLERANCE = {metric: worth / 10 for metric, worth in WORTH.items() if np.isfinite(worth)} | {"area": 0.002}


class Repeated(NamedTuple):
    """One run measured again: rows with all methods; the metric that is farthest off in units of TOLERANCE; there, the largest
    difference of one method's mean, the largest of a single row, and what the mean may differ; holds: whether it is within."""

    run: str
    rows: int
    metric: str
    mean: float
    row: float
    tolerance: float
    holds: bool


def repeat_results(names: Iterable[str] | None = None, assets: str | Path | None = None, rows: int = 16,
                   batch: int = 8) -> Iterable[Repeated]:
    """Measure the first rows of each stored run again and compare; runs without stored rows, and controls, are passed over.

    names, assets, batch: as `experiments.make_results`; rows: at least so many, rounded up to whole pictures. Nothing is stored.
    Raises ValueError for fewer than one row and as `find_runs`.
    """
    if rows < 1:
        raise ValueError(f"{rows} rows; accepted: 1 or more")
    assets = os.environ.get("CAMUTILS_ASSETS", "") if assets is None else assets
    for run in runs_at_hand(find_runs(names), assets):
        path = DATA / "results" / run.name / "results.csv"
        if run.metrics is None or not path.exists():
            continue
        stored = read_table(path)
        few = [row for row in stored if row["image"] in _first(stored, rows)]
        yield compared(run, few, _measured(run, len({row["image"] for row in few}), assets, batch))


def compared(run: Run, stored: list[Row], again: list[Row]) -> Repeated:
    """The same rows from two machines. ValueError where one has a row that the other has not."""
    there, here = (({(row["image"], row["class"], row["method"]): row for row in rows}) for rows in (stored, again))
    if there.keys() != here.keys():
        raise ValueError(f"{run.name}: {len(there.keys() ^ here.keys())} rows are not in both; accepted: the same pictures, "
                         "classes and methods")
    worst = Repeated(run.name, 0, "", 0.0, 0.0, 1.0, True)
    methods = dict.fromkeys(key[2] for key in there)
    for metric in (metric for metric in run.metrics or () if metric in TOLERANCE):
        off = {method: np.array([here[key][metric] - there[key][metric] for key in there if key[2] == method])
               for method in methods}
        known = [values[~np.isnan(values)] for values in off.values()]
        mean = max((abs(values.mean()) for values in known if len(values)), default=0.0)
        row = max((np.abs(values).max() for values in known if len(values)), default=0.0)
        found = Repeated(run.name, len(off[next(iter(methods))]), metric, float(mean), float(row), TOLERANCE[metric],
                         bool(mean <= TOLERANCE[metric]))
        if not worst.metric or found.mean / found.tolerance > worst.mean / worst.tolerance:
            worst = found
    return worst


def _first(stored: list[Row], rows: int) -> set[str]:
    """The first pictures that have so many rows of the first method."""
    first: dict[str, int] = {}
    for row in stored:
        if row["method"] == stored[0]["method"]:
            if sum(first.values()) >= rows and row["image"] not in first:
                break
            first[row["image"]] = first.get(row["image"], 0) + 1
    return {*first}


def _measured(run: Run, pictures: int, assets: str | Path, batch: int) -> list[Row]:
    """These rows, measured here in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / run.name
        with redirect_stdout(StringIO()):  # its own table of so few pictures says nothing
            benchmark(run.dataset, run.model, run.methods, run.metrics, out=out, root=roots(assets)[run.dataset], limit=pictures,
                      first=run.first, split=run.split, batch=batch)
        return read_table(out / "results.csv")


def print_repeated(names: Iterable[str] | None = None, assets: str | Path | None = None, rows: int = 16, batch: int = 8) -> bool:
    """`repeat_results` as a table, line by line as they come; whether all of them hold."""
    every = True
    print(f"{'run':48s}{'rows':>5s}  {'farthest off':16s}{'mean by':>9s}{'one row by':>12s}{'accepted':>10s}")
    for line in repeat_results(names, assets, rows, batch):
        off = f"{line.mean:9.2g}{line.row:12.2g}{line.tolerance:10.2g}"
        print(f"{line.run:48s}{line.rows:5d}  {line.metric:16s}{off}" + "   NOT within" * (not line.holds), flush=True)
        every &= line.holds
    return every
