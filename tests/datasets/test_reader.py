"""One reader for files, PIL images and arrays; pictures that are drawn; pictures of another scale."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from camutils import load_model, overlay, photograph, show_maps, to_input
from camutils.book.figures import to_array

RGB = photograph("chelsea")


def test_every_form_of_a_picture_is_one_picture(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "cat.png")
    expected = to_input(RGB)
    for form in (Image.fromarray(RGB), tmp_path / "cat.png", str(tmp_path / "cat.png"), RGB / 255, (RGB / 255).astype(np.float32),
                 np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])):
        assert torch.equal(to_input(form), expected)
    grey = RGB[..., 0]
    for form in (grey, grey[..., None], grey / 255, Image.fromarray(grey)):
        assert torch.equal(to_input(form), to_input(np.dstack([grey] * 3)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_upright(orientation):
    stored = Image.fromarray(RGB)
    back = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90", 7: "TRANSVERSE",
            8: "ROTATE_270"}.get(orientation)
    turned = stored if back is None else stored.transpose(Image.Transpose[back])
    turned.getexif()[0x0112] = orientation
    assert torch.equal(to_input(turned), to_input(stored))


def test_transparency_is_black():
    clear = np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)])
    assert not to_input(clear).any() and not to_input(Image.fromarray(clear)).any()


@pytest.mark.parametrize(("form", "said"), [
    (np.zeros((8, 8, 2), np.uint8), r"shape \(8, 8, 2\); accepted: \(H, W\)"), (np.zeros((8, 8), np.uint16), "picture is uint16"),
    (np.full((8, 8), 7.5), "floats reaches from 7.5 to 7.5; accepted: 0 to 1; .* rescales it"),
    (Image.fromarray(np.zeros((8, 8), np.uint16)), "more than 8 bits"), (np.full((8, 8, 3), np.nan), "floats reaches from nan")])
def test_what_is_not_accepted(form, said):
    with pytest.raises(ValueError, match=said):
        to_input(form)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="x.png: not a readable image"):
        to_input(tmp_path / "x.png")
    with pytest.raises(FileNotFoundError, match="no photograph .*gone.png"):
        to_input(tmp_path / "gone.png")
    with pytest.raises(ValueError, match="crop 300 of a picture whose shorter side is resized to 256; accepted: at most 256"):
        to_input(RGB, 256, 300)


def test_grey_is_drawn_grey_and_other_channels_on_request():
    grey, heat = torch.rand(1, 8, 8), torch.rand(8, 8)
    assert np.ptp(to_array(grey), axis=2).max() == 0 and overlay(grey, heat).shape == (8, 8, 3)
    assert len(show_maps(grey[None], {"one": heat[None]}).axes) == 2
    for channels in (2, 4, 13):
        with pytest.raises(ValueError, match=f"a picture of {channels} channels cannot be drawn; accepted: 1 or 3, or channels="):
            overlay(torch.rand(channels, 8, 8), heat)
    image = torch.rand(13, 8, 8)
    assert np.array_equal(to_array(image, (3, 2, 1)), to_array(image[[3, 2, 1]]))


@pytest.mark.parametrize(("change", "said"), [(lambda x: x * 255, "x / 255"),
                                              (lambda x: (x - 0.45) / 0.22, "the picture itself")])
def test_pictures_of_another_scale_are_told_once(change, said):
    model, x = load_model("scenes_resnet", "cpu"), to_input(RGB, 96, 96)[None]
    with pytest.warns(UserWarning, match=f"this network takes RGB in .0, 1.: give it {said}") as told:
        model(change(x))
        model(change(x))
    assert len(told) == 1


def test_masked_noisy_and_moved_pictures_are_not_told():
    model, x = load_model("scenes_resnet", "cpu"), to_input(RGB, 96, 96)[None]
    noise = 0.2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for picture in (x, x * 0, x - noise, x * 0 + noise, x + 0.02, 1.1 * x - 0.05):
            model(picture)
