"""Where the stages are in networks that nobody named: cut vertices of the graph from picture to score."""

import warnings

import pytest
import torch
import torchvision
from conftest import hooks, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.functional import adaptive_avg_pool2d, conv2d, interpolate, pad, relu
from torch.testing import assert_close

import camutils as cam
from camutils import METHODS, default_layer, stages
from camutils.core.layouts import layout_of, map_shape, token_grids
from camutils.core.trace import cut_vertices

FEW = {"integrated_grad_cam": {"steps": 2}, "gig_cam": {"steps": 2}, "gig_cam_m": {"steps": 2, "scales": (1, 1.5)},
       "cluster_cam": {"n_clusters": 3}, "combined_cam": {"n_clusters": 3}}  # for time


@st.composite
def graphs(draw):
    """Edges u < v of a graph on n vertices, every one of them on a path from 0 to n - 1."""
    n = draw(st.integers(2, 9))
    pairs = [(u, v) for v in range(n) for u in range(v)]
    edges = set(draw(st.lists(st.sampled_from(pairs), unique=True)))
    for v in range(1, n):
        if not any(b == v for _, b in edges):
            edges.add((draw(st.integers(0, v - 1)), v))
    for u in range(n - 1):
        if not any(a == u for a, _ in edges):
            edges.add((u, draw(st.integers(u + 1, n - 1))))
    return n, edges


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_a_cut_vertex_is_one_without_which_the_score_is_not_reached(graph):
    n, edges = graph

    def reached(without):
        known = {0} - {without}
        for u, v in sorted(edges, key=lambda e: e[1]):
            if u in known and v != without:
                known.add(v)
        return n - 1 in known

    assert cut_vertices(edges, n) == [v for v in range(n) if not reached(v)]


class CifarBlock(nn.Module):
    """A residual block whose ReLUs are functions, and whose shortcut pads channels, as small ResNets have it."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.more, self.stride = outputs - inputs, stride

    def forward(self, x):
        out = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(out + pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more)))


class CifarResNet(nn.Module):
    """Three stages, 16, 32 and 64 channels."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(CifarBlock(8, 8, 1), CifarBlock(8, 8, 1))
        self.layer2 = nn.Sequential(CifarBlock(8, 16, 2), CifarBlock(16, 16, 1))
        self.layer3 = nn.Sequential(CifarBlock(16, 32, 2), CifarBlock(32, 32, 1))
        self.linear = nn.Linear(32, 5)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


class ConvNextBlock(nn.Module):
    """Channels last inside, a factor per channel, a shortcut: as libraries other than torchvision write it."""

    def __init__(self, channels):
        super().__init__()
        self.dwconv, self.norm = nn.Conv2d(channels, channels, 7, 1, 3, groups=channels), nn.LayerNorm(channels)
        self.pwconv1, self.act, self.pwconv2 = nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, x):
        out = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        return x + (self.gamma * self.pwconv2(self.act(self.pwconv1(out)))).permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """Two stages; the class bears torchvision's name."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 4, 4)
        self.stages = nn.ModuleList([nn.Sequential(ConvNextBlock(12), ConvNextBlock(12)),
                                     nn.Sequential(nn.Conv2d(12, 20, 2, 2), ConvNextBlock(20))])
        self.head = nn.Linear(20, 5)

    def forward(self, x):
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(x.mean((2, 3)))


class SqueezeNet(nn.Module):
    """Nobody's SqueezeNet, but its name."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU()), nn.Linear(6, 5)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


class Held(nn.Module):
    """Another network as a part, as training frameworks hold it."""

    def __init__(self, net):
        super().__init__()
        self.metric, self.net = nn.Identity(), net

    def forward(self, x):
        return self.net(x)


class Normalise(nn.Module):
    def forward(self, x):
        return (x - 0.45) / 0.25


class StaticPadding(nn.Conv2d):
    """A convolution that pads by a child, so that it is no leaf."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, 3, 2)
        self.static_padding = nn.ZeroPad2d((0, 1, 0, 1))

    def forward(self, x):
        return super().forward(self.static_padding(x))


class Padded(nn.Module):
    """Padded convolutions and one shared activation, the first call at the stem, the last at the head."""

    def __init__(self):
        super().__init__()
        self.conv_stem, self.bn0, self.swish = StaticPadding(3, 6), nn.BatchNorm2d(6), nn.ReLU6()
        self.blocks = nn.ModuleList([nn.Sequential(StaticPadding(6, 8), nn.BatchNorm2d(8))])
        self.conv_head, self.bn1, self.fc = nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16), nn.Linear(16, 5)

    def forward(self, x):
        x = self.swish(self.bn0(self.conv_stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.fc(adaptive_avg_pool2d(self.swish(self.bn1(self.conv_head(x))), 1).flatten(1))


class UNet(nn.Module):
    """Down, up, joined; a map of classes."""

    def __init__(self):
        super().__init__()
        self.down1 = nn.Sequential(nn.Conv2d(3, 6, 3, 1, 1), nn.ReLU())
        self.down2 = nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU())
        self.up, self.out = nn.Sequential(nn.Conv2d(14, 7, 3, 1, 1), nn.ReLU()), nn.Conv2d(7, 5, 1)

    def forward(self, x):
        one = self.down1(x)
        return self.out(self.up(torch.cat([one, interpolate(self.down2(one), scale_factor=2)], 1)))


class Inlined(nn.Module):
    """A residual sum that no module puts out."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.fc = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 1, 1), nn.Linear(6, 5)

    def forward(self, x):
        x = relu(self.a(x))
        x = relu(self.b(x) + x)
        return self.fc(x.mean((2, 3)))


def resnet():
    return torchvision.models.resnet18(weights=None, num_classes=5)


def googlenet():
    return torchvision.models.googlenet(weights=None, init_weights=False, num_classes=5)


def densenet():
    return torchvision.models.DenseNet(8, (2, 2), 16, num_classes=5)


TWINS = {  # a network and what is found: the default layer and the stages
    "CIFAR ResNet": (CifarResNet, "layer3", ["layer1", "layer2", "layer3"]),
    "another ConvNeXt": (ConvNeXt, "stages.1", ["stages.0", "stages.1"]),
    "a class named SqueezeNet": (SqueezeNet, "body", ["body"]),
    "held": (lambda: Held(ConvNeXt()), "net.stages.1", ["net.stages.0", "net.stages.1"]),
    "held twice": (lambda: Held(Held(CifarResNet())), "net.net.layer3", [f"net.net.layer{i}" for i in (1, 2, 3)]),
    "behind a normalisation": (lambda: nn.Sequential(Normalise(), CifarResNet()), "1.layer3", [f"1.layer{i}" for i in (1, 2, 3)]),
    "padded convolutions": (Padded, "swish", ["swish[0]", "blocks.0", "swish"]),
    "inlined residual": (Inlined, "b:add:relu", ["b:add:relu"]),
}


def make(twin):
    return seeded(TWINS[twin][0], 32)


@pytest.mark.filterwarnings("ignore:layer 'swish' is called:UserWarning")
@pytest.mark.parametrize("twin", TWINS)
def test_layers_of_networks_that_others_wrote(twin):
    model, x = make(twin), torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = hooks(model), torch.get_rng_state()
    _, layer, names = TWINS[twin]
    assert (default_layer(model, x), stages(model, x)) == (layer, names)
    assert hooks(model) == before[0] and torch.equal(torch.get_rng_state(), before[1])
    seen = cam.probe_layers(model.double(), x.double(), 1, names)
    shapes = [tuple(A.shape[1:]) for A in seen.A.values()]
    assert all(a != b for a, b in zip(shapes, shapes[1:], strict=False)) and all(g.any() for g in seen.g.values())
    for name in METHODS:
        heat = METHODS[name](model, x.double(), 1, **FEW.get(name, {}))
        assert heat.shape == (2, 32, 32) and heat.isfinite().all()


class SwishFunction(torch.autograd.Function):
    """x * sigmoid(x) with a gradient of its own: no function of torch puts it out, only the module does."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x.sigmoid() * (1 + x * (1 - x.sigmoid()))


class Swish(nn.Module):
    def forward(self, x):
        return SwishFunction.apply(x)


class Applied(nn.Module):
    """A convolution, by a module or without one, and a function of what it puts out."""

    def __init__(self, function, by_module=True):
        super().__init__()
        self.function, self.by_module = function, by_module
        self.conv, self.fc = nn.Conv2d(3, 6, 3), nn.Linear(6, 5)

    def forward(self, x):
        x = self.conv(x) if self.by_module else conv2d(x, self.conv.weight)
        return self.fc(self.function(x).mean((2, 3)))


APPLIED = {"relu": relu, "relu6": F.relu6, "leaky_relu": F.leaky_relu, "prelu": lambda x: F.prelu(x, torch.tensor([0.1])),
           "elu": F.elu, "selu": F.selu, "gelu": F.gelu, "silu": F.silu, "hardswish": F.hardswish, "hardtanh": F.hardtanh,
           "mish": F.mish, "softplus": F.softplus, "clamp": lambda x: x.clamp(min=0), "tanh": torch.tanh,
           "sigmoid": torch.sigmoid}


@pytest.mark.parametrize("name", APPLIED)
def test_what_an_activation_function_is_applied_to_is_the_layer(name):
    with pytest.warns(UserWarning, match=f"is what {name} makes of 'conv'"):
        assert default_layer(Applied(APPLIED[name]), torch.rand(1, 3, 16, 16)) == "conv"


def test_what_another_function_makes_of_a_map_is_the_layer():
    assert default_layer(Applied(torch.exp), torch.rand(1, 3, 16, 16)) == "conv:exp"


def test_without_a_module_there_is_no_name():
    with pytest.raises(ValueError, match="no layer of Applied at 16 x 16 pixels"):
        default_layer(Applied(relu, by_module=False), torch.rand(1, 3, 16, 16))


def test_an_autograd_function_in_a_module_is_a_layer():
    model = nn.Sequential(nn.Conv2d(3, 6, 3), Swish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))
    assert default_layer(model, torch.rand(1, 3, 16, 16)) == "1"


@pytest.mark.parametrize("name", METHODS)
def test_a_network_behind_a_normalisation_is_explained_as_it_is(name):
    net = seeded(resnet, 64).double()
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()
    inside = cam.standardise_inside(seeded(resnet, 64).double(), (0.45,) * 3, (0.25,) * 3)
    wrapped = METHODS[name](nn.Sequential(Normalise(), net).eval(), x, 1, **FEW.get(name, {}))
    assert_close(wrapped, METHODS[name](inside, x, 1, **FEW.get(name, {})), atol=1e-6, rtol=0)


@pytest.mark.filterwarnings("ignore:the last map that every path:UserWarning")
@pytest.mark.parametrize("build", [densenet, googlenet])
def test_a_network_with_branches_held_by_another_gets_no_branch(build):
    net, x = seeded(build, 64), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    held = Held(net).eval()
    assert default_layer(held, x) == f"net.{default_layer(net, x)}"
    assert stages(held, x) == [f"net.{name}" for name in stages(net, x)]
    assert_close(cam.integrative_cam(held, x, 1), cam.integrative_cam(net, x, 1), rtol=0, atol=0)


@pytest.mark.parametrize("at", ["a", "b:add:relu"])
def test_at_a_cut_the_score_is_that_of_its_map(at):
    """What is above a cut sees nothing but the cut: with its map put in again, the score is the same."""
    model, x = seeded(Inlined, 32), torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    A, _ = cam.probe(model, x, 1, at)
    above = A.relu() if at == "a" else A
    again = relu(model.b(above) + above) if at == "a" else above
    assert_close(model.fc(again.mean((2, 3))), model(x))


def test_a_functional_relu_is_told_once():
    model = seeded(densenet, 32)
    with pytest.warns(UserWarning, match="what relu makes of 'features', and no module puts it out; 'features' is explained "
                                         r"\('features:relu' names the map itself\)"):
        assert default_layer(model, torch.rand(1, 3, 32, 32)) == "features"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert default_layer(model, torch.rand(1, 3, 48, 48)) == "features"
    x = torch.rand(2, 3, 32, 32)
    assert_close(cam.activation(model, x, 1, "features:relu")[0], cam.activation(model, x, 1, "features")[0].relu())


@pytest.mark.parametrize("name", METHODS)
def test_where_no_map_is_left_the_last_one_with_more_is_taken_and_told(name):
    model = seeded(lambda: torchvision.models.resnet18(weights=None, num_classes=5), 64)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="'layer4' has no more than 1 x 1 cells for pictures of 32 x 32; 'layer3' is explained"):
        heat = METHODS[name](model, x, [0, 1], **FEW.get(name, {}))
    assert heat.flatten(1).amax(1).tolist() == [1.0, 1.0]
    assert stages(model, x) == ["layer1", "layer2", "layer3"]


class Answers(nn.Module):
    """A dict, a list, or maps, in place of logits."""

    def __init__(self, form):
        super().__init__()
        self.net, self.form = CifarResNet(), form

    def forward(self, x):
        features = self.net.layer3(self.net.layer2(self.net.layer1(self.net.conv1(x))))
        logits = self.net.linear(features.mean((2, 3)))
        answers = {"dict": {"logits": logits}, "tuple": (logits, features), "features": features, "list": [features, features]}
        return answers[self.form]


@pytest.mark.parametrize("form", ["dict", "tuple", "features", "list"])
def test_other_outputs_are_refused_as_outputs_not_as_layers(form):
    model, x = seeded(lambda: Answers(form), 32), torch.rand(2, 3, 32, 32)
    for method in ("grad_cam", "integrative_cam", "combined_cam", "gig_cam", "cluster_cam", "score_cam"):
        with pytest.raises(ValueError, match=r"not \(B, classes\); accepted then: output=") as told:
            METHODS[method](model, x)
        assert "layer" not in str(told.value)
    if form in ("dict", "tuple"):
        picked = {"dict": lambda out: out["logits"], "tuple": lambda out: out[0]}[form]
        assert default_layer(cam.Network(model, output=picked), x) == "net.layer3"
        assert cam.integrative_cam(model, x, output=picked).shape == (2, 32, 32)


def test_segmentation_by_a_callable_target():
    model, x = seeded(UNet, 32), torch.rand(2, 3, 32, 32)

    def area(out):
        return out[:, 3].mean((1, 2))

    assert default_layer(model, x, area) == "up"
    assert stages(model, x, area) == ["down1", "down2:interpolate:cat", "up"]  # down2 alone is a branch
    for name in METHODS:
        assert METHODS[name](model, x, area, **FEW.get(name, {})).shape == (2, 32, 32)


def test_torchvisions_transformers():
    vit = seeded(lambda: torchvision.models.VisionTransformer(32, 4, 3, 2, 16, 32, num_classes=5), 32)
    nn.init.normal_(vit.heads.head.weight)  # torchvision starts it at 0, where nothing depends on anything
    x = torch.rand(2, 3, 32, 32)
    assert default_layer(vit, x) == "encoder.layers.encoder_layer_1"  # behind the last block only the class token counts
    assert stages(vit, x) == ["encoder.layers.encoder_layer_1"]
    A, g = cam.probe(vit, x, 1)
    assert A.shape == (2, 16, 8, 8) and g.abs().max() > 0
    kept = []
    handle = vit.encoder.layers.encoder_layer_1.register_forward_hook(lambda m, i, out: kept.append(out))
    S = vit(x)[:, 1].sum()
    d = torch.autograd.grad(S, kept[0])[0]
    handle.remove()
    assert_close(g, d[:, 1:].transpose(1, 2).unflatten(2, (8, 8)))
    with pytest.raises(ValueError, match="does not take images of 48 x 48 pixels"):
        cam.multi_scale(cam.grad_cam, vit, x, 1, scales=(1, 1.5))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("name", "default", "expected"), [
    ("swin_v2_t", "permute", ["features.1", "features.3", "features.5", "permute"]),
    ("maxvit_t", "blocks.3", ["stem", "blocks.0", "blocks.1", "blocks.2", "blocks.3"]),
    ("vit_b_32", "encoder.layers.encoder_layer_10", ["encoder.layers.encoder_layer_10"]),
    ("shufflenet_v2_x0_5", "conv5", ["conv1", "stage2", "stage3", "stage4", "conv5"])])
def test_stages_of_torchvisions_other_families(name, default, expected):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torchvision.models.get_model(name, weights=None).eval()
        [nn.init.normal_(p, std=0.05) for p in model.parameters() if p.ndim > 1 and not p.any()]  # heads that start at 0
    x = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert (default_layer(model, x), stages(model, x)) == (default, expected)
    A = cam.activation(model, x, 1, default)[0]
    assert A.shape[2] == A.shape[3] == 7


@pytest.mark.parametrize(("shape", "size", "expected"), [
    ((2, 96, 56, 56), (224, 224), (96, 56, 56)), ((2, 56, 56, 96), (224, 224), (96, 56, 56)),
    ((2, 197, 768), (224, 224), (768, 14, 14)), ((2, 196, 768), (224, 224), (768, 14, 14)),
    ((2, 201, 768), (224, 224), (768, 14, 14)), ((2, 8, 8, 8), (64, 64), (8, 8, 8)),
    ((2, 8, 8, 9), (64, 64), (9, 8, 8)), ((2, 64, 7, 10), (224, 320), (64, 7, 10)), ((2, 7, 10, 64), (224, 320), (64, 7, 10)),
    ((2, 71, 768), (224, 320), (768, 7, 10)), ((2, 512, 1, 1), (224, 224), None), ((2, 1000), (224, 224), None),
    ((2, 5, 16), (64, 64), (16, 2, 2)), ((2, 200, 3), (37, 41), None)])
def test_layouts_by_shape(shape, size, expected):
    assert map_shape(shape, size) == expected
    if expected:
        out, arrange = torch.arange(float(torch.Size(shape).numel())).view(shape), layout_of(shape, size)
        assert (out if arrange is None else arrange(out)).shape[1:] == expected


@pytest.mark.parametrize(("count", "grids"), [(16, [(4, 4)]), (17, [(4, 4)]), (10, [(3, 3)]), (9, [(3, 3), (2, 2)]),
                                              (20, [(4, 4)]), (24, [(4, 4)]), (18, [(4, 4)]), (3, []), (4, [(2, 2)])])
def test_which_grids_so_many_tokens_may_be(count, grids):
    """Few tokens stand before a picture's own, as a rule: 16 are 4 x 4, not 7 and 3 x 3; 9 may be 3 x 3, or 5 and 2 x 2."""
    assert token_grids(count, (224, 224)) == grids
    assert (layout_of((2, count, 6), (224, 224)) is not None) == (len(grids) == 1)
    assert (layout_of((2, count, 6), (224, 224), "tokens") is not None) == bool(grids)


class Mixer(nn.Module):
    """Tokens, none of them before the picture's own; a mean over all of them at the end."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 12, 8, 8), nn.Linear(12, 5)
        self.mixer = nn.Sequential(nn.Linear(12, 12), nn.GELU())

    def forward(self, x):
        return self.head(self.mixer(self.stem(x).flatten(2).transpose(1, 2)).mean(1))


def test_a_doubt_about_tokens_is_told_and_can_be_settled():
    model, x = seeded(Mixer, 64).double(), torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0)).double()
    with pytest.warns(UserWarning, match="'mixer' puts out 9 tokens, which may be a grid of 3 x 3 or 2 x 2; 'stem' is explained, "
                                         "the last map without doubt; reshape='tokens' takes the first grid"):
        assert default_layer(model, x) == "stem"
    said = cam.Network(model, reshape="tokens")
    assert default_layer(said, x) == "mixer" and stages(said, x) == ["mixer"]
    assert cam.probe(said, x, 1)[0].shape == (2, 12, 3, 3)
    assert stages(model, torch.rand(1, 3, 32, 32).double()) == ["mixer"]  # 16 tokens leave no doubt


@pytest.mark.parametrize("move", [lambda t: t.flatten(2), lambda t: t.flatten(2).transpose(1, 2), lambda t: pad(t, (1, 1, 1, 1)),
                                  lambda t: t.permute(0, 2, 3, 1), lambda t: t[:, :, :-1, :-1]])
def test_what_only_moves_or_pads_a_map_is_no_stage(move):
    """(B, 128, 36) of 6 x 6 cells would read as 7 tokens and 11 x 11; a padded map is the map."""

    class Moved(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.head = nn.Conv2d(3, 128, 16, 16), nn.Linear(128, 5)

        def forward(self, x):
            out = move(self.stem(x))
            return self.head(out.mean([i for i in range(1, out.ndim) if out.shape[i] != 128]))

    assert stages(seeded(Moved, 96), torch.rand(1, 3, 96, 96)) == ["stem"]


@pytest.mark.parametrize("number", range(0, 20, 3))
def test_no_failed_registration_of_the_trace_leaves_a_hook(number, monkeypatch):
    model, calls, x = make("CIFAR ResNet"), [], torch.rand(1, 3, 32, 32)
    register, before = nn.Module.register_forward_pre_hook, hooks(model)

    def failing(self, *args, **kwargs):
        calls.append(1)
        if len(calls) > number:
            raise RuntimeError("no hook here")
        return register(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(nn.Module, "register_forward_pre_hook", failing)
        with pytest.raises(RuntimeError, match="no hook here"):
            default_layer(model, x)
    assert hooks(model) == before
    assert default_layer(model, x) == "layer3"


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated")
def test_scripted_traced_and_exported_networks_are_told():
    net, x = make("CIFAR ResNet"), torch.rand(2, 3, 32, 32)
    for model in (torch.jit.script(net), torch.jit.trace(net, x)):
        with pytest.raises(ValueError, match="scripted or traced|cannot be looked into|name a layer|no layer of"):
            cam.grad_cam(model, x, 1)
        with pytest.raises(ValueError, match="inside a scripted or traced|torch.jit, torch.export or torch.fx calls none"):
            cam.grad_cam(model, x, 1, "layer3")
    child = nn.Sequential(torch.jit.script(make("CIFAR ResNet").layer1), nn.Conv2d(8, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                          nn.Flatten())
    first = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), child)
    assert default_layer(first, x) == "1.2" and not hooks(first)
    exported = torch.export.export(net, (x,)).module()
    with pytest.raises(ValueError, match="not reached; .* torch.jit, torch.export or torch.fx calls none"):
        cam.grad_cam(exported, x, 1, "layer3")
