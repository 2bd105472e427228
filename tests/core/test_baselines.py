"""Pictures without content: black, mean colour, blurred, or the caller's own."""

import math

import pytest
import torch
from torch.testing import assert_close

from camutils.core.baselines import BASELINES, baseline_images, blurred


def test_black_and_mean(images):
    assert torch.equal(baseline_images(images), torch.zeros(4, 3, 16, 16))
    mean = baseline_images(images, "mean")
    for b in range(4):
        for c in range(3):
            assert_close(mean[b, c], torch.full((16, 16), images[b, c].sum().item() / 256))


def test_blur_equals_the_loop(images):
    """Weights exp(-d^2 / 50) over 11 x 11 pixels, summing to 1; row -1 is row 1, row 16 is row 14."""
    image, H = images[1, 0].double(), 16
    weights = {d: math.exp(-d * d / 50) for d in range(-5, 6)}
    total = sum(weights.values()) ** 2

    def inside(i):
        return -i if i < 0 else 2 * (H - 1) - i if i >= H else i

    out = blurred(images.double())
    for i, j in [(0, 0), (3, 15), (8, 8), (15, 1)]:
        expected = sum(weights[d] * weights[e] * image[inside(i + d), inside(j + e)] for d in weights for e in weights) / total
        assert_close(out[1, 0, i, j], expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(baseline_images(images, "blur"), blurred(images)) and out.std() < 0.3 * images.std()


def test_tensors_that_expand(images):
    colour = torch.tensor([0.1, -3.0, 250.0])
    for given in (colour.view(3, 1, 1), colour.view(1, 3, 1, 1).double(), colour.view(1, 3, 1, 1).expand(4, 3, 16, 16)):
        start = baseline_images(images, given)
        assert start.shape == images.shape and start.dtype == images.dtype
        assert torch.equal(start[2, :, 5, 7], colour)
    assert torch.equal(baseline_images(images, torch.tensor(1)), torch.ones_like(images))
    own = torch.rand(4, 3, 16, 16, requires_grad=True)
    assert torch.equal(baseline_images(images, own), own) and not baseline_images(images, own).requires_grad


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_type_of_the_images(baseline, dtype, images):
    expected, before = baseline_images(images, baseline), images.clone()
    out = baseline_images(images.to(dtype), baseline)
    assert out.dtype == dtype
    assert_close(out.float(), expected, rtol=0, atol=4 * torch.finfo(dtype).eps + 1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(baseline_images(images, baseline), expected)
    assert torch.equal(images, before)


@pytest.mark.parametrize("baseline, error, words", [
    ("white", ValueError, "baseline 'white'; accepted: black, mean, blur, or a tensor"),
    (0, TypeError, "baseline is a int; accepted: black, mean, blur, or a tensor"),
    (None, TypeError, "baseline is a NoneType; accepted: black, mean, blur, or a tensor"),
    (torch.zeros(3), ValueError, r"baseline has shape \(3,\); accepted for these images: .* expands to \(4, 3, 16, 16\)"),
    (torch.zeros(2, 3, 16, 16), ValueError, r"baseline has shape \(2, 3, 16, 16\)"),
    (torch.zeros(1, 4, 3, 16, 16), ValueError, r"baseline has shape \(1, 4, 3, 16, 16\)"),
    (torch.tensor(float("nan")), ValueError, "the baseline holds NaN or Inf; accepted: finite values"),
    (torch.full((3, 1, 1), float("inf")), ValueError, "the baseline holds NaN or Inf; accepted: finite values"),
    (torch.tensor(1e39, dtype=torch.float64), ValueError, "the baseline holds NaN or Inf")])  # Inf in the images' float32
def test_bad_baselines(baseline, error, words, images):
    with pytest.raises(error, match=words):
        baseline_images(images, baseline)


def test_images_too_small_for_the_blur(images):
    assert blurred(images[..., :6, :6]).shape == (4, 3, 6, 6)
    with pytest.raises(ValueError, match=r"images are \(5, 16\) pixels; accepted for the blur: 6 x 6 or more"):
        baseline_images(images[..., :5, :], "blur")
