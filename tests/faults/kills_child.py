"""Work that writes files, killed (SIGKILL) at every write and started again until it ends by itself.

python kills_child.py FOLDER does each piece of WORK twice: in FOLDER/NAME/whole it is left alone; in FOLDER/NAME/killed it runs
in forked processes, each of which is killed at the next write: with half of the bytes on the disk, before the file is in its
place, and just after. kills.json holds, for each piece and each of its files, how often. Forks, since torch is imported once.
"""

import json
import os
import signal
import sys
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

import nbformat
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmark_child import network, run

from camutils.book import handout, render
from camutils.datasets.scene import scene
from camutils.evaluation import experiments, results
from camutils.evaluation.sanity import sanity
from camutils.networks import train

TOML = """
title = "One picture"
kind = "benchmark"
methods = ["grad_cam"]

[[runs]]
name = "01_{model}"
dataset = "scenes"
models = ["scenes_vgg"]
limit = 1
metrics = ["energy"]
"""


def benchmark_work(folder: Path) -> None:
    run(folder, 6)


def sanity_work(folder: Path) -> None:
    sanity("scenes", network(), "grad_cam", out=folder, limit=2, radii=(0.05,), modules=["6"], device="cpu")


def results_work(folder: Path) -> None:
    """A run, and its copy in a data folder."""
    experiments.DATA = folder / "data"
    (folder / "data" / "experiments").mkdir(parents=True, exist_ok=True)
    (folder / "data" / "experiments" / "01_one.toml").write_text(TOML)
    experiments.make_results(out=folder / "build")


def book(path: Path, text: str) -> None:
    """A notebook that was run, with a picture beside it."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f"{text} ![](../figures/{path.stem}.png)", id="a")])
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def handout_work(folder: Path) -> None:
    """Copies of two notebooks over older copies of them."""
    for module in (render, handout):
        module.NOTEBOOKS, module.ROOT = folder / "notebooks", folder
    for text in ("old", "new"):
        if text == "new" or not (folder / "out").exists():
            for name in ("90_one", "91_two"):
                book(folder / "notebooks" / f"{name}.ipynb", text)
                (folder / "figures").mkdir(exist_ok=True)
                (folder / "figures" / f"{name}.png").write_text(f"{name} {text}")
            handout.handout(out=folder / "out")


def render_work(folder: Path) -> None:
    """A notebook with two pictures over an older one; what papermill and the kernel would give is there already."""
    def executed(source, result, *_, **__):
        figures = Path(os.environ["CAMUTILS_FIGURES"])
        figures.mkdir()
        for name in ("90_a.png", "90_b.png"):
            (figures / name).write_bytes(PICTURE)
        book(Path(result), "new")

    render.papermill.execute_notebook = executed
    render.ROOT, render.NOTEBOOKS = folder, folder / "notebooks"
    path = folder / "notebooks" / "90_one.ipynb"
    if not path.exists():
        book(path, "old")
    render.execute(path, {}, folder / "notebooks", folder / "figures")


def train_work(folder: Path) -> None:
    """A checkpoint beside another one, of few scenes that are one batch."""
    images, present = torch.zeros(4, 3, 96, 96, dtype=torch.uint8), torch.eye(4, 10)
    train._load = lambda split, length=None: (images, present)
    train.mean_average_precision = lambda *_: present.mean(0).numpy()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "SHA256SUMS").exists():
        (folder / "SHA256SUMS").write_text(f"{'0' * 64}  other.pth\n")
    train.train("scenes_vgg", epochs=1, out=folder)


PICTURE = bytes.fromhex(  # a PNG of one black pixel
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c636000000002000148afa4710000000049454e44"
    "ae426082")
WORK = {name.removesuffix("_work"): function for name, function in list(globals().items()) if name.endswith("_work")}


def kill(counts: Counter, log: Path, folder: Path, replace, source, target) -> None:
    """In place of os.replace: each file is cut three times, then left alone; a table that grows is a file for each length."""
    lines = Path(source).read_bytes().count(b"\n") if Path(target).name == "results.csv" else 0
    name = f"{Path(target).relative_to(folder).as_posix()}{f' of {lines} lines' * (lines > 0)}"
    counts[name] += 1
    if counts[name] == 1:
        os.truncate(source, os.path.getsize(source) // 2)
    if counts[name] >= 3:
        replace(source, target)
    if counts[name] <= 3:
        log.write_text(json.dumps(counts))
        os.kill(os.getpid(), signal.SIGKILL)


def in_a_fork(work, folder: Path, log: Path | None = None) -> bool:
    """Do it in a process of its own, cut at the next write if there is a log; whether it ended by itself. RuntimeError: badly."""
    if not (child := os.fork()):
        if log:
            counts = Counter(json.loads(log.read_text()))
            os.replace = partial(kill, counts, log, folder, os.replace)
        try:
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
                work(folder)
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{folder} ended with {status}")
    return status == 0


def main(out: Path) -> None:
    """Everything; kills.json is written at the end."""
    torch.set_num_threads(1)
    results._commit = lambda: None  # git is slow
    scene("test", 0)  # what it reads and imports, forks have
    kills = {}
    for name, work in WORK.items():
        log = out / f"{name}.json"
        log.write_text("{}")
        in_a_fork(work, out / name / "whole")
        while not in_a_fork(work, out / name / "killed", log):
            pass
        kills[name] = json.loads(log.read_text())
    (out / "kills.json").write_text(json.dumps(kills, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
