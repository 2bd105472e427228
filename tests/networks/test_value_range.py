"""Pictures in 0 to 255, or normalised before they come: one warning with the remedy, and never one for what methods make."""

import copy
import warnings

import pytest
import torch
from torch.nn.functional import interpolate

import camutils as cam
from camutils.evaluation.metrics.robustness import noise

PHOTOS = cam.photo_batch(["chelsea", "coffee", "rocket"], 96, 96)
MEAN, STD = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
WRONG = {"0 to 255": (PHOTOS * 255, "0 to 255.*divide by 255"),
         "ImageNet's": ((PHOTOS - MEAN) / STD, "normalised already.*leave"),
         "-1 to 1": (PHOTOS * 2 - 1, "normalised already.*leave"), "double": (PHOTOS.double() * 255, "divide by 255"),
         "black and white": (PHOTOS.round() * 255, "divide by 255")}


@pytest.fixture
def network():
    return cam.load_model("scenes_resnet", "cpu")


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_range_is_told_once_per_network(network, kind):
    images, words = WRONG[kind]
    network = network.to(images.dtype)
    with pytest.warns(UserWarning, match=words) as told:
        network(PHOTOS.to(images.dtype))  # the right pictures before do not use the warning up
        network(images)
        cam.grad_cam(network, images, 3)
    assert len(told) == 1
    with pytest.warns(UserWarning, match=words):
        copy.deepcopy(network)(images)


def test_one_wrong_picture_of_a_batch_is_told(network):
    with pytest.warns(UserWarning, match="divide by 255"):
        network(torch.cat([PHOTOS[:2], PHOTOS[2:] * 255]))


def test_bytes_are_refused_not_divided_by_a_deviation_of_zero(network):
    with pytest.raises(TypeError, match="uint8.*/ 255"):
        network((PHOTOS * 255).byte())


def test_what_methods_and_metrics_make_is_never_told(network):
    """Sharp pictures: their enlargement overshoots most."""
    generator = torch.Generator().manual_seed(0)
    sharp = torch.rand(2, 3, 96, 96, generator=generator).round()
    black = torch.zeros_like(sharp)
    made = [PHOTOS, black, 1 - black, sharp, sharp * 0.3, cam.blurred(sharp), interpolate(sharp, scale_factor=2, mode="bicubic"),
            sharp + 0.02 * torch.randn(sharp.shape, generator=generator), *(black - n for n in noise(black, 3, generator)),
            *(1 - black - n for n in noise(black, 3, generator))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for images in made:
            network(images)
        for name in ("grad_cam", "integrative_cam", "gig_cam_m", "cluster_cam", "score_cam", "combined_cam"):
            cam.METHODS[name](network, sharp, 3)
        maps = cam.grad_cam(network, sharp, 3)
        cam.sensitivity_max(cam.grad_cam, network, sharp, 3, maps=maps)
        cam.infidelity(network, sharp, maps, 3, perturbation=noise, samples=4)
        cam.road(network, sharp, maps, 3)


def test_tracing_exporting_and_vmap_are_not_disturbed(network):
    images = PHOTOS * 255
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        torch.func.vmap(network)(images[None])
        torch.export.export(network, (images,), strict=False)  # as newer PyTorchs do unasked
        network.to("meta")(images.to("meta"))
