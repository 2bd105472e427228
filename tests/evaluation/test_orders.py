"""Orders of two methods: what a table states, what is decided here, and what is reversed elsewhere, each by hand."""

import math

import numpy as np
import pytest

from camutils.evaluation.orders import Order, all_orders, compare_orders, in_points, in_words, published_orders, reversals
from camutils.evaluation.tables import difference
from camutils.evaluation.verdicts import Verdict, decide, verdicts


def rows(count=40, **shifts):
    """A method for each name, shifted and with a little noise of its own; every picture has two classes."""
    rng = np.random.default_rng(0)
    base, table = rng.normal(0.5, 0.1, count), []
    for method, shift in shifts.items():
        table += [{"image": f"i{n // 2}", "class": str(n % 2), "method": method, "energy": v, "drop": 60 - 100 * v,
                   "pointing": float(v > 0.5)} for n, v in enumerate(base + shift + rng.normal(0, 0.02, count))]
    return table


def line(paper, method, metric, value, **others):
    return {"paper": paper, "method": method, "metric": metric, "value": value, "data_set": "d", "network": "n", "variant": "",
            **others}


def cell(difference, decided=True, metric="energy", note=""):
    return Verdict("m", metric, difference, difference - 1, difference + 1, 0.01, 40, 0, decided, True, note)


def test_published_orders_by_hand():
    lines = [line("P", "a", "drop", "40"), line("P", "b", "drop", "30"), line("P", "a", "energy", "0.5"),
             line("P", "b", "energy", "0.4"), line("P", "c", "energy", "0.4"), line("Q", "b", "drop", "1"),
             line("P", "c", "drop", "")]
    assert published_orders(lines) == [(Order("b", "a", "drop"), "P"), (Order("a", "b", "energy"), "P"),
                                       (Order("a", "c", "energy"), "P")]
    for other in ("data_set", "network", "variant"):  # two tables, no order between them
        assert published_orders([line("P", "a", "drop", "40"), line("P", "b", "drop", "30", **{other: "another"})]) == []


def test_every_order_is_the_paired_difference_and_all_are_decided_together():
    sets = {"one": rows(80, a=0.05, b=0.0, c=0.001), "two": rows(80, a=0.0, b=0.05)}
    asked = all_orders("abc", ["energy", "drop", "pointing"])
    assert len(asked) == 9 and asked[0] == Order("a", "b", "energy")
    found = compare_orders([sets], asked)
    assert set(found["one"]) == set(asked) and {order[:2] for order in found["two"]} == {("a", "b")}
    for name, own in found.items():
        for order, v in own.items():
            d = difference(sets[name], *order)
            assert np.allclose(v[2:6], d) and (v.method, v.metric, v.images) == (order.better, order.metric, 40)
            assert v.classes == (2 if order.metric == "pointing" else 0)
    alone = [verdicts(sets[name], [o.better], [o.metric], o.worse)[0] for name, own in found.items() for o in own]
    assert [v.decided for own in found.values() for v in own.values()] == [v.decided for v in decide(alone)]


def test_an_order_takes_the_first_reading_that_has_both_methods():
    every = {"one": rows(80, a=0.05, b=0.0)}
    some = {"one": rows(64, a=0.05, b=0.0, dear=0.02), "two": rows(64, a=0.0, b=0.05, dear=0.0)}
    found = compare_orders([every, some], all_orders(("a", "b", "dear"), ["energy"]))
    images = {order[:2]: v.images for order, v in found["one"].items()}
    assert images == {("a", "b"): 40, ("a", "dear"): 32, ("b", "dear"): 32}
    assert {order[:2]: v.images for order, v in found["two"].items()} == dict.fromkeys(images, 32)


def test_few_pictures_decide_no_order():
    v = compare_orders([{"one": rows(58, a=0.05, b=0.0)}], [Order("a", "b", "energy")])["one"][Order("a", "b", "energy")]
    assert v.images == 29 and v.note == "n < 30" and not v.decided and math.isnan(v.p)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="no rows hold both methods of any of 1 orders"):
        compare_orders([{"one": rows(a=0.0)}], [Order("a", "b", "energy")])
    with pytest.raises(ValueError, match="'beauty' was not measured; accepted: image, class"):
        compare_orders([{"one": rows(a=0.0, b=0.0)}], [Order("a", "b", "beauty")])


@pytest.mark.parametrize("differences, word", [
    ((1, -1), "differs"), ((1,), "borne out"), ((-1,), "not borne out"), ((), "undecided")])
def test_in_words(differences, word):
    assert in_words([*map(cell, differences), cell(-5, decided=False), cell(5, decided=False)]) == word


def test_less_drop_bears_an_order_out():
    assert in_words([cell(-3, metric="drop")]) == "borne out"
    assert in_points(cell(-3, metric="drop")) == (3, 2, 4) and in_points(cell(0.5, metric="increase")) == (0.5, -0.5, 1.5)
    assert in_points(cell(0.25)) == (25, -75, 125)


def test_reversals_by_hand():
    x, y, z = (Order(a, b, "energy") for a, b in ("ab", "ac", "bc"))
    w = Order("a", "b", "drop")
    found = {"one": {x: cell(1), y: cell(1), z: cell(1), w: cell(1, metric="drop")},
             "two": {x: cell(-1), y: cell(2), z: cell(-1, decided=False), w: cell(-1, metric="drop")},
             "three": {x: cell(-1)}}
    assert reversals(found, [("one", "two")], ["energy"]) == (2, 1)  # x reversed, y kept, z undecided in two
    assert reversals(found, [("one", "two"), ("two", "three")], ["energy"]) == (3, 1)
    assert reversals(found, [("one", "two")], ["energy", "drop"]) == (3, 2)
    assert reversals(found, [("one", "three")], ["drop"]) == (0, 0)
    found["two"][y] = cell(0.001)._replace(worth=False)
    assert reversals(found, [("one", "two")], ["energy"], worth=True) == (1, 1)
