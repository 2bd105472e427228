"""What is timed: a method on a batch with its options; what it cannot do without; and the ratio that is asked of it."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...core.maps import shown_maps
from ...core.probe import activation
from ...methods import METHODS
from ...methods.parts.scales import SCALES
from ..metrics.curves import deletion_insertion
from .harness import Run
from .subjects import Subject, fewer

GRAD_CAM_FAMILY = ("grad_cam", "grad_cam_pp", "layer_cam", "hires_cam")
OF_STAGES = ("integrative_cam", "combined_cam")  # they read every stage
METRIC = "deletion_insertion"  # a metric, not a method: its curves are timed like one
NAMES = (*METHODS, METRIC)
WHOLE = ("scenes_resnet", "scenes_vgg", "mobilenet_v2", "efficientnet_lite0")  # where Score-CAM runs through all its masks
MASKS = 64  # and elsewhere through so many


class Case(NamedTuple):
    """A method, the images at once, and its options."""

    method: str
    batch: int
    options: dict[str, Any]

    @property
    def label(self) -> str:
        """The options in words."""
        return " ".join(f"{key}={value}" for key, value in self.options.items())


class Part(NamedTuple):
    """Bare passes of one kind: "forward" alone, or with the gradient of the "head" at the layer, or at all "stages"; the images
    at once, how much they are enlarged, how often."""

    kind: str
    images: int
    scale: float = 1
    times: int = 1


class Target(NamedTuple):
    """At most so many times as long as `base`."""

    base: str
    most: float


ON_CPU = {
    **dict.fromkeys(GRAD_CAM_FAMILY, Target("bound", 1.05)), "integrative_cam": Target("bound", 1.10),
    **dict.fromkeys(("integrated_grad_cam", "gig_cam", "gig_cam_m"), Target("bound", 1.05)), "score_cam": Target("bound", 1.0),
    "cluster_cam": Target("bound", 1.15), "combined_cam": Target("bound", 1.10), METRIC: Target("bound", 1.10),
}
ON_GPU = {  # the rest as on the CPU
    **dict.fromkeys(GRAD_CAM_FAMILY, Target("forwards", 1 / 0.95)),
    **dict.fromkeys(("integrated_grad_cam", "gig_cam"), Target("forwards", 1.2)),
}
TARGETS = {"cpu": ON_CPU, "gpu": {**ON_CPU, **ON_GPU}}
BATCHES = {"cpu": (1, 2, 8), "gpu": (1, 8, 64)}  # of Grad-CAM, whose fixed costs show at few images


def cases(suite: str, network: str = "") -> list[Case]:
    """What a suite times on a network. Paths take fewer steps than by default, since all steps cost the same; on a network that
    is not of WHOLE fewer still, and fewer images."""
    small = not network or network in WHOLE
    images, steps = (8, 10) if small else (2, 4)
    return [
        *(Case("grad_cam", batch, {}) for batch in BATCHES[suite]),
        *(Case(name, 8, {}) for name in GRAD_CAM_FAMILY[1:]),
        Case("integrative_cam", 1, {}), Case("integrative_cam", 8, {}), Case("integrative_cam", 8, {"preset": "literal"}),
        Case("integrated_grad_cam", images, {"steps": steps}), Case("gig_cam", images, {"steps": steps}),
        Case("gig_cam_m", 1, {"steps": 3 if small else 2}),
        Case("score_cam", 1, {}), Case("cluster_cam", 1, {"n_clusters": 10}), Case("combined_cam", 1, {"n_clusters": 8}),
        Case(METRIC, 1, {"steps": 28}),
    ]


def seen_by(case: Case, own: Subject) -> tuple[Subject, str]:
    """The network as this case has it, and what to say of it: Score-CAM of a large one explains a part of the channels."""
    if case.method == "score_cam" and own.name not in WHOLE:
        return fewer(own, MASKS), f"first {MASKS} channels"
    return own, ""


def call(case: Case, own: Subject, x: Tensor, classes: Tensor) -> Run:
    """The case as a function without arguments: the method as a user calls it."""
    if case.method == METRIC:
        maps = torch.rand(len(x), *x.shape[-2:], generator=torch.Generator().manual_seed(1)).to(x)
        return lambda: deletion_insertion(own.model, x, maps, classes, **case.options)
    method = METHODS[case.method]
    layer = own.layer if own.named and case.method not in OF_STAGES else None
    return lambda: method(own.model, x, classes, layer, **case.options)


def parts(case: Case, own: Subject, x: Tensor, classes: Tensor) -> list[Part]:
    """The bare passes that the case cannot do without."""
    B, options = case.batch, case.options
    if case.method in GRAD_CAM_FAMILY:
        return [Part("head", B)]
    if case.method == "integrative_cam":
        return [Part("stages", B)]
    if case.method in ("integrated_grad_cam", "gig_cam"):
        return [Part("head", B, times=options["steps"])]
    if case.method == "gig_cam_m":
        return [Part("head", B, scale, options["steps"]) for scale in options.get("scales", SCALES)]
    if case.method == "score_cam":
        live = shown_maps(activation(own.model, x, classes, own.layer)[0])  # a flat channel costs no pass
        return [Part("forward", B), Part("forward", int(live.sum()))]  # the masks are made of what the first pass shows
    if case.method == "cluster_cam":
        return [Part("forward", B), Part("forward", B * options["n_clusters"])]
    if case.method == "combined_cam":
        return [Part("stages", B), Part("forward", B * options["n_clusters"])]
    if case.method == METRIC:
        return [Part("forward", B * (1 + 2 * options["steps"]))]
    raise ValueError(f"unknown method {case.method!r}; accepted: {', '.join(NAMES)}")
