"""How results are shown: one style, one colour for each method, images beside their maps at equal size.

    use_style()                                     once, in a notebook's setup cell
    show_maps(images, {"Grad-CAM": maps, ...})      one row per image, one column per method, one bar for the heat
    heat_bar(figure)                                the same bar for a sheet of pictures of one's own
    save_figure(figure, "01_family")                figures/01_family.png; more formats: `camutils render --format`
    save_moving([figure, ...], "20_path")           figures/20_path.gif
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from ..extras import extra
from ..places import figures
from ..whole import whole
from .plotted import write_plotted

FORMATS: dict[str, dict[str, Any]] = {  # format -> what has to be left out of it, so that the same figure is the same file
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Creator": None, "Date": None},
}
HEAT = "inferno"  # perceptually uniform, readable without colour vision
SHOWN = {  # method -> its name in figures, and the colour that it has in every one of them
    "grad_cam": ("Grad-CAM", "#0173b2"),
    "grad_cam_pp": ("Grad-CAM++", "#de8f05"),
    "layer_cam": ("LayerCAM", "#029e73"),
    "hires_cam": ("HiResCAM", "#d55e00"),
    "score_cam": ("Score-CAM", "#fbafe4"),
    "integrated_grad_cam": ("Integrated Grad-CAM", "#ece133"),
    "integrative_cam": ("Integrative CAM", "#cc78bc"),
    "gig_cam": ("GIG-CAM", "#56b4e9"),
    "gig_cam_m": ("GIG-CAM+M", "#ca9161"),
    "cluster_cam": ("Cluster-CAM", "#949494"),  # the ten of seaborn's `colorblind` end here
    "centre": ("image centre", "#333333"),
    "combined_cam": ("Combined CAM", "#73001a"),
}
LABELS = {method: label for method, (label, _) in SHOWN.items()}
COLOURS = {method: to_rgb(colour) for method, (_, colour) in SHOWN.items()}


def use_style() -> None:
    """Set the one style of all figures: white, small sans-serif labels, no grid on pictures."""
    seaborn = extra("seaborn")
    seaborn.set_theme(context="notebook", style="ticks", palette="colorblind", font_scale=0.9)
    plt.rcParams.update({"figure.dpi": 80, "savefig.dpi": 100, "axes.titlesize": 11, "axes.spines.top": False,
                         "axes.spines.right": False, "image.cmap": HEAT, "figure.constrained_layout.use": True,
                         "figure.constrained_layout.h_pad": 0.06})


def to_array(image: Tensor, channels: Sequence[int] | None = None) -> np.ndarray:
    """(3, H, W) in [0, 1] on any device -> (H, W, 3) for matplotlib; one channel, or (H, W), is grey.

    channels: which of the image's channels to show, one (grey) or three (as red, green and blue); default: all that it has.
    Raises ValueError where these are neither one nor three, or not there.
    """
    planes = image[None] if image.ndim == 2 else image
    chosen = list(range(len(planes)) if channels is None else channels)
    if planes.ndim != 3 or len(chosen) not in (1, 3) or not all(-len(planes) <= c < len(planes) for c in chosen):
        which = "" if channels is None else f" and channels {tuple(channels)}"
        raise ValueError(f"a picture of shape {tuple(image.shape)}{which}; accepted: (3, H, W), (1, H, W) or (H, W), or another "
                         "number of channels with those to show, such as channels=(0, 1, 2), or channels=(0,) as grey")
    pixels = planes[chosen].detach().float().cpu().clamp(0, 1).permute(1, 2, 0).numpy()
    return pixels if len(chosen) == 3 else np.repeat(pixels, 3, 2)


def overlay(image: Tensor, heat: Tensor, strength: float = 0.75, channels: Sequence[int] | None = None) -> np.ndarray:
    """Lay a heat map over its image: the hotter, the less of the image shows.

        (1 - a) * image + a * colour(L),    a = strength * (0.35 + 0.65 L)

    image (3, H, W), or grey (1, H, W), heat (H, W), both in [0, 1] -> (H, W, 3). channels: which to show, of an image with
    others than one or three. ValueError if their sizes differ, or for such an image without `channels`.
    """
    if image.shape[-2:] != heat.shape[-2:]:
        raise ValueError(f"image is {tuple(image.shape[-2:])}, heat map {tuple(heat.shape[-2:])}; accepted: equal sizes")
    L = heat.detach().float().cpu().numpy()
    a = strength * (0.35 + 0.65 * L[..., None])
    return (1 - a) * to_array(image, channels) + a * colormaps[HEAT](L)[..., :3]


def picture(axis: Axes, pixels: np.ndarray, title: str = "", boxes: Tensor | np.ndarray | None = None,
            colour: str = "white") -> None:
    """One picture without axes; boxes (n, 4) x0 y0 x1 y1 (half open, pixels) as outlines."""
    axis.imshow(pixels, interpolation="nearest", vmin=0, vmax=1)
    axis.set_title(title)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    for x0, y0, x1, y1 in [] if boxes is None else np.asarray(boxes).tolist():
        axis.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, lw=1.2, ec=colour))


def grid(rows: int, columns: int, size: float = 1.9) -> tuple[Figure, np.ndarray]:
    """A figure of rows x columns equal square axes, `size` inches each: (figure, axes array of that shape)."""
    return plt.subplots(rows, columns, figsize=(size * columns, size * rows + 0.3), squeeze=False)


def show_maps(images: Tensor, maps: dict[str, Tensor], names: Sequence[str] | None = None,
              boxes: Sequence[Tensor | None] | None = None, size: float = 1.9, wide: bool = False,
              channels: Sequence[int] | None = None) -> Figure:
    """A row per image: the image, then each method's heat map over it, all in [0, 1] on the same scale, which a bar shows.

    images (B, 3, H, W), or grey (B, 1, H, W); maps: title -> (B, H, W); names: a label per image; boxes: per image (n, 4) or
    None; wide=True: a column per image instead; channels, errors: as `overlay`. Returns the figure.
    """
    shape = (len(images), 1 + len(maps))
    drawn = []  # before the figure: an error leaves no empty one behind
    for b, image in enumerate(images):
        drawn.append([to_array(image, channels), *(overlay(image, heat[b], channels=channels) for heat in maps.values())])
    figure, axes = grid(*(shape[::-1] if wide else shape), size)
    titles, names = ["picture", *maps], names or [""] * len(images)
    for b, row in enumerate(axes.T if wide else axes):
        for m, (axis, pixels) in enumerate(zip(row, drawn[b], strict=True)):
            name, title = names[b] if m == 0 else "", titles[m] if b == 0 else ""
            picture(axis, pixels, name if wide else title, None if boxes is None else boxes[b])
            axis.set_ylabel(title if wide else name)
    heat_bar(figure)
    return figure


def heat_bar(figure: Figure, label: str = "heat") -> None:
    """A bar under all the pictures of a figure: which colour is which heat, from 0, the coldest, to 1, the hottest."""
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.4)
    long = min(0.8 * width, 3)  # in inches, and a tenth of one thick
    pictures = [axis for axis in figure.axes if axis.get_label() != "<colorbar>"]  # beside bars that are there already
    bar = figure.colorbar(ScalarMappable(cmap=HEAT), ax=pictures, location="bottom", fraction=0.02, pad=0.01,
                          shrink=long / width, aspect=10 * long)
    bar.set_label(f"{label}: 0 is coldest, 1 hottest", fontsize=9, labelpad=1)
    bar.ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"], fontsize=8)
    bar.ax.tick_params(length=2, pad=1)
    bar.outline.set_visible(False)


def save_figure(figure: Figure, name: str) -> None:
    """Write figures/NAME.png: same figure, same bytes (no dates, no versions inside).

    `camutils render --format` sets $CAMUTILS_FORMATS, and perhaps $CAMUTILS_DPI: then also figures/print/NAME in each of these
    formats, and its numbers as CSV. ValueError for a name that leads elsewhere, OSError where the folder takes no file.
    """
    _check_name(name)
    folder, formats = figures(), os.environ.get("CAMUTILS_FORMATS")
    _write(figure, folder / f"{name}.png")
    if formats:
        for kind in formats.split(","):
            _write(figure, folder / "print" / f"{name}.{kind}", int(os.environ.get("CAMUTILS_DPI") or 0) or None)
        write_plotted(figure, folder / "print" / f"{name}.csv")


def save_moving(figures_: Sequence[Figure], name: str, milliseconds: int = 400) -> None:
    """Write figures/NAME.gif: figures of one size as a moving picture that starts again, the last one held three times as long.

    ValueError for a name that leads elsewhere, no figures, or sizes that differ; OSError where the folder takes no file.
    """
    _check_name(name)
    frames = []
    for figure in figures_:
        canvas = FigureCanvasAgg(figure)  # a figure that pyplot has closed draws as well
        canvas.draw()
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    if len({frame.size for frame in frames}) != 1:
        raise ValueError(f"sizes {[frame.size for frame in frames]} given; accepted: at least one figure, all of one size")
    shared = frames[-1].quantize(128)  # one palette, so that nothing flickers
    first, *others = (frame.quantize(palette=shared, dither=Image.Dither.NONE) for frame in frames)
    (folder := figures()).mkdir(parents=True, exist_ok=True)
    with whole(folder / f"{name}.gif") as file:
        first.save(file, "GIF", save_all=True, append_images=others, loop=0, optimize=True,
                   duration=[milliseconds] * len(others) + [3 * milliseconds])


def _check_name(name: str) -> None:
    if not name or Path(name).name != name:
        raise ValueError(f"a figure's name {name!r}; accepted: the name of a file, without its ending and without folders")


def _write(figure: Figure, path: Path, dpi: int | None = None) -> None:
    """One file in the format of its ending; dpi: None is the style's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.suffix[1:]
    with plt.rc_context({"svg.hashsalt": "camutils"}), whole(path) as file:  # of it an SVG makes its names, else by chance
        figure.savefig(file, format=kind, dpi=dpi or plt.rcParams["savefig.dpi"], metadata=FORMATS[kind])
