"""Answers to the exercises of notebook 40: which method for what."""

import numpy as np
import torch


def every_pair(points, distance):
    apart = points[:, :, None] - points[:, None]
    return np.sqrt((apart**2).sum(-1)).max((1, 2)) <= distance


def from_the_first(points, distance):
    return np.linalg.norm(points - points[:, :1], axis=-1).max(1) <= distance


def from_the_middle(points, distance):
    return np.linalg.norm(points - points.mean(1, keepdims=True), axis=-1).max(1) <= distance


def along_an_axis(points, distance):
    return np.ptp(points, axis=1).max(1) <= distance


def spots(*places):
    """Maps (20, 30) with one hottest pixel each."""
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    return [torch.exp(-((y - r) ** 2 + (x - c) ** 2) / 50) for r, c in places]


A, B, C = spots((5, 5), (5, 8), (9, 8))

RIGHT = {
    "40.1": ["AB", {"b", "a"}, ["A", "B"], "A, B"],
    "40.2": [(0.86, 0.95, 4 / 14), (0.86, 0.95, 0.29)],
    "40.3": [every_pair, lambda points, far: [all(np.hypot(*(p - q)) <= far for p in row for q in row) for row in points]],
    "40.4": [lambda AP, drop, at_drop, at_area: AP == "+" or drop == "+" or (at_drop == "+" and at_area == "+")],
    "40.5": [(A, B, C, 5), (A[None], B.numpy(), C, 5.0), (A, A.flip(1), C, 19)],
}
WRONG = {
    "40.1": ["B", "ABE", "ABC", "ABCDE", "F", 5],
    "40.2": [(0.86, 0.76, 4 / 14), (0.95, 0.95, 0.29), (0.86, 0.95, 0.05), (0.86, 0.95, 0.4), (86, 95, 4), 0.86],
    "40.3": [from_the_first, from_the_middle, along_an_axis, lambda points, distance: True, 3],
    "40.4": [lambda AP, drop, at_drop, at_area: "+" in (AP, drop, at_drop, at_area),
             lambda AP, drop, at_drop, at_area: AP == "+", lambda AP, drop, at_drop, at_area: "+" in (AP, drop),
             lambda AP, drop, at_drop, at_area: AP == drop == "+" or at_drop == at_area == "+", "+"],
    "40.5": [(A, B, C, 3), (A, B, A**2, 3), (A, B, C), (A, B, 7 * C, 5), (A, B, C[:10], 5), (A, B, C * 0, 5)],
}
