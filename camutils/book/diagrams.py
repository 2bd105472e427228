"""Diagrams of the lessons: a method in one picture, drawn by matplotlib alone and, wherever there are numbers, computed.

    figure = where_a_cam_comes_from()               network -> feature maps -> weighted sum -> map -> logit
    figure = stages_and_fusion()                    every stage's map, weighted and summed
    figure = path_and_corridor()                    the straight line and the adaptive path between two pictures of two pixels
    figure = course()                               which notebook builds on which
Black, grey and one accent, dark on white also without colour (`alpha` has the colours of its two methods). Lengths are inches,
letters at least 12 points.
"""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.patches import Circle, Polygon, Rectangle

from ..core.maps import upsample
from ..methods.parts.paths import guided_path
from ..methods.parts.scales import refine
from .figures import COLOURS

Line = tuple[tuple[float, float], ...]  # a stroke: its corners
ACCENT = to_hex(COLOURS["grad_cam"])
GREY = "0.4"  # what stands beside the main way
SIZE = 13  # of letters, in points
AS_PLACED = PlaceHolderLayoutEngine(True, True)  # "none" would be forgotten once the figure is saved
MAX_DIST = 0.2  # d, half the width of the corridor in `path_and_corridor`
MEMBERS = ((1, 4, 6), (2, 7), (3, 5, 8))  # channels of the three clusters in `clusters_masks_scissors`
SEVEN: Line = ((0.56, 0.90), (0.90, 0.90), (0.68, 0.52))  # strokes of the digits in `scene`; x and y from 0 to 1, y upwards
FOUR: tuple[Line, ...] = ((0.22, 0.46), (0.10, 0.24), (0.42, 0.24)), ((0.33, 0.38), (0.33, 0.06))


def where_a_cam_comes_from() -> Figure:
    """A map is the sum of the weighted feature maps; its mean plus the bias is the logit, whichever sum comes first."""
    A = np.array([[[0, 6, 6], [0, 0, 6], [0, 0, 0]], [[0, 0, 6], [0, 0, 3], [0, 0, 0]], [[0, 0, 0], [3, 0, 0], [3, 3, 0]]])
    w, b = np.array([1, 2, -1]), 1
    L, means = np.einsum("k,kij->ij", w, A), A.mean((1, 2))
    figure, axis = _canvas(11, 5.1, 0.35)
    _picture(axis, scene(), 0.2, 2.75, 1.4, "picture")
    _arrow(axis, (1.65, 3.45), (2.0, 3.45))
    _network(axis, 2.05, 3.45, 0.95, 1.5, "stages of\nconvolutions")
    for k, (x, y) in enumerate(((3.6, 4.15), (3.6, 2.8), (3.6, 1.45))):
        _arrow(axis, (3.05, 3.45), (3.5, y + 0.6))
        _cells(axis, A[k], x + 0.42, y, 1.2, "black", 9)
        _write(axis, x + 0.2, y + 0.6, f"$A_{k + 1}$")
        _write(axis, x + 2.25, y + 0.6, f"$\\times\\; w_{k + 1} = {w[k]:d}$".replace("-", "−"), color=ACCENT)
        _arrow(axis, (6.5, y + 0.6), (7.02, 3.4 + 0.13 * (1 - k)), ACCENT)
    _circle(axis, 7.25, 3.4, r"$\Sigma_k$")
    _arrow(axis, (7.52, 3.4), (7.85, 3.4), ACCENT)
    _cells(axis, L, 7.9, 2.65, 1.5, ACCENT, 20)
    _write(axis, 8.65, 4.45, "map of this class\n" + r"$\Sigma_k\, w_k A_{kij}$", color=ACCENT)
    _arrow(axis, (9.45, 3.4), (9.85, 3.4), ACCENT)
    _write(axis, 10.4, 3.4, f"mean {L.mean():.0f},\nplus $b = {b}$", color=ACCENT)
    _arrow(axis, (10.4, 3.0), (10.4, 1.05), ACCENT)
    _write(axis, 10.4, 0.75, f"logit\n$S = {L.mean() + b:.0f}$", weight="bold")
    _arrow(axis, (4.6, 1.4), (4.6, 1.0), GREY)
    _write(axis, 4.6, 0.7, "first the mean of each map\n" + ", ".join(f"{m:.0f}" for m in means), color=GREY)
    _arrow(axis, (5.95, 0.7), (6.35, 0.7), GREY)
    sums = " + ".join(f"{v} · {m:.0f}" for v, m in zip(w, means, strict=True)).replace("+ -", "− ")
    _write(axis, 7.65, 0.7, f"then times $w_k$, and the sum\n{sums} = {w @ means:.0f}", color=GREY)
    _arrow(axis, (8.95, 0.7), (9.85, 0.7), GREY)
    _write(axis, 9.4, 0.9, "$+\\; b$", color=GREY)
    _write(axis, 1.35, 0.7, "the network's\nown order:", color=GREY)
    _arrow(axis, (2.1, 0.7), (3.2, 0.7), GREY)
    return figure


def stages_and_fusion() -> Figure:
    """Integrative CAM: the map M_l of every stage, normalised, enlarged, weighted by lambda_l and summed."""
    figure, axis = _canvas(11, 6.1)
    M = [_blurred((SEVEN,), n, blur) for n, blur in ((12, 0.05), (6, 0.09), (3, 0.2))]
    lam, up = (0.2, 0.3, 0.5), [_enlarge(_minmax(m), 48) for m in M]
    L = _minmax(sum((v * m for v, m in zip(lam, up, strict=True)), np.zeros((48, 48))))
    _picture(axis, scene(), 0.5, 4.55, 1.2, "picture")
    _arrow(axis, (1.75, 5.15), (2.3, 5.15))
    for i, x in enumerate((3.1, 5.1, 7.1)):
        height = 1.1 - 0.2 * i
        axis.add_patch(Rectangle((x - 0.7, 5.15 - height / 2), 1.4, height, fc="0.92", ec="black", lw=1.2))
        _write(axis, x, 5.15, f"stage {i + 1}\n$A^{i + 1},\\, g^{i + 1}$")
        _arrow(axis, (x + 0.75, 5.27), (x + 1.25, 5.27))
        _arrow(axis, (x + 1.25, 5.03), (x + 0.75, 5.03), GREY)
        _arrow(axis, (x, 5.1 - height / 2), (x, 4.28), ACCENT)
        _cells(axis, M[i], x - 0.6, 3.05, 1.2, "black", M[i].max(), numbers=False)
        _write(axis, x + 0.85, 3.65, f"$M_{i + 1}$")
        _arrow(axis, (x, 3.0), (x, 2.42), ACCENT)
        _picture(axis, up[i], x - 0.6, 1.2, 1.2, cmap=_tint("black"))
        _write(axis, x, 0.9, f"$\\times\\; \\lambda_{i + 1} = {lam[i]}$", color=ACCENT)
        axis.plot((x, x), (0.7, 0.4), color=ACCENT, lw=1.8)
    axis.plot((3.1, 8.5), (0.4, 0.4), color=ACCENT, lw=1.8)
    _write(axis, 8.75, 5.15, "score\n$S$")
    _write(axis, 9.3, 5.3, "forward: $A^l$", ha="left")
    _write(axis, 9.3, 5.0, "backward: $g^l$", ha="left", color=GREY)
    _write(axis, 0.15, 3.65, "one map for each,\non its own grid:\n" + r"$\mathrm{ReLU}(\Sigma_k w_k A_k + b_l)$", ha="left")
    _write(axis, 0.15, 1.8, "normalised and\nenlarged to the\npicture: $\\mathrm{Up}\\, N(M_l)$", ha="left")
    _write(axis, 0.15, 0.4, "weights, sum 1", ha="left", color=ACCENT)
    _circle(axis, 8.75, 0.4, r"$\Sigma_l$")
    axis.plot((9.03, 9.85), (0.4, 0.4), color=ACCENT, lw=1.8)
    _arrow(axis, (9.85, 0.39), (9.85, 1.15), ACCENT)
    _write(axis, 10.15, 0.7, "$N$", color=ACCENT)
    _picture(axis, L, 9.0, 1.2, 1.7, cmap=_tint(ACCENT))
    _write(axis, 9.85, 3.3, "one map of all stages\n" + r"$L = N(\Sigma_l \lambda_l\, \mathrm{Up}\, N(M_l))$", color=ACCENT)
    return figure


def path_and_corridor() -> Figure:
    """GIG-CAM: the straight line and an adaptive path in its corridor, for pictures of two pixels."""
    d, T = MAX_DIST, 8
    straight, path = two_pixel_path(0, T), two_pixel_path(d, T)
    figure = plt.figure(figsize=(10.5, 5.4), layout=AS_PLACED)
    axis, strip = figure.add_axes((0.08, 0.11, 0.5, 0.87)), figure.add_axes((0.6, 0.02, 0.4, 0.96))
    axis.add_patch(Polygon([(0, 0), (2 * d, 0), (1, 1 - 2 * d), (1, 1), (1 - 2 * d, 1), (0, 2 * d)], fc="0.9", ec="0.55", lw=1))
    axis.plot((0, 1), (1, 0), ":", color=GREY, lw=1.8)
    axis.plot(*straight.T, "--o", color="black", mfc="white", ms=8, lw=1.5)
    axis.plot(*path.T, "-o", color=ACCENT, ms=8, lw=3)
    _write(axis, -0.02, -0.065, "black, $x'$", ha="left")
    _write(axis, 1.02, 1.065, "the picture, $x$", ha="right")
    _write(axis, 0.0, 1.065, "step $t = 4$", ha="left", color=GREY)
    _write(axis, 0.2, 0.43, "corridor, ± $d$", rotation=45, color="0.25")
    axis.set(xlim=(-0.04, 1.06), ylim=(-0.11, 1.12), aspect="equal")
    axis.set_xlabel("progress $p_1$ of pixel 1", fontsize=SIZE)
    axis.set_ylabel("progress $p_2$ of pixel 2", fontsize=SIZE)
    axis.set_xticks((0, 0.5, 1), ("0", "1/2", "1"), fontsize=12)
    axis.set_yticks((0, 0.5, 1), ("0", "1/2", "1"), fontsize=12)
    strip.set(xlim=(0, 4.2), ylim=(0, 5.184))
    strip.axis("off")
    for x, title, points, colour in ((0.75, "straight line", straight, "black"), (2.55, "adaptive path", path, ACCENT)):
        _write(strip, x + 0.65, 4.85, title, color=colour, weight="bold")
        for t, pair in enumerate(points):
            for i, value in enumerate(pair):
                strip.add_patch(Rectangle((x + 0.67 * i, 4.1 - 0.49 * t), 0.62, 0.36, fc=str(value), ec="black", lw=1))
    for t in range(T + 1):
        _write(strip, 0.4, 4.28 - 0.49 * t, f"$x_{t}$")
    return figure


def two_pixel_path(max_dist: float, steps: int) -> np.ndarray:
    """Progress of both pixels at every step, (steps + 1, 2), of the path that `guided_path` walks on M = (0.2, 0.7) - x."""
    x, c = torch.ones(1, 1, 1, 2, dtype=torch.float64), torch.tensor([0.2, 0.7], dtype=torch.float64)
    walk = guided_path(lambda z: (c - z)[:, 0], x, steps=steps, fraction=0.5, max_dist=max_dist)
    return np.array([step.p.flatten().tolist() for step in walk] + [[1.0, 1.0]])


def pyramid() -> Figure:
    """+M: a map of every enlarged copy of the picture; what it tells beyond its own means refines the map of the small one."""
    maps = ((s, torch.tensor(_blurred((SEVEN,), n, blur))[None]) for s, n, blur in ((1, 6, 0.12), (1.5, 9, 0.08), (2, 12, 0.05)))
    found = list(refine(maps, (48, 48)))
    figure, axis = _canvas(11, 6.9)
    for i, (level, x) in enumerate(zip(found, (2.75, 4.9, 7.05), strict=True)):
        side = 0.7 * level.scale
        _picture(axis, scene(), x - side / 2, 5.1, side)
        _write(axis, x, 6.72, f"$s = {level.scale:g}$")
        _arrow(axis, (x, 5.05), (x, 4.68))
        side = 0.62 * level.scale
        A = level.A[0].numpy()
        _cells(axis, A, x - side / 2, 3.4, side, "black", A.max(), numbers=False)
        if i:
            _arrow(axis, (x, 3.35), (x, 2.98))
            _picture(axis, level.Q[0].numpy(), x - 0.5, 1.95, 1.0, cmap=_tint("black"))
            _arrow(axis, (x, 1.9), (x, 1.53))
            _arrow(axis, (x - 1.6, 0.95), (x - 0.6, 0.95), ACCENT)
            _write(axis, x - 1.07, 1.15, r"$\times\; Q$", color=ACCENT)
        else:
            _arrow(axis, (x, 3.35), (x, 1.53))
            _write(axis, x + 0.3, 2.45, r"$\mathrm{Up}$")
        _picture(axis, level.F[0].numpy(), x - 0.5, 0.45, 1.0, cmap=_tint(ACCENT), most=found[0].F.max().item())
        axis.plot((x, x), (0.4, 0.15), color=ACCENT, lw=1.8)
    axis.plot((2.75, 9.65), (0.15, 0.15), color=ACCENT, lw=1.8)
    _arrow(axis, (9.65, 0.14), (9.65, 1.0), ACCENT)
    _circle(axis, 9.65, 1.3, "+")
    _arrow(axis, (9.65, 1.6), (9.65, 2.0), ACCENT)
    R = found[-1].R[0].numpy()
    _picture(axis, R, 8.85, 2.05, 1.6, cmap=_tint(ACCENT), most=R.max())
    _write(axis, 9.65, 4.1, "the sum of all $F$\n$R \\leftarrow R + F$", color=ACCENT)
    _write(axis, 0.1, 5.8, "copies of\nthe picture", ha="left")
    _write(axis, 0.1, 4.0, "a map of each,\n$A = L(s)$", ha="left")
    _write(axis, 0.1, 2.45, "beside its own means\nover 2 × 2 cells, $P$:\n$Q = \\min(A / P, 1)$", ha="left")
    _write(axis, 0.1, 0.95, "refined map $F$", ha="left", color=ACCENT)
    return figure


def clusters_masks_scissors() -> Figure:
    """Cluster-CAM: channels, their clusters, the mean map and mask of each, scores; the best mask less the worst."""
    scores, A, x = (7.3, 0.1, -0.3), channels(), scene(48)
    C = [np.mean([A[k] for k in own], 0) for own in MEMBERS]
    m = [_minmax(_enlarge(c, 48)) for c in C]
    L = np.maximum(m[0] - m[2], 0)
    figure, axis = _canvas(11, 5.65, -0.1)
    for k in A:
        left, low = 0.15 + 0.95 * ((k - 1) % 2), 3.75 - 1.15 * ((k - 1) // 2)
        _cells(axis, A[k], left, low, 0.75, "black", 1, numbers=False)
        _write(axis, left + 0.38, low - 0.18, f"$A_{k}$")
    for left, head in ((1.0, "channels"), (3.55, "clusters, their\nmean maps $C_n$"), (5.75, "what a mask $m_n$\nlets through"),
                       (7.4, "score $s_n$\nof the 7"), (8.75, "best and\nworst mask"), (10.25, "base less\nscissors")):
        _write(axis, left, 5.2, head, color=ACCENT if left > 8 else "black")
    _write(axis, 2.3, 4.1, "k-means", color=GREY)
    for n, low in enumerate((3.45, 1.9, 0.35)):
        _arrow(axis, (1.95, 2.45), (2.9, low + 0.6), GREY)
        _cells(axis, C[n], 3.0, low + 0.1, 1.1, "black", 1, numbers=False)
        _write(axis, 3.55, low - 0.1, ", ".join(f"$A_{k}$" for k in MEMBERS[n]))
        _arrow(axis, (4.2, low + 0.65), (5.1, low + 0.65))
        _picture(axis, m[n] * x, 5.2, low + 0.1, 1.1)
        _write(axis, 5.75, low - 0.1, rf"$x \odot m_{n}$")
        _arrow(axis, (6.4, low + 0.65), (6.8, low + 0.65))
        _write(axis, 7.4, low + 0.65, f"$s_{n}$ = {scores[n]:+.1f}".replace("-", "−"), weight="bold" if n != 1 else "normal")
    for n, low, name in ((0, 3.45, "base"), (2, 0.35, "scissors")):
        _arrow(axis, (7.93, low + 0.65), (8.17, low + 0.65), ACCENT)
        _picture(axis, m[n], 8.2, low + 0.1, 1.1, cmap=_tint("black"))
        _write(axis, 8.75, low - 0.1, rf"$m_\mathrm{{{name}}}$")
    _arrow(axis, (8.75, 3.15), (8.75, 2.83), ACCENT)
    _arrow(axis, (8.75, 1.6), (8.75, 2.27), ACCENT)
    _circle(axis, 8.75, 2.55, "−")
    _arrow(axis, (9.02, 2.55), (9.5, 2.55), ACCENT)
    _picture(axis, L, 9.55, 1.85, 1.4, cmap=_tint(ACCENT))
    _write(axis, 10.25, 1.45, "$L = \\mathrm{ReLU}(m_\\mathrm{base}$\n$-\\, m_\\mathrm{scissors})$", color=ACCENT)
    return figure


def channels() -> dict[int, np.ndarray]:
    """Eight feature maps of `scene`, (6, 6): 1, 4, 6 see the 7 and a little of the 4; 2, 7 the background; 3, 5, 8 the 4."""
    seven, four = (_minmax(_blurred(strokes, 6, 0.1)) for strokes in ((SEVEN,), FOUR))
    A, seeing = {}, {1: (0.9, 0.35), 4: (0.7, 0.5), 6: (1.0, 0.4), 2: (0, 0), 7: (0, 0), 3: (0, 0.9), 5: (0.1, 0.7), 8: (0, 1.0)}
    for k, (a, b) in seeing.items():
        A[k] = a * seven + b * four
    A[2][:3, :3] = A[7][:2, :3] = 0.6
    A[2][4:, 4:] = A[7][3:, 4:] = 0.4
    return dict(sorted(A.items()))


def alpha() -> Figure:
    """From gradients to the weight of a channel: Grad-CAM counts all alike, Grad-CAM++ counts the strong ones less."""
    A, g = np.array([[0, 1, 2], [0, 3, 1], [0, 0, 0]]), np.array([[0, 1, 2], [0, 4, 2], [0, 0, 0]])
    a = np.where(g > 0, 1 / (2 + A.sum() * g), 0)
    figure, axis = _canvas(10.9, 5.2)
    _cells(axis, g, 0.4, 1.9, 1.8, "black", 9)
    _write(axis, 1.3, 4.05, "gradients of\nchannel 1, $g_{1ij}$")
    _write(axis, 1.3, 1.15, "$\\Sigma A_1 = 7$\n$\\alpha_{1ij} = 1/(2 + \\Sigma A_1 \\cdot g_{1ij})$,\n0 where $g_{1ij} = 0$")
    rows = (("grad_cam", "Grad-CAM: all alike", r"$g_{1ij}\, /\, Z$", np.full((3, 3), 1 / 9), 2.85),
            ("grad_cam_pp", r"Grad-CAM++: $\alpha_{1ij}$", r"$\alpha_{1ij}\, \mathrm{ReLU}(g_{1ij})$", a, 0.2))
    for method, title, product, weight, low in rows:
        colour, middle, share = to_hex(COLOURS[method]), low + 0.9, weight * g
        _arrow(axis, (2.3, 2.8), (3.1, middle), colour)
        _write(axis, 3.0, middle + np.sign(middle - 2.8) * 0.4, "×")
        _write(axis, 4.1, low + 2.02, title)
        _cells(axis, weight, 3.2, low, 1.8, colour, 0.4, [f"1/{1 / v:.0f}" if v else "0" for v in weight.flat])
        _write(axis, 5.4, middle, "=")
        _write(axis, 6.7, low + 2.02, product)
        _cells(axis, share, 5.8, low, 1.8, colour, 0.5, [f"{v:.3f}" if v else "0" for v in share.flat])
        _arrow(axis, (7.7, middle), (8.2, middle), colour)
        _circle(axis, 8.5, middle, r"$\Sigma_{ij}$", colour)
        _arrow(axis, (8.77, middle), (9.2, middle), colour)
        _write(axis, 9.95, middle, f"$w_1 = {share.sum():.3f}$")
    return figure


def what_a_hook_records() -> Figure:
    """A hook keeps what a layer puts out on the way forward; the gradient arrives there on the way back; both leave no trace."""
    figure, axis = _canvas(10.8, 4.8)
    A = np.array([[0, 1, 2], [0, 3, 1], [0, 0, 0]])
    _picture(axis, scene(), 0.2, 1.9, 1.0, "picture")
    for x, width, text in ((1.7, 1.4, "stages\nbefore"), (3.6, 1.4, "the layer"), (6.7, 1.4, "what comes\nafter")):
        colour = ACCENT if text == "the layer" else "black"
        axis.add_patch(Rectangle((x, 1.85), width, 1.1, fc="0.92", ec=colour, lw=3 if colour == ACCENT else 1.2))
        _write(axis, x + width / 2, 2.4, text)
    _write(axis, 9.2, 2.4, "score\n$S$")
    for start, end in ((1.25, 1.65), (3.15, 3.55), (5.05, 6.65), (8.15, 8.8)):
        _arrow(axis, (start, 2.58), (end, 2.58))
    for start, end in ((8.8, 8.15), (6.65, 5.9)):
        _arrow(axis, (start, 2.22), (end, 2.22), GREY)
    _cells(axis, A, 5.3, 3.7, 0.95, "black", 5, numbers=False)
    _arrow(axis, (5.77, 2.6), (5.77, 3.65), ACCENT)
    _write(axis, 5.1, 4.17, "$A$", fontsize=SIZE + 1)
    _write(axis, 6.45, 4.17, "a forward hook keeps\nwhat the layer puts out", ha="left", color=ACCENT)
    _cells(axis, np.array([[0, 1, 2], [0, 4, 2], [0, 0, 0]]), 5.3, 0.2, 0.95, "black", 6, numbers=False)
    _arrow(axis, (5.77, 2.22), (5.77, 1.2), ACCENT)
    axis.plot((5.9, 5.77), (2.22, 2.22), color=GREY, lw=1.8)
    _write(axis, 5.1, 0.67, "$g$", fontsize=SIZE + 1)
    _write(axis, 6.45, 0.67, "gradient of $S$ at the same layer:\n" + r"$g = \partial S\, /\, \partial A$, as large as $A$",
           ha="left", color=ACCENT)
    _write(axis, 2.4, 3.6, "forward pass", ha="center")
    _arrow(axis, (1.7, 3.35), (3.1, 3.35))
    _write(axis, 7.4, 1.6, "backward pass", color=GREY)
    _arrow(axis, (8.1, 1.38), (6.7, 1.38), GREY)
    _write(axis, 2.6, 0.67, "The way back ends at the layer.\nThen the hook is taken off,\nand the network is as it was.")
    return figure


def two_ways() -> Figure:
    """A fork of two branches: the map behind it accounts for the whole score, the map of one branch for what went that way."""
    A, w = np.array([[[2, 0], [0, 0]], [[0, 0], [0, 4]]]), np.array([2, 1])
    L = np.einsum("k,kij->ij", w, A)
    figure, axis = _canvas(10.8, 4.3, 0.3)
    _picture(axis, scene(), 0.2, 1.75, 1.1, "picture")
    _arrow(axis, (1.35, 2.3), (1.75, 2.3))
    _box(axis, 1.8, 1.9, 1.15, "layers\nbefore", ACCENT)
    for k, (name, y) in enumerate((("near", 3.25), ("far", 0.95))):
        _arrow(axis, (3.0, 2.3), (3.4, y + 0.4), GREY)
        _box(axis, 3.45, y, 1.0, name, GREY)
        _arrow(axis, (4.5, y + 0.4), (4.9, y + 0.4), GREY)
        _cells(axis, A[k], 4.95, y - 0.05, 0.9, "black", 9)
        _write(axis, 6.35, y + 0.4, f"$\\times\\; w_{k + 1} = {w[k]:d}$")
        _write(axis, 5.0, y + 1.1 if k == 0 else y - 0.3, f"mean of the weighted map: {(w[k] * A[k]).mean():g}")
        _arrow(axis, (6.95, y + 0.4), (7.35, 2.5 - 0.4 * k), GREY)
    _circle(axis, 7.6, 2.3, r"$\Sigma$")
    _arrow(axis, (7.9, 2.3), (8.25, 2.3), ACCENT)
    _cells(axis, L, 8.3, 1.85, 0.9, ACCENT, 9)
    _write(axis, 8.75, 3.05, "map of the fork", color=ACCENT)
    _arrow(axis, (9.25, 2.3), (9.6, 2.3), ACCENT)
    _write(axis, 10.15, 2.3, f"mean\n$S = {L.mean():g}$")
    _write(axis, 8.75, 1.5, "every path\nhas come\nhere", color=ACCENT, va="top")
    return figure


def contrast() -> Figure:
    """A map and its second and fourth power: the order of the cells stays, the share inside the box rises."""
    L, box = np.array([0.3, 0.2, 0.45, 0.7, 1.0, 0.8, 0.6, 0.4, 0.5]), slice(3, 6)
    order = len(L) - L.argsort().argsort()
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.5), sharey=True)
    for axis, power in zip(axes, (1, 2, 4), strict=True):
        heights = L**power
        axis.axvspan(box.start - 0.5, box.stop - 0.5, color="0.88", lw=0)
        bars = axis.bar(range(len(L)), heights, width=0.8, color="0.55")
        for bar in bars[box]:
            bar.set_color(ACCENT)
        for cell, (height, place) in enumerate(zip(heights, order, strict=True)):
            _write(axis, cell, height + 0.06, str(place), fontsize=12)
        name = "L" if power == 1 else f"L^{power}"
        axis.set_title(f"${name}$: energy {heights[box].sum() / heights.sum():.2f}", fontsize=SIZE + 1)
        axis.set_xlabel("cells of the map; grey: the box", fontsize=SIZE)
        axis.set(xticks=[], yticks=(0, 0.5, 1), ylim=(0, 1.14))
        axis.tick_params(labelsize=12)
    axes[0].set_ylabel("value", fontsize=SIZE)
    return figure


def course() -> Figure:
    """The map of the course: which notebook builds on which; lessons are grey boxes, reports of what was measured dashed ones."""
    figure, axis = _canvas(11.4, 5.9)
    heights, rows = (4.95, 3.6, 2.25, 0.9), (4.65, 2.85, 1.05)
    first = ("00\nfirst map", "01\nfamily", "02\nmeasuring", "03\ndeciding")
    papers = {"Integrative CAM": ("10\nall stages", "11\nbias", "12\nα", "13\nfusion", "19\nmeasured"),
              "GIG-CAM+M": ("20\na path", "21\nwhich?", "22\nscales", "29\nmeasured"),
              "Cluster-CAM": ("30\nclusters", "31\nhow many?", "32\nmerging", "39\nmeasured")}
    last = ("40\nwhich one?", "42\ntrust", "50\ncost", "60\nyour own")
    for lower, (y, text) in zip((*heights[1:], None), zip(heights, first, strict=True), strict=True):
        _notebook(axis, 0.85, y, text)
        if lower is not None:
            _arrow(axis, (0.85, y - 0.4), (0.85, lower + 0.4))
    for y, (paper, notebooks) in zip(rows, papers.items(), strict=True):
        _write(axis, 2.3, y + 0.68, paper, ha="left", weight="bold")
        _arrow(axis, (1.75, y), (2.25, y))
        for i, text in enumerate(notebooks):
            _notebook(axis, 2.85 + 1.25 * i, y, text, report=text[1] == "9")
        axis.plot((2.25 + 1.25 * len(notebooks), 8.7), (y, y), color="black", lw=1.8)
    for x, inner in ((1.75, 1.45), (8.7, 8.95)):  # all of one part, before any of the next
        axis.plot((x, x), (heights[-1], heights[0]), color="black", lw=1.8)
        for y in (heights[0], heights[-1]) if x < 2 else ():
            axis.plot((inner, x), (y, y), color="black", lw=1.8)
    for y, text in zip(heights, last, strict=True):
        _arrow(axis, (8.7, y), (8.95, y))
        _notebook(axis, 9.55, y, text)
    for y, text in zip(heights, ("41\npublished", "43\ncombined"), strict=False):
        _notebook(axis, 10.75, y, text, report=True)
    return figure


def _notebook(axis: Axes, x: float, y: float, text: str, report: bool = False) -> None:
    """A box about (x, y) with a notebook's number and what it is about."""
    axis.add_patch(Rectangle((x - 0.56, y - 0.38), 1.12, 0.76, fc="white" if report else "0.9", ec="black", lw=1.2,
                             ls="--" if report else "-"))
    _write(axis, x, y, text, fontsize=12)


def scene(n: int = 96) -> np.ndarray:
    """A picture (n, n) in [0, 1] for diagrams: a white 7 above on the right, a white 4 below on the left, on grey."""
    distance = np.minimum(_distance(SEVEN, n), np.minimum(*(_distance(stroke, n) for stroke in FOUR)))
    return np.clip(0.45 + 0.55 * (0.045 - distance) * n, 0.45, 1)


def _distance(points: Line, n: int) -> np.ndarray:
    """Distance of every one of n x n pixels from a line of several pieces."""
    z = np.array([[complex((j + 0.5) / n, 1 - (i + 0.5) / n) for j in range(n)] for i in range(n)])
    ends = [complex(*point) for point in points]
    found = []
    for a, b in zip(ends, ends[1:], strict=False):
        along = np.clip(((z - a) * np.conj(b - a)).real / abs(b - a) ** 2, 0, 1)
        found.append(abs(z - a - along * (b - a)))
    return np.min(found, 0)


def _blurred(strokes: tuple[Line, ...], n: int, blur: float) -> np.ndarray:
    """A map (n, n) of strokes in `scene`, `blur` as a share of the picture's side; means over its cells, 0 far away."""
    distance = np.min([_distance(stroke, 12 * n) for stroke in strokes], 0)
    fine = np.exp(-((distance / blur) ** 2)).reshape(n, 12, n, 12).mean((1, 3))
    return np.where(fine > 0.05 * fine.max(), fine, 0)


def _minmax(values: np.ndarray) -> np.ndarray:
    """N: the smallest value to 0, the largest to 1."""
    return (values - values.min()) / (values.max() - values.min())


def _enlarge(values: np.ndarray, n: int) -> np.ndarray:
    """Up: bilinear to n x n."""
    return upsample(torch.tensor(values)[None], (n, n))[0].numpy()


def _canvas(width: float, height: float, bottom: float = 0) -> tuple[Figure, Axes]:
    """A blank figure whose one axes fills it and is measured in inches; its lowest line is at `bottom`."""
    figure = plt.figure(figsize=(width, height), layout=AS_PLACED)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, width), ylim=(bottom, bottom + height))
    axis.axis("off")
    return figure, axis


def _write(axis: Axes, x: float, y: float, text: str, **look: Any) -> None:
    """Centred text, 13 points unless told."""
    centred: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SIZE, "linespacing": 1.35}
    axis.text(x, y, text, **centred | look)


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = "black", lw: float = 1.8) -> None:
    """An arrow from start to end."""
    axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>,head_width=0.28,head_length=0.5", "color": colour, "lw": lw,
                                              "shrinkA": 0, "shrinkB": 0})


def _box(axis: Axes, x: float, y: float, width: float, text: str, colour: str) -> None:
    """A layer as a box 0.8 high whose lower left corner is (x, y)."""
    axis.add_patch(Rectangle((x, y), width, 0.8, fc="0.92", ec=colour, lw=2))
    _write(axis, x + width / 2, y + 0.4, text)


def _circle(axis: Axes, x: float, y: float, text: str, colour: str = ACCENT) -> None:
    """An operation in a circle."""
    axis.add_patch(Circle((x, y), 0.27, fc="white", ec=colour, lw=1.8))
    _write(axis, x, y, text)


def _network(axis: Axes, x: float, y: float, width: float, height: float, text: str) -> None:
    """A network that narrows from left to right, named below; x its left side, y its middle."""
    for i in range(3):
        left, tall = x + i * width / 3, height * (1 - 0.25 * i)
        axis.add_patch(Rectangle((left, y - tall / 2), width / 3 - 0.06, tall, fc="0.85", ec="black", lw=1.2))
    _write(axis, x + width / 2, y - height / 2 - 0.35, text)


def _tint(colour: str) -> LinearSegmentedColormap:
    """White to a colour."""
    return LinearSegmentedColormap.from_list(colour, ["white", colour])


def _cells(axis: Axes, values: np.ndarray, x: float, y: float, side: float, colour: str, most: float,
           numbers: bool | list[str] = True) -> None:
    """A map as a grid of cells, white at 0 and below, full colour at `most`; with its numbers, with other words, or without."""
    n = len(values)
    edges = np.linspace(0, side, n + 1)
    axis.pcolormesh(x + edges, y + edges, values[::-1], cmap=_tint(colour), vmin=0, vmax=most, edgecolors="0.55", lw=0.6)
    axis.add_patch(Rectangle((x, y), side, side, fill=False, ec="black", lw=1.2))
    words = numbers if isinstance(numbers, list) else [f"{value:g}".replace("-", "−") for value in values.flat] if numbers else []
    for word, value, (i, j) in zip(words, values.flat, np.ndindex(n, n), strict=False):
        middle = x + (j + 0.5) * side / n, y + side - (i + 0.5) * side / n
        _write(axis, *middle, word, va="center_baseline", fontsize=12, color="white" if value > 0.5 * most else "black")


def _picture(axis: Axes, pixels: np.ndarray, x: float, y: float, side: float, text: str = "", cmap: Any = "gray",
             most: float = 1) -> None:
    """A picture or a smooth map with a frame, named below."""
    axis.imshow(pixels, cmap=cmap, vmin=0, vmax=most, extent=(x, x + side, y, y + side), interpolation="nearest", aspect="auto")
    axis.add_patch(Rectangle((x, y), side, side, fill=False, ec="black", lw=1.2))
    if text:
        _write(axis, x + side / 2, y - 0.22, text)
