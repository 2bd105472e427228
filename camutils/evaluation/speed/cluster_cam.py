"""What Cluster-CAM costs beside n + 1 bare forward passes and beside Score-CAM.

    python -m camutils.evaluation.speed.cluster_cam

Clustering: 2048 channels of 7 x 7 positions into 10 clusters (activations of ResNet-50) beside one forward pass of ResNet-50 on
one 224 x 224 image. The method: MobileNetV2, one image, n = 10, beside n + 1 bare forward passes (the image alone, then n images
in the chunks and the memory layout that are fastest here) and beside Score-CAM, whose time is taken from a part of its channels
unless --whole is given. Interleaved: every contestant runs right after the base it is divided by; medians of these ratios over
rounds. Images through the network are counted at the first convolution. Random weights: time does not depend on them.
"""

from functools import partial
from statistics import median

import torch
import torchvision
from torch import Tensor, nn

from camutils import default_layer
from camutils.core.probe import activation
from camutils.methods.cluster_cam import cluster_cam
from camutils.methods.parts.clusters import group_channels
from camutils.methods.parts.masks import masked_scores
from camutils.methods.score_cam import score_cam

from .grad_cam_family import Run, parser_of, passes, seconds, started


def paired(base: Run, runs: dict[str, Run], rounds: int) -> dict[str, tuple[float, float]]:
    """Name -> (seconds, ratio to `base`), medians over rounds; each run stands right behind a run of the base."""
    taken: dict[str, list[float]] = {n: [] for n in runs}
    ratios: dict[str, list[float]] = {n: [] for n in runs}
    for run in (base, *runs.values()):
        run()  # warm-up
    for _ in range(rounds):
        for n, run in runs.items():
            bare, own = seconds(base), seconds(run)
            taken[n].append(own)
            ratios[n].append(own / bare)
    return {n: (median(taken[n]), median(ratios[n])) for n in runs}


def bare_forwards(model: nn.Module, x: Tensor, n: int, rounds: int = 5) -> tuple[Run, tuple[int, str]]:
    """Function that runs 1 + n images and nothing else, in the fastest of several chunks and of both layouts; and which it is."""
    def run(chunk: int, layout: torch.memory_format) -> None:
        with torch.inference_mode():
            model(x)
            many = x.expand(n, -1, -1, -1).contiguous(memory_format=layout)
            for part in many.split(chunk):
                model(part)

    layouts = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
    taken: dict[tuple[int, str], list[float]] = {(c, name): [] for c in (1, 2, 3, 4, 5, 8, 10) for name in layouts}
    for _ in range(rounds):
        for chunk, name in taken:
            taken[chunk, name].append(seconds(partial(run, chunk, layouts[name])))
    best = min(taken, key=lambda k: median(taken[k][1:]))
    return lambda: run(best[0], layouts[best[1]]), best


def clustering(rounds: int) -> None:
    """Prints k-means on ResNet-50's last stage beside one forward pass."""
    model, x = torchvision.models.resnet50(weights=None).eval(), torch.rand(1, 3, 224, 224)
    A = activation(model, x)[0]

    def forward() -> None:
        with torch.inference_mode():
            model(x)

    runs: dict[str, Run] = {"forward": forward, "k-means, n = 10": lambda: group_channels(A, 10)}
    for n, (own, ratio) in paired(forward, runs, rounds).items():
        print(f"{'resnet50':14}{n:34}{own:9.3f}{ratio:20.2f}", flush=True)


def method(n: int, rounds: int, part: int | None) -> None:
    """Prints Cluster-CAM on MobileNetV2 beside 1 + n bare forward passes, and beside Score-CAM."""
    model, x = torchvision.models.mobilenet_v2(weights=None).eval(), torch.rand(1, 3, 224, 224)
    A, targets, _ = activation(model, x)
    K = A.shape[1]
    bare, (chunk, layout) = bare_forwards(model, x, n)
    ours = lambda: cluster_cam(model, x, targets, n_clusters=n)  # noqa: E731
    runs: dict[str, Run] = {
        f"1 + {n} forwards (by {chunk}, {layout})": bare, "cluster_cam": ours,
        "cluster_cam, default layer named": lambda: cluster_cam(model, x, targets, default_layer(model), n_clusters=n),
    }
    for name, (own, ratio) in paired(bare, runs, rounds).items():
        print(f"{'mobilenet_v2':14}{name:34}{own:9.3f}{ratio:20.2f}{passes(model, runs[name], 1)[0]:10.0f}", flush=True)
    whole = part is None
    slow = (lambda: score_cam(model, x, targets)) if whole else lambda: masked_scores(model, x, targets, A[:, :part])
    for _ in range(1 if whole else 2):  # the chunk is measured on the way
        slow()
    ratios = [seconds(slow) * (1 if part is None else K / part) / seconds(ours) for _ in range(3 if whole else rounds // 3 + 1)]
    how = "whole" if whole else f"{part} of its {K} channels, extrapolated"
    print(f"{'mobilenet_v2':14}score_cam / cluster_cam ({how}): {median(ratios):.0f} x", flush=True)


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = parser_of(__doc__)
    parser.add_argument("--clusters", type=int, default=10, help="n")
    parser.add_argument("--part", type=int, default=128, help="Score-CAM's channels that are run, the rest extrapolated")
    parser.add_argument("--whole", action="store_true", help="run all of Score-CAM")
    options = started(parser)
    print(f"Cluster-CAM, one image of 224 x 224, {options.threads} threads, medians of {options.rounds} rounds")
    print(f"{'network':14}{'':34}{'seconds':>9}{'/ bare forward(s)':>20}{'images':>10}")
    clustering(options.rounds)
    method(options.clusters, options.rounds, None if options.whole else options.part)


if __name__ == "__main__":
    main()
