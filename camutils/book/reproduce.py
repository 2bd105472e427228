"""Render the notebooks as other machines would (older instructions, one thread, other kernels); compare with what is committed.

    reproduce()                          every notebook under every variant; a line per notebook, a mark per variant
    reproduce(["21"], ["sse41"])         some of them
    environment("avx2_one_thread")       the variables of one variant, for a command of your own: env $(camutils reproduce ...)

A variant is a set of environment variables that the kernel starts with. They choose which code PyTorch (oneDNN, MKL and its own
kernels), OpenBLAS and NumPy run, hence in which order sums are taken and whether a product is rounded before it is added.
"""

import csv
import io
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from ..evaluation.machine import cpu_name
from ..places import BUILD, DATA, ROOT
from ..whole import write_whole
from .compare import compare_figures, compare_notebooks
from .render import environment_variables, execute, find_notebooks

AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "OPENBLAS_CORETYPE": "Haswell"}
SSE41 = {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# name -> environment variables; WITHOUT_AVX512 and WITHOUT_ONEDNN are filled in on the machine that runs them
VARIANTS: dict[str, dict[str, str]] = {
    "native": {},
    "avx2": {**AVX2, "NPY_DISABLE_CPU_FEATURES": "WITHOUT_AVX512"},
    "sse41": SSE41,
    "one_thread": ONE_THREAD,
    "no_onednn": {"IPYTHONDIR": "WITHOUT_ONEDNN"},
    "avx2_one_thread": {**AVX2, **ONE_THREAD, "NPY_DISABLE_CPU_FEATURES": "WITHOUT_AVX512"},
}
RELEASE = ("native", "avx2", "sse41", "one_thread", "no_onednn")  # what is asked of a release; the last of VARIANTS is for CI
STORED = DATA / "reproduced.csv"
COLUMNS = ("notebook", "variant", "differ", "commit", "processor", "python", "versions")  # of reproduced.csv
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "matplotlib", "scikit-learn", "scikit-image")


def numpy_features() -> str:
    """Those features of this NumPy that need AVX-512 and that this CPU has, separated by commas: what `avx2` turns off."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    wide = [f for f in __cpu_dispatch__ if f.startswith("AVX512") or f == "X86_V4"]
    return ",".join(f for f in wide if __cpu_features__.get(f))


def _profile() -> Path:
    """An IPython folder whose start-up file turns oneDNN off in every kernel that uses it."""
    folder = BUILD / "reproduce" / "ipython"
    startup = folder / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    (startup / "00_no_onednn.py").write_text("import torch\n\ntorch.backends.mkldnn.enabled = False\n")
    return folder


def environment(variant: str) -> dict[str, str]:
    """The environment variables of a variant on this machine. ValueError for an unknown name."""
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r}; accepted: {', '.join(VARIANTS)}")
    values = dict(VARIANTS[variant])
    if "NPY_DISABLE_CPU_FEATURES" in values:
        values["NPY_DISABLE_CPU_FEATURES"] = numpy_features()
    if "IPYTHONDIR" in values:
        values["IPYTHONDIR"] = str(_profile())
    return values


def render_once(notebook: Path, variant: str) -> list[str]:
    """Render one notebook under one variant, away from what is committed, and say what differs from that, a line each."""
    from papermill.exceptions import PapermillExecutionError

    folder = BUILD / "reproduce" / variant
    number = notebook.stem.split("_")[0]
    with environment_variables(environment(variant)):
        try:
            execute(notebook, {}, folder / "notebooks", folder / "figures")
        except PapermillExecutionError as error:
            return [f"{notebook.name} cell {error.cell_index}: {error.ename}: {error.evalue}"]
    said = compare_notebooks(notebook, folder / "notebooks" / notebook.name)
    if notebook.stem == number:  # solutions save no figure
        return said
    return said + compare_figures(ROOT / "figures", folder / "figures", f"{number}_*")


def reproduce(names: Iterable[str] | None = None, variants: Iterable[str] | None = None, store: bool = False) -> list[str]:
    """Render notebooks under variants and compare with the committed ones: what differs, a line each; an empty list if nothing.

    names: as `find_notebooks`; variants: names out of VARIANTS, default RELEASE. Prints the processor, what differs as it is
    found, and at the end a table notebook x variant with the number of cells and pictures that differ. store=True puts the
    rows of these notebooks into data/reproduced.csv, with the commit, the processor and the versions that they belong to.
    Raises ValueError for an unknown name, and for store=True in a tree with changes or without all variants of RELEASE.
    """
    books, variants = find_notebooks(names), list(variants or RELEASE)
    for variant in variants:
        environment(variant)
    commit = _clean_commit(variants) if store else ""
    print(f"processor: {cpu_name()}", flush=True)
    cells, said = {}, []
    with tqdm(total=len(books) * len(variants), desc="renders", unit="render") as bar:
        for variant in variants:
            for book in books:
                lines = render_once(book, variant)
                for line in lines:
                    tqdm.write(f"[{variant}] {line}")
                cells[book.stem, variant] = len(lines)
                said += [f"[{variant}] {line}" for line in lines]
                bar.update()
    print(table(cells, [b.stem for b in books], variants))
    if store:
        _store(cells, commit)
    return said


def table(cells: dict[tuple[str, str], int], books: list[str], variants: list[str]) -> str:
    """Notebook x variant as text: `same`, or how many texts and pictures differ."""
    width = max(len(b) for b in books)
    lines = [" " * width + "".join(f"  {v:>15}" for v in variants)]
    for book in books:
        marks = ["same" if cells[book, v] == 0 else f"{cells[book, v]} differ" for v in variants]
        lines.append(f"{book:<{width}}" + "".join(f"  {mark:>15}" for mark in marks))
    return "\n".join(lines)


def _clean_commit(variants: list[str]) -> str:
    """The commit that the rows will belong to; ValueError where the tree has changes, or a notebook would be asked in part."""
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True).stdout.strip()

    if set(variants) != set(RELEASE):
        raise ValueError(f"store wants whole rows: {', '.join(RELEASE)}")
    if git("status", "--porcelain"):
        raise ValueError("store wants a tree without changes: commit first")
    return git("rev-parse", "HEAD")


def _store(cells: dict[tuple[str, str], int], commit: str) -> None:
    """data/reproduced.csv: a row per notebook and variant, each with the commit, the processor and the versions it belongs to.

    Rows of notebooks that were not rendered now stay as they are.
    """
    versions = " ".join(f"{name}=={version(name)}" for name in PACKAGES)
    rows = {}
    if STORED.exists():
        with STORED.open(newline="", encoding="utf-8") as file:
            rows = {(row["notebook"], row["variant"]): row for row in csv.DictReader(file)}
    for (book, variant), count in cells.items():
        values = (book, variant, str(count), commit, cpu_name(), platform.python_version(), versions)
        rows[book, variant] = dict(zip(COLUMNS, values, strict=True))
    kept = {book.stem for book in find_notebooks()}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[key] for key in sorted(rows) if key[0] in kept)
    write_whole(STORED, text.getvalue())
