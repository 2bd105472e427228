"""`camutils explain PHOTO`: the likeliest classes of one's own photograph, and a heat map for each class that is asked for.

Beside the rooms, with the command line: may import every room.
"""

import glob
import hashlib
import re
import sys
from collections.abc import Sequence
from functools import partial
from inspect import signature
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from tqdm import tqdm

from .book.figures import HEAT, LABELS, overlay, picture, to_array
from .core.maps import Method
from .core.network import How
from .datasets.reader import BadFile, read_picture
from .datasets.sample import EXTENSIONS
from .evaluation.measure import Power, functions_of, parse_method, split_list, split_power
from .methods import METHODS
from .networks.given import Given, open_network, pick_classes
from .spelling import nearest
from .whole import whole

MARK = "Photograph"  # a picture of ours says in this field whose it is: the start of the photograph's SHA-256


def read_photo(path: Path, network: Given) -> Tensor:
    """An image file as the network takes it: upright, RGB in [0, 1], resized, its central square: (3, h, w).

    Raises BadFile with the reason where the file cannot be used.
    """
    steps = [v2.Resize(network.resize, network.how, antialias=True), v2.CenterCrop(network.crop), v2.PILToTensor()]
    return v2.Compose(steps)(read_picture(path).image).float() / 255


def find_photos(places: Sequence[Path]) -> list[Path]:
    """The image files that are named, and those in the named folders, sorted; pictures that we drew are left out of folders.

    Raises FileNotFoundError for what is not there, with the nearest names, and for a folder without photographs.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = sorted(p for p in place.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file() and not _mark(p))
            if not inside:
                raise FileNotFoundError(f"no photograph in {place}; accepted: files ending in {', '.join(EXTENSIONS)}")
            found += inside
        elif place.is_file():
            found.append(place)
        else:
            beside = [p.name for p in place.parent.iterdir()] if place.parent.is_dir() else []
            raise FileNotFoundError(f"no photograph {place}; {nearest(place.name, beside)}accepted: image files and "
                                    "folders of them")
    return list(dict.fromkeys(found))


def parse(text: str, layer: str | None = None) -> tuple[str, Method]:
    """A method's title and function from "name:option=value"; layer: for every method that names none of its own.

    Raises ValueError for a method or an option that there is not, with the nearest names.
    """
    plain, gamma = split_power(text)
    method, (name, *options) = parse_method(plain, METHODS), plain.split(":")
    base, functions = name.split("+")[0], functions_of(name, METHODS)
    own = [p.name for f in functions for p in signature(f).parameters.values() if p.kind is p.KEYWORD_ONLY]
    known = [o for o in dict.fromkeys(["layer", *own, *How.__annotations__]) if o not in ("raw", "return_parts")]
    for option in method.keywords:
        if option not in known:
            raise ValueError(f"unknown option of {name} {option!r}; {nearest(option, known)}accepted: {', '.join(known)}")
    title = ", ".join([LABELS[base] + name.removeprefix(base), *options])
    if layer is not None and "layer" not in method.keywords:
        method = partial(method, layer=layer)
    return (title, method) if gamma is None else (f"{title}^{gamma:g}", Power(method, gamma))


def draw(pictures: dict[str, np.ndarray], title: str) -> Figure:
    """Pictures (h, w, 3) in [0, 1] side by side, by their titles, under one title and with one colour bar."""
    figure = Figure(figsize=(3.6 * len(pictures) + 1.2, 4.2), layout="constrained", dpi=100)
    axes = figure.subplots(1, len(pictures), squeeze=False)[0]
    for axis, (name, pixels) in zip(axes, pictures.items(), strict=True):
        picture(axis, pixels, name)
    figure.suptitle(title)
    figure.colorbar(ScalarMappable(cmap=colormaps[HEAT]), ax=list(axes), label="heat: 0 lowest, 1 highest of a map", shrink=0.9)
    return figure


def _mark(path: Path) -> str | None:
    """Whose heat map a PNG is; None for whatever we did not draw."""
    try:
        with Image.open(path) as stored:
            mark = stored.info.get(MARK)
    except Exception:  # no picture: whoever reads it says so
        return None
    return mark if isinstance(mark, str) else None


def _stem(out: Path, photo: Path, mark: str, taken: set[str]) -> str:
    """What the names of a photograph's pictures begin with: its own name, with a number where others have it already."""
    number = 1
    while True:
        stem = photo.stem if number == 1 else f"{photo.stem}-{number}"
        there = [p for p in out.glob(f"{glob.escape(stem)}.*.*") if p.suffix == ".png"]
        if stem.lower() not in taken and all(_mark(p) == mark for p in there):
            taken.add(stem.lower())
            return stem
        number += 1


def _word(text: str) -> str:
    """Text as a part of a file's name."""
    return re.sub(r"[^\w+=-]+", "_", text)


def _say(text: str, bad: bool = False) -> None:
    """One line beside the progress bar; what went wrong goes to stderr."""
    tqdm.write(text, file=sys.stderr if bad else sys.stdout)


def explain(photos: Sequence[Path], method: str = "integrative_cam", compare: str | None = None, model: str | None = None,
            weights: Path | None = None, size: int | None = None, classes: str | None = None, layer: str | None = None,
            out: Path = Path("."), raw: bool = False, top: int = 3) -> list[Path]:
    """Print each photograph's likeliest classes and draw a heat map per class to `out`; give the pictures' paths.

    method: one, laid over the photograph; compare: several, comma-separated, on one sheet beside it; model, weights, size: as
    `open_network`; classes: as `pick_classes`; raw: also each map as .npy, float32 (h, w) in [0, 1]; top: how many are printed.
    Files are called PHOTO.METHOD.CLASS.png; none that shows another photograph is ever replaced.
    A file that cannot be read is named and passed over. Raises ValueError, TypeError, FileNotFoundError for what is asked
    wrongly, ValueError where no photograph could be read.
    """
    asked = split_list(compare) if compare else [method]
    methods = {text: parse(text, layer) for text in asked}
    files = find_photos(photos)
    network = open_network(model, weights, size)
    if ":" in network.name:
        _say(f"{network.name} is given RGB in [0, 1]; if it was trained on other numbers, let the function return "
             "camutils.standardise_inside(model, mean, std)", bad=True)
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    bad: list[str] = []
    taken: set[str] = set()
    for photo in tqdm(files, desc="photographs", disable=len(files) < 2):
        try:
            image = read_photo(photo, network)
        except BadFile as error:
            bad.append(f"{photo}: {error}")
            _say(f"passed over {bad[-1]}", bad=True)
            continue
        x = network.to_device(image[None])
        p = network.probabilities(network.logits(x))[0].cpu()
        names = network.names(len(p))
        likely = p.argsort(descending=True)[:top].tolist()
        _say(f"{photo}: " + ", ".join(f"{names[c]} {p[c]:.3f}" for c in likely))
        mark = hashlib.sha256(photo.read_bytes()).hexdigest()[:16]
        stem = _stem(out, photo, mark, taken)
        for c in pick_classes(classes, names, p):
            maps = {text: m(network.model, x, c)[0].cpu() for text, (_, m) in methods.items()}
            pictures = {methods[text][0]: overlay(image, L) for text, L in maps.items()}
            if compare:
                pictures = {"photograph": to_array(image)} | pictures
            end = f"{c}_{_word(names[c])}"
            path = out / f"{stem}.{'compare' if compare else _word(method)}.{end}.png"
            with whole(path) as file:
                draw(pictures, f"{names[c]} ({p[c]:.3f})").savefig(file, format="png", metadata={"Software": None, MARK: mark})
            written.append(path)
            flat = [text for text, L in maps.items() if not L.any()]
            _say(f"  {path}" + f" (nothing to show: {', '.join(flat)})" * bool(flat))
            if raw:
                for text, L in maps.items():
                    with whole(out / f"{stem}.{_word(text)}.{end}.npy") as file:
                        np.save(file, L.numpy())
    if not written:
        raise ValueError(f"none of {len(files)} files could be read: {'; '.join(bad[:3])}")
    if bad:
        _say(f"{len(bad)} of {len(files)} files passed over", bad=True)
    return written
