"""Interleaved rounds: every contestant once per round, in an order that is shuffled anew, so that what disturbs one disturbs all.

The clock is `torch.utils.benchmark.timer` (it empties an accelerator's queue) in the standard library's `timeit.Timer`, which
holds garbage collection off. `torch.utils.benchmark.Timer` is made of the same two, but runs everything twice more to warm up.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from timeit import Timer
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

Run = Callable[[], object]  # what is timed; what it gives is not looked at
MANY, FEW, QUICK = 15, 3, 5.0  # rounds where a round takes less than QUICK seconds, and else
COUNTED = "counted_by_camutils_speed"


def _nothing() -> None:
    """What most contestants have to make ready: nothing."""


class Contestant(NamedTuple):
    """What is timed: its name, the function, how it is set (for the table), and what is made ready before, off the clock."""

    name: str
    run: Run
    setting: str = ""
    ready: Run = _nothing


class Spread(NamedTuple):
    """The median and the quartiles of a number over rounds."""

    median: float
    low: float
    high: float


class Passes(NamedTuple):
    """Images that went forward through a network, and images whose score was differentiated."""

    forwards: int
    backwards: int


def seconds(contestant: Contestant) -> float:
    """How long one call takes; what it has to make ready is not counted."""
    from torch.utils.benchmark import timer  # here, since it looks for CUDA and says on stderr where it finds half of it

    return Timer(contestant.run, contestant.ready, timer).timeit(1)


def interleave(contestants: Sequence[Contestant], rounds: int, seed: int = 0) -> dict[str, list[float]]:
    """Name -> seconds, round by round."""
    order, taken = Random(seed), dict[str, list[float]]()
    for _ in range(rounds):
        for one in order.sample(contestants, len(contestants)):
            taken.setdefault(one.name, []).append(seconds(one))
    return taken


def rounds_for(round_seconds: float) -> int:
    """How many rounds are affordable."""
    return MANY if round_seconds < QUICK else FEW


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    return Spread(float(median), float(low), float(high))


def paired(own: Sequence[float], base: Sequence[float]) -> Spread:
    """Median and quartiles of the ratios own / base, each within a round."""
    return spread([a / b for a, b in zip(own, base, strict=True)])


def countable(model: nn.Module) -> nn.Module:
    """The same network, marked (and its later copies with it), so that `passes` counts what runs through it."""
    setattr(model, COUNTED, True)
    return model


@contextmanager
def counting() -> Iterator[list[int]]:
    """Inside, images through marked networks are counted: yields [forwards, backwards]."""
    counts = [0, 0]

    def add(which: int, rows: int) -> None:
        counts[which] += rows

    def watch(module: nn.Module, given: Any, out: Any) -> None:
        if isinstance(out, Tensor) and getattr(module, COUNTED, False):
            add(0, len(out))
            if out.requires_grad:
                out.register_hook(lambda gradient: add(1, len(gradient)))

    handle = register_module_forward_hook(watch)
    try:
        yield counts
    finally:
        handle.remove()


def passes(contestant: Contestant) -> Passes:
    """How many images one call sends forward and backward."""
    contestant.ready()
    with counting() as counts:
        contestant.run()
    return Passes(*counts)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Run the body with so many of torch's threads."""
    before = torch.get_num_threads()
    if number != before:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        if number != before:
            torch.set_num_threads(before)
