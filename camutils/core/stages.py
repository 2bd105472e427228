"""Which layers see a whole picture each: the stages of a network, whose outputs every path from image to score passes."""

from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from .layers import POOLS, default_layer, unwrap
from .probe import capture, check_images, explain_failure

SILENT = (*POOLS, nn.Dropout, nn.Dropout2d, nn.Flatten, nn.Identity)

Traced = dict[tuple[tuple[str, ...], tuple[int, ...]], list[str]]  # (names of the modules, image size) -> stages
_TRACED: WeakKeyDictionary[nn.Module, Traced] = WeakKeyDictionary()


def _chain(net: nn.Module) -> dict[str, nn.Module]:
    """The network's children, taken to run one after another; plain `Sequential`s among them opened once: name -> module."""
    found: dict[str, nn.Module] = {}
    for name, child in net.named_children():
        inside = {f"{name}.{n}": m for n, m in child.named_children()} if type(child) is nn.Sequential else {}
        found |= inside or {name: child}
    return found


def _outermost(net: nn.Module, name: str) -> str:
    """The largest plain `Sequential` that ends with this module, hence puts out the same tensor; else the name itself."""
    while "." in name:
        parent, child = name.rsplit(".", 1)
        inner = net.get_submodule(parent)
        if type(inner) is not nn.Sequential or list(inner._modules)[-1] != child:
            break
        name = parent
    return name


def stages(model: nn.Module, images: Tensor | None = None) -> list[str]:
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
    order = list(seen)
    inside = [i for i, n in enumerate(order) if n == last or n.startswith(last + ".") or last.startswith(n + ".")]
    if not inside:
        return [last]
    shapes = [seen[n].shape[1:] for n in order[: inside[-1] + 1]]
    ends = [i for i, s in enumerate(shapes) if len(s) == 3 and s[1] * s[2] > 1 and (i + 1 == len(shapes) or s != shapes[i + 1])]
    names = [_outermost(net, order[i]) for i in ends]
    if not last.startswith(order[inside[-1]] + "."):
        names[-1] = last
    return names
