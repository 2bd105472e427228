"""What activations and gradients must survive: every habit of models and callers that is known to break such code."""

import pytest
import torch
from conftest import Tiny, hooks, seeded, straight
from torch import nn
from torch.testing import assert_close

from camutils import capture, grad_cam, probe, probe_layers


def state(model):
    """All that must not change: flags, gradients, requires_grad, parameters, buffers, hooks, random state, grad mode."""
    return {"training": [m.training for m in model.modules()], "hooks": hooks(model),
            "requires": [p.requires_grad for p in model.parameters()], "mode": torch.is_grad_enabled(),
            "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
            "tensors": {k: v.clone() for k, v in model.state_dict().items()}, "rng": torch.get_rng_state()}


def assert_same_state(before, after):
    for key in ("training", "hooks", "requires", "mode"):
        assert before[key] == after[key], key
    for key in ("tensors", "rng"):
        assert_close(before[key], after[key], rtol=0, atol=0)
    for a, b in zip(before["grads"], after["grads"], strict=True):
        assert (a is None) == (b is None) and (a is None or torch.equal(a, b))


def test_equals_a_full_graph(tiny, images):
    for layer in ("conv1", "bn1", "relu1", "pool", "conv2", "relu2", "conv3", "relu3"):
        A, g = probe(tiny, images, [0, 1, 2, 3], layer)
        expected = straight(tiny, images, [0, 1, 2, 3], layer)
        assert g.abs().max() > 0
        assert_close((A, g), expected)


def test_frozen_parameters(tiny, images):
    expected = probe(tiny, images, 1, "conv2")
    tiny.requires_grad_(False)
    assert_close(probe(tiny, images, 1, "conv2"), expected, rtol=0, atol=0)
    assert not any(p.requires_grad for p in tiny.parameters())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_callers_grad_mode(mode, tiny, images):
    expected = probe(tiny, images, [0, 1, 2, 3], "conv2")
    with mode():
        enabled, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        made_inside, classes = images.clone(), torch.tensor([0, 1, 2, 3])
        seen = probe(tiny, made_inside, classes, "conv2")
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == (enabled, inference)
    assert_close(seen, expected, rtol=0, atol=0)
    assert made_inside.is_inference() == (mode is torch.inference_mode)
    assert_close(probe(tiny, made_inside, classes, "conv2"), expected, rtol=0, atol=0)  # made there, used here
    assert_close(grad_cam(tiny, images.requires_grad_(), classes, "conv2"), grad_cam(tiny, made_inside, classes, "conv2"))
    assert images.grad is None


def test_images_made_in_inference_mode_may_reach_the_head(images):
    """The layer hands the images on, and a product above it keeps them for its gradient."""
    net = nn.Sequential(nn.Identity(), nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.inference_mode():
        made_inside = images.clone()
    assert_close(probe(net, made_inside, 1, "0"), probe(net, images, 1, "0"), rtol=0, atol=0)


def test_in_place_relu_after_the_layer(tiny, images):
    A, g = probe(tiny, images, 1, "conv2")
    with torch.no_grad():
        own = tiny.conv2(tiny.pool(tiny.relu1(tiny.bn1(tiny.conv1(images)))))
    assert own.min() < 0
    assert_close(A, own, rtol=0, atol=0)
    assert (g[A < 0] == 0).all() and (g[A > 0] != 0).any()


def test_train_mode_with_mixed_flags(tiny, images):
    expected = probe(tiny, images, 1, "conv2")
    tiny.train()
    tiny.bn1.eval()
    tiny.conv3.eval()
    before = state(tiny)
    assert_close(probe(tiny, images, 1, "conv2"), expected, rtol=0, atol=0)
    assert_same_state(before, state(tiny))
    assert tiny.training and tiny.drop.training and not tiny.bn1.training and not tiny.conv3.training


def test_nothing_of_the_callers_changes(tiny, images):
    tiny.train()
    tiny.conv1.weight.requires_grad_(False)
    tiny(images).sum().backward()
    before = state(tiny)
    for layer in (None, "conv2", ["conv1", "conv3"], "all"):
        grad_cam(tiny, images, 1, layer)
    assert_same_state(before, state(tiny))
    assert any(g is not None for g in before["grads"]) and before["grads"][0] is None


def refuse(*_):
    raise ArithmeticError("from the caller")


@pytest.mark.parametrize("caller", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_exceptions_inside_leave_nothing_behind(caller, tiny, images):
    tiny.train()
    broken = seeded(Tiny, size=16).train()
    broken.fc.register_forward_hook(refuse)  # the forward pass fails above the layer
    for model, layer, targets in [(tiny, "conv2", refuse), (broken, "conv2", 1), (broken, None, 1)]:
        before = state(model)
        with caller(), pytest.raises(ArithmeticError, match="from the caller"):
            grad_cam(model, images, targets, layer)
        assert_same_state(before, state(model))
    before = state(tiny)
    with caller():
        mode = torch.is_grad_enabled()
        with pytest.raises(ArithmeticError), capture(tiny, ["conv2", "conv3"], gradients=True):
            tiny(images)
            refuse()
        assert torch.is_grad_enabled() == mode
    assert_same_state(before, state(tiny))


class Again(nn.Module):
    """One ReLU and one convolution, each called twice."""

    def __init__(self):
        super().__init__()
        self.first, self.conv, self.relu = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 1, 1), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.conv(self.relu(self.conv(self.first(x))))).square().mean((2, 3))


@pytest.mark.parametrize("layer", ["conv", "relu"])
def test_layer_called_several_times_counts_as_of_its_last_call(layer, images):
    model = seeded(Again, size=16)
    with torch.no_grad():
        model.conv.bias.fill_(0.3)
        once = model.relu(model.conv(model.first(images)))
        last = model.conv(once)
    A, g = probe(model, images, 2, layer)
    assert_close(A, last.relu() if layer == "relu" else last)
    expected = torch.zeros_like(last)
    expected[:, 2] = 2 * last[:, 2].relu() / 256
    assert_close(g, expected)


def test_several_layers_in_one_pass(tiny, images):
    calls = []
    tiny.conv1.register_forward_hook(lambda *_: calls.append(1))
    seen = probe_layers(tiny, images, [0, 1, 2, 3], ["conv3", "conv1", tiny.relu2])
    assert len(calls) == 1 and list(seen.A) == list(seen.g) == ["conv3", "conv1", "relu2"]
    for name in seen.A:
        assert_close((seen.A[name], seen.g[name]), straight(tiny, images, [0, 1, 2, 3], name))
    assert_close(seen.S, tiny(images)[range(4), range(4)].detach())
