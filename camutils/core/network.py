"""A network and how it is asked: further inputs, which output, which arrangement, which call, which mode.

Every method takes these as keywords (`How`); whoever asks the same network often, or measures maps, makes a `Network` once and
gives it wherever a model is accepted.

    cam.grad_cam(model, images, forward_args=(age,), output=lambda out: out["logits"])
    cam.drop_increase(cam.Network(model, forward_args=(age,)), images, maps)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy, deepcopy
from threading import Lock, RLock
from typing import Any, TypedDict, Unpack
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

ARRANGEMENTS = ("tokens", "channels_last", "none")
MODES = ("eval", "as is")
GUARD = Lock()
_LOCKS: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()  # Any: an RLock per network
Reshape = str | Callable[[Tensor], Tensor] | None


class How(TypedDict, total=False):
    """The keywords of `Network`, which every method takes."""

    forward_args: Sequence[Any]
    forward_kwargs: Mapping[str, Any]
    output: Callable[[Any], Tensor] | None
    reshape: Reshape
    call: int
    mode: str


def unwrap(model: nn.Module) -> nn.Module:
    """The user's own network inside `Network`, torch.compile, DataParallel or DistributedDataParallel."""
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while isinstance(model, (*parallel, Network)) or hasattr(model, "_orig_mod"):
        if isinstance(model, Network):
            model = model.net
        else:
            model = getattr(model, "module" if isinstance(model, parallel) else "_orig_mod")
    return model


class Network(nn.Module):
    """A network and how it is asked: `Network(model, ...)(images)` is output(model(images, *forward_args, **forward_kwargs)).

    forward_args, forward_kwargs   what the forward pass takes after the images. Every tensor in them, however nested, has one row
              per image, and goes with its image behind masks, along paths and at every scale (it is not enlarged itself); a
              tensor without dimensions and anything that is no tensor goes as it is
    output    function of what the network returns that gives the logits (B, classes): then targets None, an int and lists mean
              what they always do
    reshape   how a layer's output becomes a map (B, K, h, w): "channels_last" from (B, h, w, K); "tokens" from (B, t + h w, K),
              the t first tokens, such as the class token, left out; a function that only moves and selects entries; "none";
              None: seen from the shapes, where these leave no doubt (`layouts.layout_of`)
    call      which call of a layer that is called several times: 0 the first, -1 the last
    mode      "eval", or "as is": every module's own training flag, for Monte Carlo dropout
    Raises TypeError, ValueError for what is not accepted; when it is called ValueError for rows that do not fit the images.
    """

    def __init__(self, model: nn.Module, *, forward_args: Sequence[Any] = (), forward_kwargs: Mapping[str, Any] | None = None,
                 output: Callable[[Any], Tensor] | None = None, reshape: Reshape = None, call: int = -1, mode: str = "eval"):
        super().__init__()
        if not isinstance(model, nn.Module):
            raise TypeError(f"model is a {type(model).__name__}; accepted: a torch.nn.Module")
        if not isinstance(forward_args, (list, tuple)):
            raise TypeError(f"forward_args are a {type(forward_args).__name__}; accepted: a tuple or list of arguments")
        if output is not None and not callable(output):
            raise TypeError(f"output is a {type(output).__name__}; accepted: a function of what the network returns")
        if not (reshape is None or callable(reshape) or reshape in ARRANGEMENTS):
            raise ValueError(f"reshape {reshape!r}; accepted: None, a function, {', '.join(ARRANGEMENTS)}")
        if isinstance(call, bool) or not isinstance(call, int) or call < -1:
            raise ValueError(f"call {call!r}; accepted: 0 for a layer's first call, 1 for its second, ..., -1 for its last")
        if mode not in MODES:
            raise ValueError(f"mode {mode!r}; accepted: {', '.join(MODES)}")
        self.net = unwrap(model)
        self.forward_args, self.forward_kwargs = tuple(forward_args), dict(forward_kwargs or {})
        self.output, self.reshape, self.call, self.mode = output, reshape, call, mode

    def forward(self, images: Tensor, rows: Tensor | None = None) -> Any:
        """What the network says of images (n, C, H, W); rows (n,): which of the batch's images each is, None: all, in order."""

        def of_images(tensor: Tensor) -> Tensor:
            if tensor.ndim == 0:
                return tensor
            if rows is not None:
                if len(tensor) <= int(rows.max()):
                    raise ValueError(_misfit(tensor, int(rows.max()) + 1))
                return tensor[rows.to(tensor.device)]
            if len(tensor) != len(images):
                raise ValueError(_misfit(tensor, len(images)))
            return tensor

        args, kwargs = self.forward_args, self.forward_kwargs
        if args or kwargs:
            args, kwargs = tree_map_only(Tensor, of_images, (args, kwargs))
        found = self.net(images, *args, **kwargs)
        return found if self.output is None else self.output(found)


def _misfit(tensor: Tensor, images: int) -> str:
    return (f"a tensor of forward_args or forward_kwargs has shape {tuple(tensor.shape)} for {images} image{'s' * (images > 1)}; "
            "accepted: one row per image, or a tensor without dimensions")


def as_network(model: nn.Module, **how: Unpack[How]) -> Network:
    """The model as a `Network`: itself if it is one and nothing is added, else with what `how` says in place of its own."""
    if not isinstance(model, Network):
        unknown = how.keys() - How.__annotations__.keys()
        if unknown:
            raise TypeError(f"unexpected keyword argument {', '.join(map(repr, sorted(unknown)))}; accepted beside the method's "
                            f"own: {', '.join(How.__annotations__)}")
        return Network(model, **how)
    if not how:
        return model
    own: How = {"forward_args": model.forward_args, "forward_kwargs": model.forward_kwargs, "output": model.output,
                "reshape": model.reshape, "call": model.call, "mode": model.mode}
    return as_network(model.net, **(own | how))


def take_how(options: dict[str, Any]) -> How:
    """Take the keywords of `How` out of a method's options."""
    return {key: options.pop(key) for key in How.__annotations__ if key in options}  # type: ignore[return-value]  # its own keys


def copied(model: nn.Module) -> nn.Module:
    """A copy of the network, whose weights may be changed; of a `Network` one that asks the copy the same question."""
    if not isinstance(model, Network):
        return deepcopy(unwrap(model))
    network = copy(model)
    network._modules = {"net": deepcopy(unwrap(model))}
    return network


def first_row(images: Tensor) -> Tensor:
    """Row 0 as `rows`, for a pass of the batch's first image alone."""
    return torch.zeros(1, dtype=torch.long, device=images.device)


@contextmanager
def alone(model: nn.Module) -> Iterator[None]:
    """Run the body while no other thread may look into this network or change its flags; the same thread may, again."""
    with GUARD:
        lock = _LOCKS.setdefault(unwrap(model), RLock())
    with lock:
        yield


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run the body with every submodule in eval mode, one thread at a time; afterwards each one's own flag is back.

    A `Network` with mode "as is" keeps its flags.
    """
    if isinstance(model, Network) and model.mode == "as is":
        with alone(model):
            yield
        return
    with alone(model):
        flags = [(module, module.training) for module in unwrap(model).modules()]
        for module, flag in flags:
            if flag:  # to read a flag costs a hundredth of setting it
                module.training = False
        try:
            yield
        finally:
            for module, flag in flags:
                if module.training != flag:
                    module.training = flag
