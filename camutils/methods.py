"""The list of methods, in reading order: what the runner, the comparison and the tests go through."""

from .cluster_cam import cluster_cam
from .combining import combined_cam
from .gig import gig_cam, gig_cam_m, integrated_grad_cam
from .gradient import grad_cam, grad_cam_pp, hires_cam, layer_cam
from .integrative import integrative_cam
from .masks import score_cam

METHODS = {
    "grad_cam": grad_cam,
    "grad_cam_pp": grad_cam_pp,
    "layer_cam": layer_cam,
    "hires_cam": hires_cam,
    "integrative_cam": integrative_cam,
    "integrated_grad_cam": integrated_grad_cam,
    "gig_cam": gig_cam,
    "gig_cam_m": gig_cam_m,
    "score_cam": score_cam,
    "cluster_cam": cluster_cam,
    "combined_cam": combined_cam,
}
