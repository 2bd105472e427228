"""Maps as pixels: over the picture, cut at the threshold, one less the other; and all of them on one sheet."""

from base64 import b64encode
from io import BytesIO

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ..figures import HEAT, overlay, picture, to_array
from .said import titles
from .words import BAR, DIFFERENCE, DIFFERENCE_BAR, ORIGINAL
from .work import State, Work

DIVERGING = "PuOr"  # two colours that no colour blindness makes alike, white between
DIM = 0.3  # how bright the picture is where the map is below the threshold
BOX = (0.0, 1.0, 1.0)  # cyan, which `HEAT` does not have
SIDE = 288  # pixels of a small picture's side as it is drawn, or the last whole multiple of its own below that


def over(x: Tensor, L: Tensor, threshold: float) -> np.ndarray:
    """The map (h, w) over the picture (3, h, w); where it is below the threshold, the picture alone and dim: (h, w, 3)."""
    seen = overlay(x, L)
    return np.where((L >= threshold).numpy()[..., None], seen, DIM * to_array(x)) if threshold > 0 else seen


def less(first: Tensor, second: Tensor) -> np.ndarray:
    """first - second, maps (h, w) in [0, 1], as colours from -1 to 1: (h, w, 3)."""
    return colormaps[DIVERGING]((first - second).numpy() / 2 + 0.5)[..., :3]


def enlarged(pixels: np.ndarray, box: Tensor | None = None) -> np.ndarray:
    """Pixels (h, w, 3) in [0, 1] as bytes, each repeated where the picture is small; the box as a frame."""
    times = max(1, SIDE // pixels.shape[0])
    seen = np.repeat(np.repeat(np.rint(pixels * 255).astype(np.uint8), times, 0), times, 1)
    for x0, y0, x1, y1 in [] if box is None else (box * times).round().int().tolist():
        frame = np.zeros(seen.shape[:2], bool)
        frame[y0:y1, x0:x1] = True
        frame[y0 + 2:y1 - 2, x0 + 2:x1 - 2] = False
        seen[frame] = np.rint(np.array(BOX) * 255)
    return seen


def source(pixels: np.ndarray) -> str:
    """Bytes (h, w, 3) as what the `src` of an image can be: a PNG in the text itself."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return "data:image/png;base64," + b64encode(stream.getvalue()).decode()


def gradient(colours: str) -> str:
    """A colour map as CSS."""
    levels = np.rint(255 * colormaps[colours](np.linspace(0, 1, 9))[:, :3]).astype(int).tolist()
    return "linear-gradient(to right, " + ", ".join(f"rgb({r} {g} {b})" for r, g, b in levels) + ")"


def drawn(state: State, work: Work) -> dict[str, np.ndarray]:
    """Title -> pixels (h, w, 3) of the picture, of every map over it, and of the first less the second."""
    x = work.image(state.picture, state.network)[0].cpu()
    maps = [work.shown(state, side) for side in state.sides]
    found = {ORIGINAL: to_array(x)}
    found |= {title: over(x, L, state.threshold) for title, L in zip(titles(state), maps, strict=True)}
    if len(maps) == 2:
        found[DIFFERENCE] = less(*maps)
    return found


def sheet(state: State, work: Work) -> Figure:
    """What the explorer shows of a state, as a figure that needs no widgets; the object's box in the first picture."""
    pictures, box = drawn(state, work), work.box(state)
    figure = Figure(figsize=(2.7 * len(pictures), 3.5), layout="constrained", dpi=100)
    axes = figure.subplots(1, len(pictures), squeeze=False)[0]
    for axis, (title, pixels) in zip(axes, pictures.items(), strict=True):
        picture(axis, pixels, title, box if title == ORIGINAL else None, "cyan")
    maps = axes[:1 + len(state.sides)]
    bars = [(HEAT, 0, BAR, maps)] + ([(DIVERGING, -1, DIFFERENCE_BAR, axes[-1:])] if len(maps) == 3 else [])
    for colours, low, label, above in bars:
        width = 2.7 * len(above)  # inches; every bar is 2.3 long and a tenth of one thick
        shown = figure.colorbar(ScalarMappable(Normalize(low, 1), colours), ax=above.tolist(), location="bottom", fraction=0.03,
                                pad=0.02, shrink=2.3 / width, aspect=23)
        shown.set_label(label, fontsize=9)
        shown.outline.set_visible(False)
    return figure
