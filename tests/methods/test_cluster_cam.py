"""Cluster-CAM by hand, against a loop, its theorems, what it costs, and networks that no gradient method can explain."""

import math
import warnings

import pytest
import sklearn.cluster
import torch
from conftest import Tiny, hooks, seeded
from torch import nn
from torch.ao import quantization
from torch.testing import assert_close

from camutils import default_layer, grad_cam, load_model, normalise, scene, upsample
from camutils.core.baselines import baseline_images
from camutils.core.probe import activation
from camutils.methods.cluster_cam import MERGES, Parts, cluster_cam, cluster_maps, merge_maps, rank_clusters
from camutils.methods.parts.clusters import CLUSTERINGS, group_channels
from camutils.methods.score_cam import score_cam


@pytest.fixture
def hand():
    """Red and green once plain and once stronger: A = R, 2R, G, 3G; S = A_0 + A_1 - A_2, summed over positions."""
    net = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(16, 1, bias=False)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 0, 0], [2, 0, 0], [0, 1, 0], [0, 3, 0]]).view(4, 3, 1, 1))
        net[3].weight.copy_(torch.tensor([1.0, 1, -1, 0]).repeat_interleave(4)[None])
    x = torch.zeros(1, 3, 2, 2, dtype=torch.float64)
    x[0, 0], x[0, 1] = torch.tensor([[1.0, 0.5], [0, 0]]), torch.tensor([[0, 0.5], [0, 1.0]])
    return net, x


def test_by_hand(hand):
    """C = 1.5 R, 2 G; m = R, G; x * R: S = 3 (1 + .25) - .25 = 3.5; x * G: S = 3 * .25 - 1.25 = -.5; x' = 0: S = 0."""
    R, G = torch.tensor([[[1.0, 0.5], [0, 0]]]).double(), torch.tensor([[[0, 0.5], [0, 1.0]]]).double()
    p = 1 / (1 + math.exp(-4))
    parts = cluster_cam(*hand, 0, "1", n_clusters=2, return_parts=True)
    red = parts.labels[0, 0].item()
    assert parts.labels.tolist() == [[red, red, 1 - red, 1 - red]] and (parts.base, parts.scissors) == (red, 1 - red)
    assert_close(parts.maps[:, red], 1.5 * R)
    assert_close(parts.maps[:, 1 - red], 2 * G)
    assert_close(parts.scores[0, [red, 1 - red]].tolist(), [3.5, -0.5])
    assert_close(parts.p[0, [red, 1 - red]].tolist(), [p, 1 - p])
    soft = 1.5 * p * R + 2 * (1 - p) * G
    expected = {"cut": torch.tensor([[[1.0, 0], [0, 0]]]).double(), "base": 1.5 * R, "soft": soft,
                "weighted_cut": (p * R - (1 - p) * G).relu(), "soft_cut": (soft / soft.max() - G).relu()}
    for merge in MERGES:
        assert_close(cluster_cam(*hand, 0, "1", n_clusters=2, merge=merge, raw=True), expected[merge])
    assert_close(cluster_cam(*hand, 0, "1", n_clusters=2), torch.tensor([[[1.0, 0], [0, 0]]]))


def loop(model, x, targets, layer, merge, start, **grouping):
    """The definition, image by image, cluster by cluster. start: x' (B,3,H,W). Returns map before the last N, s, labels."""
    A, size = activation(model, x, targets, layer)[0], x.shape[2:]
    labels, merged, scores = group_channels(A, **grouping), [], []
    for b in range(len(x)):
        C, m, s = [], [], []
        with torch.no_grad():
            nothing = model(start[b : b + 1])[0, targets[b]].item()
        for n in range(int(labels[b].max()) + 1):
            members = [A[b, k] for k in range(A.shape[1]) if labels[b, k] == n]
            C.append(sum(members) / len(members))
            up = upsample(C[-1][None], size)[0]
            m.append((up - up.min()) / (up.max() - up.min()))
            with torch.no_grad():
                s.append(model((m[-1] * x[b] + (1 - m[-1]) * start[b])[None])[0, targets[b]].item() - nothing)
        whole = sum(math.exp(v) for v in s)
        best, worst = s.index(max(s)), s.index(min(s))
        p = [math.exp(v) / whole for v in s]
        soft = sum(q * c for q, c in zip(p, C, strict=True)).relu()
        up = upsample(soft[None], size)[0]
        merged.append({"cut": m[best] - m[worst], "weighted_cut": p[best] * m[best] - (1 - p[best]) * m[worst], "soft": soft,
                       "soft_cut": (up - up.min()) / (up.max() - up.min()) - m[worst], "base": C[best]}[merge])
        scores.append(s)
    L = torch.stack(merged)
    return (L if merge == "base" else L.relu()), scores, labels


CASES = [*((m, "black", "kmeans") for m in MERGES), *(("soft_cut", b, "kmeans") for b in ("mean", "blur", "tensor")),
         *(("weighted_cut", "black", c) for c in CLUSTERINGS)]


@pytest.mark.parametrize("merge, baseline, clustering", CASES)
def test_equals_the_loop(merge, baseline, clustering, tiny, images):
    model, x, classes = tiny.double(), images.double(), [3, 0, 2, 2]
    given = torch.tensor([0.2, 0.5, 0.9]).view(3, 1, 1) if baseline == "tensor" else baseline
    options = {"n_clusters": 3, "clustering": clustering, "seed": 2}
    expected, scores, labels = loop(model, x, classes, "conv2", merge, baseline_images(x, given), **options)
    parts = cluster_cam(model, x, classes, "conv2", merge=merge, baseline=given, raw=True, return_parts=True, **options)
    assert isinstance(parts, Parts) and torch.equal(parts.labels, labels)
    assert_close(parts.scores, torch.tensor(scores, dtype=torch.float64), rtol=1e-9, atol=1e-12)
    assert parts.base.tolist() == [s.index(max(s)) for s in scores]
    assert parts.scissors.tolist() == [s.index(min(s)) for s in scores]
    assert_close(parts.heat, expected, rtol=1e-9, atol=1e-12)
    assert expected.amax((1, 2)).gt(0).all() and parts.heat.shape == ((4, 8, 8) if merge in ("soft", "base") else (4, 16, 16))
    heat = cluster_cam(model, x, classes, "conv2", merge=merge, baseline=given, **options)
    assert heat.dtype == torch.float32 and heat.shape == (4, 16, 16)
    assert_close(heat, normalise(upsample(expected, (16, 16))).float())


@pytest.mark.parametrize("layer", ["conv1", "relu1", "conv2", "relu3"])
def test_every_channel_a_cluster_is_score_cam(layer, tiny, images):
    model, x, classes = tiny.double(), images.double(), [3, 0, 2, 2]
    with torch.no_grad():
        model.conv1.weight[2], model.conv1.bias[2] = 0, 1  # a flat channel
        model.conv2.weight[1], model.conv2.bias[1] = 0, -1  # a dead one
        model.bn1.weight[2] = model.bn1.weight[2] * 0
    for n in (8, 100):
        for raw in (False, True):
            ours = cluster_cam(model, x, classes, layer, n_clusters=n, merge="soft", raw=raw)
            expected = score_cam(model, x, classes, layer, raw=raw)
            assert expected.max() > 0 and (ours - expected).abs().max() <= 1e-10


def permuted(model, order):
    """The same network with conv2's channels in another order."""
    other = seeded(Tiny, size=16).double()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        for p in (other.conv2.weight, other.conv2.bias):
            p.copy_(p[order].clone())
        other.conv3.weight.copy_(other.conv3.weight[:, order].clone())
    return other


@pytest.mark.parametrize("clustering", ["kmeans", "spectral", "random"])
@pytest.mark.parametrize("merge", MERGES)
def test_permuting_channels_leaves_the_map(merge, clustering, tiny, images):
    model, x = tiny.double(), images.double()
    other = permuted(model, torch.tensor([5, 0, 7, 2, 1, 6, 3, 4]))
    for layer in ("conv2", "relu2"):
        options = {"n_clusters": 4, "merge": merge, "clustering": clustering}
        one, two = (cluster_cam(m, x, 1, layer, raw=True, **options) for m in (model, other))
        assert one.max() > 0 and (one - two).abs().max() <= 1e-10
    assert not torch.equal(activation(other, x, 1, "conv2")[0], activation(model, x, 1, "conv2")[0])


def test_consecutive_groups_follow_the_networks_order(tiny, images):
    model, x = tiny.double(), images.double()
    other = permuted(model, torch.tensor([5, 0, 7, 2, 1, 6, 3, 4]))
    one, two = (cluster_cam(m, x, 1, "conv2", n_clusters=4, clustering="consecutive") for m in (model, other))
    assert (one - two).abs().max() > 0.1


@pytest.mark.parametrize("options", [*({"merge": m} for m in MERGES), {"clustering": "random"}, {"n_clusters": "elbow"},
                                     {"clustering": "spectral"}, {"baseline": "blur"}, {"chunk": 3}], ids=str)
def test_batch_independence(options):
    model = seeded(Tiny, size=16).double()
    with torch.no_grad():
        model.conv2.bias.sub_(0.2)  # some channels are dead for some images
    rng = torch.Generator().manual_seed(5)
    x, classes = torch.rand(9, 3, 16, 16, generator=rng).double(), torch.randint(5, (9,), generator=rng)
    options = {"n_clusters": 4} | options
    full = cluster_cam(model, x, classes, "relu2", **options)
    assert full.flatten(1).std(1).gt(0).sum() >= 5
    assert torch.equal(cluster_cam(model, x, classes, "relu2", **options), full)
    for rows in ([0], [7], [2, 5, 8], torch.randperm(9, generator=rng).tolist()):
        assert (cluster_cam(model, x[rows], classes[rows], "relu2", **options) - full[rows]).abs().max() <= 1e-10


def test_seed_and_callers_random_state(tiny, images):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    maps = {s: cluster_cam(tiny, images, 1, "conv2", n_clusters=3, clustering="random", seed=s) for s in (0, 1)}
    assert torch.equal(torch.get_rng_state(), state) and not torch.equal(maps[0], maps[1])
    torch.manual_seed(4)
    assert torch.equal(cluster_cam(tiny, images, 1, "conv2", n_clusters=3, clustering="random", seed=1), maps[1])


def test_images_through_the_network(tiny, images):
    """1 + n for every image, n + 2 where parts ask for S(x'); n counts clusters that exist."""
    seen = []
    tiny.conv1.register_forward_hook(lambda m, i, out: seen.append(len(out)))

    def count(**options):
        seen.clear()
        cluster_cam(tiny, images, options.pop("targets", 1), options.pop("layer", "conv2"), **options)
        return sum(seen)

    assert count(n_clusters=3) == 4 * 4 and count(n_clusters=5, merge="soft") == 4 * 6
    assert count(n_clusters=3, targets=None) == 4 * 4 and count(n_clusters=3, targets=lambda out: out[:, 1]) == 4 * 4
    assert count(n_clusters=3, return_parts=True) == 4 * 5
    assert count(n_clusters=50) == 4 * 9  # conv2 has 8 channels
    assert count(n_clusters=3, layer=["conv2", "conv3"]) == 2 * 4 * 4
    count(n_clusters=6, chunk=5)
    assert seen == [4, 5, 5, 5, 5, 4]
    tiny.conv2.weight.data[2:], tiny.conv2.bias.data[2:] = 0, 0
    assert count(n_clusters=6) == 4 * 3  # two live channels


def test_one_image_more_than_clusters_by_default(images):
    model, seen = seeded(lambda: load_model("scenes_resnet", "cpu")), []
    model.stem[0].register_forward_hook(lambda m, i, out: seen.append(len(out)))
    x = scene("test", 0).image[None]
    default_layer(model, x)  # found once, by a pass of its own
    seen.clear()
    cluster_cam(model, x)
    assert sum(seen) == 11 and max(seen) == 10


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_no_graph_is_built(mode, tiny, images):
    def refuse(*_):
        raise AssertionError("a graph keeps a tensor")

    expected = cluster_cam(tiny, images, 1, "conv2", n_clusters=3)
    wants, below = images.clone().requires_grad_(), torch.tensor(0.1, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(refuse, refuse):
        for merge in MERGES:
            with mode():
                heat = cluster_cam(tiny, wants, 1, "conv2", n_clusters=3, merge=merge, baseline=below)
                parts = cluster_cam(tiny, images.clone(), 1, "conv2", n_clusters=3, merge=merge, return_parts=True)
            assert not any(t.requires_grad for t in (heat, *parts))
        with pytest.raises(AssertionError, match="a graph keeps a tensor"):
            grad_cam(tiny, images, 1, "conv2")
    with mode():
        assert torch.equal(cluster_cam(tiny, images.clone(), 1, "conv2", n_clusters=3), expected)
    assert wants.grad is None and below.grad is None


def test_nothing_of_the_callers_changes(images):
    model = seeded(Tiny, size=16)
    expected = cluster_cam(model, images, 1, "conv2", n_clusters=3)
    model.train().requires_grad_(False)
    model.bn1.eval()
    before, state = images.clone(), torch.get_rng_state()
    assert torch.equal(cluster_cam(model, images, 1, "conv2", n_clusters=3), expected)
    assert hooks(model) == 0 and [m.training for m in model.modules()].count(False) == 1 and not model.bn1.training
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(images, before)
    assert not any(p.requires_grad for p in model.parameters())


def small():
    return nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Conv2d(12, 9, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
                         nn.Flatten(), nn.Linear(36, 5))


@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_quantised(kind, images):
    """No gradient passes an 8-bit network: the loop, which calls it directly, says what the map is.

    A dynamically quantised layer takes one scale for its whole batch, so there the masks go in one by one, as in the loop.
    """
    net, engine = seeded(small, size=16), torch.backends.quantized.engine
    usable = [e for e in ("x86", "fbgemm", "onednn", "qnnpack") if e in torch.backends.quantized.supported_engines]
    if not usable or not hasattr(quantization, "quantize_dynamic"):
        pytest.skip("this build of torch has no quantised kernels")
    torch.backends.quantized.engine = usable[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # eager quantisation is announced to leave torch
            if kind == "dynamic":
                model, layer = quantization.quantize_dynamic(net, {nn.Linear}), "3"
            else:
                model, layer = quantization.QuantWrapper(net).eval(), "module.3"
                model.qconfig = quantization.get_default_qconfig(usable[0])
                quantization.prepare(model, inplace=True)(images)
                quantization.convert(model, inplace=True)
            expected, scores, _ = loop(model, images, [1] * 4, layer, "cut", torch.zeros_like(images), n_clusters=4)
            parts = cluster_cam(model, images, 1, layer, n_clusters=4, return_parts=True, chunk=1 if kind == "dynamic" else None)
        assert expected.amax((1, 2)).gt(0).all()
        assert_close(parts.scores, torch.tensor(scores), rtol=0, atol=1e-4)
        assert_close(parts.heat, normalise(expected), rtol=0, atol=1e-3)
    finally:
        torch.backends.quantized.engine = engine


def flat_and_dead(kind):
    """Tiny whose conv2 is all dead, all flat, or has one live channel beside flat ones (conv2 sees positions, relu2 follows)."""
    model = seeded(Tiny, size=16).double()
    with torch.no_grad():
        keep = 1 if kind == "one" else 0
        model.conv2.weight[keep:], model.conv2.bias[keep:] = 0, 0.0 if kind == "dead" else 1.0
    return model


def test_dead_and_flat_layers(images):
    x = images.double()
    for merge in MERGES:
        for kind in ("dead", "flat"):
            parts = cluster_cam(flat_and_dead(kind), x, 1, "conv2", n_clusters=4, merge=merge, return_parts=True)
            assert not parts.heat.any() and not parts.p.any() and not parts.scores.any()
            assert parts.base.eq(-1).all() and parts.scissors.eq(-1).all() and parts.labels.eq(-1).all() == (kind == "dead")
        parts = cluster_cam(flat_and_dead("one"), x, 1, "conv2", n_clusters=4, merge=merge, return_parts=True)
        assert parts.p.sum(1).eq(1).all() and parts.p.max() == 1 and torch.equal(parts.base, parts.scissors)
        assert parts.base.tolist() == parts.p.argmax(1).tolist() and parts.base.min() >= 0
        alone = normalise(upsample(activation(flat_and_dead("one"), x, 1, "conv2")[0][:, 0], (16, 16))).float()
        if merge in ("cut", "soft_cut"):
            assert not parts.heat.any()
        elif merge in ("base", "weighted_cut"):
            assert_close(parts.heat, alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("merge", "share"), [("cut", 1.0), ("weighted_cut", 0.5)])
def test_what_the_scissors_leave_of_rounding_is_nothing(dtype, merge, share):
    """Base and scissors agree where both are 0 or 1; everywhere else the scissors have more: nothing is left."""
    base = torch.tensor([[0.0, 0.1], [0.9, 1.0]], dtype=dtype)
    scissors = torch.tensor([[0.0, 0.3], [0.95, 1.0]], dtype=dtype)
    for offset in torch.rand(40, 2, generator=torch.Generator().manual_seed(0)).to(dtype) * 20 - 10:
        C = torch.stack([base * 0.04 + offset[0], scissors * 0.07 + offset[1]])[None]
        L = merge_maps(C, torch.tensor([[share, 1 - share]], dtype=dtype), torch.tensor([0]), torch.tensor([1]), (16, 16), merge)
        assert not L.any()
    C = torch.stack([base * 0.04 + 5, scissors.flip(0) * 0.07 - 3])[None]
    L = merge_maps(C, torch.tensor([[share, 1 - share]], dtype=dtype), torch.tensor([0]), torch.tensor([1]), (16, 16), merge)
    assert L.max() > 0.4  # what is left of maps that differ stays


def test_images_with_different_numbers_of_clusters(tiny, images):
    """Padding beyond an image's own clusters is neither base nor scissors, and has no share."""
    model, x = tiny.double(), images.double()
    x[2] = 0
    with torch.no_grad():
        model.conv2.bias.sub_(0.3)  # some channels are dead for some images
    parts = cluster_cam(model, x, 1, "relu2", n_clusters=7, return_parts=True)
    own = parts.labels.amax(1) + 1
    assert own.max() == parts.maps.shape[1] and own.min() < own.max()
    for b, n in enumerate(own.tolist()):
        assert not parts.maps[b, n:].any() and not parts.p[b, n:].any() and 0 <= parts.base[b] < n and 0 <= parts.scissors[b] < n
        alone = cluster_cam(model, x[b : b + 1], 1, "relu2", n_clusters=7, return_parts=True)
        assert alone.maps.shape[1] == n
        assert_close(alone.heat[0], parts.heat[b], rtol=0, atol=1e-10)
        assert_close(alone.p[0], parts.p[b, :n])


def test_one_cluster(tiny, images):
    mean = activation(tiny, images, 1, "relu2")[0].mean(1)
    for merge in ("soft", "base", "weighted_cut"):
        ours = cluster_cam(tiny, images, 1, "relu2", n_clusters=1, merge=merge)
        assert_close(ours, normalise(upsample(mean, (16, 16))))
    for merge in ("cut", "soft_cut"):
        with pytest.raises(ValueError, match=f"n_clusters 1 with merge '{merge}' leaves nothing.*; accepted: 2 or more"):
            cluster_cam(tiny, images, 1, "relu2", n_clusters=1, merge=merge)


class Survives(nn.Module):
    """A head that turns NaN into 0, so that only the layer shows it."""

    def __init__(self):
        super().__init__()
        self.layer, self.fc = nn.Conv2d(3, 4, 1), nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.layer(x).nan_to_num().mean((2, 3)))


def test_nan_activations(images):
    model = seeded(Survives, size=16)
    model.layer.bias.data[2] = torch.nan
    with pytest.raises(ValueError, match=r"activations hold NaN or Inf for images \[0, 1, 2, 3\] of the batch"):
        cluster_cam(model, images, 1, "layer")


def test_pieces():
    s = torch.tensor([[1.0, 3, 3, 0, 9], [2, 2, 2, 2, 2], [0, 0, 0, 0, 0]])
    shown = torch.tensor([[1, 1, 1, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]]).bool()
    p, base, scissors = rank_clusters(s, shown)
    assert base.tolist() == [1, 1, -1] and scissors.tolist() == [3, 1, -1]  # the first of equals
    assert_close(p[0, :4], torch.tensor([1.0, 3, 3, 0]).softmax(0))
    assert p[1].tolist() == [0, 0.5, 0.5, 0, 0] and p[0, 4] == 0 and not p[2].any()
    A = torch.arange(24.0).view(2, 3, 2, 2)
    C = cluster_maps(A, torch.tensor([[1, -1, 0], [1, 1, 1]]))
    assert torch.equal(C[0], A[0, [2, 0]]) and torch.equal(C[1], torch.stack([torch.zeros(2, 2), A[1].mean(0)]))
    assert cluster_maps(A, torch.full((2, 3), -1)).shape == (2, 1, 2, 2)
    assert not merge_maps(C, p[1:, :2], torch.tensor([-1, -1]), torch.tensor([-1, -1]), (4, 4), "base").any()


def test_targets_layers_and_estimators(tiny, images):
    options = {"n_clusters": 3}
    top = tiny(images).argmax(1)
    expected = cluster_cam(tiny, images, top, "relu3", **options)
    for same in (None, top.tolist(), lambda out: out.gather(1, top[:, None])[:, 0]):
        assert_close(cluster_cam(tiny, images, same, "relu3", **options), expected)
    assert_close(cluster_cam(tiny, images, top, **options), expected)  # the default layer
    one = [cluster_cam(tiny, images, 1, n, **options) for n in ("relu2", "conv3")]
    assert_close(cluster_cam(tiny, images, 1, ["relu2", tiny.conv3], **options), normalise((one[0] + one[1]) / 2))
    ward = sklearn.cluster.AgglomerativeClustering(3)
    parts = cluster_cam(tiny, images, 1, "relu2", clustering=ward, return_parts=True)
    assert parts.labels.amax(1).tolist() == [2] * 4 and parts.heat.amax((1, 2)).eq(1).all() and not hasattr(ward, "labels_")


def test_half_precision(tiny, images):
    expected = cluster_cam(tiny, images, 1, "relu2", n_clusters=3, merge="soft")
    half = cluster_cam(tiny.bfloat16(), images.bfloat16(), 1, "relu2", n_clusters=3, merge="soft")
    assert half.dtype == torch.float32 and (half - expected).abs().mean() < 0.1


@pytest.mark.parametrize("options, error, words", [
    ({"merge": "sum"}, ValueError, "merge 'sum'; accepted: cut, weighted_cut, soft, soft_cut, base"),
    ({"n_clusters": 0}, ValueError, "n_clusters 0; accepted: a whole number from 1"),
    ({"n_clusters": 2.5}, TypeError, "n_clusters is 2.5; accepted"),
    ({"n_clusters": "many"}, ValueError, "n_clusters 'many' .*; accepted"),
    ({"clustering": "fuzzy"}, ValueError, "clustering 'fuzzy'; accepted: kmeans, agglomerative, spectral, "),
    ({"clustering": 3}, TypeError, "clustering is 3; accepted"),
    ({"baseline": "white"}, ValueError, "baseline 'white'; accepted: black, mean, blur, or a tensor"),
    ({"baseline": 0}, TypeError, "baseline is a int; accepted"),
    ({"seed": -5}, ValueError, "seed -5; accepted"),
    ({"chunk": 0}, ValueError, "chunk 0; accepted"),
    ({"chunk": 1.5}, TypeError, "chunk 1.5; accepted"),
    ({"clusters": 3}, TypeError, "unexpected keyword argument 'clusters'"),
    ({"layer": ["conv2", "conv3"], "raw": True}, ValueError, "raw=True with 2 layers; accepted"),
    ({"layer": "all", "return_parts": True}, ValueError, "return_parts=True with 3 layers; accepted: parts of one layer"),
    ({"layer": "fc"}, ValueError, "spatial map"),
    ({"targets": 7}, ValueError, "target 7 out of range")])
def test_bad_input(options, error, words, tiny, images):
    with pytest.raises(error, match=words):
        cluster_cam(tiny, images, **options)
    for wrong in (images[0], images[:0], images * torch.nan):
        with pytest.raises(ValueError, match="accepted"):
            cluster_cam(tiny, wrong, 1)


