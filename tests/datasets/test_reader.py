"""One picture in every form that pictures come in: the same pixels, or a sentence that says why not."""

import numpy as np
import pytest
import torch
from make_sets import picture
from PIL import Image

import camutils as cam
from camutils.datasets import folder
from camutils.datasets.reader import BadFile, read_picture

RGB = np.asarray(picture(90, 60))
GREY = RGB[..., 0]
CUT = {"resize": 60, "crop": 60}


def expected(pixels) -> torch.Tensor:
    """The central 60 x 60 of (60, 90[, 3]) uint8: no resizing, so the pixels are known."""
    pixels = np.repeat(pixels[..., None], 3, 2) if pixels.ndim == 2 else pixels
    return torch.from_numpy(pixels[:, 15:75].copy()).permute(2, 0, 1).float() / 255


OPAQUE = np.dstack([RGB, np.full((60, 90), 255, np.uint8)])
FORMS = {
    "uint8": (RGB, RGB), "PIL": (Image.fromarray(RGB), RGB), "RGBA": (OPAQUE, RGB), "float": (RGB / 255, RGB),
    "float32": ((RGB / 255).astype(np.float32), RGB), "half": ((RGB / 255).astype(np.float16), RGB),
    "float RGBA": (OPAQUE / 255, RGB), "mirrored view": (RGB[:, ::-1][:, ::-1], RGB),
    "tensor": (torch.from_numpy(RGB.copy()).permute(2, 0, 1), RGB),
    "float tensor": (torch.from_numpy(RGB / 255).permute(2, 0, 1).requires_grad_(), RGB),
    "grey": (GREY, GREY), "grey (H, W, 1)": (GREY[..., None], GREY), "float grey": (GREY / 255, GREY),
    "float grey (H, W, 1)": (GREY[..., None] / 255, GREY), "grey tensor": (torch.from_numpy(GREY.copy())[None], GREY),
    "grey tensor (H, W)": (torch.from_numpy(GREY.copy()), GREY), "PIL grey": (Image.fromarray(GREY), GREY),
    "PIL float": (Image.fromarray((GREY / 255).astype(np.float32)), GREY),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pixels(form):
    given, wanted = FORMS[form]
    found = cam.to_input(given, **CUT)
    assert torch.equal(found, expected(wanted)) and found.dtype == torch.float32 and not found.requires_grad


def palette(image):
    """The picture in 256 colours, of which the first is transparent; and what is to be seen of it."""
    coloured = image.quantize(256)
    solid = np.asarray(coloured.convert("RGB")).copy()
    solid[np.asarray(coloured) == 0] = 0
    return coloured, solid


def files(folder):
    """name -> (path, pixels that are to be seen) of files of every kind."""
    alpha = np.linspace(0, 255, 60 * 90).round().astype(np.uint8).reshape(60, 90)
    half_seen = np.dstack([RGB, alpha])
    on_black = np.rint(RGB * (alpha[..., None] / 255))
    coloured, solid = palette(Image.fromarray(RGB))
    seen = {"rgb.png": RGB, "grey.png": GREY, "half.png": on_black, "la.png": np.rint(GREY * (alpha / 255)), "p.png": solid,
            "float.tiff": GREY, "one.png": GREY // 128 * 255, "cmyk.tiff": RGB}
    Image.fromarray(RGB).save(folder / "rgb.png")
    Image.fromarray(GREY).save(folder / "grey.png")
    Image.fromarray(half_seen).save(folder / "half.png")
    Image.fromarray(np.dstack([GREY, alpha]), "LA").save(folder / "la.png")
    coloured.save(folder / "p.png", transparency=0)
    Image.fromarray((GREY / 255).astype(np.float32)).save(folder / "float.tiff")
    Image.fromarray(GREY > 127).save(folder / "one.png")
    Image.fromarray(RGB).convert("CMYK").save(folder / "cmyk.tiff")
    return seen


def test_files_of_every_mode_and_the_folder_agree(tmp_path):
    seen = files(tmp_path)
    samples = {s.name: s for s in folder(tmp_path, **CUT)}
    assert samples.keys() == seen.keys()
    for name, pixels in seen.items():
        for given in (tmp_path / name, str(tmp_path / name), Image.open(tmp_path / name)):
            found = cam.to_input(given, **CUT)
            assert (found - expected(pixels)).abs().max() <= 1 / 255, name  # Pillow rounds alpha its own way
        assert torch.equal(samples[name].image, found)
    assert samples["p.png"].notes == ("converted from P to RGB",) and samples["float.tiff"].notes == ("converted from F to RGB",)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff"])
def test_a_picture_is_turned_upright_by_exif(tmp_path, orientation, suffix):
    """A square, so that every orientation keeps its size; its top left quarter tells where it went."""
    stored = np.zeros((64, 64), np.uint8)
    stored[:32, :32] = 255
    exif, path = Image.Exif(), tmp_path / f"turned.{suffix}"
    exif[0x0112] = orientation
    Image.fromarray(stored).save(path, exif=exif)
    corners = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}  # (row, column)
    row, column = corners[orientation]
    with Image.open(path) as opened:
        for given in (path, opened):
            quarters = cam.to_input(given, 64, 64)[0].unfold(0, 32, 32).unfold(1, 32, 32).mean((2, 3))
            assert quarters.argmax() == 2 * row + column and quarters.max() > 0.95 and quarters.sum() < 1.05
    assert read_picture(path).orientation == orientation and read_picture(path).stored == (64, 64)


SIXTEEN = GREY.astype(np.uint16) * 257
REFUSED = {  # what is given, and the words that must stand in the sentence
    "16 bit array": (SIXTEEN, ["uint16", "8 bits", "65535"]), "16 bit PIL": (Image.fromarray(SIXTEEN), ["8 bits", "65535"]),
    "32 bit": (Image.fromarray(SIXTEEN.astype(np.int32)), ["int32", "8 bits"]), "bool": (GREY > 9, ["bool", "uint8"]),
    "float 0 to 255": (GREY.astype(np.float64), ["run from", "255", "[0, 1]"]),
    "PIL float 0 to 255": (Image.fromarray(GREY.astype(np.float32)), ["run from", "[0, 1]"]),
    "normalised": (RGB / 127.5 - 1, ["from -1 to 1", "[0, 1]"]), "NaN": (np.full((60, 90), np.nan), ["nan", "[0, 1]"]),
    "channels first": (RGB.transpose(2, 0, 1), ["(3, 60, 90)", "(H, W, 3)"]), "two channels": (RGB[..., :2], ["(60, 90, 2)"]),
    "a batch": (torch.rand(1, 3, 60, 90), ["(1, 3, 60, 90)", "(C, H, W)"]), "empty": (RGB[:0], ["(0, 90, 3)"]),
    "a strip": (RGB[:1, :60], ["60 x 1 pixels", "20 times"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_in_a_sentence(case):
    given, words = REFUSED[case]
    with pytest.raises(ValueError) as told:
        cam.to_input(given)
    assert all(word in str(told.value) for word in words), str(told.value)


def test_rescaled_as_the_sentence_says_it_is_read():
    assert torch.equal(cam.to_input(SIXTEEN / 65535, **CUT), expected(GREY))
    assert torch.equal(cam.to_input(GREY.astype(float) / 255, **CUT), expected(GREY))


def test_files_that_cannot_be_read_are_named(tmp_path):
    Image.fromarray(SIXTEEN).save(tmp_path / "deep.png")
    (tmp_path / "text.jpg").write_text("no picture")
    whole = tmp_path / "whole.png"
    Image.fromarray(RGB).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:-2000])
    for name, words in {"deep.png": "8 bits", "text.jpg": "not a readable image", "cut.png": "not a readable image"}.items():
        with pytest.raises(ValueError, match=f"{name}: .*{words}"):
            cam.to_input(tmp_path / name)
    with pytest.raises(ValueError, match="not a readable image"), Image.open(tmp_path / "cut.png") as cut:
        cam.to_input(cut)
    with pytest.raises(FileNotFoundError, match="nowhere.png"):
        cam.to_input(tmp_path / "nowhere.png")
    with pytest.raises(BadFile, match="missing"):
        read_picture(tmp_path / "nowhere.png")
    with pytest.raises(TypeError, match="list.*accepted: the path"):
        cam.to_input([[1, 2], [3, 4]])


@pytest.mark.parametrize(("sizes", "words"), [((100, 224), "crop 224.*66.*|crop 224.*100.*100"), ((256, 0), "crop 0"),
                                              ((0, 1), "resize 0"), (((200, 100), 150), "crop 150.*200 x 100")])
def test_a_crop_that_does_not_fit_is_refused(sizes, words):
    with pytest.raises(ValueError, match=words):
        cam.to_input(RGB, *sizes)


def test_the_callers_picture_stays_as_it_was():
    exif = Image.Exif()
    exif[0x0112] = 6
    given, pixels = Image.fromarray(RGB), RGB.copy()
    given.getexif()[0x0112] = 6
    cam.to_input(given)
    cam.to_input(pixels)
    assert given.size == (90, 60) and given.getexif()[0x0112] == 6 and np.array_equal(pixels, RGB)
