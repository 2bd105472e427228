"""Cascading randomisation and the correlations it reads: SciPy as oracle, a cascade by hand, the caller's network untouched."""

import numpy as np
import pytest
import scipy.stats
import torch
from conftest import hooks
from test_metrics_robustness import corner, grey
from torch import nn
from torch.testing import assert_close

from camutils import grad_cam
from camutils.evaluation.metrics import cascading_randomisation, pearson, spearman
from camutils.evaluation.metrics.sanity import redraw

HEAD_FIRST = ["fc", "conv3", "conv2", "bn1", "conv1"]


@pytest.mark.parametrize("ours, oracle", [(pearson, scipy.stats.pearsonr), (spearman, scipy.stats.spearmanr)])
def test_correlations_equal_scipy(ours, oracle):
    rng = torch.Generator().manual_seed(0)
    a, b = torch.rand(5, 9, 7, generator=rng), torch.rand(5, 9, 7, generator=rng)
    b[1] = a[1] ** 3
    a[2], b[2] = (a[2] * 4).round(), (b[2] * 3).round()  # ties
    b[3] = -a[3]
    a[4] = torch.relu(a[4] - 0.8)
    expected = [oracle(x.flatten(), y.flatten()).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(ours(a, b), expected, atol=1e-6)
    np.testing.assert_allclose(ours(b, a), expected, atol=1e-6)
    a[0] = 0.3
    assert ours(a, b).isnan().tolist() == [True] + [False] * 4


def test_spearman_by_hand():
    a, b = torch.tensor([[[1.0, 2], [3, 4]]]), torch.tensor([[[1.0, 3], [2, 4]]])
    assert spearman(a, b).item() == pytest.approx(1 - 6 * 2 / (4 * 15))  # 1 - 6 sum d^2 / (n (n^2 - 1))
    assert spearman(a, torch.exp(10 * a)).item() == 1 and spearman(a, -a).item() == -1


def test_redraw_keeps_mean_and_deviation():
    linear = nn.Linear(100, 100)
    with torch.no_grad():
        linear.weight.mul_(3).add_(0.5)
        linear.bias.fill_(2)
    before = linear.weight.detach().clone()
    redraw(linear.parameters(), torch.Generator().manual_seed(0))
    # 10 000 draws: standard error of the mean 1 %, of the deviation 0.7 % of the deviation; five of each
    assert (linear.weight.mean() - before.mean()).abs() < 0.05 * before.std()
    assert (linear.weight.std() / before.std() - 1).abs() < 0.036
    assert np.corrcoef(linear.weight.detach().flatten(), before.flatten())[0, 1] == pytest.approx(0, abs=0.05)
    assert (linear.bias == 2).all()


def test_order_is_head_first_and_cumulative(tiny, images):
    weights = []

    def method(model, images, targets, layer):
        weights.append({n: p.clone() for n, p in model.named_parameters()})
        return grad_cam(model, images, targets, layer)

    seen = cascading_randomisation(method, tiny, images, 1, "conv2")
    assert seen.modules == HEAD_FIRST and seen.correlation.shape == (5, 4)
    for t in range(1, 6):
        changed = {n.split(".")[0] for n in weights[0] if not torch.equal(weights[t][n], weights[t - 1][n])}
        assert changed == {HEAD_FIRST[t - 1]}


def test_equals_a_cascade_by_hand(tiny, images):
    seen = cascading_randomisation(grad_cam, tiny, images, [0, 4, 2, 2], "conv2", modules=["fc", "conv3"], seed=8)
    L, rng = grad_cam(tiny, images, [0, 4, 2, 2], "conv2"), torch.Generator().manual_seed(8)
    for t, name in enumerate(["fc", "conv3"]):
        with torch.no_grad():
            for p in getattr(tiny, name).parameters():
                p.copy_(p.mean() + p.std(correction=0) * torch.randn(p.shape, generator=rng))
        assert_close(seen.correlation[t], spearman(L, grad_cam(tiny, images, [0, 4, 2, 2], "conv2")))
    assert seen.correlation.abs().max() < 0.999


def test_a_whole_stage_is_redrawn_with_everything_in_it(images):
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                          nn.Linear(4, 5))
    seen = []

    def method(net, *args):
        seen.append([p.detach().clone() for p in net[0].parameters()])
        return grey(net, *args)

    cascading_randomisation(method, model, images, 1, modules=["0"])
    assert not any(torch.equal(a, b) for a, b in zip(*seen, strict=True))


def test_a_method_that_ignores_the_network_is_found_out(tiny, images):
    assert (cascading_randomisation(grey, tiny, images, 1).correlation == 1).all()
    assert (cascading_randomisation(corner, tiny, images).correlation == 1).all()


def test_constant_maps(tiny, images):
    calls = []

    def fades(model, images, targets, layer):  # image 0 never has a map, the others lose theirs
        calls.append(1)
        L = images.mean(1) * (len(calls) == 1)
        L[0] = 0
        return L

    seen = cascading_randomisation(fades, tiny, images, 1, modules=["fc"]).correlation[0]
    assert seen.isnan().tolist() == [True, False, False, False] and seen[1:].tolist() == [0, 0, 0]


def test_caller_is_left_alone_and_batches_agree(tiny, images):
    tiny.train()
    state, before = torch.random.get_rng_state(), {n: v.clone() for n, v in tiny.state_dict().items()}
    targets, kept = torch.tensor([0, 4, 2, 2]), images.clone()
    whole = cascading_randomisation(grad_cam, tiny, images, targets, tiny.conv2).correlation  # a module of the caller's network
    assert torch.equal(cascading_randomisation(grad_cam, nn.DataParallel(tiny), images, targets, "conv2").correlation, whole)
    part = cascading_randomisation(grad_cam, tiny, images[2:], targets[2:], "conv2").correlation
    assert_close(part, whole[:, 2:], atol=1e-3, rtol=0)
    other = cascading_randomisation(grad_cam, tiny, images, targets, "conv2", seed=1).correlation
    assert not torch.equal(other, whole)
    assert all(torch.equal(v, before[n]) for n, v in tiny.state_dict().items()) and torch.equal(images, kept)
    assert torch.equal(torch.random.get_rng_state(), state) and tiny.training and tiny.drop.training and hooks(tiny) == 0


@pytest.mark.parametrize("change, error, says", [
    (dict(modules=["fcc"]), ValueError, "unknown layer 'fcc' in Tiny; nearest: fc"),
    (dict(modules=[]), ValueError, "empty list"),
    (dict(targets=5), ValueError, "out of range"),
    (dict(strength=3), TypeError, "strength")])
def test_errors(change, error, says, tiny, images):
    with pytest.raises(error, match=says):
        cascading_randomisation(grad_cam, tiny, images, **(dict(targets=1) | change))
