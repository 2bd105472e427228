"""Loading networks: weights found and checked, normalisation inside, so that every input is RGB in [0, 1] and 0 is black.

    load_model("scenes_resnet")     the embedded networks, weights in data/checkpoints
    load_model("mobilenet_v2")      any classification network of torchvision, its default weights
    load_model("efficientnet_lite0")  or 1, 2: ImageNet weights that lie in a Python package, no download
"""

import hashlib
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
import torchvision
from torch import nn

from ..places import CHECKPOINTS, checkpoint_folders
from ..spelling import nearest
from .lite import LITE, LITE_MEAN, LITE_STD, build_lite, has_lite
from .scene_networks import SCENE_NETWORKS
from .value_range import warn_of_range

SCENE_MEAN, SCENE_STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


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


def read_checksums(folder: Path | None = None) -> dict[str, str]:
    """File name -> SHA-256 as SHA256SUMS in a folder states it (the format of `sha256sum`), default: data/checkpoints; none
    where it is missing."""
    path = (folder or CHECKPOINTS) / "SHA256SUMS"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return {name.strip(): digest for digest, _, name in (line.partition(" ") for line in lines)}


def read_weights(path: Path) -> dict[str, torch.Tensor]:
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
    model.load_state_dict(read_weights(path))
    return standardise_inside(model, SCENE_MEAN, SCENE_STD)


def _file_names(name: str) -> tuple[str, str]:
    """What a file with the weights of one of torchvision's networks may be called."""
    return f"{name}.pth", torchvision.models.get_model_weights(name).DEFAULT.url.rsplit("/", 1)[-1]


def find_weights(name: str) -> Path | None:
    """The file with the weights of one of torchvision's networks, the first in `checkpoint_folders`; None where there is none."""
    files = (folder / file for folder in checkpoint_folders() for file in _file_names(name))
    return next((file for file in files if file.is_file()), None)


def _torchvision_network(name: str) -> nn.Module:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    found = find_weights(name)
    if found:
        state = read_weights(found)
        if name.startswith("densenet") and isinstance(state, dict):  # published files spell norm.1 what the class spells norm1
            state = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2", str(k)): v for k, v in state.items()}
        inits = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        model = torchvision.models.get_model(name, weights=None, **inits)
        try:
            model.load_state_dict(state)
        except (AttributeError, RuntimeError, TypeError) as error:  # AttributeError: of names that are no text
            raise ValueError(f"{found} does not hold the weights of {name}; accepted: torchvision's state dict of it") from error
        if hasattr(model, "transform_input"):  # GoogLeNet and Inception were trained on another scale
            model.transform_input = True
    else:
        try:
            model = torchvision.models.get_model(name, weights=weights)
        except (URLError, OSError) as error:
            raise FileNotFoundError(
                f"no weights for {name}: looked for {' or '.join(_file_names(name))} in "
                f"{', '.join(map(str, checkpoint_folders()))}, and the download failed ({error}); put the file into one of these "
                "folders or name its folder in $CAMUTILS_CHECKPOINTS"
            ) from error
    transform = weights.transforms()
    return standardise_inside(model, transform.mean, transform.std)


def _lite_network(name: str) -> nn.Module:
    model, path = build_lite(name)
    model.load_state_dict(read_weights(path))
    return standardise_inside(model, LITE_MEAN, LITE_STD)


def default_network() -> str:
    """The network that explains a photograph where none is named: an EfficientNet-Lite that is installed, else MobileNetV2.

    Raises FileNotFoundError with the one command that installs a network.
    """
    found = next((name for name in LITE if has_lite(name)), None)
    if found is None and find_weights("mobilenet_v2") is not None:
        found = "mobilenet_v2"
    if found is None:
        raise FileNotFoundError("no network for photographs is installed; pip install 'camutils[photos]' installs one, --model "
                                "names another")
    return found


def load_model(name: str, device: torch.device | str | None = None) -> nn.Module:
    """A trained network by name, in eval mode, on `device` (default: CUDA, then MPS, then CPU), taking RGB in [0, 1].

    Weights of torchvision's networks are looked for in $CAMUTILS_CHECKPOINTS, data/checkpoints and torchvision's download
    folder, as NAME.pth or under torchvision's file name, and else downloaded. Those of efficientnet_lite0, 1 and 2 (224, 240 and
    260 pixels) come with the extra `photos`.
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
        raise ValueError(f"unknown network {name!r}; {nearest(name, known)}accepted: {', '.join([*SCENE_NETWORKS, *LITE])}, or a "
                         "name from torchvision.models.list_models(), such as mobilenet_v2 or resnet50")
    return model.eval().to(device or default_device())


def class_names(name: str) -> list[str]:
    """The names of a network's outputs, in their order: ten digits, or ImageNet's thousand categories."""
    if name in SCENE_NETWORKS:
        return [str(digit) for digit in range(10)]
    known = "mobilenet_v2" if name in LITE else name  # the thousand are the same for all
    return list(torchvision.models.get_model_weights(known).DEFAULT.meta["categories"])


def probabilities(name: str, logits: torch.Tensor) -> torch.Tensor:
    """Logits (B, C) -> probabilities (B, C): sigmoid for the multi-label scene networks and for a single logit, else softmax."""
    return logits.sigmoid() if name in SCENE_NETWORKS or logits.shape[1] == 1 else logits.softmax(1)
