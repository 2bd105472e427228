"""Answers to the exercises of notebooks 42 and 50: trust and cost."""

import numpy as np
import torch

import camutils as cam


def middle(model, images, targets=None, layer=None):
    """A spot in the middle, whatever the picture."""
    return cam.centre_map(tuple(images.shape[-2:])).expand(len(images), -1, -1)


def white(model, images, targets=None, layer=None):
    return images.new_ones(len(images), *images.shape[-2:])


def rows_from_top(model, images, targets=None, layer=None):
    return torch.linspace(0, 1, images.shape[-2])[:, None].expand(len(images), -1, images.shape[-1])


def channel_sum(model, images, targets=None, layer=None):
    """The mean of the channels: one forward pass, no class."""
    return cam.finish(cam.activation(model, images, targets, layer)[0].mean(1), images)


def twice(model, images, targets=None, layer=None):
    return channel_sum(model, images, targets, layer) / 2 + channel_sum(model, images, targets, layer) / 2


HEAT, SPREAD = torch.rand(7, 4, generator=torch.Generator().manual_seed(0)), torch.full((7, 4), 0.02)
HEAT[0, :3] = torch.tensor([0.5, 0.51, 0.9])

RIGHT = {
    "42.1": [36.5 / 55, 0.664],
    "42.2": [(0.52 / 0.74, -0.25 / 0.92), (0.70, -0.27)],
    "42.3": [middle, rows_from_top],
    "42.4": [0.7],
    "42.5": [(HEAT, SPREAD, (0, 0), (0, 1)), (HEAT[None], SPREAD[None].numpy(), [0, 0], [0, 1])],
    "50.1": [(60, 145), (60, 145.0)],
    "50.2": [1.2, 12 / 10],
    "50.3": [channel_sum],
    "50.4": [0.91, float(np.polyfit(np.log([4, 8, 16, 32]), np.log([5, 9, 17, 33]), 1)[0])],
    "50.5": [(128, 0, 129), (1280, 362, 919)],
}
WRONG = {
    "42.1": [1, 36.5, 0.5, -0.664, "alike"],
    "42.2": [(0.78, -0.17), (0.52, -0.25), (0.70, 0.27), 0.7, (0.70, float("nan"))],
    "42.3": [cam.edges, cam.grad_cam, white, lambda model, images, targets, layer: images, 0],
    "42.4": [0.6, 0.9, 0.55, 5, "half"],
    "42.5": [(HEAT, SPREAD, (0, 0), (0, 2)), (HEAT, SPREAD), (HEAT, SPREAD, (0, 0), (0, 0)), (HEAT * 9, SPREAD, (0, 0), (0, 1)),
             (SPREAD, HEAT, (0, 0), (0, 1)), (HEAT, 0 * SPREAD, (0, 0), (0, 1)), (HEAT, SPREAD[:2], (0, 0), (0, 1))],
    "50.1": [(60, 60), (60, 90), (20, 145), 145, (60, 200)],
    "50.2": [22 / 12, 53 / 30, 70 / 42, 3, "slow"],
    "50.3": [cam.grad_cam, cam.cluster_cam, twice, middle, white],
    "50.4": [1, 1.1, 0.5, "flat"],
    "50.5": [(128, 0, 128), (128, 0, 130), (128, 3, 129), (128, 200, 1), 129],
}
