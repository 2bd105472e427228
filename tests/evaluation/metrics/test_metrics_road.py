"""ROAD and its imputation: hand-worked values, the authors' imputation, one image at a time as oracle."""

import pytest
import torch
from conftest import hooks
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from test_metrics_confidence import Brightness
from torch.testing import assert_close

from camutils import normalise, upsample
from camutils.evaluation.metrics import impute, road


def removed(maps, share):
    """What stays when the highest `share` is gone; no ties."""
    return maps < maps.flatten(1).quantile(1 - share, 1)[:, None, None]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("smooth", [True, False])
def test_imputation_equals_the_authors(share, smooth):
    rng = torch.Generator().manual_seed(0)
    images, maps = torch.rand(2, 3, 32, 24, generator=rng), torch.rand(2, 32, 24, generator=rng)
    if smooth:  # one large hole
        maps = normalise(upsample(torch.rand(2, 3, 3, generator=rng), (32, 24)))
    kept = removed(maps, share)
    oracle = torch.stack([NoisyLinearImputer(noise=0)(x.clone(), k.float()) for x, k in zip(images, kept, strict=True)])
    assert_close(impute(images.double(), kept, tolerance=1e-12).float(), oracle, rtol=0, atol=1e-6)
    assert_close(impute(images, kept), oracle, rtol=0, atol=1e-3)  # float32: a tenth of the noise that ROAD adds
    assert torch.equal(impute(images, kept)[kept[:, None].expand_as(images)], images[kept[:, None].expand_as(images)])


def test_imputation_by_hand():
    x = torch.tensor([[[[6.0, 0, 12]]]])  # one row: both neighbours weigh 1/6
    assert_close(impute(x, torch.tensor([[[True, False, True]]])), torch.tensor([[[[6.0, 9, 12]]]]))
    assert_close(impute(x, torch.tensor([[[True, False, False]]])), torch.full((1, 1, 1, 3), 6.0))
    flat = torch.full((1, 3, 9, 9), 0.25)
    assert_close(impute(flat, torch.rand(1, 9, 9, generator=torch.Generator().manual_seed(0)) > 0.8), flat)
    assert impute(torch.zeros(1, 3, 9, 9), torch.eye(9)[None] > 0).abs().max() == 0
    with pytest.raises(ValueError, match="image 1 keeps no pixel"):
        impute(torch.rand(2, 3, 2, 2), torch.tensor([[[True] * 2] * 2, [[False] * 2] * 2]))


@pytest.mark.parametrize("order", ["most", "least"])
def test_road_equals_one_image_at_a_time(order, tiny, images):
    maps, targets = torch.rand(4, 16, 16, generator=torch.Generator().manual_seed(5)), [0, 4, 2, 2]
    seen = road(tiny, images, maps, targets, percentiles=(25, 75), order=order, noise=0.05, seed=9, chunk=8)
    field = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(9))
    for b in range(4):
        for j, count in enumerate((64, 192)):
            gone = maps[b].flatten().sort(descending=order == "most").indices[:count]
            kept = torch.ones(256).index_fill(0, gone, 0).view(1, 16, 16)
            filled = NoisyLinearImputer(noise=0)(images[b].clone(), kept[0]) + 0.05 * field * (1 - kept)
            assert seen[b, j].item() == pytest.approx(tiny(filled[None]).softmax(1)[0, targets[b]].item(), abs=1e-4)


def test_road_keeps_the_callers_state_and_batches_agree(tiny, images):
    maps, state = torch.rand(4, 16, 16), torch.random.get_rng_state()
    tiny.train()
    whole = road(tiny, images, maps, [0, 1, 2, 3])
    assert whole.shape == (4, 7) and not whole.requires_grad
    assert tiny.training and tiny.drop.training and hooks(tiny) == 0 and torch.equal(torch.random.get_rng_state(), state)
    assert_close(road(tiny, images[2:3], maps[2:3], 2), whole[2:3], rtol=0, atol=1e-4)
    assert torch.equal(road(tiny, images, maps, [0, 1, 2, 3]), whole)
    filled = impute(images, maps > 0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(impute(images, maps > 0.5), filled)


def test_none_asks_about_the_whole_image_and_callables_work(tiny, images):
    maps, classes = torch.rand(4, 16, 16), tiny(images).argmax(1)
    own = lambda z: z.gather(1, classes[:, None])[:, 0]  # noqa: E731  (knows its batch: needs whole batches in order)
    assert_close(road(tiny, images, maps, own), road(tiny, images, maps))
    assert_close(road(tiny, images, maps, classes), road(tiny, images, maps))


@pytest.mark.parametrize("change, says", [
    (dict(maps=torch.full((4, 16, 16), torch.nan)), "NaN"),
    (dict(order="first"), "'first'; accepted: 'most', 'least'"),
    (dict(percentiles=(10, 100)), "percentiles"),
    (dict(percentiles=()), "percentiles")])
def test_errors(change, says, tiny, images):
    with pytest.raises(ValueError, match=says):
        road(tiny, **(dict(images=images, maps=torch.rand(4, 16, 16), targets=1) | change))


def test_too_few_steps_are_told(images):
    with pytest.raises(RuntimeError, match="did not converge to 1e-06 within 2 steps on 16 x 16 pixels"):
        impute(images, images[:, 0] > 0.5, most=2)


def test_pictures_of_one_channel(images):
    grey, maps = images[:, :1], images[:, 2]
    expected = road(Brightness(), grey.expand(-1, 3, -1, -1), maps, 0, noise=0)
    assert_close(road(Brightness(), grey, maps, 0, noise=0), expected)
