"""On an accelerator: every method gives the CPU's map, and leaves what it must not touch. Skipped where there is no CUDA."""

import pytest
import torch

import camutils

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
FEW = {"gig_cam_m": {"steps": 4, "scales": (1, 1.5)}, "gig_cam": {"steps": 6}, "integrated_grad_cam": {"steps": 6}}


@pytest.fixture(scope="module")
def rows():
    return camutils.examples("scenes", range(4))


def both(method, rows, dtype, **options):
    """The method's map on the CPU and on CUDA, TF32 off."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        return [getattr(camutils, method)(camutils.load_model("scenes_resnet", place).to(dtype), rows.images.to(place, dtype),
                                          rows.targets, **FEW.get(method, {}), **options) for place in ("cpu", "cuda")]


@pytest.mark.parametrize("method", camutils.METHODS)
def test_same_map_on_both_devices(method, rows):
    on_cpu, on_cuda = both(method, rows, torch.float64)
    assert on_cuda.device.type == "cuda" and on_cuda.dtype == torch.float32
    assert (on_cpu - on_cuda.cpu()).abs().max() < 1e-6
    on_cpu, on_cuda = both(method, rows, torch.float32)
    assert torch.corrcoef(torch.stack([on_cpu.flatten(), on_cuda.cpu().flatten()]))[0, 1] > 0.999


@pytest.mark.parametrize("method", camutils.METHODS)
def test_half_precision_and_random_state(method, rows):
    model = camutils.load_model("scenes_resnet", "cuda").half()
    before = torch.cuda.get_rng_state(), torch.get_rng_state()
    heat = getattr(camutils, method)(model, rows.images.cuda().half(), rows.targets, **FEW.get(method, {}))
    assert heat.isfinite().all() and heat.dtype == torch.float32 and heat.amax() == 1
    assert torch.equal(before[0], torch.cuda.get_rng_state()) and torch.equal(before[1], torch.get_rng_state())


@pytest.mark.parametrize("merge", ["cut", "weighted_cut", "soft", "soft_cut", "base"])
@pytest.mark.parametrize("baseline", ["black", "mean", "blur"])
def test_cluster_cam_on_both_devices(merge, baseline, rows):
    on_cpu, on_cuda = both("cluster_cam", rows, torch.float64, merge=merge, baseline=baseline, n_clusters=6)
    assert (on_cpu - on_cuda.cpu()).abs().max() < 1e-6


def test_images_and_network_on_two_devices_are_refused(rows):
    for method in camutils.METHODS.values():
        with pytest.raises(ValueError, match="images are on cpu, the network on cuda"):
            method(camutils.load_model("scenes_resnet", "cuda"), rows.images, rows.targets)


def test_score_cam_memory_does_not_grow_with_the_number_of_channels(rows):
    """128 masks of one image: far less memory than all masked images at once would take, beyond the network's own."""
    model, x = camutils.load_model("scenes_resnet", "cuda"), rows.images[:1].cuda()
    torch.cuda.reset_peak_memory_stats()
    start = torch.cuda.memory_allocated()
    camutils.score_cam(model, x, 1, chunk=4)
    few = torch.cuda.max_memory_allocated() - start
    torch.cuda.reset_peak_memory_stats()
    camutils.score_cam(model, x, 1, chunk=128)
    assert few < (torch.cuda.max_memory_allocated() - start) / 4
