"""Run by test_masks in a process of its own: how much more memory Score-CAM on ResNet-50 takes than a bare forward pass, in MB.

Stopped after some masks (argument): the peak is in the chunks, and masks built beforehand would be there with the first one.
"""

import resource
import sys

import torch
import torchvision

from camutils.methods.parts.masks import TRIALS
from camutils.methods.score_cam import score_cam


class Enough(Exception):
    pass


def peak() -> float:
    """Largest resident memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)


def main(masks: int):
    torch.set_num_threads(1)
    model, images, seen = torchvision.models.resnet50(weights=None).eval(), torch.rand(1, 3, 224, 224), [0]

    def count(module, args):
        seen[0] += len(args[0])
        if seen[0] > masks:
            raise Enough

    with torch.inference_mode():
        model(images)
    before = peak()
    model.register_forward_pre_hook(count)
    try:
        score_cam(model, images, 3)
    except Enough:
        pass
    ((tried,),) = (each.values() for each in TRIALS.values())
    print(peak() - before, seen[0], min(map(len, tried.values())))


if __name__ == "__main__":
    main(int(sys.argv[1]))
