"""The numbers of a figure, read back from what matplotlib drew: each kind by hand, and no number that was not plotted."""

import csv

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pytest
from matplotlib import pyplot as plt

from camutils.book.plotted import COLUMNS, plotted, write_plotted


@pytest.fixture
def axis():
    yield plt.subplots()[1]
    plt.close("all")


def rows(axis, *kinds):
    """The rows of the figure, without the axis, of some kinds."""
    return [row[1:] for row in plotted(axis.figure) if row[1] in kinds or not kinds]


def test_lines_and_points(axis):
    axis.plot([0, 1], [2, 3], "-o", label="curve")
    axis.plot([4], [5], "o", label="mark")
    axis.scatter([6, np.nan], [7, 8], label="cloud")
    found = rows(axis)
    assert found[:4] == [("line", "curve", 0, 2, None), ("line", "curve", 1, 3, None), ("points", "mark", 4, 5, None),
                         ("points", "cloud", 6, 7, None)]
    assert len(found) == 5 and np.isnan(found[4][2])


def test_a_line_across_the_axis_has_one_coordinate(axis):
    axis.axvline(0.5)
    axis.axhline(7, label="floor")
    assert rows(axis) == 2 * [("line", "", 0.5, None, None)] + 2 * [("line", "floor", None, 7, None)]


def test_an_error_bar_is_a_point_and_its_interval(axis):
    axis.errorbar([1], [3], yerr=[[0.5], [1]], fmt="o", capsize=3, label="mean")
    assert rows(axis) == [("points", "mean", 1, 3, None), ("interval", "mean", 1, 2.5, None), ("interval", "mean", 1, 4, None)]


def test_bars_end_and_begin_and_ticks_name_them(axis):
    axis.bar(["a", "b"], [3, -1], bottom=[2, 0], label="up")
    assert rows(axis) == [("tick", "a", 0, None, None), ("tick", "b", 1, None, None),
                          ("bars", "up", 0, 5, 2), ("bars", "up", 1, -1, 0)]


def test_lying_bars_with_error_bars(axis):
    axis.barh([0], [3], xerr=[0.25], left=1, label="floor")
    axis.set_yticks([0], ["Grad-\nCAM"])
    assert rows(axis) == [("tick", "Grad- CAM", None, 0, None), ("interval", "", 3.75, 0, None), ("interval", "", 4.25, 0, None),
                          ("bars", "floor", 4, 0, 1)]


def test_ticks_that_matplotlib_counts_out_are_no_words(axis):
    axis.set_xticks([0, 1, 2])
    axis.set_yscale("log")
    assert rows(axis) == []


def test_an_image_is_its_cells_from_above_or_below(axis):
    numbers = np.arange(6.0).reshape(2, 3)
    axis.imshow(numbers)
    axis.text(1, 0, "one")
    axis.imshow(numbers, origin="lower", extent=(0, 6, 10, 14))
    found = rows(axis)
    assert found[:6] == [("image", "one" if n == 1 else "", n % 3, n // 3, n) for n in range(6)]
    assert found[6:] == [("image", "", 1 + 2 * (n % 3), 11 + 2 * (n // 3), n) for n in range(6)]


@pytest.mark.parametrize("pixels", [np.uint8([[[255, 0, 0], [0, 0, 255]]]), np.array([[[1.0, 0, 0], [0, 0, 1]]])])
def test_a_small_picture_in_colours(axis, pixels):
    axis.imshow(pixels)
    assert rows(axis) == [("image", "", 0, 0, "#ff0000"), ("image", "", 1, 0, "#0000ff")]


@pytest.mark.parametrize("size, count", [((64, 64), 64 * 64), ((65, 2), 1), ((2, 65, 3), 1)])
def test_larger_images_are_a_note(axis, size, count):
    axis.imshow(np.zeros(size))
    found = rows(axis)
    assert len(found) == count and {row[0] for row in found} == {"image" if count > 1 else "note"}
    if count == 1:
        assert found[0][1] == f"left out: an image of {size[0]} x {size[1]}, more than 64 x 64"


def test_a_heat_table_has_what_is_drawn_and_what_is_written(axis):
    sns = pytest.importorskip("seaborn")
    sns.heatmap(np.array([[1.0, 2], [3, 4]]), mask=np.array([[False, True], [False, False]]), ax=axis,
                annot=[["a", "b"], ["c", "d"]], fmt="", xticklabels=["left", "right"], yticklabels=False)
    assert rows(axis, "tick") == [("tick", "left", 0.5, None, None), ("tick", "right", 1.5, None, None)]
    first, masked, *rest = rows(axis, "image")
    assert first == ("image", "a", 0.5, 0.5, 1) and masked[:4] == ("image", "", 1.5, 0.5) and np.isnan(masked[4])
    assert rest == [("image", "c", 0.5, 1.5, 3), ("image", "d", 1.5, 1.5, 4)]
    assert {row[0] for row in plotted(axis.figure)} == {"1"}  # the colour bar has an axis, and is left out


def test_a_smooth_mesh_has_its_values_at_the_corners(axis):
    axis.pcolormesh([0, 2], [0, 4], [[1, 2], [3, 4]], shading="gouraud")
    assert rows(axis) == [("image", "", 0, 0, 1), ("image", "", 2, 0, 2), ("image", "", 0, 4, 3), ("image", "", 2, 4, 4)]


def test_what_is_none_of_these_is_named(axis):
    axis.fill_between([0, 1], [1, 2])
    axis.annotate("here", (0, 0), (1, 1), arrowprops={})
    ((kind, label, *_),) = rows(axis)
    assert kind == "note" and label.startswith("left out: ") and "PolyCollection" in label


def test_the_file(tmp_path):
    figure, (left, right) = plt.subplots(1, 2)
    left.set_title("Drop,\nless is better")
    left.plot([1 / 3], [np.nan], "o", label='a "name"')
    right.vlines([2], [0], [1])
    write_plotted(figure, tmp_path / "numbers.csv")
    plt.close(figure)
    with (tmp_path / "numbers.csv").open(newline="", encoding="utf-8") as file:
        header, *found = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert found == [["1 Drop, less is better", "points", 'a "name"', "0.333333333", "", ""], ["2", "line", "", "2", "0", ""],
                     ["2", "line", "", "2", "1", ""]]
