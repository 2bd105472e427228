"""Integrative CAM: its theorems, its fusion against loops, one forward and one backward, and what is refused."""

import pytest
import torch
import torchvision
from conftest import Tiny, hooks, seeded
from torch import nn
from torch.testing import assert_close

from camutils import (
    default_layer,
    find_layers,
    grad_cam_pp,
    hires_cam,
    layer_cam,
    load_model,
    normalise,
    probe_layers,
    scene,
    upsample,
)
from camutils.core.stages import stages
from camutils.methods.integrative_cam import BIASES, CHANNEL_WEIGHTS, PRESETS, Parts, integrative_cam
from camutils.methods.parts.biases import classifier_bias, own_biases
from camutils.methods.parts.fusion import LAYER_WEIGHTS, keep_distinct, layer_weights, share_among
from camutils.methods.parts.links import LINKS

LINK_NAMES = [*LINKS, "softmax", "log_odds"]
LAYERS = ["relu1", "relu2", "relu3"]


def arctan(s):
    return torch.atan(s)


@pytest.mark.parametrize("layer", ["conv1", "relu1", "conv2", "relu3"])
def test_exp_one_layer_no_bias_is_grad_cam_pp(layer, tiny, images):
    options = {"link": "exp", "bias": "none", "channel_weight": "alpha"}
    for dtype in (torch.float32, torch.float64):
        model, x = tiny.to(dtype), images.to(dtype)
        for raw in (False, True):
            assert torch.equal(integrative_cam(model, x, 2, layer, raw=raw, **options), grad_cam_pp(model, x, 2, layer, raw=raw))


def test_one_layer_per_pixel_is_hires_cam_and_layer_cam(tiny, images):
    for rule, method in (("pixel", hires_cam), ("pixel_positive", layer_cam)):
        ours = integrative_cam(tiny, images, 2, "conv2", link="exp", bias="none", channel_weight=rule, raw=True)
        assert_close(ours, method(tiny, images, 2, "conv2", raw=True))


def loop(model, x, targets, names, channel_weight, bias, layer_weight):
    """The definition with exp as link, image by image, layer by layer. Returns the map before the last N, lambda, beta."""
    seen = probe_layers(model, x, targets, names)
    fused, weights, rests = [], [], []
    own = own_biases(model, x, names)
    for b in range(len(x)):
        total, score, beta = 0, {}, []
        G, C = ({n: d[n][b].abs().mean().item() for n in names} for d in (seen.g, seen.A))
        for n in names:
            explained = (seen.A[n][b] * seen.g[n][b]).sum().item()
            beta.append(seen.S[b].item() - explained)
            g_hat, c_hat = G[n] / sum(G.values()), C[n] / sum(C.values())
            score[n] = {"product": g_hat * c_hat, "sum": g_hat + c_hat, "gradient": g_hat, "activation": c_hat, "uniform": 1,
                        "contribution": max(explained, 0), "last": float(n == names[-1])}[layer_weight]
        whole = sum(score.values())
        score = {n: v / whole if whole else 1 / len(names) for n, v in score.items()}
        for i, n in enumerate(names):
            A, g = seen.A[n][b], seen.g[n][b]
            M = torch.zeros_like(A[0])
            for k in range(len(A)):
                alpha = torch.where(g[k] != 0, 1 / (2 + A[k].sum() * g[k]), 0)
                M += {"alpha": (alpha * g[k].relu()).sum(), "gradient": g[k].mean(), "pixel": g[k],
                      "pixel_positive": g[k].relu()}[channel_weight] * A[k]
                if bias == "fullgrad":
                    M += g[k] * (A[k] > 0) * own[n][k]
            Z = M.numel()
            M += {"residual": beta[i] / Z, "classifier": model.fc.bias[targets].item() / Z}.get(bias, 0)
            total = total + score[n] * upsample(normalise(M.relu()[None]), x.shape[2:])[0]
        fused.append(total)
        weights.append(list(score.values()))
        rests.append(beta)
    return torch.stack(fused), torch.tensor(weights, dtype=x.dtype), torch.tensor(rests, dtype=x.dtype)


CASES = ([(c, "residual", "sum") for c in CHANNEL_WEIGHTS] + [("alpha", b, "uniform") for b in BIASES]
         + [("pixel", "none", w) for w in LAYER_WEIGHTS])


@pytest.mark.parametrize("channel_weight, bias, layer_weight", CASES)
def test_equals_the_loop(channel_weight, bias, layer_weight, tiny, images):
    model, x = tiny.double(), images.double()
    options = {"link": "exp", "channel_weight": channel_weight, "bias": bias, "layer_weight": layer_weight}
    expected, weights, beta = loop(model, x, 3, LAYERS, channel_weight, bias, layer_weight)
    parts = integrative_cam(model, x, 3, LAYERS, raw=True, return_parts=True, **options)
    assert_close(parts.weights, weights)
    assert_close(parts.beta, beta)
    assert_close(parts.heat, expected, rtol=1e-9, atol=1e-11)
    assert parts.layers == tuple(LAYERS) and parts.kept.all() and parts.S.shape == (4,)
    assert [parts.maps[n].shape for n in LAYERS] == [(4, 16, 16), (4, 8, 8), (4, 8, 8)]
    heat = integrative_cam(model, x, 3, LAYERS, **options)
    assert heat.dtype == torch.float32 and torch.equal(heat, normalise(parts.heat).float()) and heat.max() == 1


@pytest.mark.parametrize("rule", LAYER_WEIGHTS)
def test_weights_sum_to_one(rule, tiny, images):
    parts = integrative_cam(tiny, images, 1, "all", layer_weight=rule, return_parts=True)
    assert isinstance(parts, Parts) and parts.weights.shape == (4, 3) and parts.weights.min() >= 0
    assert_close(parts.weights.sum(1), torch.ones(4))
    zero = [torch.zeros(2, 3, 4, 4)] * 3
    assert_close(layer_weights(zero, zero, rule).sum(1), torch.ones(2))
    assert layer_weights(zero, zero, "contribution").eq(1 / 3).all()


def test_redundant_layers_are_dropped():
    a, b = torch.zeros(8, 8), torch.zeros(8, 8)
    a[:4], b[:, :4] = 1, 1  # 1 - mean|a - b| = 0.5
    near = a.clone()
    near[0, :4] = 0.2  # 1 - 3.2 / 64 = 0.95
    maps = torch.stack([torch.stack([a, near, b, a]), torch.stack([a, b, near, b])])
    assert keep_distinct(maps, 0.9).tolist() == [[False, False, True, True], [False, False, True, True]]
    assert keep_distinct(maps, 0.96).tolist() == [[False, True, True, True], [True, False, True, True]]
    assert keep_distinct(maps, 1.0).tolist() == keep_distinct(maps, 0.96).tolist()
    assert keep_distinct(maps, 0.4).tolist() == [[False, False, False, True]] * 2
    weights = torch.tensor([[0.4, 0.4, 0.1, 0.1], [0.5, 0.5, 0.0, 0.0]])
    assert_close(share_among(weights, keep_distinct(maps, 0.9)), torch.tensor([[0.0, 0.0, 0.5, 0.5]] * 2))


def test_filter_inside_the_method(tiny, images):
    plain = integrative_cam(tiny, images, 1, LAYERS, return_parts=True)
    whole = integrative_cam(tiny, images, 1, LAYERS, return_parts=True, filter_redundant=1e-6)
    assert whole.kept.tolist() == [[False, False, True]] * 4 and torch.equal(whole.weights, whole.kept.float())
    assert_close(whole.heat, integrative_cam(tiny, images, 1, "relu3"))
    none = integrative_cam(tiny, images, 1, LAYERS, filter_redundant=False)
    assert torch.equal(none, plain.heat) and plain.kept.all()
    twin = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    kept = integrative_cam(twin, images, 1, ["1", "2"], filter_redundant=1.0, return_parts=True).kept
    assert kept.tolist() == [[False, True]] * 4


@pytest.mark.parametrize("name", ["scenes_resnet", "scenes_vgg"])
def test_beta_is_the_rest_of_the_score(name):
    model, x = load_model(name, "cpu").double(), torch.stack([scene("test", i).image for i in range(2)]).double()
    parts = integrative_cam(model, x, 4, return_parts=True)
    seen = probe_layers(model, x, 4, stages(model, x))
    assert parts.layers == tuple(seen.A) and len(parts.layers) == 4
    for i, n in enumerate(parts.layers):
        assert_close(parts.S, (seen.A[n] * seen.g[n]).sum((1, 2, 3)) + parts.beta[:, i])
    bias = classifier_bias(model, seen.output, 4, 2)
    flat = integrative_cam(model, x, 4, "layer4" if name == "scenes_resnet" else "features.14", bias="classifier", link="exp",
                           channel_weight="pixel", raw=True)
    last = parts.layers[-1]
    plain = (seen.A[last] * seen.g[last]).sum(1)
    assert_close(flat, (plain + bias[:, None, None] / plain[0].numel()).relu())


@pytest.mark.parametrize("link", [*LINK_NAMES, arctan])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_logits(link, size, tiny, images):
    tiny.fc.bias.data.fill_(0.0)
    tiny.fc.bias.data[2] = size
    for preset in PRESETS:
        parts = integrative_cam(tiny, images, 2, LAYERS, preset=preset, link=link, bias="none", return_parts=True)
        assert parts.heat.isfinite().all() and parts.weights.isfinite().all()
        if link is not arctan and not (link == "square" and size < 0):
            assert (parts.heat.amax((1, 2)) == 1).any()
        assert integrative_cam(tiny, images, 2, LAYERS, preset=preset, link=link).isfinite().all()


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-10)], ids=["float32", "float64"])
@pytest.mark.parametrize("options", [{"preset": "literal"}, {"preset": "tuned"}, {"link": "softmax", "channel_weight": "alpha"},
                                     {"link": "sigmoid", "channel_weight": "alpha", "filter_redundant": 0.9}],
                         ids=["literal", "tuned", "softmax", "filtered"])
def test_batch_independence(options, dtype, tolerance):
    model = seeded(Tiny, size=16).to(dtype)
    rng = torch.Generator().manual_seed(5)
    x, classes = torch.rand(9, 3, 16, 16, generator=rng).to(dtype), torch.randint(5, (9,), generator=rng)
    full = integrative_cam(model, x, classes, LAYERS, **options)
    assert full.flatten(1).std(1).gt(0).sum() >= 5
    for rows in ([0], [7], [2, 5, 8], torch.randperm(9, generator=rng).tolist()):
        assert (integrative_cam(model, x[rows], classes[rows], LAYERS, **options) - full[rows]).abs().max() <= tolerance


@pytest.mark.parametrize("layer, forwards", [(LAYERS, [4]), ("all", [4]), ("conv2", [4]), (None, [1, 4])])
def test_one_forward_and_one_backward(layer, forwards, tiny, images):
    """Batches that the network saw. layer=None traces one image, the first time."""
    seen, back = [], []
    def watch(m, i, out):
        if out.requires_grad:
            out.register_hook(lambda g: back.append(len(g)))

    tiny.conv1.register_forward_hook(lambda m, i, out: seen.append(len(out)))
    tiny.fc.register_forward_hook(watch)
    for first, preset in zip((True, False), PRESETS, strict=True):
        seen.clear()
        back.clear()
        integrative_cam(tiny, images, 1, layer, preset=preset)
        assert seen == (forwards if first else [4]) and back == [4]


def test_the_sign_of_the_link_counts(tiny, images):
    def falling(s):
        return torch.exp(-s / 10)
    options = {"channel_weight": "gradient", "bias": "none", "raw": True}
    up, down = (integrative_cam(tiny, images, 1, "relu2", link=f, **options) for f in ("exp", falling))
    A, g = (d["relu2"] for d in probe_layers(tiny, images, 1, "relu2")[:2])
    signed = (g.mean((2, 3), keepdim=True) * A).sum(1)
    assert_close(up, signed.relu())
    assert_close(down, (-signed).relu())


@pytest.mark.parametrize("link", ["softmax", "log_odds"])
def test_links_of_all_logits_with_options(link, tiny, images):
    for weight in CHANNEL_WEIGHTS:
        heat = integrative_cam(tiny, images, None, LAYERS, link=link, channel_weight=weight, mass=1)
        assert heat.shape == (4, 16, 16) and heat.amax((1, 2)).eq(1).any()


def test_presets_and_options(tiny, images):
    literal = integrative_cam(tiny, images, 1, LAYERS, preset="literal")
    assert torch.equal(literal, integrative_cam(tiny, images, 1, LAYERS, link="exp", bias="residual", channel_weight="alpha",
                                                layer_weight="product"))
    with pytest.warns(DeprecationWarning, match='"paper" is called "literal"'):
        assert torch.equal(integrative_cam(tiny, images, 1, LAYERS, preset="paper"), literal)
    tuned = integrative_cam(tiny, images, 1, LAYERS)
    assert torch.equal(tuned, integrative_cam(tiny, images, 1, LAYERS, preset="tuned")) and not torch.equal(tuned, literal)
    assert torch.equal(integrative_cam(tiny, images, 1, LAYERS, preset="literal", **PRESETS["tuned"]), tuned)
    assert torch.equal(integrative_cam(tiny, images, 1), tuned)  # its stages are LAYERS
    assert torch.equal(integrative_cam(tiny, images, 1, [tiny.relu1, "relu2", "relu3"]), tuned)
    assert len(integrative_cam(tiny, images, 1, "all", return_parts=True).maps) == len(find_layers(tiny, "all"))


def test_nothing_of_the_callers_changes(images):
    model = seeded(Tiny, size=16).train()
    for p in model.parameters():
        p.requires_grad_(False)
    state, expected = torch.get_rng_state(), integrative_cam(model, images, 1, bias="fullgrad", link=arctan)
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            assert torch.equal(integrative_cam(model, images.clone(), 1, bias="fullgrad", link=arctan), expected)
            integrative_cam(model, images.clone(), 1, link="softmax", bias="classifier")
    assert hooks(model) == 0 and all(m.training for m in model.modules()) and torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("options, words", [
    ({"preset": "best"}, "preset 'best'; accepted: literal, tuned"),
    ({"link": "relu"}, "link 'relu'; accepted: linear, exp, softplus, sigmoid, tanh, square, softmax, log_odds, or a function"),
    ({"bias": "all"}, "bias 'all'; accepted: none, residual, fullgrad, classifier"),
    ({"channel_weight": "mean"}, "channel_weight 'mean'; accepted: alpha, gradient, pixel, pixel_positive"),
    ({"layer_weight": "max"}, "layer_weight 'max'; accepted: product, sum, gradient, activation, uniform, contribution, last"),
    ({"filter_redundant": 1.5}, "filter_redundant 1.5; accepted: a likeness above 0, up to 1"),
    ({"layer": ["conv2", "relu1", "conv2"]}, "layer 'conv2' was given twice"),
    ({"layer": []}, "an empty list of layers"),
    ({"link": torch.log}, "link log has no finite f, f', f'', f''' at S = -"),
    ({"link": "softmax", "targets": lambda out: out[:, 0]}, "callable target; accepted: a class")])
def test_bad_input(options, words, tiny, images):
    tiny.fc.bias.data.fill_(-50.0)
    with pytest.raises(ValueError, match=words):
        integrative_cam(tiny, images, **options)


def test_more_bad_input(tiny, images):
    with pytest.raises(TypeError, match="unexpected keyword argument 'links'"):
        integrative_cam(tiny, images, 1, links="exp")
    with pytest.raises(TypeError, match="link is a float; accepted"):
        integrative_cam(tiny, images, 1, link=1.5)
    for x in (images[:, :1], images[0], images[:0]):
        with pytest.raises(ValueError, match="accepted"):
            integrative_cam(tiny, x, 1)


def test_a_network_without_biases_gives_no_bias(images):
    net = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, bias=False), nn.ReLU(),
                        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3, bias=False)).double()
    maps = {b: integrative_cam(net, images.double(), 1, bias=b, return_parts=True) for b in BIASES}
    assert maps["none"].layers == ("1", "4") and maps["none"].beta.abs().max() < 1e-12
    for parts in maps.values():
        assert_close(parts.heat, maps["none"].heat)


STAGES = {"resnet18": ["layer1", "layer2", "layer3", "layer4"], "vgg16": [f"features.{i}" for i in (3, 8, 15, 22, 29)],
          "squeezenet1_1": [*(f"features.{i}" for i in (1, 4, 7, 10)), "features"],
          "mobilenet_v2": [*(f"features.{i}" for i in (0, 1, 3, 6, 10, 13, 16, 17)), "features"],
          "convnext_tiny": ["features.1", "features.3", "features.5", "features"],
          "densenet121": ["features.relu0", "features.denseblock1", "features.transition1", "features.denseblock2",
                          "features.transition2", "features.denseblock3", "features.transition3", "features"],
          "regnet_y_400mf": ["stem", "trunk_output.block1", "trunk_output.block2", "trunk_output.block3", "trunk_output"],
          "swin_t": ["features.1", "features.3", "features.5", "permute"]}


@pytest.mark.parametrize("name", STAGES)
def test_stages_of_torchvisions_families(name):
    with torch.random.fork_rng(devices=[]):
        model = torchvision.models.get_model(name, weights=None).train()
    names = stages(model, torch.rand(2, 3, 64, 64))
    assert names == STAGES[name] and names[-1] == default_layer(model)
    assert all(m.training for m in model.modules()) and hooks(model) == 0
    shapes = [tuple(A.shape[1:]) for A in probe_layers(model, torch.rand(1, 3, 64, 64), 1, names).A.values()]
    assert all(a != b for a, b in zip(shapes, shapes[1:], strict=False))


def test_stages_of_other_networks(tiny, images):
    assert stages(tiny, images) == LAYERS and stages(tiny) == LAYERS
    assert stages(load_model("scenes_vgg", "cpu")) == ["features.1", "features.4", "features.9", "features.14"]
    residual = load_model("scenes_resnet", "cpu")
    assert stages(residual) == STAGES["resnet18"] == stages(nn.DataParallel(residual))
    nested = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU()),
                           nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2)))
    assert stages(nested, images) == ["0.1", "0"]
    with pytest.raises(ValueError, match="images have 4 channels; accepted by this network: 3"):
        stages(tiny, torch.rand(1, 4, 16, 16))


def test_the_trace_of_the_stages_is_made_once_per_network_and_size():
    from camutils import stages

    calls = []
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                          nn.Flatten(), nn.Linear(6, 2))
    plain.register_forward_pre_hook(lambda *_: calls.append(1))
    x = torch.rand(2, 3, 16, 16)
    assert stages(plain, x) == ["1", "3"] and calls
    first = len(calls)
    assert stages(plain, x) == ["1", "3"] and len(calls) == first
    stages(plain, torch.rand(2, 3, 24, 24))
    assert len(calls) > first
    plain.add_module("7", nn.Identity())
    traced = len(calls)
    assert stages(plain, x) == ["1", "3"] and len(calls) > traced
