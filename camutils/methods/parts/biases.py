"""Where the part of a score comes from that a layer's activations do not explain: beta = S - sum g*A, bias by bias.

FullGrad's identity (arXiv 1905.00780, prop. 1), read from a layer l upwards, for a piecewise-linear network in eval mode:

    S = sum g^l * A^l + beta_l,    beta_l = sum over every bias above l of bias x gradient at its output

Biases: of convolutions and linear layers; of a batch norm beta - mean gamma / sqrt(var + eps). A ReLU6 that is saturated
puts out 6 whatever comes in, so it adds 6 x its gradient (its ceiling). The normalisation of the input lies below every layer.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ...core.capture import capture
from ...core.layers import NORMS, Layer, find_layers
from ...core.network import as_network, first_row, unwrap
from ...core.probe import check_images, probe_layers, run
from ...core.targets import Targets, score

REMAINDER = "remainder"


def effective_bias(module: nn.Module) -> Tensor | None:
    """What a module adds to each channel of its output in eval mode, (K,); None where it adds nothing.

        conv, linear, layer and group norm: bias,    batch norm with running statistics: beta - mean gamma / sqrt(var + eps)
    """
    mean = getattr(module, "running_mean", None)
    if isinstance(mean, Tensor):
        var, eps, weight, bias = (getattr(module, name) for name in ("running_var", "eps", "weight", "bias"))
        slope = (var + eps).rsqrt() * (1 if weight is None else weight)
        return ((0 if bias is None else bias) - mean * slope).detach()
    known = (nn.modules.conv._ConvNd, nn.Linear, *NORMS)
    bias = module.bias if isinstance(module, known) else None
    return None if bias is None else bias.detach()


def _times_gradient(module: nn.Module, bias: Tensor, g: Tensor) -> Tensor:
    """Sum of bias x gradient over all but the batch; the channel is the last axis of linear and layer norm, else the second."""
    if not (isinstance(module, nn.Linear) or type(module) is nn.LayerNorm):
        bias = bias.view(-1, *[1] * (g.ndim - 2))
    return (g * bias).flatten(1).sum(1)


def _ceiling(module: nn.Hardtanh, out: Tensor, g: Tensor) -> Tensor:
    """What a clipped unit puts out whatever comes in, times its gradient: 6 for a ReLU6."""
    low, high = (g * (out == limit) * limit for limit in (module.min_val, module.max_val))
    return (low + high).flatten(1).sum(1)


def bias_contributions(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None) -> dict[str, Tensor]:
    """Every bias's share of the score above a layer (arXiv 1905.00780, prop. 1): name -> (B,), in the score's unit, by execution.

        S = sum_kij g_kij A_kij + sum over names,    "conv5": sum of bias x gradient at its output,
        "relu6 ceiling": 6 x gradient at its saturated units,    "remainder": what is left

    images (B, 3, H, W); targets, layer (one): as `probe_layers`. The remainder is rounding for a network of convolutions, linear
    layers, batch norms, ReLU, max- and average-pooling, at layers that every path passes (`stages`). Inside a residual or
    dense block it also holds what the skip connections bring past the layer. Elsewhere it holds what is neither bias nor linear:
    the curvature of smooth activations (SiLU, GELU, Hardswish) and gates, layer and group norms' own statistics, clips written
    as functions, modules called several times (their last call counts). A network without biases gives the remainder alone.
    Raises ValueError, TypeError as `probe_layers`; ValueError for several layers.
    """
    seen = probe_layers(model, images, targets, layer)
    if len(seen.A) > 1:
        raise ValueError(f"{len(seen.A)} layers given ({', '.join(seen.A)}); accepted here: one")
    ((name, A),), (g,) = seen.A.items(), seen.g.values()
    network = as_network(model, reshape="none")
    modules = {n: m for n, m in network.net.named_modules() if isinstance(m, nn.Hardtanh) or effective_bias(m) is not None}
    with capture(network, list({name: 0, **modules}), gradients=True) as out:
        S = score(run(network, check_images(images)), targets, len(images))
        order = list(out)
        above = [n for n in order[order.index(name) + 1 :] if n in modules and len(out[n]) == len(images)]
        gradients = torch.autograd.grad(S.sum(), [out[n] for n in above], allow_unused=True) if above else ()
    found: dict[str, Tensor] = {}
    for n, d in zip(above, gradients, strict=True):
        module, bias = modules[n], effective_bias(modules[n])
        if d is not None and isinstance(module, nn.Hardtanh):
            found[f"{n} ceiling"] = _ceiling(module, out[n].detach(), d)
        elif d is not None and bias is not None:
            found[n] = _times_gradient(module, bias.to(d.dtype), d)
    rest = seen.S - (g * A).sum((1, 2, 3))
    return found | {REMAINDER: rest - sum(found.values())}


def own_biases(model: nn.Module, images: Tensor, layer: Layer = None) -> dict[str, Tensor]:
    """The bias that makes each layer's own A: layer name -> (K,), zeros where it has none.

    The effective biases of the modules whose output enters A by addition and ReLU alone (the last batch norm or convolution; in a
    residual block also the projection's), found by one pass of the first image: a random-free gradient at A arrives at such a
    module unchanged, or cut to 0 by the ReLU. After smooth activations and concatenations there is none: zeros.
    """
    image, network = check_images(images)[:1], as_network(model)
    modules = dict(network.net.named_modules())
    biased = [n for n, m in modules.items() if effective_bias(m) is not None]
    names, own = list(find_layers(network, layer, image)), {}
    with capture(network, list(dict.fromkeys([*names, *biased])), gradients=True) as out:
        run(network, image, first_row(image))
        order = list(out)
        for name in names:
            A = out[name]
            given = torch.linspace(1, 2, A.numel(), dtype=A.dtype, device=A.device).view_as(A)
            near = [n for n in order[: order.index(name) + 1] if n in biased and out[n].shape == A.shape]
            arrived = torch.autograd.grad(A, [out[n] for n in near], given, retain_graph=True, allow_unused=True) if near else ()
            own[name] = A.new_zeros(A.shape[1])
            for n, d in zip(near, arrived, strict=True):
                bias = effective_bias(modules[n])
                if d is not None and bias is not None and ((d == given) | (d == 0)).all() and (d == given).any():
                    own[name] = own[name] + bias
    return {n: b.detach() for n, b in own.items()}


def classifier_bias(model: nn.Module, output: Any, targets: Targets, batch: int) -> Tensor:
    """The score's share of the last linear layer's bias, (B,): sum_c bias_c dS/doutput_c, for a class target simply bias_c.

    The layer: the last linear layer or convolution with as many outputs as `output` (B, C) has classes. Zeros where there is
    none, or where it has no bias.
    """
    like = next(model.parameters(), torch.zeros(()))
    if not isinstance(output, Tensor) or output.ndim != 2:
        return torch.zeros(batch, dtype=like.dtype, device=like.device)
    sizes = [(m, getattr(m, "out_features", getattr(m, "out_channels", 0))) for m in unwrap(model).modules()]
    last = [m for m, size in sizes if isinstance(m, (nn.Linear, nn.Conv2d)) and size == output.shape[1]]
    if not last or last[-1].bias is None:
        return output.new_zeros(batch)
    with torch.inference_mode(False), torch.enable_grad():
        out = output.detach().clone().requires_grad_()
        (d,) = torch.autograd.grad(score(out, targets, batch).sum(), out)
    return (d * last[-1].bias.detach()).sum(1)
