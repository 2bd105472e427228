"""Exercises: right answers hold, wrong ones are told what is off (without the answer), a blank one is "not answered"."""

import runpy
from pathlib import Path

import pytest

from camutils.book import exercises

ANSWERS = [runpy.run_path(str(path)) for path in sorted((Path(__file__).parent / "answers").glob("*.py"))]
RIGHT, WRONG = ({number: given for part in ANSWERS for number, given in part[side].items()} for side in ("RIGHT", "WRONG"))
GIVEN_AWAY = {"02.2": "0.679", "03.1": "(6, 5)", "03.3": "576"}  # right answers that no sentence may hold


def test_every_exercise_is_tried():
    assert set(WRONG) == set(exercises.CHECKS) == set(RIGHT)
    assert min(len(answers) for answers in WRONG.values()) >= 3


@pytest.mark.parametrize("number, answer", [(n, a) for n, answers in RIGHT.items() for a in answers])
def test_a_right_answer_holds(number, answer):
    assert exercises.said(number, answer) == "yes, this holds"


@pytest.mark.parametrize("number, answer", [(n, a) for n, answers in WRONG.items() for a in answers])
def test_a_wrong_answer_is_told_what_is_off(number, answer):
    said = exercises.said(number, answer)
    assert said.startswith("not yet: ") and len(said) > 25
    assert number not in GIVEN_AWAY or GIVEN_AWAY[number] not in said


def test_a_blank_answer_and_an_exercise_that_is_not_there(capsys):
    for number in exercises.CHECKS:
        exercises.check(number)
    assert capsys.readouterr().out == "".join(f"{number}: not answered\n" for number in exercises.CHECKS)
    with pytest.raises(ValueError, match=r"no exercise '99.1'; accepted: 00.1, "):
        exercises.check("99.1", 3)
