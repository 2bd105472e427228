"""Deletion and insertion: hand-worked curves, one image at a time as oracle, torchcam's metric, properties."""

import numpy as np
import pytest
import torch
import torchcam
from hypothesis import given, settings
from hypothesis import strategies as st
from test_metrics_confidence import Brightness, count_calls
from torch import nn
from torch.testing import assert_close
from torchvision.transforms.functional import gaussian_blur

from camutils import upsample
from camutils.evaluation.metrics import auc, confidence, deletion_insertion


class Weighted(nn.Module):
    """One logit, S = sum of w * x over pixels, on grey images."""

    def __init__(self, w):
        super().__init__()
        self.w = torch.tensor(w)

    def forward(self, x):
        return (x.mean(1) * self.w).sum((1, 2))[:, None]


def plain_curves(model, images, maps, targets, steps):
    """One image, one step at a time, pixels sorted by NumPy; insertion from black."""
    curves = np.zeros((2, len(images), steps + 1))
    for b, (x, L) in enumerate(zip(images, maps, strict=True)):
        order = np.argsort(-L.flatten().numpy(), kind="stable")
        for j in range(steps + 1):
            first = torch.zeros(L.numel(), dtype=torch.bool)
            first[order[: j * L.numel() // steps]] = True
            for k, keep in enumerate((~first, first)):
                with torch.no_grad():
                    curves[k, b, j] = model((x * keep.view_as(L))[None]).softmax(1)[0, targets[b]]
    return curves


def test_auc_of_the_fixtures():
    assert_close(auc(torch.tensor([[1, 0.3, 0], [0, 0.7, 1], [1, 1, 1]])), torch.tensor([0.4, 0.6, 1]))


def test_auc_of_doubles_is_as_exact_as_they_are():
    curve = [(j / 10) ** 2 for j in range(11)]
    area = sum((a + b) / 20 for a, b in zip(curve, curve[1:], strict=False))
    assert auc(torch.tensor(curve, dtype=torch.float64)).item() == pytest.approx(area, abs=1e-15)


def test_curves_by_hand():
    images, L = torch.ones(1, 3, 1, 2), torch.tensor([[[1.0, 0]]])
    seen = deletion_insertion(Weighted([[0.7, 0.3]]), images, L, 0, steps=2, insertion_from="black", link="logit")
    assert_close(seen.deletion, torch.tensor([[1, 0.3, 0]]))
    assert_close(seen.insertion, torch.tensor([[0, 0.7, 1]]))
    assert_close((seen.deletion_auc, seen.insertion_auc), (torch.tensor([0.4]), torch.tensor([0.6])))


def test_brightness_is_lost_in_a_straight_line():
    images, maps = torch.full((1, 3, 8, 8), 0.8), torch.rand(1, 8, 8)
    seen = deletion_insertion(Brightness(), images, maps, 0, steps=8, insertion_from="black")
    assert_close(seen.deletion[0], torch.linspace(0.8, 0, 9), atol=2e-6, rtol=0)
    assert_close(seen.insertion[0], torch.linspace(0, 0.8, 9), atol=2e-6, rtol=0)
    assert_close(seen.deletion_auc, torch.tensor([0.4]))
    none = deletion_insertion(Brightness(), images, maps, steps=8, insertion_from="black")
    assert_close(none, seen)  # class 0 throughout, also where class 1 leads
    uneven = deletion_insertion(Brightness(), images[..., :2, :2], maps[:, :2, :2], 0, steps=3, insertion_from="black")
    assert_close(uneven.deletion[0], torch.tensor([0.8, 0.6, 0.4, 0]), atol=2e-6, rtol=0)  # 0, 1, 2, 4 pixels
    assert_close((uneven.deletion_auc, uneven.insertion_auc), (torch.tensor([0.4]), torch.tensor([0.4])))


def test_areas_of_doubles_are_as_exact_as_they_are():
    """A tenth of the pixels is no number of float32."""
    images = torch.full((1, 3, 2, 5), 0.8, dtype=torch.float64)
    seen = deletion_insertion(Brightness(), images, torch.rand(1, 2, 5), 0, steps=3, insertion_from="black")
    at, y = (0, 0.3, 0.6, 1), seen.deletion[0].tolist()
    area = sum((y[j] + y[j + 1]) / 2 * (at[j + 1] - at[j]) for j in range(3))
    assert seen.deletion_auc.item() == pytest.approx(area, abs=1e-14)


@pytest.mark.parametrize("steps, chunk", [(16, 64), (7, 8), (5, 1), (256, 500)])
def test_equals_one_image_at_a_time(steps, chunk, tiny, images):
    maps, targets = torch.rand(4, 16, 16, generator=torch.Generator().manual_seed(3)), [0, 4, 2, 2]
    maps[1] = (maps[1] * 4).round() / 4  # ties
    maps[2] = 0
    seen = deletion_insertion(tiny, images, maps, targets, steps=steps, insertion_from="black", chunk=chunk)
    deletion, insertion = plain_curves(tiny, images, maps, targets, steps)
    np.testing.assert_allclose(seen.deletion, deletion, rtol=1e-4)
    np.testing.assert_allclose(seen.insertion, insertion, rtol=1e-4)
    fractions = np.array([j * 256 // steps for j in range(steps + 1)]) / 256
    np.testing.assert_allclose(seen.deletion_auc, np.trapezoid(deletion, fractions), rtol=1e-4)
    np.testing.assert_allclose(seen.insertion_auc, np.trapezoid(insertion, fractions), rtol=1e-4)


def test_insertion_starts_from_the_blurred_image(tiny, images):
    calls = count_calls(tiny)
    seen = deletion_insertion(tiny, images, torch.rand(4, 16, 16), 2, steps=4, chunk=8)
    assert calls == [4, 8, 8, 8, 8]  # the images; 4 steps each way, two at a time
    assert_close(seen.insertion[:, 0], confidence(tiny, gaussian_blur(images, [11, 11], [5.0, 5.0]), 2))
    assert_close(seen.deletion[:, -1], confidence(tiny, torch.zeros_like(images), 2))
    assert_close(seen.deletion[:, 0], confidence(tiny, images, 2))
    assert torch.equal(seen.deletion[:, 0], seen.insertion[:, -1])


@pytest.mark.parametrize("targets", [None, 3, [0, 4, 2, 2]])
def test_parity_with_torchcam(targets, tiny, images):
    with torchcam.methods.LayerCAM(tiny, "conv3") as extractor:
        metric = torchcam.metrics.DeletionInsertionMetric(extractor, nn.Softmax(1), steps=16)
        metric.update(images, targets)
        oracle = metric.summary()
        classes = tiny(images).argmax(1).tolist() if targets is None else targets
        maps = upsample(extractor(classes, tiny(images).softmax(1))[0].detach(), (16, 16))
    seen = deletion_insertion(tiny, images, maps, targets, steps=16, insertion_from="black")
    for name, values in (("deletion", seen.deletion_auc), ("insertion", seen.insertion_auc)):
        assert values.mean().item() == pytest.approx(next(v for k, v in oracle.items() if name in k), rel=1e-5)


def test_none_asks_about_the_whole_image_and_callables_work(tiny, images):
    maps, classes = torch.rand(4, 16, 16), tiny(images).argmax(1)
    expected = deletion_insertion(tiny, images, maps, classes, steps=4)
    assert_close(deletion_insertion(tiny, images, maps, steps=4), expected)
    own = lambda z: z.gather(1, classes[:, None])[:, 0]  # noqa: E731  (knows its batch: needs whole batches in order)
    assert_close(deletion_insertion(tiny, images, maps, own, steps=4), expected)


def test_output_that_is_no_tensor(tiny, images):
    class Wrapped(nn.Module):
        def forward(self, x):
            return {"out": tiny(x)}

    maps, options = torch.rand(4, 16, 16), dict(steps=4, link="sigmoid")
    seen = deletion_insertion(Wrapped(), images, maps, lambda out: out["out"][:, 1], **options)
    assert_close(seen, deletion_insertion(tiny, images, maps, 1, **options))


@settings(max_examples=15, deadline=None, database=None, derandomize=True)
@given(st.floats(0.01, 50), st.integers(0, 2**16), st.permutations(range(3)))
def test_only_the_order_of_pixels_counts(factor, seed, order):
    rng = torch.Generator().manual_seed(seed)
    images, levels = torch.rand(3, 3, 8, 8, generator=rng), torch.randint(0, 30, (3, 8, 8), generator=rng).float()
    model = Brightness()
    whole = deletion_insertion(model, images, levels / 30, 0, steps=8)
    assert_close(deletion_insertion(model, images, factor * levels - 3, 0, steps=8), whole)
    assert_close(deletion_insertion(model, images[order], levels[order], 0, steps=8), type(whole)(*(v[order] for v in whole)))
    assert_close(deletion_insertion(model, images[:1], levels[:1], 0, steps=8), type(whole)(*(v[:1] for v in whole)))


@pytest.mark.parametrize("change, says", [
    (dict(steps=0), "0 steps for 256 pixels"),
    (dict(steps=257), "257 steps"),
    (dict(insertion_from="white"), "'white'; accepted: 'blur', 'black'"),
    (dict(images=torch.rand(4, 3, 5, 16), maps=torch.rand(4, 5, 16)), "6 x 6"),
    (dict(maps=torch.rand(4, 8, 8)), "maps have shape"),
    (dict(link="probit"), "'probit'")])
def test_errors(change, says, tiny, images):
    with pytest.raises(ValueError, match=says):
        deletion_insertion(tiny, **(dict(images=images, maps=torch.rand(4, 16, 16), targets=1) | change))
