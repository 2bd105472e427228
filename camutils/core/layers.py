"""Which layer to explain: found by name, by module, or by itself (the last convolutional stage)."""

from collections.abc import Sequence
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from .network import unwrap
from .targets import Targets

Layer = str | nn.Module | Sequence[str | nn.Module | None] | None  # a name, "all", a module, several; None: `default_layer`
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Mish, nn.Softplus)
NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2d)
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
LAST_STAGE = {"SqueezeNet": "features.12", "GoogLeNet": "inception5b", "Inception3": "Mixed_7c", "ShuffleNetV2": "conv5",
              "MNASNet": "layers", "RegNet": "trunk_output", "SwinTransformer": "permute"}  # families that no rule below covers


def default_layer(model: nn.Module, images: Tensor | None = None) -> str:
    """Name of the last convolutional stage, before the head pools it away.

    ResNet-like: `layer4`. Networks with `features`: that, or, where it ends in pooling (VGG, AlexNet), the ReLU before it.
    Other torchvision families: LAST_STAGE. Any other CNN: one forward pass of one image tells which convolution is the last
    to have a spatial map; with the batch norm and activation that follow it.
    Raises ValueError where no convolution with a spatial map is found.
    """
    net = unwrap(model)
    if type(net).__name__ in LAST_STAGE:
        return LAST_STAGE[type(net).__name__]
    if isinstance(getattr(net, "layer4", None), nn.Module):
        return "layer4"
    features = getattr(net, "features", None)
    if isinstance(features, nn.Sequential) and len(features):
        keep = len(features)
        while keep and isinstance(features[keep - 1], (*POOLS, nn.Dropout, nn.Flatten)):
            keep -= 1
        return "features" if keep == len(features) else f"features.{keep - 1}"
    return _last_convolution(net, images)


def _last_convolution(net: nn.Module, images: Tensor | None) -> str:
    """Trace one image: the last convolution whose output is wider than 1 x 1, and what directly follows it."""
    if images is None:
        raise ValueError("this network's stages are not known by name; give images so that one can be traced, or name a layer")
    calls: list[tuple[nn.Module, tuple[int, ...]]] = []  # (module, shape of what it put out), as they ran

    def record(module: nn.Module, args: object, out: object) -> None:
        calls.append((module, tuple(out.shape) if isinstance(out, Tensor) else ()))

    leaves = {m: n for n, m in net.named_modules() if n and not any(True for _ in m.children())}
    hooks = [m.register_forward_hook(record) for m in leaves]
    flags = [(m, m.training) for m in net.modules()]
    try:
        for m, _ in flags:
            m.training = False
        with torch.no_grad():
            net(images[:1])
    finally:
        for hook in hooks:
            hook.remove()
        for m, flag in flags:
            m.training = flag
    last = None
    for i, (m, shape) in enumerate(calls):
        if isinstance(m, nn.Conv2d) and len(shape) == 4 and shape[2] * shape[3] > 1:
            last = i
    if last is None:
        raise ValueError(f"{type(net).__name__} has no Conv2d with a spatial map at {tuple(images.shape[2:])}; name a layer")
    module, shape = calls[last]
    for following, its_shape in calls[last + 1 :]:
        if not isinstance(following, ACTIVATIONS + NORMS) or its_shape != shape:
            break
        module = following
    return leaves[module]


def find_layers(model: nn.Module, layer: Layer = None, images: Tensor | None = None,
                targets: Targets = None) -> dict[str, nn.Module]:
    """Name -> module of the layers that are asked for, in the order given.

    layer: None (`default_layer`), a dotted name, a module of the model, a list of these, or "all" (every convolution).
    Raises ValueError for an unknown name (nearest names suggested), a foreign module, an empty list or a repeated layer;
    TypeError for anything else.
    """
    net = unwrap(model)
    named = dict(net.named_modules())
    if isinstance(layer, str) and layer == "all" and "all" not in named:
        return {n: m for n, m in named.items() if isinstance(m, nn.Conv2d)}
    asked = list(layer) if isinstance(layer, (list, tuple)) else [layer]
    if not asked:
        raise ValueError("an empty list of layers was given; accepted: at least one layer")
    found: dict[str, nn.Module] = {}
    for one in asked:
        name = default_layer(net, images) if one is None else _name_of(net, named, one)
        if name in found:
            raise ValueError(f"layer {name!r} was given twice; accepted: every layer once")
        found[name] = named[name]
    return found


def _name_of(net: nn.Module, named: dict[str, nn.Module], layer: object) -> str:
    if isinstance(layer, nn.Module):
        inner = unwrap(layer)
        name = next((n for n, m in named.items() if m is layer or unwrap(m) is inner), None)
        if name is None:
            raise ValueError(f"the given {type(layer).__name__} is not a module of this {type(net).__name__}")
        return name
    if not isinstance(layer, str):
        raise TypeError(f"layer is a {type(layer).__name__}; accepted: None, a dotted name, a module, a list of these, or 'all'")
    if layer not in named or not layer:
        near = get_close_matches(layer, named, 4, 0.4) or [n for n in named if n.count(".") == 0 and n]
        raise ValueError(f"unknown layer {layer!r} in {type(net).__name__}; nearest: {', '.join(near)}")
    return layer
