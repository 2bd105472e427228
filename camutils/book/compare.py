"""Compare two runs of the notebooks: texts must be equal, pictures within a small root mean square."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
from PIL import Image, ImageSequence

TOLERANCE = 2 / 255  # root mean square over pixels and channels, of [0, 1]
PICTURES = (".png", ".gif")
IGNORED = ("NBVAL_IGNORE_OUTPUT", "NBVAL_SKIP")


def rms(before: bytes, after: bytes) -> float:
    """Root mean square difference of two pictures, or moving ones, in [0, 1]; infinity if sizes differ or one is damaged."""
    try:
        a, b = (np.stack([np.asarray(frame.convert("RGB"), np.float64) for frame in ImageSequence.Iterator(
            Image.open(io.BytesIO(data)))]) / 255 for data in (before, after))
    except Exception:  # damaged files raise OSError, SyntaxError, EOFError, struct.error, zlib.error and others
        return float("inf")
    if a.shape != b.shape:
        return float("inf")
    return float(np.sqrt(((a - b) ** 2).mean()))


def _outputs(notebook: Path) -> Iterator[tuple[int, str, list[str], list[bytes]]]:
    """(cell number, source, texts, pictures) of every code cell."""
    for i, cell in enumerate(nbformat.read(notebook, as_version=4).cells):
        if cell.cell_type != "code":
            continue
        texts, pictures = [], []
        for out in cell.outputs:
            data = out.get("data", {})
            if out.output_type == "stream":
                texts.append(out.get("text", ""))
            elif "image/png" in data:  # the text beside a picture is only its size
                pictures.append(base64.b64decode(data["image/png"]))
            else:
                texts.append(data.get("text/plain", ""))
        lines = [line.strip() for line in cell.source.split("\n")]
        ignored = any(f"# {mark}" in lines for mark in IGNORED)
        yield i, cell.source, [] if ignored else ["".join(texts)], pictures


def _read(notebook: Path) -> list[tuple[int, str, list[str], list[bytes]]]:
    """`_outputs` of a notebook. ValueError that names the file where it is none."""
    try:
        return list(_outputs(notebook))
    except Exception as error:  # nbformat, and what it lets pass, raise nearly everything
        raise ValueError(f"{notebook} cannot be read ({type(error).__name__}: {str(error)[:200]}); accepted: an executed notebook"
                         ) from error


def compare_notebooks(before: Path, after: Path, tolerance: float = TOLERANCE) -> list[str]:
    """What differs between two executed notebooks, a line each: sources, text outputs, pictures beyond the tolerance.

    Raises ValueError for a file that is no notebook.
    """
    old, new, said = _read(before), _read(after), []
    if [c[1] for c in old] != [c[1] for c in new]:
        return [f"{after.name}: code cells differ"]
    for (i, _, texts, pictures), (_, _, texts_now, pictures_now) in zip(old, new, strict=True):
        if texts != texts_now:
            said.append(f"{after.name} cell {i}: text differs\n  was {texts[0].strip()!r}\n  is  {texts_now[0].strip()!r}")
        if len(pictures) != len(pictures_now):
            said.append(f"{after.name} cell {i}: {len(pictures)} pictures before, {len(pictures_now)} now")
        for a, b in zip(pictures, pictures_now, strict=False):
            if (distance := rms(a, b)) > tolerance:
                said.append(f"{after.name} cell {i}: picture differs by {255 * distance:.1f}/255 RMS")
    return said


def compare_figures(before: Path, after: Path, pattern: str = "**/*", tolerance: float = TOLERANCE) -> list[str]:
    """What differs between the pictures of two folders, a line each: missing ones, new ones, those beyond the tolerance."""
    old, new = ({p.relative_to(folder) for p in folder.glob(pattern) if p.suffix in PICTURES} for folder in (before, after))
    said = [f"{p}: missing now" for p in sorted(old - new)] + [f"{p}: not there before" for p in sorted(new - old)]
    for p in sorted(old & new):
        distance = rms((before / p).read_bytes(), (after / p).read_bytes())
        if distance > tolerance:
            said.append(f"{p}: differs by {255 * distance:.1f}/255 RMS")
    return said


def compare(before: Path, after: Path, tolerance: float = TOLERANCE) -> list[str]:
    """What differs between two folders that hold `notebooks/` and `figures/`: missing or new files, texts, pictures.

    Only what is in `before` is asked for; a picture that is new in `after` is named too. An empty list: the same.
    Raises FileNotFoundError where `before` has neither notebooks nor figures, ValueError for a damaged notebook.
    """
    before, after = Path(before), Path(after)
    old, new = ({p.relative_to(folder / "notebooks").as_posix(): p for pattern in ("*.ipynb", "solutions/*.ipynb")
                 for p in folder.glob(f"notebooks/{pattern}")} for folder in (before, after))
    if not old and not any(p.suffix in PICTURES for p in before.glob("figures/**/*")):
        raise FileNotFoundError(f"no notebooks/*.ipynb and no pictures below figures/ in {before}")
    said = [f"notebooks/{name}: missing now" for name in sorted(old.keys() - new.keys())]
    said += [f"notebooks/{name}: not there before" for name in sorted(new.keys() - old.keys())]
    for name in sorted(old.keys() & new.keys()):
        said += compare_notebooks(old[name], new[name], tolerance)
    return said + compare_figures(before / "figures", after / "figures", tolerance=tolerance)
