"""A map less the map of the contrary, against the same by hand."""

import pytest
import torch
from conftest import hooks
from torch.testing import assert_close

from camutils.core.maps import normalise
from camutils.methods.grad_cam import grad_cam, layer_cam
from camutils.methods.parts.less import AGAINST, less


@pytest.mark.parametrize("method", [grad_cam, layer_cam])
@pytest.mark.parametrize("against", AGAINST)
def test_by_hand(method, against, tiny, images):
    classes = torch.tensor([1, 0, 3, 2][: len(images)])
    contrary = {"opposite": lambda z: -z[torch.arange(len(z)), classes[: len(z)]],
                "rivals": lambda z: torch.stack([torch.cat([v[:c], v[c + 1:]]).exp().sum().log()
                                                 for v, c in zip(z, classes.tolist(), strict=False)])}[against]
    mine, theirs = method(tiny, images, classes), method(tiny, images, contrary)
    expected = normalise((mine - theirs).relu())
    before = hooks(tiny)
    heat = less(method, tiny, images, classes, against=against)
    assert_close(heat, expected, atol=1e-5, rtol=0)
    assert hooks(tiny) == before and heat.amax() == 1


def test_class_of_the_picture_itself(tiny, images):
    with torch.no_grad():
        own = tiny(images).argmax(1)
    assert torch.equal(less(layer_cam, tiny, images), less(layer_cam, tiny, images, own.tolist()))


def test_bad_input(tiny, images):
    with pytest.raises(ValueError, match="against 'all'; accepted: opposite, rivals"):
        less(grad_cam, tiny, images, 1, against="all")
    with pytest.raises(ValueError, match="targets is a function"):
        less(grad_cam, tiny, images, lambda z: z[:, 0])
    with pytest.raises(ValueError, match="out of range"):
        less(grad_cam, tiny, images, 99)
    one = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                              torch.nn.Linear(4, 1))
    with pytest.raises(ValueError, match="one logit has no rivals"):
        less(grad_cam, one, images, 0, against="rivals")
