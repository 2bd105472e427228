"""Masked forward passes: what the network says when a map lets only part of the image through.

No autograd anywhere. Masks are built chunk by chunk, just before the forward pass that reads them, so memory does not grow with
their number, and go in channels-last, which CPUs and tensor cores prefer. How many images a pass should take differs between
networks and machines (a batch of 32 can cost twice as much per image as one of 4): unless the caller says it, the first chunks
try several sizes, on masks that have to be run anyway, and the fastest is kept for this network, device and image size. The size
moves a score's last digits; inside `same_chunks` no clock chooses it, so that a table that is made again is the same.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from operator import index
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ...core.maps import normalise, upsample
from ...core.network import as_network, evaluating
from ...core.probe import FAILURES, check_images, explain_failure, run
from ...core.targets import Targets, class_indices, score

Tried = dict[tuple[torch.device, torch.dtype, tuple[int, ...]], dict[int, list[float]]]  # (.., shape) -> {chunk: [s per image]}
TRIALS: WeakKeyDictionary[nn.Module, Tried] = WeakKeyDictionary()
TRIES = 3  # of every size: the first warms up and does not count, the faster one of the others does
LOCK = Lock()
SAME: ContextVar[bool] = ContextVar("SAME", default=False)  # inside `same_chunks`?


@contextmanager
def same_chunks() -> Iterator[None]:
    """Run the body with `at_once` images a pass where nobody says how many, whatever would be the fastest here."""
    token = SAME.set(True)
    try:
        yield
    finally:
        SAME.reset(token)


def at_once(images: Tensor) -> int:
    """Images per masked forward pass: 4 of 224 x 224, more if smaller; 64 on an accelerator."""
    most = (4 if images.device.type == "cpu" else 64) * 224**2
    return max(1, most // (images.shape[2] * images.shape[3]))


def _sizes(device: torch.device, pixels: int) -> list[int]:
    """Chunks worth trying for images of so many pixels: 4 and 8 for 224 x 224 on the CPU, 16 and 64 on an accelerator."""
    known, most = ((4, 8, 16, 32, 64), 2**19) if device.type == "cpu" else ((16, 64, 256), 2**22)
    fitting = [n for n in known if n * pixels <= most]
    return fitting or [max(1, most // pixels)]


def _trials(net: nn.Module, images: Tensor) -> dict[int, list[float]]:
    """Chunk -> seconds per image of every try so far, for this network, device, type and image size."""
    with LOCK:
        known = TRIALS.setdefault(net, {})
        sizes = _sizes(images.device, images.shape[-2] * images.shape[-1])
        return known.setdefault((images.device, images.dtype, tuple(images.shape[1:])), {n: [] for n in sizes})


def _next_chunk(trials: dict[int, list[float]], left: int) -> tuple[int, bool]:
    """The size to run next, and whether it is a try: smallest first, round by round; after that the fastest one so far."""
    untried = [n for n in trials if len(trials[n]) < TRIES and n <= left]
    if untried:
        return min(untried, key=lambda n: (len(trials[n]), n)), True
    timed = [n for n in trials if len(trials[n]) > 1]
    return min(timed, key=lambda n: min(trials[n][1:]), default=min(trials)), False


@contextmanager
def _timed(seconds: list[float] | None, images: int, device: torch.device, wanted: bool) -> Iterator[None]:
    """Append the body's seconds per image, with the accelerator's queue emptied at both ends; where not wanted, only the body."""
    if not wanted or seconds is None:
        yield
        return
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    start = time.perf_counter()
    yield
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    seconds.append((time.perf_counter() - start) / images)


def _masked(images: Tensor, maps: Tensor, baseline: Tensor | None) -> Tensor:
    """x * m, or x' + m (x - x'), for maps (n,h,w) and as many images (or one for all): (n,C,H,W), channels-last."""
    m = normalise(upsample(maps, images.shape[-2:])).to(images.dtype)[:, None]
    x = torch.empty(len(m), *images.shape[1:], dtype=images.dtype, device=images.device).to(memory_format=torch.channels_last)
    if baseline is None:
        return torch.mul(images, m, out=x)
    return torch.lerp(baseline, images, m, out=x)


def _check(images: Tensor, maps: Tensor, chunk: int | None) -> None:
    if not isinstance(maps, Tensor) or not maps.is_floating_point():
        got = maps.dtype if isinstance(maps, Tensor) else type(maps).__name__
        raise TypeError(f"maps are {got}; accepted: a float tensor (B, M, h, w)")
    if maps.ndim != 4 or len(maps) != len(images) or 0 in maps.shape:
        raise ValueError(f"maps have shape {tuple(maps.shape)}; accepted for these images: ({len(images)}, M, h, w)")
    if not maps.isfinite().all():
        raise ValueError("maps hold NaN or Inf; accepted: finite values")
    if chunk is not None:
        try:
            whole = not isinstance(chunk, bool) and index(chunk)
        except TypeError:
            whole = False
        if whole is False:
            raise TypeError(f"chunk {chunk!r}; accepted: a whole number of images per forward pass, or None (measured)")
        if whole < 1:
            raise ValueError(f"chunk {chunk}; accepted: 1 or more images per forward pass, or None (measured)")


def scores_of_live(model: nn.Module, images: Tensor, targets: Targets, maps: Tensor, live: Tensor, baseline: Tensor | None,
                   chunk: int | None) -> Tensor:
    """`masked_scores` of the pairs (image, mask) that `live` (B, M) marks, in at least float32; 0 elsewhere."""
    if targets is None:
        raise TypeError("targets are None; accepted here: fixed ones: an int, a list or LongTensor, or a callable output -> (B,)")
    _check(images, maps, chunk)
    B, M = live.shape
    network, grid = as_network(model), maps.flatten(0, 1)  # (B M, h, w): mask m of image b is row b M + m

    def output(rows: Tensor) -> Any:
        image = rows // M
        if B == 1:
            return run(network, _masked(images, grid[rows], baseline), image)
        start = None if baseline is None else baseline[image]
        return run(network, _masked(images[image], grid[rows], start), image)

    try:
        with evaluating(network), torch.inference_mode(False), torch.no_grad():
            S = torch.zeros(B * M, dtype=torch.promote_types(images.dtype, torch.float32), device=images.device)
            if callable(targets):
                _score_whole_batches(S, output, targets, live)
                return S.view(B, M)
            known = at_once(images) if chunk is None and SAME.get() else chunk
            _score_chunks(S, output, targets, live, _trials(network.net, images), known)
    except FAILURES as error:
        explained = explain_failure(error, network, images)
        raise explained from (None if explained is error else error)
    S = S.view(B, M)
    score(S, lambda S: S.sum(1), B)  # raises where one is not finite: once, since each look makes an accelerator wait
    return S


def _score_whole_batches(S: Tensor, output: Callable[[Tensor], Any], targets: Callable[[Any], Tensor], live: Tensor) -> None:
    """Fill S (B M,) for a callable target, which sees whole batches only: one mask of each image per pass."""
    B, M = live.shape
    for m in live.any(0).nonzero()[:, 0].tolist():
        rows = torch.arange(B, device=S.device) * M + m
        S[rows] = score(output(rows), targets, B).to(S)


def _score_chunks(S: Tensor, output: Callable[[Tensor], Any], targets: int | Sequence[int] | Tensor, live: Tensor,
                  trials: dict[int, list[float]], chunk: int | None) -> None:
    """Fill S (B M,) at the live rows, `chunk` at a time, or as many as `trials` say."""
    B, M = live.shape
    todo = live.flatten().nonzero()[:, 0]
    classes: Tensor | None = None  # known as soon as the network has said how many there are
    while len(todo):
        if chunk is None:
            size, wanted = _next_chunk(trials, len(todo))
        else:
            size, wanted = int(chunk), False
        rows, todo = todo[:size], todo[size:]
        with _timed(trials.get(size), len(rows), S.device, wanted):
            out = output(rows)
            if classes is None:
                if not isinstance(out, Tensor) or out.ndim != 2:
                    score(out, 0, len(rows))  # raises: such an output needs a callable target
                classes = class_indices(targets, out.shape[1], B).to(S.device)
            S[rows] = out.gather(1, classes[rows // M, None])[:, 0].to(S)


def masked_scores(model: nn.Module, images: Tensor, targets: Targets, maps: Tensor, *, baseline: Tensor | None = None,
                  chunk: int | None = None) -> Tensor:
    """The score of every image behind every one of its masks: (B, M), without any gradient.

        S_bm = f(x'_b + N(Up A_bm) * (x_b - x'_b)),    M forward passes per image, in chunks

    images (B, 3, H, W); maps (B, M, h, w) on a layer's grid; baseline x': images of the same shape, None: 0, just x * m. A flat
    map shows nothing: the score of the baseline. targets: as `score`, but fixed (not None); a callable only ever sees outputs of
    the whole batch, one mask of each image per pass. chunk: images per pass; None: measured, remembered for this network,
    device and image size. The chunk changes no score beyond rounding. Half precision comes back as float32.
    Raises ValueError, TypeError as `score`, for maps or baselines of another shape, and for a chunk below 1 or not whole.
    """
    images = check_images(images)
    if baseline is not None and (not isinstance(baseline, Tensor) or baseline.shape != images.shape):
        got = tuple(baseline.shape) if isinstance(baseline, Tensor) else type(baseline).__name__
        raise ValueError(f"baseline is {got}; accepted: None, or a tensor of the images' shape {tuple(images.shape)}")
    baseline = None if baseline is None else baseline.to(images)
    live = torch.ones(maps.shape[:2], dtype=torch.bool, device=images.device) if isinstance(maps, Tensor) else None
    return scores_of_live(model, images, targets, maps, live, baseline, chunk)
