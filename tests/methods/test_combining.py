"""The crossed axes: each alone is the method that it comes from; together they are what the equation says."""

import pytest
import torch
from torch import nn

import camutils as cam
from camutils.methods.combined_cam import gradient_scissors, share

T = [3, 7]
PLAIN = {"channel_weight": "gradient", "path": "point", "layer_weight": "last", "clustering": "none", "scales": (1,)}


def cross(model, images, targets, layer=None, **options):
    """`combined_cam` with every axis plain but the given ones."""
    return cam.combined_cam(model, images, targets, layer, **(PLAIN | options))


@pytest.fixture(scope="module")
def net():
    return cam.load_model("scenes_resnet", "cpu").double()


@pytest.fixture(scope="module")
def images():
    return torch.stack([cam.scene("test", i).image for i in (0, 1)]).double()


def same(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("layer", [None, "layer3"])
@pytest.mark.parametrize("options, method, own", [
    ({}, "grad_cam", {}),
    ({"channel_weight": "alpha"}, "grad_cam_pp", {}),
    ({"channel_weight": "pixel"}, "hires_cam", {}),
    ({"channel_weight": "pixel_positive"}, "layer_cam", {}),
    ({"path": "line", "steps": 3}, "integrated_grad_cam", {"steps": 3}),
    ({"path": "guided", "steps": 4}, "gig_cam", {"steps": 4}),
    ({"channel_weight": "score", "n_clusters": 5}, "cluster_cam", {"n_clusters": 5, "merge": "soft", "baseline": "blur"}),
    ({"channel_weight": "score", "n_clusters": 5, "clustering": "cut"}, "cluster_cam",
     {"n_clusters": 5, "merge": "soft_cut", "baseline": "blur"}),
    ({"clustering": "shared", "n_clusters": 500}, "grad_cam", {}),
], ids=str)
def test_one_axis_alone_is_the_method_that_it_comes_from(net, images, layer, options, method, own):
    same(cross(net, images, T, layer, **options), cam.METHODS[method](net, images, T, layer, **own))
    raw = cam.METHODS[method](net, images, T, layer, raw=True, **own)
    torch.testing.assert_close(cross(net, images, T, layer, raw=True, **options), raw, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rule", ["gradient", "alpha", "pixel", "pixel_positive"])
@pytest.mark.parametrize("layer_weight", ["contribution", "product", "uniform"])
def test_every_stage_is_integrative_cam_without_its_bias(net, images, rule, layer_weight):
    ours = cross(net, images, T, channel_weight=rule, layer_weight=layer_weight)
    same(ours, cam.integrative_cam(net, images, T, channel_weight=rule, layer_weight=layer_weight, bias="none"))


@pytest.mark.parametrize("base, options", [("grad_cam", {}), ("integrated_grad_cam", {"path": "line", "steps": 2})], ids=str)
def test_scales_are_the_fusion_of_that_method(net, images, base, options):
    given = {"steps": 2} if base != "grad_cam" else {}
    for ratio in (None, "mean"):
        one = cross(net, images, T, scales=(1, 1.5), ratio=ratio, **options)
        same(one, cam.multi_scale(cam.METHODS[base], net, images, T, scales=(1, 1.5), ratio=ratio, **given))


def test_scales_come_before_layers(net, images):
    names = ["layer3", "layer4"]
    ours = cross(net, images, T, names, layer_weight="uniform", scales=(1, 1.5), channel_weight="pixel")
    each = [cam.multi_scale(cam.hires_cam, net, images, T, n, scales=(1, 1.5)) for n in names]
    same(ours, cam.normalise(sum(each) / 2))


def test_shared_gradients_are_the_clusters_means(net, images):
    A, g = cam.probe(net, images, T)
    labels, shared = cam.group_channels(A, 3), torch.zeros_like(g)
    for b in range(2):
        for n in range(3):
            shared[b, labels[b] == n] = g[b, labels[b] == n].mean(0)
    by_hand = cam.normalise(cam.upsample((shared * A * (shared > 0)).sum(1), (96, 96)))
    same(cross(net, images, T, channel_weight="pixel_positive", clustering="shared", n_clusters=3).double(), by_hand)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_scissors_that_take_all_leave_zeros_and_not_rounding(dtype, images):
    net = cam.load_model("scenes_resnet", "cpu").to(dtype)
    cut = {"n_clusters": 1, "clustering": "cut"}
    assert not cross(net, images.to(dtype), T, channel_weight="score", **cut).any()
    one = nn.Sequential(nn.Conv2d(3, 1, 3), nn.ReLU(), nn.Flatten(), nn.Linear(94 * 94, 8)).to(dtype)
    one[0].weight.data.fill_(0.1), one[3].weight.data.fill_(0.1)
    for clustering in ("cut", "gradient_cut"):
        assert not cross(one, images.to(dtype), T, "1", clustering=clustering).any()


def test_share_by_hand():
    g = torch.tensor([1.0, 3.0, 10.0, -4.0]).view(1, 4, 1, 1)
    assert share(g, torch.tensor([[0, 0, 1, -1]])).flatten().tolist() == [2, 2, 10, -4]


def test_gradient_scissors_by_hand():
    A = torch.tensor([[[[1.0, 0.0]], [[3.0, 0.0]], [[0.0, 2.0]]]])  # two channels left, one right
    g = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]], [[-2.0, -2.0]]]])  # e: mean of 1 and 0; -4
    assert gradient_scissors(A, g, torch.tensor([[0, 0, 1]])).tolist() == [[[0, 2]]]
    assert gradient_scissors(A, -g, torch.tensor([[0, 0, 1]])).tolist() == [[[2, 0]]]
    assert not gradient_scissors(torch.zeros_like(A), g, torch.full((1, 3), -1)).any()


@pytest.mark.parametrize("clustering", ["cut", "gradient_cut"])
def test_scissors_take_the_worst_cluster_away(net, images, clustering):
    L = cam.grad_cam(net, images, T).double()
    if clustering == "cut":
        parts = cam.cluster_cam(net, images, T, n_clusters=6, merge="soft", baseline="blur", return_parts=True)
        worst = torch.stack([C[i] for C, i in zip(parts.maps, parts.scissors, strict=True)])
    else:
        A, g = cam.probe(net, images, T)
        labels, worst = cam.group_channels(A, 6), []
        for b in range(2):
            owed = [float((g * A)[b, labels[b] == n].sum((1, 2)).mean()) for n in range(6)]
            worst.append(A[b, labels[b] == owed.index(min(owed))].mean(0))
        worst = torch.stack(worst)
    by_hand = cam.normalise((L - cam.normalise(cam.upsample(worst, (96, 96)))).relu())
    same(cross(net, images, T, clustering=clustering, n_clusters=6).double(), by_hand)


def test_the_default_is_every_stage_with_positive_gradients_less_the_last_stages_scissors(net, images):
    parts = cam.cluster_cam(net, images, T, n_clusters=8, merge="soft", baseline="blur", return_parts=True)
    worst = torch.stack([C[i] for C, i in zip(parts.maps, parts.scissors, strict=True)])
    L = cam.integrative_cam(net, images, T, raw=True, channel_weight="pixel_positive", layer_weight="contribution", bias="none")
    by_hand = cam.normalise((cam.normalise(L) - cam.normalise(cam.upsample(worst, (96, 96)))).relu())
    same(cam.combined_cam(net, images, T).double(), by_hand)


def test_without_targets_the_class_of_the_image_is_asked_everywhere(net):
    x = cam.scene("test", 10).image[None].double()  # enlarged or darkened it is another class
    classes = [int(net(y).argmax()) for y in (x, torch.nn.functional.interpolate(x, scale_factor=1.5, mode="bilinear"), x / 2)]
    assert classes[0] not in classes[1:]
    for options in ({"path": "line", "steps": 2}, {"scales": (1, 1.5)}, {"channel_weight": "score", "n_clusters": 3}):
        same(cross(net, x, None, **options), cross(net, x, classes[0], **options))


def test_everything_at_once_and_the_caller_is_left_alone(net, images):
    state, flag = torch.get_rng_state(), net.training
    options = {"channel_weight": "pixel_positive", "path": "guided", "steps": 2, "layer_weight": "contribution",
               "clustering": "cut", "scales": (1, 1.5)}
    both = cross(net, images, T, **options)
    assert both.shape == (2, 96, 96) and float(both.amin()) == 0 and float(both.amax()) == 1
    torch.testing.assert_close(cross(net, images[1:], T[1:], **options)[0], both[1], rtol=0, atol=1e-6)
    assert torch.equal(state, torch.get_rng_state()) and net.training == flag
    assert all(p.grad is None for p in net.parameters()) and not any(m._forward_hooks for m in net.modules())


@pytest.mark.parametrize("options, error, said", [
    ({"channel_weight": "beta"}, ValueError, "accepted: alpha, gradient, pixel, pixel_positive, score"),
    ({"path": "curve"}, ValueError, "accepted: point, line, guided"),
    ({"clustering": "kmeans"}, ValueError, "accepted: none, shared, gradient_cut, cut"),
    ({"channel_weight": "score", "path": "line"}, ValueError, "path 'point'"),
    ({"channel_weight": "score", "clustering": "shared"}, ValueError, "accepted"),
    ({"scales": (2, 1)}, ValueError, "rising"), ({"steps": 0}, ValueError, "1 or more"),
    ({"n_clusters": 0}, ValueError, "from 1 to"), ({"ratio": "other"}, ValueError, "bounded"),
    ({"bias": "none"}, TypeError, "bias"),
], ids=str)
def test_options_that_are_not_accepted(net, images, options, error, said):
    with pytest.raises(error, match=said):
        cam.combined_cam(net, images, T, **options)


@pytest.mark.parametrize("targets", [None, 7])
def test_the_default_costs_one_pass_and_one_per_cluster(net, targets):
    passed, x = [], cam.scene("test", 0).image[None].double()
    cam.default_layer(net, x)  # found by one more pass, once per network
    hook = net.register_forward_pre_hook(lambda _, given: passed.append(len(given[0])))
    cam.combined_cam(net, x, targets)
    hook.remove()
    assert sum(passed) == 1 + 8


def test_a_path_takes_five_steps(net, images):
    path = cam.combined_cam(net, images, T, path="line")
    same(path, cam.combined_cam(net, images, T, path="line", steps=5))
    assert (path - cam.combined_cam(net, images, T, path="line", steps=6)).abs().max() > 1e-4
