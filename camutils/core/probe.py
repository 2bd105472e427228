"""Activations and gradients at layers of any network: the only file that knows hooks.

The trunk below the first probed layer runs without a graph; from there on the score's graph is kept, and one call of
`torch.autograd.grad` gives dS/dA. Nothing of the caller's is changed: flags, gradients, hooks, random state. Shown step by
step in notebooks/01_grad_cam_family.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import RLock
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .layers import Layer, find_layers, unwrap
from .targets import Targets, fixed, score

STANCE = RLock()


class Probed(NamedTuple):
    """What one pass saw: layer name -> activation A (B,K,h,w), layer name -> gradient dS/dA, score S (B,), the output."""

    A: dict[str, Tensor]
    g: dict[str, Tensor]
    S: Tensor
    output: Any  # whatever the network returns


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run the body with every submodule in eval mode; afterwards each one's own flag is back."""
    flags = [(module, module.training) for module in model.modules()]
    for module, _ in flags:
        module.training = False
    try:
        yield
    finally:
        for module, flag in flags:
            module.training = flag


@contextmanager
def capture(model: nn.Module, layers: Layer, *, gradients: bool = False) -> Iterator[dict[str, Tensor]]:
    """Record what layers put out while the body calls the model: yields a dict, layer name -> A, filled by that call.

        with capture(model, ["layer3", "layer4"], gradients=True) as A:
            S = model(images)[:, 243]
            g = torch.autograd.grad(S.sum(), list(A.values()))

    layers: whatever `find_layers` takes. gradients=True starts a graph at the first of these layers that runs (what is below
    runs without one) and keeps it to the end of the body; otherwise nothing has a graph. A layer that is called several times
    is recorded as of its last call. Inside, the network is in eval mode, and compiled parts run uncompiled.
    Raises ValueError, TypeError as `find_layers`; ValueError where a layer puts out something that is not a tensor.
    """
    net = unwrap(model)
    recorded: dict[str, Tensor] = {}

    def recorder(name: str) -> Callable[[nn.Module, object, object], Tensor]:
        def hook(module: nn.Module, args: object, out: object) -> Tensor:
            if not isinstance(out, Tensor):
                raise ValueError(f"layer {name!r} puts out a {type(out).__name__}; accepted: a layer that puts out one tensor")
            if gradients:
                torch.set_grad_enabled(True)
                if not out.requires_grad:  # nothing below keeps a graph: it starts here
                    out = out.detach().requires_grad_()
            recorded[name] = out
            return out.clone()  # an in-place operation that follows changes the copy, not the record

        return hook

    with ExitStack() as stack:
        for name, module in find_layers(net, layers).items():
            stack.callback(module.register_forward_hook(recorder(name)).remove)
        if any(hasattr(m, "_orig_mod") or m._compiled_call_impl is not None for m in [model, *net.modules()]):
            stack.enter_context(STANCE)  # which is the whole process's: one thread at a time
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(evaluating(net))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        yield recorded


def check_images(images: Tensor) -> Tensor:
    """The images, if they are a non-empty batch (B, C, H, W) of finite floats; else TypeError or ValueError."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        got = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"images are {got}; accepted: a float tensor (B, 3, H, W), RGB in [0, 1] for networks of load_model")
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"images have shape {tuple(images.shape)}; accepted: (B, 3, H, W) with B, H, W > 0")
    finite = images.detach().isfinite().flatten(1).all(1)
    if not finite.all():
        raise ValueError(f"images {(~finite).nonzero()[:, 0].tolist()} of the batch hold NaN or Inf; accepted: finite values")
    with torch.inference_mode(False):
        return images.clone() if images.is_inference() else images.detach()


def explain_failure(error: RuntimeError, net: nn.Module, images: Tensor) -> Exception:
    """A forward pass failed: if the images do not fit the network, say how; else the error itself."""
    weight = next((p for p in net.parameters() if p.is_floating_point()), images)
    first = next((m for m in net.modules() if isinstance(m, nn.Conv2d)), None)
    if weight.device != images.device:
        return ValueError(f"images are on {images.device}, the network on {weight.device}; accepted: both on one device")
    if first is not None and first.in_channels != images.shape[1]:
        return ValueError(f"images have {images.shape[1]} channels; accepted by this network: {first.in_channels}")
    if weight.dtype != images.dtype:
        return TypeError(f"images are {images.dtype}, the network is {weight.dtype}; accepted: the same type, or autocast")
    return error


def run(net: nn.Module, images: Tensor) -> Any:
    """What the network puts out, under no_grad; also for one that cannot read channels-last because it calls `view`."""
    try:
        return net(images)
    except RuntimeError as error:
        if "view size is not compatible" not in str(error):
            raise
        torch.set_grad_enabled(False)  # a hook of `capture` may have begun a graph
        return net(images.contiguous())


def predict(model: nn.Module, images: Tensor) -> Any:
    """What the network puts out for `images` (already checked): eval mode, no graph; flags are restored."""
    net = unwrap(model)
    try:
        with evaluating(net), torch.inference_mode(False), torch.no_grad():
            return run(net, images)
    except RuntimeError as error:
        explained = explain_failure(error, net, images)
        raise explained from (None if explained is error else error)


def _check_maps(A: dict[str, Tensor], layers: list[str]) -> None:
    """ValueError for a layer that was not reached, or whose activation is no spatial map."""
    accepted = "accepted: a layer with a spatial map (B, K, h, w)"
    for n in layers:
        if n not in A:
            raise ValueError(f"layer {n!r} is not reached; {accepted}")
    for n, a in A.items():
        if a.ndim != 4:
            raise ValueError(f"layer {n!r} has shape {tuple(a.shape)}; {accepted}")


def probe_layers(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None) -> Probed:
    """Activations and gradients at one or several layers from one forward and one backward pass.

        A^l (B,K_l,h_l,w_l),    g^l = dS/dA^l (same shape),    S (B,)

    Half-precision activations and gradients come back as float32. layer: as `find_layers`; targets: as `score`.
    Raises ValueError or TypeError for bad images, targets or layers, for a layer without a spatial map, for one that the
    forward pass does not reach and for one that the score does not depend on.
    """
    images, net = check_images(images), unwrap(model)
    g: Sequence[Tensor | None]
    try:
        layers = list(find_layers(net, layer, images))
        with capture(model, layers, gradients=True) as A:
            output = run(net, images)
            _check_maps(A, layers)
            S = score(output, targets, len(images))
            if S.requires_grad:
                g = torch.autograd.grad(S.sum(), [A[n] for n in layers], allow_unused=True)
            else:
                g = [None] * len(layers)
    except RuntimeError as error:
        explained = explain_failure(error, net, images)
        raise explained from (None if explained is error else error)
    for name, gradient in zip(layers, g, strict=True):
        if gradient is None:
            raise ValueError(f"the score does not depend on layer {name!r}; accepted: a layer between image and score")
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
    images, net = check_images(images), unwrap(model)
    layers = list(find_layers(net, layer, images))
    if len(layers) > 1:
        raise ValueError(f"{len(layers)} layers given ({', '.join(layers)}); accepted here: one")
    with capture(model, layers) as seen:
        output = predict(model, images)
    _check_maps(seen, layers)
    A = seen[layers[0]]
    if A.is_quantized:
        A = A.dequantize()
    else:
        A = A.to(torch.promote_types(A.dtype, torch.float32))
    return A, fixed(output, targets), score(output, targets, len(images)).detach()
