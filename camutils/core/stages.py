"""Which layers see a whole picture each: the stages of a network, whose outputs every path from image to score passes."""

from torch import Tensor, nn

from .network import as_network
from .probe import FAILURES, check_images, explain_failure
from .targets import Targets
from .trace import traced


def stages(model: nn.Module, images: Tensor | None = None, targets: Targets = None) -> list[str]:
    """Names of the stage outputs, in order, the last one being `default_layer`'s: where S = sum g*A + beta can be read.

    One image runs through (`trace.traced`, once per network and picture size). Of the maps that every path passes and that the
    modules of the network's chain put out, each one that is the last before the grid size or the number of channels changes; so
    a VGG gives the ReLU that ends each resolution or width, MobileNetV2 the nine groups of blocks of its table. The chain: the
    children of the network (of the child that holds all such maps, where there is one), plain `Sequential`s opened once. A
    network that numbers its stages `layer1`, `layer2`, ... is taken at its word: its stem is none. images (B, 3, H, W); None: a
    black one of 224 x 224. targets: only a callable one has a say. Raises ValueError, TypeError as `default_layer`.
    """
    images = None if images is None else check_images(images)
    try:
        return list(traced(model, images, targets).stages)
    except FAILURES as error:
        if images is None:
            raise
        explained = explain_failure(error, as_network(model), images)
        raise explained from (None if explained is error else error)
