"""What one Grad-CAM costs: ours, captum, torchcam and grad-cam beside a bare forward pass.

    python -m camutils.evaluation.speed.grad_cam_family

Interleaved: each round runs every contestant right after a bare forward and right after `forward + head`, and divides by it;
the table shows medians of these ratios over rounds. `forward + head` is the least a gradient method can do: a forward pass
whose trunk keeps no graph, then the gradient of the head at the layer. Forwards and backwards are counted at the first
convolution and at the classifier. Random weights: time does not depend on them.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import captum.attr
import pytorch_grad_cam
import torch
import torchcam.methods
import torchvision
from torch import Tensor, nn

import camutils

Run = Callable[[], object]  # what is timed; what it gives is not looked at
Row = tuple[str | float, ...]  # of a printed table
LAYERS = {"resnet50": "layer4", "mobilenet_v2": "features.18"}


def contestants(model: nn.Module, x: Tensor, layer: str, classes: Tensor) -> dict[str, Run]:
    """Name -> function without arguments that computes the heat maps of the whole batch."""
    module = model.get_submodule(layer)

    def forward() -> object:
        with torch.inference_mode():
            return model(x)

    def forward_and_head() -> object:
        kept: list[Tensor] = []

        def cut(m: nn.Module, i: object, out: Tensor) -> Tensor:
            torch.set_grad_enabled(True)
            kept.append(out.detach().requires_grad_())
            return kept[0]

        with torch.no_grad():
            hook = module.register_forward_hook(cut)
            S = model(x).gather(1, classes[:, None])
            hook.remove()
            return torch.autograd.grad(S.sum(), kept[0])

    from_captum = captum.attr.LayerGradCam(model, module)
    from_grad_cam = pytorch_grad_cam.GradCAM(model, [module])
    targets = [pytorch_grad_cam.utils.model_targets.ClassifierOutputTarget(c) for c in classes.tolist()]
    from_grad_cam.activations_and_grads.release()

    def run_captum() -> object:
        maps = from_captum.attribute(x, target=classes, relu_attributions=True)
        return captum.attr.LayerAttribution.interpolate(maps, x.shape[2:], "bilinear")

    def run_torchcam() -> object:
        with torchcam.methods.GradCAM(model, layer) as extractor:
            return extractor(classes.tolist(), model(x))

    def run_grad_cam() -> object:
        with pytorch_grad_cam.GradCAM(model, [module]) as cam:
            return cam(x, targets)

    return {"forward": forward, "forward + head": forward_and_head,
            "camutils": lambda: camutils.grad_cam(model, x, classes, layer),
            "captum": run_captum, "torchcam": run_torchcam, "grad-cam": run_grad_cam}


def seconds(run: Run) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def passes(model: nn.Module, run: Run, batch: int) -> list[float]:
    """How many batches of images reach the first layer, and of gradients the classifier's output."""
    first = next(m for m in model.modules() if isinstance(m, torch.nn.Conv2d))
    last = [m for m in model.modules() if isinstance(m, torch.nn.Linear)][-1]
    counts = [0.0, 0.0]

    def count(which: int, rows: int) -> None:
        counts[which] += rows / batch

    def watch(m: nn.Module, i: object, out: Tensor) -> None:
        if out.requires_grad:
            out.register_hook(lambda g: count(1, len(g)))

    hooks = [first.register_forward_hook(lambda m, i, out: count(0, len(out))), last.register_forward_hook(watch)]
    run()
    for hook in hooks:
        hook.remove()
    return counts


def parser_of(doc: str, rounds: int = 15) -> argparse.ArgumentParser:
    """The options that every speed script has."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds, help="repetitions; medians are shown")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    return parser


def started(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options as given, torch's threads and seed set by them."""
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    return options


def measure(name: str, batch: int, rounds: int) -> list[Row]:
    """Rows (contestant, seconds, ratio to forward, ratio to forward + head, forwards, backwards)."""
    model = torchvision.models.get_model(name, weights=None).eval()
    x, classes = torch.rand(batch, 3, 224, 224), torch.arange(batch) * 7
    runs = contestants(model, x, LAYERS[name], classes)
    counts = {n: passes(model, run, batch) for n, run in runs.items()}  # also the warm-up
    taken: dict[str, list[float]] = {n: [] for n in runs}
    ratios: dict[str, tuple[list[float], list[float]]] = {n: ([], []) for n in runs}
    for _ in range(rounds):
        for n, run in runs.items():
            for which, base in enumerate(("forward", "forward + head")):
                bare, own = seconds(runs[base]), seconds(run)
                ratios[n][which].append(own / bare)
                taken[n].append(own)
    return [(n, median(taken[n]), median(ratios[n][0]), median(ratios[n][1]), *counts[n]) for n in runs]


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = parser_of(__doc__)
    parser.add_argument("--batch", type=int, default=8, help="images of 224 x 224")
    parser.add_argument("--networks", nargs="+", choices=LAYERS, default=[*LAYERS])
    options = started(parser)
    print(f"Grad-CAM, {options.batch} images of 224 x 224, {options.threads} threads, medians of {options.rounds} rounds")
    print(f"{'network':14}{'':18}{'seconds':>9}{'/ forward':>11}{'/ forward + head':>18}{'forwards':>10}{'backwards':>11}")
    for name in options.networks:
        for n, own, bare, head, forwards, backwards in measure(name, options.batch, options.rounds):
            print(f"{name:14}{n:18}{own:9.3f}{bare:11.2f}{head:18.2f}{forwards:10.2f}{backwards:11.2f}", flush=True)


if __name__ == "__main__":
    main()
