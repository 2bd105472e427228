"""Exercises: right answers hold, wrong ones are told what is off (without the answer), a blank one is "not answered"."""

import numpy as np
import pytest
import torch

from camutils.book import exercises
from camutils.evaluation.statistics import false_discovery

INSIDE = torch.zeros(4, 4, dtype=torch.bool)
INSIDE[1:3, 1:3] = True
rng = np.random.default_rng(1)
FIRST, SECOND = rng.random(30), rng.random(30)


def mean_light(x):
    return (x[:, 0] * INSIDE).sum((1, 2), keepdim=True)[:, :, 0] / 4


def any_light(x):
    return ((x[:, 0] * INSIDE).amax((1, 2)) > 0.5).float()[:, None]


def bh(ps):
    ps = np.sort(ps)
    below = [k for k, p in enumerate(ps, 1) if p <= 0.05 * k / len(ps)]
    return max(below, default=0)


def first_that_fails(ps):
    """Stops at the first p above its bound: not Benjamini and Hochberg."""
    ps = np.sort(ps)
    above = [k for k, p in enumerate(ps) if p > 0.05 * (k + 1) / len(ps)]
    return min(above, default=len(ps))


OWN = {"energy": (0.5, 0.6), "drop": (20.0, 40.0), "pixel_ap": (0.7, 0.7), "drop_15": (50.0, 50.0)}
RIGHT = {
    "02.1": [{"drop"}, ["drop"]],
    "02.2": [0.679, (1 / 2 + 2 / 3 + 3 / 4 + 4 / 5) / 4],
    "02.3": [any_light],
    "02.4": [lambda t: torch.expm1(20 * t) / np.expm1(20)],
    "02.5": [OWN],
    "03.1": [(6, 5), [6, 5]],
    "03.2": [(0.71, 1.0), [0.7, 0.99]],
    "03.3": [576, 600.0],
    "03.4": [bh, lambda ps: false_discovery(ps).sum()],
}
WRONG = {
    "02.1": ["drop", set(), {"energy", "drop"}, {"drop", "pixel_ap"}, {"brightness"}, 3],
    "02.2": [0.8875, 1.0, 0.25, 2, "four"],
    "02.3": [mean_light, lambda x: 2 * mean_light(x), lambda x: 1 - any_light(x), lambda x: x.nope],
    "02.4": [lambda t: t, lambda t: t**3, lambda t: (t > 0.7).float(), lambda t: 2 * t, lambda t: 1.0, torch.sqrt],
    "02.5": [{}, OWN | {"pixel_ap": (0.7, 0.8)}, OWN | {"drop": (20.0, 20.0), "energy": (0.5, 0.5)}, 
              OWN | {"energy": (np.nan, 0.5)}, 7],
    "03.1": [(6, 6), (5, 5), (6, 4), 6, (8, 5)],
    "03.2": [(0.5, 1), (1.0, 1.0), (0.71, 0.71), 0.71],
    "03.3": [480, 100, 4000, "many"],
    "03.4": [lambda ps: (ps <= 0.05).sum(), first_that_fails, lambda ps: (ps <= 0.05 / len(ps)).sum(), lambda ps: ps.nope],
    "03.5": [(FIRST, SECOND), (FIRST, SECOND[:20], 0.1), (FIRST[:5], SECOND[:5], 0.1), (FIRST, SECOND, 10.0), None],
}


def test_every_exercise_is_tried():
    assert set(WRONG) == set(exercises.CHECKS) == set(RIGHT) | {"03.5"}
    assert min(len(answers) for answers in WRONG.values()) >= 3


@pytest.mark.parametrize("number, answer", [(n, a) for n, answers in RIGHT.items() for a in answers])
def test_a_right_answer_holds(number, answer):
    assert exercises.said(number, answer) == "yes, this holds"


def test_the_half_width_of_a_pair_holds():
    from camutils.evaluation.statistics import paired_bootstrap

    d = paired_bootstrap(FIRST, SECOND)
    assert exercises.said("03.5", (FIRST, list(SECOND), (d.high - d.low) / 2)) == "yes, this holds"


@pytest.mark.parametrize("number, answer", [(n, a) for n, answers in WRONG.items() for a in answers])
def test_a_wrong_answer_is_told_what_is_off(number, answer):
    said = exercises.said(number, answer)
    assert said.startswith("not yet: ") and len(said) > 25
    assert not any(right in said for right in ("0.679", "576", "(6, 5)"))


def test_a_blank_answer_and_an_exercise_that_is_not_there(capsys):
    for number in exercises.CHECKS:
        exercises.check(number)
    assert capsys.readouterr().out == "".join(f"{number}: not answered\n" for number in exercises.CHECKS)
    with pytest.raises(ValueError, match=r"no exercise '99.1'; accepted: 02.1, "):
        exercises.check("99.1", 3)
