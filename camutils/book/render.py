"""Execute the notebooks: papermill runs each from top to bottom, the executed notebook replaces the one on disk, figures follow.

    render()                       every notebook on the embedded scenes -> notebooks/, figures/
    render(preset="photos")        on photographs                        -> build/photos/, figures/photos/
    render(preset="voc2012")       published tables on the full data set -> build/voc2012/, figures/voc2012/  (or ilsvrc2012)
    render(parameters={...})       with parameters of your own           -> build/custom/
    render(formats=["pdf"])        every figure also as PDF, with its numbers as CSV  -> build/figures/, the rest to build/custom/
Two renders of the same notebook are byte-identical, cells marked NBVAL_IGNORE_OUTPUT (seconds) aside: what papermill and the
kernel add (times, versions) is taken out.
"""

import os
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import nbformat
import oxipng
import papermill
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from tqdm import tqdm

from ..networks.load import load_model
from ..places import BUILD, NOTEBOOKS, ROOT, need_checkout
from ..whole import check_writable, put
from .compare import rms
from .figures import FORMATS

PRESETS: dict[str, dict[str, str]] = {  # name -> parameters; a notebook that does not know all of them is left out and named
    "scenes": {},
    "photos": {"data": "photos", "network": "efficientnet_lite0"},
    "voc2012": {"protocol": "voc2012", "table_network": "resnet50", "root": ""},  # root: the folder that CAMUTILS_ASSETS names
    "ilsvrc2012": {"protocol": "ilsvrc2012", "table_network": "resnet50", "root": "ILSVRC"},
}
KINDS: dict[str, tuple[type, ...]] = {  # of parameters, by the annotation in their cell
    "bool": (bool,), "int": (int,), "float": (int, float), "str": (str,), "list": (list, tuple), "tuple": (list, tuple)}
SAME = 0.25 / 255  # root mean square below which two pictures are one drawing; a single other digit in a figure is above it


def find_notebooks(names: Iterable[str] | None = None) -> list[Path]:
    """Notebooks in the order of their numbers, the solutions of a lesson, solutions/NN.ipynb, behind it.

    names picks some by stem, number (the lesson and its solutions) or path. ValueError for an unknown one.
    """
    need_checkout("the notebooks are")
    found = [*NOTEBOOKS.glob("*.ipynb"), *NOTEBOOKS.glob("solutions/*.ipynb")]
    known = sorted(found, key=lambda p: (p.stem[:2], p.parent != NOTEBOOKS, p.stem))
    if not names:
        return known
    picked: set[Path] = set()
    for name in names:
        stem = Path(name).stem
        match = [p for p in known if p.stem == stem or p.stem.split("_")[0] == stem]
        if not match:
            raise ValueError(f"unknown notebook {name!r}; accepted: {', '.join(p.stem for p in known)}, or their numbers")
        picked.update(match)
    return [p for p in known if p in picked]


def parameters_of(notebook: Path) -> list[str]:
    """Names in the notebook's cell tagged `parameters`."""
    return list(papermill.inspect_notebook(str(notebook)))


def check_types(notebook: Path, values: dict[str, Any]) -> None:
    """ValueError for a value that is not of the type that the notebook's cell `parameters` names: `rows: int = 5`."""
    for name, known in papermill.inspect_notebook(str(notebook)).items():
        kind = known["inferred_type_name"]
        if name in values and not fits(values[name], kind):
            raise ValueError(f"{notebook.stem}: {name} = {values[name]!r} given; accepted: {kind} (on the command line text that "
                             """reads as JSON is JSON: 5 is a number, '"5"' text)""")


def fits(value: Any, kind: str) -> bool:
    """Is it of this kind? A bool is no int, an int may stand for a float, list[int] asks each; what KINDS lacks fits all."""
    outer, _, inner = kind.removesuffix("]").partition("[")
    if outer not in KINDS:
        return True
    right = isinstance(value, KINDS[outer]) and not (isinstance(value, bool) and outer != "bool")
    return right and (not inner or all(fits(one, inner) for one in value))


def preset_values(preset: str) -> dict[str, str]:
    """Parameters of a preset, with the folder of its data set, which has to be there. ValueError, FileNotFoundError."""
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; accepted: {', '.join(PRESETS)}")
    values = dict(PRESETS[preset])
    if "root" in values:
        assets = os.environ.get("CAMUTILS_ASSETS", "")
        values["root"] = str(Path(assets).absolute() / values["root"])
        if not assets or not Path(values["root"]).is_dir():
            place = values["root"] if assets else "a folder of yours"
            raise FileNotFoundError(f"preset {preset} needs the data set, in {place}; name the folder"
                                    " that holds VOCdevkit/ or ILSVRC/ in CAMUTILS_ASSETS (make: ASSETS=...)")
    return values


def clean(path: Path) -> nbformat.NotebookNode:
    """An executed notebook without what differs from run to run: papermill's and the kernel's metadata, how prints were cut
    into pieces on their way, widgets (what they show without a kernel stays)."""
    notebook, _ = CoalesceStreamsPreprocessor().preprocess(nbformat.read(path, as_version=4), {})
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    return notebook


@contextmanager
def environment_variables(values: dict[str, str]) -> Iterator[None]:
    """Run the body with these environment variables (kernels inherit them); afterwards the old ones are back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def execute(notebook: Path, parameters: dict[str, Any], notebooks: Path, figures: Path, formats: Sequence[str] = (),
            dpi: int | None = None) -> None:
    """Run one notebook; only if all of its cells succeed are `notebooks`/NAME.ipynb and its figures replaced.

    A picture in a folder below the project's figures that is the same as its namesake there is not written a second time.
    formats, dpi: of further files, with the numbers of every figure, in build/figures. Raises papermill's
    PapermillExecutionError where a cell fails, ChildProcessError (an OSError) where the kernel dies.
    """
    with tempfile.TemporaryDirectory() as folder:
        result, pictures = Path(folder) / notebook.name, Path(folder) / "figures"
        told = {"CAMUTILS_FIGURES": str(pictures), "CAMUTILS_FORMATS": ",".join(formats), "CAMUTILS_DPI": str(dpi or "")}
        with environment_variables(told):
            try:
                papermill.execute_notebook(str(notebook), str(result), parameters, cwd=str(NOTEBOOKS), kernel_name="python3",
                                           progress_bar={"desc": notebook.stem, "leave": True})
            except RuntimeError as error:  # nbclient's DeadKernelError
                raise ChildProcessError(f"{notebook.name}: {error}, by a signal or for want of memory; the notebook and its "
                                        "figures stay as they were") from error
        finished = clean(result)
        if (notebooks / notebook.name).exists():
            keep_shown(finished, nbformat.read(notebooks / notebook.name, as_version=4))
        nbformat.write(finished, result)
        for place in (notebooks, figures):
            place.mkdir(parents=True, exist_ok=True)
        for picture in sorted((*pictures.glob("*.png"), *pictures.glob("*.gif"))):
            keep_picture(picture, figures / picture.name)
        for printed in sorted(pictures.glob("print/*")):
            put(printed, BUILD / "figures" / printed.name)
        put(result, notebooks / notebook.name)


def keep_picture(picture: Path, target: Path) -> None:
    """Put a new picture in its place, unless the one that is there shows the same: then it stays as it is, to the byte.

    Nor is it written below figures/ where its namesake in figures/ shows the same.
    """
    parent, new = ROOT / "figures" / target.name, picture.read_bytes()
    below = target != parent and target.parent.parent == parent.parent
    if below and parent.exists() and rms(parent.read_bytes(), new) < SAME:
        target.unlink(missing_ok=True)
    elif not target.exists() or rms(target.read_bytes(), new) >= SAME:
        if parent.parent in target.parents and target.suffix == ".png":  # the picture may be committed
            picture.write_bytes(smaller(new))
        put(picture, target)


def smaller(png: bytes) -> bytes:
    """The same pixels in fewer bytes."""
    return oxipng.optimize_from_memory(png, level=4)


def keep_shown(new: nbformat.NotebookNode, old: nbformat.NotebookNode) -> None:
    """Where a cell of `new` shows the same pictures as in `old`, keep the old ones, to the byte: no change without a reason.

    Pictures that are new are stored in as few bytes as they need.
    """
    known = {cell.get("id"): cell.get("outputs", []) for cell in old.cells}
    for cell in new.cells:
        before = [o.data for o in known.get(cell.get("id"), []) if "image/png" in o.get("data", {})]
        now = [o.data for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
        for mine, kept in zip_longest(now, before):
            if mine is None:
                continue
            png = b64decode(mine["image/png"])
            if kept is not None and rms(b64decode(kept["image/png"]), png) < SAME:
                mine["image/png"] = kept["image/png"]
            else:
                mine["image/png"] = b64encode(smaller(png)).decode()


def check_formats(formats: Sequence[str], dpi: int | None) -> None:
    """ValueError for a format that is not written, and for dots per inch that are out of range or without a format."""
    unknown = [kind for kind in formats if kind not in FORMATS]
    if unknown:
        raise ValueError(f"unknown format {', '.join(unknown)}; accepted: {', '.join(FORMATS)}, or several with commas")
    if dpi is not None and not formats:
        raise ValueError(f"dpi {dpi} without a format; accepted: together with --format {', '.join(FORMATS)}")
    if dpi is not None and not 1 <= dpi <= 1200:
        raise ValueError(f"dpi {dpi}; accepted: 1 to 1200")


def render(names: Iterable[str] | None = None, preset: str = "scenes",
           parameters: dict[str, Any] | None = None, formats: Sequence[str] = (), dpi: int | None = None) -> list[Path]:
    """Execute notebooks in order with papermill and return those that ran; a bar names the notebook and counts its cells.

    names: see `find_notebooks`; preset: a name of PRESETS; parameters: name -> value, over the preset's;
    formats: names of FORMATS, dpi: their pixels per inch, of a PDF's or SVG's images only; default: the style's 100.
    Raises ValueError for an unknown notebook, preset, parameter name or format, FileNotFoundError where weights or data are
    missing, PermissionError for a folder that cannot be written to, all before anything runs; as `execute` where a cell fails or
    the kernel dies (notebook and figures then stay as they were).
    """
    check_formats(formats, dpi)
    own, chosen = dict(parameters or {}), find_notebooks(names)
    values = {**preset_values(preset), **own}
    if values or formats:  # presets, parameters and formats are for the lessons
        chosen = [notebook for notebook in chosen if notebook.parent == NOTEBOOKS]
    for notebook in chosen:
        unknown = sorted(set(own) - set(parameters_of(notebook)))
        if unknown:
            known = ", ".join(parameters_of(notebook))
            raise ValueError(f"{notebook.stem} has no parameter {', '.join(unknown)}; accepted: {known}")
        check_types(notebook, values)
    for name in {"network", "table_network"} & set(values):
        load_model(str(values[name]), "cpu")
    if own or formats:
        notebooks = figures = BUILD / "custom"
    elif preset == "scenes":
        notebooks, figures = NOTEBOOKS, ROOT / "figures"
    else:
        notebooks, figures = BUILD / preset, ROOT / "figures" / preset
    for folder in (notebooks, figures, *([BUILD / "figures"] if formats else [])):
        check_writable(folder)
    ran = []
    for notebook in tqdm(chosen, desc="notebooks", unit="notebook"):
        missing = sorted(set(values) - set(parameters_of(notebook)))
        if missing:
            tqdm.write(f"{notebook.stem}: left out, it has no parameter {', '.join(missing)}")
            continue
        place = notebooks / notebook.parent.relative_to(NOTEBOOKS)
        execute(notebook, values, place, figures, formats, dpi)
        ran.append(place / notebook.name)
    return ran
