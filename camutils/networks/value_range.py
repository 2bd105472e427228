"""Are these pictures in [0, 1]? One warning per network, with the remedy, where they are in 0 to 255 or normalised already.

What methods and metrics make of a picture in [0, 1] is taken for neither: bicubic enlarging leaves [0, 1] by 0.41 at most, and
noise of deviation 0.2 puts 6 values in 1000 below -0.5, while of a normalised photograph about half lies outside [-0.5, 1.5].
"""

import warnings
from weakref import WeakSet

import torch
from torch import Tensor, nn

LOW, HIGH, SHARE = -0.5, 1.5, 0.03  # a picture in [0, 1] has no such share of its values below or above these
BYTES = 10.0  # greatest value from which on it is 0 to 255: a normalised white is 2.6
_DONE: WeakSet[nn.Module] = WeakSet()  # networks that need no further look


def warn_of_range(network: nn.Module, images: Tensor) -> None:
    """Warn, once per network, if its pictures are in 0 to 255, or have been normalised before.

    On an accelerator every look waits for its queue, so that there only the first pictures of a network are looked at.
    """
    written_down = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined]  # public, not exported
    if written_down or images.is_meta or type(images) is not Tensor or network in _DONE:
        return
    images = images.detach()
    try:
        low, high = (float(value) for value in images.aminmax())
    except RuntimeError:  # under `vmap`, or without a pixel: there is no value to ask for
        return
    if images.device.type != "cpu" and low < high:  # a blank trial picture says nothing
        _DONE.add(network)
    if (low >= LOW and high <= HIGH) or float(((images < LOW) | (images > HIGH)).float().mean()) < SHARE:
        return
    _DONE.add(network)
    if high > BYTES:
        what, remedy = "0 to 255", "divide by 255, as `to_input` does"
    else:
        what, remedy = "a picture that is normalised already", "leave that step out: this network does it itself"
    warnings.warn(f"pictures run from {low:.3g} to {high:.3g}, which looks like {what}; accepted: RGB in [0, 1], so {remedy}",
                  stacklevel=2)
