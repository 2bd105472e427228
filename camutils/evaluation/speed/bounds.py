"""The bare passes: what no method can be faster than, in the batch, memory format and number of threads that are fastest here."""

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...core.names import split_name
from .cases import Part
from .harness import Contestant, Run, seconds, threads
from .subjects import Subject

FORMATS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
TRIED = {"cpu": (32, 224**2), "cuda": (256, 224**2)}  # the largest chunk that is tried, for images of so many pixels


class Setting(NamedTuple):
    """Images at once, memory format, torch's threads."""

    chunk: int
    form: str
    threads: int

    def __str__(self) -> str:
        return f"by {self.chunk}, {self.form}, {self.threads} thread{'s' * (self.threads > 1)}"


def forwards(model: nn.Module, x: Tensor, images: int) -> None:
    """So many images through the network, len(x) at a time, and nothing else."""
    with torch.inference_mode():
        for _ in range(images // len(x)):
            model(x)
        if images % len(x):
            model(x[: images % len(x)])


def gradients(model: nn.Module, x: Tensor, classes: Tensor, layers: list[str]) -> tuple[Tensor, ...]:
    """One pass: no graph below the first of the layers, then the gradients of the score at all of them."""
    kept: dict[str, Tensor] = {}

    def keep(layer: str, call: int | None) -> Any:
        calls = 0

        def hook(module: nn.Module, given: object, out: Tensor) -> Tensor | None:
            nonlocal calls
            calls += 1
            if call not in (None, calls - 1):
                return None
            torch.set_grad_enabled(True)
            kept[layer] = out if out.requires_grad else out.detach().requires_grad_()
            return kept[layer]

        return hook

    hooks = []
    for layer in layers:
        name, call, _ = split_name(layer)
        hooks.append(model.get_submodule(name).register_forward_hook(keep(layer, call)))
    try:
        with torch.inference_mode(False), torch.no_grad():
            S = model(x).gather(1, classes[:, None])
            return torch.autograd.grad(S.sum(), [kept[layer] for layer in layers])
    finally:
        for hook in hooks:
            hook.remove()


def bare(own: Subject, part: Part, setting: Setting) -> Run:
    """The passes of one part as a function without arguments; images are made, and put in their format, before the clock runs."""
    chunk = min(setting.chunk, part.images)
    x = own.images(part.images if part.kind != "forward" else chunk, part.scale).contiguous(memory_format=FORMATS[setting.form])
    layers = own.stages if part.kind == "stages" else [own.layer]
    classes = own.classes(len(x))

    def run() -> None:
        with threads(setting.threads):
            for _ in range(part.times):
                if part.kind == "forward":
                    forwards(own.model, x, part.images)
                    continue
                for few, of in zip(x.split(chunk), classes.split(chunk), strict=True):
                    gradients(own.model, few, of, layers)

    return run


def settings(own: Subject, part: Part) -> list[Setting]:
    """What is worth trying: chunks in powers of two, both memory formats, all threads; then one thread."""
    most, pixels = TRIED[own.device.type]
    most = max(1, most * pixels // own.size**2) if part.kind == "forward" else part.images
    chunks = [2**i for i in range(most.bit_length())]
    return [Setting(chunk, form, torch.get_num_threads()) for chunk in chunks for form in FORMATS]


def sample(own: Subject, part: Part) -> Part:
    """One pass of the part, or a chunk's worth of its forwards: what settings are compared on."""
    if part.kind != "forward":
        return part._replace(times=1, scale=1)
    return part._replace(images=max(s.chunk for s in settings(own, part)), times=1, scale=1)


def try_settings(own: Subject, part: Part, repeat: int = 5) -> dict[Setting, float]:
    """Setting -> seconds, the least of `repeat` after a warm-up. One thread is tried where the format and the chunk are best."""
    asked, taken = sample(own, part), dict[Setting, float]()

    def measure(those: Iterable[Setting]) -> None:
        for setting in those:
            bare(own, asked._replace(images=min(asked.images, setting.chunk)), setting)()
            run = Contestant("", bare(own, asked, setting))
            taken[setting] = min(seconds(run) for _ in range(repeat))

    measure(settings(own, part))
    best = min(taken, key=lambda s: taken[s])
    if best.threads > 1 and own.device.type == "cpu":
        measure([best._replace(threads=1)])
    return taken


class Best:
    """The fastest setting for every kind of pass and number of images, tried once and then remembered."""

    def __init__(self, own: Subject):
        self.own, self.known = own, dict[tuple[str, int], dict[Setting, float]]()

    def tried(self, part: Part) -> dict[Setting, float]:
        """Setting -> seconds, for passes like this part's."""
        key = part.kind, 0 if part.kind == "forward" else part.images
        if key not in self.known:
            self.known[key] = try_settings(self.own, part)
        return self.known[key]

    def setting(self, part: Part, form: str | None = None) -> Setting:
        """The fastest one; form: among those in this memory format."""
        taken = {s: t for s, t in self.tried(part).items() if form in (None, s.form)}
        return min(taken, key=lambda s: taken[s])


def _all(runs: list[Run]) -> None:
    for run in runs:
        run()


def bounds(own: Subject, asked: list[Part], best: Best) -> list[Contestant]:
    """The bound; the same passes in the format and batch that the caller gives; and as many forwards, without any gradient."""
    chosen = [best.setting(part) for part in asked]
    said = "; ".join(str(s) for s in dict.fromkeys(chosen))
    found = [Contestant("bound", partial(_all, [bare(own, p, s) for p, s in zip(asked, chosen, strict=True)]), said)]
    if all(part.kind == "forward" for part in asked):
        return found
    given = [best.setting(p) if p.kind == "forward" else Setting(p.images, "contiguous", torch.get_num_threads()) for p in asked]
    found.append(Contestant("bound, as given", partial(_all, [bare(own, p, s) for p, s in zip(asked, given, strict=True)])))
    plain = [part._replace(kind="forward") for part in asked]
    quick = [best.setting(part) for part in plain]
    found.append(Contestant("forwards", partial(_all, [bare(own, p, s) for p, s in zip(plain, quick, strict=True)])))
    return found
