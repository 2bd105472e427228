"""One file per method, named as its paper; METHODS lists them in reading order for the runner, the comparison and the tests.

`parts` holds the axes that they share. May import: core, methods.parts.
"""

from ..core.maps import Method
from .cluster_cam import cluster_cam
from .combined_cam import combined_cam
from .gig_cam import gig_cam, gig_cam_m, integrated_grad_cam
from .grad_cam import grad_cam, grad_cam_pp, hires_cam, layer_cam
from .integrative_cam import integrative_cam
from .score_cam import score_cam

METHODS: dict[str, Method] = {
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
