"""Untrained networks whose maps vary as a trained one's do: for tests of equations and for measuring time."""

from collections.abc import Callable

import torch
from torch import nn


def randomise(model: nn.Module, size: int = 64, seed: int = 0) -> nn.Module:
    """Give every batch norm weights and statistics of its own, as a trained network has, so that maps and gradients vary.

    Statistics: those of a few random images (so that the signal survives every layer), spread by up to a factor of two.
    """
    rng = torch.Generator().manual_seed(seed)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for m in norms:
        m.momentum = 1.0
        m.weight.data.copy_(torch.rand(m.num_features, generator=rng) + 0.5)
        m.bias.data.copy_(torch.randn(m.num_features, generator=rng) * 0.5)
    with torch.no_grad():
        model.train()(torch.rand(4, 3, size, size, generator=rng))
    for m in norms:
        m.momentum = 0.1
        if m.running_mean is None or m.running_var is None:
            continue
        m.running_mean += torch.randn(m.num_features, generator=rng) * 0.2 * m.running_var.sqrt()
        m.running_var *= 2 ** (2 * torch.rand(m.num_features, generator=rng) - 1)
    return model.eval()


def seeded(build: Callable[[], nn.Module], size: int = 64, seed: int = 0) -> nn.Module:
    """build() with seeded weights, batch norms randomised, in eval mode; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return randomise(build(), size, seed)
