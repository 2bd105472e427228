"""What is drawn: grey is grey, further channels only on request, and an error leaves no figure behind."""

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pytest
import torch
from matplotlib import colormaps
from matplotlib import pyplot as plt
from PIL import Image

import camutils as cam
from camutils.book.figures import HEAT, heat_bar, save_moving, to_array

HOT = torch.tensor([[0.0, 0.25], [0.5, 1.0]])


@pytest.fixture(autouse=True)
def no_figure_is_left():
    yield
    plt.close("all")


def test_overlay_by_hand_grey_as_rgb_of_equal_channels():
    grey = torch.tensor([[[0.0, 0.2], [0.4, 1.0]]])
    drawn = cam.overlay(grey, HOT)
    for i, j in np.ndindex(2, 2):
        L, x = float(HOT[i, j]), float(grey[0, i, j])
        a = 0.75 * (0.35 + 0.65 * L)
        assert np.allclose(drawn[i, j], (1 - a) * x + a * np.array(colormaps[HEAT](L)[:3]), atol=1e-6)
    assert np.array_equal(drawn, cam.overlay(grey.repeat(3, 1, 1), HOT)) and np.array_equal(drawn, cam.overlay(grey[0], HOT))


def test_a_grey_picture_is_drawn_grey():
    images = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    figure = cam.show_maps(images, {"map": images[:, 0]})
    for b, axis in enumerate(figure.axes[:4:2]):
        pixels = axis.images[0].get_array()
        assert pixels.shape == (6, 6, 3) and np.array_equal(pixels, images[b, 0, :, :, None].repeat(1, 1, 3))


@pytest.mark.parametrize("count", [2, 4, 13])
def test_further_channels_are_shown_on_request_else_refused(count):
    images = torch.rand(1, count, 2, 2, generator=torch.Generator().manual_seed(0))
    for call in (lambda: to_array(images[0]), lambda: cam.overlay(images[0], HOT),
                 lambda: cam.show_maps(images, {"map": HOT[None]}), lambda: to_array(images[0], (0, 1)),
                 lambda: to_array(images[0], (0, 1, count))):
        with pytest.raises(ValueError, match=rf"\({count}, 2, 2\).*channels=\(0, 1, 2\)"):
            call()
    assert not plt.get_fignums()
    chosen = (1, 0, count - 1)
    wanted = torch.stack([images[0, c] for c in chosen], -1).numpy()
    assert np.array_equal(to_array(images[0], chosen), wanted)
    assert np.array_equal(cam.overlay(images[0], HOT, channels=chosen), cam.overlay(images[0, list(chosen)], HOT))
    figure = cam.show_maps(images, {"map": HOT[None]}, channels=chosen)
    assert np.array_equal(figure.axes[0].images[0].get_array(), wanted)
    assert np.array_equal(to_array(images[0], (1,)), images[0, 1, :, :, None].repeat(1, 1, 3))


def test_sizes_that_differ_leave_no_figure_behind():
    with pytest.raises(ValueError, match="equal sizes"):
        cam.show_maps(torch.rand(1, 3, 4, 4), {"map": HOT[None]})
    assert not plt.get_fignums()


def draw():
    """A figure with an edge that is smoothed, markers, a clipped line and an image: what SVG gives names to."""
    figure, axis = plt.subplots(figsize=(2, 2))
    axis.plot([0, 1, 2], [0, 5, 1], "-o", label="curve")
    axis.imshow(HOT.numpy(), extent=(0, 1, 0, 1))
    axis.set(ylim=(0, 2), title="µ → β")
    return figure


def test_without_formats_there_is_one_picture(tmp_path, monkeypatch):
    monkeypatch.setenv("CAMUTILS_FIGURES", str(tmp_path))
    monkeypatch.delenv("CAMUTILS_FORMATS", raising=False)
    cam.save_figure(draw(), "90_line")
    assert [p.name for p in tmp_path.rglob("*")] == ["90_line.png"]


def test_the_same_figure_is_the_same_file_in_every_format(tmp_path, monkeypatch):
    monkeypatch.setenv("CAMUTILS_FORMATS", "png,pdf,svg")
    made = []
    for epoch in ("0", "1000000000"):
        monkeypatch.setenv("CAMUTILS_FIGURES", str(tmp_path / epoch))
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)  # what matplotlib takes for now: another day
        cam.save_figure(draw(), "90_line")
        made.append({p.name: p.read_bytes() for p in (tmp_path / epoch / "print").iterdir()})
    assert made[0] == made[1] and sorted(made[0]) == ["90_line.csv", "90_line.pdf", "90_line.png", "90_line.svg"]
    assert made[0]["90_line.pdf"].startswith(b"%PDF") and b"<svg" in made[0]["90_line.svg"]
    assert all(word not in content for content in made[0].values() for word in (b"Date", b"<dc:date>", b"atplotlib v"))
    assert b"1 \xc2\xb5 \xe2\x86\x92 \xce\xb2,line,curve,1,5," in made[0]["90_line.csv"]


def test_dots_per_inch_are_of_the_further_files_only(tmp_path, monkeypatch):
    for name, value in {"FIGURES": str(tmp_path), "FORMATS": "png", "DPI": "50"}.items():
        monkeypatch.setenv(f"CAMUTILS_{name}", value)
    with plt.rc_context({"savefig.dpi": 100}):
        cam.save_figure(draw(), "90_line")
    sizes = [plt.imread(tmp_path / name).shape[:2] for name in ("90_line.png", "print/90_line.png")]
    assert sizes == [(200, 200), (100, 100)]


def test_one_bar_for_the_heat_of_a_sheet():
    figure = cam.show_maps(torch.rand(2, 3, 8, 8), {"a": torch.rand(2, 8, 8), "b": torch.rand(2, 8, 8)})
    *pictures, bar = figure.axes
    assert len(pictures) == 6 and bar.get_xlabel() == "heat: 0 is coldest, 1 hottest" and bar.get_xlim() == (0, 1)
    plt.close(figure)


def test_a_moving_picture_has_a_frame_per_figure_and_the_same_bytes(monkeypatch, tmp_path):
    monkeypatch.setattr("camutils.book.figures.figures", lambda: tmp_path)
    drawn = [cam.show_maps(torch.full((1, 3, 8, 8), light), {"map": torch.full((1, 8, 8), light)}) for light in (0.1, 0.5, 0.9)]
    save_moving(drawn, "moves", 100)
    first = (tmp_path / "moves.gif").read_bytes()
    save_moving(drawn, "moves", 100)
    assert (tmp_path / "moves.gif").read_bytes() == first
    with Image.open(tmp_path / "moves.gif") as moving:
        held = []
        for n in range(moving.n_frames):
            moving.seek(n)
            held.append(moving.info["duration"])
    assert held == [100, 100, 300] and moving.info["loop"] == 0
    with pytest.raises(ValueError, match=r"sizes \[\] given"):
        save_moving([], "none")
    with pytest.raises(ValueError, match="all of one size"):
        save_moving([drawn[0], cam.show_maps(torch.rand(2, 3, 8, 8), {})], "two")
    plt.close("all")


def test_a_heat_bar_stands_under_the_pictures_of_a_figure_that_has_another_bar():
    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    figure.colorbar(left.imshow(np.eye(4)), ax=left)
    right.imshow(np.eye(4))
    heat_bar(figure)
    figure.draw_without_rendering()
    bar = figure.axes[-1]
    assert bar.get_xlabel() == "heat: 0 is coldest, 1 hottest"
    assert all(bar.get_position().y1 < axis.get_position().y0 for axis in (left, right))
