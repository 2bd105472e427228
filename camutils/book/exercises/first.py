"""Checks of the exercises of notebooks 00, 01 and 60."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ...core.layers import default_layer
from ...core.maps import normalise, upsample
from ...datasets.scene import scene
from ...evaluation.controls import cascade_modules
from ...evaluation.metrics import cascading_randomisation
from ...methods.grad_cam import grad_cam, hires_cam
from ...networks.load import load_model

A_00 = torch.tensor([[[4.0, 0.0], [2.0, 2.0]], [[0.0, 2.0], [2.0, 0.0]]])  # the feature maps of exercise 00.1
W_00, B_00 = torch.tensor([2.0, -1.0]), 1.0
FAMILY = {"grad_cam", "grad_cam_pp", "layer_cam", "hires_cam"}
A_01 = torch.tensor([[[0.0, 1, 2], [0, 3, 1], [0, 0, 0]], [[1, 0, 0], [2, 1, 0], [1, 0, 0]]])  # the toy of notebook 01
G_01 = torch.tensor([[[0.0, 1, 2], [0, 4, 2], [0, 0, 0]], [[-1, 2, 0], [-4, -2, -2], [-2, 0, 0]]])
PATHS = [("picture", "a"), ("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e"), ("e", "score"), ("d", "score")]
GRAPHS = [  # on which a function of 60.3 is tried
    [("picture", "a"), ("a", "b"), ("b", "score")],
    PATHS,
    [("picture", "a"), ("picture", "b"), ("a", "c"), ("b", "c"), ("c", "score")],
    [("picture", "a"), ("a", "score"), ("picture", "b"), ("b", "score")],
    [("d", "score"), ("b", "d"), ("c", "d"), ("picture", "a"), ("a", "c"), ("a", "b"), ("b", "c")],
    [("picture", "a"), ("a", "b"), ("b", "score"), ("a", "aside"), ("aside", "dead end")],
]


def _numbers(answer: Any, count: int) -> list[float] | None:
    """`count` finite numbers, or None."""
    if not isinstance(answer, tuple | list) or len(answer) != count:
        return None
    values = [float(v) for v in answer]
    return values if all(map(math.isfinite, values)) else None


def by_hand(answer: Any) -> str:
    """00.1: the class map of two feature maps of 2 x 2 cells, before its cut at zero, and the logit."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return "a map and a number are asked for: ([[.., ..], [.., ..]], logit)"
    L, logit = torch.as_tensor(answer[0], dtype=torch.float32), float(answer[1])
    right = torch.einsum("k,kij->ij", W_00, A_00)
    if L.shape != right.shape:
        return f"the map has {tuple(L.shape)} cells; the feature maps have 2 x 2"
    if torch.equal(L, right.relu()):
        return "the map is cut at zero here: its mean is the logit only before the cut"
    if not torch.allclose(L, right):
        return "a cell of the map is off: each is the sum over the feature maps of weight times activation"
    if math.isclose(logit, float(right.mean())):
        return "the map holds; what does the linear layer add to its mean?"
    return "" if math.isclose(logit, float(right.mean()) + B_00) else "the map holds; the logit is made of its mean"


def three_steps(answer: Any) -> str:
    """00.2: a function of A (K, h, w), w (K,), size (H, W) that gives CAM's heat map in [0, 1]."""
    rng = torch.Generator().manual_seed(0)
    for K, h, w, size in ((5, 4, 4, (12, 12)), (3, 3, 5, (20, 30)), (8, 7, 7, (7, 7))):
        A, weights = torch.rand(K, h, w, generator=rng), torch.randn(K, generator=rng)
        raw = torch.einsum("k,kij->ij", weights, A)
        L = torch.as_tensor(answer(A.clone(), weights.clone(), size))
        if tuple(L.shape) != size:
            return f"for feature maps {tuple(A.shape)} and size {size} it gives something of shape {tuple(L.shape)}"
        if float(L.min()) < -1e-6 or float(L.max()) > 1 + 1e-6:
            return f"the heat lies between {float(L.min()):.2f} and {float(L.max()):.2f}: which step brings it to [0, 1]?"
        if not torch.allclose(L.float(), _heat(raw.relu(), size), atol=1e-4):
            if torch.allclose(L.float(), _heat(raw, size), atol=1e-4):
                return "this map was not cut at zero before it was enlarged"
            return "the map differs from that of `camutils`: bilinear, without align_corners, and min-max comes last"
    nothing = torch.as_tensor(answer(torch.ones(2, 3, 3), torch.tensor([-1.0, -1.0]), (6, 6)))
    return "" if bool((nothing == 0).all()) else "where every cell speaks against the class, the heat should be 0 everywhere"


def _heat(raw: Tensor, size: tuple[int, int]) -> Tensor:
    return normalise(upsample(raw[None], size))[0]


def absent_digit(answer: Any) -> str:
    """00.3: of the digits that are not in test scene 0, the one whose raw map reaches highest."""
    digit, first = int(answer), scene("test", 0)
    absent = [c for c in range(10) if c not in first.classes.tolist()]
    if not 0 <= digit <= 9 or digit != float(answer):
        return "a digit is asked for, from 0 to 9"
    if digit not in absent:
        return f"a {digit} is in the scene; ask for those that are not"
    images = first.image[None].expand(len(absent), -1, -1, -1)
    peaks = grad_cam(load_model("scenes_resnet", "cpu"), images, absent, raw=True).amax((1, 2))
    right = absent[int(peaks.argmax())]
    return "" if digit == right else "another absent digit reaches higher: did you take raw=True, and the maximum of each map?"


def own_sum(answer: Any) -> str:
    """00.4: (logit, mean of the class map before its cut, bias) for a photograph of the reader's own."""
    values = _numbers(answer, 3)
    if values is None:
        return "three numbers are asked for: (logit, mean of the class map, bias of the class)"
    logit, mean, bias = values
    left = mean + bias - logit
    if abs(left) <= 1e-3 * max(1, abs(logit), abs(mean)):
        return ""
    if left > 0:
        return f"mean and bias are {left:.3f} more than the logit: was the map cut at zero, or added up?"
    return (f"{-left:.3f} of the logit is missing: is it the map of the class that was asked for, and does the network end in a "
            "mean over the grid and one linear layer?")


def turned_gradient(answer: Any) -> str:
    """01.1: which maps change where the gradient +2 of channel 2 becomes -2?"""
    if isinstance(answer, str) or not set(answer) <= FAMILY:
        return f"a set of names is asked for, out of {', '.join(sorted(FAMILY))}"
    if set(answer) & {"layer_cam", "hires_cam"}:
        return "one of these multiplies the gradient by the activation of its own cell: what is that activation here?"
    if "grad_cam" not in answer:
        return "one weight is a mean of all gradients of a channel, whatever their signs: does it stay?"
    return "" if "grad_cam_pp" in answer else "one weight was made of the only positive gradient of channel 2: what of it now?"


def inside_the_cube(answer: Any) -> str:
    """01.2: w_1 and w_2 of Grad-CAM++ with the sum over A inside the cube."""
    values = _numbers(answer, 2)
    if values is None:
        return "two numbers are asked for: (w_1, w_2)"
    inside = (A_01 * G_01**3).sum((1, 2), keepdim=True)
    outside = A_01.sum((1, 2), keepdim=True) * G_01**3
    found = []
    for third in (inside, outside):
        alpha = torch.where(G_01 == 0, 0, G_01**2 / (2 * G_01**2 + third))
        found.append((alpha * G_01.relu()).sum((1, 2)).tolist())
    right, usual = found
    if all(math.isclose(v, u, abs_tol=2e-3) for v, u in zip(values, usual, strict=True)):
        return "these are the weights of section 3, where the sum over A stands outside the cube"
    if not math.isclose(values[0], right[0], abs_tol=2e-3):
        return "w_1: the sum of A g^3 over the cells of channel 1 is one number; it stands in the denominator of every cell"
    if values[1] >= 0:
        return "w_1 holds; w_2: which sign has the sum of A g^3 over channel 2?"
    return "" if math.isclose(values[1], right[1], abs_tol=2e-3) else "w_1 holds; w_2: only one gradient of channel 2 is positive"


class _Small(nn.Module):
    """Two convolutions, and a head with a hidden layer, so that the gradient varies over the grid."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 1, 1), nn.ReLU())
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 64, 12), nn.ReLU(), nn.Linear(12, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def own_hook(answer: Any) -> str:
    """01.3: HiResCAM from a hook of one's own: a function of (model, images, target, layer) -> raw maps (B, h, w)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, images = _Small().eval(), torch.rand(3, 3, 16, 16)
    hooks = [len(m._forward_hooks) for m in model.modules()]
    for layer, target in (("body.1", 0), ("body.3", 2)):
        L = torch.as_tensor(answer(model, images, target, layer)).detach()
        right = hires_cam(model, images, target, layer, raw=True)
        if L.shape != right.shape:
            return f"at a layer whose grid is 8 x 8 it gives something of shape {tuple(L.shape)} for 3 pictures"
        if [len(m._forward_hooks) for m in model.modules()] != hooks:
            return "the hook is still on the layer when the function is done"
        if any(p.grad is not None for p in model.parameters()):
            return "the network's parameters have gradients now: torch.autograd.grad returns one and writes nothing"
        if not torch.allclose(L, right, atol=1e-5 * float(right.max())):
            if torch.allclose(L, grad_cam(model, images, target, layer, raw=True), atol=1e-5):
                return "this is Grad-CAM: HiResCAM gives every cell its own gradient"
            return "the maps differ from HiResCAM's: gradient times activation, summed over channels, then cut at zero"
    return ""


def own_layers(answer: Any) -> str:
    """01.4: {layer: (spread of the gradient, largest difference of Grad-CAM and HiResCAM)} on the reader's own network."""
    if not isinstance(answer, dict) or len(answer) < 2:
        return "a dictionary of at least two layers is asked for: {layer: (spread, largest difference)}"
    for layer, pair in answer.items():
        values = _numbers(pair, 2)
        if values is None:
            return f"{layer}: two numbers are asked for, the spread of the gradient and the largest difference of the maps"
        spread, difference = values
        if spread < 0 or not 0 <= difference <= 1:
            return f"{layer}: a spread is at least 0, and maps in [0, 1] differ by 0 to 1"
        if spread < 1e-5 and difference > 1e-3:
            return f"{layer}: the gradient is the same in every cell, and yet the maps differ: are both of the same layer?"
    if all(float(pair[0]) < 1e-5 for pair in answer.values()):
        return "the gradient varies at none of these layers: take an earlier one, too"
    return ""


def every_path(answer: Any) -> str:
    """60.1: which tensors of a drawn network does every path from the picture to the score pass?"""
    names = {end for edge in PATHS for end in edge} - {"picture", "score"}
    if isinstance(answer, str) or not set(answer) <= names:
        return f"a set of names is asked for, out of {', '.join(sorted(names))}"
    if set(answer) & {"b", "c"}:
        return "one of these stands on one of two branches: is there no path through the other branch?"
    if "e" in answer:
        return "follow the shortest path to the score: does it pass every one of these?"
    return "" if set(answer) == _passed(PATHS) else "one is missing: take one away; can the score still be reached?"


def _passed(edges: list[tuple[str, str]]) -> set[str]:
    """The tensors without which the score cannot be reached from the picture."""
    names = {end for edge in edges for end in edge} - {"picture", "score"}
    return {name for name in names if not _reached([e for e in edges if name not in e])}


def _reached(edges: list[tuple[str, str]]) -> bool:
    known: set[str] = {"picture"}
    while new := {b for a, b in edges if a in known} - known:
        known |= new
    return "score" in known


def own_box(answer: Any) -> str:
    """60.2: the line of boxes.csv for a 3 in digit.png whose first column is 10, last 29, first row 5, last 24."""
    fields = [field.strip() for field in str(answer).strip().split(",")]
    if not isinstance(answer, str) or len(fields) != 6:
        return "a text with five commas is asked for: image,class,x0,y0,x1,y1"
    if fields[:2] != ["digit.png", "3"]:
        return "the first two fields are the name of the file and the class"
    box = [float(v) for v in fields[2:]]
    if box[:2] == [5, 10]:
        return "x counts columns, y counts rows, and x comes first"
    if box[:2] != [10, 5]:
        return "x0 and y0 are the first column and the first row of the object"
    if box[2:] == [29, 24]:
        return "with these numbers the last column and the last row would not belong to the object: boxes are half open"
    if box[2:] == [20, 20]:
        return "these are a width and a height; x1 and y1 are a column and a row"
    return "" if box[2:] == [30, 25] else "x1 and y1 are the first column and row behind the object"


def own_cut(answer: Callable[[list[tuple[str, str]]], Iterable[str]]) -> str:
    """60.3: a function of the edges that gives the tensors that every path passes."""
    for edges in GRAPHS:
        found, right = set(answer(list(edges))) - {"picture", "score"}, _passed(edges)
        if found != right:
            drawn = ", ".join(f"{a} to {b}" for a, b in edges)
            few = "too few" if found < right else "too many" if found > right else "others"
            return f"for the edges {drawn} it gives {few}: {', '.join(sorted(found)) or 'none'}"
    return ""


def own_network(answer: Any) -> str:
    """60.4: (network, images, correlation): Grad-CAM before and after all weights of the reader's network are redrawn."""
    if not isinstance(answer, tuple | list) or len(answer) != 3 or not isinstance(answer[0], nn.Module):
        return "three things are asked for: (network, images, rank correlation of each image's map)"
    network, images, given = answer[0], answer[1], torch.as_tensor(answer[2], dtype=torch.float32).flatten()
    if not isinstance(images, Tensor) or images.ndim != 4 or not 2 <= len(images) <= 8:
        return "images: a tensor (B, 3, H, W) of two to eight pictures"
    if len(given) != len(images):
        return f"{len(given)} correlations of {len(images)} pictures: one for each is asked for"
    if not bool(given.isfinite().all()):
        return "a correlation is missing (NaN): a map is the same everywhere; is the class asked for one that the network sees?"
    cascade = cascading_randomisation(grad_cam, network, images, modules=cascade_modules(network))
    first, last = cascade.correlation[0], cascade.correlation[-1]
    if torch.allclose(given, last, atol=0.02):
        return ""
    if torch.allclose(given, first, atol=0.02):
        return "these are the correlations after the first module was redrawn: all of them are asked for"
    layer = default_layer(network, images[:1])
    return f"they are others here: grad_cam at {layer!r}, all of cam.cascade_modules(network) redrawn, seed 0, the last row"


CHECKS: dict[str, Callable[[Any], str]] = {
    "00.1": by_hand, "00.2": three_steps, "00.3": absent_digit, "00.4": own_sum,
    "01.1": turned_gradient, "01.2": inside_the_cube, "01.3": own_hook, "01.4": own_layers,
    "60.1": every_path, "60.2": own_box, "60.3": own_cut, "60.4": own_network,
}
