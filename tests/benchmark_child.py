"""A small benchmark on scenes that tests run in processes of their own, to kill them or to share the work.

python benchmark_child.py OUT LIMIT PAUSE: PAUSE seconds are slept in every call of a method, so that there is time to kill.
"""

import sys
import time

import torch
from torch import nn

import camutils
from camutils.evaluation.benchmark import benchmark


def network() -> nn.Module:
    """A seeded network with ten outputs that gives each class maps of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.Conv2d(8, 16, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
                             nn.Flatten(), nn.Linear(64, 10)).eval()


def noise(model, images, targets=None, layer=None, *, raw=False):
    """A method that draws random numbers: its rows show whether each batch gets its own, fixed, seed."""
    return torch.rand(len(images), *images.shape[2:])


def run(out, limit: int, pause: float = 0.0, **options) -> list[dict]:
    """Grad-CAM, slowed down, and noise on the first `limit` test scenes."""
    def slow(*args, **keywords):
        time.sleep(pause)
        return camutils.grad_cam(*args, **keywords)

    known = dict(camutils.METHODS)
    camutils.METHODS.update(grad_cam=slow, noise=noise)
    try:
        options = {"methods": "grad_cam,noise", "metrics": "pointing,energy,drop,increase_top15", "batch": 4} | options
        return benchmark("scenes", network(), limit=limit, out=out, device="cpu", **options)
    finally:
        camutils.METHODS.clear()
        camutils.METHODS.update(known)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
