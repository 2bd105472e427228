"""Score-CAM, ours, grad-cam's and torchcam's at their defaults, beside as many bare forward passes.

    python -m camutils.evaluation.speed.score_cam

MobileNetV2, one image of 224 x 224, 1280 channels. First the chunk and memory format at which bare forwards are fastest are
looked for. Then each round runs every contestant right after bare forwards of its own; the table shows medians over rounds of the
seconds and of the ratios within a round, by the clock and by the processor's time, which others on the machine disturb less.
`ours, first call` also searches for its chunk. --masks N: the explained layer puts out its first N channels only, for all
contestants alike. Random weights: time does not depend on them, but no channel may be flat, hence randomised batch norms.
"""

import os
import time
from functools import partial
from statistics import median

import pytorch_grad_cam
import torch
import torchcam.methods
import torchvision
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from camutils.methods.parts.masks import TRIALS
from camutils.methods.score_cam import score_cam

from ...networks.random_weights import seeded
from .grad_cam_family import Run, parser_of, seconds, started

LAYER, TARGET = "features", 7
CHUNKS, FORMATS = (2, 4, 8, 16, 32), {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}


class Fewer(nn.Module):
    """MobileNetV2 with a layer `seen` beside its trunk that shows the first `masks` channels and is what is explained."""

    def __init__(self, net: torchvision.models.MobileNetV2, masks: int):
        super().__init__()
        self.net, self.seen, self.masks = net, nn.Identity(), masks

    def forward(self, x: Tensor) -> Tensor:
        A = self.net.features(x)
        self.seen(A[:, : self.masks])
        return self.net.classifier(A.mean((2, 3)))


def bare(model: nn.Module, images: int, chunk: int, form: str) -> None:
    """So many forward passes, nothing else."""
    x = torch.rand(chunk, 3, 224, 224).contiguous(memory_format=FORMATS[form])
    with torch.inference_mode():
        for _ in range(images // chunk):
            model(x)


def best_of(model: nn.Module, images: int) -> tuple[int, str]:
    """The chunk and format with the fewest seconds per image: each twice after a warm-up, the faster counts."""
    taken: dict[tuple[int, str], float] = {}
    for setting in [(c, f) for c in CHUNKS for f in FORMATS]:
        bare(model, setting[0], *setting)
        taken[setting] = min(seconds(partial(bare, model, images, *setting)) for _ in range(2)) / images
    for (chunk, form), each in taken.items():
        print(f"  bare forwards, batch {chunk:2}, {form:14}{1e3 * each:8.2f} ms per image")
    return min(taken, key=lambda setting: taken[setting])


def contestants(model: Fewer, x: Tensor, images: int, best: tuple[int, str]) -> dict[str, Run]:
    """Name -> function without arguments; the order in which a round runs them."""

    def first_call() -> object:
        TRIALS.clear()
        return score_cam(model, x, TARGET, "seen")

    def run_grad_cam() -> object:
        with pytorch_grad_cam.ScoreCAM(model, [model.seen]) as cam:
            return cam(x, [ClassifierOutputTarget(TARGET)])

    def run_torchcam() -> object:
        with torchcam.methods.ScoreCAM(model, "seen") as extractor, torch.no_grad():
            return extractor(TARGET, model(x))

    def forwards() -> None:
        bare(model, images, *best)

    return {"bare forwards": forwards, "ours": lambda: score_cam(model, x, TARGET, "seen"), "ours, first call": first_call,
            "grad-cam": run_grad_cam, "torchcam": run_torchcam}


def both_clocks(run: Run) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    start = time.process_time()
    return seconds(run), time.process_time() - start


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = parser_of(__doc__, 3)
    parser.add_argument("--masks", type=int, default=1280, help="channels that are explained, up to 1280")
    options = started(parser)
    os.environ["TQDM_DISABLE"] = "1"
    model = Fewer(seeded(lambda: torchvision.models.mobilenet_v2(weights=None), 224), options.masks).eval()
    x = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    print(f"Score-CAM, MobileNetV2, {options.masks} masks, {options.threads} threads, medians of {options.rounds} rounds")
    best = best_of(model, min(options.masks, 64))
    print(f"best: batch {best[0]}, {best[1]}")
    runs = contestants(model, x, options.masks, best)
    score_cam(model, x, TARGET, "seen")  # warm
    # each time: (seconds, processor seconds) of the contestant and of the bare forwards before it
    taken: dict[str, list[tuple[tuple[float, float], tuple[float, float]]]] = {n: [] for n in runs}
    for _ in range(options.rounds):
        for n, run in runs.items():
            base = both_clocks(runs["bare forwards"])
            taken[n].append((both_clocks(run), base))
    for clock, label in enumerate(("seconds", "processor seconds")):
        ratio = {n: [own[clock] / base[clock] for own, base in pairs] for n, pairs in taken.items()}
        print(f"{label:20}{'median':>9}{'/ bare forwards':>17}{'/ ours':>9}")
        for n, pairs in taken.items():
            to_ours = median(a / b for a, b in zip(ratio[n], ratio["ours"], strict=True))
            print(f"  {n:18}{median(own[clock] for own, _ in pairs):9.2f}{median(ratio[n]):17.3f}{to_ours:9.2f}", flush=True)
    ((chosen,),) = (known.values() for net, known in TRIALS.items() if net is model)
    print("ours chose among", {n: f"{1e3 * min(t[1:]):.2f} ms" for n, t in chosen.items() if len(t) > 1})


if __name__ == "__main__":
    main()
