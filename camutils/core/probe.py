"""Activations and gradients at layers of any network, in one forward and one backward pass.

The trunk below the first probed layer runs without a graph; from there on the score's graph is kept, and one call of
`torch.autograd.grad` gives dS/dA. Shown step by step in notebooks/01_grad_cam_family.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn

from .capture import Recorded, capture
from .layers import Layer, find_layers
from .names import split_name
from .network import Network, as_network, evaluating, unwrap
from .targets import Targets, fixed, score
from .trace import traced

_TOLD: WeakKeyDictionary[nn.Module, set[str]] = WeakKeyDictionary()  # network -> layers of which a warning was given
_VIEWING: WeakSet[nn.Module] = WeakSet()  # networks that cannot read channels-last


class Probed(NamedTuple):
    """What one pass saw: layer name -> activation A (B,K,h,w), layer name -> gradient dS/dA, score S (B,), the output."""

    A: dict[str, Tensor]
    g: dict[str, Tensor]
    S: Tensor
    output: Any  # whatever the network returns


def check_images(images: Tensor) -> Tensor:
    """The images, if they are a non-empty batch (B, C, H, W) of finite floats; else TypeError or ValueError."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        got = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"images are {got}; accepted: a float tensor (B, 3, H, W), RGB in [0, 1] for networks of load_model")
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"images have shape {tuple(images.shape)}; accepted: (B, 3, H, W) with B, H, W > 0")
    pixels = images.detach().flatten(1)
    finite = pixels.amin(1).isfinite() & pixels.amax(1).isfinite()  # NaN passes through both
    if not finite.all():
        raise ValueError(f"images {(~finite).nonzero()[:, 0].tolist()} of the batch hold NaN or Inf; accepted: finite values")
    with torch.inference_mode(False):
        return images.clone() if images.is_inference() else images.detach()


def explain_failure(error: Exception, model: nn.Module, images: Tensor) -> Exception:
    """A forward or backward pass failed: if images and network do not go together, say how; else the error itself."""
    net = unwrap(model)
    weight = next((p for p in net.parameters() if p.is_floating_point()), images)
    first = next((m for m in net.modules() if isinstance(m, nn.Conv2d)), None)
    said = str(error)
    if weight.device != images.device:
        return ValueError(f"images are on {images.device}, the network on {weight.device}; accepted: both on one device")
    if first is not None and first.in_channels != images.shape[1]:
        return ValueError(f"images have {images.shape[1]} channels; accepted by this network: {first.in_channels}")
    if weight.dtype != images.dtype:
        return TypeError(f"images are {images.dtype}, the network is {weight.dtype}; accepted: the same type, or autocast")
    if "use_reentrant" in said or "Checkpointing is not compatible" in said:
        return ValueError("the layer lies inside or below a reentrant checkpoint, which gives no gradient at it; accepted: "
                          "torch.utils.checkpoint with use_reentrant=False, a layer above it, or a method that needs no "
                          "gradient: score_cam, cluster_cam")
    about_size = any(word in said.lower() for word in ("height", "width", "size", "shape"))
    sizes_clash = any(words in said for words in SIZES_CLASH)
    if sizes_clash or (isinstance(error, AssertionError) and about_size):
        H, W = images.shape[-2:]
        return ValueError(f"this network does not take images of {H} x {W} pixels ({said}); a linear layer behind a flattening, "
                          "or a table of positions, fixes the size; other sizes (multi_scale, scales=...) need a network that "
                          "pools over space first")
    return error


SIZES_CLASH = ("shapes cannot be multiplied", "must match the size of tensor", "is invalid for input of size")  # as PyTorch says
FAILURES = (RuntimeError, AssertionError)  # what PyTorch and networks raise where images do not fit


def run(model: nn.Module, images: Tensor, rows: Tensor | None = None) -> Any:
    """What the network puts out, under no_grad. On a CPU the images go in channels-last: as fast, or up to 3 x faster.

    A network that cannot read them so, because it calls `view`, gets them channel by channel, from its first failure on.
    """
    network = as_network(model)
    if images.device.type == "cpu" and network.net not in _VIEWING:
        try:
            return network(images.contiguous(memory_format=torch.channels_last), rows)
        except RuntimeError as error:
            if "view size is not compatible" not in str(error):
                raise
        torch.set_grad_enabled(False)  # a hook of `capture` may have begun a graph
        _VIEWING.add(network.net)
    return network(images.contiguous() if network.net in _VIEWING else images, rows)


def predict(model: nn.Module, images: Tensor, rows: Tensor | None = None) -> Any:
    """What the network puts out for `images` (already checked): no graph; eval mode, flags are restored. rows: as `Network`."""
    network = as_network(model)
    try:
        with evaluating(network), torch.inference_mode(False), torch.no_grad():
            return run(network, images, rows)
    except FAILURES as error:
        explained = explain_failure(error, network, images)
        raise explained from (None if explained is error else error)


def _check_maps(A: Recorded, layers: list[str], batch: int) -> None:
    """ValueError for a layer that was not reached, or whose output is no map of each image."""
    accepted = "accepted: a layer with a spatial map (B, K, h, w)"
    for n in layers:
        if n not in A:
            calls = A.calls[n]
            if calls:
                raise ValueError(f"layer {n!r} is called {calls} time{'s' * (calls > 1)}; accepted as call: -1, 0 to {calls - 1}")
            raise ValueError(f"layer {n!r} is not reached; {accepted} that the forward pass calls as a module (a network of "
                             "torch.jit, torch.export or torch.fx calls none)")
    for n, a in A.items():
        if a.ndim != 4:
            raise ValueError(f"layer {n!r} has shape {tuple(a.shape)}; {accepted}, or reshape='tokens', 'channels_last' or a "
                             "function that makes one of it")
        if len(a) != batch:
            raise ValueError(f"layer {n!r} sees {len(a)} pictures for {batch} image{'s' * (batch > 1)} (a clip folded into "
                             f"the batch?); {accepted} with the images' B")


def _tell_calls(network: Network, calls: Mapping[str, int], images: Tensor, targets: Targets) -> None:
    """Warn, once, of a layer that the caller named and that is called several times."""
    told = _TOLD.setdefault(network.net, set())
    for n, count in calls.items():
        if count > 1 and n not in told and split_name(n)[1] is None and not _found(network, n, images, targets):
            told.add(n)
            warnings.warn(f"layer {n!r} is called {count} times in one forward pass; call= chooses which one counts, 0 to "
                          f"{count - 1}, -1 (the default) the last", stacklevel=4)


def _found(network: Network, layer: str, images: Tensor, targets: Targets) -> bool:
    """Is this one of the layers that are found by themselves? Then the last call is meant."""
    try:
        return layer in (*traced(network, images, targets).stages, traced(network, images, targets).default)
    except (ValueError, TypeError):
        return False


def _no_gradient(model: nn.Module, images: Tensor, targets: Targets, layer: str) -> str:
    """Why the score has no gradient at a layer, found by moving what it puts out and asking again."""
    network = as_network(model)
    module = dict(network.net.named_modules())[split_name(layer)[0]]

    def moved(module: nn.Module, args: object, out: Tensor) -> Tensor:
        return out + 1 + torch.rand(out.shape, generator=torch.Generator().manual_seed(0)).to(out)

    before = score(predict(network, images), targets, len(images))
    handle = module.register_forward_hook(moved)
    try:
        after = score(predict(network, images), targets, len(images))
    finally:
        handle.remove()
    if torch.equal(before, after):
        return f"the score does not depend on layer {layer!r}; accepted: a layer between image and score"
    return (f"the score depends on layer {layer!r}, but the forward pass lets no gradient through to it (no_grad, detach, "
            "rounding or an arg max on the way); accepted: a layer above that place, or a method that needs no gradient: "
            "score_cam, cluster_cam")


def probe_layers(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None) -> Probed:
    """Activations and gradients at one or several layers from one forward and one backward pass.

        A^l (B,K_l,h_l,w_l),    g^l = dS/dA^l (same shape),    S (B,)

    Half-precision activations and gradients come back as float32. layer: as `find_layers`; targets: as `score`. model: a
    network, or a `Network` with further inputs, an output function, an arrangement of the layer.
    Raises ValueError or TypeError for bad images, targets or layers, for a layer without a spatial map of each image, for one
    that the forward pass does not reach, for one that the score does not depend on or has no gradient at.
    """
    images, network = check_images(images), as_network(model)
    g: Sequence[Tensor | None]
    try:
        layers = list(find_layers(network, layer, images, targets))
        with capture(network, layers, gradients=True) as A:
            output = run(network, images)
            _check_maps(A, layers, len(images))
            S = score(output, targets, len(images))
            if S.requires_grad:
                g = torch.autograd.grad(S.sum(), [A[n] for n in layers], allow_unused=True)
            else:
                g = [None] * len(layers)
    except FAILURES as error:
        explained = explain_failure(error, network, images)
        raise explained from (None if explained is error else error)
    for name, gradient in zip(layers, g, strict=True):
        if gradient is None:
            raise ValueError(_no_gradient(network, images, fixed(output, targets), name))
    _tell_calls(network, A.calls, images, targets)
    exact = {n: torch.promote_types(A[n].dtype, torch.float32) for n in layers}
    activations = {n: A[n].detach().to(exact[n]) for n in layers}
    gradients = {n: d.to(exact[n]) for n, d in zip(layers, g, strict=True) if d is not None}
    return Probed(activations, gradients, S.detach(), output)


def probe(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None) -> tuple[Tensor, Tensor]:
    """Activation A and gradient g = dS/dA at one layer, both (B, K, h, w). Errors: as `probe_layers`."""
    seen = probe_layers(model, images, targets, layer)
    if len(seen.A) > 1:
        raise ValueError(f"{len(seen.A)} layers given ({', '.join(seen.A)}); accepted here: one")
    (A,), (g,) = seen.A.values(), seen.g.values()
    return A, g


def activation(model: nn.Module, images: Tensor, targets: Targets = None,
               layer: Layer = None) -> tuple[Tensor, Targets, Tensor]:
    """Activation A (B, K, h, w) of one layer without any gradient, the targets (arg max in place of None), the score S (B,).

    One forward pass; half precision and quantised activations come back as float32. Errors: as `probe_layers`.
    """
    images, network = check_images(images), as_network(model)
    layers = list(find_layers(network, layer, images, targets))
    if len(layers) > 1:
        raise ValueError(f"{len(layers)} layers given ({', '.join(layers)}); accepted here: one")
    with capture(network, layers) as seen:
        output = predict(network, images)
    _check_maps(seen, layers, len(images))
    _tell_calls(network, seen.calls, images, targets)
    A = seen[layers[0]]
    if A.is_quantized:
        A = A.dequantize()
    else:
        A = A.to(torch.promote_types(A.dtype, torch.float32))
    return A, fixed(output, targets), score(output, targets, len(images)).detach()
