"""What every entry of METHODS keeps, without being named here: a method gets these tests by being listed."""

import pytest
import torch
from conftest import hooks

import camutils
from camutils.book.figures import COLOURS, LABELS
from camutils.places import ROOT

METHODS = camutils.METHODS
FEW = {"integrated_grad_cam": {"steps": 2}, "gig_cam": {"steps": 2}, "gig_cam_m": {"steps": 2, "scales": (1, 1.5)}}  # for time
each = pytest.mark.parametrize("name", METHODS)


def maps(name, model, images, targets=3, layer="conv2", **options):
    return METHODS[name](model, images, targets, layer, **FEW.get(name, {}), **options)


@each
def test_a_heat_map_per_image_from_0_to_1(tiny, images, name):
    L = maps(name, tiny, images)
    assert L.shape == (4, 16, 16) and L.dtype == torch.float32 and not L.requires_grad
    assert torch.equal(L.amin((1, 2)), torch.zeros(4)) and set(L.amax((1, 2)).tolist()) <= {0.0, 1.0} and L.any()


@each
def test_raw_maps_are_the_methods_own(tiny, images, name):
    raw = maps(name, tiny, images, raw=True)
    assert len(raw) == 4 and raw.ndim == 3 and (raw >= 0).all()
    enlarged = camutils.normalise(camutils.upsample(raw, (16, 16)))
    assert torch.allclose(enlarged.float(), maps(name, tiny, images), atol=1e-5)


@each
@pytest.mark.parametrize("layer", [["conv2", "conv3"], "all"])
def test_several_layers_or_all(tiny, images, name, layer):
    if layer == "all" and name == "combined_cam":
        layer = None  # its own way of taking every stage
    assert maps(name, tiny, images, layer=layer).shape == (4, 16, 16)


@each
def test_the_target_matters(tiny, images, name):
    assert not torch.allclose(maps(name, tiny, images, 0), maps(name, tiny, images, 3), atol=1e-3)
    by_hand = [maps(name, tiny, images, [0, 3, 0, 3])[b] for b in range(4)]
    alone = [maps(name, tiny, images[b : b + 1], t)[0] for b, t in enumerate((0, 3, 0, 3))]
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(by_hand, alone, strict=True))


@each
def test_the_model_stays_as_it_was(tiny, images, name):
    tiny.train()
    tiny.bn1.eval()
    tiny.conv1.weight.requires_grad_(False)
    before = {k: v.clone() for k, v in tiny.state_dict().items()}
    flags = [m.training for m in tiny.modules()], [p.requires_grad for p in tiny.parameters()], hooks(tiny)
    state, images_before = torch.get_rng_state(), images.clone()
    maps(name, tiny, images)
    assert ([m.training for m in tiny.modules()], [p.requires_grad for p in tiny.parameters()], hooks(tiny)) == flags
    assert all(torch.equal(v, before[k]) for k, v in tiny.state_dict().items()) and all(p.grad is None for p in tiny.parameters())
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(images, images_before)


def test_every_method_has_a_name_and_a_colour_of_its_own():
    assert METHODS.keys() <= LABELS.keys() == COLOURS.keys()
    assert len(set(COLOURS.values())) == len(COLOURS) and len(set(LABELS.values())) == len(LABELS)


@pytest.mark.parametrize("page", ["README.md", "camutils/README.md"])
def test_the_readme_lists_every_method(page):
    text = (ROOT / page).read_text()
    assert [name for name in METHODS if f"`{name}`" not in text] == []
    assert f"| CAM methods | {len(METHODS)}, one function each" in (ROOT / "camutils" / "BESIDE_OTHERS.md").read_text()
