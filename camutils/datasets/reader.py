"""One reader for every picture: a file, a PIL image or an array becomes upright RGB over black, 8 bits a channel.

What was changed stands in notes (grey or CMYK to RGB, turned upright); what cannot be read raises `BadFile` with the reason.
"""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


class BadFile(ValueError):
    """One file cannot be used; a data set turns it into `Skipped`."""


def upright(stored: Image.Image) -> tuple[Image.Image, int, tuple[str, ...]]:
    """A PIL image as upright RGB, its EXIF orientation (1: stored upright), and notes. Raises BadFile for more than 8 bits."""
    orientation = stored.getexif().get(0x0112, 1)
    orientation = orientation if orientation in range(1, 9) else 1
    mode = stored.mode
    turned = ImageOps.exif_transpose(stored) if orientation > 1 else stored
    if mode.startswith(("I", "F")):
        raise BadFile(f"pixels are {mode}, more than 8 bits each; accepted: 8 bits, or a float array in [0, 1]")
    see_through = mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in stored.info
    image = _on_black(turned) if see_through else turned.convert("RGB")
    notes: tuple[str, ...] = ()
    if mode != "RGB":
        notes += (f"converted from {mode} to RGB",)
    if orientation > 1:
        notes += (f"turned upright (EXIF orientation {orientation})",)
    return image, orientation, notes


def _on_black(image: Image.Image) -> Image.Image:
    """Transparent pixels over black, which is what 0 means for every mask."""
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")


def open_upright(path: Path) -> tuple[Image.Image, tuple[int, int], int, tuple[str, ...]]:
    """An image file as upright RGB, its stored (H, W), its EXIF orientation (1: stored upright), and notes.

    Raises BadFile, with the reason, for whatever keeps the file from being read to its end.
    """
    if not path.is_file():
        raise BadFile("image file is missing")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on damaged metadata, which is not used
            with Image.open(path) as stored:
                stored.load()
                image, orientation, notes = upright(stored)
                return image, (stored.size[1], stored.size[0]), orientation, notes
    except BadFile:
        raise
    except Exception as error:  # damaged files raise OSError, SyntaxError, EOFError, struct.error, zlib.error and others
        text = str(error).replace(str(path), path.name).replace(str(path.parent), "")
        raise BadFile(f"not a readable image ({type(error).__name__}: {text})") from error


def as_picture(image: str | Path | Image.Image | np.ndarray) -> Image.Image:
    """Upright RGB of a file's name, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3), (H, W, 4), uint8 or float in [0, 1].

    Raises FileNotFoundError for a missing file, ValueError for one that cannot be read, another shape, type or range.
    """
    if isinstance(image, (str, Path)):
        if not Path(image).is_file():
            raise FileNotFoundError(f"no photograph {image}")
        try:
            return open_upright(Path(image))[0]
        except BadFile as error:
            raise ValueError(f"{image}: {error}") from error
    if isinstance(image, Image.Image):
        return upright(image)[0]
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)) or 0 in pixels.shape:
        raise ValueError(f"picture has shape {pixels.shape}; accepted: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    if np.issubdtype(pixels.dtype, np.floating):
        if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
            raise ValueError(f"picture of floats reaches from {pixels.min():.3g} to {pixels.max():.3g}; accepted: 0 to 1; "
                             "(p - p.min()) / (p.max() - p.min()) rescales it")
        pixels = (pixels * 255).round().astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise ValueError(f"picture is {pixels.dtype}; accepted: uint8, or floats in [0, 1]")
    return upright(Image.fromarray(pixels))[0]
