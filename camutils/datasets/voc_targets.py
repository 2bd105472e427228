"""PASCAL VOC classes as scores of an ImageNet network: log-sum-exp over the ImageNet classes that belong to one.

    S_c = log sum_{i in group c} exp(z_i)        z (B, 1000) logits; softmax over the groups and the rest = sum of softmax z

Groups follow VOC's annotation guidelines: bicycles with tricycles and unicycles, cars without ambulances, lorries and police
vans, trains without trams, domestic cats and dogs only, screens that stand alone. Poor matches: `cow` has only the ox, `horse`
only the sorrel, `pottedplant` only the pot. `person` has none: ImageNet's bridegroom, ball player and diver are no persons at
large, so pairs of image and person are left out and counted.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..core.network import unwrap

VOC_TO_IMAGENET = {
    "aeroplane": [404, 895],  # airliner, warplane
    "bicycle": [444, 671, 870, 880],  # tandem, mountain bike, tricycle, unicycle
    "bird": [*range(7, 25), *range(80, 101), *range(127, 147)],  # cock to great grey owl, grouse to swan, stork to albatross
    "boat": [403, 472, 484, 510, 554, 576, 625, 628, 724, 780, 814, 871, 914],  # from aircraft carrier to yawl
    "bottle": [440, 720, 737, 898, 907],  # beer, pill, pop, water, wine
    "bus": [654, 779, 874],  # minibus, school bus, trolleybus
    "car": [436, 468, 511, 609, 627, 656, 661, 751, 817],  # beach wagon, cab, convertible, jeep, limousine, ..., sports car
    "cat": [*range(281, 286)],  # tabby to Egyptian cat
    "chair": [423, 559, 765, 857],  # barber, folding, rocking chair, throne
    "cow": [345],  # ox
    "diningtable": [532],
    "dog": [*range(151, 269)],  # Chihuahua to Mexican hairless
    "horse": [339],  # sorrel
    "motorbike": [665, 670],  # moped, motor scooter
    "person": [],
    "pottedplant": [738],  # flowerpot
    "sheep": [348, 349],  # ram, bighorn
    "sofa": [831],  # studio couch
    "train": [466, 547, 565, 705, 820],  # bullet train, electric locomotive, freight car, passenger car, steam locomotive
    "tvmonitor": [664, 782, 851],  # monitor, screen, television
}


def _group(name: str) -> list[int]:
    """ImageNet indices of a VOC class; ValueError for an unknown class or one without any."""
    if not VOC_TO_IMAGENET.get(name):
        why = "has no ImageNet class" if name in VOC_TO_IMAGENET else "is no VOC class"
        raise ValueError(f"{name!r} {why}; accepted: {', '.join(n for n, group in VOC_TO_IMAGENET.items() if group)}")
    return VOC_TO_IMAGENET[name]


def _check(output: Any) -> Tensor:
    if not isinstance(output, Tensor) or output.ndim != 2 or output.shape[1] != 1000:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"the network returned {got}; accepted: an ImageNet network's logits (B, 1000)")
    return output


def group_target(names: Sequence[str] | str) -> Callable[[Tensor], Tensor]:
    """A callable target for a batch: row b explains the VOC class names[b] (one name: all rows).

        S_b = log sum_{i in group(names[b])} exp(z_bi)

    The result takes logits (B, 1000) and returns (B,). Raises ValueError for a class without ImageNet classes, here, and
    for another batch size, when called.
    """
    groups = [_group(n) for n in ([names] if isinstance(names, str) else names)]

    def target(output: Tensor) -> Tensor:
        rows = groups * len(_check(output)) if isinstance(names, str) else groups
        if len(rows) != len(output):
            raise ValueError(f"{len(rows)} classes for {len(output)} images; accepted: one name for all, or one per image")
        return torch.stack([z[group].logsumexp(0) for z, group in zip(output, rows, strict=True)])

    return target


def group_scores(output: Tensor) -> Tensor:
    """Logits (B, 1000) -> (B, G + 1): the score of each of VOC_GROUPS, and of all remaining ImageNet classes together.

    The softmax of these sums the softmax of the logits over each group: sum_{i in c} p_i. Raises ValueError for another shape.
    """
    z = _check(output)
    taken = {i for group in VOC_TO_IMAGENET.values() for i in group}
    groups = [VOC_TO_IMAGENET[name] for name in VOC_GROUPS] + [[i for i in range(1000) if i not in taken]]
    return torch.stack([z[:, group].logsumexp(1) for group in groups], 1)


VOC_GROUPS = tuple(name for name, group in VOC_TO_IMAGENET.items() if group)  # order of the outputs of `group_scores`


@contextmanager
def grouped_output(model: nn.Module) -> Iterator[nn.Module]:
    """Inside, an ImageNet network answers with `group_scores`, so that a target is an index into VOC_GROUPS.

    Layer names stay as they are; the network itself is changed by a forward hook, which is gone afterwards.
    """
    handle = unwrap(model).register_forward_hook(lambda module, args, output: group_scores(output))
    try:
        yield model
    finally:
        handle.remove()
