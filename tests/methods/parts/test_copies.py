"""Maps averaged over copies of the picture: moved by hand, mirrored, with noise."""

import pytest
import torch
from conftest import hooks
from torch.testing import assert_close

from camutils.core.maps import normalise, upsample
from camutils.evaluation.measure import parse_method
from camutils.methods import METHODS
from camutils.methods.grad_cam import grad_cam, layer_cam
from camutils.methods.integrative_cam import integrative_cam
from camutils.methods.parts.copies import COPIES, moved, over_copies
from camutils.methods.parts.less import less
from camutils.methods.parts.scales import enlarge


def shown(model, images, targets=None, layer=None):
    """A "method" that shows the picture's first channel: what a copy does to it can be seen."""
    return images[:, 0]


def test_moved_by_hand():
    x = torch.arange(9.0).view(1, 1, 3, 3)
    assert moved(x, 1, 0)[0, 0].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert moved(x, 0, -1)[0, 0].tolist() == [[1, 2, 2], [4, 5, 5], [7, 8, 8]]
    assert moved(x, -1, 1)[0, 0].tolist() == [[3, 3, 4], [6, 6, 7], [6, 6, 7]]
    assert torch.equal(moved(x, 0, 0), x)


def test_copies_are_laid_back_over_the_picture(tiny, images):
    """A picture that is the same inside the border comes back as itself there; at the border the nearest pixel stands in."""
    flipped = over_copies(shown, tiny, images, 1, copies="flip")
    assert_close(flipped, normalise(images[:, 0]))
    L, step = images[:, 0], 2
    expected = torch.zeros_like(L)
    H, W = L.shape[1:]
    for down in (-step, step):
        for right in (-step, step):
            for i in range(H):
                for j in range(W):  # there and back: pixel (i, j), as far as it stayed in the picture
                    there = min(max(i + down, 0), H - 1), min(max(j + right, 0), W - 1)
                    expected[:, i, j] += L[:, there[0] - down if 0 <= there[0] - down < H else i,
                                           there[1] - right if 0 <= there[1] - right < W else j] / 4
    found = over_copies(shown, tiny, images, 1, size=step / min(H, W))
    assert_close(found, normalise(expected))


@pytest.mark.parametrize("method", [grad_cam, integrative_cam])
@pytest.mark.parametrize("copies", COPIES)
def test_contract(method, copies, tiny, images):
    before, state = hooks(tiny), torch.get_rng_state()
    heat = over_copies(method, tiny, images, None, copies=copies)
    assert heat.shape == images[:, 0].shape and heat.amin() >= 0 and heat.amax() <= 1 and (heat.amax((1, 2)) > 0).all()
    assert torch.equal(heat, over_copies(method, tiny, images, None, copies=copies))
    assert hooks(tiny) == before and torch.equal(torch.get_rng_state(), state)
    for b in range(len(images)):
        assert_close(over_copies(method, tiny, images[b:b + 1], None, copies=copies), heat[b:b + 1], atol=1e-4, rtol=0)


def test_same_noise_for_every_image(tiny, images):
    twice = torch.cat([images[:1], images[:1]])
    L = over_copies(grad_cam, tiny, twice, 1, copies="noise", size=0.1)
    assert_close(L[0], L[1])


def test_bad_input(tiny, images):
    with pytest.raises(ValueError, match="copies 'turn'; accepted: shift, flip, noise"):
        over_copies(grad_cam, tiny, images, 1, copies="turn")
    for size in (0, 1.0, True, "2"):
        with pytest.raises(ValueError, match="accepted: a number between 0 and 1"):
            over_copies(grad_cam, tiny, images, 1, size=size)


def test_around_a_method_by_name(tiny, images):
    """name+C, name+C+M, name+L: from within outwards, each taking its own options."""
    named = parse_method("grad_cam+C:copies=flip", METHODS)
    assert torch.equal(named(tiny, images, 1), over_copies(grad_cam, tiny, images, 1, copies="flip"))
    both = parse_method("grad_cam+C+M:copies=flip:scales=[1,1.5]:ratio=mean", METHODS)(tiny, images, 1)
    found = [over_copies(grad_cam, tiny, enlarge(images, s), 1, copies="flip", raw=True) for s in (1, 1.5)]
    assert_close(both, normalise(sum(upsample(L, images.shape[-2:]) for L in found)))
    rest = parse_method("layer_cam+L:against=rivals", METHODS)(tiny, images, 1)
    assert torch.equal(rest, less(layer_cam, tiny, images, 1, against="rivals"))
    with pytest.raises(ValueError, match=r"unknown method 'grad_cam\+X'"):
        parse_method("grad_cam+X", METHODS)
