"""What charts show is what was measured: every mark, its place, its colour, its key; numbers that are read."""

import math

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import same_color, to_rgb
from seaborn.utils import relative_luminance

from camutils.book import charts
from camutils.book.charts import (
    colour,
    difference_table,
    draw_contrast,
    forest,
    heat_table,
    label,
    number_grids,
    order_tables,
    survival,
)
from camutils.book.figures import COLOURS
from camutils.evaluation.verdicts import Verdict
from camutils.evaluation.winner import Candidate


def cell(method, metric, d=0.1, decided=True, note=""):
    d = math.nan if note else d
    return Verdict(method, metric, d, d - 0.05, d + 0.02, 0.01, 40, 0, decided, True, note)


FOUND = [cell("layer_cam", "pixel_ap"), cell("layer_cam", "energy", -0.3), cell("layer_cam", "energy at equal drop", 0.01, False),
         cell("mine", "pixel_ap", -0.02, False), cell("mine", "energy", note="n < 30"),
         cell("mine", "energy at equal drop", note="not reachable: drop 70, powers of grad_cam have 20 to 60")]


@pytest.fixture(autouse=True)
def no_figure_is_left():
    yield
    plt.close("all")


def test_forest_shows_every_difference_where_it_lies():
    figure = forest(FOUND, {"mine": "Mine"}, title="A finding")
    assert len(figure.axes) == 3 and figure.get_suptitle() == "A finding"
    assert [axis.get_title() for axis in figure.axes] == ["pixel AP", "energy game\ncontrast moves this", "energy at equal Drop"]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["LayerCAM", "Mine"]
    for axis, metric in zip(figure.axes, ("pixel_ap", "energy", "energy at equal drop"), strict=True):
        wanted = [(["layer_cam", "mine"].index(v.method), v) for v in FOUND if v.metric == metric and not v.note]
        dots = {line.get_ydata()[0]: line for line in axis.lines if line.get_marker() == "o"}
        whiskers = {line.get_ydata()[0]: line for line in axis.lines if line.get_marker() == "None" and line.get_linewidth() == 2}
        assert {*dots} == {*whiskers} == {y for y, _ in wanted}
        for y, v in wanted:
            assert dots[y].get_xdata()[0] == v.difference and [*whiskers[y].get_xdata()] == [v.low, v.high]
            assert same_color(dots[y].get_markeredgecolor(), colour(v.method))
            assert same_color(dots[y].get_markerfacecolor(), colour(v.method) if v.decided else "white")
        low, high = axis.get_xlim()
        assert low < min(0, *(v.low for _, v in wanted)) and high > max(0, *(v.high for _, v in wanted))
    assert axis.get_ylim()[0] > 1 > 0 > axis.get_ylim()[1]  # the first row is at the top


def test_forest_says_what_it_cannot_show_and_names_every_mark():
    figure = forest(FOUND, against="Nobody")
    assert [[t.get_text() for t in axis.texts] for axis in figure.axes] == [[], ["n < 30"], ["not reachable"]]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["decided", "undecided", "not worth having", "as Nobody"]
    for axis in figure.axes:
        band = axis.patches[0]
        assert (band.get_x(), band.get_width()) == pytest.approx((-0.02, 0.04))
    points = forest([cell("layer_cam", "drop_15")]).axes[0]
    assert points.patches[0].get_width() == 4 and points.get_xlabel() == "← better"  # 2 points of Drop to either side
    assert figure.axes[0].get_xlabel() == "better →"


def test_one_colour_for_a_method_whatever_its_options():
    for name in ("grad_cam", "grad_cam:layer=layer3", "grad_cam+M", "grad_cam^0.5", "grad_cam:relu=False^2"):
        assert colour(name) == COLOURS["grad_cam"]
    assert colour("grad_cam_pp") == COLOURS["grad_cam_pp"] and colour("mine") not in COLOURS.values()


def test_a_method_is_called_as_in_every_figure():
    names = {"grad_cam": "Grad-CAM", "grad_cam^2": "Grad-CAM, γ = 2", "mine": "mine", "mine^0.5": "mine, γ = 0.5"}
    assert [label(m) for m in names] == [*names.values()]
    own = {"grad_cam": "Grad-CAM", "grad_cam^2": "squared", "mine": "Mine", "mine^2": "Mine, γ = 2"}
    assert [label(m, {"mine": "Mine", "grad_cam^2": "squared"}) for m in own] == [*own.values()]


def rows():
    """Two classes, two images: means are 0.5 and 10 for grad_cam; `good` is 0.1 and 10 points better, `bad` worse."""
    steps = {"grad_cam": 0, "same": 1e-4, "good": 1, "bad": -1, "slightly": 0.1}
    return [{"image": f"i{n}", "class": n, "method": method, "pixel_ap": 0.5 + 0.1 * step + n / 10 - 0.05, "drop": 10 - 8 * step,
             "road": 0.1 + step / 100 if method != "bad" else math.nan} for method, step in steps.items() for n in range(2)]


METHODS, METRICS = ["grad_cam", "same", "good", "bad", "slightly"], ["pixel_ap", "drop", "road"]


def shades(axis):
    """Face colours of the cells, methods x metrics."""
    return axis.collections[0].get_facecolor().reshape(len(METHODS), len(METRICS), 4)


def test_heat_table_by_difference():
    axis, bar = heat_table(rows(), METHODS, METRICS, labels={"good": "Good"}).axes
    words = np.array([t.get_text() for t in axis.texts]).reshape(len(METHODS), len(METRICS))
    assert words.tolist() == [["0.500", "10.0", "0.100"], ["0.500", "10.0", "0.100"], ["0.600", "2.0", "0.110"],
                              ["0.400", "18.0", "–"], ["0.510", "9.2", "0.101"]]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["pixel AP ↑", "Average\nDrop, % ↓\ncontrast\nmoves this", "road ↓"]
    assert [t.get_style() for t in axis.get_xticklabels()] == ["normal", "italic", "normal"]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["Grad-CAM", "same", "Good", "bad", "slightly"]
    assert "Grad-CAM" in bar.get_ylabel() and bar.get_ylim() == (-5, 5)
    values = axis.collections[0].get_array().reshape(len(METHODS), len(METRICS))
    np.testing.assert_allclose(values[:, :2].T, [[0, 0, 5, -5, 0.5], [0, 0, 4, -4, 0.4]], atol=1e-3)
    assert values[2, 2] == pytest.approx(-0.5)  # road: less is better
    seen = shades(axis)
    assert seen[2, 0, 2] > seen[2, 0, 0] and seen[3, 0, 0] > seen[3, 0, 2]  # better is blue, worse red


def test_heat_table_by_rank():
    axis, bar = heat_table(rows(), METHODS, METRICS, by="rank").axes
    values = axis.collections[0].get_array().reshape(len(METHODS), len(METRICS))
    assert values[:, 0].tolist() == values[:, 1].tolist() == [3.5, 3.5, 1, 5, 2]  # `same` differs by rounding
    assert values[[0, 1, 2, 4], 2].tolist() == [1.5, 1.5, 4, 3] and values.mask[3, 2]
    assert "rank" in bar.get_ylabel()


@pytest.mark.parametrize("by", ["difference", "rank"])
def test_numbers_are_read_on_their_colours(by):
    """WCAG 2.1: a contrast of 4.5 for text, (L1 + 0.05) / (L2 + 0.05) of relative luminances, on every colour of the map."""
    steps = np.linspace(-1.2, 1.2, 13)
    table = [{"image": "i", "class": 0, "method": f"m{n}", "pixel_ap": 0.5 + 0.1 * step} for n, step in enumerate(steps)]
    axis = heat_table(table, [f"m{n}" for n in range(13)], ["pixel_ap"], against="m6", by=by).axes[0]
    for shade, text in zip(axis.collections[0].get_facecolor(), axis.texts, strict=True):
        dark, light = sorted((relative_luminance(shade), relative_luminance(to_rgb(text.get_color()))))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_contrast_is_a_line_with_its_powers_named():
    curve = {2.0: (40, 0.5), 0.25: (5, 0.1), 1.0: (20, 0.3), 1.414214: (30, 0.4)}
    axis = plt.subplots()[1]
    draw_contrast(axis, curve)
    assert [*zip(*axis.lines[0].get_data(), strict=True)] == [(5, 0.1), (20, 0.3), (30, 0.4), (40, 0.5)]
    assert {t.get_text(): t.xy for t in axis.texts} == {"2": (40, 0.5), "1/4": (5, 0.1), "γ = 1": (20, 0.3)}
    assert same_color(axis.lines[0].get_color(), COLOURS["grad_cam"]) and axis.lines[0].get_label() == "Grad-CAM to the power γ"


@pytest.mark.parametrize("call, says", [
    (lambda: forest([]), "no verdicts given"),
    (lambda: heat_table(rows(), METHODS, METRICS, by="value"), "by='value' given; accepted: difference, rank"),
    (lambda: heat_table(rows(), ["nope"], METRICS), "'nope' was not measured"),
    (lambda: heat_table(rows(), METHODS, METRICS, against="nope"), "'nope' was not measured"),
    (lambda: heat_table(rows(), METHODS, ["energy"]), "'energy' was not measured; accepted: image, class, method, pixel_ap"),
])
def test_errors_leave_no_figure_behind(call, says):
    with pytest.raises(ValueError, match=says):
        call()
    assert not plt.get_fignums()


def test_difference_table_shows_a_method_on_every_set():
    found = {"one": [cell("layer_cam", "drop_15", -3.0), cell("mine", "drop_15", 1.0, False)],
             "two": [cell("layer_cam", "drop_15", note="n < 30")]}
    figure = difference_table(found, {"mine": "Mine"})
    axis, bar = figure.axes
    texts = {t.get_text(): t for t in axis.texts}
    assert [t.get_text() for t in axis.texts] == ["-3.0", "–", "+1.0", "–"]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["one", "two"]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["LayerCAM", "Mine"]
    assert texts["-3.0"].get_fontweight() == "bold" != texts["+1.0"].get_fontweight() and len(axis.patches) == 1
    assert "Grad-CAM" in bar.get_ylabel() and figure.get_suptitle() == "Drop at 15 % area"
    shades = axis.collections[0].get_facecolor()
    red, blue = (to_rgb(shades[i])[0] - to_rgb(shades[i])[2] for i in (2, 0))
    assert blue < 0 < red  # three points less of Drop is better, one more is worse
    for wrong in ({}, {"one": []}):
        with pytest.raises(ValueError, match="no verdicts given"):
            difference_table(wrong)


def test_order_tables_show_what_is_decided_for_an_order_and_what_against():
    panels = {"first": {"A over B: Drop": {"one": cell("a", "drop", -3.0), "two": cell("a", "drop", 4.0)},
                        "A over B: AP": {"one": cell("a", "pixel_ap", 0.01, False), "two": cell("a", "pixel_ap", note="n < 30")}},
              "second": {"A over B: Drop": {"two": cell("a", "drop", 1.0)}}}
    figure = order_tables(panels, title="A finding")
    first, second, bar = figure.axes
    assert [axis.get_title() for axis in (first, second)] == [*panels] and figure.get_suptitle() == "A finding"
    assert [t.get_text() for t in first.texts] == ["+3.0", "-4.0", "+1.0", "–"]  # in points, + where it is as the row says
    assert [t.get_text() for t in second.texts] == ["–", "-1.0", "–", "–"]
    assert [t.get_fontweight() == "bold" for t in first.texts] == [True, True, False, False]
    assert len(first.patches) == 2 and len(second.patches) == 1 and "as the row says" in bar.get_ylabel()
    assert [t.get_text() for t in first.get_yticklabels()] == [*panels["first"]]
    assert [t.get_style() for t in first.get_yticklabels()] == ["italic", "normal"]
    assert [t.get_text() for t in first.get_xticklabels()] == ["one", "two"]
    shades = first.collections[0].get_facecolor()
    blue, red = (to_rgb(shades[i])[0] - to_rgb(shades[i])[2] for i in (0, 1))
    assert blue < 0 < red
    for nothing in ({}, {"": {}}, {"": {"A over B": {}}}):
        with pytest.raises(ValueError, match="no orders given"):
            order_tables(nothing)


def test_difference_table_has_a_block_for_every_metric():
    figure = difference_table({"one": FOUND, "two": FOUND[:1]}, {"mine": "Mine"}, title="A finding")
    *blocks, bar = figure.axes
    heads = [axis.get_title(loc="left") for axis in blocks]
    assert heads == ["pixel AP", "energy game, contrast moves this", "energy at equal Drop"] and bar.get_ylabel()
    assert [[t.get_text() for t in axis.texts] for axis in blocks] == [
        ["+0.100", "+0.100", "-0.020", "–"], ["-0.300", "–", "–", "–"], ["+0.010", "–", "–", "–"]]
    assert [len(axis.patches) for axis in blocks] == [2, 1, 0]  # framed: decided
    assert [[t.get_text() for t in axis.get_xticklabels()] for axis in blocks] == [["one", "two"], [], []]
    shades = [axis.collections[0].get_facecolor()[0] for axis in blocks]
    assert shades[0][2] > shades[0][0] and shades[1][2] < shades[1][0]  # one scale: blue is better in each


def test_search_marks_what_may_win_the_front_and_the_winner():
    def one(name, AP, times, **marks):
        given = {"may_win": True, "on_front": False, "wins": False} | marks
        return Candidate(name, 1, AP, 30.0, 0.01, times, 1.0, **given)

    found = [one("best", 0.8, 1.2, on_front=True, wins=True), one("grad_cam", 0.7, 1.0), one("wild", 0.9, 9.0, may_win=False),
             one("still", 0.6, 0.5, on_front=True)]
    figure = charts.search(found, {"wild": "Wild"}, "A finding")
    for axis, across in zip(figure.axes, ("drop_15", "unsteady_ratio"), strict=True):
        across_base, up_base = axis.lines[1].get_xdata(), axis.lines[0].get_ydata()
        assert {*across_base} == {getattr(found[1], across)} and {*up_base} == {0.7}
        for c, mark in zip(found, axis.lines[2:], strict=True):
            assert mark.get_xydata().tolist() == [[getattr(c, across), c.pixel_ap]]
            assert same_color(mark.get_markerfacecolor(), "white") == (not c.may_win)
            assert same_color(mark.get_markeredgecolor(), COLOURS["grad_cam"]) == c.on_front
        assert [mark.get_marker() for mark in axis.lines[2:]] == ["*", "o", "o", "o"]
    assert [[t.get_text() for t in axis.texts] for axis in figure.axes] == [[], ["Wild"]]
    (shaded,) = figure.axes[1].patches
    assert shaded.get_x() == 2 and figure.get_suptitle() == "A finding"
    assert len(figure.legends[0].get_texts()) == 6
    with pytest.raises(ValueError, match="candidates wild given; accepted: grad_cam among them"):
        charts.search(found[2:3], {})


def test_number_grids_write_every_number_in_its_cell():
    figure = number_grids([{"A": [[0, 0.5], [-2.25, 10]]}, {"B": [[1, 1, 1]], "C": [[3]]}])
    assert [axis.get_title() for axis in figure.axes] == ["A", "", "B", "C"]
    written = {(t.get_position(), t.get_text()) for t in figure.axes[0].texts}
    assert written == {((0.5, 1.5), "0"), ((1.5, 1.5), "0.5"), ((0.5, 0.5), "−2.25"), ((1.5, 0.5), "10")}
    assert [t.get_text() for t in figure.axes[2].texts] == ["1"] * 3


def test_survival_frames_what_is_decided_and_dashes_what_was_not_measured():
    shares = {"net": np.array([[[0.71, 1], [-0.25, 0]], [[1, 1], [math.nan, 0]]]), "other": np.zeros((2, 2, 2))}
    figure = survival(shares, ["LayerCAM", "edges"], ["head", "class"], title="A finding")
    one, other, bar = figure.axes
    assert [axis.get_title() for axis in (one, other)] == ["net", "other"] and figure.get_suptitle() == "A finding"
    assert [t.get_text() for t in one.texts] == ["0.71", "-0.25", "1.00", "–"]
    frames = {(round(p.get_x()), round(p.get_y())) for p in one.patches if same_color(p.get_edgecolor(), "black")}
    assert frames == {(0, 0), (0, 1)} and not other.patches
    assert [t.get_text() for t in one.get_yticklabels()] == ["LayerCAM", "edges"]
    assert bar.get_ylabel() == "what is left of the likeness"
