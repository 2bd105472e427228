"""What GIG-CAM costs beside T bare passes (forward, then the gradient down to the layer).

    python -m camutils.evaluation.speed.gig_cam

Each round runs every contestant between T bare passes of the images as they are (contiguous) and T bare passes of the same
images in channels-last format, and divides by both; the table shows medians of these ratios over rounds. Many networks are
faster in channels-last on a CPU: what it saves is the format's merit, and what a method costs beyond it is the path's.
gig_cam's own T is 30; a smaller T gives much the same ratio for less time, as all steps but the last, which has nothing to
choose, cost the same. Forwards and backwards are counted at the first convolution and at the classifier, and divided by T.
Random weights: time does not depend on them.
"""

from functools import partial
from statistics import median
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from camutils.core.maps import Method
from camutils.methods.gig_cam import gig_cam, integrated_grad_cam

from .grad_cam_family import LAYERS, Row, Run, parser_of, passes, seconds, started


def bare(model: nn.Module, x: Tensor, classes: Tensor, layer: str, steps: int) -> None:
    """The least that T steps can do: no graph below the layer, then the gradient of the head at the layer."""
    for _ in range(steps):
        kept: list[Tensor] = []

        def cut(m: nn.Module, i: object, out: Tensor, kept: list[Tensor] = kept) -> Tensor:
            torch.set_grad_enabled(True)
            kept.append(out.detach().requires_grad_())
            return kept[0]

        with torch.no_grad():
            hook = model.get_submodule(layer).register_forward_hook(cut)
            S = model(x).gather(1, classes[:, None])
            hook.remove()
            torch.autograd.grad(S.sum(), kept[0])


def measure(name: str, batch: int, steps: int, rounds: int) -> list[Row]:
    """Rows (contestant, seconds per step, ratio to bare, ratio to bare in channels-last, forwards, backwards per step)."""
    model = torchvision.models.get_model(name, weights=None).eval()
    for p in model.parameters():
        p.requires_grad_(False)  # so that neither side keeps graphs for weights
    x, classes, layer = torch.rand(batch, 3, 224, 224), torch.arange(batch) * 7, LAYERS[name]
    bases = [partial(bare, model, x, classes, layer, steps),
             partial(bare, model, x.contiguous(memory_format=torch.channels_last), classes, layer, steps)]
    runs: dict[str, Run] = {"bare, channels-last": bases[1]}
    asked: list[tuple[str, Method, dict[str, Any]]] = [("integrated_grad_cam", integrated_grad_cam, {}), ("gig_cam", gig_cam, {}),
                                                       ("gig_cam, max_dist 1", gig_cam, {"max_dist": 1})]
    for label, method, options in asked:
        runs[label] = partial(method, model, x, classes, layer, steps=steps, **options)
    counts = {n: passes(model, run, batch * steps) for n, run in runs.items()}  # also the warm-up
    rows: dict[str, list[tuple[float, float, float]]] = {n: [] for n in runs}
    for _ in range(rounds):
        for n, run in runs.items():
            before, own = seconds(bases[0]), seconds(run)
            rows[n].append((own / steps, own / before, own / seconds(bases[1])))
    return [(n, *(median(column) for column in zip(*rows[n], strict=True)), *counts[n]) for n in runs]


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = parser_of(__doc__, 5)
    parser.add_argument("--steps", type=int, default=10, help="T")
    parser.add_argument("--batch", type=int, default=8, help="images of 224 x 224")
    parser.add_argument("--networks", nargs="+", choices=LAYERS, default=[*LAYERS])
    options = started(parser)
    print(f"GIG-CAM, T = {options.steps}, {options.batch} images of 224 x 224, {options.threads} threads, "
          f"medians of {options.rounds} rounds")
    print(f"{'network':14}{'':22}{'seconds / T':>12}{'/ T bare':>10}{'/ T bare, channels-last':>25}"
          f"{'forwards / T':>14}{'backwards / T':>15}")
    for name in options.networks:
        for n, own, plain, last, forwards, backwards in measure(name, options.batch, options.steps, options.rounds):
            print(f"{name:14}{n:22}{own:12.3f}{plain:10.2f}{last:25.2f}{forwards:14.2f}{backwards:15.2f}", flush=True)


if __name__ == "__main__":
    main()
