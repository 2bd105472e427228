"""Orders of two methods: which ones tables publish, what the same two do here, and whether an order holds elsewhere.

    asked = published_orders(lines)                              what stands in other people's tables
    found = compare_orders([sets], [order for order, _ in asked])    network or data set -> order -> verdict, all decided together
    in_words(found[name][order] for name in found)               "borne out"
    reversals(found, [("one", "other")])                         how often two sets decide the same order, and how often against
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from .results import Row
from .statistics import comparison, joint_bootstrap
from .tables import HIGHER_IS_BETTER, column
from .verdicts import Verdict, better_or_worse, decide, judged, standing_on, worth_having


class Order(NamedTuple):
    """`better` is said, or asked, to be better than `worse` in `metric`."""

    better: str
    worse: str
    metric: str


def published_orders(lines: Sequence[Mapping[str, str]]) -> list[tuple[Order, str]]:
    """Every order of two methods that one published table states, with the paper: [(Order, paper), ...].

    lines: of data/published.csv; those without a value are left out, and so are equal values.
    """
    found = {}
    for a, b in combinations([line for line in lines if line["value"]], 2):
        same = all(a[key] == b[key] for key in ("paper", "data_set", "network", "metric", "variant"))
        if same and float(a["value"]) != float(b["value"]):
            first = (float(a["value"]) > float(b["value"])) == (a["metric"] in HIGHER_IS_BETTER)
            better, worse = (a, b) if first else (b, a)
            found[Order(better["method"], worse["method"], a["metric"]), a["paper"]] = True
    return list(found)


def all_orders(methods: Sequence[str], metrics: Sequence[str]) -> list[Order]:
    """Every pair of methods once, in every metric; which of the two is named first says nothing."""
    return [Order(a, b, metric) for a, b in combinations(methods, 2) for metric in metrics]


def compare_orders(readings: Sequence[Mapping[str, list[Row]]], orders: Iterable[Order], level: float = 0.05, *,
                   resamples: int = 2000, seed: int = 0) -> dict[str, dict[Order, Verdict]]:
    """Each order on every network or data set, all of them decided together (`verdicts.decide`): name -> order -> verdict.

    readings: name -> rows, one or more of them (all pictures; those on which a dear method was measured, too): of each name an
    order takes the first whose rows have both methods, and is left out where none has. The difference is better minus worse.
    Raises ValueError where nothing can be compared, and for metrics that were not measured.
    """
    asked, found = list(dict.fromkeys(orders)), {}
    for name in dict.fromkeys(name for reading in readings for name in reading):
        left = asked
        for rows in (reading[name] for reading in readings if name in reading):
            known = {row["method"] for row in rows}
            here = [order for order in left if {order.better, order.worse} <= known]
            left = [order for order in left if order not in here]
            for order, verdict in _compared(rows, here, level, resamples, seed).items():
                found[name, order] = verdict
    if not found:
        raise ValueError(f"no rows hold both methods of any of {len(asked)} orders; accepted: at least one such order")
    together: dict[str, dict[Order, Verdict]] = {}
    for (name, order), verdict in zip(found, decide(list(found.values()), level), strict=True):
        together.setdefault(name, {})[order] = verdict
    return together


def _compared(rows: list[Row], orders: list[Order], level: float, resamples: int, seed: int) -> dict[Order, Verdict]:
    """What `tables.difference` gives for each order, from one bootstrap per metric for all methods; not yet decided."""
    found = {}
    for metric in dict.fromkeys(order.metric for order in orders):
        own = [order for order in orders if order.metric == metric]
        methods = list(dict.fromkeys(method for order in own for method in order[:2]))
        images, classes = standing_on(rows, methods, (metric,))
        kinds = column(rows, methods[0], "class") if metric == "pointing" else None
        T, drawn = joint_bootstrap([column(rows, method, metric) for method in methods], column(rows, methods[0], "image"), kinds,
                                   resamples=resamples, seed=seed)
        for order in own:
            a, b = methods.index(order.better), methods.index(order.worse)
            d = comparison(T[a] - T[b], drawn[a] - drawn[b], 1 - level)
            found[order] = judged(order.better, metric, d, images, classes)
    return found


def in_words(found: Iterable[Verdict]) -> str:
    """One word for an order on several sets: borne out (decided for it, nowhere against), not borne out, differs, undecided."""
    marks = {better_or_worse(v) for v in found}
    if {"+", "-"} <= marks:
        return "differs"
    return "borne out" if "+" in marks else "not borne out" if "-" in marks else "undecided"


def reversals(found: Mapping[str, Mapping[Order, Verdict]], couples: Iterable[tuple[str, str]],
              metrics: Sequence[str], worth: bool = False) -> tuple[int, int]:
    """How many orders are decided on both sets of a couple, and how many of these the other way round, over all couples.

    worth: only those that count which are worth having on both (`verdicts.WORTH`).
    """
    both = [(v, found[other][order]) for one, other in couples for order, v in found[one].items()
            if order.metric in metrics and order in found[other] and v.decided and found[other][order].decided]
    both = [(a, b) for a, b in both if a.worth and b.worth or not worth]
    return len(both), sum(better_or_worse(a) != better_or_worse(b) for a, b in both)


def in_points(v: Verdict) -> tuple[float, float, float]:
    """Difference and interval in points of a hundred, positive where the first method is better; shares are multiplied by 100."""
    scale = (1 if v.metric in HIGHER_IS_BETTER else -1) * (1 if worth_having(v.metric) >= 1 else 100)
    low, high = sorted((scale * v.low, scale * v.high))
    return scale * v.difference, low, high
