"""Drop, increase and deletion at equal area: a network that sees brightness by hand, contrast, ties, forwards, the caller."""

import pytest
import torch
from conftest import hooks
from test_metrics_confidence import Brightness, count_calls
from torch.testing import assert_close

from camutils import grad_cam
from camutils.evaluation.metrics import average_drop, confidence, drop_increase, equal_area, increase
from camutils.evaluation.metrics.equal_area import AREAS


def test_by_hand():
    """Half of the picture is bright, and the map shows it first: class 0 is the mean brightness, 0.4 of the whole."""
    images, maps = torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4)
    images[:, :, :2], maps[:, :2] = 0.8, 1
    found = equal_area(Brightness(), images, maps, 0, areas=(0.25, 0.5, 0.75))
    assert_close(found.drop, torch.tensor([[50.0, 0, 0]]))  # 0.2, 0.4 and 0.4 of 0.4 are shown
    assert_close(found.deletion, torch.tensor([[0.2, 0, 0]]), atol=1e-5, rtol=0)
    other = equal_area(Brightness(), images, maps, 1, areas=(0.25, 0.5, 0.75))  # class 1: the darkness, 0.6
    assert other.increase[0, 0] == 100  # 0.8 where a quarter is shown
    assert_close(other.drop, torch.zeros(1, 3), atol=1e-4, rtol=0)
    assert_close(other.deletion, torch.tensor([[0.8, 1, 1]]), atol=1e-5, rtol=0)


def test_ties_share_the_area():
    """A constant map shows every pixel by as much: brightness 0.8 becomes a times 0.8, and (1 - a) times where it is black."""
    images, maps = torch.full((1, 3, 5, 7), 0.8), torch.zeros(1, 5, 7)
    found = equal_area(Brightness(), images, maps, 0)
    assert_close(found.drop, 100 * (1 - torch.tensor([AREAS])), rtol=1e-5, atol=1e-4)
    assert_close(found.deletion, 0.8 * (1 - torch.tensor([AREAS])), rtol=1e-5, atol=1e-6)


def test_equal_to_top15_and_to_plain_masks(tiny, images):
    maps, targets = torch.rand(4, 16, 16, generator=torch.Generator().manual_seed(0)), [0, 4, 2, 1]
    found = equal_area(tiny, images, maps, targets, areas=(0.15, 0.25))
    Y, O = drop_increase(tiny, images, maps, targets, "top15")  # noqa: E741
    assert_close(found.drop[:, 0], average_drop(Y, O))
    assert torch.equal(found.increase[:, 0], increase(Y, O))
    kept = torch.stack([L >= L.flatten().sort(descending=True).values[63] for L in maps])  # 64 of 256 pixels
    O = confidence(tiny, images * kept[:, None], targets)  # noqa: E741
    assert_close(found.drop[:, 1], average_drop(Y, O), rtol=1e-4, atol=1e-4)
    assert_close(found.deletion[:, 1], confidence(tiny, images * ~kept[:, None], targets))


@pytest.mark.parametrize("rise", [lambda L: L**4, lambda L: 3 * L - 7, lambda L: L.exp()])
def test_no_rising_function_moves_them(rise, tiny, images):
    maps = torch.randint(0, 9, (4, 16, 16), generator=torch.Generator().manual_seed(0)) / 8
    for a, b in zip(equal_area(tiny, images, maps, 1), equal_area(tiny, images, rise(maps), 1), strict=True):
        assert torch.equal(a, b)


def test_targets_links_and_confidence_before(tiny, images):
    maps = grad_cam(tiny, images)
    best = tiny(images).argmax(1)
    given = equal_area(tiny, images, maps, best, link="sigmoid")
    for a, b in zip(equal_area(tiny, images, maps, link="sigmoid"), given, strict=True):
        assert_close(a, b)
    Y = confidence(tiny, images, best, "sigmoid")
    calls = count_calls(tiny)
    again = equal_area(tiny, images, maps, best, link="sigmoid", confidence_before=Y)
    assert sum(calls) == 2 * len(AREAS) * 4 and max(calls) <= 16
    calls.clear()
    equal_area(tiny, images, maps, best, areas=(0.1, 0.2), chunk=4)
    assert calls == [4] * 5
    for a, b in zip(again, given, strict=True):
        assert_close(a, b)


def test_batch_and_order_do_not_matter(tiny, images):
    maps, targets, order = grad_cam(tiny, images, 1), torch.tensor([1, 0, 3, 4]), [2, 0, 3, 1]
    whole = equal_area(tiny, images, maps, targets)
    for part, one, all_ in zip(equal_area(tiny, images[order], maps[order], targets[order]),
                               equal_area(tiny, images[1:2], maps[1:2], targets[1:2]), whole, strict=True):
        assert part.shape == (4, len(AREAS))
        assert_close(part, all_[order], rtol=1e-4, atol=1e-4)
        assert_close(one, all_[1:2], rtol=1e-4, atol=1e-4)


def test_caller_is_left_alone(tiny, images):
    maps = torch.rand(4, 16, 16)
    tiny.train()
    state, kept = torch.random.get_rng_state(), [t.clone() for t in (images, maps, tiny.bn1.running_mean)]
    found = equal_area(tiny, images.requires_grad_(), maps.requires_grad_(), 1)
    assert not any(f.requires_grad for f in found) and tiny.training and hooks(tiny) == 0
    assert all(torch.equal(a, b) for a, b in zip(kept, (images, maps, tiny.bn1.running_mean), strict=True))
    assert torch.equal(torch.random.get_rng_state(), state) and all(p.grad is None for p in tiny.parameters())


@pytest.mark.parametrize("change, error, says", [
    (dict(areas=()), ValueError, "areas"), (dict(areas=(0.0, 0.5)), ValueError, "above 0, below 1"),
    (dict(areas=(1,)), ValueError, r"\(1,\)"), (dict(maps=torch.rand(4, 8, 8)), ValueError, r"\(4, 8, 8\)"),
    (dict(maps=torch.full((4, 16, 16), torch.inf)), ValueError, "Inf"), (dict(maps=[1]), TypeError, "list"),
    (dict(link="probit"), ValueError, "'probit'"), (dict(targets=5), ValueError, "target 5 out of range"),
    (dict(confidence_before=torch.ones(4), targets=None), ValueError, "confidence_before"),
    (dict(confidence_before=torch.ones(3)), ValueError, r"\(4,\)")])
def test_errors(change, error, says, tiny, images):
    with pytest.raises(error, match=says):
        equal_area(tiny, **(dict(images=images, maps=torch.rand(4, 16, 16), targets=1) | change))
