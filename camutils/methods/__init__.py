"""One file per method, named as its paper; METHODS lists them in reading order for the runner, the comparison and the tests.

`parts` holds the axes that they share. May import: core, methods.parts.
"""

from collections.abc import Callable

from torch import Tensor

from ..core.maps import Method
from .cluster_cam import cluster_cam
from .combined_cam import combined_cam
from .gig_cam import gig_cam, gig_cam_m, integrated_grad_cam
from .grad_cam import grad_cam, grad_cam_pp, hires_cam, layer_cam
from .integrative_cam import integrative_cam
from .parts.copies import over_copies
from .parts.less import less
from .parts.scales import multi_scale
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

# What may stand around a method, written name+M, name+C+M: a function of the method and all that it takes
AROUND: dict[str, Callable[..., Tensor]] = {"M": multi_scale, "C": over_copies, "L": less}
