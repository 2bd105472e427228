"""Answers to the exercises of notebooks 00, 01 and 60."""

import torch
from torch import nn
from torch.nn.functional import interpolate

import camutils as cam
from camutils.book.exercises import first


def heat(A, w, size):
    raw = torch.einsum("k,kij->ij", w, A).relu()
    large = interpolate(raw[None, None], size=size, mode="bilinear")[0, 0]
    span = large.max() - large.min()
    return (large - large.min()) / span if span > 0 else torch.zeros(size)


def uncut(A, w, size):
    return cam.normalise(cam.upsample(torch.einsum("k,kij->ij", w, A)[None], size))[0]


def by_maximum(A, w, size):
    large = cam.upsample(torch.einsum("k,kij->ij", w, A).relu()[None], size)[0]
    return large / large.max()


def hires(model, images, target, layer):
    seen = {}
    handle = model.get_submodule(layer).register_forward_hook(lambda module, args, out: seen.update(A=out))
    S = model(images)[:, target].sum()
    handle.remove()
    return (torch.autograd.grad(S, seen["A"])[0] * seen["A"]).sum(1).relu()


def hook_left(model, images, target, layer):
    seen = {}
    model.get_submodule(layer).register_forward_hook(lambda module, args, out: seen.update(A=out))
    return (torch.autograd.grad(model(images)[:, target].sum(), seen["A"])[0] * seen["A"]).sum(1).relu()


def backward(model, images, target, layer):
    L = hires(model, images, target, layer)
    model(images)[:, target].sum().backward()
    return L


def paths(edges):
    """All paths, written out; what they share."""
    found, open_ends = [], [["picture"]]
    while open_ends:
        path = open_ends.pop()
        if path[-1] == "score":
            found.append(set(path))
        open_ends += [[*path, b] for a, b in edges if a == path[-1]]
    return set.intersection(*found)


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        return self.fc(self.pool(self.body(x)).flatten(1))


with torch.random.fork_rng():
    torch.manual_seed(1)
    OWN, PICTURES = Own().eval(), torch.rand(3, 3, 24, 24)
_cascade = cam.cascading_randomisation(cam.grad_cam, OWN, PICTURES, modules=cam.cascade_modules(OWN))
FIRST, LAST = _cascade.correlation[0], _cascade.correlation[-1]
MAP = [[8, -2], [2, 4]]

RIGHT = {
    "00.1": [(MAP, 4), (torch.tensor(MAP), 4.0)],
    "00.2": [heat],
    "00.3": [next(d for d in range(10) if not first.absent_digit(d))],
    "00.4": [(8.16, 8.21, -0.05), (torch.tensor(-3.0), torch.tensor(-2.75), torch.tensor(-0.25))],
    "01.1": [{"grad_cam", "grad_cam_pp"}, ["grad_cam_pp", "grad_cam"]],
    "01.2": [(0.333, -0.058), (1 / 219 + 2 * 2 * 4 / 225 + 4 * 16 / 249, -8 / 137)],
    "01.3": [hires, lambda model, x, c, layer: cam.hires_cam(model, x, c, layer, raw=True)],
    "01.4": [{"layer3": (1.39, 0.54), "layer4": (0.0, 0.0)}],
    "60.1": [{"a", "d"}, ["d", "a"]],
    "60.2": ["digit.png,3,10,5,30,25", " digit.png, 3, 10, 5, 30, 25\n"],
    "60.3": [paths, first._passed],
    "60.4": [(OWN, PICTURES, LAST), (OWN, PICTURES, LAST.tolist())],
}
WRONG = {
    "00.1": [([[8, 0], [2, 4]], 4.5), (MAP, 3), (MAP, 13), ([[8, 2], [6, 4]], 6), MAP, (12, 4)],
    "00.2": [uncut, by_maximum, lambda A, w, size: torch.einsum("k,kij->ij", w, A).relu(),
             lambda A, w, size: heat(A, w, size) * 2],
    "00.3": [4, 7, 10, "seven", *[d for d in (0, 1, 2, 3) if first.absent_digit(d)][:2]],
    "00.4": [(8.16, 8.21), (8.16, 1180.0, -0.05), (8.16, 1.2, -0.05), (float("nan"), 1, 1), 8.16],
    "01.1": [set(), {"grad_cam"}, {"grad_cam_pp"}, first.FAMILY, {"grad_cam", "grad_cam_pp", "hires_cam"}, "grad_cam", 2],
    "01.2": [(0.494, 0.167), (0.333, 0.058), (0.333, -0.5), 0.333, (1.0, -1.0)],
    "01.3": [lambda model, x, c, layer: cam.grad_cam(model, x, c, layer, raw=True), hook_left, backward,
             lambda model, x, c, layer: cam.hires_cam(model, x, c, layer), lambda model: None],
    "01.4": [{"layer4": (0.0, 0.0)}, {"layer3": (0.0, 0.0), "layer4": (0.0, 0.0)}, {"layer3": (1.39, 0.54), "layer4": (0.0, 0.3)},
             {"layer3": 1.39, "layer4": 0.0}, {"layer3": (1.39, 54.0), "layer4": (0.0, 0.0)}, None],
    "60.1": [{"a", "d", "e"}, {"a", "b", "d"}, {"d"}, {"e"}, set(), "ad", {"picture", "a", "d"}, 2],
    "60.2": ["digit.png,3,10,5,29,24", "digit.png,3,10,5,20,20", "digit.png,3,5,10,25,30", "3,10,5,30,25",
             "digit.png,3,10,5,31,26", "digit.png,3,11,6,30,25", (10, 5, 30, 25)],
    "60.3": [lambda edges: {b for _, b in edges}, lambda edges: set(), lambda edges: {edges[0][1]}, lambda edges: edges.nope],
    "60.4": [(OWN, PICTURES, FIRST), (OWN, PICTURES, LAST[:2]), (OWN, PICTURES, 1 - LAST), (OWN, PICTURES[0], LAST), OWN,
             ("resnet50", PICTURES, LAST)],
}
