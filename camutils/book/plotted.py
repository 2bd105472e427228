"""The numbers that a figure shows, read from what matplotlib has drawn: one row for each point.

    write_plotted(figure, "02_contrast.csv")      axis,kind,label,x,y,value

    axis    place in the figure, from 1, and title; colour bars are left out
    kind    line, points    a line's vertices; marks without a line (scatter, plot)
            interval        the two ends of an error bar, one after the other
            bars            x, y: the middle of the bar's end; value: where it begins
            image           a cell of imshow or of a heat table, x, y: its middle; value: the number, or colour, that is drawn
                            there; label: what is written in it
            tick            a tick with a text of its own, so that rows at 0, 1, 2 have names
            note            what is left out: images larger than 64 x 64 and what is none of these
    x, y    in the axis' units; empty where something has none, as the y of a line from the bottom to the top (axvline)
Outlines, arrows and texts beside cells are no numbers.
"""

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.category import StrCategoryFormatter
from matplotlib.collections import LineCollection, PathCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FuncFormatter
from matplotlib.transforms import Transform

from ..whole import write_whole

COLUMNS = ("axis", "kind", "label", "x", "y", "value")
LARGEST = 64  # rows or columns of an image that is written out
Row = tuple[str, str, float | None, float | None, float | str | None]  # without the axis


def write_plotted(figure: Figure, path: Path | str) -> None:
    """Write the numbers of a figure as CSV. OSError where the file cannot be written."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for axis, kind, label, *numbers in plotted(figure):
        rows.writerow([axis, kind, label, *map(_written, numbers)])
    write_whole(Path(path), text.getvalue())


def plotted(figure: Figure) -> Iterator[tuple[str, str, str, float | None, float | None, float | str | None]]:
    """The rows of a figure, axis by axis: (axis, kind, label, x, y, value); None where there is nothing."""
    axes = [axis for axis in figure.axes if axis.get_label() != "<colorbar>"]
    for number, axis in enumerate(axes, 1):
        name = " ".join([str(number), *axis.get_title().split()])
        for part in (_ticks, _lines, _collections, _bars, _images):
            for row in part(axis):
                yield (name, *row)


def _written(number: float | str | None) -> str:
    """Nine digits; nothing for None and NaN."""
    if number is None or number != number:
        return ""
    return number if isinstance(number, str) else f"{float(number):.9g}"


def _label(artist: Artist | BarContainer | ErrorbarContainer) -> str:
    """The label that stands in a legend, or none: matplotlib's own begin with _."""
    label = str(artist.get_label())
    return "" if label.startswith("_") else label


def _array(values: Any) -> np.ndarray:
    """Numbers as they are, NaN where they are masked."""
    return np.ma.filled(np.ma.asarray(values).astype(float), np.nan)


def _points(axis: Axes, kind: str, label: str, transform: Transform, points: np.ndarray) -> Iterator[Row]:
    """Points as rows; a coordinate that is not in the axis' units is left empty."""
    on_x, on_y = transform.contains_branch_seperately(axis.transData)
    for x, y in points.tolist():
        yield kind, label, x if on_x else None, y if on_y else None, None


def _ticks(axis: Axes) -> Iterator[Row]:
    """Ticks whose texts were given, not counted out by matplotlib."""
    for along_x, own in ((True, axis.xaxis), (False, axis.yaxis)):
        formatter, places = own.get_major_formatter(), own.get_majorticklocs()
        if isinstance(formatter, FixedFormatter | FuncFormatter | StrCategoryFormatter):
            for place, text in zip(places, formatter.format_ticks(list(places)), strict=True):
                yield "tick", " ".join(str(text).split()), place if along_x else None, None if along_x else place, None


def _errorbars(axis: Axes) -> list[ErrorbarContainer]:
    return [c for c in axis.containers if isinstance(c, ErrorbarContainer)]


def _lines(axis: Axes) -> Iterator[Row]:
    """Lines, and points drawn by plot or errorbar; an error bar's caps are in its interval."""
    caps = [cap for error in _errorbars(axis) for cap in error.lines[1]]
    labels = {error.lines[0]: _label(error) for error in _errorbars(axis)}
    for line in axis.lines:
        if line not in caps:
            kind = "points" if line.get_linestyle() == "None" else "line"
            yield from _points(axis, kind, labels.get(line) or _label(line), line.get_transform(), _array(line.get_xydata()))


def _collections(axis: Axes) -> Iterator[Row]:
    """Scatter plots, error bars, other lines and heat tables; the rest is named."""
    intervals = {bars: _label(error) for error in _errorbars(axis) for bars in error.lines[2]}
    for drawn in axis.collections:
        if isinstance(drawn, PathCollection):
            yield from _points(axis, "points", _label(drawn), drawn.get_offset_transform(), _array(drawn.get_offsets()))
        elif isinstance(drawn, LineCollection):
            kind, label = ("interval", intervals[drawn]) if drawn in intervals else ("line", _label(drawn))
            for segment in drawn.get_segments():
                yield from _points(axis, kind, label, drawn.get_transform(), _array(segment))
        elif isinstance(drawn, QuadMesh):
            corners, values = _array(drawn.get_coordinates()), _array(drawn.get_array())
            middles = (corners[:-1, :-1] + corners[:-1, 1:] + corners[1:, :-1] + corners[1:, 1:]) / 4
            smooth = values.size == corners[..., 0].size  # shading="gouraud": a value at each corner
            yield from _cells(axis, _label(drawn), corners if smooth else middles, values)
        else:
            yield "note", f"left out: {type(drawn).__name__}", None, None, None


def _bars(axis: Axes) -> Iterator[Row]:
    """Each bar's end, and where it begins."""
    for bars in axis.containers:
        if isinstance(bars, BarContainer):
            for bar in bars.patches:
                (x, y), width, height, label = bar.get_xy(), bar.get_width(), bar.get_height(), _label(bar) or _label(bars)
                if bars.orientation == "horizontal":
                    yield "bars", label, x + width, y + height / 2, x
                else:
                    yield "bars", label, x + width / 2, y + height, y


def _images(axis: Axes) -> Iterator[Row]:
    """Images of imshow: numbers as they are, pictures in colours as #rrggbb."""
    for image in axis.images:
        values = _array(image.get_array())
        height, width = values.shape[:2]
        left, right, bottom, top = image.get_extent()
        first, last = (top, bottom) if image.origin == "upper" else (bottom, top)
        x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
        middles = np.stack(np.meshgrid(left + x * (right - left), first + y * (last - first)), -1)
        if values.ndim == 3 and max(height, width) <= LARGEST:
            values = np.array([[to_hex(pixel) for pixel in row] for row in image.to_rgba(np.ma.asarray(image.get_array()))])
        yield from _cells(axis, _label(image), middles, values)


def _cells(axis: Axes, label: str, middles: np.ndarray, values: np.ndarray) -> Iterator[Row]:
    """A row per cell: middles (h, w, 2), values (h, w); or a note where these are too many."""
    height, width = values.shape[:2]
    if max(height, width) > LARGEST:
        yield "note", f"left out: an image of {height} x {width}, more than {LARGEST} x {LARGEST}", None, None, None
        return
    texts = {(round(x, 6), round(y, 6)): text.get_text() for text in axis.texts for x, y in [text.get_position()]}
    for i, j in np.ndindex(height, width):
        x, y = middles[i, j].tolist()
        yield "image", texts.get((round(x, 6), round(y, 6)), label), x, y, values[i, j].item()
