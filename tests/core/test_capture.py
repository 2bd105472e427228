"""capture() as a context manager, parallel branches, and that nothing below the layer keeps a graph."""

import pytest
import torch
from conftest import seeded, straight
from torch import nn
from torch.testing import assert_close

from camutils import capture, grad_cam, probe, probe_layers


def test_without_gradients(tiny, images):
    tiny.train()
    with capture(tiny, ["conv2", "fc"]) as A:
        assert not tiny.training and not tiny.drop.training
        assert A == {}
        output = tiny(images)
        assert list(A) == ["conv2", "fc"]
    assert tiny.training and tiny.drop.training
    assert not A["conv2"].requires_grad and not output.requires_grad
    assert_close(A["fc"], output, rtol=0, atol=0)
    assert_close(A["conv2"], probe(tiny, images, 0, "conv2")[0], rtol=0, atol=0)
    tiny(images)
    assert_close(A["fc"], output, rtol=0, atol=0)  # a call after the body is not recorded


def test_with_gradients(tiny, images):
    with capture(tiny, ["conv2", "conv3"], gradients=True) as A:
        S = tiny(images)[:, 3]
        g = torch.autograd.grad(S.sum(), list(A.values()))
    assert A["conv2"].is_leaf and A["conv2"].requires_grad
    for name, gradient in zip(A, g, strict=True):
        assert_close((A[name].detach(), gradient), straight(tiny, images, [3, 3, 3, 3], name))


def test_module_default_and_second_call(tiny, images):
    with capture(tiny, tiny.conv2) as A:
        tiny(images[:1])
        tiny(images)
    assert list(A) == ["conv2"] and A["conv2"].shape == (4, 8, 8, 8)


class Branches(nn.Module):
    """Like an inception block: one stem, two branches that do not see each other, joined by concatenation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 1, 1)
        self.one, self.two = nn.Conv2d(4, 5, 1), nn.Sequential(nn.Conv2d(4, 3, 3, 1, 1), nn.ReLU(inplace=True))
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x).relu()
        return self.fc(torch.cat([self.one(x).relu_(), self.two(x)], 1).square().mean((2, 3)))


@pytest.mark.parametrize("layers", [["one", "two"], ["two", "one"], ["stem", "two", "one"], ["two.0", "one"]])
@pytest.mark.parametrize("frozen", [False, True])
def test_parallel_branches_in_one_pass(layers, frozen, images):
    model, calls = seeded(Branches, 16), []
    expected = {n: straight(model, images, [0, 1, 2, 3], n) for n in layers}
    model.requires_grad_(not frozen).stem.register_forward_hook(lambda *_: calls.append(1))
    seen = probe_layers(model, images, [0, 1, 2, 3], layers)
    assert len(calls) == 1
    for name in layers:
        assert_close((seen.A[name], seen.g[name]), expected[name])


class Counted(torch.autograd.Function):
    """Identity that counts how often its backward runs."""

    backwards = 0

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        Counted.backwards += 1
        return g


class Counting(nn.Module):
    def forward(self, x):
        out = Counted.apply(x)
        self.has_graph = out.grad_fn is not None
        return out


@pytest.mark.parametrize("layer, above, below", [("2", True, False), ("0", True, True), ("5", False, False)])
def test_no_graph_below_the_layer(layer, above, below, images):
    """0 conv, 1 counter, 2 conv, 3 counter, 4 ReLU, 5 conv: a counter has a graph, and is run backwards, only above the layer."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), Counting(), nn.Conv2d(4, 4, 3), Counting(), nn.ReLU(), nn.Conv2d(4, 4, 3),
                        nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images.requires_grad_()
    Counted.backwards = 0
    grad_cam(net, images, 1, layer)
    assert (net[1].has_graph, net[3].has_graph) == (below, above)
    assert Counted.backwards == below + above
    assert images.grad is None and all(p.grad is None for p in net.parameters())


def test_one_forward_and_one_backward(tiny, images):
    forwards, backwards = [], []
    tiny.conv1.register_forward_hook(lambda *_: forwards.append(1))
    tiny.conv3.register_forward_hook(lambda m, i, out: out.register_hook(lambda g: backwards.append(1)) and None)
    grad_cam(tiny, images, [0, 1, 2, 3], "conv2")
    assert (len(forwards), len(backwards)) == (1, 1)


def test_nothing_keeps_the_graph_alive(tiny, images):
    seen = probe_layers(tiny, images, 1, ["conv1", "conv3"])
    tensors = [*seen.A.values(), *seen.g.values(), seen.S]
    assert not any(t.requires_grad or t.grad_fn is not None for t in tensors)
