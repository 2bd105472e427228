"""One way to read a picture, whatever it comes as: a file, a PIL image, an array, a tensor -> upright RGB of 8 bits on black.

    to_input("dog.jpg")                (3, 224, 224) float in [0, 1], for a network of `load_model`
    read_picture("dog.jpg")            the whole picture, and what was changed in order to read it
"""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import v2

from ..places import from_home
from .geometry import Resize, resize_and_crop

Picture = str | Path | Image.Image | np.ndarray | Tensor  # what can be read
LONGEST = 20  # longer side / shorter side; beyond that the resized picture would be huge and its crop nearly nothing
ACCEPTED = ("accepted: the path of an image file, a PIL image, an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or a tensor "
            "(C, H, W), of uint8, or of float in [0, 1]")


class BadFile(ValueError):
    """A picture or its annotation cannot be used; a data set of `Images` turns it into `Skipped`."""


def read_text(path: Path) -> str:
    """A file of text in UTF-8, with or without a byte order mark. Raises ValueError that names the file where it is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} cannot be read ({error}); accepted: text in UTF-8") from error


class Upright(NamedTuple):
    """image: upright RGB of 8 bits; stored: its (H, W) before it was turned; orientation: EXIF's, 1 if it was upright; notes."""

    image: Image.Image
    stored: tuple[int, int]
    orientation: int
    notes: tuple[str, ...]


def read_picture(picture: Picture) -> Upright:
    """A picture as upright RGB of 8 bits, transparent pixels over black, with notes on what was changed.

    Floats in [0, 1] are rounded to 8 bits: an array of bytes and the same array divided by 255 are one picture.
    Raises BadFile, with the reason, for whatever keeps it from being read to its end: a missing or damaged file, more than
    8 bits, values outside [0, 1], another shape; TypeError for another type.
    """
    if not isinstance(picture, Picture):
        raise TypeError(f"a picture of type {type(picture).__name__} was given; {ACCEPTED}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on damaged metadata, which is not used
            if isinstance(picture, Image.Image):
                return _upright(picture)
            if not isinstance(picture, str | Path):
                return _upright(_from_array(picture))
            if not from_home(picture).is_file():
                raise BadFile("image file is missing")
            with Image.open(from_home(picture)) as stored:
                return _upright(stored)
    except BadFile:
        raise
    except Exception as error:  # damaged files raise OSError, SyntaxError, EOFError, struct.error, zlib.error and others
        text = str(error)
        if isinstance(picture, str | Path):  # a table of skipped files names no folder of this machine
            path = from_home(picture)
            text = text.replace(str(path), path.name).replace(str(path.parent), "")
        raise BadFile(f"not a readable image ({type(error).__name__}: {text})") from error


def _upright(stored: Image.Image) -> Upright:
    """Turned by EXIF, alpha on black, RGB; a note on each that changed something.

    What its first bytes tell is asked before it is decoded: a program for a printer, which Pillow would run, and a long strip.
    """
    W, H = stored.size
    if stored.format == "EPS":
        raise BadFile("EPS is a program for a printer; accepted: a picture of pixels, such as PNG or JPEG")
    if min(W, H) < 1 or max(W, H) > LONGEST * min(W, H):
        raise BadFile(f"{W} x {H} pixels; accepted: the longer side up to {LONGEST} times the shorter")
    orientation = stored.getexif().get(0x0112, 1)  # asked first: Pillow turns a TIFF itself while it loads it
    orientation = orientation if orientation in range(1, 9) else 1
    stored.load()
    upright = ImageOps.exif_transpose(stored)
    W, H = upright.size
    if upright.mode.startswith(("I", "F")):  # integers of 16 or 32 bits, floats
        upright = _from_array(np.asarray(upright))
    see_through = upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info
    notes: tuple[str, ...] = ()
    if stored.mode != "RGB":
        notes += (f"converted from {stored.mode} to RGB",)
    if orientation > 1:
        notes += (f"turned upright (EXIF orientation {orientation})",)
    image = _on_black(upright) if see_through else upright.convert("RGB")
    return Upright(image, (H, W) if orientation < 5 else (W, H), orientation, notes)


def _on_black(image: Image.Image) -> Image.Image:
    """Transparent pixels over black, which is what 0 means for every mask."""
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")


def _from_array(given: np.ndarray | Tensor) -> Image.Image:
    """Grey, RGB or RGBA of 8 bits from an array (H, W[, C]) or a tensor ([C,] H, W)."""
    if isinstance(given, Tensor):
        given = given.detach().cpu()
        given = given.float() if given.is_floating_point() else given  # NumPy has no bfloat16
        pixels = given.movedim(0, -1).numpy() if given.ndim == 3 else given.numpy()
    else:
        pixels = given
    if pixels.ndim not in (2, 3) or 0 in pixels.shape or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        raise BadFile(f"a picture of shape {tuple(given.shape)} was given; {ACCEPTED}")
    if np.issubdtype(pixels.dtype, np.floating):
        levels = np.rint(pixels * 255.0)
        if not ((levels >= 0) & (levels <= 255)).all():
            raise BadFile(f"float pixels run from {pixels.min():.4g} to {pixels.max():.4g}; accepted: floats in [0, 1]; rescale "
                          "them, such as pixels / 255, or (pixels - pixels.min()) / (pixels.max() - pixels.min())")
        pixels = levels.astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise BadFile(f"pixels are {pixels.dtype}, not of 8 bits each; accepted: uint8, or floats in [0, 1], such as "
                      "pixels / 65535 for 16 bits")
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels))


def central_square(image: Image.Image, resize: Resize = 256, crop: int = 224) -> Tensor:
    """An upright RGB image: shorter side to `resize` pixels (or both to a pair), central square: (3, crop, crop) in [0, 1].

    Raises ValueError where the crop is larger than the resized image.
    """
    resize_and_crop((image.height, image.width), resize, crop)  # says so; CenterCrop would put a black frame around it
    return v2.Compose([v2.Resize(resize, antialias=True), v2.CenterCrop(crop), v2.PILToTensor()])(image).float() / 255


def to_input(image: Picture, resize: Resize = 256, crop: int = 224) -> Tensor:
    """Shorter side to `resize` pixels, central `crop` x `crop` square, RGB in [0, 1]: (3, crop, crop) float32.

    image: a path, a PIL image, an array (H, W), (H, W, 1), (H, W, 3), (H, W, 4) or a tensor (C, H, W), of uint8 or of float in
    [0, 1]; it is turned upright (EXIF), transparent pixels lie on black, grey is repeated. Nothing else is needed before a
    network of `load_model`. Raises FileNotFoundError, TypeError, or ValueError that says what was given and what is accepted.
    """
    named = f"{image}: " if isinstance(image, str | Path) else ""
    if named and not from_home(str(image)).is_file():
        raise FileNotFoundError(f"no file {image}; accepted: the path of an image file")
    try:
        upright = read_picture(image).image
    except BadFile as error:
        raise ValueError(f"{named}{error}") from error
    return central_square(upright, resize, crop)
