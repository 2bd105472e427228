"""A folder of a user's own images: no boxes, no classes."""

from functools import partial
from pathlib import Path

from .geometry import Resize
from .reader import read_picture
from .sample import EXTENSIONS, Images, Sample, to_sample


def _read(root: Path, resize: Resize, crop: int, name: str) -> Sample:
    image, _, _, notes = read_picture(root / name)
    return to_sample(name, image, [], notes, resize, crop)


def folder(root: str | Path, *, resize: Resize = 256, crop: int = 224) -> Images:
    """Every image file under `root` (searched in depth, sorted by name), named by its path below it.

    resize: shorter side, or (H', W'); crop: side of the central square; pixels. Files with other extensions are left out.
    Raises FileNotFoundError where there is no such folder, ValueError where no image is in it.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}; accepted: a folder of images")
    names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
    if not names:
        raise ValueError(f"no image in {root}; accepted: files ending in {', '.join(EXTENSIONS)}")
    return Images("folder", names, partial(_read, root, resize, crop))
