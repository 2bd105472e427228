"""One chunk of images: every method, every metric, one row per image x class x method."""

import ast
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from ..core.layers import Layer
from ..core.maps import Method
from ..core.targets import Targets
from ..datasets import Sample
from ..methods import AROUND
from ..spelling import nearest
from .metrics.boxes import best_iou
from .metrics.confidence import average_drop, confidence, drop_increase, increase
from .metrics.curves import deletion_insertion, road
from .metrics.equal_area import AREAS, equal_area
from .metrics.location import box_share, centre_map, energy_game, pointing_game
from .metrics.place import pixel_ap
from .metrics.robustness import adcc, infidelity, sensitivity_max
from .metrics.sharpness import effective_area, sharpen
from .metrics.steadiness import unsteadiness
from .results import Row

Pair = tuple[Sample, int | None, int]  # a sample, the position of the class in it, the target
LOCATION = ("pointing", "energy", "pixel_ap", "pixel_ap_ink", "best_iou")
VARIANTS = {"": "soft", "_top15": "top15", "_top50": "top50"}
CONFIDENCE = {f"{metric}{suffix}": (variant, measure) for suffix, variant in VARIANTS.items()
              for metric, measure in (("drop", average_drop), ("increase", increase))}
CURVES = ("deletion", "insertion")
AT = 0.15  # the one area that a table shows beside the mean over AREAS
EQUAL_AREA = tuple(f"{part}_{at}" for part in ("drop", "increase", "deletion") for at in ("area", "15"))
PARTS = ("adcc", "coherency", "complexity")  # of one call of `adcc`
REMOVED = {"road": "most", "road_least": "least"}
UNSTEADY = {"unsteady_grey": "grey", "unsteady_noise": "noise"}
METRICS = (*LOCATION, *CONFIDENCE, *CURVES, *PARTS, "sensitivity", "infidelity", *REMOVED, *EQUAL_AREA, "area", *UNSTEADY)
CENTRE = "centre"  # the baseline that looks at no image
NO_BOXES = torch.zeros(0, 4)
COLUMNS = ["image", "class", "method", "share", "classes", "difficult"]  # then "confidence" and the metrics


def split_list(text: str | Iterable[str]) -> list[str]:
    """'a,b:x=[1,2]' -> ['a', 'b:x=[1,2]']: commas outside brackets separate; a list stays as it is. No name twice."""
    parts = re.split(r",(?![^\[(]*[\])])", text) if isinstance(text, str) else list(text)
    parts = [p.strip() for p in parts if p.strip()]
    if not parts or len(set(parts)) < len(parts):
        raise ValueError(f"{text!r} given; accepted: one or more names, each once, separated by commas")
    return parts


def split_power(text: str) -> tuple[str, float | None]:
    """'grad_cam:relu=False^0.5' -> ('grad_cam:relu=False', 0.5); without a power: None. ValueError for a power that is none."""
    base, mark, power = text.partition("^")
    try:
        gamma = float(power) if mark else None
    except ValueError:
        gamma = math.nan
    if gamma is not None and not 0 < gamma < math.inf:
        raise ValueError(f"method {text!r}; accepted: name:option=value^G, G a finite number above 0: the map to that power")
    return base, gamma


class Power:
    """A method's map in [0, 1] to a power, L^gamma: a method too, which shows what contrast alone does (`sharpen`)."""

    def __init__(self, method: Method, gamma: float):
        self.method, self.gamma = method, gamma

    def __call__(self, *arguments: Any, **options: Any) -> Tensor:
        return sharpen(self.method(*arguments, **options), self.gamma)


def functions_of(name: str, known: dict[str, Method]) -> list[Callable[..., Tensor]]:
    """'grad_cam+C+M' -> the method, and what stands around it (`AROUND`), from within. ValueError if unknown."""
    base, *around = name.split("+")
    if base not in known or not all(mark in AROUND for mark in around) or len({*around}) < len(around):
        raise ValueError(f"unknown method {name!r}; {nearest(base, known)}accepted: {', '.join(known)}, {CENTRE}, with options "
                         "as name:option=value; name+M for several scales, +C for copies, +L less the contrary's map; and ^G at "
                         "the end for a power of the map")
    return [known[base], *(AROUND[mark] for mark in around)]


def parse_method(text: str, known: dict[str, Method]) -> partial[Tensor]:
    """'gig_cam:steps=10:seed=1' -> the method with these options; 'grad_cam+M' -> it in `multi_scale`. ValueError if unknown.

    'grad_cam:relu=False^0.5' -> the method's map to that power (`Power`); the power stands last.
    """
    text, gamma = split_power(text)
    if gamma is not None:
        return partial(Power(parse_method(text, known), gamma))
    name, *options = text.split(":")
    method, *around = functions_of(name, known)
    pairs = [option.partition("=") for option in options]
    if not all(key.strip() and mark for key, mark, _ in pairs):
        raise ValueError(f"method {text!r}; accepted: name:option=value:option=value")
    for function in around:
        method = partial(function, method)
    return partial(method, **{key.strip(): _literal(key.strip(), value.strip()) for key, _, value in pairs})


def _literal(key: str, text: str) -> Any:
    """What a value on the command line means: a Python literal where it reads as one, else the text; a layer's name is text."""
    if key == "layer" and not text.startswith(("[", "(", "None")):
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # what Python raises for text that is no literal
        return text


def without_power(method: Method) -> tuple[Method, float | None]:
    """What `parse_method` gave, as the method that makes the maps and the power to which they are taken; None: none."""
    if isinstance(method, partial) and isinstance(method.func, Power):
        return partial(method.func.method, **method.keywords), method.func.gamma
    return method, None


def place_of(model: nn.Module) -> torch.device:
    """Where a network lies. Raises ValueError for one without weights: nothing would say where, or what was measured."""
    like = next(chain(model.parameters(), model.buffers()), None)
    if like is None:
        raise ValueError(f"{type(model).__name__} has neither parameters nor buffers; accepted: a network with weights, whose "
                         "checksum tells one run from another")
    return like.device


@contextmanager
def timed(seconds: dict[str, float], name: str, device: torch.device) -> Iterator[None]:
    """Add the body's wall-clock time to seconds[name], with the accelerator's queue emptied at both ends."""
    wait: Callable[[torch.device], object] = torch.cuda.synchronize if device.type == "cuda" else lambda *_: None
    wait(device)
    start = time.perf_counter()
    yield
    wait(device)
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start


def seeded(method: Method, seed: int, device: torch.device) -> Method:
    """The method with the common arguments; every call starts from the same random state, and the caller's is restored."""
    def run(model: nn.Module, images: Tensor, targets: Targets, layer: Layer = None) -> Tensor:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            return method(model, images, targets)
    return run


def remembered(method: Method) -> Method:
    """The method, which makes no map of pictures that it has seen a second time: for one model and one list of targets."""
    seen: list[tuple[Tensor, Tensor]] = []

    def run(model: nn.Module, images: Tensor, targets: Targets, layer: Layer = None) -> Tensor:
        for known, maps in seen:
            if torch.equal(known, images):
                return maps
        seen.append((images, method(model, images, targets)))
        return seen[-1][1]
    return run


_centre = lru_cache(maxsize=32)(centre_map)


def location(maps: list[Tensor], boxes: list[Tensor], metrics: Iterable[str], tolerance: float,
             inks: list[Tensor] | None = None) -> dict[str, list[float]]:
    """LOCATION at original size: on an accelerator maps of equal size in one batch, else one by one (cache).

    inks: per map the object's own pixels (H, W) bool, for pixel_ap_ink, or no box where they are not known.
    """
    values = {metric: [float("nan")] * len(maps) for metric in metrics if metric in LOCATION}
    kinds = [tuple(m.shape) if m.device.type != "cpu" else i for i, m in enumerate(maps)]
    for kind in dict.fromkeys(kinds):
        rows = [i for i, k in enumerate(kinds) if k == kind]
        stack, where = torch.stack([maps[i] for i in rows]), [boxes[i] for i in rows]
        ink = [NO_BOXES if inks is None else inks[i] for i in rows]
        games: dict[str, Callable[[], Tensor]] = {
            "pointing": partial(pointing_game, stack, where, tolerance), "energy": partial(energy_game, stack, where),
            "pixel_ap": partial(pixel_ap, stack, where), "pixel_ap_ink": partial(pixel_ap, stack, ink),
            "best_iou": partial(best_iou, stack, where)}
        for metric in values:
            found = games[metric]()
            for i, value in zip(rows, found.tolist(), strict=True):
                values[metric][i] = value
    return values


def faithfulness(model: nn.Module, images: Tensor, maps: Tensor, targets: Tensor, metrics: Sequence[str], link: str,
                 before: Tensor | None) -> dict[str, list[float]]:
    """Confidence metrics on the network's input: each masked batch is asked once, however many metrics read it."""
    values: dict[str, list[float]] = {}
    for variant in dict.fromkeys(CONFIDENCE[m][0] for m in metrics if m in CONFIDENCE):
        Y, O = drop_increase(model, images, maps, targets, variant, link=link, confidence_before=before)  # noqa: E741
        values |= {m: CONFIDENCE[m][1](Y, O).tolist() for m in metrics if m in CONFIDENCE and CONFIDENCE[m][0] == variant}
    if any(m in CURVES for m in metrics):
        curves = deletion_insertion(model, images, maps, targets, link=link)
        values |= {m: getattr(curves, f"{m}_auc").tolist() for m in metrics if m in CURVES}
    if any(m in EQUAL_AREA for m in metrics):
        areas = AREAS if any(m in EQUAL_AREA and m.endswith("_area") for m in metrics) else (AT,)
        parts = equal_area(model, images, maps, targets, areas=areas, link=link, confidence_before=before)
        for part, at in parts._asdict().items():
            columns = {f"{part}_area": at.mean(1), f"{part}_15": at[:, areas.index(AT)]}
            values |= {m: column.tolist() for m, column in columns.items() if m in metrics}
    if "area" in metrics:
        values["area"] = effective_area(maps).tolist()
    return values


def robustness(method: Method, model: nn.Module, images: Tensor, maps: Tensor, targets: Tensor, metrics: Sequence[str],
               link: str) -> dict[str, list[float]]:
    """Metrics that call the method again or ask the network often; the map of the image itself is not made a second time.

    road, road_least: mean confidence over the percentiles of `road`.
    """
    values: dict[str, Tensor] = {}
    if any(m in PARTS for m in metrics):
        values = adcc(method, model, images, targets, maps=maps, link=link)._asdict()
    if "sensitivity" in metrics:
        values["sensitivity"] = sensitivity_max(method, model, images, targets, maps=maps)
    if "infidelity" in metrics:
        values["infidelity"] = infidelity(model, images, maps, targets, link=link)
    values |= {m: road(model, images, maps, targets, order=REMOVED[m], link=link).mean(1) for m in metrics if m in REMOVED}
    values |= {m: unsteadiness(method, model, images, targets, maps=maps, kind=UNSTEADY[m]) for m in metrics if m in UNSTEADY}
    return {m: values[m].tolist() for m in (*PARTS, "sensitivity", "infidelity", *REMOVED, *UNSTEADY) if m in metrics}


def measure(model: nn.Module, pairs: list[Pair], methods: dict[str, Method], metrics: Sequence[str], *, link: str,
            tolerance: float, device: torch.device, seed: int, seconds: dict[str, float]) -> list[Row]:
    """Rows of some (sample, position of the class in it, target) triples; position None: a sample without classes.

    methods: name -> function; the centre baseline is added, for location only. Every call of a method starts from the same random
    state, made from `seed`; the caller's is restored. Pairs whose boxes are all difficult have no location. Adds to `seconds`:
    a method's own name stands for its map alone; calls that a metric makes count as "forwards". Methods that differ only in ^G
    share their calls, so that all but the first of them cost next to nothing.
    """
    samples = [sample for sample, _, _ in pairs]
    targets = torch.tensor([target for _, _, target in pairs], device=device)
    with timed(seconds, "location", device):
        images = torch.stack([s.image for s in samples]).to(device)
        head = [_head(*pair) for pair in pairs]
        boxes = [NO_BOXES if h["difficult"] else _boxes(s, c) for (s, c, _), h in zip(pairs, head, strict=True)]
        inks = [NO_BOXES if h["difficult"] else _ink(s, c) for (s, c, _), h in zip(pairs, head, strict=True)]
    with timed(seconds, "forwards", device):
        before = confidence(model, images, targets, link)
    table: list[list[Row]] = []  # method by method
    plain = {name: split_power(name)[0] for name in methods}
    made: dict[str, Method] = {}  # by plain name
    for name, method in {**methods, CENTRE: None}.items():
        values = {"confidence": before.tolist()}  # column -> a number per pair
        if method:
            base, gamma = without_power(method)
            if plain[name] not in made:
                base = seeded(base, seed, device)
                made[plain[name]] = remembered(base) if [*plain.values()].count(plain[name]) > 1 else base
            method = made[plain[name]] if gamma is None else Power(made[plain[name]], gamma)
            with timed(seconds, name, device):
                maps = method(model, images, targets)
            with timed(seconds, "forwards", device):
                values |= faithfulness(model, images, maps, targets, metrics, link, before)
                values |= robustness(method, model, images, maps, targets, metrics, link)
        if any(m in LOCATION for m in metrics):
            with timed(seconds, "location", device):
                if method:
                    full = [s.geometry.restore(m) for s, m in zip(samples, maps, strict=True)]
                else:
                    full = [_centre(s.geometry.size) for s in samples]
                values |= location(full, boxes, metrics, tolerance, inks)
        table.append([{**h, "method": name, **{k: v[i] for k, v in values.items()}} for i, h in enumerate(head)])
    return [row for rows_of_pair in zip(*table, strict=True) for row in rows_of_pair]


def _boxes(sample: Sample, position: int | None) -> Tensor:
    """The boxes of a sample's class, (n, 4); none where the sample has no classes."""
    return NO_BOXES if position is None else sample.boxes[position]


def _ink(sample: Sample, position: int | None) -> Tensor:
    """The pixels of a sample's class, (H, W) bool; no box where they are not known."""
    return NO_BOXES if position is None or sample.masks is None else sample.masks[position]


def _head(sample: Sample, position: int | None, target: int) -> Row:
    """What a row says before any method is run: the image, the class, and how hard its boxes are to find."""
    boxes = _boxes(sample, position)
    named, hard = str(target), False
    if position is not None:
        named, hard = str(sample.classes[position]), len(boxes) > 0 and bool(sample.difficult[position].all())
    share = box_share(boxes, sample.geometry.size) if len(boxes) else float("nan")
    return {"image": sample.name, "class": named, "classes": len(sample.classes), "difficult": int(hard), "share": share}
