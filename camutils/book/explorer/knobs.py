"""Which knobs a method has, from its signature, and how much work it will be with them."""

from inspect import Parameter, signature
from typing import Any

from ...methods import METHODS
from .words import AT_ONCE, FIRST, HIDDEN, KNOBS, PASSES, Choice, Knob


def options_of(method: str) -> dict[str, Any]:
    """Option -> default, of a method's own options that change its map, those of `words.FIRST` first."""
    found = {p.name: p.default for p in signature(METHODS[method]).parameters.values()
             if p.kind is Parameter.KEYWORD_ONLY and p.name not in HIDDEN}
    return {name: found[name] for name in sorted(found, key=lambda n: FIRST.index(n) if n in FIRST else len(FIRST))}


def knobs_of(method: str) -> dict[str, tuple[Knob, Any]]:
    """Option -> its knob and its default; a default that a list of choices lacks stands first in it.

    Raises KeyError for an option that has no line in `words.KNOBS`.
    """
    found: dict[str, tuple[Knob, Any]] = {}
    for name, default in options_of(method).items():
        knob = KNOBS.get(f"{method}.{name}") or KNOBS[name]
        if isinstance(knob, Choice) and default not in knob.values:
            knob = Choice(knob.label, (default, *knob.values))
        found[name] = (knob, default)
    return found


def changed(method: str, options: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What differs from the defaults, in the order of the knobs; "layer" (default None) at the end."""
    defaults = {**options_of(method), "layer": None}
    return tuple((name, options[name]) for name in defaults if name in options and options[name] != defaults[name])


def passes(method: str, options: dict[str, Any], channels: int = 0, stages: int = 1) -> float:
    """About how many passes of one picture through the network a map takes, a larger copy counted by its pixels.

    channels: of the layer, which Score-CAM asks one by one; stages: how many the network has. A method that looks at one layer
    takes its passes again for each of several; one pass is enough for the methods of `words.AT_ONCE`.
    """
    given, layer = {**options_of(method), **options}, options.get("layer")
    last = layer is None and (method not in AT_ONCE or given["layer_weight"] == "last")
    layers = len(layer) if isinstance(layer, tuple) else 1 if last or layer else stages
    return (1 if method in AT_ONCE else layers) * PASSES[method]({**given, "layers": layers}, channels)
