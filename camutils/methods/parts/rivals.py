"""The links that look at every logit: log-odds and softmax probability of the target class, its rivals' gradients included.

With S_j linear in a single entry of A (piecewise-linear networks), gradients G_j = dS_j/dA, and q_j = p_j / (1 - p_c) the softmax
over the rivals j != c of the target class c, the log-odds are u = log(p_c / (1 - p_c)) = S_c - logsumexp_{j != c} S_j. The
derivatives of a logsumexp are the cumulants of G under q: mean m, variance v, third central moment s. Hence

    log_odds   Y' = g_c - m,   Y'' = -v,   Y''' = -s
    softmax    p_c = sigmoid(u), and with t = 2 p_c - 1 = tanh(u/2), all divided by p_c (1 - p_c):
               Y' = u',   Y'' = u'' - t u'^2,   Y''' = u''' - 3 t u' u'' + (3 t^2 - 1)/2 u'^3

which equals y [(g_c - mu)^2 - V] and y [(g_c - mu)^3 - 3 (g_c - mu) V - M3] with the moments over all classes, but neither
vanishes nor overflows where p_c is 0 or 1 to all digits.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...core.capture import capture
from ...core.layers import Layer
from ...core.network import as_network
from ...core.probe import Probed, check_images, probe_layers, run
from ...core.targets import Targets, class_indices
from .links import Derivatives


class Rivalry(NamedTuple):
    """What was probed; layer name -> (Y', Y'', Y''') each (B,K,h,w), up to a positive factor per image; classes used (B,)."""

    seen: Probed
    Y: dict[str, Derivatives]
    classes: Tensor


def _rank(logits: Tensor, chosen: Tensor, mass: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rivals by falling probability: their indices and weights q (B,N), how many count (B,), and the log-odds u (B,)."""
    S_c = logits.gather(1, chosen[:, None])[:, 0]
    others = logits.scatter(1, chosen[:, None], -torch.inf)                # (B,C), the target's own logit taken out
    u = S_c - others.logsumexp(1)
    q, order = others.softmax(1).sort(dim=1, descending=True, stable=True)
    rivals = logits.shape[1] - 1
    if mass >= 1:
        enough = torch.full_like(chosen, rivals)
    else:
        too_few = (q.cumsum(1) < mass).sum(1)                              # so many hold less than `mass`; one more is enough
        enough = (too_few + 1).clamp(min(2, rivals), rivals)
    place = torch.arange(q.shape[1], device=q.device)
    q = q.masked_fill(place >= enough[:, None], 0)
    q = q / q.sum(1, keepdim=True)
    N = int(enough.max())
    return order[:, :N], q[:, :N], enough, u


def rival_derivatives(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None, link: str = "softmax", *,
                      mass: float = 0.999) -> Rivalry:
    """Derivatives by every single entry of the log-odds or the softmax probability of the target class, see above.

    One forward pass more than `probe_layers`, and one backward pass per rival, one at a time, in running sums: memory does not
    grow with the classes. mass: the share of the rivals' probability 1 - p_c that the rivals used hold (so that they and the
    target hold more than 99.9 % of all); 1: every class, exact. Two rivals are used at least, where there are two.
    Raises ValueError for another link, a callable target, a single class and a mass outside (0, 1]; else as `probe_layers`.
    """
    if link not in ("softmax", "log_odds"):
        raise ValueError(f"link {link!r}; accepted here: softmax, log_odds")
    if not 0 < mass <= 1:
        raise ValueError(f"mass {mass}; accepted: above 0, up to 1 (every class)")
    if callable(targets):
        raise ValueError(f"link {link!r} with a callable target; accepted: a class, since the other logits are its rivals")
    network = as_network(model)
    seen = probe_layers(network, images, targets, layer)
    with torch.inference_mode(False):
        logits = seen.output.detach().to(torch.float32 if seen.output.device.type == "mps" else torch.float64)
        if logits.shape[1] < 2:
            raise ValueError(f"link {link!r} with {logits.shape[1]} class; accepted: a network with two classes or more")
        if targets is None:
            chosen = logits.argmax(1)
        else:
            chosen = class_indices(targets, logits.shape[1], len(logits)).to(logits.device)
        order, q, enough, u = _rank(logits, chosen, mass)
    names = list(seen.A)
    with capture(network, names, gradients=True) as A:
        picked = run(network, check_images(images)).gather(1, order).unbind(1)
        at = [A[n] for n in names]
        first: dict[str, Tensor] = {}                      # gradients of the strongest rival
        sums = {n: [q.new_zeros(())] * 3 for n in names}   # layer -> E[e], E[e^2], E[e^3]
        for r, logit in enumerate(picked):
            gradients = torch.autograd.grad(logit.sum(), at, retain_graph=True, materialize_grads=True)
            G = {n: d.to(seen.g[n].dtype) for n, d in zip(names, gradients, strict=True)}
            if not first:
                first = G
            for n in names:
                e = G[n] - first[n]
                weight = q[:, r].to(e.dtype)[:, None, None, None]
                for power in range(3):
                    sums[n][power] = sums[n][power] + weight * e ** (power + 1)
    Y = {}
    for n in names:  # moments about the strongest rival: no cancellation, v >= q_1 E[e^2]
        a, b, c = sums[n]
        first_u = seen.g[n] - first[n] - a       # g_c - m
        second_u = a**2 - b                      # -v
        third_u = 3 * a * b - c - 2 * a**3       # -s
        if link == "softmax":
            t = torch.tanh(u / 2).to(a.dtype)[:, None, None, None]
            third_u = third_u - 3 * t * first_u * second_u + (3 * t**2 - 1) / 2 * first_u**3
            second_u = second_u - t * first_u**2
        Y[n] = first_u, second_u, third_u
    return Rivalry(seen, Y, enough + 1)
