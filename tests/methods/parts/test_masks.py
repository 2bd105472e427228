"""Masked forward passes and Score-CAM: against a plain loop, torchcam and grad-cam; chunks, the search for them, and memory."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytorch_grad_cam
import torch
import torchcam.methods
import torchvision
from conftest import Tiny, hooks, seeded
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn
from torch.nn.functional import interpolate
from torch.testing import assert_close

from camutils import box_mask, energy_game, load_model, pearson, scene, standardise_inside
from camutils.methods.parts import masks
from camutils.methods.parts.masks import masked_scores
from camutils.methods.score_cam import score_cam

EXACT = {torch.float64: 1e-10, torch.float32: 1e-5}
CLASSES = [0, 1, 2, 3]


@pytest.fixture
def black(tiny):
    """Tiny, whose channel 2 of conv2's output is dead and whose channel 5 is flat."""
    with torch.no_grad():
        tiny.conv2.weight[[2, 5]] = 0
        tiny.conv2.bias[[2, 5]] = torch.tensor([-1.0, 0.7])
    return tiny


def shown(one):
    """N(Up A_k), written out: None for a channel without contrast."""
    return None if one.max() - one.min() < 1e-6 else (one - one.min()) / (one.max() - one.min())


def by_hand(model, images, read, layer):
    """Score-CAM, one image and one channel at a time. read(output, b): the score of image b. Returns L (B,h,w), s, w."""
    maps, scores, weights = [], [], []
    seen = []
    hook = model.get_submodule(layer).register_forward_hook(lambda m, i, out: seen.append(out.clone()))
    with torch.no_grad():
        model(images)
        hook.remove()
        for b, A in enumerate(seen[0]):
            s = {}
            for k, channel in enumerate(A):
                up = interpolate(channel[None, None], size=images.shape[2:], mode="bilinear", align_corners=False)[0, 0]
                m = shown(up)
                if m is not None:
                    s[k] = read(model((images[b] * m)[None]), b)
            total = sum(torch.exp(v - max(s.values())) for v in s.values())
            w = {k: torch.exp(v - max(s.values())) / total for k, v in s.items()}
            maps.append(sum((w[k] * A[k] for k in w), torch.zeros_like(A[0])).clamp(min=0))
            scores.append(s)
            weights.append(w)
    return torch.stack(maps), scores, weights


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("layer", ["conv2", "relu3", "relu1"])
def test_against_a_loop(dtype, layer, black, images):
    model, images = black.to(dtype), images.to(dtype)
    expected, scores, _ = by_hand(model, images, lambda out, b: out[0, CLASSES[b]], layer)
    assert expected.amax((1, 2)).min() > 0
    if layer == "conv2":
        assert all(sorted(s) == [0, 1, 3, 4, 6, 7] for s in scores)  # dead and flat are left out
    raw = score_cam(model, images, CLASSES, layer, raw=True)
    assert raw.dtype == dtype
    assert_close(raw, expected, rtol=EXACT[dtype], atol=EXACT[dtype])
    up = interpolate(expected[:, None], size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    heat = torch.stack([shown(one) for one in up]).float()
    assert_close(score_cam(model, images, CLASSES, layer), heat, rtol=0, atol=1e-5)


def test_callables_know_their_images(black, images):
    """A target that knows its images: each reads its own class, times its own factor; it is only asked about whole batches."""
    model, images = black.double(), images.double()
    factor, sizes = torch.tensor([1.0, -2.0, 0.5, 3.0]).double(), []

    def targets(out):
        sizes.append(len(out))
        return factor * out[torch.arange(4), torch.tensor(CLASSES)]

    expected, _, _ = by_hand(model, images, lambda out, b: factor[b] * out[0, CLASSES[b]], "conv2")
    assert_close(score_cam(model, images, targets, "conv2", raw=True, chunk=3), expected, rtol=1e-10, atol=1e-10)
    assert set(sizes) == {4} and len(sizes) == 1 + 6  # the images, and every channel that is not flat


def test_callable_takes_the_output_apart(tiny, images):
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = tiny

        def forward(self, x):
            return {"logits": self.net(x)}

    raw = score_cam(Pair(), images, lambda out: out["logits"][:, 2], "net.conv2", raw=True)
    assert_close(raw, score_cam(tiny, images, 2, "conv2", raw=True))


@pytest.mark.parametrize("targets", [None, 2, [2, 0, 1, 4], torch.tensor([2, 0, 1, 4])])
def test_forms_of_targets(targets, tiny, images):
    with torch.no_grad():
        best = tiny(images).argmax(1).tolist()
    asked = best if targets is None else [2] * 4 if isinstance(targets, int) else [2, 0, 1, 4]
    expected, _, _ = by_hand(tiny, images, lambda out, b: out[0, asked[b]], "conv2")
    assert_close(score_cam(tiny, images, targets, "conv2", raw=True), expected)


@pytest.mark.parametrize("dtype", EXACT)
def test_chunks_change_nothing(dtype, tiny, images):
    model, images = tiny.to(dtype), images.to(dtype)
    expected = score_cam(model, images, CLASSES, "conv1", raw=True)
    for chunk in (1, 3, 7, 1000):
        sizes = []
        hook = model.register_forward_pre_hook(lambda m, args, sizes=sizes: sizes.append(len(args[0])))
        heat = score_cam(model, images, CLASSES, "conv1", raw=True, chunk=chunk)
        hook.remove()
        assert_close(heat, expected, rtol=EXACT[dtype], atol=EXACT[dtype])
        assert sum(sizes) == 4 + 24 and sizes[1:-1] == [chunk] * (len(sizes) - 2)  # chunks mix images


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_batch_independence(dtype, tolerance, tiny, images):
    model, images = tiny.to(dtype), images.to(dtype)
    for targets in (CLASSES, None):
        together = score_cam(model, images, targets, "conv2", raw=True)
        for b in range(4):
            own = None if targets is None else targets[b]
            assert_close(score_cam(model, images[b : b + 1], own, "conv2", raw=True)[0], together[b],
                         rtol=tolerance, atol=tolerance)


def test_flat_channels_cost_no_pass_and_have_no_weight(black, images):
    count, expected = [], score_cam(black, images, CLASSES, "conv2", raw=True)
    with torch.no_grad():
        black.fc.bias += 100  # any common score: were flat channels in the softmax with score 0, this would silence them
    black.register_forward_pre_hook(lambda m, args: count.append(len(args[0])))
    assert_close(score_cam(black, images, CLASSES, "conv2", raw=True), expected, rtol=1e-4, atol=1e-5)
    assert sum(count) == 4 + 4 * 6


def test_constant_activations_give_zeros(tiny, images):
    with torch.no_grad():
        tiny.conv3.weight.zero_()
    count = []
    tiny.register_forward_pre_hook(lambda m, args: count.append(len(args[0])))
    heat = score_cam(tiny, images, 1, "conv3")
    assert heat.shape == (4, 16, 16) and not heat.any() and heat.isfinite().all() and count == [4]
    assert not score_cam(tiny, images, 1, "avgpool").any()  # a grid of one cell has no contrast
    assert not score_cam(tiny, images, lambda out: out[:, 1], "conv3").any()


def test_one_channel(images):
    """Its weight is 1, whatever its score: L = ReLU(A)."""
    net = seeded(lambda: nn.Sequential(nn.Conv2d(3, 1, 3), nn.Conv2d(1, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 16)
    with torch.no_grad():
        A = net[0](images)[:, 0]
    assert_close(score_cam(net, images, 1, "0", raw=True), A.relu())


def test_several_layers(tiny, images):
    heat = score_cam(tiny, images, 1, ["conv2", "conv3"], chunk=5)
    mean = torch.stack([score_cam(tiny, images, 1, n) for n in ("conv2", "conv3")]).mean(0)
    low, high = mean.amin((1, 2), keepdim=True), mean.amax((1, 2), keepdim=True)
    assert_close(heat, (mean - low) / (high - low))
    with pytest.raises(ValueError, match="raw=True with 2 layers"):
        score_cam(tiny, images, 1, ["conv2", "conv3"], raw=True)


@pytest.mark.parametrize("callable_target", [False, True])
@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("dtype", EXACT)
def test_masked_scores(dtype, start, callable_target, tiny, images):
    """S_bm by its definition, with a baseline and without; a flat map gives the score of the baseline."""
    rng = torch.Generator().manual_seed(3)
    model, images, maps = tiny.to(dtype), images.to(dtype), torch.randn(4, 5, 3, 2, generator=rng).to(dtype)
    maps[1, 2] = 0.3
    baseline = torch.rand(4, 3, 16, 16, generator=rng).to(dtype) if start else None
    below = torch.zeros_like(images) if baseline is None else baseline
    expected = torch.zeros(4, 5, dtype=dtype)
    with torch.no_grad():
        for b in range(4):
            for k in range(5):
                m = shown(interpolate(maps[b, k][None, None], (16, 16), mode="bilinear", align_corners=False)[0, 0])
                m = torch.zeros(16, 16, dtype=dtype) if m is None else m
                expected[b, k] = model((m * images[b] + (1 - m) * below[b])[None])[0, CLASSES[b]]
        alone = model(below)[1, 1]
    targets = (lambda out: out[torch.arange(4), torch.tensor(CLASSES)]) if callable_target else CLASSES
    for chunk in (None, 3):
        S = masked_scores(model, images, targets, maps, baseline=baseline, chunk=chunk)
        assert S.dtype == dtype
        assert_close(S, expected, rtol=EXACT[dtype], atol=EXACT[dtype])
    assert_close(S[1, 2], alone)


# ---- other implementations -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other():
    """A network with its image, class, layer, activation, and the weights of the loop, which leaves out flat channels."""
    model, layer = seeded(lambda: torchvision.models.resnet18(weights=None), 96), "layer2"
    x, kept = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)), []
    hook = model.get_submodule(layer).register_forward_hook(lambda m, i, out: kept.append(out))
    with torch.no_grad():
        c = int(model(x).argmax())
    hook.remove()
    L, _, (weights,) = by_hand(model, x, lambda out, b: out[0, c], layer)
    assert len(weights) == 128 and L.std() > 0.05 * L.mean()
    return model, x, c, layer, kept[0], torch.stack([*weights.values()]), score_cam(model, x, c, layer, raw=True)


def test_parity_with_torchcam(other):
    """It normalises, then upsamples."""
    model, x, c, layer, _, _, ours = other
    with torchcam.methods.ScoreCAM(model, layer, batch_size=16) as extractor, torch.no_grad():
        theirs = extractor(c, model(x), normalized=False)[0]
    print(f"Pearson with torchcam {pearson(ours, theirs).item():.4f}")
    assert pearson(ours, theirs) >= 0.98


@pytest.mark.parametrize("align_corners", [True, False])
def test_parity_with_grad_cam(align_corners, other, monkeypatch):
    """It upsamples with align_corners=True; told otherwise, its weights and map are ours."""
    model, x, c, layer, A, weights, ours = other
    monkeypatch.setattr(nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size, None, "bilinear", align_corners))
    cam = pytorch_grad_cam.ScoreCAM(model, [model.get_submodule(layer)])
    cam.activations_and_grads.release()
    with torch.no_grad():
        w = torch.from_numpy(cam.get_cam_weights(x, None, [ClassifierOutputTarget(c)], A.numpy(), None))
    theirs = torch.einsum("bk,bkhw->bhw", w, A).relu()
    likeness = torch.corrcoef(torch.stack([w[0], weights]))[0, 1].item(), pearson(ours, theirs).item()
    print(f"align_corners={align_corners}: Pearson of weights {likeness[0]:.4f}, of maps {likeness[1]:.4f}")
    assert min(likeness) >= 0.98
    if not align_corners:
        assert_close(w[0], weights, rtol=1e-4, atol=1e-7)
        assert_close(theirs, ours, rtol=1e-4, atol=1e-5)


# ---- nothing of the caller's is touched, no graph is built -------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("targets", [1, None, lambda out: out[:, 1]])
def test_no_graph(frozen, targets, tiny, images):
    def refuse(tensor):
        raise AssertionError("a tensor was saved for a backward pass")

    outputs = []
    tiny.requires_grad_(not frozen)
    for layer in (tiny.conv1, tiny.fc):
        layer.register_forward_hook(lambda m, i, out: outputs.append(out))
    images.requires_grad_()
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(refuse, lambda t: t):
        heat = score_cam(tiny, images, targets, "conv2")
        S = masked_scores(tiny, images, targets or 0, torch.rand(4, 3, 4, 4), baseline=torch.zeros(4, 3, 16, 16))
    assert len(outputs) > 6 and not any(t.requires_grad for t in [heat, S, *outputs])
    assert images.grad is None and all(p.grad is None for p in tiny.parameters())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_modes(mode, tiny, images):
    maps = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    expected = score_cam(tiny, images, None, "conv2"), masked_scores(tiny, images, 1, maps, baseline=1 - images)
    with mode():
        images, maps = images.clone(), maps.clone()
        seen = score_cam(tiny, images, None, "conv2"), masked_scores(tiny, images, 1, maps, baseline=1 - images)
        assert_close(score_cam(tiny, images, lambda out: out.amax(1), "conv2").shape, expected[0].shape)
    assert_close(tuple(t.clone() for t in seen), expected)


def test_flags_random_state_and_hooks(tiny, images):
    expected = score_cam(tiny, images, 1, "conv2")
    tiny.train()
    tiny.conv2.eval()
    flags, before, kept = [m.training for m in tiny.modules()], torch.get_rng_state(), images.clone()
    state = {k: v.clone() for k, v in tiny.state_dict().items()}
    assert_close(score_cam(tiny, images, 1, "conv2"), expected)  # dropout and batch statistics would show
    assert [m.training for m in tiny.modules()] == flags and hooks(tiny) == 0
    assert torch.equal(torch.get_rng_state(), before) and torch.equal(images, kept)
    assert all(torch.equal(v, state[k]) for k, v in tiny.state_dict().items())


@pytest.mark.parametrize("error", [KeyError, RuntimeError])
def test_exception_in_the_middle(error, tiny, images):
    calls = []

    def fail(module, args):
        calls.append(1)
        if len(calls) == 4:
            raise error("in the middle")

    tiny.train().register_forward_pre_hook(fail)
    with pytest.raises(error, match="in the middle"):
        score_cam(tiny, images, 1, "conv2", chunk=5)
    assert len(calls) == 4 and hooks(tiny) == 1 and all(m.training for m in tiny.modules())


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 0.01), (torch.bfloat16, 0.05)])
def test_half_precision_and_autocast(dtype, tolerance, tiny, images):
    exact = score_cam(tiny, images, 1, "conv2", raw=True)
    maps = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    scores = masked_scores(tiny, images, 1, maps, baseline=1 - images)
    with torch.autocast("cpu", dtype=dtype):
        low = score_cam(tiny, images, 1, "conv2", raw=True), masked_scores(tiny, images, 1, maps, baseline=1 - images)
    tiny, images = tiny.to(dtype), images.to(dtype)
    half = score_cam(tiny, images, 1, "conv2", raw=True), masked_scores(tiny, images, 1, maps, baseline=1 - images)
    for heat, S in (low, half):
        assert heat.dtype == S.dtype == torch.float32
        assert (heat - exact).norm() < tolerance * exact.norm() and (S - scores).norm() < tolerance * scores.norm()


def test_channels_last_and_networks_that_cannot_read_it(tiny, images):
    formats = []
    expected = score_cam(tiny, images, 1, "conv2", raw=True, chunk=4)
    tiny.register_forward_pre_hook(lambda m, args: formats.append(args[0].is_contiguous(memory_format=torch.channels_last)))
    score_cam(tiny, images, 1, "conv2", chunk=4)
    assert formats == [True] * 9

    class View(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.fc = tiny, nn.Linear(7 * 64, 5)

        def forward(self, x):
            kept = []
            hook = self.net.relu3.register_forward_hook(lambda m, i, out: kept.append(out))
            out = self.net(x)
            hook.remove()
            return out + 0 * self.fc(kept[0].view(len(x), -1))

    assert_close(score_cam(View(), images, 1, "net.conv2", raw=True, chunk=4), expected)


def test_normalisation_inside(tiny, images):
    """Black is 0 of what the network is given, before its own pre-hook normalises."""
    model = standardise_inside(tiny, [0.5, 0.4, 0.3], [0.2, 0.3, 0.2])
    expected, _, _ = by_hand(model, images, lambda out, b: out[0, 1], "conv2")
    assert_close(score_cam(model, images, 1, "conv2", raw=True), expected)


# ---- the search for a chunk, the count of forwards, memory ------------------------------------------------------------------


class Counted(nn.Module):
    """A net of one convolution with 40 channels whose pass is slow, unless it is asked for `fast` images at once."""

    def __init__(self, fast):
        super().__init__()
        self.conv, self.fast, self.sizes = nn.Conv2d(3, 40, 3), fast, []

    def forward(self, x):
        self.sizes.append(len(x))
        return self.conv(x).mean((2, 3))


@pytest.mark.parametrize("fast", [4, 8, 16, 32])
def test_search_finds_the_fastest_runs_nothing_extra_and_is_kept(fast, monkeypatch):
    net, clock = Counted(fast), [0.0]
    x = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))

    def tick():  # a clock that only the network's work moves
        size = net.sizes[-1]
        clock[0] += size * (1.0 if size == net.fast else 2.0 + 0.1 * (size == 8))
        return clock[0]

    monkeypatch.setattr(masks.time, "perf_counter", tick)
    runs = []
    for _ in range(8):
        net.sizes.clear()
        score_cam(net, x, 3, "conv")
        assert net.sizes[0] == 1 and sum(net.sizes) == 1 + 40  # the image, and its channels: not one more
        runs.append(net.sizes[1:])
    ((trials,),) = (each.values() for net_, each in masks.TRIALS.items() if net_ is net)
    assert list(trials) == [4, 8, 16, 32] and {len(t) for t in trials.values()} == {masks.TRIES}
    assert sorted(n for run in runs for n in run if n in trials)[:3] == [4, 4, 4]
    assert runs[-1] == runs[-2] == [fast] * (40 // fast) + [40 % fast] * (40 % fast > 0)
    before = {n: list(t) for n, t in trials.items()}
    score_cam(net, x, 3, "conv")
    assert trials == before  # filled once
    score_cam(net, x[..., :64], 3, "conv")
    assert len(masks.TRIALS[net]) == 2  # another size, another search


@pytest.mark.parametrize("fast", [4, 32])
def test_no_clock_chooses_where_a_table_has_to_come_out_the_same(fast):
    net, x = Counted(fast), torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        net.sizes.clear()
        with masks.same_chunks():
            score_cam(net, x, 3, "conv")
        assert net.sizes == [1, 21, 19]  # 21 pictures of 96 x 96 have as many pixels as four of 224 x 224
    net.sizes.clear()
    with masks.same_chunks():
        score_cam(net, x, 3, "conv", chunk=7)
    assert net.sizes == [1, 7, 7, 7, 7, 7, 5]
    assert not masks.SAME.get() and all(not tries for each in masks.TRIALS[net].values() for tries in each.values())


def test_forwards_are_counted_exactly(black, images):
    for chunk in (None, 1, 6):
        count = []
        hook = black.register_forward_pre_hook(lambda m, args, count=count: count.append(len(args[0])))
        score_cam(black, images, CLASSES, "conv2", chunk=chunk)
        hook.remove()
        assert count[0] == 4 and sum(count) == 4 + 4 * 6


def test_search_forgets_networks_that_are_gone(images):
    size = len(masks.TRIALS)
    net = seeded(Tiny, 16)
    score_cam(net, images, 1, "conv2")
    assert len(masks.TRIALS) == size + 1
    del net
    assert len(masks.TRIALS) == size


def test_sizes_fit_the_images():
    cpu, other = torch.device("cpu"), torch.device("cuda")
    assert masks._sizes(cpu, 224 * 224) == [4, 8] and masks._sizes(cpu, 96 * 96) == [4, 8, 16, 32]
    assert masks._sizes(cpu, 384 * 384) == [3] and masks._sizes(cpu, 2000 * 2000) == [1]
    assert masks._sizes(other, 224 * 224) == [16, 64] and masks._sizes(other, 96 * 96) == [16, 64, 256]


def test_two_threads():
    """A network each where a layer is recorded, one for both where only its output is read."""
    *nets, shared = [seeded(Tiny, 16, seed) for seed in (0, 1, 2)]
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    maps = torch.rand(2, 9, 4, 4, generator=torch.Generator().manual_seed(1))
    expected = [(score_cam(net, x, 1, "conv1"), masked_scores(shared, x, 1, maps)) for net in nets]

    def work(i):
        return [(score_cam(nets[i], x, 1, "conv1"), masked_scores(shared, x, 1, maps)) for _ in range(20)]

    with ThreadPoolExecutor(2) as pool:
        for i, seen in enumerate(pool.map(work, (0, 1))):
            assert_close(seen, [expected[i]] * 20, rtol=1e-4, atol=1e-5)


def test_memory_on_resnet50():
    """Peak over a bare forward pass of the same image, until the 60th mask: the search (36 masks, up to 8 at once) is over then.

    The 2048 masks of 224 x 224 pixels alone would take 411 MB, the masked images 1.2 GB, if they were built beforehand.
    """
    pytest.importorskip("resource")
    child = subprocess.run([sys.executable, str(Path(__file__).with_name("masks_child.py")), "60"],
                           capture_output=True, text=True, timeout=300)
    assert child.returncode == 0, child.stderr
    extra, seen, tries = map(float, child.stdout.split())
    print(f"extra memory {extra:.0f} MB after {seen:.0f} images")
    assert seen > 60 and tries == masks.TRIES
    assert 0 <= extra < 150


# ---- bad input -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk, error", [(0, ValueError), (-1, ValueError), (2.5, TypeError), (True, TypeError),
                                          ("4", TypeError)])
@pytest.mark.parametrize("targets", [1, lambda out: out[:, 1]])
def test_bad_chunk(chunk, error, targets, tiny, images):
    with pytest.raises(error, match=r"chunk .*; accepted: .* images per forward pass, or None \(measured\)"):
        score_cam(tiny, images, targets, "conv2", chunk=chunk)


BAD = {
    "no targets": ({"targets": None}, TypeError, "targets are None; accepted here: fixed ones"),
    "class": ({"targets": 5}, ValueError, "target 5 out of range; accepted: 0 to 4"),
    "count": ({"targets": [1, 2]}, ValueError, "2 targets for 4 images"),
    "callable": ({"targets": lambda out: out}, ValueError, r"target function returned \(4, 5\)"),
    "no maps": ({"maps": None}, TypeError, r"maps are NoneType; accepted: a float tensor \(B, M, h, w\)"),
    "integers": ({"maps": torch.ones(4, 2, 3, 3).long()}, TypeError, "maps are torch.int64; accepted: a float tensor"),
    "rank": ({"maps": torch.ones(4, 3, 3)}, ValueError, r"shape \(4, 3, 3\); accepted for these images: \(4, M, h, w\)"),
    "batch": ({"maps": torch.ones(3, 2, 3, 3)}, ValueError, r"shape \(3, 2, 3, 3\); accepted for these images: \(4, M, h, w\)"),
    "none at all": ({"maps": torch.ones(4, 0, 3, 3)}, ValueError, r"shape \(4, 0, 3, 3\); accepted for these images"),
    "NaN": ({"maps": torch.full((4, 2, 3, 3), float("nan"))}, ValueError, "maps hold NaN or Inf; accepted: finite"),
    "baseline": ({"baseline": torch.zeros(3, 16, 16)}, ValueError, r"baseline is \(3, 16, 16\); accepted: None, or .*\(4, 3, 16"),
    "name": ({"baseline": "blur"}, ValueError, "baseline is str; accepted: None, or a tensor"),
    "images": ({"images": torch.rand(4, 1, 16, 16)}, ValueError, "images have 1 channels; accepted by this network: 3"),
    "precision": ({"images": torch.rand(4, 3, 16, 16).double()}, TypeError, "images are torch.float64, the network is torch.fl"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case, tiny, images):
    changes, error, words = BAD[case]
    given = {"images": images, "targets": 1, "maps": torch.rand(4, 2, 3, 3), "baseline": None} | changes
    with pytest.raises(error, match=words):
        masked_scores(tiny, given["images"], given["targets"], given["maps"], baseline=given["baseline"])


def test_scores_that_are_not_finite(tiny, images):
    with torch.no_grad():
        tiny.fc.bias[3] = float("inf")
    with pytest.raises(ValueError, match="score of image 2 is not finite"):
        masked_scores(tiny, images, [0, 1, 3, 4], torch.rand(4, 2, 3, 3))
    with pytest.raises(ValueError, match=r"network returned \(4, 5, 14, 14\), not \(B, classes\); .*callable"):
        masked_scores(nn.Sequential(nn.Conv2d(3, 5, 3)), images, 1, torch.rand(4, 1, 3, 3), chunk=4)


@pytest.mark.parametrize("name", ["scenes_resnet", "scenes_vgg"])
def test_finds_the_digit(name):
    """Over eight scenes the maps have twice as much of their mass in the digit's box as an even map."""
    samples, model = [scene("test", i) for i in range(8)], load_model(name, "cpu")
    boxes = [s.boxes[0][None] for s in samples]
    heat = score_cam(model, torch.stack([s.image for s in samples]), [int(s.classes[0]) for s in samples])
    even = torch.stack([box_mask(b, heat.shape[-2:]).double().mean() for b in boxes])
    assert energy_game(heat, boxes).mean() > 2 * even.mean()
