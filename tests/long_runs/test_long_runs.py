"""What `make long` looks for, on runs whose memory and speed are known."""

import pytest
from long_runs import GROWN, RUNS, SLOWER, Seen, ending, fifths, flat

from camutils import METHODS
from camutils.evaluation.measure import split_list


def watched(memory, worked):
    """A run of 100 chunks, looked at after each: MB held and processor's seconds had, as functions of the chunks."""
    return [Seen(k, memory(k), 2.0 * k, worked(k)) for k in range(101)]


def test_fifths_of_a_run():
    parts = fifths(watched(lambda k: 1000 if k > 50 else 900, lambda k: 0.8 * k), 100)
    assert parts == [(900, 250, pytest.approx(100))] * 2 + [(1000, 250, pytest.approx(100))] * 3


def test_what_is_held_at_the_end_is_no_growth_and_is_told():
    run = watched(lambda k: 900, lambda k: 0.8 * k)
    longer = [*run, Seen(100, 1100, 200, 80.5), Seen(3, 1200, 201, 81), Seen(0, 1000, 202, 82)]  # together, then taken away
    assert fifths(longer, 100) == fifths(run, 100)
    unseen = [*run[:-1], *longer[-2:]]  # nobody looked between the last chunk and the moment when they went
    assert fifths(unseen, 100) == fifths(run, 100) and ending(unseen, 100) == 1200
    assert ending(longer, 100) == 1200 and ending(run, 100) == 900 and ending(run[:-1], 100) == 0


@pytest.mark.parametrize("memory, worked, same", [
    (lambda k: 1000, lambda k: k, (True, True)),
    (lambda k: 500 + 500 * min(k / 20, 1), lambda k: k + 30 * min(k / 20, 1), (True, True)),  # it loads, then is flat
    (lambda k: 1000 + 2 * k, lambda k: k, (False, True)),
    (lambda k: 1000 if k < 90 else 1100, lambda k: k, (False, True)),
    (lambda k: 1000, lambda k: k + k * k / 100, (True, False))])
def test_what_grows_and_what_slows_down_is_seen(memory, worked, same):
    held, _, took = zip(*fifths(watched(memory, worked), 100), strict=True)
    assert (flat(held, GROWN), flat(took, SLOWER)) == same


def test_every_method_runs_long():
    asked = [method for _, words in RUNS.values() for method in split_list(words[words.index("--methods") + 1])]
    assert {method.split(":")[0] for method in asked} == {*METHODS}
