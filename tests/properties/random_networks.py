"""Small random networks, and what may be asked of them: hypothesis draws them, and makes a failing one as small as it can.

    case = data.draw(cases("grad_cam"))
    case.ask()                              # a map, or the error that the caller would see
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from camutils import METHODS

PARTS = ("conv", "strided", "depthwise", "norm", "relu", "relu6", "tanh", "silu", "functional", "pool", "residual", "branches",
         "shared", "in place")
HEADS = ("mean", "most", "flat", "both")
BENDS = {  # what a layer's activations are turned into
    "as they are": lambda A: A,
    "constant": lambda A: 0 * A + 1,
    "zero": lambda A: 0 * A,
    "times 1e30": lambda A: 1e30 * A,
    "times 1e-30": lambda A: 1e-30 * A,
    "one hot pixel": lambda A: A * F.one_hot(torch.tensor(0), A[0, 0].numel()).view(A[0, 0].shape).to(A) * 1e6,
    "NaN in one image": lambda A: torch.cat([A[:-1], A[-1:] * torch.nan]),
    "Inf in one image": lambda A: torch.cat([A[:-1], A[-1:] + torch.inf]),
}


class Bend(nn.Module):
    """Turns what it gets into something extreme."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind

    def forward(self, A):
        return BENDS[self.kind](A)


class Part(nn.Module):
    """One step of a network, from K channels to K channels (B,K,h,w)."""

    def __init__(self, kind: str, K: int):
        super().__init__()
        self.kind = kind
        groups = K if kind == "depthwise" else 1
        self.conv = nn.Conv2d(K, K, 3, 2 if kind == "strided" else 1, 1, groups=groups)
        self.other = nn.Conv2d(K, K, 1)
        self.norm = nn.BatchNorm2d(K)
        acts = {"relu6": nn.ReLU6(), "tanh": nn.Tanh(), "silu": nn.SiLU(), "in place": nn.ReLU(inplace=True)}
        self.act = acts.get(kind, nn.ReLU())

    def forward(self, A):
        match self.kind:
            case "functional":
                return F.relu(F.conv2d(A, self.conv.weight, self.conv.bias, padding=1))
            case "pool":
                return F.max_pool2d(A, 2, ceil_mode=True)
            case "residual":
                return self.act(A + self.conv(A))
            case "branches":
                return torch.cat([self.act(self.conv(A)), self.act(self.other(A))], 1)[:, ::2]
            case "shared":
                return self.act(self.conv(self.act(self.conv(A))))
            case "norm":
                return self.norm(A)
            case "conv" | "strided" | "depthwise":
                return self.conv(A)
            case _:
                return self.act(self.conv(A))


class RandomNetwork(nn.Module):
    """stem, parts, one of them bent, a head; with a second input, a row of two numbers per image scales the head's features."""

    def __init__(self, channels: int, parts: list[str], bend: str, at: int, head: str, second: bool):
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, 1, 1)
        self.body = nn.Sequential(*(Part(kind, channels) for kind in parts))
        self.body.insert(min(at, len(parts)), Bend(bend))
        self.head, self.second = head, second
        self.mix = nn.Linear(2, channels)
        self.fc = nn.Linear({"flat": 4, "both": 2}.get(head, 1) * channels, 4)

    def forward(self, x, row=None):
        A = self.body(F.relu(self.stem(x)))
        features = {"mean": lambda: A.mean((2, 3)), "most": lambda: A.amax((2, 3)),
                    "flat": lambda: F.adaptive_avg_pool2d(A, 2).flatten(1),
                    "both": lambda: torch.cat([A.mean((2, 3)), A.amax((2, 3))], 1)}[self.head]()
        if self.second:
            features = features * self.mix(row).repeat(1, features.shape[1] // self.mix.out_features)
        return self.fc(features)


@dataclass(repr=False)
class Case:
    """A method, a network and a question."""

    method: str
    network: nn.Module
    images: torch.Tensor
    targets: Any
    layer: Any
    options: dict[str, Any] = field(default_factory=dict)
    said: str = ""

    def ask(self) -> torch.Tensor:
        return METHODS[self.method](self.network, self.images, self.targets, self.layer, **self.options)

    def __repr__(self) -> str:
        return self.said


FEW = {"integrated_grad_cam": {"steps": 3}, "gig_cam": {"steps": 3}, "gig_cam_m": {"steps": 2, "scales": (1, 1.5)},
       "cluster_cam": {"n_clusters": 3}, "combined_cam": {"n_clusters": 3}}  # so that thousands are asked in a minute


@st.composite
def cases(draw, method: str) -> Case:
    """A network of up to five parts, one of them bent now and then; two or three images; any target, layer and float type."""
    parts = draw(st.lists(st.sampled_from(PARTS), max_size=5))
    bend = draw(st.sampled_from(["as they are"] * len(BENDS) + list(BENDS)))
    made = {"channels": draw(st.integers(1, 6)), "parts": parts, "bend": bend, "at": draw(st.integers(0, 5)),
            "head": draw(st.sampled_from(HEADS)), "second": draw(st.booleans())}
    seed, dtype = draw(st.integers(0, 2**16)), draw(st.sampled_from([torch.float32, torch.float32, torch.float64]))
    B, H, W = draw(st.integers(1, 3)), draw(st.integers(6, 20)), draw(st.integers(6, 20))  # a blur needs 6
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = RandomNetwork(**made).to(dtype)
        images, row = torch.rand(B, 3, H, W, dtype=dtype), torch.rand(B, 2, dtype=dtype)
    targets = draw(st.sampled_from([None, 0, 3, "each", "function"]))
    layer = draw(st.sampled_from([None, None, "stem", "body", "first", "last", "all", "two"]))
    said = f"{method} on {made}, weights {seed}, {dtype}, images {(B, 3, H, W)}, targets {targets}, layer {layer}"
    targets = {"each": [i % 4 for i in range(B)], "function": lambda out: out[:, 1] - out[:, 2]}.get(targets, targets)
    layer = {"first": "body.0", "last": f"body.{len(parts)}", "two": ["stem", "body"]}.get(layer, layer)
    options = dict(FEW.get(method, {}))
    if made["second"]:
        options["forward_args"] = (row,)
    network.train(draw(st.booleans()))
    return Case(method, network, images, targets, layer, options, said)
