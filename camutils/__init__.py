"""camutils: class activation mapping as readable functions.

Every method has one signature:

    method(model, images, targets=None, layer=None, *, raw=False, **options) -> heat map (B, H, W) in [0, 1]

Rooms, from the ground up (each room's `__init__` says what is in it and what it may import):

    core        activations, gradients, layers, targets, maps: what every method stands on
    datasets    scenes, photographs, annotated images            networks    what is explained: loading, training
    methods     one file per method, named as its paper; `methods.parts`: the axes that the papers share
    evaluation  metrics, statistics, the runner, sanity checks   book        how notebooks and pictures are made

Beside them: explain, listing (what the command line shows), places (where things lie), spelling (what a misspelt word may mean),
extras (packages that may be missing), moved (old names of modules).
"""

__version__ = "0.2.0"

from . import moved
from .book.charts import draw_contrast, forest, heat_table
from .book.figures import overlay, save_figure, show_maps, use_style
from .core.baselines import baseline_images, blurred
from .core.capture import capture
from .core.layers import default_layer, find_layers
from .core.maps import finish, normalise, upsample
from .core.network import Network
from .core.probe import activation, probe, probe_layers
from .core.stages import stages
from .core.targets import class_indices, score
from .datasets import Images, Sample, folder, group_target, imagenet, linear_head, open_dataset, pooled_features, read_all, voc
from .datasets.examples import examples, pictures
from .datasets.photos import photo_batch, photograph
from .datasets.reader import to_input
from .datasets.scene import Scenes, scene
from .evaluation.benchmark import benchmark
from .evaluation.contrast import at_equal, beats, contrast_curve
from .evaluation.controls import cascade_modules, control_maps, edges, likeness
from .evaluation.metrics import (
    adcc,
    average_drop,
    best_iou,
    box_mask,
    box_share,
    cascading_randomisation,
    centre_map,
    class_mean,
    confidence,
    deletion_insertion,
    drop_increase,
    effective_area,
    energy_game,
    equal_area,
    gamma_for_area,
    increase,
    infidelity,
    masked_images,
    max_box_accuracy,
    pearson,
    pixel_ap,
    pointing_game,
    pooled_pixel_ap,
    road,
    sensitivity_max,
    sharpen,
    spearman,
    stability,
    top_area,
    unsteadiness,
)
from .evaluation.rounding import one_ulp, rounding_sensitivity
from .evaluation.sanity import sanity
from .evaluation.statistics import bootstrap_mean, false_discovery, paired_bootstrap
from .evaluation.summary import summary
from .evaluation.verdicts import verdicts
from .methods import METHODS
from .methods.cluster_cam import cluster_cam
from .methods.combined_cam import combined_cam
from .methods.gig_cam import gig_cam, gig_cam_m, integrated_grad_cam
from .methods.grad_cam import grad_cam, grad_cam_pp, hires_cam, layer_cam
from .methods.integrative_cam import PRESETS, integrative_cam
from .methods.parts.biases import bias_contributions, classifier_bias, effective_bias, own_biases
from .methods.parts.clusters import group_channels
from .methods.parts.copies import over_copies
from .methods.parts.fusion import keep_distinct, layer_weights
from .methods.parts.kmeans import elbow, kmeans, normalised_rows
from .methods.parts.less import less
from .methods.parts.links import LINKS, alpha, alpha_exact, alpha_from, link_derivatives, rho
from .methods.parts.masks import masked_scores
from .methods.parts.paths import Step, guided_path
from .methods.parts.rivals import rival_derivatives
from .methods.parts.scales import Level, levels, multi_scale
from .methods.score_cam import score_cam
from .networks.load import class_names, default_device, load_model, probabilities, standardise_inside

__all__ = [
    "Images", "LINKS", "Level", "METHODS", "Network", "PRESETS", "Sample", "Scenes", "Step", "activation", "adcc", "alpha",
    "alpha_exact", "alpha_from", "at_equal", "average_drop", "baseline_images", "beats", "benchmark", "best_iou",
    "bias_contributions", "blurred", "bootstrap_mean", "box_mask", "box_share", "capture", "cascade_modules",
    "cascading_randomisation", "centre_map", "class_indices", "class_mean", "class_names", "classifier_bias", "cluster_cam",
    "combined_cam", "confidence", "contrast_curve", "control_maps", "default_device", "default_layer", "deletion_insertion",
    "draw_contrast", "drop_increase", "edges", "effective_area", "effective_bias", "elbow", "energy_game", "equal_area",
    "examples", "false_discovery", "find_layers", "finish", "folder", "forest", "gamma_for_area", "gig_cam", "gig_cam_m",
    "grad_cam", "grad_cam_pp", "group_channels", "group_target", "guided_path", "heat_table", "hires_cam", "imagenet",
    "increase", "infidelity", "integrated_grad_cam", "integrative_cam", "keep_distinct", "kmeans", "layer_cam", "layer_weights",
    "less", "levels", "likeness", "linear_head", "link_derivatives", "load_model", "masked_images", "masked_scores",
    "max_box_accuracy", "multi_scale", "normalise", "normalised_rows", "one_ulp", "open_dataset", "over_copies", "overlay",
    "own_biases", "paired_bootstrap", "pearson", "photo_batch", "photograph", "pictures", "pixel_ap", "pointing_game",
    "pooled_features", "pooled_pixel_ap", "probabilities", "probe", "probe_layers", "read_all", "rho", "rival_derivatives",
    "road", "rounding_sensitivity", "sanity", "save_figure", "scene", "score", "score_cam", "sensitivity_max", "sharpen",
    "show_maps", "spearman", "stability", "stages", "standardise_inside", "summary", "to_input", "top_area", "unsteadiness",
    "upsample", "use_style", "verdicts", "voc",
]

moved.install()
