"""The moving figures of the site, where no kernel runs: frames computed beforehand, in figures/site, and a slider on a page.

    path      GIG-CAM's way from black to the picture, step by step           (notebook 20)
    pyramid   +M, scale by scale                                              (notebook 22)
    contrast  a map drawn with more and less contrast, and what that moves    (notebook 02)

`compute` draws them, on test scenes; `camutils site --moving` calls it, and a test compares frames with the stored ones.
"""

import json
from collections.abc import Callable, Iterator
from html import escape
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ...core.layers import default_layer
from ...core.maps import finish, normalise, upsample
from ...datasets.examples import examples
from ...evaluation.contrast import GAMMAS
from ...evaluation.metrics import average_drop, drop_increase, energy_game, pixel_ap, pooled_pixel_ap
from ...methods.gig_cam import signed_map
from ...methods.grad_cam import grad_cam
from ...methods.parts.paths import guided_path
from ...methods.parts.scales import levels
from ...networks.load import load_model
from ...places import ROOT
from ...whole import write_whole
from ..figures import HEAT, grid, overlay, picture, show_maps, to_array, use_style

STORED = ROOT / "figures" / "site"
STEPS = 30  # of the path


class Frame(NamedTuple):
    """One picture of a moving figure, and what it shows in words."""

    figure: Figure
    text: str


class Moving(NamedTuple):
    """A moving figure: head, name of its slider, lesson, a sentence that asks something, and how its frames are drawn."""

    head: str
    slider: str
    lesson: str
    question: str
    frames: Callable[[], Iterator[Frame]]


def path_frames() -> Iterator[Frame]:
    """Every third step without a corridor, on the first digit of the first test scene, in double precision as in notebook 20."""
    rows = examples("scenes", [0])
    model, image = load_model("scenes_resnet", "cpu").double(), rows.images[:1].double()
    walk = list(guided_path(signed_map(model, rows.targets[:1], default_layer(model, image)), image, steps=STEPS, max_dist=1))
    for t in (*range(0, STEPS, 3), STEPS - 1):
        so_far = finish(torch.stack([step.M.relu() for step in walk[:t + 1]]).mean(0), image)
        hot = walk[-1].M[0].relu()
        hot_pixels = upsample(hot[None], image.shape[-2:])[0] > hot.max() / 2
        progress = walk[t].p[0][hot_pixels].mean().item()
        figure = show_maps(walk[t].x, {"progress p": walk[t].p, "map so far": so_far}, [f"t = {t}"], size=2.2)
        yield Frame(figure, f"Step {t} of {STEPS}: the picture has {100 * t / STEPS:.0f} % of its light. The pixels where the "
                            f"last map is hot have come {100 * progress:.0f} % of their way.")


def pyramid_frames() -> Iterator[Frame]:
    """Grad-CAM+M at the seven scales, as notebook 22 draws them, one scale a frame."""
    rows = examples("scenes", [0])
    assert rows.boxes is not None  # of scenes they are known
    model = load_model("scenes_resnet", "cpu")
    found = list(levels(grad_cam, model, rows.images[:1], rows.targets[:1]))
    for level in found:
        A = upsample(level.A, rows.images.shape[-2:])
        shown = {"A": A / A.max(), "Q = A / P": level.Q, "F": level.F / found[0].F.max(), "R": level.R / level.R.max()}
        figure, axes = grid(1, 5, 1.9)
        picture(axes[0, 0], to_array(rows.images[0]), f"{level.scale:.2f} ×", rows.boxes[0])
        for axis, (name, heat) in zip(axes[0, 1:], shown.items(), strict=True):
            picture(axis, plt.get_cmap(HEAT)(heat[0].numpy()), name, rows.boxes[0])
        inside = energy_game(level.R, rows.boxes[:1]).item()
        h, w = level.A.shape[1:]
        yield Frame(figure, f"The picture enlarged {level.scale:.2f} times: the map has {h} × {w} cells. "
                            f"{100 * inside:.0f} % of the sum R so far lies in the box.")


def contrast_frames() -> Iterator[Frame]:
    """Grad-CAM to the power γ on the digits of forty test scenes: energy, Drop, AP and PxAP; the map of the first digit."""
    rows = examples("scenes", range(40))
    assert rows.boxes is not None
    model = load_model("scenes_resnet", "cpu")
    heat = grad_cam(model, rows.images, rows.targets)
    found = []
    for gamma in GAMMAS:
        sharper = normalise(heat ** gamma)
        drop = average_drop(*drop_increase(model, rows.images, sharper, rows.targets)).mean() / 100
        found.append([float(energy_game(sharper, rows.boxes).mean()), float(drop), float(pixel_ap(sharper, rows.boxes).mean()),
                      pooled_pixel_ap(sharper, rows.boxes)])
    curves = np.array(found)
    for number, gamma in enumerate(GAMMAS):
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3), width_ratios=(1, 1.7))
        picture(left, overlay(rows.images[0], normalise(heat[:1] ** gamma)[0]), f"L^γ, γ = {gamma:.3g}", rows.boxes[0])
        for name, curve, style in zip(("energy", "Drop", "AP", "PxAP"), curves.T, ("-", "--", ":", "-."), strict=True):
            (line,) = right.plot(GAMMAS, curve, style, label=name, lw=2)
            right.plot(gamma, curve[number], "o", color=line.get_color(), mec="black", ms=8)
        right.set(xscale="log", xlabel="γ", ylim=(0, 1), title="the same places, drawn otherwise")
        right.set_xticks([0.25, 1, 8], ["0.25", "1", "8"])
        right.set_xticks([], minor=True)
        right.legend(frameon=False, loc="upper left", ncols=2)
        energy, drop, ap, pooled = curves[number]
        yield Frame(figure, f"γ = {gamma:.3g}: energy game {energy:.2f}, Average Drop {100 * drop:.0f} %, average precision of "
                            f"the pixels {ap:.2f}, pooled over all pictures (PxAP) {pooled:.2f}.")


MOVING = {
    "path": Moving("The path of GIG-CAM, step by step", "Step", "20_gig_cam",
                   "Which pixels come first, those of the digit or those around it?", path_frames),
    "pyramid": Moving("The scales of +M, level by level", "Scale", "22_multi_scale",
                      "What does each enlarged picture take away from F, and what does R keep?", pyramid_frames),
    "contrast": Moving("Contrast against energy, Drop and PxAP", "Power γ", "02_measuring",
                       "Which of the four curves stays where it is, although the map looks sharper?", contrast_frames),
}


def drawn(frame: Frame) -> bytes:
    """A frame as WebP; its figure is closed."""
    canvas, out = FigureCanvasAgg(frame.figure), BytesIO()
    canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()).save(out, "WEBP", quality=85, method=6)
    plt.close(frame.figure)
    return out.getvalue()


def compute() -> list[Path]:
    """Draw every frame anew to figures/site, with what they show in frames.json, and return the files."""
    STORED.mkdir(parents=True, exist_ok=True)
    texts, files = {}, []
    with plt.rc_context():
        use_style()
        for name, moving in MOVING.items():
            texts[name] = list[str]()
            for number, frame in enumerate(moving.frames()):
                texts[name].append(frame.text)
                files.append(STORED / f"{name}_{number:02d}.webp")
                write_whole(files[-1], drawn(frame))
    files.append(STORED / "frames.json")
    write_whole(files[-1], json.dumps(texts, indent=1, ensure_ascii=False) + "\n")
    return files


def moving_page(static: Path) -> str:
    """The page as Markdown; the stored frames are copied to static/moving/."""
    (static / "moving").mkdir(parents=True, exist_ok=True)
    texts = json.loads((STORED / "frames.json").read_text(encoding="utf-8"))
    page = ["# Moving figures", "Computed beforehand; move a slider with the mouse, or with the arrow keys."]
    for name, moving in MOVING.items():
        frames = []
        for number, text in enumerate(texts[name]):
            file = f"{name}_{number:02d}.webp"
            (static / "moving" / file).write_bytes((STORED / file).read_bytes())
            frames.append({"src": f"_static/moving/{file}", "text": text})
        with Image.open(STORED / f"{name}_00.webp") as first:
            width, height = first.size
        lesson = f"[notebook {moving.lesson[:2]}](notebooks/{moving.lesson}.ipynb)"
        page.append(f"## {moving.head}\n\n{moving.question} The lesson: {lesson}.")
        page.append(f'<div class="moving" data-frames="{escape(json.dumps(frames, ensure_ascii=False))}">\n'
                    f'<label for="{name}">{moving.slider}</label>\n'
                    f'<input type="range" id="{name}" min="0" max="{len(frames) - 1}" value="0" aria-describedby="{name}-says">\n'
                    f'<img src="{frames[0]["src"]}" alt="{escape(frames[0]["text"])}" width="{width}" height="{height}">\n'
                    f'<output id="{name}-says" for="{name}">{escape(frames[0]["text"])}</output>\n</div>')
    return "\n\n".join([*page, '<script src="_static/moving.js"></script>']) + "\n"
