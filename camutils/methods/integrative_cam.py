"""Integrative CAM: the maps of every stage in one, from one forward and one backward pass.

What the paper's abstract (arXiv 2412.01354; we had no more) says: all layers are fused, weighted by their gradient and activation
scores; a bias term enters the map; Grad-CAM++'s alpha is generalised to any smooth function of the score. The rest is a reading,
and every choice is an option: links.py and rivals.py (the function), biases.py (the bias), fusion.py (the layers), here the
channels.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, Unpack, overload

import torch
from torch import Tensor, nn, relu

from ..core.layers import Layer
from ..core.maps import check_finite, einsum, finish, normalise, upsample
from ..core.network import How, as_network
from ..core.probe import Probed, probe_layers
from ..core.stages import stages
from ..core.targets import Targets
from .parts.biases import classifier_bias, own_biases
from .parts.fusion import keep_distinct, layer_weights, share_among
from .parts.links import ALL_LOGITS, Link, alpha, alpha_from, link_derivatives
from .parts.rivals import rival_derivatives

BIASES = ("none", "residual", "fullgrad", "classifier")
CHANNEL_WEIGHTS = ("alpha", "gradient", "pixel", "pixel_positive")
PRESETS = {
    "literal": {"link": "exp", "bias": "residual", "channel_weight": "alpha", "layer_weight": "product",
                "filter_redundant": None},
    "tuned": {"link": "exp", "bias": "residual", "channel_weight": "pixel_positive", "layer_weight": "contribution",
              "filter_redundant": None},
}


class Parts(NamedTuple):
    """What the map is made of.

    heat (B,H,W); layers, L names; maps, layer name -> M_l (B,h_l,w_l) after its ReLU; weights, lambda (B,L), sum 1 over
    layers; beta (B,L) = S - sum g*A, what the activations do not account for; kept (B,L), False where the filter dropped a layer;
    S (B,) the score.
    """

    heat: Tensor
    layers: tuple[str, ...]
    maps: dict[str, Tensor]
    weights: Tensor
    beta: Tensor
    kept: Tensor
    S: Tensor


def _settings(preset: str, given: dict[str, Any]) -> dict[str, Any]:
    """The preset's options, those that were given in their place; ValueError for a value that is not accepted."""
    if preset == "paper":
        warnings.warn('preset "paper" is called "literal": it is a literal reading of an abstract, not the paper\'s own method; '
                      'the old name goes with version 0.3', DeprecationWarning, stacklevel=3)
        preset = "literal"
    if preset not in PRESETS:
        raise ValueError(f"preset {preset!r}; accepted: {', '.join(PRESETS)}")
    chosen: dict[str, Any] = PRESETS[preset] | {k: v for k, v in given.items() if v is not None}
    for name, accepted in (("bias", BIASES), ("channel_weight", CHANNEL_WEIGHTS)):
        if chosen[name] not in accepted:
            raise ValueError(f"{name} {chosen[name]!r}; accepted: {', '.join(accepted)}")
    threshold = chosen["filter_redundant"]
    if threshold is not None and threshold is not False and not 0 < threshold <= 1:
        raise ValueError(f"filter_redundant {threshold!r}; accepted: a likeness above 0, up to 1; None or False for no filter")
    return chosen


def _differentiate(model: nn.Module, images: Tensor, targets: Targets, layer: Layer, link: Link,
                   mass: float) -> tuple[Probed, dict[str, Tensor], Callable[[str], Tensor]]:
    """Probed; layer name -> dY/dA up to one positive factor per image; and a function of the name that gives alpha."""
    if isinstance(link, str) and link in ALL_LOGITS:
        seen, Y, _ = rival_derivatives(model, images, targets, layer, link, mass=mass)
        first = {n: dY for n, (dY, _, _) in Y.items()}

        def alpha_of(n: str) -> Tensor:
            _, second, third = Y[n]
            return alpha_from(seen.A[n], second, third)

        return seen, first, alpha_of

    if isinstance(link, str):
        link_derivatives(torch.zeros(0), link)  # an unknown name is told before the network runs
    seen = probe_layers(model, images, targets, layer)
    sign = link_derivatives(seen.S, link)[0][:, None, None, None]
    if link in ("exp", "linear"):  # they only rise
        first = dict(seen.g)
    else:
        first = {n: sign.to(g.dtype) * g for n, g in seen.g.items()}
    return seen, first, lambda n: alpha(seen.A[n], seen.g[n], seen.S, link)


def weigh(A: Tensor, dY: Tensor, rule: str, alpha_of: Callable[[], Tensor]) -> Tensor:
    """sum_k w_k A_k before bias and ReLU, (B,h,w): w per channel (alpha, gradient), or dY/dA at every position (pixel)."""
    if rule == "pixel":
        return (dY * A).sum(1)
    if rule == "pixel_positive":
        return relu(dY).mul_(A).sum(1)
    if rule == "alpha":
        w = alpha_of().mul_(relu(dY)).sum((2, 3))
    else:
        w = dY.mean((2, 3))
    return einsum("bk,bkhw->bhw", w, A)


def _bias(model: nn.Module, images: Tensor, targets: Targets, seen: Probed, kind: str) -> Callable[[str, Tensor], Tensor | int]:
    """Function: layer name, its beta (B,) -> b_l, a number per image (B,1,1) or a map (B,h,w)."""
    if kind == "none":
        return lambda n, beta: 0
    if kind == "fullgrad":
        own = own_biases(model, images, list(seen.A))
        live = {n: (A != 0) & (A != 6) for n, A in seen.A.items()}  # ReLU and ReLU6 let no gradient through elsewhere
        return lambda n, beta: einsum("k,bkhw->bhw", own[n].to(seen.g[n].dtype), seen.g[n] * live[n])
    of_classifier = classifier_bias(model, seen.output, targets, len(seen.S)) if kind == "classifier" else None

    def spread(n: str, beta: Tensor) -> Tensor:
        number = beta if of_classifier is None else of_classifier
        cells = seen.A[n][0, 0].numel()  # h w
        return (number / cells).to(seen.g[n].dtype)[:, None, None]

    return spread


@overload
def integrative_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
                    link: Link | None = None, bias: str | None = None, channel_weight: str | None = None,
                    layer_weight: str | None = None, filter_redundant: float | None = None, preset: str = "tuned",
                    mass: float = 0.999, return_parts: Literal[False] = False, **how: Unpack[How]) -> Tensor:
    """The heat map."""


@overload
def integrative_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
                    link: Link | None = None, bias: str | None = None, channel_weight: str | None = None,
                    layer_weight: str | None = None, filter_redundant: float | None = None, preset: str = "tuned",
                    mass: float = 0.999, return_parts: Literal[True], **how: Unpack[How]) -> Parts:
    """The heat map and what it is made of."""


def integrative_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, *, raw: bool = False,
                    link: Link | None = None, bias: str | None = None, channel_weight: str | None = None,
                    layer_weight: str | None = None, filter_redundant: float | None = None, preset: str = "tuned",
                    mass: float = 0.999, return_parts: bool = False, **how: Unpack[How]) -> Tensor | Parts:
    """Integrative CAM (arXiv 2412.01354): every layer's map with a bias, fused by a weight per layer.

        L = N(sum_l lambda_l Up N(M_l)),    M_l = ReLU(sum_k w_k A_k + b_l),    sum_l lambda_l = 1

    images (B, 3, H, W) -> heat map (B, H, W) in [0, 1], from one forward and one backward pass for all layers. layer: None
    (`stages`), a name or module, a list, "all" (every convolution). preset: "literal" (of the abstract) or "tuned"; every
    option that is given overrides it:
    link            Y = f(S): linear, exp, softplus, sigmoid, tanh, square, or a function (`links.link_derivatives`); log_odds,
                    softmax (one more forward pass, and one backward per rival class that the share `mass` of their probability
                    needs; mass=1: exact)
    channel_weight  alpha           w_k = sum_ij alpha_kij ReLU(dY/dA_kij)          gradient     w_k = mean_ij dY/dA_kij
                    pixel           sum_k dY/dA_k * A_k                             pixel_positive    sum_k ReLU(dY/dA_k) * A_k
    bias            none  0         residual  (S - sum g*A) / (h w)       classifier  the last linear layer's bias / (h w)
                    fullgrad        sum_k g_k b_k, a map, b the layer's own bias (`biases.own_biases`, one image more)
    layer_weight    product, sum, gradient, activation, uniform, contribution, last (`fusion.layer_weights`)
    filter_redundant  a likeness in (0, 1]: a layer at least so like a kept later one is dropped; False: none
    raw=True: the sum before the last N, (B, H, W) in the network's precision; for a single layer M_l, (B, h, w).
    return_parts=True: a `Parts`. In a piecewise-linear network without biases every bias reading gives 0 at the stages.
    Raises ValueError, TypeError as `probe_layers`, and for values of options that are not accepted.
    Derived in notebooks/10_integrative_cam.
    """
    model = as_network(model, **how)
    chosen = _settings(preset, {"link": link, "bias": bias, "channel_weight": channel_weight, "layer_weight": layer_weight,
                                "filter_redundant": filter_redundant})
    asked = stages(model, images, targets) if layer is None else layer
    seen, dY, alpha_of = _differentiate(model, images, targets, asked, chosen["link"], mass)
    names, A, g = tuple(seen.A), list(seen.A.values()), list(seen.g.values())
    rule, maps = chosen["channel_weight"], dict[str, Tensor]()
    b = _bias(model, images, targets, seen, chosen["bias"])
    explained = torch.stack([(a * d).sum((1, 2, 3)) for a, d in zip(A, g, strict=True)], 1)  # (B,L)
    beta = seen.S.to(explained.dtype)[:, None] - explained
    for i, (n, a) in enumerate(zip(names, A, strict=True)):
        maps[n] = relu(weigh(a, dY[n], rule, partial(alpha_of, n)) + b(n, beta[:, i]))
    weights = layer_weights(A, g, chosen["layer_weight"], explained)
    kept = torch.ones_like(weights, dtype=torch.bool)
    if chosen["filter_redundant"]:
        shown = torch.stack([normalise(upsample(M, images.shape[-2:])) for M in maps.values()], 1)
        kept = keep_distinct(shown, chosen["filter_redundant"])
        weights = share_among(weights, kept)
    if len(names) == 1:
        heat = finish(maps[names[0]], images, raw)
    else:
        fused = weights.new_zeros(())
        for w, M in zip(weights.unbind(1), maps.values(), strict=True):
            fused = fused + w[:, None, None] * upsample(normalise(M), images.shape[-2:])
        check_finite(fused)
        heat = fused if raw else normalise(fused).float()
    if return_parts:
        return Parts(heat, names, maps, weights, beta, kept, seen.S)
    return heat
