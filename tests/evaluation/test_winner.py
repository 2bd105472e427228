"""The rule that picks a winner, on tables whose every number can be worked by hand."""

import pytest
import torch
from conftest import hooks

from camutils.evaluation import winner
from camutils.evaluation.experiments import find_runs
from camutils.evaluation.winner import choose, lines, passes, searched, unsteadiness
from camutils.methods.cluster_cam import cluster_cam
from camutils.methods.grad_cam import grad_cam
from camutils.methods.parts.scales import multi_scale


def table(**methods):
    """One network's rows: method -> (AP, Drop at 15 %, unsteadiness), two images each, the mean in the middle."""
    rows = []
    for name, (AP, drop, unsteady) in methods.items():
        for image, off in (("a", -0.1), ("b", 0.1)):
            rows.append({"image": image, "class": "1", "method": name, "pixel_ap": AP + off, "drop_15": drop + off,
                         "unsteady_grey": unsteady / 2, "unsteady_noise": unsteady * 1.5})
    return rows


ONE = table(grad_cam=(0.50, 40, 0.10), good=(0.60, 36, 0.15), dear=(0.61, 36, 0.15), wild=(0.90, 10, 0.30), lame=(0.55, 38, 0.19))
TWO = table(grad_cam=(0.60, 20, 0.20), good=(0.66, 20, 0.30), dear=(0.66, 20, 0.30), wild=(0.90, 10, 0.30), lame=(0.60, 20, 0.39))
COST = {"good": 2, "dear": 9, "wild": 1, "lame": 1, "grad_cam": 1}


def test_by_hand():
    found = {c.method: c for c in choose([ONE, TWO], COST)}
    # good: network one (0.10 / 0.02 + 4 / 2) = 7, two 0.06 / 0.02 = 3: mean 5; dear: 5.5 + 2 = 7.5 and 3: 5.25
    assert found["good"].gain == pytest.approx(5) and found["dear"].gain == pytest.approx(5.25)
    assert found["grad_cam"].gain == 0 and found["good"].unsteady_ratio == pytest.approx(1.5)
    assert not found["wild"].may_win and found["wild"].unsteady_ratio == pytest.approx(3)  # 3 times on one, 1.5 on the other
    assert found["lame"].may_win and not found["lame"].on_front  # good is better in all three
    assert found["dear"].on_front and not found["good"].on_front  # dear is as good in two and better in one
    assert [c.method for c in found.values() if c.wins] == ["dear"]


def test_unsteadiness_is_the_mean_of_both_kinds():
    assert unsteadiness(ONE, "good") == pytest.approx(0.15)  # 0.075 for a grey level, 0.225 for noise
    with pytest.raises(ValueError, match="'other' was not measured"):
        unsteadiness(ONE, "other")


def test_of_those_within_a_unit_the_cheapest_wins():
    steadier = table(grad_cam=(0.50, 40, 0.10), good=(0.60, 36, 0.14), dear=(0.61, 36, 0.15))
    cost = {"good": 2, "dear": 9}
    assert [c.method for c in choose([steadier], cost) if c.wins] == ["good"]  # 7 against 7.5
    far = table(grad_cam=(0.50, 40, 0.10), good=(0.60, 36, 0.14), dear=(0.63, 36, 0.15))
    assert [c.method for c in choose([far], cost) if c.wins] == ["dear"]       # 7 against 8.5
    assert [c.method for c in choose([far], {"good": 2, "dear": 11}) if c.wins] == ["good"]


def test_nothing_may_win():
    nobody = table(grad_cam=(0.50, 40, 0.10), wild=(0.90, 10, 0.30))
    assert not any(c.wins or c.on_front for c in choose([nobody], {"wild": 1}))


def test_a_method_that_was_not_measured():
    with pytest.raises(ValueError, match="'other' was not measured"):
        choose([ONE], {"other": 1})


def test_passes(tiny, images):
    before, x = hooks(tiny), images[:1]
    assert passes(grad_cam, tiny, x, 1) == 1
    assert passes(lambda *a: cluster_cam(*a, n_clusters=4), tiny, x, 1) == 5
    H = x.shape[-1]
    scaled = passes(lambda *a: multi_scale(grad_cam, *a, scales=(1, 1.5)), tiny, x, 1)
    assert scaled == pytest.approx(1 + (round(1.5 * H) / H) ** 2)
    assert hooks(tiny) == before and torch.is_grad_enabled()


def test_beside_a_map_that_never_moves():
    still = table(grad_cam=(0.50, 40, 0.0), moves=(0.60, 36, 0.01), as_still=(0.60, 36, 0.0))
    found = {c.method: c for c in choose([still], {"moves": 1, "as_still": 1})}
    assert found["moves"].unsteady_ratio == float("inf") and not found["moves"].may_win
    assert found["as_still"].unsteady_ratio == 1 and found["as_still"].wins


def test_a_search_is_read_from_its_runs(monkeypatch):
    """The passes are counted, the rows read, a line printed per method, the winner marked."""
    names = ["grad_cam", "layer_cam", "cluster_cam:n_clusters=10"]
    rows = table(**{"grad_cam": (0.5, 40, 0.1), "layer_cam": (0.6, 36, 0.1), "cluster_cam:n_clusters=10": (0.9, 10, 0.1)})
    monkeypatch.setattr(winner, "find_runs", lambda asked: [type("Run", (), {"name": n, "methods": names}) for n in "ab"])
    monkeypatch.setattr(winner, "read_results", lambda name: rows)
    found = {c.method: c for c in searched()}
    assert [found[name].passes for name in names] == [1, 1, 11] and found["layer_cam"].wins
    said = lines(list(found.values()))
    assert len(said) == 4 and said[1].startswith("  (cluster_cam") and said[2].startswith("* layer_cam")


def test_what_the_rule_chose_is_what_is_asked_where_it_decides():
    (chosen,) = [c.method for c in searched() if c.wins]
    assert {tuple(run.methods) for run in find_runs(["43_winner"])} == {(chosen,)}
    assert all(chosen in run.methods for run in find_runs(["40_steady"]))
