"""Checks of the exercises of notebooks 10 to 13, Integrative CAM."""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.maps import normalise, upsample
from ...datasets.scene import scene
from ...methods.grad_cam import grad_cam
from ...methods.integrative_cam import Parts, integrative_cam
from ...methods.parts.fusion import LAYER_WEIGHTS, layer_weights
from ...methods.parts.links import link_derivatives, rho
from ...networks.load import load_model


def _numbers(answer: Any, count: int) -> list[float] | None:
    """The answer as so many finite numbers, None where it is something else."""
    if isinstance(answer, str) or not isinstance(answer, tuple | list | Tensor | np.ndarray) or len(answer) != count:
        return None
    found = [float(v) for v in answer]
    return found if np.isfinite(found).all() else None


def _near(value: float, right: float) -> bool:
    """Equal to the digits that a pencil gives."""
    return abs(value - right) <= 0.006 * max(1.0, abs(right))


def other_bias(answer: Any) -> str:
    """10.1: beta and lambda of the first layer where the convolution's bias is +1."""
    found = _numbers(answer, 2)
    if found is None:
        return "two numbers are asked for: (beta_1, lambda_1)"
    beta, weight = found
    if _near(beta, -2.5) or _near(weight, 8 / 13):
        return "this belongs to the bias -1; with +1 every cell of the second layer is another one"
    if not _near(beta, 4 * 1 + 0.5):
        return "beta_1: the bias of the convolution reaches the score in every cell with an open ReLU; how many are there now?"
    return "" if _near(weight, 8 / (8 + 12)) else "lambda_1: how much does each of the two layers account for now?"


@cache
def _asked() -> tuple[nn.Module, Tensor, int]:
    """A network, a picture, a digit in it."""
    first = scene("test", 0)
    return load_model("scenes_resnet", "cpu"), first.image[None], int(first.classes[0])


def as_grad_cam(answer: Any) -> str:
    """10.2: the options with which Integrative CAM is Grad-CAM."""
    if not isinstance(answer, dict):
        return 'a dictionary of options is asked for, such as dict(bias="classifier")'
    model, x, digit = _asked()
    heat = integrative_cam(model, x, digit, **answer)
    if not isinstance(heat, Tensor) or heat.shape != x.shape[:1] + x.shape[-2:]:
        return "these options do not give a heat map of the picture's size"
    away = float((heat - grad_cam(model, x, digit)).abs().max())
    return "" if away < 1e-5 else (f"the map differs from Grad-CAM's by up to {away:.4f}; go through the options: which stages "
                                   "speak, how is a channel weighted, what is added to it?")


def own_fusion(answer: Any) -> str:
    """10.3: a function (maps, weights, size) -> the fused map."""
    if not callable(answer):
        return "a function of (maps, weights, size) is asked for"
    draws, size = torch.Generator().manual_seed(0), (14, 21)
    maps = [torch.rand(2, 3, generator=draws), torch.rand(4, 6, generator=draws), torch.rand(7, 7, generator=draws)]
    weights = [0.2, 0.5, 0.3]
    heat = answer([m.clone() for m in maps], list(weights), size)
    if not isinstance(heat, Tensor) or tuple(heat.shape) != size:
        return f"for the size {size} it should give a tensor of this shape"
    if abs(float(heat.max()) - 1) > 1e-4 or abs(float(heat.min())) > 1e-4:
        return f"the fused map should run from 0 to 1; this one runs from {float(heat.min()):.2f} to {float(heat.max()):.2f}"
    louder = answer([1000 * maps[0], *maps[1:]], list(weights), size)
    if not torch.allclose(heat, louder, atol=1e-4):
        return "a stage that counts in units 1000 times as large changes the fused map: what is done before the weighting?"
    if not bool(answer([torch.ones(3, 3), *maps[1:]], list(weights), size).isfinite().all()):
        return "a stage whose map is the same everywhere makes the fused map NaN"
    up = [upsample(normalise(m[None]), size)[0] for m in maps]
    right = normalise(sum((w * m for w, m in zip(weights, up, strict=True)), torch.zeros(size))[None])[0]
    return "" if torch.allclose(heat, right, atol=1e-4) else (f"it differs from N(sum of lambda Up N(M)) by up to "
                                                              f"{float((heat - right).abs().max()):.3f}: mind weights and order")


def _one_picture(parts: Any, what: str) -> str:
    """What is off with the parts of one picture."""
    if not isinstance(parts, Parts):
        return f"{what} should be what integrative_cam gives with return_parts=True"
    if len(parts.heat) != 1:
        return f"{what} holds {len(parts.heat)} pictures; explain one"
    if len(parts.layers) < 3:
        return f"{what} has {len(parts.layers)} stages; take a network with three or more"
    total = float(parts.weights.sum())
    return "" if abs(total - 1) < 1e-3 else f"the weights in {what} add up to {total:.2f}"


def both_readings(answer: Any) -> str:
    """10.4: parts of the two readings of the reader's own photograph, and the heaviest stage of each."""
    if not isinstance(answer, tuple | list) or len(answer) != 4:
        return "four things are asked for: parts of the literal reading, of the tuned one, and the heaviest stage of each"
    for parts, what in zip(answer, ("the first", "the second"), strict=False):
        if off := _one_picture(parts, what):
            return off
    literal, tuned = answer[:2]
    if literal.layers != tuned.layers:
        return "the two readings look at other stages; let both look at the same"
    if not torch.allclose(literal.S, tuned.S, rtol=1e-3) or not torch.allclose(literal.beta, tuned.beta, rtol=1e-2, atol=1e-2):
        return "score or beta differ, and they belong to network, picture and class alone: was the same asked twice?"
    if torch.allclose(literal.weights, tuned.weights, atol=1e-4) and torch.allclose(literal.heat, tuned.heat, atol=1e-4):
        return "both readings have the same weights and the same map: were the presets different?"
    for parts, given, what in zip(answer, answer[2:], ("first", "second"), strict=False):
        if given not in parts.layers:
            return f"{given!r} is no stage of this network"
        if float(parts.weights[0].max() - parts.weights[0, parts.layers.index(given)]) > 1e-6:
            return f"in the {what} reading another stage has a larger weight than {given!r}"
    return ""


def two_units(answer: Any) -> str:
    """11.1: what x accounts for, and beta, of 2 ReLU(x - 3) - ReLU(4x - 8) + 5 at x = 5."""
    found = _numbers(answer, 2)
    if found is None:
        return "two numbers are asked for: (what x accounts for, beta)"
    accounted, beta = found
    if _near(accounted, 2 - 4):
        return "this is the gradient; the part that x accounts for is the gradient times x"
    if _near(accounted, 5 * 2) or _near(accounted, 5 * 6):
        return "mind the minus sign before the second unit"
    if not _near(accounted, 5 * (2 - 4)):
        return "are both ReLUs open at 5? Then the gradient is the sum of two slopes, and x is 5"
    right = _near(beta, 2 * -3 + 8 + 5)
    return "" if right else "beta is the score at 5 less what x accounts for; or add up the biases, each with its slope"


def harmless_constants(answer: Any) -> str:
    """11.2: down to which b stretching undoes it, and from which b on two cells are equal."""
    found = _numbers(answer, 2)
    if found is None:
        return "two numbers are asked for: (the lowest b without effect, the highest b with two equal cells)"
    if min(found) > 0 or _near(found[0], 0.2) or _near(found[1], 0.5):
        return "both constants are negative: they push cells down"
    if not _near(found[0], -0.2):
        return "the first: the constant is undone as long as no cell is cut off at 0; which cell reaches 0 first?"
    return "" if _near(found[1], -0.5) else "the second: two cells are equal once both are cut off at 0"


def folded(answer: Any) -> str:
    """11.3: a function (conv, norm) -> one convolution that does the same."""
    if not callable(answer):
        return "a function of (conv, norm) is asked for"
    draws = torch.Generator().manual_seed(0)
    for bias, stride in ((False, 1), (True, 2)):
        conv, norm = nn.Conv2d(2, 3, 3, stride, 1, bias=bias), nn.BatchNorm2d(3, eps=0.1).eval()
        with torch.no_grad():
            for p in conv.parameters():
                p.copy_(torch.randn(p.shape, generator=draws))
            for v in (*norm.parameters(), *norm.buffers()):
                if v.is_floating_point():
                    v.copy_(0.5 + torch.rand(v.shape, generator=draws))
        new = answer(copy.deepcopy(conv), copy.deepcopy(norm))
        if not isinstance(new, nn.Conv2d):
            return f"a convolution is asked for; this is a {type(new).__name__}"
        with torch.no_grad():
            x = torch.randn(1, 2, 7, 7, generator=draws)
            got, right = new(x), norm(conv(x))
            which = f"for a convolution {'with' if bias else 'without'} a bias"
            if got.shape != right.shape:
                return f"{which} and stride {stride} the output has another size"
            if torch.allclose(got, right, atol=1e-4):
                continue
            slope = norm(torch.ones(1, 3, 1, 1)) - norm(torch.zeros(1, 3, 1, 1))
            if not torch.allclose(new.weight, conv.weight * slope.view(3, 1, 1, 1), atol=1e-4):
                return f"{which} the weights are off: each channel has a slope of its own, and eps belongs to it"
            return f"{which} the weights are right and the bias is off: what of the running mean, and of the old bias?"
    return ""


def own_split(answer: Any) -> str:
    """11.4: (score, accounted, contributions) of the reader's own picture."""
    if not isinstance(answer, tuple | list) or len(answer) != 3 or not isinstance(answer[2], dict):
        return "three things are asked for: the score, what the activations account for, a dictionary of what each bias brings"
    score, accounted = (float(np.ravel(v)[0]) for v in answer[:2])
    brought = {name: float(np.ravel(v)[0]) for name, v in answer[2].items()}
    if "remainder" not in brought:
        return 'the dictionary has no "remainder": what no bias explains belongs to the answer, too'
    if len(brought) < 2:
        return "no bias is named: is there none behind this stage? Take an earlier one"
    if not np.isfinite([score, accounted, *brought.values()]).all():
        return "a number is missing (NaN)"
    off = score - accounted - sum(brought.values())
    size = max(abs(score), abs(accounted), *(abs(v) for v in brought.values()))
    return "" if abs(off) <= 2e-3 * size else f"{off:+.3f} is missing between the parts and the score (same class, same stage?)"


def two_alphas(answer: Any) -> str:
    """12.1: alpha of the gradient 2 in channel 1 under exp and under the cube."""
    found = _numbers(answer, 2)
    if found is None:
        return "two numbers are asked for: (alpha under exp, alpha under the cube)"
    if _near(found[0], 2 / 16) or _near(found[1], 12 / 26):
        return "this is what the gradient adds, alpha times the gradient; alpha alone is asked for"
    if abs(found[0] - 1 / (2 + 7 * 2)) > 1e-3:
        return "under exp: what is x, the sum of the channel times the gradient?"
    return "" if abs(found[1] - 1 / (2 + 7 * 2 / 6)) < 2e-3 else "under the cube: rho is 1/S, and the x of exp is right"


def floors(answer: Any) -> str:
    """12.2: the x from which alpha is 1 for rho = -1 and for rho = -2."""
    found = _numbers(answer, 2)
    if found is None:
        return "two numbers are asked for: (x for softplus, x for tanh)"
    if min(found) < 0:
        return "x is positive where activations and gradient are"
    if _near(found[0], 2) and _near(found[1], 1):
        return "there the denominator is 0; alpha is 1 earlier, where the denominator is 1"
    if not _near(found[0], 1):
        return "softplus: where does the denominator 2 + rho x come down to 1?"
    return "" if _near(found[1], 0.5) else "tanh: where does the denominator 2 + rho x come down to 1?"


def gentle_link(answer: Any) -> str:
    """12.3: a rising link with rho = -1/2 everywhere."""
    if not callable(answer):
        return "a function of a tensor is asked for"
    S = torch.tensor([-6.0, -1.0, 0.0, 0.5, 3.0, 8.0])
    sign, second, _ = link_derivatives(S, answer)
    if bool((second == 0).any()):
        return "its second derivative is zero somewhere, so rho is not defined there"
    found = rho(S, answer)
    if (found - found[0]).abs().max() > 1e-3:
        return f"its rho changes with the score: {found[0]:.2f} at {S[0]:.0f}, {found[-1]:.2f} at {S[-1]:.0f}"
    if abs(float(found[0]) + 0.5) > 1e-3:
        return f"its rho is {float(found[0]):.2f} everywhere"
    falls = "its rho is right, but the function falls: it would show what speaks against the class"
    return "" if bool((sign > 0).all()) else falls


def breakdown(answer: Any) -> str:
    """12.4: the first whole score at which torch.sigmoid as a function has another rho than the name."""
    given = float(answer)
    scores = torch.arange(1, 61, dtype=torch.float32)
    agree = torch.isclose(rho(scores, "sigmoid"), rho(scores, torch.sigmoid), atol=0.2)
    first = float(scores[~agree][0])
    if given != round(given) or given < 1:
        return "a whole score is asked for"
    if given < first:
        return f"at {given:.0f} name and function still agree"
    return "" if given == first else "they disagree there, but an earlier score breaks down, too"


def own_links(answer: Any) -> str:
    """12.5: (x, map under exp, map under linear) of the reader's own picture."""
    if not isinstance(answer, tuple | list) or len(answer) != 3:
        return "three things are asked for: x where the gradient is positive, the map under exp, the map under linear"
    x, exp, linear = (torch.as_tensor(v).detach().double().cpu() for v in answer)
    if x.numel() < 10 or not bool(x.isfinite().all()):
        return f"x holds {x.numel()} numbers, or some that are not finite; asked for is one at each positive gradient there"
    if exp.shape != linear.shape or exp.ndim < 2:
        return "the two maps should have the same size"
    if min(float(exp.min()), float(linear.min())) < 0 or max(float(exp.max()), float(linear.max())) > 1 + 1e-6:
        return "a map lies between 0 and 1"
    if torch.equal(exp, linear):
        return "the two maps are the same to the last bit: was the link changed?"
    away, largest = float((exp - linear).abs().max()), float(x.abs().max())
    if largest < 0.02 and away > 0.2:
        return "with so small an x everywhere, alpha is near 1/2 under every link, and the maps cannot differ so much"
    return "" if bool((x > 0).any()) else "no x is positive: where gradient and activations are positive, x is"


def fourth_by_hand(answer: Any) -> str:
    """13.1: weights by product and by contribution."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return "two lists of three weights are asked for: (by product, by contribution)"
    product, contribution = (_numbers(v, 3) for v in answer)
    if product is None or contribution is None:
        return "each rule gives three numbers, one for each layer"
    for name, given in (("product", product), ("contribution", contribution)):
        if min(given) < 0:
            return f"{name}: a weight is never negative"
        if abs(sum(given) - 1) > 0.02:
            return f"{name}: the weights of the layers add up to 1"
    if not all(_near(v, w / 8) for v, w in zip(product, (4, 2, 2), strict=True)):
        return "product: multiply G and C layer by layer, then divide by the sum"
    right = all(_near(v, w / 10) for v, w in zip(contribution, (6, 0, 4), strict=True))
    return "" if right else "contribution: what does a layer get that speaks against the class? The others share the rest"


def blind_rules(answer: Any) -> str:
    """13.2: the rules that do not see the question."""
    if isinstance(answer, str) or not set(answer) <= set(LAYER_WEIGHTS):
        return f"a set of names is asked for, out of {', '.join(LAYER_WEIGHTS)}"
    draws = torch.Generator().manual_seed(0)
    A = [torch.rand(1, 2, 3, 3, generator=draws) for _ in range(3)]
    one, other = ([torch.randn(1, 2, 3, 3, generator=draws) for _ in range(3)] for _ in range(2))
    right = {rule for rule in LAYER_WEIGHTS if torch.equal(layer_weights(A, one, rule), layer_weights(A, other, rule))}
    if wrong := sorted(set(answer) - right):
        return f"{wrong[0]}: the question enters through the gradient; does this rule read it?"
    return "" if set(answer) == right else "one of the rules that read no gradient is missing"


def own_rule(answer: Any) -> str:
    """13.3: a rule (A, g) -> weights that does not see the units."""
    if not callable(answer):
        return "a function of (A, g) is asked for"
    draws = torch.Generator().manual_seed(0)
    shapes = ((4, 8, 8), (6, 4, 4), (5, 2, 2))
    A = [torch.rand(3, *shape, generator=draws) * (i + 1) for i, shape in enumerate(shapes)]
    g = [torch.randn(3, *shape, generator=draws) / (i + 1) for i, shape in enumerate(shapes)]
    w = answer([a.clone() for a in A], [d.clone() for d in g])
    if not isinstance(w, Tensor) or tuple(w.shape) != (3, 3):
        return "for 3 pictures and 3 layers it should give a tensor of weights (3, 3)"
    if not bool(w.isfinite().all()) or float(w.min()) < 0:
        return "a weight is missing (NaN) or negative"
    if not torch.allclose(w.sum(1), torch.ones(3), atol=1e-4):
        return "the weights of a picture should add up to 1 over the layers"
    again = answer([10 * A[0], *A[1:]], [g[0] / 10, *g[1:]])
    if not torch.allclose(w, again, atol=1e-4):
        return "with activations ten times as large and gradients ten times smaller at the first layer the weights change"
    for rule in LAYER_WEIGHTS:
        if torch.allclose(w, layer_weights(A, g, rule).to(w.dtype), atol=1e-4):
            return f"this is the rule {rule}, which camutils has already"
    return ""


def two_questions(answer: Any) -> str:
    """13.4: parts for two classes of the reader's own photograph, and the stage whose weight changes most."""
    if not isinstance(answer, tuple | list) or len(answer) != 3:
        return "three things are asked for: parts for one class, parts for the other, the stage at which lambda changes most"
    for parts, what in zip(answer, ("the first", "the second"), strict=False):
        if off := _one_picture(parts, what):
            return off
    one, other, stage = answer
    if one.layers != other.layers or one.heat.shape != other.heat.shape:
        return "network and picture should be the same for both classes"
    change = (one.weights - other.weights).abs()[0]
    if torch.allclose(one.S, other.S, rtol=1e-5) and float(change.max()) < 1e-5:
        return "score and weights are the same: were two different classes asked for?"
    if stage not in one.layers:
        return f"{stage!r} is no stage of this network"
    missed = float(change.max() - change[one.layers.index(stage)])
    return "" if missed < 1e-6 else f"at another stage lambda changes more than at {stage!r}"


CHECKS: dict[str, Callable[[Any], str]] = {
    "10.1": other_bias, "10.2": as_grad_cam, "10.3": own_fusion, "10.4": both_readings,
    "11.1": two_units, "11.2": harmless_constants, "11.3": folded, "11.4": own_split,
    "12.1": two_alphas, "12.2": floors, "12.3": gentle_link, "12.4": breakdown, "12.5": own_links,
    "13.1": fourth_by_hand, "13.2": blind_rules, "13.3": own_rule, "13.4": two_questions,
}
