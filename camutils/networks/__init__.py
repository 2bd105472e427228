"""What is explained.

load (by name, weights found and checked), value_range (pictures in another range than theirs), lite (EfficientNet-Lite),
given (what a command is asked to explain: a name, or a function of the caller's), scene_networks (two small ones), train (how
these were trained), random_weights (for tests).
May import: core, datasets.
"""

import warnings
from typing import Any

from . import scene_networks


def __getattr__(name: str) -> Any:
    """Old names: `camutils.networks` was the module that is `scene_networks` now."""
    if name in ("SCENE_NETWORKS", "SHUFFLED"):
        said = f"{name} is in camutils.networks.scene_networks now; the old name works until version 0.3"
        warnings.warn(said, FutureWarning, stacklevel=2)
        return getattr(scene_networks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
