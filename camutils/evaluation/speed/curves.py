"""How time and peak memory grow along one axis at a time, as the slope of a line through logarithms, beside what theory says.

Theory is a count, up to a factor: images, pixels, passes, floating-point operations. Its slope is fitted on the same values, so
that 1 + n forwards for n clusters are asked for a slope below 1. Memory is what a call holds at once.
"""

from collections.abc import Callable, Sequence
from math import log
from statistics import linear_regression
from typing import Any, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from ...core.capture import capture
from ...core.names import split_name
from ...methods import METHODS
from ...methods.parts.scales import SCALES
from .cases import METRIC, NAMES, Case, call
from .harness import Contestant, Run, interleave, spread
from .memory import peak
from .subjects import Subject, fewer

IMAGES, SIDES, CHANNELS = (1, 2, 4, 8), (1, 1.5, 2), (8, 16, 32, 64)
COUNTS = (4, 8, 16, 32)  # of steps and clusters; the last step of a path has nothing to choose, which shows where there are few
LARGE = 224  # side at which clusters are counted: of smaller images all masks go at once, and memory grows with them
SLACK = 0.1  # a slope so much above theory's still meets it
SHORT: dict[str, dict[str, Any]] = {  # options that keep a curve along another axis short
    "integrated_grad_cam": {"steps": 2}, "gig_cam": {"steps": 2}, "gig_cam_m": {"steps": 1, "scales": SCALES[:2]},
    "score_cam": {"chunk": 4}, "cluster_cam": {"n_clusters": 4}, "combined_cam": {"n_clusters": 4},
    METRIC: {"steps": 4, "chunk": 4},
}
Number = Callable[[Any], float]  # value on the axis -> a count, up to a factor


class Curve(NamedTuple):
    """An axis, a method, the values, what is run at each, and the counts that time and memory should grow with."""

    axis: str
    method: str
    values: Sequence[float]
    run: Callable[[Any], Run]
    time: Number
    memory: Number


class Point(NamedTuple):
    """One value of a curve: median and quartiles of the seconds, bytes at the worst moment."""

    value: float
    seconds: float
    low: float
    high: float
    bytes: int


def slope(values: Sequence[float], counts: Sequence[float]) -> float:
    """The exponent p of counts ~ values^p: least squares on logarithms."""
    return linear_regression([log(v) for v in values], [log(c) for c in counts]).slope


def _at(own: Subject, method: str, *, batch: int = 1, scale: float = 1, **options: Any) -> Run:
    case = Case(method, batch, SHORT.get(method, {}) | options)
    return call(case, own, own.images(batch, scale), own.classes(batch))


def _along(own: Subject, method: str, axis: str, **fixed: Any) -> Callable[[Any], Run]:
    """Function: value -> what is run with this value of `axis`: batch, scale, or an option of the method."""
    return lambda value: _at(own, method, **fixed, **{axis: value})


def _same(value: float) -> float:
    return value


def _squared(value: float) -> float:
    return value**2


def _flat(value: float) -> float:
    return 1


def curves(own: Subject, methods: Sequence[str] = NAMES) -> list[Curve]:
    """Every curve of a network, of the methods that are asked for."""
    few, large = fewer(own, 16), max(1, LARGE / own.size)
    found = []
    for name in NAMES:
        net = few if name == "score_cam" else own
        found.append(Curve("images", name, IMAGES, _along(net, name, "batch"), _same, _same))
        found.append(Curve("image size", name, SIDES, _along(net, name, "scale"), _squared, _squared))
    found += [
        Curve("channels", "score_cam", CHANNELS, lambda k: _at(fewer(own, k), "score_cam"), lambda k: 1 + k, _flat),
        Curve("channels", "cluster_cam", CHANNELS, lambda k: _at(fewer(own, k), "cluster_cam"), _flat, _flat),
        Curve("steps", "integrated_grad_cam", COUNTS, _along(own, "integrated_grad_cam", "steps"), _same, _flat),
        Curve("steps", "gig_cam", COUNTS, _along(own, "gig_cam", "steps"), _same, _flat),
        Curve("steps", METRIC, COUNTS, _along(own, METRIC, "steps"), lambda t: 1 + 2 * t, _flat),
        Curve("clusters", "cluster_cam", COUNTS, _along(own, "cluster_cam", "n_clusters", scale=large),
              lambda n: 1 + n, _flat),
        Curve("clusters", "combined_cam", COUNTS, _along(own, "combined_cam", "n_clusters", scale=large),
              lambda n: 2 + n, _flat),  # one forward, one backward, n forwards behind masks
        Curve("layers", "integrative_cam", range(1, len(own.stages) + 1), lambda n: _layers_run(own, n),
              lambda n: _operations(own, n), lambda n: _entries(own, n)),
        Curve("scales", "gig_cam_m", (1, 2, 3, 4), lambda n: _at(own, "gig_cam_m", scales=SCALES[:n]),
              lambda n: sum(s**2 for s in SCALES[:n]), lambda n: SCALES[n - 1] ** 2),
    ]
    return [curve for curve in found if curve.method in methods]


def _layers_run(own: Subject, n: int) -> Run:
    x, classes = own.images(1), own.classes(1)
    return lambda: METHODS["integrative_cam"](own.model, x, classes, own.stages[-n:])


def _operations(own: Subject, n: int) -> float:
    """Operations of a pass forward, and backward to the last n stages: as many as forward above them, none for the weights."""
    below: list[int] = []  # operations up to the first of the n stages
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module, call, _ = split_name(own.stages[-n])
        hook = own.model.get_submodule(module).register_forward_hook(lambda m, i, out: below.append(counter.get_total_flops()))
        own.model(own.images(1))
        hook.remove()
    total = counter.get_total_flops()
    return total + total - below[-1 if call is None else call]


def _entries(own: Subject, n: int) -> float:
    """Entries of the activations of the last n stages; with their gradients twice as many."""
    with capture(own.model, own.stages[-n:]) as A:
        own.model(own.images(1))
    return sum(a.numel() for a in A.values())


def measure(curve: Curve, rounds: int, device: torch.device) -> list[Point]:
    """Time and memory at every value, interleaved."""
    runs = {value: curve.run(value) for value in curve.values}
    for run in runs.values():
        run()  # warm-up
    taken = interleave([Contestant(str(value), run) for value, run in runs.items()], rounds)
    return [Point(value, *spread(taken[str(value)]), peak(run, device)) for value, run in runs.items()]


def verdict(found: float, theory: float) -> str:
    """Does it grow no faster than theory says?"""
    return "met" if found <= theory + SLACK else "missed"
