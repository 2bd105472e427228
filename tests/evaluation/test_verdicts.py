"""Many verdicts: Benjamini and Hochberg by hand, what is worth having, and what few images do not decide."""

import math

import numpy as np
import pytest

from camutils.evaluation.measure import METRICS
from camutils.evaluation.tables import HIGHER_IS_BETTER, difference
from camutils.evaluation.verdicts import (
    MOVES_WITH_CONTRAST,
    WORTH,
    Verdict,
    changes,
    decide,
    over_sets,
    together,
    verdict_table,
    verdicts,
    worth_having,
)


def rows(count=40, **shifts):
    """grad_cam and a method for each name, which differs from it by its shift and a little noise; Drop falls as energy rises."""
    rng = np.random.default_rng(0)
    base, table = rng.normal(0.5, 0.1, count), []
    for method, shift in {"grad_cam": 0.0, **shifts}.items():
        values = base + shift + (0 if method == "grad_cam" else rng.normal(0, 0.02, count))
        table += [{"image": f"i{n}", "class": n % 4, "method": method, "energy": v, "drop": 60 - 100 * v,
                   "pointing": float(v > 0.5)} for n, v in enumerate(values)]
    return table


def cell(p, difference=1.0, note=""):
    return Verdict("m", "energy", difference, 0.5, 1.5, p, 40, 0, False, True, note)


def test_decide_by_hand():
    # 5 cells at 5 %: thresholds 0.01, 0.02, 0.03, 0.04, 0.05 for the p in order; 0.03 is below the third, so the three least are
    ps = [0.03, 0.2, 0.001, 0.025, 0.06]
    assert [v.decided for v in decide([cell(p) for p in ps])] == [True, False, True, True, False]
    # a cell without p is not counted: of 0.03 and 0.2 neither is below 0.025 and 0.05
    assert [v.decided for v in decide([cell(0.03), cell(0.2)])] == [False, False]
    found = decide([cell(0.03), cell(math.nan, note="n < 30")])
    assert [v.decided for v in found] == [True, False]
    assert not decide([cell(0.001, 1.9e-4)])[0].decided and decide([cell(0.001, -2.1e-4)])[0].decided  # of 0.02: rounding
    squared = cell(0.001, 2e-5)._replace(metric="infidelity")
    assert decide([squared])[0].decided and not decide([squared._replace(difference=9e-6)])[0].decided


def test_each_cell_is_the_paired_difference():
    table = rows(better=0.05, same=0.0, slightly=0.012)
    found = verdicts(table, ["grad_cam", "better", "same", "slightly"], ["energy", "drop"])
    assert [(v.method, v.metric) for v in found] == [(m, k) for m in ("better", "same", "slightly") for k in ("energy", "drop")]
    for v in found:
        assert v[2:6] == difference(table, v.method, "grad_cam", v.metric) and v.images == 40 and v.note == ""
    assert [v.decided for v in found] == [True, True, False, False, True, True]
    assert [v.worth for v in found] == [True, True, False, False, False, False]
    assert [v.classes for v in verdicts(table, ["better"], ["energy", "pointing"])] == [0, 4]


def test_many_sets_are_decided_together():
    sets = {"one": rows(better=0.05, same=0.0), "two": rows(better=0.0, other=0.02)}
    found = over_sets(sets, ["better", "same", "other"], ["energy"])
    methods = {name: [v.method for v in own] for name, own in found.items()}
    assert methods == {"one": ["better", "same"], "two": ["better", "other"]}
    alone = [v for name in sets for v in verdicts(sets[name], [v.method for v in found[name]], ["energy"])]
    assert [v for own in found.values() for v in own] == decide(alone)
    with pytest.raises(ValueError, match="no sets"):
        over_sets({}, ["better"], ["energy"])


def test_every_change_is_compared_with_its_own_neighbour():
    sets = {"one": rows(better=0.05, best=0.09), "two": rows(better=0.05)}
    steps = {"first": ("better", "grad_cam"), "then": ("best", "better"), "back": ("grad_cam", "better")}
    found = changes(sets, steps, ["energy", "drop"])
    cells = {name: [(v.method, v.metric) for v in own] for name, own in found.items()}
    assert cells["one"] == [(label, metric) for label in steps for metric in ("energy", "drop")]
    assert cells["two"] == [(label, metric) for label in ("first", "back") for metric in ("energy", "drop")]
    for v in found["one"]:
        assert v[2:6] == difference(sets["one"], *steps[v.method], v.metric)
    assert found == together(found)
    with pytest.raises(ValueError, match="no sets"):
        changes({}, steps, ["energy"])


def test_together_decides_over_all_sets():
    # alone each of two is decided below 0.05; of all three the thresholds are 0.0167, 0.0333 and 0.05
    found = {"one": [cell(0.04)], "two": [cell(0.045), cell(0.2)]}
    assert [v.decided for v in decide(found["one"])] == [True]
    assert not any(v.decided for own in together(found).values() for v in own)
    sure = together({"one": [cell(0.04)], "two": [cell(0.03), cell(0.001)]})
    assert {name: [v.decided for v in own] for name, own in sure.items()} == {"one": [True], "two": [True, True]}


def test_the_level_is_that_of_the_family():
    found = verdicts(rows(better=0.05, same=0.0), ["better", "same"], ["energy"], level=0.2)
    narrow, wide = found[0], verdicts(rows(better=0.05, same=0.0), ["better"], ["energy"], level=0.01)[0]
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("count, note", [(29, "n < 30"), (30, "")])
def test_few_images_give_no_verdict(count, note):
    found = verdicts(rows(count, better=0.05), ["better"], ["energy"])[0]
    assert found.note == note and found.decided == (not note) and found.images == count
    assert math.isnan(found.difference) == math.isnan(found.p) == bool(note)
    assert ("n < 30" in verdict_table([found])) == bool(note)


def test_rows_of_an_image_and_holes_do_not_count_as_images():
    table = rows(40, better=0.05)
    for row in table[:11]:  # eleven images without a value for grad_cam
        row["energy"] = math.nan
    assert verdicts(table, ["better"], ["energy"])[0].note == "n < 30"
    doubled = [row for row in rows(20, better=0.05) for _ in range(2)]
    assert verdicts(doubled, ["better"], ["energy"])[0].images == 20


def test_text():
    text = verdict_table(verdicts(rows(better=0.05, same=0.0, slightly=0.012), ["better", "same", "slightly"],
                                  ["energy", "drop", "pointing"]), {"better": "ours"}).split("\n")
    assert text[0].split() == ["energy", "drop", "pointing"] and text[1].startswith("ours ")
    assert text[1].count("] +") == 3 and text[2].count("]") == 3
    assert not {"+", "-", "(+)", "(-)"} & {*text[2].split()}  # undecided
    assert text[3].count("] (+)") == 2  # decided, but less than is worth having
    assert text[4:] == ["images: 40", "contrast moves: energy, drop", "pointing: a mean over 4 classes"]
    worse = verdict_table(verdicts(rows(worse=-0.05), ["worse"], ["energy", "drop"])).split("\n")
    assert worse[1].count("] -") == 2


def test_every_metric_of_the_runner_has_a_difference_worth_having():
    assert {*METRICS} - {*WORTH} <= {"area"} and {*HIGHER_IS_BETTER} <= {*WORTH}
    assert worth_having("energy at equal drop") == worth_having("energy") == worth_having("pixel_ap") == 0.02
    assert worth_having("drop_15") == worth_having("increase") == 2 and worth_having("infidelity") == math.inf
    assert {*MOVES_WITH_CONTRAST} - {"area"} <= {*WORTH}


@pytest.mark.parametrize("call, says", [
    (lambda: verdicts(rows(better=0), ["better"], ["area"]), "no smallest difference worth having is known of 'area'"),
    (lambda: verdicts(rows(), ["grad_cam"], ["energy"]), "accepted: another method, and a metric"),
    (lambda: verdicts(rows(better=0), ["better"], []), "accepted: another method, and a metric"),
    (lambda: verdicts(rows(), ["nope"], ["energy"]), "'nope' was not measured"),
    (lambda: verdicts(rows(better=0), ["better"], ["road"]), "'road' was not measured; accepted: image, class, method, energy"),
    (lambda: verdicts(rows(better=0)[:-1], ["better"], ["energy"]), "'grad_cam' was measured on other images"),
    (lambda: verdicts(rows(better=0), ["better"], ["energy"], level=0), "level"),
    (lambda: verdict_table([]), "no verdicts given"),
])
def test_errors(call, says):
    with pytest.raises(ValueError, match=says):
        call()
