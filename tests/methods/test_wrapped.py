"""Models in half precision, under autocast, compiled, in a wrapper, in two threads."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep

import pytest
import torch
from conftest import Tiny, hooks, seeded
from torch import nn
from torch.testing import assert_close

import camutils
from camutils import capture, grad_cam, probe

HALF = {torch.float16: 2e-3, torch.bfloat16: 2e-2}  # relative error of A; a ReLU at its kink makes that of g larger


def distance(a, b):
    """Relative Euclidean distance."""
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("dtype", HALF)
def test_half_precision(dtype, tiny, images):
    A, g = (t.float() for t in probe(tiny, images, 1, "conv2"))
    low = probe(tiny.to(dtype), images.to(dtype), 1, "conv2")
    assert {t.dtype for t in low} == {torch.float32}
    assert distance(low[0], A) < HALF[dtype] and distance(low[1], g) < 10 * HALF[dtype]
    assert grad_cam(tiny, images.to(dtype), 1).dtype == torch.float32


def test_float64_stays_float64(tiny, images):
    A, g = probe(tiny, images, 1, "conv2")
    double = probe(tiny.double(), images.double(), 1, "conv2")
    assert {t.dtype for t in double} == {torch.float64}
    assert_close(tuple(t.float() for t in double), (A, g))


def test_autocast(tiny, images):
    A, g = probe(tiny, images, 1, "conv2")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low, heat = probe(tiny, images, 1, "conv2"), grad_cam(tiny, images, 1, "conv2")
    assert {t.dtype for t in low} == {torch.float32} and not torch.equal(low[0], A)
    assert distance(low[0], A) < HALF[torch.bfloat16] and distance(low[1], g) < 10 * HALF[torch.bfloat16]
    assert heat.dtype == torch.float32 and heat.isfinite().all()
    with torch.autocast("cpu", dtype=torch.bfloat16):  # the method's own sum is not rounded to half precision
        raw = grad_cam(tiny, images, 1, "conv2", raw=True)
    assert raw.dtype == torch.float32
    assert_close(raw, (low[1].mean((2, 3), keepdim=True) * low[0]).sum(1).relu())


@pytest.mark.parametrize("how", ["compiled", "in place", "submodule", "layer", "DataParallel", "both"])
def test_compiled_and_wrapped_models(how, tiny, images):
    expected = probe(tiny, images, 1, "conv2")
    layer, model = "conv2", tiny
    if how in ("compiled", "both"):
        model = torch.compile(tiny, backend="eager")
    elif how == "in place":
        tiny.compile(backend="eager")
    elif how == "submodule":
        tiny.conv3.compile(backend="eager")
    elif how == "layer":
        tiny.conv2 = torch.compile(tiny.conv2, backend="eager")
        layer = tiny.conv2
    if how in ("DataParallel", "both"):
        model = nn.DataParallel(model)
    with torch.no_grad():
        logits = model(images)
    assert_close(probe(model, images, 1, layer), expected, rtol=0, atol=0)
    assert hooks(tiny) == 0
    with torch.no_grad():
        assert_close(model(images), logits)  # still runs afterwards
    assert_close(probe(model, images, 1, layer), expected, rtol=0, atol=0)


def test_compiled_with_the_default_backend_costs_no_compilation(tiny, images):
    expected, compiled = probe(tiny, images, 1, "conv2"), torch.compile(tiny)
    frames = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert_close(probe(compiled, images, 1, compiled.conv2), expected, rtol=0, atol=0)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == frames


def test_two_threads_with_two_models(images):
    models = [seeded(Tiny, 16, seed) for seed in (0, 1)]
    alone = [grad_cam(m.train(), images, 1, "conv2") for m in models]
    assert not torch.equal(*alone)

    def work(i):
        with torch.no_grad():
            return [grad_cam(models[i], images, 1, "conv2") for _ in range(30)]

    with ThreadPoolExecutor(2) as pool:
        for i, heats in enumerate(pool.map(work, (0, 1))):
            assert all(torch.equal(heat, alone[i]) for heat in heats)
    assert all(m.training and hooks(m) == 0 for model in models for m in model.modules())


def test_two_threads_with_compiled_models_leave_compilation_on(images):
    """torch.compiler's stance belongs to the whole process: whoever leaves last must find it as the first one did."""
    models = [seeded(Tiny, 16, seed) for seed in (0, 1)]
    for model in models:
        model.compile(backend="eager")
    before = torch._dynamo.eval_frame._stance
    first_is_inside, first_has_left = Event(), Event()

    def first():
        with capture(models[0], "conv2") as A:
            first_is_inside.set()
            sleep(0.2)
            models[0](images)
        first_has_left.set()
        return A["conv2"]

    def second():
        assert first_is_inside.wait(20)
        with capture(models[1], "conv2") as A:
            models[1](images)
            assert first_has_left.wait(20)
        return A["conv2"]

    with ThreadPoolExecutor(2) as pool:
        seen = list(pool.map(lambda work: work(), (first, second)))
    for model, A in zip(models, seen, strict=True):
        assert_close(A, probe(model, images, 1, "conv2")[0], rtol=0, atol=0)
    assert torch._dynamo.eval_frame._stance == before


class Viewing(nn.Module):
    """A network that flattens with `view`, which needs contiguous activations."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6 * 256, 5)

    def forward(self, x):
        return self.fc(self.conv(x).relu().view(len(x), -1))


@pytest.mark.parametrize("method", camutils.METHODS)
def test_network_that_cannot_read_channels_last(method, images):
    """Pictures go in channels-last where that is faster; a network that calls `view` gets contiguous ones, and the same map."""
    net, x = seeded(Viewing, 16), images.double()
    net.double()
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        net(x.contiguous(memory_format=torch.channels_last))
    flat = seeded(Viewing, 16).double()
    flat.forward = lambda x: flat.fc(flat.conv(x).relu().reshape(len(x), -1))
    options = {"scales": (1,)} if method == "gig_cam_m" else {}  # its linear layer fits one size
    heat = camutils.METHODS[method](net, x, 1, "conv", **options)
    assert_close(heat, camutils.METHODS[method](flat, x, 1, "conv", **options), rtol=0, atol=1e-6)
    assert hooks(net) == 0 and all(p.grad is None for p in net.parameters())
