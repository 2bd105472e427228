"""Metrics: what each one rewards. All take whole batches, stay on the images' device, and leave network and inputs as they were.

    name                     asks                                                          good     module
    pointing_game            is the highest point on the object?                           1        location
    energy_game              how much of the map's energy lies on the object?              1        location
    average_drop             how much confidence is lost where only the map is shown?      0 %      confidence
    increase                 is the network surer when only the map is shown?              100 %    confidence
    deletion_insertion       does the confidence fall, or rise, early in the map's order?  0, 1     curves
    road                     the same, with holes filled so that their shape tells little  low      curves
    adcc                     drop, size and stability of the map in one number             1        robustness
    sensitivity_max          how far does small noise move the map?                        0        robustness
    infidelity               does the map predict how the score moves?                     0        robustness
    cascading_randomisation  does the map change when the network forgets?                 towards 0  sanity

The first two ask about the object, the next four and infidelity about the network: a network that looks at the background
is rightly explained by a map that misses the object. Always beside them: `centre_map` and `box_share` (location).
"""

from .confidence import average_drop, confidence, drop_increase, increase, masked_images
from .curves import Curves, auc, deletion_insertion, road
from .imputation import impute
from .location import box_mask, box_share, centre_map, class_mean, energy_game, pointing_game
from .robustness import ADCC, adcc, infidelity, sensitivity_max
from .sanity import Cascade, cascading_randomisation
from .similarity import pearson, spearman

__all__ = [
    "ADCC", "Cascade", "Curves", "adcc", "auc", "average_drop", "box_mask", "box_share", "cascading_randomisation", "centre_map",
    "class_mean", "confidence", "deletion_insertion", "drop_increase", "energy_game", "impute", "increase", "infidelity",
    "masked_images", "pearson", "pointing_game", "road", "sensitivity_max", "spearman",
]
