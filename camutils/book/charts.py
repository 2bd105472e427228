"""How measured results are shown: paired differences as a forest, methods x metrics as a heat table, contrast as a curve.

    forest(verdicts(rows, methods, metrics))        a row per method, a column per metric: which differences are decided
    heat_table(rows, methods, metrics)              every mean, coloured by how far it is from Grad-CAM's, or by its rank
    difference_table(over_sets(sets, methods, ["pixel_ap"]))    a column per network: what is decided, and how large it is
    order_tables({"": {"A over B: energy": {"net": verdict}}})      which orders of two methods are decided, and for which of them
    search(searched(), {"grad_cam": "Grad-CAM"})    candidates of a search in two plots, the front and the winner marked
    draw_contrast(axis, contrast_curve(rows))       where Grad-CAM's powers lie, in a plot of gain over loss
    number_grids([{"A": A, "g": g}])                maps of a few cells with their numbers, for what is worked out by hand
    survival(shares, methods, controls)             how much of every map is left under every control
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from ..evaluation.orders import in_points
from ..evaluation.results import Row
from ..evaluation.tables import HIGHER_IS_BETTER, mean
from ..evaluation.verdicts import MOVES_WITH_CONTRAST, Verdict, worth_having
from ..evaluation.winner import MOST_UNSTEADY, Candidate
from ..extras import extra
from .figures import COLOURS, LABELS

HEADS = {  # metric -> head of its column; others are called as they are
    "pointing": "pointing\ngame", "energy": "energy\ngame", "drop": "Average\nDrop, %", "increase": "Increase\n%", "adcc": "ADCC",
    "pixel_ap": "pixel AP", "pixel_ap_ink": "pixel AP\nof the ink", "best_iou": "best IoU",
    "drop_15": "Drop at\n15 % area", "increase_15": "Increase at\n15 % area", "deletion_15": "deletion at\n15 % area",
    "drop_area": "Drop over\nareas, %", "increase_area": "Increase over\nareas, %", "deletion_area": "deletion\nover areas",
    "unsteady_grey": "unsteady,\n1 grey level", "unsteady_noise": "unsteady,\nnoise 0.02",
    "energy at equal drop": "energy at\nequal Drop", "energy at equal area": "energy at\nequal area",
}
MARK = "contrast\nmoves this"  # under the head, in italics, of a measure that a rescaling of the map moves
OTHER = "#555555"  # methods without a colour of their own
SPREAD = 5  # differences worth having at which the colours of a heat table end


def forest(found: Sequence[Verdict], labels: dict[str, str] | None = None, against: str = "Grad-CAM", title: str = "",
           size: float = 1.9) -> Figure:
    """Paired differences with their intervals (`verdicts`, `at_equals`): a row per method, a column per metric.

    Filled: decided; hollow: undecided; shaded: smaller than is worth having; a word where there is no verdict.
    labels: method -> name; against: name of what they are compared with; size: inches per column. Returns the figure.
    Raises ValueError for no verdicts.
    """
    if not found:
        raise ValueError("no verdicts given; accepted: those of `verdicts` or `at_equals`, at least one")
    methods, metrics = (list(dict.fromkeys(names)) for names in zip(*((v.method, v.metric) for v in found), strict=True))
    figure, axes = plt.subplots(1, len(metrics), sharey=True, squeeze=False, layout="constrained",
                                figsize=(1.8 + size * len(metrics), 1.9 + 0.36 * len(methods)))
    for axis, metric in zip(axes[0], metrics, strict=True):
        _column_of(axis, metric)
        for v in found:
            if v.metric == metric:
                _row_of(axis, v, methods.index(v.method))
        _about_zero(axis)
    axes[0, 0].set_yticks(range(len(methods)), [label(m, labels) for m in methods])
    axes[0, 0].set_ylim(len(methods) - 0.4, -0.6)
    figure.legend(handles=_keys(against), loc="outside lower center", ncols=4, frameon=False, columnspacing=1.2)
    figure.suptitle(title)
    return figure


def _column_of(axis: Axes, metric: str) -> None:
    """A column before its marks: zero line, the differences not worth having, its head, which side is better."""
    worth = worth_having(metric)
    if np.isfinite(worth):
        axis.axvspan(-worth, worth, color="0.9", lw=0, zorder=0)
    axis.axvline(0, color="0.3", lw=1, zorder=1)
    axis.set_title(head(metric, wide=True), style="italic" if metric in MOVES_WITH_CONTRAST else "normal")
    axis.set_xlabel("better →" if higher(metric) else "← better")
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", length=0)


def _row_of(axis: Axes, v: Verdict, y: int) -> None:
    """One difference with its interval, or the word why there is none."""
    if v.note:
        axis.annotate(v.note.partition(":")[0], (0.5, y), xycoords=("axes fraction", "data"), ha="center", va="center",
                      color="0.35", style="italic", fontsize=10)
        return
    shade = colour(v.method)
    rim = [withStroke(linewidth=3, foreground="0.35")]  # pale colours, too, are seen on white
    axis.plot([v.low, v.high], [y, y], color=shade, lw=2, solid_capstyle="butt", path_effects=rim, zorder=2)
    axis.plot(v.difference, y, "o", ms=8, mew=1.6, mec=shade, mfc=shade if v.decided else "white", path_effects=rim, zorder=3)


def _about_zero(axis: Axes) -> None:
    """Limits that show zero and the band of what is not worth having, with a margin; few ticks."""
    low, high = axis.dataLim.intervalx
    room = 0.08 * (high - low)
    axis.set_xlim(min(low, 0) - room, max(high, 0) + room)
    axis.locator_params(axis="x", nbins=3)


def _keys(against: str) -> list[Line2D | Patch]:
    """A legend of every mark of a forest."""
    decided = Line2D([], [], color=OTHER, marker="o", ms=8, mew=1.6, lw=2, label="decided")
    undecided = Line2D([], [], color=OTHER, marker="o", ms=8, mew=1.6, lw=2, mfc="white", label="undecided")
    return [decided, undecided, Patch(color="0.9", label="not worth having"),
            Line2D([], [], color="0.3", lw=1, label=f"as {against}")]


def heat_table(rows: list[Row], methods: Sequence[str], metrics: Sequence[str], against: str = "grad_cam", by: str = "difference",
               labels: dict[str, str] | None = None, title: str = "") -> Figure:
    """Means of methods x metrics, coloured by their distance to one method, or by their rank in each column.

    by="difference": better is blue, worse is red, in differences worth having (`verdicts.WORTH`), up to 5 of them;
    by="rank": 1 is best; means nearer than a hundredth of that share a rank. Arrows say which way is better.
    What was not measured is a dash.
    rows: of `tables.read_results`. Returns the figure. Raises ValueError for methods, metrics or `by` that are not there.
    """
    if by not in ("difference", "rank"):
        raise ValueError(f"by={by!r} given; accepted: difference, rank")
    means = np.array([[mean(rows, method, metric) for metric in metrics] for method in methods])
    worth = np.array([worth_having(metric) for metric in metrics])
    sign = np.array([1 if higher(metric) else -1 for metric in metrics])
    if by == "rank":
        steps = np.round(means / np.where(np.isfinite(worth), worth, 1), 2)
        shades = extra("scipy.stats").rankdata(-sign * steps, axis=0, nan_policy="omit")
        look = {"cmap": "cividis_r", "vmin": 1, "vmax": len(methods)}
        bar = {"label": "rank in the column (1: best)", "ticks": range(1, len(methods) + 1, max(1, len(methods) // 6))}
    else:
        shades = sign * (means - [mean(rows, against, metric) for metric in metrics]) / worth
        look = {"cmap": "vlag_r", "vmin": -SPREAD, "vmax": SPREAD}
        bar = {"label": f"worse ← {label(against, labels)} → better\n(1: a difference worth having)", "extend": "both"}
    figure, axis = plt.subplots(figsize=(3.4 + 1.0 * len(metrics), 1.6 + 0.36 * len(methods)), layout="constrained")
    axis.set_facecolor("0.85")
    extra("seaborn").heatmap(shades, ax=axis, mask=np.isnan(shades), linewidths=1, linecolor="white",
                             cbar_kws=bar | {"pad": 0.02}, **look)
    _write_numbers(axis, means, worth)
    axis.xaxis.tick_top()
    heads = [head(metric, " ↑" if higher(metric) else " ↓") for metric in metrics]
    axis.set_xticks(np.arange(len(metrics)) + 0.5, heads)
    for metric, text in zip(metrics, axis.get_xticklabels(), strict=True):
        text.set(style="italic" if metric in MOVES_WITH_CONTRAST else "normal")
    axis.set_yticks(np.arange(len(methods)) + 0.5, [label(m, labels) for m in methods], rotation=0)
    axis.tick_params(length=0)
    figure.suptitle(title)
    return figure


def difference_table(found: dict[str, Sequence[Verdict]], labels: dict[str, str] | None = None, against: str = "Grad-CAM",
                     title: str = "") -> Figure:
    """Paired differences (`over_sets`): a row per method, a column per network or data set; of several metrics a block for each.

    Better is blue, worse is red, in differences worth having; framed and bold: decided; a dash: not measured there, no power
    reaches it, or from too few images. Returns the figure. Raises ValueError for no verdicts.
    """
    metrics = list(dict.fromkeys(v.metric for own in found.values() for v in own))
    if not metrics:
        raise ValueError("no verdicts given; accepted: set -> those of `over_sets`, at least one")
    blocks = {k: {(v.method, name): v for name, own in found.items() for v in own if v.metric == k} for k in metrics}
    rows = {k: list(dict.fromkeys(method for method, _ in cells)) for k, cells in blocks.items()}
    one, counts = len(metrics) == 1, [len(own) for own in rows.values()]
    height = max(2.8, 1.6 + 0.36 * sum(counts)) + (0 if one else 0.4 * len(metrics))
    figure, axes = plt.subplots(len(metrics), 1, figsize=(3.4 + 1.0 * len(found), height), squeeze=False, layout="constrained",
                                height_ratios=counts)
    for axis, (metric, cells) in zip(axes[:, 0], blocks.items(), strict=True):
        _differences(axis, metric, cells, rows[metric], list(found), labels)
        if not one:
            axis.set_title(head(metric, wide=True).replace("\n", ", "), loc="left", fontweight="bold")
        if axis is not axes[0, 0]:
            axis.set_xticks([])
    bar = figure.colorbar(axes[0, 0].collections[0], ax=axes[:, 0], extend="both", pad=0.02)
    bar.set_label(f"worse ← {against} → better\n(1: worth having)")
    bar.outline.set_linewidth(0)
    figure.suptitle(title or head(metrics[0], wide=True))
    axes[-1, 0].set_xlabel("framed: decided", fontsize=10, loc="left")
    return figure


def _differences(axis: Axes, metric: str, cells: Mapping[tuple[str, str], Verdict], methods: Sequence[str], names: Sequence[str],
                 labels: dict[str, str] | None) -> None:
    """One metric's block of a difference table. cells: (method, name of the set) -> its verdict."""
    sign, worth = 1 if higher(metric) else -1, worth_having(metric)
    values = np.array([[cells[m, n].difference if (m, n) in cells else np.nan for n in names] for m in methods])
    axis.set_facecolor("0.85")
    extra("seaborn").heatmap(sign * values / worth, ax=axis, mask=np.isnan(values), linewidths=1, linecolor="white",
                             cmap="vlag_r", vmin=-SPREAD, vmax=SPREAD, cbar=False)
    _write_numbers(axis, values, np.full(len(names), worth), "+")
    for text, pair in zip(axis.texts, ((m, n) for m in methods for n in names), strict=True):
        v = cells.get(pair)
        if v and v.decided and not v.note:
            x, y = text.get_position()
            text.set_fontweight("bold")
            axis.add_patch(Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, fill=False, ec="black", lw=1.2))
    axis.xaxis.tick_top()
    axis.set_xticks(np.arange(len(names)) + 0.5, names)
    axis.set_yticks(np.arange(len(methods)) + 0.5, [label(m, labels) for m in methods], rotation=0)
    axis.tick_params(length=0)


def search(found: Sequence[Candidate], names: Mapping[str, str], title: str = "", base: str = "grad_cam") -> Figure:
    """The candidates of a search (`winner.choose`): average precision over Drop at 15 % area, and over unsteadiness (log axis).

    Filled: may win; hollow: may not; blue: on the front of those that may; a star: the winner; lines: the base's values.
    names: method -> what is written beside its mark, in the right plot. Returns the figure. Raises ValueError without the base.
    """
    own = next((c for c in found if c.method == base), None)
    if own is None:
        raise ValueError(f"candidates {', '.join(c.method for c in found) or 'none'} given; accepted: {base} among them")
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 4.8), sharey=True, layout="constrained")
    for axis, across in zip(axes, ("drop_15", "unsteady_ratio"), strict=True):
        axis.axhline(own.pixel_ap, color="0.7", lw=1, zorder=1)
        axis.axvline(getattr(own, across), color="0.7", lw=1, zorder=1)
        for c in found:
            shade = COLOURS["grad_cam"] if c.on_front else OTHER
            look: dict[str, Any] = {"marker": "*", "ms": 17} if c.wins else {"marker": "o", "ms": 7}
            axis.plot(getattr(c, across), c.pixel_ap, ls="", mec=shade, mfc=shade if c.may_win else "white", zorder=3, **look)
    for c in found:
        if c.method in names:
            side, shift = ("left", 9) if c.may_win else ("right", -9)  # of the mark, so that the text stays inside
            axes[1].annotate(names[c.method], (c.unsteady_ratio, c.pixel_ap), (shift, -2), textcoords="offset points", ha=side,
                             va="top", fontsize=10)
    axes[0].set(xlabel="← Drop at 15 % area, points", ylabel="pixel AP →")
    axes[1].set(xlabel=f"← times as unsteady as {label(base)}, on the worst network", xscale="log")
    axes[1].axvspan(MOST_UNSTEADY, 1.2 * max(c.unsteady_ratio for c in found), color="0.9", lw=0, zorder=0)
    axes[1].xaxis.set_major_formatter("{x:g}")
    axes[1].set_xticks([1, 2, 5, 10, 20, 40])
    axes[1].minorticks_off()
    figure.legend(handles=_search_keys(label(base)), loc="outside lower center", ncols=6, frameon=False, columnspacing=1.2)
    figure.suptitle(title)
    return figure


def order_tables(panels: Mapping[str, Mapping[str, Mapping[str, Verdict]]], across: int = 3, title: str = "") -> Figure:
    """Orders of two methods (`compare_orders`): in each panel a row per order, a column per network or data set.

    panels: title -> label of an order -> network or data set -> verdict; all panels have the same rows and columns in the same
    order. In points of a hundred, blue where it is as the row says, red where it is the other way round; framed and bold:
    decided; a dash: not measured there, or from too few images; in italics, where a panel has several metrics: contrast moves
    this one. Returns the figure. Raises ValueError for no orders.
    """
    if not any(own for panel in panels.values() for own in panel.values()):
        raise ValueError("no orders given; accepted: title -> label -> network or data set -> verdict, at least one")
    rows, names = (list(dict.fromkeys(keys)) for keys in (
        (row for panel in panels.values() for row in panel),
        (name for panel in panels.values() for own in panel.values() for name in own)))
    across = min(across, len(panels))
    down = -(-len(panels) // across)
    figure, axes = plt.subplots(down, across, sharex=True, sharey=True, squeeze=False, layout="constrained",
                                figsize=(3.6 + 0.62 * len(names) * across, 1.4 + down * (0.5 + 0.29 * len(rows))))
    for axis, (head_of, panel) in zip(axes.flat, panels.items(), strict=False):
        _orders(axis, panel, rows, names)
        axis.set_title(head_of)
    bar = figure.colorbar(axes[0, 0].collections[0], ax=axes, extend="both", pad=0.01, aspect=30)
    bar.set_label("the other way round ← points → as the row says")
    figure.suptitle(title)
    figure.supxlabel("framed: decided;  –: not measured", fontsize=9)
    return figure


def _orders(axis: Axes, panel: Mapping[str, Mapping[str, Verdict]], rows: list[str], names: list[str]) -> None:
    """One panel of `order_tables`."""
    cells = [[panel.get(row, {}).get(name) for name in names] for row in rows]
    values = np.array([[in_points(v)[0] if v else np.nan for v in line] for line in cells])
    axis.set_facecolor("0.85")
    extra("seaborn").heatmap(values, ax=axis, mask=np.isnan(values), linewidths=1, linecolor="white", cmap="vlag_r",
                             vmin=-10, vmax=10, cbar=False)
    _write_numbers(axis, values, np.full(len(names), 2.0), "+", size=8.5)
    for text, v in zip(axis.texts, (v for line in cells for v in line), strict=True):
        if v and v.decided and not v.note:
            x, y = text.get_position()
            text.set_fontweight("bold")
            axis.add_patch(Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, fill=False, ec="black", lw=1.1))
    axis.set_xticks(np.arange(len(names)) + 0.5, names, fontsize=9, rotation=0)
    axis.set_yticks(np.arange(len(rows)) + 0.5, rows, rotation=0)
    if len({v.metric for line in cells for v in line if v}) > 1:
        for tick, line in zip(axis.get_yticklabels(), cells, strict=True):
            tick.set_fontstyle("italic" if any(v and v.metric in MOVES_WITH_CONTRAST for v in line) else "normal")
    axis.tick_params(length=0)


def _search_keys(base: str) -> list[Line2D | Patch]:
    """A legend of every mark of `search`."""
    blue = COLOURS["grad_cam"]
    looks = {"may win": (OTHER, OTHER, "o", 7), "may not": (OTHER, "white", "o", 7), "on the front": (blue, blue, "o", 7),
             "winner": (blue, blue, "*", 14)}
    marks = [Line2D([], [], ls="", mec=edge, mfc=face, marker=mark, ms=size, label=text)
             for text, (edge, face, mark, size) in looks.items()]
    return [*marks, Line2D([], [], color="0.7", lw=1, label=f"as {base}"), Patch(color="0.9", label="too unsteady to win")]


def survival(shares: dict[str, np.ndarray], methods: Sequence[str], controls: Sequence[str], title: str = "") -> Figure:
    """How much of a map is left under a control, 0 to 1: a panel per network, a row per method, a column per control.

    shares: network -> (methods, controls, 2), the share and whether it is decidedly above 0 (framed); NaN: not measured, a dash.
    """
    figure, axes = plt.subplots(1, len(shares), sharey=True, squeeze=False, layout="constrained",
                                figsize=(2.2 + 0.72 * len(controls) * len(shares), 1.7 + 0.36 * len(methods)))
    for axis, (network, found) in zip(axes[0], shares.items(), strict=True):
        values, decided = found[..., 0], found[..., 1] > 0
        axis.set_facecolor("0.85")
        extra("seaborn").heatmap(values, ax=axis, mask=np.isnan(values), linewidths=1, linecolor="white", cmap="cividis",
                                 vmin=0, vmax=1, cbar=axis is axes[0, -1], cbar_kws={"label": "what is left of the likeness"})
        _write_numbers(axis, values, np.full(len(controls), 0.02), digits=2)
        for y, x in np.argwhere(decided & ~np.isnan(values)):
            axis.add_patch(Rectangle((x + 0.05, y + 0.07), 0.9, 0.86, fill=False, ec="white", lw=2.6))
            axis.add_patch(Rectangle((x + 0.05, y + 0.07), 0.9, 0.86, fill=False, ec="black", lw=1.2))
        axis.set_title(network)
        axis.set_xticks(np.arange(len(controls)) + 0.5, controls, fontsize=9)
        axis.tick_params(length=0)
    axes[0, 0].set_yticks(np.arange(len(methods)) + 0.5, methods, rotation=0)
    figure.suptitle(title)
    figure.supxlabel("framed: decidedly above the floor", fontsize=9)
    return figure


def _write_numbers(axis: Axes, means: np.ndarray, worth: np.ndarray, plus: str = "",
                   digits: int | None = None, size: float = 11) -> None:
    """The numbers into their cells, per cent as 12.3, shares as 0.123, unless `digits` says it; plus="+": with their sign.

    Black or white, whichever is read better (WCAG 2.1).
    """
    cells, luminance = axis.collections[0], extra("seaborn.utils").relative_luminance
    cells.update_scalarmappable()
    for (y, x), shade in zip(np.ndindex(means.shape), cells.get_facecolor(), strict=True):
        missing, places = np.isnan(means[y, x]), digits or (1 if worth[x] >= 1 else 3)
        ink = "white" if luminance(shade) < 0.179 and not missing else "black"
        text = "–" if missing else f"{means[y, x]:{plus}.{places}f}"
        axis.text(x + 0.5, y + 0.5, text, color=ink, ha="center", va="center", fontsize=size)


def draw_contrast(axis: Axes, curve: dict[float, tuple[float, float]], base: str = "grad_cam") -> None:
    """The powers of a method (`contrast_curve`) as a line in a plot of gain over loss, whole powers of two named.

    A method near this line has what a change of contrast alone would have given it.
    """
    line, shade = [curve[gamma] for gamma in sorted(curve)], colour(base)
    axis.plot(*zip(*line, strict=True), "-o", color=shade, lw=1.6, ms=3, zorder=1, label=f"{label(base)} to the power γ")
    for gamma, point in curve.items():
        if float(np.log2(gamma)).is_integer():
            name = f"{gamma:g}" if gamma >= 1 else f"1/{1 / gamma:g}"
            axis.annotate(f"γ = {name}" if gamma == 1 else name, point, (5, -3), textcoords="offset points", va="top",
                          color=shade, fontsize=10)
            axis.plot(*point, "o", color=shade, ms=6, zorder=1)


def number_grids(rows: Sequence[Mapping[str, Any]], digits: int = 3, size: float = 1.9) -> Figure:
    """Maps of a few cells, (h, w) each, with their numbers written in; each is shaded from its lowest to its highest number.

    rows: title -> map, one mapping per row of the figure; digits: decimals, less where they are zeros. Returns the figure.
    """
    figure, axes = plt.subplots(len(rows), max(len(row) for row in rows), squeeze=False, layout="constrained",
                                figsize=(size * max(len(row) for row in rows), size * len(rows) + 0.2))
    for axis in axes.flat:
        axis.axis("off")
    for line, row in zip(axes, rows, strict=True):
        for axis, (title, values) in zip(line, row.items(), strict=False):
            cells = np.asarray(values, float)
            h, w = cells.shape
            span = np.ptp(cells)
            shade = (cells - cells.min()) / span if span > 0 else np.zeros((h, w))
            axis.pcolormesh(shade[::-1], cmap="Blues", vmin=0, vmax=2, edgecolors="0.4", lw=1)  # pale: numbers are black
            axis.set(title=title, aspect="equal")
            for (i, j), value in np.ndenumerate(cells):
                text = f"{np.round(value, digits) + 0.0:.{digits}f}".replace("-", "−")
                axis.text(j + 0.5, h - i - 0.5, text.rstrip("0").rstrip(".") if digits else text, ha="center", va="center",
                          fontsize=11, color="black")
    return figure


def label(method: str, labels: dict[str, str] | None = None) -> str:
    """A method's name in charts: the caller's, that of every figure, or as the runner calls it; a power is "Grad-CAM, γ = 2"."""
    base, _, power = method.partition("^")
    names = LABELS | (labels or {})
    return names.get(method) or names.get(base, base) + (f", γ = {power}" if power else "")


def colour(method: str) -> str | tuple[float, float, float]:
    """A method's colour, whatever its options, scales or power: `grad_cam:layer=layer3^2` has Grad-CAM's."""
    return COLOURS.get(re.split(r"[:+^]", method)[0], OTHER)


def head(metric: str, arrow: str = "", wide: bool = False) -> str:
    """The head of a metric's column, marked where contrast moves it; wide: name and mark in one line each."""
    name, mark = HEADS.get(metric, metric.replace("_", "\n", 1)) + arrow, MARK
    if wide:
        name, mark = name.replace("\n", " "), mark.replace("\n", " ")
    return f"{name}\n{mark}" if metric in MOVES_WITH_CONTRAST else name


def higher(metric: str) -> bool:
    """Whether more of a metric is better; "energy at equal drop" is asked as energy is."""
    return metric.partition(" at equal ")[0] in HIGHER_IS_BETTER
