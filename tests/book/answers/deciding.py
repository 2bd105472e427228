"""Answers to the exercises of notebook 03, Deciding."""

import numpy as np

from camutils.evaluation.statistics import false_discovery, paired_bootstrap

rng = np.random.default_rng(1)
FIRST, SECOND = rng.random(30), rng.random(30)
_d = paired_bootstrap(FIRST, SECOND)
HALF = (_d.high - _d.low) / 2


def bh(ps):
    ps = np.sort(ps)
    below = [k for k, p in enumerate(ps, 1) if p <= 0.05 * k / len(ps)]
    return max(below, default=0)


def first_that_fails(ps):
    """Stops at the first p above its bound: not Benjamini and Hochberg."""
    ps = np.sort(ps)
    above = [k for k, p in enumerate(ps) if p > 0.05 * (k + 1) / len(ps)]
    return min(above, default=len(ps))


RIGHT = {
    "03.1": [(6, 5), [6, 5]],
    "03.2": [(0.71, 1.0), [0.7, 0.99]],
    "03.3": [576, 600.0],
    "03.4": [bh, lambda ps: false_discovery(ps).sum()],
    "03.5": [(FIRST, list(SECOND), HALF)],
}
WRONG = {
    "03.1": [(6, 6), (5, 5), (6, 4), 6, (8, 5)],
    "03.2": [(0.5, 1), (1.0, 1.0), (0.71, 0.71), 0.71],
    "03.3": [480, 100, 4000, "many"],
    "03.4": [lambda ps: (ps <= 0.05).sum(), first_that_fails, lambda ps: (ps <= 0.05 / len(ps)).sum(), lambda ps: ps.nope],
    "03.5": [(FIRST, SECOND), (FIRST, SECOND[:20], 0.1), (FIRST[:5], SECOND[:5], 0.1), (FIRST, SECOND, 10.0), None],
}
