"""Bootstrap intervals, paired comparisons, many of them at once: the one place where a mean gets its uncertainty.

One estimator serves everything, T = mean over classes c of (sum of c's values / number of c's values); without classes all
values form one class. A resample draws the images with replacement; an image brings all its rows, so the rows of an image
never count as independent. Used by the notebooks and by the runner's summary; derived in notebooks/03_deciding.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from ..extras import extra

Column = Sequence[float | str] | np.ndarray | Tensor  # (N,): numbers, or names of images and classes
Table = tuple[np.ndarray, np.ndarray]  # sum and number of the values of every image and class, (G, C) each
CELLS = 1_000_000  # random numbers held at once


class Interval(NamedTuple):
    """A mean, the bounds of its interval, and the number of values (NaN left out) that it stands on."""

    mean: float
    low: float
    high: float
    count: int  # type: ignore[assignment]  # hides tuple's method of this name, which nobody asks of an interval


class Comparison(NamedTuple):
    """T(a) - T(b), the bounds of its interval, and the two-sided p value of "no difference"."""

    difference: float
    low: float
    high: float
    p: float


def _column(values: Column, name: str, length: int | None = None, dtype: type | None = None) -> np.ndarray:
    """A list, array or tensor as a 1-D array; ValueError where it is empty, not 1-D or of another length."""
    column = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype)
    if column.ndim != 1 or not len(column) or (length is not None and len(column) != length):
        wanted = "at least one value, in one dimension" if length is None else f"{length}, one per value"
        raise ValueError(f"{name} have shape {column.shape}; accepted: {wanted}")
    if dtype is float and np.isinf(column).any():
        raise ValueError(f"{name} hold an infinite value at {int(np.isinf(column).argmax())}; accepted: numbers, NaN for skipped")
    return column


def _table(values: np.ndarray, groups: np.ndarray, classes: np.ndarray | None) -> Table:
    """Sum and number of the values of every image (rows) and class (columns): two arrays (G, C)."""
    images, i = np.unique(groups, return_inverse=True)  # i: the row of each value
    G, C = len(images), 1
    c = np.zeros(len(i), int)                           # c: its column
    if classes is not None:
        kinds, c = np.unique(classes, return_inverse=True)
        C = len(kinds)
    cell = i * C + c                                    # rows and columns as one number
    total = np.bincount(cell, values, G * C)
    number = np.bincount(cell, minlength=G * C).astype(float)
    return total.reshape(G, C), number.reshape(G, C)


def _mean_of_classes(total: np.ndarray, number: np.ndarray) -> np.ndarray:
    """T from sums and numbers (..., C): classes without a value are left out."""
    there = number > 0
    return (total / np.where(there, number, 1)).sum(-1) / there.sum(-1)


def _resampled(tables: list[Table], resamples: int, seed: int) -> list[np.ndarray]:
    """T of every table in every resample, the same resamples for all tables: arrays (resamples,)."""
    rng, G = np.random.default_rng(seed), len(tables[0][0])
    most = max(1, CELLS // G)  # resamples at once
    drawn: list[list[np.ndarray]] = [[] for _ in tables]
    for start in range(0, resamples, most):
        n = min(most, resamples - start)
        picks = rng.integers(0, G, (n, G))
        picks += G * np.arange(n)[:, None]  # resample k counts in cells k G to (k + 1) G
        times = np.bincount(picks.ravel(), minlength=n * G).reshape(n, G).astype(float)  # how often each image was drawn
        for results, (total, number) in zip(drawn, tables, strict=True):
            results.append(_mean_of_classes(times @ total, times @ number))
    return [np.concatenate(results) for results in drawn]


def _options(resamples: int, level: float) -> list[float]:
    """The percentiles of a two-sided interval; ValueError for a level outside (0, 1) or fewer than one resample."""
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"level {level} and {resamples} resamples given; accepted: 0 < level < 1, resamples >= 1")
    return [50 * (1 - level), 50 * (1 + level)]


def comparison(difference: float, resampled: np.ndarray, level: float = 0.95, grain: float = 0.0) -> Comparison:
    """A difference d with its interval and p value, from what it was in the resamples.

        low, high = quantiles of d* -+ grain,    p = min(1, 2 (1 + min(#[d* <= grain], #[d* >= -grain])) / (1 + resamples))

    resampled (resamples,); grain >= 0: how exactly d is known at all, where that is not a matter of chance.
    The smallest p is 2 / (1 + resamples) (Davison and Hinkley 1997, Bootstrap Methods, ch. 4). ValueError as `bootstrap_mean`.
    """
    low, high = np.percentile(resampled, _options(len(resampled), level))
    rare = min((resampled <= grain).sum(), (resampled >= -grain).sum())
    p = min(1, 2 * (1 + rare) / (1 + len(resampled)))
    return Comparison(float(difference), float(low - grain), float(high + grain), float(p))


def joint_bootstrap(columns: Sequence[Column], groups: Column | None = None, classes: Column | None = None, *,
                    resamples: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """T of several columns, and T of each in the same resamples of the images: what a comparison of them is made of.

    columns: M of them (N,), the same rows in the same order; a row where any is NaN is skipped. groups, classes: as
    `bootstrap_mean`. Returns (M,) and (M, resamples).
    Raises ValueError as `bootstrap_mean`; also for lengths that differ, and where no row has all values.
    """
    if not len(columns) or resamples < 1:
        raise ValueError(f"{len(columns)} columns and {resamples} resamples given; accepted: at least one of each")
    first = _column(columns[0], "values", dtype=float)
    values = np.stack([first, *(_column(c, f"values of column {i}", len(first), float) for i, c in enumerate(columns[1:], 1))])
    groups = np.arange(len(first)) if groups is None else _column(groups, "groups", len(first))
    classes = None if classes is None else _column(classes, "classes", len(first))
    kept = ~np.isnan(values).any(0)
    if not kept.any():
        both = "both values" if len(values) == 2 else f"all {len(values)} values"
        raise ValueError(f"none of the {len(first)} rows has {both}; accepted: at least one row without NaN")
    tables = [_table(v[kept], groups[kept], None if classes is None else classes[kept]) for v in values]
    T = np.array([_mean_of_classes(*(t.sum(0) for t in table)) for table in tables])
    return T, np.stack(_resampled(tables, resamples, seed))


def false_discovery(ps: Column, level: float = 0.05) -> np.ndarray:
    """Which of many comparisons are decided, so that of these at most a share `level` is expected to be wrong.

        the k smallest p, with the largest k for which p_(k) <= level k / m

    Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57(1). ps (m,): p values; returns (m,) bool. A bootstrap's p is at least
    2 / (1 + resamples): that a single one of m can be decided takes 2 m / level resamples.
    Raises ValueError for no values, values outside [0, 1], NaN, or a level outside (0, 1).
    """
    ps = _column(ps, "p values", dtype=float)
    if not ((ps >= 0) & (ps <= 1)).all() or not 0 < level < 1:
        raise ValueError(f"p values {ps.tolist()} at level {level} given; accepted: numbers in [0, 1], 0 < level < 1")
    return np.asarray(extra("scipy.stats").false_discovery_control(ps, method="bh") <= level)


def class_mean(values: Column, classes: Column) -> float:
    """Mean over classes of each class's own mean: how the pointing game is averaged (Zhang et al. 2016, arXiv 1608.00507).

        T = mean_c (hits_c / (hits_c + misses_c))

    values (N,): 1 hit, 0 miss (or any number), NaN skipped; classes (N,): numbers or names. A class without a value is left
    out; NaN if none has one. Raises ValueError for no values, infinite values or another number of classes.
    """
    values = _column(values, "values", dtype=float)
    classes = _column(classes, "classes", len(values))
    kept = ~np.isnan(values)
    if not kept.any():
        return float("nan")
    total, number = _table(values[kept], np.zeros(kept.sum()), classes[kept])
    return float(_mean_of_classes(total, number)[0])


def bootstrap_mean(values: Column, groups: Column | None = None, classes: Column | None = None, *, resamples: int = 2000,
                   seed: int = 0, level: float = 0.95) -> Interval:
    """A mean with its percentile bootstrap interval, images drawn with replacement (Efron 1979, Ann. Statist. 7(1)).

        low, high = (1 - level) / 2 and (1 + level) / 2 quantiles of T(resample)

    values (N,), NaN skipped; groups (N,): image of each value (None: every value its own image); classes (N,): T is then
    `class_mean`. All values NaN: mean, low, high are NaN, count 0. The same seed gives the same numbers.
    Raises ValueError for no values, infinite values, lengths that differ, a level outside (0, 1), resamples < 1.
    """
    bounds, values = _options(resamples, level), _column(values, "values", dtype=float)
    groups = np.arange(len(values)) if groups is None else _column(groups, "groups", len(values))
    classes = None if classes is None else _column(classes, "classes", len(values))
    kept = ~np.isnan(values)
    if not kept.any():
        return Interval(np.nan, np.nan, np.nan, 0)
    table = _table(values[kept], groups[kept], None if classes is None else classes[kept])
    low, high = np.percentile(_resampled([table], resamples, seed)[0], bounds)
    return Interval(float(_mean_of_classes(*(t.sum(0) for t in table))), float(low), float(high), int(kept.sum()))


def paired_bootstrap(a: Column, b: Column, groups: Column | None = None, classes: Column | None = None, *,
                     resamples: int = 2000, seed: int = 0, level: float = 0.95) -> Comparison:
    """Is a better than b on the same images? Both are resampled together, so what an image does to both cancels.

        d = T(a) - T(b),    p = min(1, 2 (1 + min(#[d* <= 0], #[d* >= 0])) / (1 + resamples))

    a, b (N,): the same rows in the same order; a row where either is NaN is skipped. groups, classes: as `bootstrap_mean`.
    The smallest p is 2 / (1 + resamples) (`comparison`).
    Raises ValueError as `bootstrap_mean`; also for lengths that differ, and where no row has both values.
    """
    _options(resamples, level)
    a = _column(a, "values of a", dtype=float)
    b = _column(b, "values of b", len(a), float)
    T, resampled = joint_bootstrap([a, b], groups, classes, resamples=resamples, seed=seed)
    return comparison(T[0] - T[1], resampled[0] - resampled[1], level)
