"""camutils: class activation mapping as readable functions.

Every method has one signature:

    method(model, images, targets=None, layer=None, *, raw=False, **options) -> heat map (B, H, W) in [0, 1]

Where to look: probe (activations, gradients), layers, stages and targets (what is explained), maps (upsample, normalise);
gradient (Grad-CAM family), integrative with links, rivals, biases and fusion (Integrative CAM), gig with baselines, paths and
scales (Integrated Grad-CAM, GIG-CAM, +M), masks (Score-CAM), cluster_cam with clusters and kmeans (Cluster-CAM); combining
(their axes, crossed); methods (their list); models, networks, photos, resize, scenes, examples (what it runs on); figures (how
it is shown); datasets (annotated images), metrics, statistics, benchmark, tables (how it is measured), controls, sanity (whether
it depends on the network), rounding (on the last bit); experiment_files, experiments (what was measured); places, extras (where
things lie, what may be missing); render, compare, reproduce, train (how the project is built).
"""

__version__ = "0.2.0"

from .baselines import baseline_images, blurred
from .benchmark import benchmark
from .biases import bias_contributions, classifier_bias, effective_bias, own_biases
from .cluster_cam import cluster_cam
from .clusters import group_channels
from .combining import combined_cam
from .controls import cascade_modules, control_maps, edges, likeness
from .datasets import Images, Sample, folder, group_target, imagenet, linear_head, open_dataset, pooled_features, read_all, voc
from .examples import examples, pictures
from .figures import overlay, save_figure, show_maps, use_style
from .fusion import keep_distinct, layer_weights
from .gig import gig_cam, gig_cam_m, integrated_grad_cam
from .gradient import grad_cam, grad_cam_pp, hires_cam, layer_cam
from .integrative import PRESETS, integrative_cam
from .kmeans import elbow, kmeans, normalised_rows
from .layers import default_layer, find_layers
from .links import LINKS, alpha, alpha_exact, alpha_from, link_derivatives, rho
from .maps import finish, normalise, upsample
from .masks import masked_scores, score_cam
from .methods import METHODS
from .metrics import (
    adcc,
    average_drop,
    box_mask,
    box_share,
    cascading_randomisation,
    centre_map,
    class_mean,
    confidence,
    deletion_insertion,
    drop_increase,
    energy_game,
    increase,
    infidelity,
    masked_images,
    pearson,
    pointing_game,
    road,
    sensitivity_max,
    spearman,
)
from .models import class_names, default_device, load_model, probabilities, standardise_inside
from .paths import Step, guided_path
from .photos import photo_batch, photograph, to_input
from .probe import activation, capture, probe, probe_layers
from .rivals import rival_derivatives
from .rounding import one_ulp, rounding_sensitivity
from .sanity import sanity
from .scales import Level, levels, multi_scale
from .scenes import Scenes, scene
from .stages import stages
from .statistics import bootstrap_mean, paired_bootstrap
from .summary import summary
from .targets import class_indices, score
