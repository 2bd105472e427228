"""S = sum g*A + beta, bias by bias, on every network that it is claimed for; and what it says where it cannot hold."""

import pytest
import torch
import torchvision
from conftest import Tiny, hooks, seeded
from torch import nn
from torch.testing import assert_close

from camutils import load_model, photograph, probe_layers, scene
from camutils.core.stages import stages
from camutils.methods.parts.biases import REMAINDER, bias_contributions, classifier_bias, effective_bias, own_biases

RANDOM = ["vgg16", "resnet50", "mobilenet_v2", "densenet121"]


def random_biases(name):
    """torchvision's network with random weights, batch norm statistics and biases (its own start at 0); VGG's head 64 wide."""
    def build():
        model = torchvision.models.get_model(name, weights=None, **({"init_weights": False} if name == "vgg16" else {}))
        if name == "vgg16":  # its own head has 120 million weights
            model.classifier = nn.Sequential(nn.Linear(25088, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 64), nn.ReLU(),
                                             nn.Dropout(), nn.Linear(64, 10))
        for m in model.modules():
            if isinstance(m, (nn.Conv2d, nn.Linear)) and m.bias is not None:
                nn.init.normal_(m.bias, std=0.1)
        return model
    return seeded(build)


def gap(model, x, targets, layer):
    """|S - sum g*A - sum of the biases| over the largest of the three, per image; and how many biases there are."""
    seen = probe_layers(model, x, targets, layer)
    found = bias_contributions(model, x, targets, layer)
    rest = found.pop(REMAINDER)
    beta = sum(found.values()) if found else torch.zeros_like(seen.S)
    explained = (seen.A[layer] * seen.g[layer]).sum((1, 2, 3))
    size = torch.stack([seen.S.abs(), explained.abs(), beta.abs()]).amax(0)
    assert_close(rest, seen.S - explained - beta, rtol=0, atol=2e-6 * size.max().item())
    assert all(v.shape == seen.S.shape for v in found.values())
    return ((seen.S - explained - beta).abs() / size).max().item(), found


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-9)], ids=["float32", "float64"])
@pytest.mark.parametrize("name", ["scenes_resnet", "scenes_vgg", *RANDOM])
def test_the_score_is_what_is_explained_and_the_biases(name, dtype, tolerance):
    scenes = name.startswith("scenes")
    model = (load_model(name, "cpu") if scenes else random_biases(name)).to(dtype)
    x = (torch.stack([scene("test", i).image for i in range(2)]) if scenes else
         torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))).to(dtype)
    names, totals = stages(model, x), []
    for layer in [names[0], names[len(names) // 2], names[-1]]:
        rest, found = gap(model, x, [1, 2], layer)
        assert rest < tolerance
        totals.append(sum(v.abs().max() for v in found.values()).item())
    assert totals[0] > totals[-1] > 0  # deeper layers have fewer biases above them


def test_by_hand():
    """conv of weight 2 and bias 1, ReLU (the layer), conv of 3 and 5, batch norm, ReLU, mean, linear of 7 and 11."""
    bn = nn.BatchNorm2d(1, eps=0)
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1), bn, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(1, 1)).eval()
    for m, w, b in ((net[0], 2, 1), (net[2], 3, 5), (net[7], 7, 11), (bn, 8, 13)):
        m.weight.data.fill_(w)
        m.bias.data.fill_(b)
    bn.running_mean.fill_(2)
    bn.running_var.fill_(16)
    x = torch.tensor([[[[1.0, 2.0]]]])  # 3, 5; 3x + 5 = 14, 20; 13 + 8 (x - 2) / 4 = 37, 49; mean 43; 7 x + 11 = 312
    found = bias_contributions(net, x, 0, "1")
    assert {n: v.item() for n, v in found.items()} == {"2": 70, "3": 63, "7": 11, REMAINDER: 0}  # sum g*A = 21 (3 + 5) = 168
    assert effective_bias(bn).item() == 9 and effective_bias(net[1]) is None
    assert own_biases(net, x, ["0", "1", "3", "4"]) == {"0": 1, "1": 1, "3": 9, "4": 9}
    assert classifier_bias(net, net(x), 0, 1).item() == 11


def test_ceilings_of_relu6_on_real_weights(assets):
    model = torchvision.models.mobilenet_v2(weights=None).eval()
    model.load_state_dict(torch.load(assets / "checkpoints" / "mobilenet_v2.pth", weights_only=True))
    crops = [torch.from_numpy(photograph(n)[64:128, 64:128].copy()).permute(2, 0, 1) for n in ("chelsea", "coffee")]
    x = torch.stack(crops) / 255 * 4 - 2  # about ImageNet's mean and deviation
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-9)):
        model, x = model.to(dtype), x.to(dtype)
        for layer in ("features.3", "features.13"):
            rest, found = gap(model, x, None, layer)
            ceilings = {n: v for n, v in found.items() if n.endswith(" ceiling")}
            assert rest < tolerance and len(ceilings) >= 5
            assert sum(ceilings.values()).abs().max() > 0.05  # without them the identity fails


def test_hard_limits_below_and_above():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Hardtanh(-0.1, 0.2), nn.Conv2d(4, 4, 3), nn.Hardtanh(-0.3, 0.1), nn.Flatten(),
                        nn.Linear(64, 2)).double()
    rest, found = gap(net, torch.rand(3, 3, 8, 8, dtype=torch.float64), 1, "0")
    assert rest < 1e-12 and set(found) == {"1 ceiling", "2", "3 ceiling", "5"} and found["1 ceiling"].abs().max() > 0


@pytest.mark.parametrize("layer", ["layer3.conv1", "layer3.bn1"])
def test_inside_a_block_the_skip_is_in_the_remainder(layer):
    model, x = load_model("scenes_resnet", "cpu").double(), torch.stack([scene("test", i).image for i in range(2)]).double()
    rest, _ = gap(model, x, 1, layer)
    assert rest > 1e-2


@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_tiny", "mobilenet_v3_small"])
def test_smooth_activations_leave_a_remainder(name):
    model, x = random_biases(name).double(), torch.rand(2, 3, 64, 64, dtype=torch.float64)
    layer = stages(model, x)[1]
    rest, found = gap(model, x, 1, layer)
    assert rest > 1e-3 and len(found) > 3


def test_a_network_without_biases():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 4, 3, bias=False), nn.ReLU(),
                        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3, bias=False)).double()
    x = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    found = bias_contributions(net, x, 1, "1")
    assert list(found) == [REMAINDER] and found[REMAINDER].abs().max() < 1e-14
    assert torch.equal(own_biases(net, x, "1")["1"], torch.zeros(4, dtype=torch.float64))
    assert torch.equal(classifier_bias(net, net(x), 1, 2), torch.zeros(2, dtype=torch.float64))


def test_other_normalisations():
    """Batch norm without weights, or without running statistics; frozen batch norm; group norm."""
    frozen = torchvision.ops.FrozenBatchNorm2d(4)
    frozen.running_mean.normal_()
    frozen.bias.normal_()
    bare = nn.BatchNorm2d(4, affine=False)
    bare.running_mean.normal_()
    assert_close(effective_bias(frozen), frozen.bias - frozen.running_mean / (1 + frozen.eps) ** 0.5)
    assert_close(effective_bias(bare), -bare.running_mean / (1 + bare.eps) ** 0.5)
    assert effective_bias(nn.BatchNorm2d(4, affine=False, track_running_stats=False)) is None
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), frozen, nn.ReLU(), nn.Conv2d(4, 4, 1), bare,
                        nn.Flatten(), nn.Linear(144, 3)).double()
    assert gap(net, torch.rand(2, 3, 8, 8, dtype=torch.float64), 1, "1")[0] < 1e-13
    grouped = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(144, 3)).double()
    nn.init.normal_(grouped[2].bias)
    rest, found = gap(grouped, torch.rand(2, 3, 8, 8, dtype=torch.float64), 1, "1")
    d = torch.autograd.functional.jacobian(lambda b: torch.func.functional_call(grouped, {"2.bias": b}, torch.ones(
        1, 3, 8, 8, dtype=torch.float64))[0, 1], grouped[2].bias)
    assert rest > 1e-3
    assert_close(found["2"], (d @ grouped[2].bias).detach().expand(2))


@pytest.mark.parametrize("name, layer, modules", [
    ("scenes_resnet", "layer1", ["layer1.bn2"]), ("scenes_resnet", "layer2", ["layer2.bn2", "layer2.shortcut.1"]),
    ("scenes_vgg", "features.9", ["features.8"]), ("resnet50", "layer4", ["layer4.2.bn3"]),
    ("resnet18", "layer3.0", ["layer3.0.bn2", "layer3.0.downsample.1"]), ("mobilenet_v2", "features.0", ["features.0.1"]),
    ("mobilenet_v2", "features.17", ["features.17.conv.3"]), ("densenet121", "features", ["features.norm5"]),
    ("densenet121", "features.denseblock1", [])])
def test_the_layers_own_bias(name, layer, modules):
    model = load_model(name, "cpu") if name.startswith("scenes") else random_biases(name)
    own = own_biases(model, torch.rand(2, 3, 64, 64), layer)[layer]
    expected = sum((effective_bias(model.get_submodule(m)) for m in modules), torch.zeros_like(own))
    assert_close(own, expected)
    assert (own.abs().max() > 0) == bool(modules)


def test_classifier_bias_in_every_form(tiny, images):
    out = tiny(images)
    assert torch.equal(classifier_bias(tiny, out, [0, 3, 1, 1], 4), tiny.fc.bias.detach()[[0, 3, 1, 1]])
    assert torch.equal(classifier_bias(tiny, out, None, 4), tiny.fc.bias.detach()[out.argmax(1)])
    both = classifier_bias(tiny, out, lambda o: 2 * o[:, 1] - o[:, 4], 4)
    assert_close(both, (2 * tiny.fc.bias[1] - tiny.fc.bias[4]).detach().expand(4))
    assert torch.equal(classifier_bias(tiny, {"out": out}, None, 4), torch.zeros(4))
    with torch.inference_mode():
        assert torch.equal(classifier_bias(tiny, tiny(images), 2, 4), tiny.fc.bias.detach()[[2] * 4])


def test_nothing_of_the_callers_changes(images):
    model = seeded(Tiny, size=16).train()
    for p in model.parameters():
        p.requires_grad_(False)
    state = torch.get_rng_state()
    with torch.no_grad():
        found = bias_contributions(model, images, 1, "relu1")
        own_biases(model, images, "relu1")
    assert list(found) == ["conv2", "conv3", "fc", REMAINDER] and found[REMAINDER].abs().max() < 1e-6
    assert hooks(model) == 0 and model.training and torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None and not p.requires_grad for p in model.parameters())


def test_what_the_score_does_not_depend_on_has_no_part(tiny, images):
    expected = bias_contributions(tiny, images, 1, "conv2")
    tiny.vain = nn.Conv2d(8, 3, 3)

    def in_vain(module, args, out):
        tiny.vain(out)

    tiny.relu2.register_forward_hook(in_vain)
    found = bias_contributions(tiny, images, 1, "conv2")
    assert list(found) == list(expected) == ["conv3", "fc", REMAINDER]
    assert_close(list(found.values()), list(expected.values()), rtol=0, atol=0)


def test_bad_input(tiny, images):
    with pytest.raises(ValueError, match=r"2 layers given \(conv2, conv3\); accepted here: one"):
        bias_contributions(tiny, images, 1, ["conv2", "conv3"])
    with pytest.raises(ValueError, match="unknown layer 'conv9'"):
        bias_contributions(tiny, images, 1, "conv9")
    with pytest.raises(ValueError, match="target 9 out of range"):
        bias_contributions(tiny, images, 9, "conv2")
