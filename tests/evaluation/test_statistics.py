"""Bootstrap by image: SciPy's bootstrap from the same resamples, loops as oracle, calibration, errors."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from camutils.evaluation import statistics
from camutils.evaluation.statistics import (
    bootstrap_mean,
    class_mean,
    comparison,
    false_discovery,
    joint_bootstrap,
    paired_bootstrap,
)


def sample(n, seed=0):
    return np.random.default_rng(seed).normal(1, 2, n)


def plain(values, groups, classes, picks):
    """T of each resample by loops: every picked image brings all its rows."""
    images = sorted(set(groups))
    results = []
    for pick in picks:
        rows = [r for g in pick for r in range(len(values)) if groups[r] == images[g] and not math.isnan(values[r])]
        means = [np.mean([values[r] for r in rows if classes[r] == c]) for c in {classes[r] for r in rows}]
        results.append(np.mean(means))
    return results


@pytest.mark.parametrize("level", [0.95, 0.5])
def test_equals_scipy_on_the_same_resamples(level):
    values = sample(83)
    oracle = scipy.stats.bootstrap((values,), np.mean, n_resamples=2000, confidence_level=level, method="percentile",
                                   rng=np.random.default_rng(7)).confidence_interval
    ours = bootstrap_mean(values, level=level, seed=7)
    np.testing.assert_allclose((ours.low, ours.high), oracle, rtol=1e-12)
    assert ours.mean == pytest.approx(values.mean(), rel=1e-12) and ours.count == 83


def test_comparison_equals_scipy_on_the_same_resamples():
    a, b = sample(50), sample(50, 1)
    oracle = scipy.stats.bootstrap((a, b), lambda a, b, axis: a.mean(axis) - b.mean(axis), paired=True, n_resamples=2000,
                                   method="percentile", rng=np.random.default_rng(7)).confidence_interval
    ours = paired_bootstrap(a, b, seed=7)
    np.testing.assert_allclose((ours.low, ours.high), oracle, rtol=1e-9)
    assert ours.difference == pytest.approx(a.mean() - b.mean())


def test_interval_by_hand():
    # two values: a resample's mean is 0, 1/2 or 1 with probability 1/4, 1/2, 1/4
    assert bootstrap_mean([0, 1]) == (0.5, 0, 1, 2)
    assert bootstrap_mean([0, 1], level=0.4) == (0.5, 0.5, 0.5, 2)
    assert bootstrap_mean([0.25, math.nan]) == (0.25, 0.25, 0.25, 1)
    assert bootstrap_mean(torch.tensor([True, True])) == (1, 1, 1, 2)


def test_by_image_and_class_equals_loops():
    rng = np.random.default_rng(0)
    groups, classes = [f"image {g}" for g in rng.integers(0, 6, 25)], [str(c) for c in rng.integers(0, 3, 25)]
    values = rng.integers(0, 2, 25).astype(float)
    values[[3, 11]] = math.nan
    images = len({g for g, v in zip(groups, values, strict=True) if not math.isnan(v)})
    picks = np.random.default_rng(5).integers(0, images, (200, images))
    for kinds in (classes, None):
        ours = bootstrap_mean(values, groups, kinds, resamples=200, seed=5)
        oracle = plain(values, groups, kinds or ["all"] * 25, picks)
        np.testing.assert_allclose((ours.low, ours.high), np.percentile(oracle, [2.5, 97.5]), rtol=1e-12)
        assert ours.mean == pytest.approx(plain(values, groups, kinds or ["all"] * 25, [range(images)])[0]) and ours.count == 23
    assert bootstrap_mean(values, groups, classes).mean == pytest.approx(class_mean(values, classes))


def test_rows_of_one_image_are_not_independent():
    values = sample(60)
    once, four = bootstrap_mean(values), bootstrap_mean(np.repeat(values, 4), np.repeat(np.arange(60), 4))
    np.testing.assert_allclose(four[:3], once[:3], rtol=1e-12)
    assert four.count == 240
    naive = bootstrap_mean(np.repeat(values, 4))
    assert (naive.high - naive.low) < 0.6 * (once.high - once.low)  # half, as if there were four times the images


def test_width_is_that_of_the_normal_interval():
    # a 2.5 % quantile of 2000 resamples has standard error sqrt(.025 * .975 / 2000) / phi(1.96) = 0.06 standard errors of the
    # mean; 5 of these on either side, and 2 % for the sample's own shape (skewness / sqrt n)
    values = sample(2000)
    ours, se = bootstrap_mean(values), values.std() / math.sqrt(2000)
    assert (values.mean() - ours.low) / se == pytest.approx(1.96, abs=0.32)
    assert (ours.high - values.mean()) / se == pytest.approx(1.96, abs=0.32)


def test_chunks_do_not_change_the_resamples(monkeypatch):
    values = sample(40)
    whole = bootstrap_mean(values), paired_bootstrap(values, values[::-1].copy())
    monkeypatch.setattr(statistics, "CELLS", 700)
    np.testing.assert_allclose((bootstrap_mean(values), paired_bootstrap(values, values[::-1].copy())), whole, atol=1e-12)


def test_deterministic_and_order_of_rows_does_not_matter():
    values, groups, order = sample(40), np.arange(40) // 3, np.random.default_rng(1).permutation(40)
    state = np.random.get_state()[1].copy()
    assert bootstrap_mean(values, groups) == bootstrap_mean(values, groups)
    assert bootstrap_mean(values, groups, seed=1).low != bootstrap_mean(values, groups).low
    np.testing.assert_allclose(bootstrap_mean(values[order], groups[order]), bootstrap_mean(values, groups), rtol=1e-12)
    assert (np.random.get_state()[1] == state).all()


def test_comparison_sees_what_separate_intervals_cannot():
    a = sample(200)
    b = a - 0.1 + np.random.default_rng(3).normal(0, 0.2, 200)
    one, two = bootstrap_mean(a), bootstrap_mean(b)
    assert one.low < two.high and two.low < one.high  # the intervals overlap
    both = paired_bootstrap(a, b)
    assert 0 < both.low < both.difference < both.high and both.p == 2 / 2001


def test_comparison_by_hand():
    same = paired_bootstrap(sample(9), sample(9))
    assert same == (0, 0, 0, 1)
    shifted = paired_bootstrap([1, 2, math.nan, 4], [0.5, 1.5, 3, math.nan], resamples=99)
    assert shifted == (0.5, 0.5, 0.5, 2 / 100)
    swapped = paired_bootstrap([0.5, 1.5], [1, 2], resamples=99)
    assert swapped == (-0.5, -0.5, -0.5, 2 / 100)
    by_class = paired_bootstrap([1, 1, 1, 0], [0, 0, 0, 0], classes=[0, 0, 0, 1])
    assert by_class.difference == 0.5


def test_joint_bootstrap_draws_the_same_images_for_all_columns():
    columns = [sample(30), sample(30, 1), sample(30, 2)]
    columns[1][4] = math.nan  # image 4 is skipped in all of them
    T, stars = joint_bootstrap(columns, resamples=300, seed=3)
    kept = np.arange(30) != 4
    picks = np.random.default_rng(3).integers(0, 29, (300, 29))
    np.testing.assert_allclose(stars, [c[kept][picks].mean(1) for c in columns], rtol=1e-12)
    np.testing.assert_allclose(T, [c[kept].mean() for c in columns], rtol=1e-12)
    both = paired_bootstrap(columns[0], columns[1], resamples=300, seed=3)
    assert both == comparison(T[0] - T[1], stars[0] - stars[1])


def test_grain_widens_and_undecides_by_hand():
    stars = np.linspace(1, 3, 1001)  # its 2.5 and 97.5 % points: 1.05 and 2.95; none at or below 0
    assert comparison(2, stars) == pytest.approx((2, 1.05, 2.95, 2 / 1002))
    assert comparison(2, stars, grain=1.5) == pytest.approx((2, -0.45, 4.45, 2 * (1 + 251) / 1002))  # 1, 1.002, ..., 1.5


def test_false_discovery_by_hand():
    # sorted 0.001 0.008 0.039 0.041 0.042 0.06 against 0.05 k / 6 = 0.0083 0.0167 0.025 0.033 0.0417 0.05: the first two
    ps = [0.041, 0.001, 0.06, 0.008, 0.039, 0.042]
    assert false_discovery(ps).tolist() == [False, True, False, True, False, False]
    # at 0.06 the fifth, 0.042, lies below 0.06 * 5 / 6 = 0.05, and takes 0.039 and 0.041 with it; the sixth is 0.06 itself
    assert false_discovery(ps, 0.06).all() and false_discovery(ps, 0.055).tolist() == [True, True, False, True, True, True]
    assert false_discovery([0.05]).tolist() == [True] and false_discovery(np.array([0.051])).tolist() == [False]


def test_false_discovery_holds_the_share_of_false_ones_down():
    # 400 families of 50 comparisons, 10 of them real: the mean share of false ones among the decided is 40 / 50 of 5 %, with a
    # standard error below 0.005; 5 % each gives 40 * 0.05 = 2 false ones of about 12
    rng = np.random.default_rng(0)
    shares = {"together": [], "each": []}
    for _ in range(400):
        z = rng.normal(size=50) + np.where(np.arange(50) < 10, 3.5, 0)
        ps = 2 * scipy.stats.norm.sf(abs(z))
        for name, decided in (("together", false_discovery(ps)), ("each", ps < 0.05)):
            shares[name].append(decided[10:].sum() / max(1, decided.sum()))
    assert 0.02 < np.mean(shares["together"]) < 0.05 and np.mean(shares["each"]) > 0.1


def test_p_is_calibrated_where_there_is_no_difference():
    # 200 experiments at 5 %: 10 expected, standard deviation 3.1; 5 of these: at most 25
    rng = np.random.default_rng(0)
    p = [paired_bootstrap(rng.normal(size=60), rng.normal(size=60), resamples=400).p for _ in range(200)]
    assert 0 < sum(v < 0.05 for v in p) <= 25
    assert 60 <= sum(v < 0.5 for v in p) <= 140  # 100, standard deviation 7.1


def test_all_nan():
    hole = bootstrap_mean([math.nan, math.nan])
    assert hole.count == 0 and all(math.isnan(v) for v in hole[:3])
    with pytest.raises(ValueError, match="none of the 2 rows"):
        paired_bootstrap([1, math.nan], [math.nan, 1])


@pytest.mark.parametrize("call, says", [
    (lambda: bootstrap_mean([]), "values have shape"),
    (lambda: bootstrap_mean([[1.0]]), r"\(1, 1\)"),
    (lambda: bootstrap_mean([1.0, math.inf]), "infinite value at 1"),
    (lambda: bootstrap_mean([1.0, 2], [0]), "groups have shape"),
    (lambda: bootstrap_mean([1.0, 2], classes=[0]), "classes have shape"),
    (lambda: bootstrap_mean([1.0], level=1), "level 1"),
    (lambda: bootstrap_mean([1.0], resamples=0), "0 resamples"),
    (lambda: paired_bootstrap([], []), "values of a"),
    (lambda: paired_bootstrap([1.0, 2], [1.0]), "values of b"),
    (lambda: joint_bootstrap([]), "0 columns"),
    (lambda: joint_bootstrap([[1.0], [math.nan], [2.0]]), "none of the 1 rows has all 3 values"),
    (lambda: joint_bootstrap([[1.0, 2], [1.0]]), "values of column 1 have shape"),
    (lambda: comparison(0, np.zeros(3), level=2), "level 2"),
    (lambda: false_discovery([]), "p values have shape"),
    (lambda: false_discovery([0.1, math.nan]), "accepted: numbers in"),
    (lambda: false_discovery([1.1]), "accepted: numbers in"),
    (lambda: false_discovery([0.1], 1), "level 1"),
    (lambda: class_mean([], []), "values have shape")])
def test_errors(call, says):
    with pytest.raises(ValueError, match=says):
        call()
