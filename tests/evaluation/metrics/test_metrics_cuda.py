"""On an accelerator the measures of a map's order are the CPU's, and stay on the maps' device. Skipped where there is no CUDA."""

import pytest
import torch
from torch.testing import assert_close

from camutils import grad_cam, upsample
from camutils.evaluation.metrics import (
    best_iou,
    effective_area,
    equal_area,
    gamma_for_area,
    max_box_accuracy,
    pixel_ap,
    pooled_pixel_ap,
    sharpen,
    stability,
    top_area,
    unsteadiness,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
BOXES = [torch.tensor([[3, 4, 20, 25]]), torch.ones(32, 32).tril().bool(), torch.zeros(0, 4)]


def test_maps():
    maps = upsample(torch.rand(3, 5, 5, generator=torch.Generator().manual_seed(0)), (32, 32))
    for metric in (lambda L: pixel_ap(L, BOXES), lambda L: best_iou(L, BOXES), lambda L: top_area(L, 0.15), effective_area,
                   lambda L: sharpen(L, torch.tensor([1, 2, 0.5])), lambda L: gamma_for_area(L, 0.6)):
        found = metric(maps.cuda())
        assert found.device.type == "cuda"
        assert_close(found.cpu(), metric(maps), equal_nan=True, rtol=1e-5, atol=1e-6)
    assert pooled_pixel_ap(maps.cuda(), BOXES) == pytest.approx(pooled_pixel_ap(maps, BOXES), rel=1e-6)
    assert max_box_accuracy(maps[:1].cuda(), BOXES[:1]) == max_box_accuracy(maps[:1], BOXES[:1])


def test_networks(tiny, images):
    maps, both = grad_cam(tiny, images, 1, "conv3"), []
    for place in ("cpu", "cuda"):
        net, x = tiny.to(place), images.to(place)
        both.append([*equal_area(net, x, maps.to(place), 1), unsteadiness(grad_cam, net, x, 1, "conv3", kind="noise"),
                     *stability(grad_cam, net, x, 1, "conv3")])
    assert all(v.device.type == "cuda" for v in both[1])
    for on_cpu, on_cuda in zip(*both, strict=True):
        assert (on_cpu - on_cuda.cpu()).abs().median() < 1e-3  # a map that changes in its last digits may change which pixels tie
