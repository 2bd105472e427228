"""The contract on thirteen architectures and both scene networks, whose layers nobody named: a method gets these tests by being
listed in METHODS. Small pictures; networks are built once. `test_contract.py` asks the same of a network of three convolutions.

Methods of many passes on networks of much work are marked `long`: `make test-all` runs them.
"""

from copy import deepcopy
from functools import cache

import pytest
import torch
import torchvision
from conftest import hooks
from torch import nn
from torch.testing import assert_close

from camutils import METHODS, Scenes, default_layer, find_layers, load_model, probe_layers, stages
from camutils.networks.random_weights import randomise

ARCHITECTURES = {"resnet18": {}, "vgg11_bn": {}, "mobilenet_v2": {}, "densenet121": {}, "squeezenet1_1": {},
                 "shufflenet_v2_x0_5": {}, "googlenet": {"init_weights": False}, "efficientnet_b0": {}, "convnext_tiny": {},
                 "regnet_y_400mf": {}, "mnasnet0_5": {}, "swin_t": {}, "vit_b_32": {"image_size": 64}}
SCENES = ("scenes_resnet", "scenes_vgg")
ALL = (*SCENES, *ARCHITECTURES)
FIXED = ("vit_b_32",)  # takes pictures of one size
FEW = {"integrated_grad_cam": {"steps": 2}, "gig_cam": {"steps": 2}, "gig_cam_m": {"steps": 2, "scales": (1, 1.5)},
       "cluster_cam": {"n_clusters": 3}, "combined_cam": {"n_clusters": 3}}  # for time
ONE_PASS = [m for m in METHODS if m not in FEW and m != "score_cam"]
LIGHT = ("squeezenet1_1", "scenes_resnet", "scenes_vgg")  # where many passes cost little
HEAVY = ("densenet121", "convnext_tiny", "swin_t", "vgg11_bn", "efficientnet_b0", "googlenet", "regnet_y_400mf")
pytestmark = pytest.mark.filterwarnings("ignore:the last map that every path:UserWarning",
                                       "ignore:layer .* is called:UserWarning")


def quick(method, name):
    return name in LIGHT or method == "grad_cam" or (method in ONE_PASS and name not in HEAVY)


def pairs(methods, names, short=quick):
    """Every pair as a case of its own, network by network; marked `long` unless it is short."""
    return pytest.mark.parametrize("method, name", [
        pytest.param(m, n, marks=() if short(m, n) else pytest.mark.long) for n in names for m in methods])


@cache
def network(name):
    """A network in double precision, so that no method rounds differently in batches, and a copy of its state.

    Architectures have ten classes and random weights that matter: no head of zeros, batch norms that have seen something.
    """
    if name in SCENES:
        model = load_model(name, device="cpu").double()
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = torchvision.models.get_model(name, weights=None, num_classes=10, **ARCHITECTURES[name])
            [nn.init.normal_(p, std=0.05) for p in model.parameters() if p.ndim > 1 and not p.any()]
            model = randomise(model, 64).double().eval()
    return model, {k: v.clone() for k, v in model.state_dict().items()}


@pytest.fixture(scope="module", autouse=True)
def gone_afterwards():
    """Fifteen networks in double precision are some gigabytes, which the next file's tests may need."""
    yield
    network.cache_clear()


def maps(method, name, x, targets, model=None):
    """The method's maps with few steps; Score-CAM, one pass per channel, at the first stage, which has few."""
    model = model or network(name)[0]
    options = FEW.get(method, {}) | ({"scales": (1,)} if method == "gig_cam_m" and name in FIXED else {})
    layer = stages(model, x)[0] if method == "score_cam" else None
    return METHODS[method](model, x, targets, layer, **options)


def pictures(name, count, height=64, width=64):
    if name in SCENES:  # where something is to be seen
        return torch.stack([Scenes("tune")[i].image for i in range(count)]).double()[:, :, :height, :width]
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pairs(METHODS, ALL)
def test_shape_range_determinism_batches_and_a_network_as_it_was(method, name):
    (model, before), x = network(name), pictures(name, 2)
    targets = model(x).argmax(1).tolist()
    state, own, images = torch.get_rng_state(), hooks(model), x.clone()
    L = maps(method, name, x, targets)
    assert torch.equal(torch.get_rng_state(), state) and hooks(model) == own and not model.training and torch.equal(x, images)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert L.shape == (2, *x.shape[2:]) and L.dtype == torch.float32 and not L.requires_grad and L.isfinite().all()
    assert torch.equal(L.amin((1, 2)), torch.zeros(2)) and set(L.amax((1, 2)).tolist()) <= {0.0, 1.0}
    assert L.any() or name == "vit_b_32"  # four cells, random weights: there may be nothing above zero
    alone = maps(method, name, x[1:], targets[1])
    assert_close(alone[0], L[1], atol=1e-5, rtol=0)
    assert torch.equal(maps(method, name, x[1:], targets[1:]), alone)


@pairs(METHODS, [n for n in ALL if n not in FIXED], lambda m, n: quick(m, n) and (m in ONE_PASS or n not in SCENES))
def test_odd_sizes_and_other_inputs(method, name):
    x = pictures(name, 1, 75, 91)
    L = maps(method, name, x, 3)
    assert L.shape == (1, *x.shape[2:]) and L.isfinite().all()
    with torch.inference_mode():
        made_inside = x.clone()
    for other in (x.clone().requires_grad_(), made_inside, x.contiguous(memory_format=torch.channels_last)):
        assert_close(maps(method, name, other, torch.tensor([3])), L, atol=1e-5, rtol=0)
        assert other.is_inference() or other.grad is None


@pairs(METHODS, ["squeezenet1_1", "scenes_vgg"], lambda method, name: method in ONE_PASS or method == "cluster_cam")
def test_thirty_three_pictures(method, name):
    x, targets = pictures(name, 33), [b % 10 for b in range(33)]
    L = maps(method, name, x, targets)
    for b in (0, 32):
        assert_close(maps(method, name, x[b : b + 1], targets[b])[0], L[b], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ALL)
def test_single_and_half_precision(name):
    """A rounded network's map is near the network's; how near in bfloat16 hangs on the network: there only the form is asked."""
    model, x = deepcopy(network(name)[0]), pictures(name, 1)
    L = maps("grad_cam", name, x, 3)
    assert_close(maps("grad_cam", name, x.float(), 3, model.float()), L, atol=1e-3, rtol=0)
    coarse = maps("grad_cam", name, x.bfloat16(), 3, model.bfloat16())
    assert coarse.dtype == torch.float32 and coarse.isfinite().all() and coarse.min() >= 0 and coarse.max() <= 1


@pairs(["grad_cam", "cluster_cam"], ALL)
def test_every_kind_of_target(method, name):
    model, x = network(name)[0], pictures(name, 2)
    best = model(x).argmax(1).tolist()
    L = maps(method, name, x, best)
    for same in (None, torch.tensor(best), lambda y: y[torch.arange(2), best]):  # behind masks too, rows are images
        assert_close(maps(method, name, x, same), L, atol=1e-5, rtol=0)


@pairs(METHODS, ALL)
def test_clear_errors(method, name):
    model, x, f = network(name)[0], pictures(name, 1), METHODS[method]
    own = hooks(model)
    with pytest.raises(ValueError, match="10 classes|class 10"):
        f(model, x, 10)
    with pytest.raises(ValueError, match="unknown layer 'layer9'"):
        f(model, x, 3, "layer9")
    with pytest.raises(ValueError, match="images have shape"):
        f(model, x[0], 3)
    assert hooks(model) == own


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_those_of_a_full_graph(name):
    """By hand: plain hooks, a full graph, no function of ours in between; at the default layer and stages that are modules."""
    model, x = network(name)[0], pictures(name, 2)
    names = [n for n in dict.fromkeys([*stages(model, x), default_layer(model, x)]) if ":" not in n and "[" not in n]
    seen, kept = probe_layers(model, x, 4, names), {}
    handles = [m.register_forward_hook(lambda m, i, out, n=n: kept.__setitem__(n, out) or out.clone())
               for n, m in find_layers(model, names).items()]
    S = model(x.contiguous(memory_format=torch.channels_last))[:, 4].sum()  # the layout in which `camutils` asks
    [handle.remove() for handle in handles]
    for n, g in zip(names, torch.autograd.grad(S, [kept[n] for n in names]), strict=True):
        assert_close(seen.g[n], channels_first(name, g))
        assert_close(seen.A[n], channels_first(name, kept[n]).detach())


def channels_first(name, t):
    if name == "vit_b_32":  # a class token and 2 x 2 patches
        return t[:, 1:].transpose(1, 2).unflatten(2, (2, 2))
    return t.permute(0, 3, 1, 2) if name == "swin_t" and t.shape[1] == t.shape[2] else t
