"""What a picture without content is: the image that a path starts from, and that a mask lets through where it is 0."""

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

BASELINES = ("black", "mean", "blur")


def blurred(images: Tensor) -> Tensor:
    """Gaussian blur, 11 x 11 pixels, sigma 5, borders reflected: images without their detail."""
    if min(images.shape[-2:]) < 6:
        raise ValueError(f"images are {tuple(images.shape[-2:])} pixels; accepted for the blur: 6 x 6 or more")
    with torch.autocast(images.device.type, enabled=False):
        return gaussian_blur(images, [11, 11], [5.0, 5.0])


def baseline_images(images: Tensor, baseline: str | Tensor = "black") -> Tensor:
    """The baseline x' of every image, in the network's input space, of the images' own shape.

        black   0          mean   the image's mean colour          blur   `blurred`          a tensor: itself

    images (B, C, H, W), already checked. A tensor may be anything that expands to their shape: (C, 1, 1), (1, C, H, W), ...
    "black" is 0 of the input space: black for networks that take [0, 1]; for normalised inputs give a tensor.
    Raises ValueError for another name, another shape, or values that are not finite; TypeError for anything else.
    """
    if isinstance(baseline, Tensor):
        try:
            start = baseline.detach().to(images).expand_as(images)
        except RuntimeError:
            raise ValueError(f"baseline has shape {tuple(baseline.shape)}; accepted for these images: anything that expands to "
                             f"{tuple(images.shape)}") from None
        if not start.isfinite().all():
            raise ValueError("the baseline holds NaN or Inf; accepted: finite values")
        return start
    if not isinstance(baseline, str):
        raise TypeError(f"baseline is a {type(baseline).__name__}; accepted: {', '.join(BASELINES)}, or a tensor")
    if baseline not in BASELINES:
        raise ValueError(f"baseline {baseline!r}; accepted: {', '.join(BASELINES)}, or a tensor")
    if baseline == "blur":
        return blurred(images)
    return torch.zeros_like(images) if baseline == "black" else images.mean((2, 3), keepdim=True).expand_as(images)
