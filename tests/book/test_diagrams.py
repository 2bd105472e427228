"""The diagrams: every text is legible and on its own place, every symbol of the lesson is there, and the numbers are true."""

import re
import warnings
from io import BytesIO
from itertools import combinations

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.text import Text
from torch import nn

import camutils as cam
from camutils.book import diagrams

NAMES = {  # diagram -> what it has to name
    diagrams.where_a_cam_comes_from: ("A_1", "A_2", "A_3", "w_1", "w_2", "w_3", r"\Sigma_k", "A_{kij}", "b = ", "S = ", "mean",
                                      "logit"),
    diagrams.what_a_hook_records: ("A", "g", "S", r"\partial S", "forward", "backward", "hook"),
    diagrams.alpha: ("g_{1ij}", "Z", r"\alpha_{1ij}", r"\Sigma A_1", "ReLU", "w_1", "Grad-CAM", "Grad-CAM++"),
    diagrams.stages_and_fusion: ("A^1", "g^3", "M_1", "M_2", "M_3", r"\lambda_1", r"\lambda_3", r"\mathrm{Up}", "N(M_l)", "b_l",
                                 "L = "),
    diagrams.path_and_corridor: ("x'", "x", "p_1", "p_2", "d", "t = 4", "corridor", "x_0", "x_8"),
    diagrams.pyramid: ("s = 1", "s = 1.5", "L(s)", "A / P", "Q", "F", "R", r"\mathrm{Up}"),
    diagrams.clusters_masks_scissors: ("A_1", "A_8", "C_n", "m_n", "m_0", r"x \odot", "s_0", "s_2", "base", "scissors", "ReLU",
                                       "k-means"),
    diagrams.course: tuple(path.name[:2] for path in (cam.places.NOTEBOOKS).glob("[0-8]*.ipynb")),  # 90 is a tool
    diagrams.contrast: ("L", "L^2", "L^4", "energy", "box"),
    diagrams.two_ways: ("near", "far", "w_1", "w_2", r"\Sigma", "S = ", "map of the fork", "every path"),
}
each = pytest.mark.parametrize("draw", NAMES, ids=lambda f: f.__name__)


@pytest.fixture(autouse=True)
def the_style_of_the_notebooks():
    with matplotlib.rc_context():
        cam.use_style()
        yield
    plt.close("all")


def texts(figure):
    """What is written in a figure and seen: pairs of text and bounding box in pixels."""
    figure.canvas.draw()
    seen = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and in_drawn_axes(t)]
    return [(t, t.get_window_extent(figure.canvas.get_renderer())) for t in seen]


def in_drawn_axes(text):
    """Ticks of axes that are switched off are never drawn."""
    axes = text.axes
    return axes is None or axes.axison or text in axes.texts


def said(figure):
    return "\n".join(t.get_text() for t, _ in texts(figure))


def numbers(figure, pattern):
    """Numbers that follow a pattern in the diagram's texts; a minus is a minus."""
    return [float(n) for n in re.findall(pattern + r"([+-]?\d+\.?\d*)", said(figure).replace("−", "-"))]


def test_every_diagram_is_tested():
    drawing = {f for name, f in vars(diagrams).items() if getattr(f, "__annotations__", {}).get("return") is plt.Figure
               and name[0] != "_"}
    assert drawing == {*NAMES}
    assert all(len(f.__doc__.splitlines()) == 1 for f in drawing)


@each
def test_draws_without_warnings_one_figure(draw):
    """Saved, and then shown as a notebook shows it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # what older Matplotlibs call in newer packages is not ours
        figure = draw()
        figure.savefig(BytesIO())
        before = [axis.get_position().bounds for axis in figure.axes]
        figure.canvas.print_figure(BytesIO(), bbox_inches="tight")
    assert plt.get_fignums() == [figure.number]
    assert np.allclose(before, [axis.get_position().bounds for axis in figure.axes])


@each
def test_texts_stay_on_the_canvas_and_off_each_other(draw):
    figure = draw()
    width, height = figure.canvas.get_width_height()
    found = texts(figure)
    assert len(found) > 8
    for text, box in found:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, f"{text.get_text()!r} leaves the canvas"
    for (one, a), (other, b) in combinations(found, 2):
        assert not a.overlaps(b), f"{one.get_text()!r} is over {other.get_text()!r}"


@each
def test_letters_are_large_enough_at_half_size(draw):
    assert min(t.get_fontsize() for t, _ in texts(draw())) >= 12


@each
def test_names_what_the_lesson_names(draw):
    written = said(draw())
    assert [name for name in NAMES[draw] if name not in written] == []


@each
def test_black_grey_and_one_accent(draw):
    """Colours of letters: all dark on white, also in grey (WCAG 2.1 asks for a contrast of 4.5), but white ones in dark cells."""
    for text, _ in texts(draw()):
        red, green, blue = matplotlib.colors.to_rgb(text.get_color())
        light = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
        contrast = 1.05 / (np.dot(light, (0.2126, 0.7152, 0.0722)) + 0.05)
        assert contrast >= 4.5 or text.get_text().replace(".", "").isdigit() and text.get_color() == "white", text.get_text()


def test_both_orders_give_the_logit():
    figure = diagrams.where_a_cam_comes_from()
    cells = [int(t.get_text().replace("−", "-")) for t in figure.axes[0].texts if re.fullmatch(r"−?\d+", t.get_text())]
    *A, L = np.reshape(cells, (4, 3, 3))
    w = [numbers(figure, rf"w_{k} = ")[0] for k in (1, 2, 3)]
    (b,), (S,) = numbers(figure, r"plus \$b = "), numbers(figure, r"\$S = ")
    assert np.array_equal(np.einsum("k,kij->ij", w, A), L)
    assert np.isclose(L.mean() + b, S) and np.isclose(np.dot(w, np.mean(A, (1, 2))) + b, S)
    assert "1 · 2 + 2 · 1 − 1 · 1 = 3" in said(figure) and np.mean(A, (1, 2)).tolist() == [2, 1, 1]


def test_the_two_ways_add_up_to_the_score():
    figure = diagrams.two_ways()
    near, far = numbers(figure, "weighted map: ")
    assert near + far == numbers(figure, "S = ")[0] and near == far


def test_alpha_is_that_of_camutils():
    A, g = torch.tensor([[0., 1, 2], [0, 3, 1], [0, 0, 0]]), torch.tensor([[0., 1, 2], [0, 4, 2], [0, 0, 0]])
    toy = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(9, 1, bias=False))
    toy[2].weight.data = g.reshape(1, 9)
    here = numbers(diagrams.alpha(), "w_1 = ")
    for method, w in zip((cam.grad_cam, cam.grad_cam_pp), here, strict=True):
        assert torch.allclose(method(toy, A[None, None], 0, "0", raw=True)[0], w * A, atol=2e-3)


def test_weights_of_the_stages_add_up_to_one():
    assert np.isclose(sum(numbers(diagrams.stages_and_fusion(), r"lambda_\d = ")), 1)


def test_path_stays_in_the_corridor_that_is_drawn():
    steps = 8
    assert np.allclose(diagrams.two_pixel_path(0, steps), np.arange(steps + 1)[:, None] / steps)
    path = diagrams.two_pixel_path(diagrams.MAX_DIST, steps)
    assert np.allclose(path.mean(1), np.arange(steps + 1) / steps)  # as much light as on the straight line
    assert abs(path - path.mean(1, keepdims=True)).max() <= diagrams.MAX_DIST + 1e-12
    (corridor,) = [p for p in diagrams.path_and_corridor().axes[0].patches if len(p.get_xy()) == 7]
    assert all(corridor.get_path().contains_point(point, radius=1e-6) or corridor.get_path().contains_point(point, radius=-1e-6)
               for point in path)
    assert {*np.sign(np.round(path[:, 0] - path[:, 1], 9))} == {-1, 0, 1}  # it crosses the line


def test_pyramid_only_takes_away():
    pictures = [image.get_array() for image in diagrams.pyramid().axes[0].images]
    refined = [p for p in pictures if p.shape == (48, 48)]
    F1, Q2, F2, Q3, F3, R = refined
    assert np.allclose(F2, Q2 * F1) and np.allclose(F3, Q3 * F2) and np.allclose(R, F1 + F2 + F3)
    assert (F3 <= F2).all() and (F2 <= F1).all()


def test_base_less_scissors():
    *masked, base, scissors, L = [i.get_array() for i in diagrams.clusters_masks_scissors().axes[0].images]
    assert np.allclose(L, np.maximum(base - scissors, 0))
    assert np.allclose(masked[0], base * diagrams.scene(48)) and np.allclose(masked[2], scissors * diagrams.scene(48))
    s = [numbers(diagrams.clusters_masks_scissors(), rf"\$s_{n}\$ = ")[0] for n in range(3)]
    assert (np.argmax(s), np.argmin(s)) == (0, 2)


def test_k_means_finds_the_clusters_of_the_diagram():
    A = torch.tensor(np.array(list(diagrams.channels().values())))[None]
    labels = cam.kmeans(cam.normalised_rows(A), 3).labels[0].tolist()
    found = {tuple(k + 1 for k, label in enumerate(labels) if label == n) for n in range(3)}
    assert found == set(diagrams.MEMBERS)


def test_contrast_keeps_the_order_and_raises_the_energy():
    figure = diagrams.contrast()
    bars = [[bar.get_height() for bar in axis.containers[0]] for axis in figure.axes]
    assert all(np.array_equal(np.argsort(bars[0]), np.argsort(row)) for row in bars)
    assert all(np.allclose(row, np.power(bars[0], power)) for row, power in zip(bars, (1, 2, 4), strict=True))
    energy = [float(axis.get_title().split()[-1]) for axis in figure.axes]
    assert energy == sorted(energy) and np.isclose(energy[0], sum(bars[0][3:6]) / sum(bars[0]), atol=0.005)
