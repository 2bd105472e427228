"""The network that a command is asked to explain: one of `load_model`, or package.module:function, which somebody else wrote.

    open_network("resnet50")                          torchvision's
    open_network("mynets.resnet:build", "best.pt")    build(), with the weights of a file
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torchvision
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode

from ..core.probe import FAILURES, predict
from ..datasets.imagenet import read_synsets
from ..spelling import nearest
from .lite import LITE
from .load import class_names, default_device, default_network, find_weights, load_model, probabilities, read_weights
from .scene_networks import SCENE_NETWORKS

HELP = {
    "model": "A name of load_model (efficientnet_lite0, mobilenet_v2, scenes_resnet, ...), or package.module:function, a "
             "function without arguments that gives a network for RGB in [0, 1]; it is looked for in the current folder, too.",
    "size": "Side of the square that the network is given, in pixels; default: what it was trained on, 224 for one's own.",
    "weights": "Weights for package.module:function: a file of torch.save, a state dict or {'state_dict': ...}.",
}


class Given(NamedTuple):
    """A network, its name, and how its pictures are made: shorter side to `resize`, central square of `crop` pixels."""

    model: nn.Module
    name: str
    resize: int = 256
    crop: int = 224
    how: InterpolationMode = InterpolationMode.BILINEAR

    def names(self, count: int) -> list[str]:
        """A name for each of `count` outputs: the network's, ImageNet's for a thousand, else "class 0" and so on."""
        if ":" not in self.name:
            return class_names(self.name)
        return class_names("mobilenet_v2") if count == 1000 else [f"class {i}" for i in range(count)]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits (B, C) -> probabilities (B, C), as `load.probabilities`."""
        return probabilities(self.name, logits)

    def to_device(self, images: Tensor) -> Tensor:
        """Images, where the network is."""
        parameter = next(self.model.parameters(), None)
        return images if parameter is None else images.to(parameter.device)

    def logits(self, images: Tensor) -> Tensor:
        """Images (B, 3, h, w) -> logits (B, C). ValueError where the network does not take them, or returns something else."""
        try:
            output = predict(self.model, images)
        except (*FAILURES, ValueError) as error:
            raise ValueError(f"{self.name} fails on a picture of {self.crop} x {self.crop} pixels (--size gives another): {error}"
                             ) from error
        if not isinstance(output, Tensor) or output.ndim != 2:
            got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(f"{self.name} returned {got}; accepted here: logits (B, classes)")
        return output


def open_network(name: str | None, weights: Path | None = None, size: int | None = None, trained: bool = True) -> Given:
    """The network of a command's --model and --weights, on the default device; None: `default_network`.

    size: side of the central square in pixels; None: what the network was tried with, 224 for one's own. trained=False: weights
    that are not here are not downloaded. Raises ValueError, TypeError, FileNotFoundError for what was asked wrongly.
    """
    name = name or default_network()
    if ":" in name:
        given = Given(own_network(name, weights).to(_device()), name)
    else:
        _refuse(name, weights)
        known = name in torchvision.models.list_models(module=torchvision.models)
        untrained = known and not trained and find_weights(name) is None
        given = Given(_untrained(name) if untrained else load_model(name), name, *_size(name))
    if size is None:
        return given
    if size < 1:
        raise ValueError(f"size {size}; accepted: 1 or more pixels")
    return given._replace(resize=round(size * 8 / 7), crop=size)


def named_network(name: str, weights: Path | None = None) -> str | nn.Module:
    """What `benchmark` and `sanity` take: the name as it is, or the caller's own network, on the default device."""
    if ":" in name:
        return own_network(name, weights).to(_device())
    _refuse(name, weights)
    return name


def _refuse(name: str, weights: Path | None) -> None:
    if weights is not None:
        raise ValueError(f"--weights {weights} with --model {name}; accepted with --model package.module:function only")


def _device() -> torch.device:
    """The default device; of several processes (torchrun) each takes a GPU of its own."""
    device = default_device()
    if device.type == "cuda" and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    return device


def _size(name: str) -> tuple[int, int, InterpolationMode]:
    """Resize, crop and interpolation that a network of `load_model` was tried with."""
    if name in SCENE_NETWORKS:
        return 96, 96, InterpolationMode.BILINEAR
    if name in LITE:
        return *LITE[name], InterpolationMode.BICUBIC
    transform = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    return transform.resize_size[0], transform.crop_size[0], transform.interpolation


def _untrained(name: str) -> nn.Module:
    """One of torchvision's networks with random weights, none of them all zero, so that every path has a gradient."""
    inits = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        model: nn.Module = torchvision.models.get_model(name, weights=None, **inits)
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
    return model.eval()


@contextmanager
def _seen_from_here() -> Iterator[None]:
    """Inside, modules in the current folder can be imported."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def own_network(place: str, weights: str | Path | None = None) -> nn.Module:
    """A network of the caller's own, in eval mode: "package.module:function", a function without arguments, or a class.

    weights: a file of torch.save with tensors only, a state dict or {"state_dict": ...}; "module." before every name, which
    DataParallel puts there, is taken off. Raises ValueError, TypeError, FileNotFoundError for what is not there or does not fit.
    """
    module, _, function = place.partition(":")
    with _seen_from_here():
        build = _find(module, function)
        try:
            model = build()
        except Exception as error:  # whatever somebody else's code raises
            raise ValueError(f"{place}() raised {_said(error)}; accepted: a function that needs no arguments") from error
    if not isinstance(model, nn.Module):
        raise TypeError(f"{place}() gives a {type(model).__name__}; accepted: a function that gives a torch.nn.Module")
    if weights is not None:
        _put_weights(model, Path(weights), place)
    return model.eval()


def _said(error: Exception) -> str:
    """An error as part of a sentence."""
    return f"{type(error).__name__} ({' '.join(str(error).split())})"


def _find(module: str, function: str) -> Any:
    """What `function` is in `module`. ValueError names what is missing, and what is near."""
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):  # the module is there, what it imports is not
            raise ValueError(f"module {module} needs {error.name}, which is not installed") from error
        here = [p.stem for p in Path.cwd().glob("*.py")]
        raise ValueError(f"no module {module!r}; {nearest(module, here)}accepted: a module in {Path.cwd()}, or an installed one"
                         ) from error
    except Exception as error:  # whatever somebody else's code raises
        raise ValueError(f"module {module} cannot be imported: {_said(error)}") from error
    known = [n for n in dir(found) if callable(getattr(found, n)) and not n.startswith("_")]
    if function not in known:
        raise ValueError(f"no function {function!r} in {module}; {nearest(function, known)}accepted: package.module:function")
    return getattr(found, function)


def _put_weights(model: nn.Module, path: Path, place: str) -> None:
    """Load a state dict. FileNotFoundError, ValueError that says in which names or shapes it differs."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; accepted as weights: a file of torch.save")
    state: Any = read_weights(path)
    if isinstance(state, dict):
        state = state.get("state_dict", state)
    pairs = state.items() if isinstance(state, dict) else ()
    if not pairs or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in pairs):
        raise ValueError(f"{path} holds no state dict; accepted: names and tensors, or {{'state_dict': ...}}")
    own = model.state_dict()
    if all(k.startswith("module.") for k in state) and not set(state) & set(own):
        state = {k.removeprefix("module."): v for k, v in state.items()}
    differ = {"missing": [k for k in own if k not in state], "not in the network": [k for k in state if k not in own],
              "of another shape": [k for k in own if k in state and own[k].shape != state[k].shape]}
    said = [f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' * (len(keys) > 3)})" for what, keys in differ.items() if keys]
    if said:
        raise ValueError(f"{path} does not fit {place}: {'; '.join(said)}")
    model.load_state_dict(state)


def synsets() -> dict[str, int]:
    """WordNet number -> class, of ImageNet's thousand (ILSVRC2012; classes are numbered in the order of these numbers)."""
    return read_synsets(Path(__file__).with_name("synsets.txt"))


def pick_classes(asked: str | None, names: Sequence[str], probabilities: Tensor) -> list[int]:
    """The classes that are asked for: None the likeliest, "top3" the three likeliest; a number, a WordNet number, a name.

    names: of every output; probabilities (C,). Raises ValueError with the nearest names.
    """
    count, word = len(probabilities), (asked or "top1").strip()
    if re.fullmatch(r"top[1-9][0-9]{,8}", word):
        return probabilities.argsort(descending=True)[: int(word[3:])].tolist()
    if word in names and names.count(word) == 1:
        return [names.index(word)]
    if word.isdecimal():
        if len(word) > 9 or int(word) >= count:
            raise ValueError(f"class {word}; accepted: 0 to {count - 1}")
        return [int(word)]
    if re.fullmatch(r"n\d{8}", word):
        known = synsets()
        if count != len(known) or word not in known:
            raise ValueError(f"class {word}; accepted: ImageNet's {len(known)} WordNet numbers, where as many outputs are "
                             f"(this one: {count})")
        return [known[word]]
    same = [i for i, name in enumerate(names) if name.lower() == word.lower()]
    if len(same) > 1:
        raise ValueError(f"class {asked!r} is the name of several; accepted: their numbers, {', '.join(map(str, same))}")
    if not same:
        raise ValueError(f"unknown class {asked!r}; {nearest(word, names)}accepted: a name, a number, a WordNet number, top3")
    return same
