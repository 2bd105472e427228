"""What makes an accelerator wait inside the loops of methods, seen on a CPU: no step, chunk or cluster may ask for a number.

A dispatch mode sees the operations that bring a value to Python, or whose result has a size that depends on values; a function
mode sees `cpu`, `numpy` and `tolist`, which on a CPU run no operation. What grows with the number of iterations is inside a loop.
Copies of host tensors *to* an accelerator (`targets.to(device)`) cannot be told from casts here.
"""

import sys
from collections import Counter
from contextlib import contextmanager

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import camutils
from camutils.places import PACKAGE

WAITING = {"_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2", "unique_dim", "unique_consecutive"}
TO_HOST = {"cpu", "numpy", "tolist", "__array__"}
INDEXING = {"index", "index_put", "index_put_"}  # by a mask of booleans: `nonzero` inside

# method -> (option, few, many), others: how often its loop runs
LOOPS = {
    "integrated_grad_cam": (("steps", 2, 6), {}), "gig_cam": (("steps", 2, 6), {}),
    "gig_cam_m": (("steps", 2, 6), {"scales": (1, 1.5)}), "score_cam": (("chunk", 64, 8), {}),
    "cluster_cam": (("n_clusters", 3, 7), {"chunk": 1}), "combined_cam": (("n_clusters", 3, 7), {}),
    "integrative_cam": (("layer", ["layer4"], ["layer2", "layer3", "layer4"]), {}),
}
RANGE = {"networks.value_range.<genexpr>"}  # networks of `load_model` look at every picture, on a CPU only
CHECKS = RANGE | {"core.probe.check_images", "core.targets.class_indices", "core.targets.score"}
KNOWN = {  # what waits today, to be mended; whoever mends one takes it out
    "integrated_grad_cam": CHECKS, "gig_cam": CHECKS | {"methods.parts.paths.advance"},
    "gig_cam_m": CHECKS | {"methods.parts.paths.advance"}, "score_cam": RANGE, "cluster_cam": RANGE, "combined_cam": RANGE,
    "integrative_cam": set(),
}


def origin():
    """The function of camutils that is running, as room.module.function."""
    frame = sys._getframe(1)
    while frame and not frame.f_code.co_filename.startswith(str(PACKAGE)):
        frame = frame.f_back
    if frame is None:
        return "outside"
    return f"{frame.f_globals['__name__'].removeprefix('camutils.')}.{frame.f_code.co_name}"


class Operations(TorchDispatchMode):
    """Counts operations that wait, by where they were asked for."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name in INDEXING and any(i is not None and i.dtype == torch.bool for i in args[1])
        if name in WAITING or by_mask:
            self.seen[origin()] += 1
        return func(*args, **(kwargs or {}))


class Functions(TorchFunctionMode):
    """Counts functions that bring a tensor to the host, by where they were called."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in TO_HOST:
            self.seen[origin()] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def waits():
    """Inside, what would make an accelerator wait is counted: origin -> how often."""
    seen = Counter()
    with Operations(seen), Functions(seen):
        yield seen


@pytest.mark.parametrize("wait", [
    lambda x: x[0].item(), lambda x: x.cpu(), lambda x: x.tolist(), lambda x: x.numpy(), lambda x: x.nonzero(),
    lambda x: x[x > 0], lambda x: x[x.argmax()],
    lambda x: bool((x > 0).any()), lambda x: float(x.sum()), lambda x: torch.equal(x, x), lambda x: x.unique(),
    lambda x: x.masked_select(x > 0), lambda x: int(x.argmax()), lambda x: x.masked_fill_(x > 0, 1)[x > 0].sum(),
])
def test_everything_that_waits_is_seen(wait):
    with waits() as seen:
        wait(torch.arange(3.0))
    assert sum(seen.values()) >= 1


@pytest.mark.parametrize("work", [
    lambda x: x.sum() + x.amax(), lambda x: torch.where(x > 0, x, 0), lambda x: x.masked_fill(x > 0, 1), lambda x: x[[0, 2]],
    lambda x: x.argsort(), lambda x: x.gather(0, torch.tensor([1])), lambda x: x.double(),
])
def test_what_does_not_wait_is_not_seen(work):
    with waits() as seen:
        work(torch.arange(3.0))
    assert not seen


def per_iteration(name, model, images, targets):
    """Origins whose count grows with the iterations of a method's loop."""
    (option, few, many), others = LOOPS[name]
    counts = []
    for value in (few, many):
        options = {**others, option: value}
        camutils.METHODS[name](model, images, targets, **options)  # what is found once per network is found now
        with waits() as seen:
            camutils.METHODS[name](model, images, targets, **options)
        counts.append(seen)
    return {where for where in counts[1] if counts[1][where] > counts[0][where]}


@pytest.mark.parametrize("name", LOOPS)
def test_no_loop_waits_but_where_it_is_known(name):
    model, rows = camutils.load_model("scenes_resnet", "cpu"), camutils.examples("scenes", range(2))
    images, targets = rows.images[:2], torch.tensor([1, 2])
    assert per_iteration(name, model, images, targets) <= KNOWN[name]


def test_every_method_with_a_loop_is_asked():
    assert {*LOOPS} == {*KNOWN} == {*camutils.METHODS} - {"grad_cam", "grad_cam_pp", "layer_cam", "hires_cam"}


def test_k_means_asks_after_every_update_whether_it_is_done_and_nothing_else():
    rows = camutils.normalised_rows(torch.rand(1, 200, 5, 5, generator=torch.Generator().manual_seed(0)))
    counts = []
    for updates in (2, 5):
        with waits() as seen:
            camutils.kmeans(rows, 20, restarts=1, iterations=updates)
        counts.append(seen)
    assert {*counts[1]} <= {"methods.parts.kmeans._lloyd"}
    assert counts[1].total() - counts[0].total() <= 2 * 3  # does a label change, does a cluster run empty
