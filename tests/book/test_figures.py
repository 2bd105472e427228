"""What is drawn: grey is grey, further channels only on request, and an error leaves no figure behind."""

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pytest
import torch
from matplotlib import colormaps
from matplotlib import pyplot as plt

import camutils as cam
from camutils.book.figures import HEAT, to_array

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
    for b, axis in enumerate(figure.axes[::2]):
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
