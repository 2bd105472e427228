"""Which layers see a whole picture each: the stages of a network, whose outputs every path from image to score passes."""

from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from .capture import capture
from .layers import POOLS, default_layer
from .network import unwrap
from .probe import check_images, explain_failure

SILENT = (*POOLS, nn.Dropout, nn.Dropout2d, nn.Flatten, nn.Identity)

Traced = dict[tuple[tuple[str, ...], tuple[int, ...]], list[str]]  # (names of the modules, image size) -> stages
_TRACED: WeakKeyDictionary[nn.Module, Traced] = WeakKeyDictionary()


def _chain(net: nn.Module) -> dict[str, nn.Module]:
    """The network's children, taken to run one after another; plain `Sequential`s among them opened once: name -> module."""
    found: dict[str, nn.Module] = {}
    for name, child in net.named_children():
        if type(child) is nn.Sequential and len(child):
            found |= {f"{name}.{n}": m for n, m in child.named_children()}
        else:
            found[name] = child
    return found


def _nested(a: str, b: str) -> bool:
    """Are two names one module, or is one of the modules inside the other?"""
    return a == b or a.startswith(b + ".") or b.startswith(a + ".")


def _outermost(net: nn.Module, name: str) -> str:
    """The largest plain `Sequential` that ends with this module, hence puts out the same tensor; else the name itself."""
    while "." in name:
        parent, child = name.rsplit(".", 1)
        inner = net.get_submodule(parent)
        if type(inner) is not nn.Sequential or list(inner._modules)[-1] != child:
            break
        name = parent
    return name


def stages(model: nn.Module, images: Tensor | None = None, targets: object = None) -> list[str]:
    """Names of the stage outputs, in order, the last one being `default_layer`'s: where S = sum g*A + beta can be read.

    ResNet-like networks: `layer1` to `layer4`. All others: one image runs through; of the modules that follow one another
    (children of the network, plain `Sequential`s opened once; pooling, dropout and flattening left out) each one that is the last
    before the grid size or the number of channels changes. So a VGG gives the ReLU that ends each resolution or width,
    MobileNetV2 the nine groups of blocks of its table. That the network's children follow one another is taken for granted:
    for a network with branches on that level, name the layers. Swin's inner maps are channels-last: only its last one is
    given. images (B, 3, H, W): the first one is traced, once per network and size; None: a black one of 224 x 224.
    Raises ValueError, TypeError as `default_layer` and `probe_layers`.
    """
    net = unwrap(model)
    if type(net).__name__ == "SwinTransformer":
        return [default_layer(net)]
    numbered = [n for n, _ in net.named_children() if n.startswith("layer") and n[5:].isdigit()]
    if len(numbered) > 1 and numbered[-1] == "layer4":
        return numbered
    if images is None:
        weight = next(p for p in net.parameters() if p.ndim == 4)
        inputs = next((m.in_channels for m in net.modules() if isinstance(m, nn.Conv2d)), 3)
        images = torch.zeros(1, inputs, 224, 224, dtype=weight.dtype, device=weight.device)
    image, known = check_images(images)[:1], _TRACED.setdefault(net, {})
    key = (tuple(n for n, _ in net.named_modules()), tuple(image.shape[1:]))
    if key not in known:
        known[key] = _trace(net, image)
    return list(known[key])


def _trace(net: nn.Module, image: Tensor) -> list[str]:
    """One image through the network: what stands last before each change of grid size or channels."""
    chain = [n for n, m in _chain(net).items() if not isinstance(m, SILENT)]
    try:
        last = default_layer(net, image)
        with capture(net, chain) as seen:
            net(image)
    except RuntimeError as error:
        explained = explain_failure(error, net, image)
        raise explained from (None if explained is error else error)
    order = list(seen)  # as they ran
    around_last = [i for i, n in enumerate(order) if _nested(n, last)]
    if not around_last:
        return [last]
    end = around_last[-1]  # what runs later is the head's
    shapes = [tuple(seen[n].shape[1:]) for n in order[: end + 1]]
    names = []
    for i, shape in enumerate(shapes):
        is_map = len(shape) == 3 and shape[1] * shape[2] > 1
        if is_map and (i == end or shape != shapes[i + 1]):
            names.append(_outermost(net, order[i]))
    if not last.startswith(order[end] + "."):
        names[-1] = last
    return names
