"""The contrast control: worked on paper, a power of Grad-CAM gains nothing, a map that is better in place does."""

import math

import numpy as np
import pytest

from camutils.evaluation import contrast
from camutils.evaluation.contrast import (
    GAMMAS,
    at_equal,
    at_equals,
    beats,
    beats_over_sets,
    contrast_curve,
    powers,
    stored_powers,
)
from camutils.evaluation.verdicts import verdict_table


def lines(method, drops, energies, **others):
    return [{"image": f"i{n}", "class": n % 2, "method": method, "drop": float(d), "energy": float(e)}
            | {name: float(values[n]) for name, values in others.items()}
            for n, (d, e) in enumerate(zip(drops, energies, strict=True))]


# Three images. With a resample's mean a of (-1, 0, 1), Grad-CAM to the powers 1, 2, 4 has
#     Drop 20 + 10 a, 40 + 10 a, 60        energy 0.3 + 0.1 a, 0.5 + 0.1 a, 0.7
HAND = [*lines("grad_cam", (10, 20, 30), (0.2, 0.3, 0.4)), *lines("grad_cam^2", (30, 40, 50), (0.4, 0.5, 0.6)),
        *lines("grad_cam^4", (60, 60, 60), (0.7, 0.7, 0.7))]


def test_by_hand():
    # A method with Drop 30 and energy 0.55 + 0.1 a. Chord from power 1 to 2: 30 is reached at f = (10 - 10 a) / 20 of it, where
    # the energy is 0.3 + 0.1 a + 0.2 f = 0.4 for every a. So d = 0.15 + 0.1 a; of the data (a = 0): gamma = 2^(1/2), d = 0.15.
    # a is -1 in 1/27 of the resamples, and 1 in as many: more than 2.5 %, so the interval is [0.05, 0.25]; no d* <= 0.
    # Without power 2 the chord goes from Drop 20 to 60: 30 is a quarter of it, energy 0.3 + 0.4 / 4 = 0.4 again: grain 0.
    found = at_equal([*HAND, *lines("ours", (30, 30, 30), (0.45, 0.55, 0.65))], "ours")
    assert found.comparison == pytest.approx((0.15, 0.05, 0.25, 2 / 2001), abs=1e-12)
    assert found.gamma == pytest.approx(math.sqrt(2)) and found.grain == pytest.approx(0, abs=1e-12)
    assert found.reachable == 1 and found.reason == ""


def test_what_chords_cannot_tell_widens_the_interval():
    # The same on every image: Drop 20, 50, 60 and energy 0.3, 0.5, 0.7. Drop 30 is a third of the first chord: energy 0.3667;
    # without power 2 it is a quarter of the long chord: 0.4. grain = 0.0333; a method with energy 0.38 is 0.0133 +- 0.0333.
    rows = [row for m, d, e in (("grad_cam", 20, 0.3), ("grad_cam^2", 50, 0.5), ("grad_cam^4", 60, 0.7), ("near", 30, 0.38),
                                ("far", 30, 0.6)) for row in lines(m, [d] * 3, [e] * 3)]
    near, far = (at_equal(rows, method) for method in ("near", "far"))
    assert near.grain == far.grain == pytest.approx(1 / 30)
    assert near.comparison == pytest.approx((0.38 - 11 / 30, 0.38 - 12 / 30, 0.38 - 10 / 30, 1))
    assert far.comparison == pytest.approx((0.6 - 11 / 30, 0.6 - 12 / 30, 0.6 - 10 / 30, 2 / 2001))


def test_not_reachable_by_hand():
    outside = at_equal([*HAND, *lines("ours", (70, 70, 70), (0.9, 0.9, 0.9))], "ours")
    assert outside.comparison is None and math.isnan(outside.gamma) and outside.reachable == 0
    assert outside.reason == "not reachable: drop 70, powers of grad_cam have 20 to 60"
    # Drop 25: in the data it is reached, but not where 20 + 10 a > 25: a = 2/3 or 1, 4 of 27 resamples
    seldom = at_equal([*HAND, *lines("ours", (25, 25, 25), (0.9, 0.9, 0.9))], "ours")
    assert seldom.comparison is None and seldom.reachable == pytest.approx(1 - 4 / 27, abs=0.03)  # 3.8 standard deviations
    assert "not reachable: in 15% of the resamples" in seldom.reason or "14%" in seldom.reason
    # only power 2 comes near: without it no chord reaches Drop 30, so nothing is known of its chords
    for peak in ({"grad_cam": 20, "grad_cam^2": 50, "grad_cam^4": 25},
                 {"grad_cam^0.5": 25, "grad_cam": 20, "grad_cam^2": 50, "grad_cam^4": 25, "grad_cam^8": 20}):
        rows = [row for method, drop in {**peak, "ours": 30}.items() for row in lines(method, [drop], [0.5])]
        assert "at the turn of drop" in at_equal(rows, "ours").reason


def test_of_several_crossings_the_one_nearest_to_power_one():
    x = np.log([0.25, 0.5, 1, 2, 4])
    cost, gain = np.array([[8, 0, 4, 2, 8.0]]).T, np.array([[0, 1, 2, 3, 4.0]]).T
    at, there = contrast._reach(x, cost, gain, np.array([3.0]))  # crossed at 5/8, 1 3/4, 2 1/2 and 3 1/6 of the chords; 1: 2
    assert at == pytest.approx(-math.log(2) / 4) and there == pytest.approx(1.75)
    at, there = contrast._reach(x, cost, gain, np.array([4.0]))  # touches the power 1 itself
    assert at == 0 and there == 2
    flat = contrast._reach(x, np.full((5, 1), 3.0), gain, np.array([3.0]))  # everywhere: the power 1 is nearest
    assert flat[0] == 0 and flat[1] == 2
    assert np.isnan(contrast._reach(x, cost, gain, np.array([9.0]))).all()


SIDE = 24
Y, X = np.mgrid[:SIDE, :SIDE]


def measured(method, heat, box, image):
    """A row of metrics of one map: energy and effective area as they are defined, Drop a stand-in that grows with contrast."""
    inside = (heat * box).sum()
    return {"image": f"i{image}", "class": image % 3, "method": method, "energy": inside / heat.sum(),
            "area": heat.sum() ** 2 / heat.size / (heat**2).sum(), "drop": 100 * max(0, 1 - inside / box.sum())}


@pytest.fixture(scope="module")
def scenes():
    """40 images: an object, and a blob beside it as Grad-CAM's map; `better` is nearer, `worse` farther off, `lost` one pixel."""
    rng, rows = np.random.default_rng(0), []
    for image in range(40):
        (cy, cx), (oy, ox), width = rng.uniform(7, 17, 2), rng.normal(0, 2.5, 2), rng.uniform(3, 6)
        box, noise = ((abs(X - cx) <= 4) & (abs(Y - cy) <= 4)).astype(float), 0.2 * rng.random((SIDE, SIDE))

        blobs = [np.exp(-((X - cx - off * ox) ** 2 + (Y - cy - off * oy) ** 2) / 2 / width**2) + noise for off in (0.3, 1, 2)]
        near, base, far = ((heat - heat.min()) / (heat.max() - heat.min()) for heat in blobs)
        maps = {name: base**gamma for gamma, name in zip(GAMMAS, powers(), strict=True)}
        maps |= {f"power {gamma}": base**gamma for gamma in (0.3, 1.2, 1.7, 6)}
        maps |= {"better": near**1.3, "worse": far**0.8, "lost": base**60}
        rows += [measured(name, heat, box, image) for name, heat in maps.items()]
    place = {"better": 0.9, "worse": 0.5}
    return [row | {"pixel_ap": place.get(row["method"], 0.7) + 0.1 * math.sin(int(row["image"][1:])), "drop_15": 20.0}
            for row in rows]


@pytest.mark.parametrize("equal", ["drop", "area"])
@pytest.mark.parametrize("gamma", [0.3, 1.2, 1.7, 6])
def test_a_power_of_grad_cam_gains_nothing(scenes, gamma, equal):
    found = at_equal(scenes, f"power {gamma}", equal=equal)
    assert found.gamma == pytest.approx(gamma, rel=0.05) and found.reachable == 1
    # a chord's error: at most what the grain says, which is below the smallest difference worth having
    assert abs(found.comparison.difference) <= found.grain < 0.02
    assert found.comparison.low < 0 < found.comparison.high and found.comparison.p > 0.5


def test_grad_cam_itself_and_a_stored_power_are_met_exactly(scenes):
    for method, gamma in (("grad_cam", 1), ("grad_cam^2", 2), ("grad_cam^8", 8), ("grad_cam^0.25", 0.25)):
        found = at_equal(scenes, method, equal="area")
        assert found.comparison == pytest.approx((0, -found.grain, found.grain, 1), abs=1e-9)
        assert found.gamma == pytest.approx(gamma) and found.grain < 0.02


def test_a_better_place_is_decided_whatever_the_contrast(scenes):
    better, worse, lost = (beats(scenes, method) for method in ("better", "worse", "lost"))
    assert better == (True, ("pixel_ap", "energy at equal drop and area"), (), ())
    assert worse == (False, (), ("pixel_ap", "energy at equal drop and area"), ())
    assert not lost.beats and not lost.worse and len(lost.notes) == 2
    assert [note[:35] for note in lost.notes] == ["energy at equal drop: not reachable", "energy at equal area: not reachable"]
    for gamma in (0.3, 1.7, 6):
        assert beats(scenes, f"power {gamma}") == (False, (), (), ())
    energy = {row["method"]: [] for row in scenes}
    for row in scenes:
        energy[row["method"]].append(row["energy"])
    assert np.mean(energy["power 6"]) > np.mean(energy["better"]) + 0.1  # what the energy game alone says


def test_energy_at_one_equal_alone_does_not_beat(scenes):
    # Grad-CAM's maps, each scaled so that less is lost: better at equal Drop, the same at equal area
    bright = [row | {"method": "bright", "drop": row["drop"] - 10} for row in scenes if row["method"] == "grad_cam^2"]
    found = beats([*scenes, *bright], "bright")
    both = {v.metric: v for v in at_equals([*scenes, *bright], ["bright"])}
    assert both["energy at equal drop"].decided and not both["energy at equal area"].decided
    assert found == (False, (), (), ())


def test_without_powers_of_the_other_only_place_decides(scenes):
    found = beats(scenes, "better", "worse")
    assert found.beats and found.better == ("pixel_ap",) and "powers of 'worse': worse given" in found.notes[0]


def test_over_sets_all_are_decided_together(scenes):
    sets = {"all": scenes, "no better": [row for row in scenes if row["method"] != "better"]}
    found = beats_over_sets(sets, ["better", "worse", "grad_cam", "power 1.2"])
    assert [*found] == ["all", "no better"] and [*found["all"]] == ["better", "worse", "power 1.2"]
    assert [*found["no better"]] == ["worse", "power 1.2"]
    assert {m: b.beats for m, b in found["all"].items()} == {"better": True, "worse": False, "power 1.2": False}
    assert found["all"]["worse"] == found["no better"]["worse"] == beats(scenes, "worse")
    assert beats_over_sets({"": scenes}, ["better"])[""]["better"] == beats(scenes, "better")


def test_a_lucky_one_among_many_is_not_decided():
    # a mean of 2.6 standard errors has p near 0.01: below 0.05 / 2 beside its own Drop, above 0.05 / 12 among six methods
    z = np.random.default_rng(0).normal(size=40)
    z = (z - z.mean()) / z.std() + 2.6 / math.sqrt(40)
    gains = {"grad_cam": 0 * z, "lucky": z} | {f"null {k}": (-1) ** np.arange(40) for k in range(5)}
    rows = [{"image": f"i{i}", "class": 0, "method": m, "pixel_ap": 0.5 + 0.1 * gain[i], "drop_15": 9.0}
            for m, gain in gains.items() for i in range(40)]
    assert beats(rows, "lucky").better == ("pixel_ap",)
    assert not beats_over_sets({"one": rows}, list(gains))["one"]["lucky"].beats
    assert beats_over_sets({"one": rows}, ["lucky"])["one"]["lucky"] == beats(rows, "lucky")


def test_few_images_give_no_verdict(scenes):
    few = [row for row in scenes if int(row["image"][1:]) < 29]
    found = beats(few, "better")
    assert not found.beats and found.notes == tuple(f"{m}: n < 30" for m in (
        "pixel_ap", "drop_15", "energy at equal drop", "energy at equal area"))


def test_many_at_once(scenes):
    found = at_equals(scenes, ["grad_cam", "better", "lost"])
    assert [v.method for v in found] == ["better", "better", "lost", "lost"]
    assert [v.metric for v in found] == ["energy at equal drop", "energy at equal area"] * 2
    one = at_equal(scenes, "better", equal="area")
    assert found[1][2:6] == one.comparison and found[1].decided and found[1].worth and found[1].images == 40
    text = verdict_table(found)
    assert "not reachable" in text and "powers of" not in text  # in a table the short word


def test_resamples_are_those_of_the_statistics(scenes, monkeypatch):
    whole = at_equal(scenes, "better")
    monkeypatch.setattr("camutils.evaluation.statistics.CELLS", 700)
    assert at_equal(scenes, "better").comparison == pytest.approx(whole.comparison, abs=1e-12)
    assert at_equal(scenes, "better", seed=1).comparison.low != whole.comparison.low
    wide, narrow = (at_equal(scenes, "better", level=level).comparison for level in (0.99, 0.5))
    assert wide.low < whole.comparison.low < narrow.low < narrow.high < whole.comparison.high < wide.high


def test_pointing_is_a_mean_over_classes():
    # classes 0, 1, 0: the mean over classes of (1, 0, 0) is (1/2 + 0) / 2 = 0.25, that of (0, 0, 0) is 0; Drop is 30 either way
    hits = {"grad_cam": (0, 0, 0), "grad_cam^2": (0, 0, 0), "grad_cam^4": (0, 0, 0), "ours": (1, 0, 0)}
    drops = {"grad_cam": 20, "grad_cam^2": 40, "grad_cam^4": 60, "ours": 30}
    rows = [row for m in hits for row in lines(m, [drops[m]] * 3, [0.5] * 3, pointing=hits[m])]
    assert at_equal(rows, "ours", "pointing").comparison.difference == 0.25


def test_powers_and_their_curve(scenes):
    assert powers()[:6] == ["grad_cam^0.25", "grad_cam^0.353553", "grad_cam^0.5", "grad_cam^0.707107", "grad_cam",
                            "grad_cam^1.414214"] and len(powers()) == 11 and powers("x:relu=False")[-1] == "x:relu=False^8"
    assert [*stored_powers(scenes).values()] == powers()
    assert [*stored_powers([*HAND, *lines("grad_cam^16", [1] * 3, [1] * 3)])] == [1, 2, 4]
    curve = contrast_curve(HAND)
    assert curve == {1: pytest.approx((20, 0.3)), 2: pytest.approx((40, 0.5)), 4: pytest.approx((60, 0.7))}


@pytest.mark.parametrize("call, says", [
    (lambda: at_equal(HAND, "ours"), "'ours' was not measured; accepted: grad_cam"),
    (lambda: at_equal(HAND, "grad_cam^2", equal="energy"), "equal='energy' given; accepted: drop, area"),
    (lambda: at_equal(HAND, "grad_cam^2", equal="area"), "'area' was not measured; accepted: image"),
    (lambda: at_equal(HAND, "grad_cam^2", "road"), "'road' was not measured"),
    (lambda: at_equal(HAND[:6], "grad_cam^2"), r"'grad_cam': grad_cam, grad_cam\^2 given; accepted: grad_cam and at least"),
    (lambda: at_equal(HAND[3:], "grad_cam^2"), r"powers of 'grad_cam': grad_cam\^2, grad_cam\^4 given"),
    (lambda: contrast_curve(HAND, base="centre"), "powers of 'centre': none given"),
    (lambda: at_equal([*HAND, *lines("ours", [1] * 2, [1] * 2)], "ours"), "was measured on other images"),
    (lambda: at_equal(HAND, "grad_cam^2", level=1), "level 1"),
    (lambda: at_equal(HAND, "grad_cam^2", resamples=0), "0 resamples"),
    (lambda: beats_over_sets({}, ["grad_cam^2"]), "no sets of rows"),
    (lambda: at_equals(HAND, ["grad_cam"]), "accepted: another method, and"),
    (lambda: at_equals(HAND, ["grad_cam^2"], equals=()), "accepted: another method, and"),
])
def test_errors(call, says):
    with pytest.raises(ValueError, match=says):
        call()
