"""What Integrative CAM costs beside a bare forward and backward pass to the same activations.

    python -m camutils.evaluation.speed.integrative_cam

Each round runs `forward + backward` (hooks that keep the activations of all stages, one `torch.autograd.grad`, nothing else) and,
right after it, every contestant behind a `forward + backward` of its own, and divides by that; the table shows medians of
these ratios over rounds. Forwards and backwards are counted at the first convolution and at the classifier, images and not calls:
a trace of one image counts one eighth of a pass of eight. Random weights: time does not depend on them.
"""

from functools import partial
from statistics import median
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from camutils.core.stages import stages
from camutils.methods.integrative_cam import integrative_cam

from .grad_cam_family import Row, Run, parser_of, passes, seconds, started


def forward_and_backward(model: nn.Module, x: Tensor, classes: Tensor, names: list[str]) -> tuple[Tensor, ...]:
    """The least that a method with these layers can do: activations and gradients, no graph below the first of them."""
    kept: list[Tensor] = []

    def keep(m: nn.Module, i: object, out: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        kept.append(out if out.requires_grad else out.detach().requires_grad_())
        return kept[-1]

    hooks = [model.get_submodule(n).register_forward_hook(keep) for n in names]
    with torch.no_grad():
        S = model(x).gather(1, classes[:, None])
        gradients = torch.autograd.grad(S.sum(), kept)
    for hook in hooks:
        hook.remove()
    return gradients


def measure(name: str, batch: int, rounds: int) -> list[Row]:
    """Rows (contestant, seconds, ratio to forward + backward, forwards, backwards)."""
    model = torchvision.models.get_model(name, weights=None).eval()
    for p in model.parameters():
        p.requires_grad_(False)  # so that neither side computes gradients of weights' graphs
    x, classes = torch.rand(batch, 3, 224, 224), torch.arange(batch) * 7
    names = stages(model, x)
    bare = partial(forward_and_backward, model, x, classes, names)
    runs: dict[str, Run] = {f"forward + backward ({len(names)} layers)": bare}
    asked: dict[str, dict[str, Any]] = {"preset tuned": {}, "preset paper": {"preset": "paper"},
                                        "tuned, layers named": {"layer": names}, "tuned, last layer": {"layer": names[-1]}}
    for label, options in asked.items():
        runs[label] = partial(integrative_cam, model, x, classes, **options)
    counts = {n: passes(model, run, batch) for n, run in runs.items()}  # also the warm-up
    taken: dict[str, list[float]] = {n: [] for n in runs}
    ratios: dict[str, list[float]] = {n: [] for n in runs}
    for _ in range(rounds):
        for n, run in runs.items():
            base, own = seconds(bare), seconds(run)
            ratios[n].append(own / base)
            taken[n].append(own)
    return [(n, median(taken[n]), median(ratios[n]), *counts[n]) for n in runs]


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = parser_of(__doc__)
    parser.add_argument("--batch", type=int, default=8, help="images of 224 x 224")
    parser.add_argument("--networks", nargs="+", default=["resnet50", "mobilenet_v2"])
    options = started(parser)
    print(f"Integrative CAM, {options.batch} images of 224 x 224, {options.threads} threads, medians of {options.rounds} rounds")
    print(f"{'network':14}{'':30}{'seconds':>9}{'/ forward + backward':>22}{'forwards':>10}{'backwards':>11}")
    for name in options.networks:
        for n, own, ratio, forwards, backwards in measure(name, options.batch, options.rounds):
            print(f"{name:14}{n:30}{own:9.3f}{ratio:22.2f}{forwards:10.2f}{backwards:11.2f}", flush=True)


if __name__ == "__main__":
    main()
