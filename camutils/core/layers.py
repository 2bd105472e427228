"""Which layer to explain: found by name, by module, or by itself (the last map that every path to the score passes)."""

from collections.abc import Sequence
from difflib import get_close_matches

from torch import Tensor, nn

from .names import split_name
from .network import as_network, unwrap
from .targets import Targets
from .trace import traced

Layer = str | nn.Module | Sequence[str | nn.Module | None] | None  # a name, "all", a module, several; None: `default_layer`
NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2d)


def default_layer(model: nn.Module, images: Tensor | None = None, targets: Targets = None) -> str:
    """Name of the last layer with a map of more than 1 x 1 that every path from picture to score passes.

    One image is traced (`trace.traced`), once per network and picture size; so a ResNet gives `layer4`, networks with `features`
    that, or, where it ends in pooling (VGG, AlexNet), the ReLU before it; a network that somebody else wrote, or that is held by
    another module, what corresponds. A classifier written as 1 x 1 convolution (SqueezeNet) belongs to the head. Spelled as
    `find_layers` reads it. A warning tells, once, where an activation function follows that no module puts out, and where later
    layers have shrunk to 1 x 1. images (B, C, H, W); None: a black one of 224 x 224. targets: only a callable one has a say.
    Raises ValueError where no gradient leads to the picture, and where no map is on every path; as `score` for other outputs.
    """
    return traced(model, images, targets).default


def find_layers(model: nn.Module, layer: Layer = None, images: Tensor | None = None,
                targets: Targets = None) -> dict[str, nn.Module]:
    """Name -> module of the layers that are asked for, in the order given.

    layer: None (`default_layer`), a dotted name, a module of the model, a list of these, or "all" (every convolution). A name may
    say which call of a module counts, "relu[0]", and which functions follow it where no module puts out what is wanted:
    "conv2:add:relu" is what relu makes of what add makes of what conv2 puts out.
    Raises ValueError for an unknown name (nearest names suggested), a foreign module, an empty list or a repeated layer;
    TypeError for anything else.
    """
    net = unwrap(model)
    if isinstance(layer, str) and layer == "all" and _module(net, "all") is None:
        return {n: m for n, m in net.named_modules() if isinstance(m, nn.Conv2d)}
    asked = list(layer) if isinstance(layer, (list, tuple)) else [layer]
    if not asked:
        raise ValueError("an empty list of layers was given; accepted: at least one layer")
    found: dict[str, nn.Module] = {}
    for one in asked:
        name = default_layer(as_network(model), images, targets) if one is None else _name_of(net, one)
        if name in found:
            raise ValueError(f"layer {name!r} was given twice; accepted: every layer once")
        module = _module(net, split_name(name)[0])
        assert module is not None  # `_name_of` has looked, and `default_layer` names what it has seen
        found[name] = module
    return found


def _module(net: nn.Module, name: str) -> nn.Module | None:
    """The module of a dotted name, "" the network, or None; asked at every call, so without a list of all names."""
    found: nn.Module | None = net
    for part in name.split(".") if name else ():
        found = dict(found.named_children()).get(part) if found is not None else None
    return found


def _name_of(net: nn.Module, layer: object) -> str:
    if isinstance(layer, nn.Module):
        inner = unwrap(layer)
        name = next((n for n, m in net.named_modules() if m is layer or unwrap(m) is inner), None)
        if name is None:
            raise ValueError(f"the given {type(layer).__name__} is not a module of this {type(net).__name__}")
        return name
    if not isinstance(layer, str):
        raise TypeError(f"layer is a {type(layer).__name__}; accepted: None, a dotted name, a module, a list of these, or 'all'")
    module = split_name(layer)[0]
    if not module or _module(net, module) is None:
        named = [n for n, _ in net.named_modules()]
        near = get_close_matches(layer, named, 4, 0.4) or [n for n in named if n.count(".") == 0 and n]
        raise ValueError(f"unknown layer {layer!r} in {type(net).__name__}; nearest: {', '.join(near)}")
    return layer
