"""`camutils explain PHOTO`: one's own photograph, a heat map, the likeliest classes; what the command line asks, as functions.

May import every room but the notebooks' (`book` only for how pictures look).
"""

import os
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2
from tqdm import tqdm

from .book.figures import HEAT, LABELS, overlay, to_array
from .core.capture import capture
from .core.layers import default_layer
from .core.probe import predict
from .core.stages import stages
from .datasets.imagenet import read_synsets
from .datasets.reader import BadFile, read_picture
from .datasets.sample import EXTENSIONS
from .evaluation.measure import parse_method
from .methods import METHODS
from .networks.load import LITE, class_names, default_device, default_network, load_model, own_network

WHEN = {  # method -> images through the network (f forward, b backward), when to use it
    "grad_cam": ("1 f, 1 b", "the first look; last layer, coarse"),
    "grad_cam_pp": ("1 f, 1 b", "several objects of one class, as its paper has it"),
    "layer_cam": ("1 f, 1 b", "finer maps at earlier layers"),
    "hires_cam": ("1 f, 1 b", "Grad-CAM with each position's own gradient"),
    "integrative_cam": ("1 f, 1 b", "every stage in one map; the backward pass goes through all of them"),
    "integrated_grad_cam": ("50 f, 50 b", "where the gradient at the image alone is saturated"),
    "gig_cam": ("30 f, 30 b", "the same along a path that the map chooses"),
    "gig_cam_m": ("210 f, 210 b", "the same at seven scales: tighter maps, a higher Drop, slow"),
    "score_cam": ("1 + K f", "no gradient to be had, time no matter"),
    "cluster_cam": ("11 f", "no gradient to be had, little time; single maps are unsteady"),
    "combined_cam": ("9 f, 1 b", "an experiment: stages, less the scissors"),
}


class Explained(NamedTuple):
    """A network for the command line: itself, its classes' names (empty: numbers only), how pictures are made for it."""

    model: nn.Module
    names: list[str]
    resize: int
    crop: int
    bicubic: bool


def open_network(name: str | None, weights: Path | None = None) -> Explained:
    """The network of `--model NAME` or `--model package.module:function --weights FILE`; None: `default_network`."""
    name = name or default_network()
    if ":" in name:
        return Explained(own_network(name, weights).to(default_device()), [], 256, 224, False)
    if weights is not None:
        raise ValueError(f"--weights with --model {name}; accepted with --model package.module:function only")
    model = load_model(name)
    resize, crop = LITE.get(name, (256, 224))
    return Explained(model, class_names(name), resize, crop, name in LITE)


def read_photo(path: Path, network: Explained) -> Tensor:
    """An image file as the network takes it: upright, RGB in [0, 1], shorter side resized, central square: (3, h, w).

    Raises BadFile with the reason where the file cannot be read.
    """
    how = InterpolationMode.BICUBIC if network.bicubic else InterpolationMode.BILINEAR
    steps = [v2.Resize(network.resize, how, antialias=True), v2.CenterCrop(network.crop), v2.PILToTensor()]
    return v2.Compose(steps)(read_picture(path).image).float() / 255


def photos_in(places: Sequence[Path]) -> list[Path]:
    """The image files that are named, and those in named folders, sorted; FileNotFoundError for what is not there."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = sorted(p for p in place.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
            if not inside:
                raise FileNotFoundError(f"no photograph in {place}; accepted: files ending in {', '.join(EXTENSIONS)}")
            found += inside
        elif place.is_file():
            found.append(place)
        else:
            raise FileNotFoundError(f"no photograph {place}; accepted: image files and folders of them")
    return list(dict.fromkeys(found))


def pick_classes(asked: str | None, names: list[str], probabilities: Tensor) -> list[int]:
    """The class numbers that are asked for: None the likeliest, "top3" the three likeliest, a number, a name, a WordNet number.

    names: of every output, or empty. Raises ValueError with the nearest names.
    """
    count = len(probabilities)
    order = probabilities.argsort(descending=True).tolist()
    if asked is None:
        return order[:1]
    word = asked.strip().lower()
    if word.startswith("top") and word[3:].isdigit() and int(word[3:]):
        return order[: int(word[3:])]
    if word.isdigit():
        if int(word) >= count:
            raise ValueError(f"class {word}; accepted: 0 to {count - 1}")
        return [int(word)]
    if word.startswith("n") and word[1:].isdigit() and len(word) == 9:
        synsets = _synsets()
        if word in synsets and count == len(synsets):
            return [synsets[word]]
        raise ValueError(f"class {asked!r} is none of ImageNet's thousand WordNet numbers, or the network has other outputs")
    known = [name.lower() for name in names]
    if word in known:
        return [known.index(word)]
    near = [names[known.index(n)] for n in get_close_matches(word, known, 3, 0.5)] or [n for n in names if word in n.lower()][:3]
    accepted = f"nearest: {', '.join(near)}" if near else "accepted: a number, top3, or a name of class_names"
    raise ValueError(f"unknown class {asked!r}; {accepted}")


def _synsets() -> dict[str, int]:
    """ImageNet's thousand WordNet numbers -> output, from the file that comes with the data set, in $CAMUTILS_ASSETS."""
    folder = Path(os.environ.get("CAMUTILS_ASSETS") or ".")
    for name in ("synsets.txt", "LOC_synset_mapping.txt"):
        if (folder / name).is_file():
            return read_synsets(folder / name)
    raise ValueError(f"WordNet numbers need synsets.txt or LOC_synset_mapping.txt, which comes with ImageNet, in {folder} "
                     "($CAMUTILS_ASSETS); accepted without it: a class's number or name")


def parse(method: str) -> tuple[str, partial[Tensor]]:
    """A method's title and function from "name:option=value"; ValueError with the nearest names."""
    base = method.split(":")[0].removesuffix("+M")
    if base not in METHODS:
        near = get_close_matches(base, METHODS, 3, 0.4)
        raise ValueError(f"unknown method {base!r}; nearest: {', '.join(near) or 'none'}; accepted: {', '.join(METHODS)}")
    return LABELS[base] + method[len(base):], parse_method(method, METHODS)


def draw(image: Tensor, maps: dict[str, Tensor], title: str) -> Figure:
    """The photograph, each map laid over it, one colour bar: image (3,H,W), maps title -> (H,W) in [0, 1]."""
    figure = Figure(figsize=(3.2 * (1 + len(maps)) + 0.9, 3.7), layout="constrained", dpi=100)
    axes = figure.subplots(1, 1 + len(maps), squeeze=False)[0]
    pictures = {"photograph": to_array(image)} | {name: overlay(image, L) for name, L in maps.items()}
    for axis, (name, pixels) in zip(axes, pictures.items(), strict=True):
        axis.imshow(pixels, vmin=0, vmax=1)
        axis.set(title=name, xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    figure.suptitle(title)
    figure.colorbar(ScalarMappable(cmap=colormaps[HEAT]), ax=list(axes), label="heat, lowest to highest", shrink=0.9)
    return figure


def stems(photos: Iterable[Path]) -> dict[Path, str]:
    """Photograph -> the name that its pictures get: its stem, with a number where two have the same."""
    found: dict[Path, str] = {}
    for photo in photos:
        name, number = photo.stem, 2
        while name in found.values():
            name, number = f"{photo.stem}-{number}", number + 1
        found[photo] = name
    return found


def explain(photos: Sequence[Path], methods: Sequence[str] = ("integrative_cam",), model: str | None = None,
            weights: Path | None = None, classes: str | None = None, layer: str | None = None, out: Path = Path("."),
            raw: bool = False, top: int = 3) -> list[Path]:
    """Write one picture per photograph and class, all methods in it, to `out`; print the likeliest classes; give the files.

    A file that cannot be read is named and passed over. Raises ValueError, TypeError, FileNotFoundError for what is asked
    wrongly, ValueError where no photograph could be read.
    """
    functions = dict(map(parse, methods))
    files = photos_in(photos)
    network = open_network(model, weights)
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    bad: list[str] = []
    bar = tqdm(stems(files).items(), desc="photographs", disable=len(files) < 2)
    for photo, stem in bar:
        try:
            image = read_photo(photo, network)
        except BadFile as error:
            bad.append(f"{photo}: {error}")
            tqdm.write(f"passed over {bad[-1]}")
            continue
        x = image[None].to(next(network.model.parameters()).device)
        output = predict(network.model, x)
        if not isinstance(output, Tensor) or output.ndim != 2:
            raise ValueError(f"the network returned {type(output).__name__}; accepted here: logits (B, classes)")
        p = (output.sigmoid() if output.shape[1] == 1 or network.names == list("0123456789") else output.softmax(1))[0].cpu()
        likely = p.argsort(descending=True)[:top].tolist()
        tqdm.write(f"{photo}: " + ", ".join(f"{_name(network, c)} {p[c]:.3f}" for c in likely))
        for c in pick_classes(classes, network.names, p):
            where = {} if layer is None else {"layer": layer}
            maps = {title: method(network.model, x, c, **where)[0].cpu() for title, method in functions.items()}
            path = out / f"{stem}_{_name(network, c).replace(' ', '_').replace('/', '_')}.png"
            draw(image, maps, f"{_name(network, c)} ({p[c]:.3f})").savefig(path, metadata={"Software": None})
            written.append(path)
            if raw:
                for method, L in zip(methods, maps.values(), strict=True):
                    np.save(path.with_name(f"{path.stem}_{method.replace(':', '_').replace('=', '-')}.npy"), L.numpy())
    if not written:
        raise ValueError(f"none of {len(files)} files could be read: {'; '.join(bad[:3])}")
    return written


def _name(network: Explained, c: int) -> str:
    return network.names[c] if c < len(network.names) else f"class {c}"


def layer_table(model: str | None = None, weights: Path | None = None) -> list[str]:
    """Lines: every module with a map at 224 x 224 (or the network's size): name, shape, stride, default or stage."""
    network = open_network(model, weights)
    device = next(network.model.parameters()).device
    x = torch.full((1, 3, network.crop, network.crop), 0.5, device=device)
    default, own = default_layer(network.model, x), set(stages(network.model, x))
    modules = [n for n, m in network.model.named_modules() if n and not isinstance(m, (nn.ModuleList, nn.ModuleDict))]
    lines: list[tuple[str, ...]] = [("layer", "shape", "stride", "")]
    shapes: dict[str, Any] = {}
    handles = [network.model.get_submodule(n).register_forward_hook(
        lambda m, i, out, n=n: shapes.__setitem__(n, tuple(out.shape[1:]) if isinstance(out, Tensor) else ())) for n in modules]
    try:
        predict(network.model, x)
    finally:
        for handle in handles:
            handle.remove()
    names = list(dict.fromkeys([*(n for n in modules if len(shapes.get(n, ())) == 3), *own, default]))
    for n in names:
        with capture(network.model, n) as seen:
            predict(network.model, x)
        shape = tuple(seen[n].shape[1:])
        word = "default, stage" if n == default and n in own else "default" if n == default else "stage" if n in own else ""
        if len(shape) == 3 and shape[1] * shape[2] > 1:
            lines.append((n, " x ".join(map(str, shape)), f"{network.crop / shape[1]:.3g}", word))
    return aligned(lines)


def method_table() -> list[str]:
    """Lines: every method, what it does, images through the network, when to use it."""
    rows: list[tuple[str, ...]] = [("method", "passes", "when", "what")]
    for name, method in METHODS.items():
        rows.append((name, *WHEN[name], (method.__doc__ or "").splitlines()[0].rstrip(".").split(" (")[0]))
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of words as lines with columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
