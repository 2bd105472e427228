"""Confidence, masked images, drop and increase: hand-worked values, torchcam's metric, counted forwards, errors."""

from functools import partial

import pytest
import torch
import torchcam
from conftest import hooks
from torch import nn
from torch.testing import assert_close

from camutils import grad_cam, upsample
from camutils.evaluation.metrics import average_drop, confidence, drop_increase, increase, masked_images


def count_calls(model):
    """A list that grows by the number of images at every forward pass."""
    calls = []
    model.register_forward_hook(lambda m, args, out: calls.append(len(args[0])))
    return calls


class Brightness(nn.Module):
    """Two logits whose softmax is (m, 1 - m), m the mean brightness."""

    def forward(self, x):
        m = x.mean((1, 2, 3)).clamp(1e-6, 1 - 1e-6)
        return torch.stack([m.log(), (1 - m).log()], 1)


def test_drop_and_increase_by_hand():
    Y, O = torch.tensor([1.0, 0.5, 0.2, 0.0]), torch.tensor([0.4, 0.5, 0.3, 0.0])  # noqa: E741
    assert_close(average_drop(Y, O), torch.tensor([60.0, 0, 0, 0]))
    assert increase(Y, O).tolist() == [0, 0, 100, 0]
    assert average_drop(1.0, 0.4).item() == pytest.approx(60)


def test_links(tiny, images):
    z = tiny(images).detach()
    targets = [0, 4, 2, 2]
    assert_close(confidence(tiny, images, targets), z.softmax(1)[range(4), targets])
    assert_close(confidence(tiny, images, targets, "sigmoid"), z.sigmoid()[range(4), targets])
    assert_close(confidence(tiny, images, targets, "logit"), z[range(4), targets])
    assert_close(confidence(tiny, images), z.softmax(1).amax(1))


def test_callable_targets(tiny, images):
    p = tiny(images).detach().softmax(1)
    group = lambda z: z[:, [1, 3]].logsumexp(1)  # noqa: E731
    assert_close(confidence(tiny, images, group), p[:, 1] + p[:, 3])
    odds = lambda z: z[:, [1, 3]].logsumexp(1) - z[:, [0, 2, 4]].logsumexp(1)  # noqa: E731
    assert_close(confidence(tiny, images, odds, "sigmoid"), p[:, 1] + p[:, 3])
    assert_close(confidence(tiny, images, lambda z: z[:, 2]), confidence(tiny, images, 2))
    many = torch.randn(200, 1000, 1, 1, generator=torch.Generator().manual_seed(0))  # a network of 1000 classes
    everything = confidence(nn.Flatten(), many, lambda z: z.logsumexp(1))
    assert everything.max() == 1 and everything.min() > 1 - 1e-5  # never above 1 by rounding


def test_masked_images_by_hand():
    images = torch.arange(1.0, 13).view(1, 3, 2, 2)
    L = torch.tensor([[[0.5, 1], [0, 0.5]]])
    assert_close(masked_images(images, L), images * torch.tensor([[0.5, 1], [0, 0.5]]))
    assert_close(masked_images(images, L, "top50"), images * torch.tensor([[0.5, 1], [0, 0.5]]))  # 1 pixel left for the 2 tied


@pytest.mark.parametrize("variant, share", [("top15", 0.15), ("top50", 0.5)])
def test_top_keeps_an_exact_share_of_the_highest(variant, share):
    maps = torch.rand(5, 13, 11, generator=torch.Generator().manual_seed(0))
    maps[0] = 0  # ties everywhere
    shown = masked_images(torch.ones(5, 3, 13, 11), maps, variant)[:, 0]
    assert_close(shown.sum((1, 2)), torch.full((5,), share * 143))
    assert_close(shown[0], torch.full((13, 11), share))
    for L, s in zip(maps[1:], shown[1:], strict=True):
        assert L[s == 1].min() > L[s < 1].max() and ((s > 0) & (s < 1)).sum() == 1  # 143 pixels have no whole share


def test_drop_of_a_network_that_sees_brightness():
    images, maps = torch.full((2, 3, 4, 4), 0.8), torch.zeros(2, 4, 4)
    maps[:, :2] = 1  # half of each image stays: 0.8 -> 0.4
    Y, O = drop_increase(Brightness(), images, maps, [0, 1])  # noqa: E741
    assert_close(Y, torch.tensor([0.8, 0.2]))
    assert_close(O, torch.tensor([0.4, 0.6]))
    assert_close(average_drop(Y, O), torch.tensor([50.0, 0]))
    assert increase(Y, O).tolist() == [0, 100]
    _, O = drop_increase(Brightness(), images, maps)  # noqa: E741  (None: class 0, also for the masked image, where 1 leads)
    assert_close(O, torch.tensor([0.4, 0.4]))


@pytest.mark.parametrize("variant", ["soft", "top15", "top50"])
def test_forwards_are_counted(variant, tiny, images):
    calls, maps = count_calls(tiny), torch.rand(4, 16, 16)
    Y, O = drop_increase(tiny, images, maps, [0, 1, 2, 3], variant)  # noqa: E741
    assert calls == [4, 4]
    given = drop_increase(tiny, images, maps, [0, 1, 2, 3], variant, confidence_before=Y)
    assert calls == [4, 4, 4] and given[0] is Y and torch.equal(given[1], O)


@pytest.mark.parametrize("targets", [None, 3, [0, 4, 2, 2]])
def test_parity_with_torchcam(targets, tiny, images):
    with torchcam.methods.GradCAM(tiny, "conv3") as extractor:
        metric = torchcam.metrics.ClassificationMetric(extractor, partial(torch.softmax, dim=-1))
        metric.update(images, targets)
        oracle = metric.summary()
        classes = tiny(images).argmax(1).tolist() if targets is None else targets
        maps = upsample(extractor(classes, tiny(images).softmax(1))[0].detach(), (16, 16))
    Y, O = drop_increase(tiny, images, maps, targets)  # noqa: E741
    assert average_drop(Y, O).mean().item() / 100 == pytest.approx(oracle["avg_drop"], rel=1e-5)
    assert increase(Y, O).mean().item() / 100 == oracle["conf_increase"] and sum(oracle.values()) > 0


def test_batch_and_order_do_not_matter(tiny, images):
    maps, targets, order = grad_cam(tiny, images, 1), torch.tensor([1, 0, 3, 4]), [2, 0, 3, 1]
    whole = torch.stack(drop_increase(tiny, images, maps, targets))
    assert_close(torch.stack(drop_increase(tiny, images[order], maps[order], targets[order])), whole[:, order])
    assert_close(torch.stack(drop_increase(tiny, images[:1], maps[:1], targets[:1])), whole[:, :1])


def test_caller_is_left_alone(tiny, images):
    maps = torch.rand(4, 16, 16)
    tiny.train()
    tiny.bn1.eval()
    expected = drop_increase(tiny, images, maps, 1)
    state, flags = torch.random.get_rng_state(), [m.training for m in tiny.modules()]
    kept = [t.clone() for t in (images, maps, tiny.bn1.running_mean)]
    with torch.inference_mode():
        Y, O = drop_increase(tiny, images.clone(), maps.clone(), 1)  # noqa: E741
    assert_close((Y, O), expected)
    assert not Y.requires_grad and not O.requires_grad
    assert [m.training for m in tiny.modules()] == flags and flags[:3] == [True, True, False] and hooks(tiny) == 0
    assert all(torch.equal(a, b) for a, b in zip(kept, (images, maps, tiny.bn1.running_mean), strict=True))
    assert torch.equal(torch.random.get_rng_state(), state) and all(p.grad is None for p in tiny.parameters())


def test_wrapped_and_half(tiny, images):
    expected = confidence(tiny, images, 1)
    assert_close(confidence(nn.DataParallel(tiny), images, 1), expected)
    low = confidence(tiny.bfloat16(), images.bfloat16(), 1)
    assert low.dtype == torch.float32 and (low - expected).abs().max() < 0.05


@pytest.mark.parametrize("change, error, says", [
    (dict(maps=torch.full((4, 16, 16), 1.1)), ValueError, "1.1; accepted: 0 to 1"),
    (dict(maps=torch.full((4, 16, 16), -0.1)), ValueError, "-0.1"),
    (dict(maps=torch.rand(4, 8, 8)), ValueError, r"\(4, 8, 8\); accepted for these images: \(4, 16, 16\)"),
    (dict(maps=torch.full((4, 16, 16), torch.nan)), ValueError, "NaN"),
    (dict(maps=[1]), TypeError, "list"),
    (dict(variant="top20"), ValueError, "'top20'; accepted: soft, top15, top50"),
    (dict(link="probit"), ValueError, "'probit'; accepted: softmax, sigmoid"),
    (dict(targets=5), ValueError, "target 5 out of range"),
    (dict(images=torch.rand(3, 16, 16)), ValueError, r"\(3, 16, 16\)"),
    (dict(images=torch.rand(4, 1, 16, 16)), ValueError, "1 channels"),
    (dict(confidence_before=torch.ones(4), targets=None), ValueError, "confidence_before"),
    (dict(confidence_before=torch.ones(3), targets=1), ValueError, "confidence_before")])
def test_errors(change, error, says, tiny, images):
    with pytest.raises(error, match=says):
        drop_increase(tiny, **(dict(images=images, maps=torch.rand(4, 16, 16), targets=1) | change))


def test_a_softmax_needs_classes(images):
    one_number = nn.Sequential(Brightness(), nn.Flatten(0), nn.Identity())
    with pytest.raises(ValueError, match=r"link 'softmax' needs an output \(B, classes, ...\), not Tensor; accepted then: link="):
        confidence(one_number, images, lambda z: z[::2])
    assert_close(confidence(one_number, images, lambda z: z[::2], link="logit"), Brightness()(images)[:, 0])


def test_errors_of_drops():
    with pytest.raises(ValueError, match="negative"):
        average_drop([-1.0], [0.5])
    with pytest.raises(ValueError, match="shapes"):
        increase([1.0, 1.0], [0.5])
