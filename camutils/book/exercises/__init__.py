"""Exercises of the lessons: a cell holds the reader's answer, `check` says what is off with it, and never what is right.

    answer = ...                  # your answer in place of the three dots
    exercises.check("02.1", answer)

A check is a function answer -> "" where it holds, else a sentence about what is off; CHECKS names them by lesson and number.
"""

from collections.abc import Callable
from typing import Any

from . import clusters, comparing, deciding, first, integrative, measuring, paths, trusting

Check = Callable[[Any], str]
LESSONS = (first, measuring, deciding, integrative, paths, clusters, comparing, trusting)
CHECKS: dict[str, Check] = {number: check for lesson in LESSONS for number, check in lesson.CHECKS.items()}


def check(number: str, answer: Any = ...) -> None:
    """Print whether an answer holds, else what is off with it; `...` is "not answered".

    Whatever goes wrong in a function that was handed in is said, too: a check never raises for an answer.
    Raises ValueError for an exercise that is not there.
    """
    if number not in CHECKS:
        raise ValueError(f"no exercise {number!r}; accepted: {', '.join(CHECKS)}")
    print(f"{number}: {said(number, answer)}")


def said(number: str, answer: Any) -> str:
    """What `check` prints behind the number."""
    if answer is ...:
        return "not answered"
    try:
        off = CHECKS[number](answer)
    except Exception as error:  # the reader's own code
        off = f"this raised {type(error).__name__}: {error}"
    return f"not yet: {off}" if off else "yes, this holds"
