"""The peers: captum, grad-cam and torchcam at their defaults, and at their best: parameters frozen, the batch that is fastest."""

import warnings
from contextlib import redirect_stderr
from copy import deepcopy
from functools import partial
from io import StringIO
from typing import Any

import captum.attr
import pytorch_grad_cam
import torch
import torchcam.methods
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from ...methods.parts.scales import SCALES, enlarge
from .cases import Case
from .harness import Contestant
from .path_loop import path_map
from .subjects import Subject, frozen

CAPTUM = {"grad_cam": "LayerGradCam", "hires_cam": "LayerGradientXActivation"}
GRAD_CAM = {"grad_cam": "GradCAM", "grad_cam_pp": "GradCAMPlusPlus", "layer_cam": "LayerCAM", "hires_cam": "HiResCAM",
            "integrative_cam": "LayerCAM", "score_cam": "ScoreCAM"}
TORCHCAM = {"grad_cam": "GradCAM", "grad_cam_pp": "GradCAMpp", "layer_cam": "LayerCAM", "integrative_cam": "LayerCAM",
            "score_cam": "ScoreCAM"}
NONE = {"cluster_cam": "nobody else has it", "combined_cam": "ours alone", "deletion_insertion": "their curves make the map too"}


def from_captum(kind: str, model: nn.Module, x: Tensor, classes: Tensor, layer: str) -> Tensor:
    """A map of the image's size."""
    explainer = getattr(captum.attr, kind)(model, model.get_submodule(layer))
    maps = explainer.attribute(x, target=classes).sum(1, keepdim=True)
    enlarged: Tensor = captum.attr.LayerAttribution.interpolate(maps.relu(), tuple(x.shape[2:]), "bilinear")
    return enlarged


def from_grad_cam(kind: str, model: nn.Module, x: Tensor, classes: Tensor, layers: list[str], batch: int | None = None) -> Any:
    """A map of the image's size, the mean over the layers."""
    with getattr(pytorch_grad_cam, kind)(model, [model.get_submodule(layer) for layer in layers]) as cam:
        if batch is not None:
            cam.batch_size = batch
        with redirect_stderr(StringIO()):  # its Score-CAM draws a bar
            return cam(x, [ClassifierOutputTarget(c) for c in classes.tolist()])


def from_torchcam(kind: str, model: nn.Module, x: Tensor, classes: Tensor, layers: list[str], batch: int | None = None) -> Any:
    """A map per layer, on its own grid; several: fused."""
    options = {} if batch is None else {"batch_size": batch}
    with getattr(torchcam.methods, kind)(model, layers, **options) as extractor:
        with torch.set_grad_enabled(kind != "ScoreCAM"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its Score-CAM masks what our networks standardise, and they warn of it
            maps = extractor(classes.tolist(), model(x))
        return maps[0] if len(layers) == 1 else extractor.fuse_cams(maps)


def from_loop(model: nn.Module, x: Tensor, classes: Tensor, layer: str, steps: int, scales: tuple[float, ...] = (1,)) -> None:
    """The adaptive path image by image in NumPy, at every scale."""
    for scale in scales:
        path_map(model, enlarge(x, scale), classes, layer, steps)


def rivals(case: Case, own: Subject, x: Tensor, classes: Tensor, chunk: int) -> list[Contestant]:
    """The peers of one case, each twice. chunk: the batch in which contiguous forwards are fastest, for those that take one.

    `integrative_cam` has none: beside it stands LayerCAM of the same layers, one forward and one backward pass too.
    """
    if case.method in NONE or case.method == "integrated_grad_cam":
        return []
    layers = own.stages if case.method == "integrative_cam" else [own.layer]
    if not all(name in dict(own.model.named_modules()) for name in layers):  # a call of a module: the peers know modules only
        return []
    mine, without = deepcopy(own.model), None if case.method == "score_cam" else frozen(own, layers[0])
    best = mine if without is None else without
    found: list[Contestant] = []

    def both(name: str, function: Any, kind: str, *rest: Any) -> None:
        batch = {"batch": chunk} if case.method == "score_cam" else {}
        found.append(Contestant(name, partial(function, kind, mine, x, classes, *rest), "its defaults"))
        how = f"batch {chunk}" if batch else "frozen"
        found.append(Contestant(f"{name}, best", partial(function, kind, best, x, classes, *rest, **batch), how))

    if case.method in CAPTUM:
        both("captum", from_captum, CAPTUM[case.method], own.layer)
    if case.method in GRAD_CAM:
        both("grad-cam", from_grad_cam, GRAD_CAM[case.method], layers)
    if case.method in TORCHCAM:
        both("torchcam", from_torchcam, TORCHCAM[case.method], layers)
    if case.method in ("gig_cam", "gig_cam_m"):
        scales = case.options.get("scales", SCALES) if case.method == "gig_cam_m" else (1,)
        for name, model, how in (("NumPy loop", mine, "image by image"), ("NumPy loop, best", best, "frozen")):
            loop = partial(from_loop, model, x, classes, own.layer, case.options["steps"], scales)
            found.append(Contestant(name, loop, how))
    return found
