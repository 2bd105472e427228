"""ADCC, max-sensitivity, infidelity: hand-worked values, captum on the same random numbers, properties, errors."""

import captum.metrics
import numpy as np
import pytest
import scipy.stats
import torch
from conftest import hooks
from test_metrics_confidence import Brightness, count_calls
from test_metrics_curves import Weighted
from torch.testing import assert_close

from camutils import grad_cam, layer_cam
from camutils.evaluation.metrics import adcc, drop_increase, infidelity, sensitivity_max
from camutils.evaluation.metrics.robustness import noise, squares


def corner(model, images, targets=None, layer=None):
    """A method that does not look: the upper left quarter, whatever the image."""
    L = torch.zeros(len(images), *images.shape[-2:])
    L[:, : L.shape[1] // 2, : L.shape[2] // 2] = 1
    return L


def grey(model, images, targets=None, layer=None):
    """A method whose map is the image's own brightness."""
    return images.mean(1).clamp(0, 1)


def test_adcc_by_hand():
    seen = adcc(corner, Brightness(), torch.full((1, 3, 4, 4), 0.8), 0)  # a quarter stays: 0.8 -> 0.2
    assert_close(tuple(v.item() for v in seen[1:]), (1.0, 0.25, 0.75))
    assert seen.adcc.item() == pytest.approx(3 / (1 + 1 / 0.75 + 1 / 0.25))


def test_coherency_is_pearsons_r_of_the_two_maps(tiny, images):
    seen = adcc(grad_cam, tiny, images, [0, 1, 2, 3], "conv3")
    L = grad_cam(tiny, images, [0, 1, 2, 3], "conv3")
    again = grad_cam(tiny, L[:, None] * images, [0, 1, 2, 3], "conv3")
    r = [scipy.stats.pearsonr(a.flatten(), b.flatten()).statistic for a, b in zip(L, again, strict=True)]
    np.testing.assert_allclose(seen.coherency, (1 + np.array(r)) / 2, rtol=1e-5)
    Y, O = drop_increase(tiny, images, L, [0, 1, 2, 3])  # noqa: E741
    drop, size = (Y - O).clamp(min=0) / Y, L.mean((1, 2))
    assert_close((seen.drop, seen.complexity), (drop, size))
    assert_close(seen.adcc, torch.from_numpy(scipy.stats.hmean([seen.coherency, 1 - size, 1 - drop])))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_adcc_of_a_constant_map_is_zero(value):
    constant = lambda model, images, targets, layer: torch.full((len(images), 4, 4), value)  # noqa: E731
    seen = adcc(constant, Brightness(), torch.full((2, 3, 4, 4), 0.8), 0)
    assert seen.adcc.tolist() == seen.coherency.tolist() == [0, 0] and seen.complexity.tolist() == [value] * 2


def test_none_keeps_the_class_of_the_whole_image(tiny, images):
    classes = tiny(images).argmax(1)
    assert_close(adcc(layer_cam, tiny, images), adcc(layer_cam, tiny, images, classes))
    told, found = (sensitivity_max(layer_cam, tiny, images, t, radius=0.5) for t in (classes, None))
    assert_close(found, told)
    maps = torch.rand(4, 16, 16)
    assert_close(infidelity(tiny, images, maps), infidelity(tiny, images, maps, classes))


def test_sensitivity_by_hand():
    images = torch.full((1, 3, 1, 1), 0.5)  # one pixel: the map moves by the mean of three numbers in [-0.1, 0.1]
    rng = torch.Generator().manual_seed(4)
    d = [abs((torch.rand(3, generator=rng).mean() * 2 - 1).item()) * 0.1 for _ in range(6)]
    seen = sensitivity_max(grey, Brightness(), images, 0, radius=0.1, samples=6, seed=4)
    assert seen.item() == pytest.approx(max(d) / 0.5, rel=1e-5)
    assert sensitivity_max(corner, Brightness(), images.expand(2, 3, 4, 4), 0).tolist() == [0, 0]
    nothing = lambda model, images, targets, layer: torch.zeros(len(images), 4, 4)  # noqa: E731
    assert sensitivity_max(nothing, Brightness(), images.expand(2, 3, 4, 4), 0).tolist() == [0, 0]


@pytest.mark.parametrize("radius", [0.02, 0.3])
def test_sensitivity_equals_captum_on_the_same_noise(radius, tiny, images):
    rng = torch.Generator().manual_seed(3)
    field = torch.stack([2 * torch.rand(3, 16, 16, generator=rng) - 1 for _ in range(5)]) * radius
    oracle = captum.metrics.sensitivity_max(lambda x: (grad_cam(tiny, x[0], 2, "conv2"),), (images,),
                                            lambda x: (x + field.repeat(len(x) // 5, 1, 1, 1),), n_perturb_samples=5)
    ours = sensitivity_max(grad_cam, tiny, images, 2, "conv2", radius=radius, samples=5, seed=3)
    assert_close(ours, oracle, rtol=1e-4, atol=1e-6)
    assert ours.max() > 0


def test_infidelity_by_hand():
    # S = w . x on one row of two pixels; `halves` removes each pixel once; w = (0.7, 0.3), x = 1
    images, w = torch.ones(1, 3, 1, 2), [[0.7, 0.3]]

    def halves(x, samples, rng):
        for j in (0, 1):
            yield x * torch.eye(2)[j]

    ask = lambda L, **k: infidelity(Weighted(w), images, torch.tensor([[L]]), 0, perturbation=halves, samples=2, **k).item()  # noqa: E731
    third = [0.7 / 3, 0.3 / 3]  # I.L sums over three channels, S takes their mean
    assert ask(third, scaled=False) == pytest.approx(0, abs=1e-12) and ask(w[0]) == pytest.approx(0, abs=1e-12)
    assert ask(w[0], scaled=False) == pytest.approx(((2.1 - 0.7) ** 2 + (0.9 - 0.3) ** 2) / 2)
    # L = (1, 1): beta = (3 * 0.7 + 3 * 0.3) / 18 = 1 / 6, so both changes are told as 0.5
    assert ask([1.0, 1.0]) == pytest.approx((0.2**2 + 0.2**2) / 2)
    assert ask([0.0, 0.0]) == pytest.approx((0.7**2 + 0.3**2) / 2)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("perturbation", [squares, noise])
def test_infidelity_equals_captum_on_the_same_perturbations(scaled, perturbation, tiny, images):
    tiny, images = tiny.double(), images.double()  # the scaled form cancels in float32
    maps, n = torch.rand(4, 16, 16).double(), 12
    I = torch.stack(list(perturbation(images, n, torch.Generator().manual_seed(6))), 1).flatten(0, 1)  # noqa: E741  image by image
    oracle = captum.metrics.infidelity(tiny, lambda x: (I, x - I), images, maps[:, None].expand_as(images), target=[0, 4, 2, 2],
                                       n_perturb_samples=n, normalize=scaled)
    ours = infidelity(tiny, images, maps, [0, 4, 2, 2], perturbation=perturbation, samples=n, seed=6, scaled=scaled, chunk=20)
    assert_close(ours, oracle.double(), rtol=1e-6, atol=0)


def test_squares_lie_inside_and_cover_what_they_say():
    images = torch.rand(2, 3, 12, 20) + 0.1
    for I in squares(images, 30, torch.Generator().manual_seed(0), side=0.25):  # noqa: E741
        hit = I[0, 0] != 0
        assert hit.sum() == 9 and hit.any(0).sum() == hit.any(1).sum() == 3 and torch.equal(I[1] != 0, hit.expand(3, -1, -1))
        assert torch.equal(I[:, :, hit], images[:, :, hit])


def test_scaled_infidelity_does_not_know_the_maps_unit(tiny, images):
    maps = torch.rand(4, 16, 16)
    assert_close(infidelity(tiny, images, 0.01 * maps, 1), infidelity(tiny, images, maps, 1), rtol=1e-3, atol=1e-9)
    assert (infidelity(tiny, images, maps, 1) <= infidelity(tiny, images, maps, 1, scaled=False)).all()


METRICS = {
    "adcc": lambda model, x, t: torch.stack(adcc(layer_cam, model, x, t)).T,
    "sensitivity_max": lambda model, x, t: sensitivity_max(layer_cam, model, x, t, radius=0.3, samples=3),
    "infidelity": lambda model, x, t: infidelity(model, x, grey(None, x), t, samples=5)}


@pytest.mark.parametrize("name", METRICS)
def test_batches_agree_and_the_caller_is_left_alone(name, tiny, images):
    metric, targets, order = METRICS[name], torch.tensor([0, 4, 2, 2]), [3, 1, 0, 2]
    tiny.train()
    state, kept, weights = torch.random.get_rng_state(), images.clone(), [p.clone() for p in tiny.parameters()]
    whole = metric(tiny, images, targets)
    assert_close(metric(tiny, images[order], targets[order]), whole[order], rtol=1e-3, atol=1e-6)
    assert_close(metric(tiny, images[1:2], targets[1:2]), whole[1:2], rtol=1e-3, atol=1e-6)
    assert torch.equal(metric(tiny, images, targets), whole) and not whole.requires_grad
    assert torch.equal(torch.random.get_rng_state(), state) and torch.equal(images, kept)
    assert tiny.training and tiny.bn1.training and hooks(tiny) == 0
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(weights, tiny.parameters(), strict=True))


def test_forwards_are_counted(tiny, images):
    calls = count_calls(tiny)
    infidelity(tiny, images, torch.rand(4, 16, 16), 1, samples=6, chunk=12)
    assert calls == [4, 12, 12]
    calls.clear()
    adcc(corner, tiny, images, 1)
    assert calls == [4, 4]


def test_options_reach_the_method(tiny, images):
    seen = []

    def method(model, images, targets, layer, *, strength):
        seen.append((layer, strength))
        return torch.rand(len(images), 16, 16)

    adcc(method, tiny, images, 1, "conv2", strength=3)
    sensitivity_max(method, tiny, images, 1, "conv2", samples=1, strength=3)
    assert seen == [("conv2", 3)] * 4


@pytest.mark.parametrize("call, error, says", [
    (lambda m, x: sensitivity_max(corner, m, x, samples=0), ValueError, "0 samples"),
    (lambda m, x: sensitivity_max(corner, m, x, radius=0), ValueError, "radius 0"),
    (lambda m, x: infidelity(m, x, torch.rand(4, 16, 16), samples=0), ValueError, "0 samples"),
    (lambda m, x: infidelity(m, x, torch.rand(4, 8, 8)), ValueError, "maps have shape"),
    (lambda m, x: adcc(lambda *a: torch.full((4, 16, 16), 2.0), m, x), ValueError, "accepted: 0 to 1"),
    (lambda m, x: adcc(lambda *a: torch.rand(4, 8, 8), m, x), ValueError, "maps have shape"),
    (lambda m, x: adcc(grad_cam, m, x, strength=3), TypeError, "strength")])
def test_errors(call, error, says, tiny, images):
    with pytest.raises(error, match=says):
        call(tiny, images)
