"""What function of the score is explained: Y = f(S), its derivatives, and the alpha of Grad-CAM++ for any smooth f.

Grad-CAM++ (arXiv 1710.11063) wants weights w_k = sum_ij alpha_kij dY/dA_kij that rebuild Y from sum_k w_k sum_ab A_kab.
Differentiating twice by one entry A_kij gives, with derivatives by that entry,

    alpha = Y'' / (2 Y'' + (sum_ab A_kab) Y''')

Above a layer whose network is piecewise linear (ReLU, max-pooling, batch norm in eval mode), S is linear in a single entry, so
Y'' = f''(S) g^2 and Y''' = f'''(S) g^3 with g = dS/dA: `alpha`. Above smooth activations (SiLU, GELU) S has curvature of its
own, which this leaves out; `alpha_exact` has it, on small heads. Links that look at every logit (softmax, log_odds) are in
rivals.py. Derived and shown in notebooks/12_alpha (arXiv 2412.01354 generalises alpha; the derivation is forced).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Derivatives = tuple[Tensor, Tensor, Tensor]  # first, second, third
Link = str | Callable[[Tensor], Tensor]  # a name, or a function of torch operations, scalar -> scalar
ALL_LOGITS = ("softmax", "log_odds")


def _sigmoid(S: Tensor) -> Derivatives:
    t = torch.tanh(S / 2)
    return torch.ones_like(S), -t, (3 * t**2 - 1) / 2


def _tanh(S: Tensor) -> Derivatives:
    t = torch.tanh(S)
    return torch.ones_like(S), -t, 3 * t**2 - 1


# name -> S -> sign of f', then f'' and f''' divided by one positive number, which alpha does not see
LINKS: dict[str, Callable[[Tensor], Derivatives]] = {
    "linear": lambda S: (torch.ones_like(S), torch.zeros_like(S), torch.zeros_like(S)),
    "exp": lambda S: (torch.ones_like(S), torch.ones_like(S), torch.ones_like(S)),
    "softplus": lambda S: (torch.ones_like(S), torch.ones_like(S), -torch.tanh(S / 2)),  # divided by s(1 - s), s = sigmoid
    "sigmoid": _sigmoid,  # by s(1 - s), t = 2s - 1
    "tanh": _tanh,  # by 2(1 - t^2)
    "square": lambda S: (torch.sign(S), torch.ones_like(S), torch.zeros_like(S)),
}


def _by_autograd(S: Tensor, f: Callable[[Tensor], Tensor]) -> Derivatives:
    """Sign of f', and f'', f''' over the larger of the two, of a user's scalar function at S (B,), in float64 by torch.func."""
    orders = [f]
    for _ in range(3):
        orders.append(torch.func.grad(orders[-1]))
    name = getattr(f, "__name__", type(f).__name__)
    with torch.inference_mode(False):
        exact = S.detach().clone().to(torch.float32 if S.device.type == "mps" else torch.float64)
        try:
            value, first, second, third = torch.func.vmap(lambda s: tuple(order(s) for order in orders))(exact)
        except Exception as error:
            raise ValueError(f"link {name} cannot be differentiated three times by torch.func ({error}); accepted: a smooth "
                             "function of torch operations, scalar -> scalar") from error
    finite = value.isfinite() & first.isfinite() & second.isfinite() & third.isfinite()
    if not finite.all():
        raise ValueError(f"link {name} has no finite f, f', f'', f''' at S = {exact[~finite][0].item():.6g}; accepted: a "
                         "function that is smooth there, or a named link, whose derivatives do not overflow")
    size = torch.maximum(second.abs(), third.abs())
    size = torch.where(size > 0, size, 1)
    return first.sign().to(S.dtype), (second / size).to(S.dtype), (third / size).to(S.dtype)


def link_derivatives(S: Tensor, link: Link = "exp") -> Derivatives:
    """Sign of f'(S), then f''(S) and f'''(S) up to one common positive factor: all that alpha and the map depend on.

    S (B,) -> three tensors (B,). Named links in closed form, without overflow for any |S|:

        rho = f'''/f'':   exp 1,   softplus -t,   sigmoid (1 - 3t^2)/(2t)  with t = tanh(S/2),   tanh (1 - 3t^2)/t  with
        t = tanh S,   square 0,   linear 0/0.   Limits for S -> inf: softplus -1, sigmoid -1, tanh -2; for S -> -inf: 1, 1, 2.

    link: one of these names, or any function of torch operations, scalar -> scalar, differentiated by torch.func in float64.
    A function that has underflowed to a constant at S has f' = 0 there, and an all-zero map: prefer the named link.
    Raises ValueError for an unknown name and for a function without three finite derivatives at S, TypeError for anything else.
    """
    if not S.is_floating_point():
        raise TypeError(f"S is {S.dtype}; accepted: a float tensor (B,)")
    if isinstance(link, str):
        if link not in LINKS:
            raise ValueError(f"link {link!r}; accepted: {', '.join((*LINKS, *ALL_LOGITS))}, or a function scalar -> scalar")
        return LINKS[link](S)
    if not callable(link):
        raise TypeError(f"link is a {type(link).__name__}; accepted: {', '.join((*LINKS, *ALL_LOGITS))}, or a function")
    return _by_autograd(S, link)


def rho(S: Tensor, link: Link = "exp") -> Tensor:
    """rho(S) = f'''(S) / f''(S), shape of S: NaN where both are 0 (linear), infinite where only f'' is. As `link_derivatives`."""
    _, second, third = link_derivatives(S, link)
    return third / second


def alpha(A: Tensor, g: Tensor, S: Tensor | None = None, link: Link = "exp", *, floor: float | None = 1.0) -> Tensor:
    """Alpha of Grad-CAM++ for Y = f(S), S piecewise linear in A (methods: arXiv 1710.11063, eq. 19; 2412.01354).

        alpha_kij = 1 / (2 + rho(S) (sum_ab A_kab) g_kij),    rho = f'''/f'',    0 where g = 0 or where f'' = 0 alone

    A, g (B,K,h,w), S (B,) -> (B,K,h,w). S may be left out for links that do not look at it: `alpha(A, g)` is Grad-CAM++'s.
    f'' = f''' = 0 (linear, or the linear pieces of a function such as torch.relu) is 0/0: the limit of a constant alpha,
    1 / (h w), so that w_k = mean ReLU(g). For A >= 0 and g > 0 the denominator is at least 2 unless rho < 0; there it can fall
    through 0, where no alpha solves the equation, and a single position would take the whole map. So the denominator is kept
    at `floor` or above: alpha <= 1, no position counts for more than its own gradient. link="exp" (the name, not torch.exp) has
    no floor, so that it is Grad-CAM++ as published on every layer; floor=None takes it away from all (0 where the denominator
    is 0).
    Raises ValueError, TypeError as `link_derivatives`; ValueError for softmax and log_odds, which need every logit's gradient.
    """
    if link in ALL_LOGITS:
        raise ValueError(f"link {link!r} depends on every logit; accepted here: {', '.join(LINKS)}, or a function. "
                         "For softmax and log_odds: rival_derivatives and alpha_from, or integrative_cam")
    if S is None and link not in ("exp", "linear"):
        raise ValueError(f"S is missing; accepted without it: the links exp and linear, not {link!r}")
    S = g.new_zeros(len(g)) if S is None else S.to(g.dtype)
    _, second, third = (d[:, None, None, None] for d in link_derivatives(S, link))
    curved = second != 0
    slope = A.sum((2, 3), keepdim=True) * (third / torch.where(curved, second, 1))
    some = g.clone().ne_(0)  # 1 or 0 as numbers: a mask of booleans takes five times as long
    return _reciprocal(slope * g, curved, third, A, None if link == "exp" else floor).mul_(some)


def alpha_from(A: Tensor, second: Tensor, third: Tensor, *, floor: float | None = 1.0) -> Tensor:
    """Alpha from the derivatives Y'', Y''' by every single entry, whatever they came from; floor and 0/0 as in `alpha`.

        alpha_kij = Y''_kij / (2 Y''_kij + (sum_ab A_kab) Y'''_kij)

    A (B,K,h,w); second, third (B,K,h,w), up to one positive factor -> (B,K,h,w).
    """
    curved = second != 0
    slope = A.sum((2, 3), keepdim=True) * third / torch.where(curved, second, 1)
    return _reciprocal(slope, curved, third, A, floor)


def _reciprocal(slope: Tensor, curved: Tensor, third: Tensor, A: Tensor, floor: float | None) -> Tensor:
    """1 / (2 + slope), its denominator at `floor` or above; 1 / (h w) where Y'' = Y''' = 0, and 0 where only Y'' is."""
    denominator = slope.add_(2)
    if floor is not None:
        denominator.clamp_(min=floor)
    found = denominator.reciprocal_().nan_to_num_(nan=torch.nan, posinf=0, neginf=0)
    if not curved.all():
        found = torch.where(curved, found, (third == 0).to(found.dtype) / A[0, 0].numel())
    return found


def _slope(f: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    """The derivative of a function of one number, forward mode."""
    return lambda t: torch.func.jvp(f, (t,), (torch.ones_like(t),))[1]


def alpha_exact(Y: Callable[[Tensor], Tensor], A: Tensor, *, chunk: int = 64, floor: float | None = None) -> Tensor:
    """Alpha with the true second and third derivative by every entry, by nested torch.func: any head, also SiLU and GELU.

    Y: function (K,h,w) -> scalar, such as lambda a: head(a[None])[0, c].exp(). A (B,K,h,w) -> alpha (B,K,h,w). Three nested
    forward derivatives per entry, `chunk` entries at a time: for small heads.
    """
    def entry(a: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        orders: list[Callable[[Tensor], Any]] = [lambda t: Y(a + t * e)]
        for _ in range(3):
            orders.append(_slope(orders[-1]))
        zero = a.new_zeros(())
        return orders[2](zero), orders[3](zero)

    basis = torch.eye(A[0].numel(), dtype=A.dtype, device=A.device).view(-1, *A.shape[1:])
    at_every_entry = torch.func.vmap(entry, (None, 0), chunk_size=chunk)
    seconds, thirds = zip(*(at_every_entry(a, basis) for a in A.detach()), strict=True)  # image by image
    second, third = torch.stack(seconds).view_as(A), torch.stack(thirds).view_as(A)
    return alpha_from(A, second, third, floor=floor)
