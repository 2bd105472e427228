"""One unit in the last place of every weight and input: how far each method's map moves, why, and what measures it.

`pytest tests/evaluation/test_rounding.py -s` prints the table for a dozen test scenes; with more scenes and draws, and every
option at its default, `python tests/evaluation/test_rounding.py grad_cam,cluster_cam 200 4` does. A map jumps if some pixel moves
by more than JUMP. The bounds come from 200 scenes under four draws (score_cam, integrated_grad_cam: 60 under two, gig_cam_m: 12
under two): they leave a factor of ten to a map that is steady and of two or three to one that is not, since other processors
round otherwise.
"""

import re
import sys
from functools import cache

import pytest
import torch
from conftest import Tiny, hooks, seeded
from torch import nn
from torch.testing import assert_close

import camutils as cam
from camutils.book.figures import LABELS
from camutils.methods.parts.kmeans import kmeans
from camutils.places import ROOT

NETWORKS, JUMP, DRAWS = ("scenes_resnet", "scenes_vgg"), 0.01, 2
FAMILY = ("grad_cam", "grad_cam_pp", "layer_cam", "hires_cam")
SCENES = {"cluster_cam": 40}  # which jumps rarely; all others: 12
FEWER = {"gig_cam_m": {"scales": (1, 1.5, 2), "steps": 10}}  # instead of seven scales up to 3.7 and 30 steps

# Sums of products move by what rounding is: up to 1.1e-6, 9 times eps. Score-CAM's softmax turns an absolute error of
# a score into a relative one of a weight: 1.1e-5. A unit whose input is 0 up to rounding lets its gradient through or not: that
# moves Integrative CAM by up to 5e-4 on scenes_resnet, and Combined CAM with it.
STEADY, SOFTMAX, KINK = 1e-5, 1e-4, 3e-3
BOUNDS = {  # largest move, largest relative change, share of pictures whose map jumps
    **{(net, m): (STEADY, STEADY, 0) for net in NETWORKS for m in (*FAMILY, "integrated_grad_cam")},
    **{(net, "score_cam"): (SOFTMAX, SOFTMAX, 0) for net in NETWORKS},
    ("scenes_resnet", "integrative_cam"): (KINK, KINK, 0),
    ("scenes_resnet", "combined_cam"): (KINK, KINK, 0),
    ("scenes_vgg", "integrative_cam"): (0.9, 0.5, 1),  # measured: 0.52, 0.20, 189 of 200
    ("scenes_vgg", "combined_cam"): (0.9, 0.5, 1),  # measured: 0.52, 0.20, 189 of 200
    **{(net, "gig_cam"): (0.02, 0.02, 0.1) for net in NETWORKS},  # measured: 0.0067, 0.0052, 0 of 200
    **{(net, "gig_cam_m"): (0.15, 0.1, 0.5) for net in NETWORKS},  # measured at its defaults: 0.11, 0.024, 4 of 24
    ("scenes_resnet", "cluster_cam"): (1, 9, 0.03),  # measured: 0 of 200
    ("scenes_vgg", "cluster_cam"): (1, 9, 0.08),  # measured: 1.0, 4.7, 5 of 200
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Passes of a dozen small pictures gain little from a second thread, and lose much where other work waits for the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def scenes(count):
    """The first test scenes, and the first digit of each."""
    some = [cam.scene("test", i) for i in range(count)]
    return torch.stack([s.image for s in some]), torch.tensor([int(s.classes[0]) for s in some])


def measure(network, method, count, draws, **options):
    """`rounding_sensitivity` on the first scenes, twenty at a time, and a line of the table."""
    model, parts = cam.load_model(network, "cpu"), zip(*(v.split(20) for v in scenes(count)), strict=True)
    seen = [cam.rounding_sensitivity(cam.METHODS[method], model, x, t, draws=draws, **options) for x, t in parts]
    largest, relative = (torch.cat(v) for v in zip(*seen, strict=True))
    print(f"\n{network:14}{LABELS[method]:20}largest {largest.max():.1e}   median {largest.median():.1e}   "
          f"relative {relative.max():.1e}   jump {(largest > JUMP).sum()} of {count}", end="", flush=True)
    return largest, relative


@cache
def measured(network, method):
    return measure(network, method, SCENES.get(method, 12), DRAWS, **FEWER.get(method, {}))


def test_every_method_has_a_bound():
    assert set(BOUNDS) == {(network, method) for network in NETWORKS for method in cam.METHODS}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("method", cam.METHODS)
def test_how_far_a_map_moves(method, network):
    (largest, relative), most = measured(network, method), BOUNDS[network, method]
    assert (largest > 0).any()
    assert largest.max() <= most[0] and relative.max() <= most[1] and (largest > JUMP).float().mean() <= most[2]


def test_the_readme_names_every_method_that_jumps():
    limits = (ROOT / "camutils" / "README.md").read_text().split("\n## Limits\n")[1].split("\n## ")[0]
    (item,) = [text for text in re.split(r"\n(?=- |\n)", limits) if "last place" in text]
    text = " ".join(item.split())
    named = {m for m, label in LABELS.items() if re.search(rf"(?<![\w-]){re.escape(label)}(?![\w+])", text)}
    jump = {m for m in cam.METHODS if any((measured(network, m)[0] > JUMP).any() for network in NETWORKS)}
    assert jump and jump <= named


# --- where the jumps come from ---


@pytest.mark.parametrize("method", ["integrative_cam", "combined_cam"])
def test_max_pooling_ties_move_the_first_stage(method):
    """In an even patch max-pooling finds equals, and rounding says which one gets the gradient. Noise: no patch is even."""
    images, targets = scenes(12)
    noise = (torch.rand(images.shape, generator=torch.Generator().manual_seed(0)) - 0.5) / 255
    net, (tied, _) = cam.load_model("scenes_vgg", "cpu"), measured("scenes_vgg", method)
    free = cam.rounding_sensitivity(cam.METHODS[method], net, 0.02 + 0.96 * images + noise, targets, draws=DRAWS).largest
    assert tied.median() > JUMP and free.median() < 1e-4
    means = cam.rounding_sensitivity(cam.METHODS[method], net, images, targets, draws=DRAWS, channel_weight="gradient").largest
    assert means.max() < KINK  # a channel's mean gradient does not ask where in the window the gradient went


def test_black_pixels_move_the_path():
    """A pixel that is black has no way to go and does not count among those of which a quarter moves; 1e-45 has, and does."""
    images, targets = scenes(12)
    black = (images == 0).all(1).flatten(1).any(1)
    net = cam.load_model("scenes_vgg", "cpu")
    L, lifted = cam.gig_cam(net, images, targets), torch.where(images == 0, torch.tensor(1e-45), images)
    moved = (cam.gig_cam(net, lifted, targets) - L).abs().amax((1, 2))
    assert 0 < black.sum() < 12 and (moved[black] > 1e-4).any() and (moved[~black] == 0).all()


def test_a_row_apart_from_every_centre_is_grouped_by_rounding():
    """It is equally far from all: rows have length 1 up to their rounding to 2^-12, and that decides which centre is nearest."""
    rows = torch.tensor([[0.6, 0.8, 0, 0, 0], [0, 0, 0.28, 0.96, 0], [0, 0, 0, 0, 1]], dtype=torch.float64)
    rows = (rows * 2**12).round() / 2**12
    moved = rows.clone()
    moved[0, 1] -= 2**-12  # what one unit in the last place of an activation does to an entry between two multiples
    assert kmeans(rows[None], 2, centres=rows[None, :2]).labels.tolist() == [[0, 1, 1]]
    assert kmeans(moved[None], 2, centres=moved[None, :2]).labels.tolist() == [[0, 1, 0]]


# --- what measures it ---


def neighbours(before, after):
    """-1, 0, 1: by how many numbers after lies above before, each value to the next one; an error where it is farther."""
    up, down = (torch.nextafter(before, torch.tensor(torch.inf * s, dtype=before.dtype)) for s in (1, -1))
    assert ((after == before) | (after == up) | (after == down)).all()
    return (after == up).long() - (after == down).long()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_one_ulp_moves_every_number_to_a_neighbour(dtype, tiny, images):
    tiny, x = tiny.to(dtype), (2 * images - 0.5).to(dtype)
    net, y = cam.one_ulp(tiny, x, seed=3)
    before, after = tiny.state_dict(), net.state_dict()
    for name, w in before.items():
        assert neighbours(w, after[name]).float().abs().mean() > 0.2 if w.is_floating_point() else torch.equal(w, after[name])
    steps, edge = neighbours(x, y), (x == 0) | (x == 1)  # bfloat16 has some
    assert [(steps[0] == s).float().mean().item() for s in (-1, 0, 1)] == pytest.approx([1 / 3] * 3, abs=0.05)  # 768 values
    assert ((steps == steps[:1]) | edge | edge[:1]).all() and net is not tiny and y.dtype == dtype


def test_one_ulp_stays_in_the_unit_interval(tiny, images):
    x = images.round()
    y = cam.one_ulp(tiny, x, 0)[1]
    assert (y >= 0).all() and (y <= 1).all() and (y[x == 0] > 0).any() and (y[x == 1] < 1).any()


def test_one_ulp_leaves_the_caller_alone(tiny, images):
    tiny.train()
    state, kept, weights = torch.random.get_rng_state(), images.clone(), {n: v.clone() for n, v in tiny.state_dict().items()}
    first, again, other = (cam.one_ulp(nn.DataParallel(tiny), images, seed) for seed in (1, 1, 2))
    assert torch.equal(first[1], again[1]) and not torch.equal(first[1], other[1])
    assert all(torch.equal(a, b) for a, b in zip(first[0].parameters(), again[0].parameters(), strict=True))
    assert not torch.equal(first[0].conv1.weight, other[0].conv1.weight)
    assert all(torch.equal(v, weights[n]) for n, v in tiny.state_dict().items()) and torch.equal(images, kept)
    assert torch.equal(torch.random.get_rng_state(), state) and tiny.training and first[0].training


def test_equals_a_loop(tiny, images):
    seen = cam.rounding_sensitivity(cam.layer_cam, tiny, images, [0, 4, 2, 2], "conv2", draws=3, seed=5)
    L = cam.layer_cam(tiny, images, [0, 4, 2, 2], "conv2")
    d = [cam.layer_cam(*cam.one_ulp(tiny, images, seed), [0, 4, 2, 2], "conv2") - L for seed in (5, 6, 7)]
    for b in range(4):
        assert seen.largest[b] == max(m[b].abs().max() for m in d) > 0
        assert seen.relative[b].item() == pytest.approx(max(m[b].norm() / L[b].norm() for m in d).item(), rel=1e-5)


def test_a_map_by_hand(tiny, images):
    """One picture pixel above a threshold that only the other network's picture passes: the map jumps from 0 to 1."""
    x = torch.full((2, 3, 4, 4), 0.5)
    above = lambda model, x, targets, layer: (x[:, 0] > 0.5).to(x)  # noqa: E731
    seen = cam.rounding_sensitivity(above, tiny, x, 0, draws=1)
    count = (cam.one_ulp(tiny, x, 0)[1][0, 0] > 0.5).sum().item()
    assert seen.largest.tolist() == [1, 1] and count > 0
    assert seen.relative.tolist() == pytest.approx([count**0.5] * 2)  # a map of zeros counts as |L| = 1
    assert cam.rounding_sensitivity(lambda m, x, t, layer: torch.ones(2, 4, 4), tiny, x, 0).largest.tolist() == [0, 0]


def test_the_class_stays_and_so_does_the_caller(tiny, images):
    tiny.train()
    state, kept, weights = torch.random.get_rng_state(), images.clone(), [p.clone() for p in tiny.parameters()]
    asked = []

    def method(model, x, targets, layer, *, strength):
        asked.append((targets.tolist(), layer, strength))
        return cam.grad_cam(model, x, targets, layer)

    whole = cam.rounding_sensitivity(method, tiny, images, None, tiny.conv2, draws=2, strength=3)
    classes = tiny.eval()(images).argmax(1).tolist()
    assert asked == [(classes, tiny.conv2, 3)] + [(classes, ["conv2"], 3)] * 2
    tiny.train()
    part = cam.rounding_sensitivity(cam.grad_cam, tiny, images[2:], classes[2:], "conv2", draws=2)
    assert_close(part.largest, whole.largest[2:], rtol=0, atol=1e-5)  # the same draw for every image
    assert torch.equal(torch.random.get_rng_state(), state) and torch.equal(images, kept) and tiny.training and hooks(tiny) == 0
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(weights, tiny.parameters(), strict=True))


@pytest.mark.parametrize("change, error, says", [
    (dict(draws=0), ValueError, "0 draws given; accepted: 1 or more"),
    (dict(images=torch.zeros(2, 3, 16, 16).long()), TypeError, "images are torch.int64"),
    (dict(targets=7), ValueError, "target 7 out of range"),
    (dict(layer="cov1"), ValueError, "unknown layer 'cov1'"),
    (dict(raw=True), ValueError, "maps have shape"),
    (dict(method=cam.cluster_cam, return_parts=True), TypeError, "maps are Parts"),
    (dict(strength=3), TypeError, "strength")])
def test_errors(change, error, says, images):
    with pytest.raises(error, match=says):
        cam.rounding_sensitivity(**(dict(method=cam.grad_cam, model=seeded(Tiny, 16), images=images, targets=1) | change))


if __name__ == "__main__":
    for name in sys.argv[1].split(","):
        for where in NETWORKS:
            measure(where, name, int(sys.argv[2]), int(sys.argv[3]))
    print()
