"""What Combined CAM costs beside the passes that it cannot do without.

    python -m camutils.evaluation.speed.combined_cam

MobileNetV2 and ResNet-50, one image, 8 clusters: one forward and backward pass to every stage and 8 forward passes in the chunks
and the memory layout that are fastest here, then the method, and Integrative CAM and Cluster-CAM, which it is made of; each
right behind a run of the base that it is divided by. Medians of these ratios over rounds. Random weights: time does not depend
on them.
"""

from typing import Any

import torch
import torchvision

from camutils import cluster_cam, combined_cam, integrative_cam, stages

from .cluster_cam import bare_forwards, paired
from .grad_cam_family import Run, parser_of, passes, started
from .integrative_cam import forward_and_backward

PARTS: dict[str, Any] = {"merge": "soft_cut", "baseline": "blur", "n_clusters": 8}


def measure(name: str, rounds: int) -> None:
    """Prints a line per contestant."""
    model, x, target = torchvision.models.get_model(name, weights=None).eval(), torch.rand(1, 3, 224, 224), torch.tensor([7])
    for p in model.parameters():
        p.requires_grad_(False)
    names, (forwards, (chunk, layout)) = stages(model, x), bare_forwards(model, x, 7)  # its own single image makes 8

    def base() -> None:
        forward_and_backward(model, x.contiguous(memory_format=torch.channels_last), target, names)
        forwards()

    runs: dict[str, Run] = {f"1 + 8 passes (by {chunk}, {layout})": base, "combined_cam": lambda: combined_cam(model, x, target),
            "combined_cam, gradient_cut": lambda: combined_cam(model, x, target, clustering="gradient_cut"),
            "integrative_cam": lambda: integrative_cam(model, x, target),
            "cluster_cam": lambda: cluster_cam(model, x, 7, **PARTS)}
    for label, (own, ratio) in paired(base, runs, rounds).items():
        forward, backward = passes(model, runs[label], 1)
        print(f"{name:14}{label:34}{own:9.3f}{ratio:12.2f}{forward:10.0f}{backward:11.0f}", flush=True)


def main() -> None:
    """Parse the command line, measure, print the table."""
    options = started(parser_of(__doc__))
    print(f"Combined CAM, one image of 224 x 224, {options.threads} threads, medians of {options.rounds} rounds")
    print(f"{'network':14}{'':34}{'seconds':>9}{'/ its passes':>12}{'images':>10}{'backwards':>11}")
    for name in ("mobilenet_v2", "resnet50"):
        measure(name, options.rounds)


if __name__ == "__main__":
    main()
