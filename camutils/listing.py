"""`camutils layers MODEL` and `camutils methods`: what there is to choose from, as plain tables."""

import re
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .core.capture import capture
from .core.layers import default_layer
from .core.layouts import map_shape
from .core.names import split_name
from .core.probe import predict
from .core.stages import stages
from .methods import METHODS
from .networks.given import Given

SILENT = (nn.Identity, nn.ZeroPad2d, torch.jit.ScriptModule)  # they add nothing, or take no hook
WHEN = {  # method -> passes for one image (f forward, b backward, K channels of the layer), when to use it
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


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of words as lines with columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def method_table() -> list[str]:
    """Lines: every method, its passes through the network, when to use it, what it does."""
    rows = [("method", "passes", "when to use it", "what it does")]
    for name, method in METHODS.items():
        first = (method.__doc__ or "").splitlines()[0]
        rows.append((name, *WHEN[name], re.sub(r" \((?:[^()]|\([^()]*\))*\)", "", first).rstrip(".")))
    return aligned(rows)


def layer_table(network: Given) -> list[str]:
    """Lines: every layer with a map, in the order in which they run: name, channels x height x width, stride, default or stage.

    For one grey picture of the network's size. Raises ValueError where the network does not take it, or has no layer with a map.
    """
    x = network.to_device(torch.full((1, 3, network.crop, network.crop), 0.5))
    network.logits(x)  # raises what is to be said
    default, known = default_layer(network.model, x), stages(network.model, x)
    shapes = _shapes(network, x)
    with capture(network.model, list(dict.fromkeys([*known, default]))) as seen:
        predict(network.model, x)
    for name, A in seen.items():  # what functions make of a module's output stands behind the module
        if name not in shapes:
            module = split_name(name)[0]
            place = [*shapes].index(module) + 1 if module in shapes else len(shapes)
            listed = [*shapes.items()]
            shapes = dict([*listed[:place], (name, tuple(A.shape[1:])), *listed[place:]])
    rows = [("layer", "shape", "stride", "")]
    for name, (K, h, w) in shapes.items():
        marks = ["default"] * (name == default) + ["stage"] * (name in known)
        rows.append((name, f"{K} x {h} x {w}", f"{network.crop / h:.3g}", ", ".join(marks)))
    return aligned(rows)


def _shapes(network: Given, x: Tensor) -> dict[str, tuple[int, ...]]:
    """Layer -> (K, h, w) of what it puts out, where that is a map, in the order of the calls.

    Identities and padding are left out. "name[0]" is the first call of a module that is called several times, "name" the last.
    """
    calls: list[tuple[str, tuple[int, ...] | None]] = []

    def note(name: str, out: object) -> None:
        calls.append((name, map_shape(out.shape, (x.shape[2], x.shape[3])) if isinstance(out, Tensor) else None))

    handles = []
    try:
        for name, module in network.model.named_modules():
            if name and not isinstance(module, SILENT):
                handles.append(module.register_forward_hook(lambda _, args, out, name=name: note(name, out)))
        predict(network.model, x)
    finally:
        for handle in handles:
            handle.remove()
    times, done = Counter(name for name, _ in calls), Counter[str]()
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in calls:
        done[name] += 1
        if shape is not None:
            found[name if done[name] == times[name] else f"{name}[{done[name] - 1}]"] = shape
    return found
