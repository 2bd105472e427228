"""Checks of the exercises of notebook 03, Deciding."""

from typing import Any

import numpy as np

from ...evaluation.statistics import false_discovery, paired_bootstrap

EIGHT = np.array([0.002, 0.004, 0.01, 0.02, 0.03, 0.04, 0.3, 0.8])


def eight(answer: Any) -> str:
    """03.1: how many of eight are decided, each by itself and after Benjamini and Hochberg."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return "two numbers are asked for: (each by itself, after Benjamini and Hochberg)"
    alone, together = (int(v) for v in answer)
    if alone != int((EIGHT <= 0.05).sum()):
        return "each by itself: count those that are at most 0.05"
    if together == alone:
        return "after Benjamini and Hochberg: is the sixth below its own bound, 0.05 · 6/8?"
    right = int(false_discovery(EIGHT).sum())
    return "" if together == right else "the bounds are 0.05 · k/8; the *largest* k below its bound counts, with all before it"


def rows_or_scenes(answer: Any) -> str:
    """03.2: by which factors the half width changes where every row stands twice: rows drawn, and scenes drawn."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return "two factors are asked for: (where rows are drawn, where scenes are drawn)"
    rows, scenes = (float(v) for v in answer)
    if abs(scenes - 1) > 0.05:
        return "where scenes are drawn, a scene brings its rows along, once or twice: does its mean change?"
    if abs(rows - 0.5) < 0.05:
        return "twice the rows do not halve the width: it falls with the root"
    return "" if abs(rows - 0.5**0.5) < 0.05 else "where rows are drawn, there seem to be twice as many: what of the width?"


def scenes_needed(answer: Any) -> str:
    """03.3: how many scenes it takes until a difference of 0.001 is decided."""
    needed, half = float(answer), 0.0012
    right = 400 * (half / 0.001) ** 2
    if abs(needed - 400 * half / 0.001) < 10:
        return "the half width falls with the *root* of the number"
    if needed < 400:
        return "with 400 scenes the half width is larger than 0.001: fewer scenes cannot do"
    return "" if 0.75 * right <= needed <= 1.35 * right else "half width at 400 scenes, divided by 0.001, squared, times 400"


def own_rule(answer: Any) -> str:
    """03.4: a function p values -> how many Benjamini and Hochberg decide at 5 %, without a library."""
    draws = np.random.default_rng(0)
    cases = [EIGHT, EIGHT[::-1], np.array([0.001, 0.012, 0.025, 0.045, 0.6]), np.array([0.2, 0.9]), np.array([0.04, 0.05]),
             *(draws.random(20) ** 3 for _ in range(20))]
    for ps in cases:
        found, right = int(answer(ps.copy())), int(false_discovery(ps).sum())
        if found != right:
            shown = ", ".join(f"{p:.3f}" for p in ps[:8])
            hint = " (are they sorted?)" if np.any(np.diff(ps) < 0) else ""
            return f"for p = {shown}{', ...' if len(ps) > 8 else ''} it says {found}{hint}"
    return ""


def own_pair(answer: Any) -> str:
    """03.5: two lists of a metric on the reader's own pictures, and the smallest difference that they could have decided."""
    if not isinstance(answer, tuple | list) or len(answer) != 3:
        return "three things are asked for: values of one method, of the other on the same pictures, the smallest difference"
    a, b = (np.asarray(values, float).ravel() for values in answer[:2])
    if len(a) != len(b):
        return f"{len(a)} and {len(b)} values: a comparison is paired on the same pictures"
    if len(a) < 20:
        return f"{len(a)} pictures; take at least 20"
    if not np.isfinite(a).all() or not np.isfinite(b).all():
        return "a value is missing (NaN)"
    d = paired_bootstrap(a, b)
    half, given = (d.high - d.low) / 2, float(answer[2])
    return "" if 0.7 * half <= given <= 1.4 * half else "it is the half width of the paired interval; yours is not near it"


CHECKS = {"03.1": eight, "03.2": rows_or_scenes, "03.3": scenes_needed, "03.4": own_rule, "03.5": own_pair}
