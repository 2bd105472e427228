"""The most memory that a call holds at once, in bytes of tensors: what it allocates, not what was there before."""

import os

import torch
from torch.profiler import ProfilerActivity, profile

from .harness import Run

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler would write two lines of its own for every call


def peak(run: Run, device: torch.device) -> int:
    """Bytes at the worst moment. On the CPU the profiler sees every tensor that is allocated, but no scratch inside kernels."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        run()
    events = seen.profiler.kineto_results.events()
    held = most = 0
    for _, change in sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"):
        held += change
        most = max(most, held)
    return most
