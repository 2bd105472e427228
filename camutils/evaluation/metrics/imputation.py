"""Filling removed pixels from what is left, so that the hole's shape tells the network little (ROAD's linear imputation)."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

SIDE, CORNER = 1 / 6, 1 / 12  # weights of the four direct and the four diagonal neighbours


def _neighbours(x: Tensor) -> Tensor:
    """Weighted sum over the eight neighbours inside the image: x (n, H, W) -> the same shape."""
    kernel = x.new_tensor([[CORNER, SIDE, CORNER], [SIDE, 0, SIDE], [CORNER, SIDE, CORNER]])
    return conv2d(x[None], kernel.expand(len(x), 1, 3, 3), padding=1, groups=len(x))[0]  # n inputs: 50 x slower on a CPU


def impute(images: Tensor, kept: Tensor, *, tolerance: float = 1e-6, most: int = 2000) -> Tensor:
    """Replace the pixels that are not kept by the weighted mean of their neighbours, all at once (Rong et al. 2022).

        d_i x_i = sum_{j in N(i)} w_ij x_j  for every removed i,    w = 1/6 beside, 1/12 diagonal,    d_i = sum_j w_ij

    images (B, C, H, W), kept (B, H, W) bool -> (B, C, H, W); kept pixels stay. The system is symmetric and positive definite:
    conjugate gradients solve it on the device, for the whole batch; a channel whose residual is below tolerance * |b|
    waits, so an image's result does not depend on the others. Raises ValueError where an image keeps no pixel, RuntimeError where
    `most` steps do not suffice. Source: arXiv 2202.00449.
    """
    some = kept.flatten(1).any(1)
    if not some.all():
        raise ValueError(f"image {int((~some).nonzero()[0])} keeps no pixel; accepted: at least one")
    B, C, H, W = images.shape
    given, images = images.dtype, images.to(torch.promote_types(images.dtype, torch.float32))
    with torch.autocast(images.device.type, enabled=False):
        return _solve(images, kept, tolerance, most).view(B, C, H, W).to(given)


def _solve(images: Tensor, kept: Tensor, tolerance: float, most: int) -> Tensor:
    """`impute` by conjugate gradients: (B * C, H, W)."""
    C, H, W = images.shape[1:]
    hole = (~kept)[:, None].expand(-1, C, -1, -1).reshape(-1, H, W).to(images.dtype)
    known = images.reshape(-1, H, W) * (1 - hole)
    d = _neighbours(torch.ones_like(hole[:1]))
    b = hole * _neighbours(known)
    dot = lambda u, v: (u * v).sum((1, 2), keepdim=True)  # noqa: E731
    x = hole * dot(known, 1 - hole) / dot(1 - hole, 1 - hole)  # start: the mean of what is kept
    r = b - hole * (d * x - _neighbours(x))
    p, rr = r, dot(r, r)
    enough = tolerance**2 * torch.maximum(dot(b, b), rr)
    for _ in range(most):
        going = rr > enough
        if not going.any():
            return known + x
        Ap = hole * (d * p - _neighbours(p))
        alpha = torch.where(going, rr / torch.where(going, dot(p, Ap), 1), 0)
        x, r = x + alpha * p, r - alpha * Ap
        before = rr
        rr = torch.where(going, dot(r, r), before)
        beta = rr / torch.where(going, before, 1)
        p = torch.where(going, r + beta * p, p)
    raise RuntimeError(f"linear imputation did not converge to {tolerance} within {most} steps on {H} x {W} pixels")
