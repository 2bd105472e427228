"""Unsteadiness and stability: methods made up for cases by hand, contrast, draws, batches, the caller left alone."""

import pytest
import torch
from conftest import hooks
from torch.testing import assert_close

from camutils import grad_cam
from camutils.evaluation.metrics import sharpen, spearman, stability, unsteadiness
from camutils.evaluation.metrics.steadiness import moved_images


def first_channel(model, images, targets=None, layer=None):
    """The picture's own red: what a method would show that follows the picture pixel by pixel."""
    return images[:, 0]


def fixed_map(model, images, targets=None, layer=None):
    """A map that never moves."""
    H, W = images.shape[-2:]
    return torch.arange(H * W, dtype=torch.float32).view(1, H, W).expand(len(images), H, W)


class Turning:
    """A method that gives the maps of a list, one after the other."""

    def __init__(self, *maps):
        self.maps = list(maps)

    def __call__(self, model, images, targets=None, layer=None):
        return torch.tensor(self.maps.pop(0))


def test_by_hand(tiny):
    images, up, down = torch.rand(2, 3, 2, 2), [[1.0, 2], [3, 4]], [[4.0, 3], [2, 1]]
    swapped, flat = [[2.0, 1], [3, 4]], [[0.5, 0.5], [0.5, 0.5]]  # rho: 1 - 6 * 2 / (4 * 15) = 0.8
    method = Turning([up, flat], [up, flat], [down, up], [swapped, flat])
    assert_close(unsteadiness(method, tiny, images, 0, draws=3), torch.tensor([(0 + 2 + 0.2) / 3, (0 + 1 + 0) / 3]))
    assert_close(unsteadiness(Turning([up, up]), tiny, images, 0, maps=torch.tensor([flat, up]), draws=1), torch.tensor([1.0, 0]))


def test_moves_by_one_grey_level_or_by_small_noise(images):
    for kind, most in (("grey", 1 / 255), ("noise", 0.02)):
        moves = torch.stack([*moved_images(images, kind, 4, 0)]) - images
        assert torch.equal(moves[:, 0].abs() > 0, torch.ones_like(moves[:, 0]).bool()) and moves.abs().max() <= most + 1e-6
        assert_close(moves[:, 0], moves[:, 3], rtol=0, atol=1e-6)  # the same for every image
        assert all((moves[i] - moves[j]).abs().max() > 1 / 255 for i in range(4) for j in range(i))
        assert abs(float((moves > 0).float().mean()) - 0.5) < 0.05
    grey = torch.stack([*moved_images(torch.zeros(1, 3, 8, 8), "grey", 2, 0)])
    assert_close(grey.abs(), torch.full_like(grey, 1 / 255))
    assert torch.equal(torch.stack([*moved_images(torch.zeros(1, 3, 8, 8), "grey", 2, 0)]), grey)
    assert not torch.equal(torch.stack([*moved_images(torch.zeros(1, 3, 8, 8), "grey", 2, 1)]), grey)


def test_is_the_mean_over_the_draws(tiny, images):
    expected = torch.stack([1 - spearman(images[:, 0], x[:, 0]) for x in moved_images(images, "noise", 4, 0)]).mean(0)
    found = unsteadiness(first_channel, tiny, images, 0, kind="noise")
    assert_close(found, expected)
    assert unsteadiness(first_channel, tiny, images, 0).max() < found.min()  # one grey level is less than five
    assert unsteadiness(fixed_map, tiny, images, 0, kind="noise").tolist() == [0] * 4
    assert_close(unsteadiness(first_channel, tiny, images, 0, maps=images[:, 0], kind="noise"), expected)


def test_contrast_does_not_move_it(tiny, images):
    """Powers keep the order; without the pixels that they bring down to 0 the value is the same to the last digit."""
    powered = lambda *a, **k: sharpen(grad_cam(*a, **k), 2)  # noqa: E731
    for kind in ("grey", "noise"):
        plain = unsteadiness(grad_cam, tiny, images, 1, "conv3", kind=kind)
        assert plain.max() > 0
        assert_close(unsteadiness(powered, tiny, images, 1, "conv3", kind=kind), plain, rtol=1e-3, atol=1e-6)


def test_batch_does_not_matter(tiny, images):
    targets = [1, 0, 3, 4]
    whole = unsteadiness(grad_cam, tiny, images, targets, "conv2")
    alone = torch.cat([unsteadiness(grad_cam, tiny, images[i:i + 1], targets[i], "conv2") for i in range(4)])
    assert_close(whole, alone, rtol=1e-3, atol=1e-5)


def test_targets_are_those_of_the_picture_itself(tiny, images):
    best = tiny(images).argmax(1)
    assert_close(unsteadiness(grad_cam, tiny, images, None, "conv3"), unsteadiness(grad_cam, tiny, images, best, "conv3"))
    found, given = (stability(grad_cam, tiny, images, targets, "conv3") for targets in (None, best))
    assert_close([*found], [*given])


def test_stability_by_hand(tiny, images):
    L, mean, spread = stability(first_channel, tiny, images, 0, draws=8)
    draws = torch.stack([x[:, 0] for x in moved_images(images, "grey", 8, 0)])
    assert torch.equal(L, images[:, 0])
    assert_close(mean, draws.mean(0))
    assert_close(spread, ((draws - mean) ** 2).mean(0).sqrt(), rtol=1e-3, atol=1e-6)
    assert 0 < spread.max() <= 1 / 255 + 1e-6
    still = stability(fixed_map, tiny, images, 0, draws=2)
    assert torch.equal(still.map, still.mean) and still.spread.max() == 0
    one, two = [[[0.0, 1], [0.25, 0.5]]], [[[1.0, 0], [0.25, 1]]]
    turning = stability(Turning(one, one, two), tiny, images[:1], 0, draws=2)
    assert_close(turning.mean, torch.tensor([[[0.5, 0.5], [0.25, 0.75]]]))
    assert_close(turning.spread, torch.tensor([[[0.5, 0.5], [0, 0.25]]]))


def test_stability_is_of_the_class_that_was_given(tiny, images):
    for targets in (1, [3, 0, 1, 4]):
        seen = stability(grad_cam, tiny, images, targets, "conv3", draws=2)
        assert_close(seen.map, grad_cam(tiny, images, targets, "conv3"))
        assert (seen.mean - seen.map).abs().max() < 0.1


def test_stability_asks_every_draw_about_the_layer_that_was_given(tiny, images):
    seen = stability(grad_cam, tiny, images, 1, "conv2", draws=2)
    draws = torch.stack([grad_cam(tiny, x, 1, "conv2") for x in moved_images(images, "grey", 2, 0)])
    assert torch.equal(seen.mean, draws.mean(0)) and not torch.equal(seen.map, grad_cam(tiny, images, 1))


def test_options_reach_the_method_and_the_caller_is_left_alone(tiny, images):
    tiny.train()
    state, kept = torch.random.get_rng_state(), images.clone()
    raw = stability(grad_cam, tiny, images, 1, "conv3", raw=True)
    assert raw.map.shape == raw.spread.shape == (4, 8, 8)
    value = unsteadiness(grad_cam, tiny, images, 1, "conv3", relu=False)
    assert not value.requires_grad and not raw.mean.requires_grad and tiny.training and hooks(tiny) == 0
    assert torch.equal(images, kept) and torch.equal(torch.random.get_rng_state(), state)
    assert all(p.grad is None for p in tiny.parameters())


@pytest.mark.parametrize("options, error, says", [
    (dict(kind="gray"), ValueError, "'gray', 4 draws given; accepted: grey, noise"), (dict(draws=0), ValueError, "0 draws"),
    (dict(maps=torch.rand(4, 8, 8)), ValueError, r"\(4, 8, 8\)"), (dict(targets=7), ValueError, "target 7"),
    (dict(images=torch.rand(3, 16, 16)), ValueError, r"\(3, 16, 16\)"), (dict(nothing=1), TypeError, "nothing")])
def test_errors(options, error, says, tiny, images):
    with pytest.raises(error, match=says):
        unsteadiness(grad_cam, tiny, **(dict(images=images, targets=1) | options))


def test_errors_of_stability(tiny, images):
    with pytest.raises(ValueError, match="1 draws given; accepted: 2 or more"):
        stability(grad_cam, tiny, images, 1, draws=1)
