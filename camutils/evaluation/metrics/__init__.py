"""Metrics: what each one rewards. All take whole batches, stay on the images' device, and leave network and inputs as they were.

    name                     asks                                                          good     module       contrast
    pixel_ap                 do the hottest pixels lie on the object?                      1        place        no
    best_iou                 is there a cut at which the map is the object?                1        boxes        no
    equal_area               drop, increase, deletion by equally large parts of a picture  0, 100, 0  equal_area  no
    unsteadiness             do the pixels keep their ranks when the picture hardly moves? 0        steadiness   no
    pointing_game            is the highest point on the object?                           1        location     no
    deletion_insertion       does the confidence fall, or rise, early in the map's order?  0, 1     curves       no
    road                     the same, with holes filled so that their shape tells little  low      curves       no
    energy_game              how much of the map's energy lies on the object?              1        location     moves
    average_drop             how much confidence is lost where only the map is shown?      0 %      confidence   moves
    increase                 is the network surer when only the map is shown?              100 %    confidence   moves
    adcc                     drop, size and stability of the map in one number             1        robustness   moves
    sensitivity_max          how far does small noise move the map?                        0        robustness   moves
    infidelity               does the map predict how the score moves?                     0        robustness   moves
    pooled_pixel_ap          PxAP of the literature: pixel_ap over all images together     1        place        moves
    max_box_accuracy         MaxBoxAcc: is the box found, one threshold for all images?    1        boxes        moves
    cascading_randomisation  does the map change when the network forgets?                 towards 0  sanity     no

Contrast: whether a power of the map, L^gamma, which points nowhere else, moves the metric. Verdicts are drawn from those that
it does not move; average_drop and increase of `masked_images(..., "top15")` are of these too. `effective_area`, `sharpen` and
`gamma_for_area` (sharpness) measure contrast and hold it equal.

pointing_game, energy_game, pixel_ap, best_iou, PxAP and MaxBoxAcc ask about the object, the others about the network: one that
looks at the background is rightly explained by a map that misses the object. Beside the former: `centre_map`, `box_share`.
"""

from .boxes import best_iou, max_box_accuracy
from .confidence import average_drop, confidence, drop_increase, increase, masked_images
from .curves import Curves, auc, deletion_insertion, road
from .equal_area import EqualArea, equal_area
from .imputation import impute
from .location import box_mask, box_share, centre_map, class_mean, energy_game, pointing_game
from .order import top_area
from .place import pixel_ap, pooled_pixel_ap
from .robustness import ADCC, adcc, infidelity, sensitivity_max
from .sanity import Cascade, cascading_randomisation
from .sharpness import effective_area, gamma_for_area, sharpen
from .similarity import pearson, spearman
from .steadiness import Stability, stability, unsteadiness

__all__ = [
    "ADCC", "Cascade", "Curves", "EqualArea", "Stability", "adcc", "auc", "average_drop", "best_iou", "box_mask", "box_share",
    "cascading_randomisation", "centre_map", "class_mean", "confidence", "deletion_insertion", "drop_increase", "effective_area",
    "energy_game", "equal_area", "gamma_for_area", "impute", "increase", "infidelity", "masked_images", "max_box_accuracy",
    "pearson", "pixel_ap", "pointing_game", "pooled_pixel_ap", "road", "sensitivity_max", "sharpen", "spearman", "stability",
    "top_area", "unsteadiness",
]
