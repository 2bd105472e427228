"""Every label of the explorer, and one line for each method, knob and measure; nothing is computed here.

A new method needs a line in PASSES; an option of its own a line in KNOBS, and in FIRST where it is to be seen at once.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ...core.baselines import BASELINES
from ...methods.cluster_cam import MERGES
from ...methods.combined_cam import AXES
from ...methods.gig_cam import ACCUMULATE
from ...methods.integrative_cam import BIASES, CHANNEL_WEIGHTS, PRESETS
from ...methods.parts.clusters import CLUSTERINGS
from ...methods.parts.fusion import LAYER_WEIGHTS
from ...methods.parts.links import ALL_LOGITS, LINKS
from ...methods.parts.paths import ORDERS
from ...methods.parts.scales import POOLINGS, RATIOS, SCALES


class Slide(NamedTuple):
    """A number between two others."""

    label: str
    low: float
    high: float
    step: float


class Choice(NamedTuple):
    """One of several values."""

    label: str
    values: tuple[Any, ...]


class Tick(NamedTuple):
    """Yes or no."""

    label: str


Knob = Slide | Choice | Tick

NETWORKS = ("scenes_resnet", "scenes_vgg", "scenes_resnet_shuffled", "efficientnet_lite0", "efficientnet_lite1",
            "efficientnet_lite2", "mobilenet_v2", "resnet50", "vgg16")  # those of them that are here are offered
SCENES = 24  # the first so many scenes of the test split are offered

KNOBS: dict[str, Knob] = {  # an option, or METHOD.OPTION where it means something else there
    "steps": Slide("steps along the path", 2, 60, 1),
    "max_dist": Slide("corridor around the line", 0, 0.2, 0.01),
    "scales": Choice("scales", ((1,), (1, 1.5, 2), (1, 2, 3), SCALES)),
    "n_clusters": Slide("clusters", 2, 40, 1),
    "link": Choice("link, function of the score", (None, *LINKS, *ALL_LOGITS)),
    "bias": Choice("bias", (None, *BIASES)),
    "channel_weight": Choice("weight of a channel", (None, *CHANNEL_WEIGHTS)),
    "combined_cam.channel_weight": Choice("weight of a channel", AXES["channel_weight"]),
    "layer_weight": Choice("weight of a stage", (None, *LAYER_WEIGHTS)),
    "combined_cam.layer_weight": Choice("weight of a stage", AXES["layer_weight"]),
    "path": Choice("path", AXES["path"]),
    "clustering": Choice("clustering", CLUSTERINGS),
    "combined_cam.clustering": Choice("clustering", AXES["clustering"]),
    "merge": Choice("merge", MERGES),
    "baseline": Choice("picture without content", BASELINES),
    "relu": Tick("cut negative values off (ReLU)"),
    "normalize_alpha": Tick("α as in the authors' code"),
    "preset": Choice("preset", tuple(PRESETS)),
    "filter_redundant": Choice("drop stages so alike", (None, 0.8, 0.9, 0.95, 0.99)),
    "mass": Choice("rivals' share of probability", (0.9, 0.99, 0.999, 1.0)),
    "fraction": Slide("share of pixels moved at once", 0.05, 1, 0.05),
    "order": Choice("pixels that move first", ORDERS),
    "accumulate": Choice("count of a step", ACCUMULATE),
    "pooling": Choice("pooling of scales", POOLINGS),
    "ratio": Choice("ratio of scales", (None, *RATIOS)),
    "seed": Slide("seed", 0, 9, 1),
}
FIRST = ("steps", "max_dist", "scales", "n_clusters", "link", "bias", "channel_weight", "layer_weight", "path", "clustering",
         "merge", "relu", "normalize_alpha", "layer")  # seen at once, in this order; the others under MORE
AT_ONCE = ("integrative_cam", "combined_cam")  # all stages, or those of `layer`, in the same passes
HIDDEN = ("raw", "return_parts", "chunk")  # they change no map in [0, 1]
LAYER = "layer or stages"

Options = Mapping[str, Any]


def _area(options: Options) -> float:
    """How many pictures of scale 1 the scales are."""
    return float(sum(s * s for s in options["scales"]))


def _combined(o: Options) -> float:
    look = o["layers"] * (1 + o["n_clusters"]) if o["channel_weight"] == "score" else 1 if o["path"] == "point" else o["steps"]
    return look * _area(o) + o["n_clusters"] * (o["clustering"] == "cut")


PASSES: dict[str, Callable[[Options, int], float]] = {  # (its options and how many "layers", channels) -> passes, about
    "grad_cam": lambda o, K: 1,
    "grad_cam_pp": lambda o, K: 1,
    "layer_cam": lambda o, K: 1,
    "hires_cam": lambda o, K: 1,
    "integrative_cam": lambda o, K: 1,
    "integrated_grad_cam": lambda o, K: o["steps"],
    "gig_cam": lambda o, K: o["steps"],
    "gig_cam_m": lambda o, K: o["steps"] * _area(o),
    "score_cam": lambda o, K: 1 + K,
    "cluster_cam": lambda o, K: 1 + o["n_clusters"],
    "combined_cam": lambda o, K: _combined(o),
}


class Measure(NamedTuple):
    """label; its unit; which direction is good; does a mere power of the map move it; does it need the object's box."""

    label: str
    unit: str
    good: str
    moves: bool
    box: bool


MEASURES = {
    "pixel_ap": Measure("pixel AP: do the hottest pixels lie on the object?", "", "high", False, True),
    "best_iou": Measure("best overlap of any threshold with the box", "", "high", False, True),
    "pointing": Measure("is the hottest pixel in the box? 1 is yes", "", "high", False, True),
    "drop_15": Measure("Drop, only the hottest 15 % of the picture shown", " %", "low", False, False),
    "energy": Measure("energy in the box", "", "high", True, True),
    "drop": Measure("Drop, the map times the picture shown", " %", "low", True, False),
    "area": Measure("effective area of the map", "", "", True, False),
    "iou": Measure("overlap of the box with what is above this threshold", "", "high", True, True),
}

# The widgets
PICTURE, UPLOAD, NETWORK, CLASS, TYPED = "picture", "your own picture", "network", "class", "or type it"
TYPED_HINT = "a name, a number, a WordNet number"
METHOD, COMPARE, MORE, GAMMA, THRESHOLD = "method", "a second method beside it", "all knobs", "contrast γ", "threshold"
COMPUTE, CALL, WORKING = "Compute", "the call that makes this, to copy", "passes"
SIDES = ("first map", "second map")
NONE = "by itself"  # None as a value: the method, or its preset, chooses
EVERY = "every stage"

# The sentences
ORIGINAL, DIFFERENCE = "the picture", "first map less second"
BAR = "heat: 0 is coldest, 1 hottest"
DIFFERENCE_BAR = "difference: 1, only the first is hot"
NO_BOX = "There is no box of this class in this picture, so nothing says where the object is."
SAID_MOVES, SAID_STAYS = "moves with contrast", "stays under γ"
STOPPED = "Stopped. The pictures below are the last ones that were finished."
DEAR = "{label} takes about {passes:,.0f} passes through {network} here. Press “{button}”, or turn a knob down first."
STOP_HINT = "Kernel ▸ Interrupt Kernel stops it."
BAD_FILE = "{name} cannot be used: {reason}."
TOO_BIG = "{name} has {size:.0f} MB; accepted: up to {limit} MB."
NOTHING = "{label} finds nothing to show: its map is the same everywhere."
