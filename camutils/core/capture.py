"""What layers put out while a network runs, recorded by hooks.

Nothing of the caller's is changed: flags, gradients, hooks, random state. Shown step by step in notebooks/01_grad_cam_family.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import RLock, get_ident
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vjp
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from .layers import Layer, find_layers
from .layouts import layout_of
from .names import function_name, split_name
from .network import Network, alone, as_network, evaluating

Keep = Callable[[str, object], Tensor]  # spelled name of a layer, what it put out -> what the network goes on with

STANCE = RLock()


class Recorded(dict[str, Tensor]):
    """Layer -> what it put out, in the order in which the layers ran; calls: layer -> how often it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()


class _Following(TorchFunctionMode):
    """Wait for the results of functions: "conv2:add:relu" is relu of add of what conv2 puts out."""

    def __init__(self, keep: Keep) -> None:
        super().__init__()
        self.keep = keep
        self.chains: dict[str, tuple[tuple[str, ...], list[Tensor | None]]] = {}  # layer -> functions, the tensor at every step

    def follow(self, layer: str, functions: tuple[str, ...]) -> None:
        self.chains[layer] = functions, [None] * len(functions)

    def begin(self, layer: str, out: Tensor) -> None:
        """The module of this layer has put out `out`."""
        self.chains[layer][1][0] = out

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = function_name(func)
        for layer, (functions, at) in self.chains.items():
            if name not in functions or not isinstance(out, Tensor):
                continue
            given = tree_leaves((args, kwargs))
            for step, wanted in enumerate(functions):
                if name == wanted and at[step] is not None and any(one is at[step] for one in given):
                    if step + 1 == len(functions):
                        out = self.keep(layer, out)
                    else:
                        at[step + 1] = out
                    break
        return out


def _rearranged(out: Tensor, arrange: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """The layer's output as a map R, and the output again, made of R, so that gradients at R are those of its entries.

        out = (out - back(arrange(out))) + back(R),    back: the adjoint of `arrange`, which puts every entry where it was
    """
    R, back = vjp(arrange, out)[:2]
    return R, out - back(arrange(out))[0] + back(R)[0]


@contextmanager
def capture(model: nn.Module, layers: Layer, *, gradients: bool = False) -> Iterator[Recorded]:
    """Record what layers put out while the body calls the model: yields a dict, layer name -> A, filled by that call.

        with capture(model, ["layer3", "layer4"], gradients=True) as A:
            S = model(images)[:, 243]
            g = torch.autograd.grad(S.sum(), list(A.values()))

    layers: whatever `find_layers` takes. gradients=True starts a graph at the first of these layers that runs (what is below
    runs without one) and keeps it to the end of the body; otherwise nothing has a graph. Which call of a layer counts, and how
    (B, h, w, K) or tokens become (B, K, h, w): as `Network` says, by default the last one, and where the shapes leave no doubt.
    Inside, the network is in eval mode, and compiled parts run uncompiled. Other threads wait; what they run is not recorded.
    Raises ValueError, TypeError as `find_layers`; ValueError where a layer puts out something that is not a tensor, or lies
    inside a scripted or traced network.
    """
    network = as_network(model)
    net = network.net
    recorded, owner = Recorded(), get_ident()
    size: list[tuple[int, int]] = []  # of the pictures

    def begin(module: nn.Module, args: Any, kwargs: Any) -> None:
        recorded.clear()  # of an earlier call of the network
        recorded.calls.clear()
        pictures = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor) and one.ndim == 4]
        if pictures:
            size[:] = [(pictures[0].shape[-2], pictures[0].shape[-1])]

    def keep(layer: str, out: object) -> Tensor:
        if not isinstance(out, Tensor):
            raise ValueError(f"layer {layer!r} puts out a {type(out).__name__}; accepted: a layer that puts out one tensor")
        _, call, functions = split_name(layer)
        call = -1 if functions else network.call if call is None else call
        recorded.calls[layer] += 1
        if call not in (-1, recorded.calls[layer] - 1):
            return out
        recorded.pop(layer, None)  # so that the order is that of the calls that count
        arrange = _arrangement(network, out, size)
        if gradients:
            if not (out.is_floating_point() or out.is_complex()):
                raise ValueError(f"layer {layer!r} puts out {out.dtype}, of which there is no gradient; accepted: floats, or a "
                                 "method that needs none: score_cam, cluster_cam")
            torch.set_grad_enabled(True)
            if arrange is not None:
                recorded[layer], out = _rearranged(_start_graph(out), arrange)
                return out
            out = _start_graph(out)
        recorded[layer] = out if arrange is None else arrange(out)
        return out.clone()  # an in-place operation that follows changes the copy, not the record

    following = _Following(keep)

    def recorder(layer: str) -> Callable[[nn.Module, object, object], Tensor | None]:
        _, call, functions = split_name(layer)
        calls = 0

        def hook(module: nn.Module, args: object, out: object) -> Tensor | None:
            if get_ident() != owner:
                return None
            if functions:
                nonlocal calls
                if isinstance(out, Tensor) and call in (None, calls):
                    following.begin(layer, out)
                calls += 1
                return None
            return keep(layer, out)

        return hook

    with ExitStack() as stack:
        stack.enter_context(alone(net))
        for name, module in find_layers(network, layers).items():
            if split_name(name)[2]:
                following.follow(name, split_name(name)[2])
            stack.callback(_hook(module, name, recorder(name)).remove)
        stack.callback(net.register_forward_pre_hook(begin, with_kwargs=True).remove)
        if following.chains:
            stack.enter_context(following)
        if any("_orig_mod" in m._modules or m._compiled_call_impl is not None for m in [model, *net.modules()]):
            stack.enter_context(STANCE)  # which is the whole process's: one thread at a time
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(evaluating(network))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        yield recorded


def _start_graph(out: Tensor) -> Tensor:
    """The tensor itself where it has a graph already; where nothing below keeps one, a graph starts here."""
    return out if out.requires_grad else out.detach().requires_grad_()


def _arrangement(network: Network, out: Tensor, size: list[tuple[int, int]]) -> Callable[[Tensor], Tensor] | None:
    """The function that makes a map (B,K,h,w) of this layer's output, None where it is one, or no map at all."""
    reshape = network.reshape
    if callable(reshape):
        return reshape
    if reshape == "none" or not size:
        return None
    return layout_of(out.shape, size[0], reshape)


def _hook(module: nn.Module, name: str, hook: Callable[..., Any]) -> Any:
    """Register a forward hook; ValueError where PyTorch allows none."""
    try:
        return module.register_forward_hook(hook)
    except RuntimeError as error:
        raise ValueError(f"layer {name!r} lies inside a scripted or traced network, which cannot be looked into ({error}); "
                         "accepted: the network itself, as it was before torch.jit") from error
