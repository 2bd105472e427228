"""Answers to the exercises of notebook 02, Measuring: right ones, and wrong ones that the checks refuse."""

import numpy as np
import torch

INSIDE = torch.zeros(4, 4, dtype=torch.bool)
INSIDE[1:3, 1:3] = True


def mean_light(x):
    return (x[:, 0] * INSIDE).sum((1, 2), keepdim=True)[:, :, 0] / 4


def any_light(x):
    return ((x[:, 0] * INSIDE).amax((1, 2)) > 0.5).float()[:, None]


OWN = {"energy": (0.5, 0.6), "drop": (20.0, 40.0), "pixel_ap": (0.7, 0.7), "drop_15": (50.0, 50.0)}
RIGHT = {
    "02.1": [{"drop"}, ["drop"]],
    "02.2": [0.679, (1 / 2 + 2 / 3 + 3 / 4 + 4 / 5) / 4],
    "02.3": [any_light],
    "02.4": [lambda t: torch.expm1(20 * t) / np.expm1(20)],
    "02.5": [OWN],
}
WRONG = {
    "02.1": ["drop", set(), {"energy", "drop"}, {"drop", "pixel_ap"}, {"brightness"}, 3],
    "02.2": [0.8875, 1.0, 0.25, 2, "four"],
    "02.3": [mean_light, lambda x: 2 * mean_light(x), lambda x: 1 - any_light(x), lambda x: x.nope],
    "02.4": [lambda t: t, lambda t: t**3, lambda t: (t > 0.7).float(), lambda t: 2 * t, lambda t: 1.0, torch.sqrt],
    "02.5": [{}, OWN | {"pixel_ap": (0.7, 0.8)}, OWN | {"drop": (20.0, 20.0), "energy": (0.5, 0.5)}, 
              OWN | {"energy": (np.nan, 0.5)}, 7],
}
