"""Experiments, found, listed and made: `make_results` measures what the files of data/experiments ask (`experiment_files`).

    print(listing(find_runs(["20"])))     the runs of the experiments 20_*
    make_results(["20_gig_cam"])          measures them in build/results, keeps their tables in data/results
"""

import os
from collections.abc import Iterable
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch.distributed as dist
from tqdm import tqdm

from ..places import BUILD, DATA
from ..whole import put
from .benchmark import benchmark
from .experiment_files import Run, read_experiment
from .sanity import sanity

KEPT = ("notes.csv", "results.csv", "summary.csv", "config.json")  # what is copied to data/results; the last says: all there
FOLDERS = {"imagenet": "ILSVRC", "voc": "VOCdevkit"}  # data set -> its folder in `assets`; the scenes need none
SPLITS = {"scenes": "test", "imagenet": "val", "voc": "val"}  # what a data set gives if no split is asked for
COLUMNS = ("run", "kind", "data set", "network", "split", "images", "methods", "stored", "metrics")


def read_experiments() -> list[Run]:
    """All runs of all files of data/experiments, in the order of the files. Raises ValueError as `read_experiment`, and for a
    name that two runs have."""
    runs: dict[str, Run] = {}
    for path in sorted((DATA / "experiments").glob("*.toml")):
        for run in read_experiment(path):
            if run.name in runs:
                raise ValueError(f"{path.name}: a run {run.name!r} stands in {runs[run.name].experiment}.toml already; "
                                 "accepted: a name of its own for each run")
            runs[run.name] = run
    return list(runs.values())


def find_runs(names: Iterable[str] | None = None) -> list[Run]:
    """Runs by an experiment's number (20), by its file (20_gig_cam) or by their own names; none: all.

    Raises ValueError for an unknown name, with the nearest ones.
    """
    runs = read_experiments()
    if not names:
        return runs
    picked: set[str] = set()
    for name in [names] if isinstance(names, str) else names:
        wanted = Path(name).name.removesuffix(".toml")
        found = [run.name for run in runs if wanted in (run.name, run.experiment, run.experiment[:2])]
        if not found:
            known = {run.experiment for run in runs} | {run.name for run in runs}
            near = get_close_matches(wanted, sorted(known), cutoff=0.3) or ["none"]
            raise ValueError(f"unknown experiment {name!r}; nearest: {', '.join(near)}; accepted: numbers, files and runs, as "
                             "`camutils results --dry-run` lists them")
        picked.update(found)
    return [run for run in runs if run.name in picked]


def _cells(run: Run) -> list[str]:
    """What the listing says of one run, a text for each of COLUMNS."""
    split = run.split or SPLITS[run.dataset]
    images = "all" if run.limit is None else str(run.limit)
    if run.first:
        images += f" from {run.first}"
    metrics = "controls" if run.metrics is None else ",".join(run.metrics)
    stored = "yes" if (DATA / "results" / run.name / "config.json").exists() else "no"
    return [run.name, run.kind, run.dataset, run.model, split, images, str(len(run.methods)), stored, metrics]


def listing(runs: list[Run]) -> str:
    """A table as text: under each experiment's file and title its runs, what they ask, and whether their results are stored."""
    rows = [_cells(run) for run in runs]
    widths = [max(map(len, column)) + 2 for column in zip(COLUMNS, *rows, strict=True)]
    lines = []
    for row in [COLUMNS, *rows]:
        lines.append("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    table = lines[:1]
    for i, run in enumerate(runs):
        if i == 0 or run.experiment != runs[i - 1].experiment:
            table += ["", f"{run.experiment}.toml: {run.title}"]
        table.append(lines[i + 1])
    return "\n".join(table)


def roots(assets: str | Path) -> dict[str, Path | None]:
    """Data set -> the folder that its loader takes, inside `assets`; the scenes need none."""
    return {"scenes": None, "imagenet": Path(assets) / "ILSVRC", "voc": Path(assets)}


def runs_at_hand(runs: list[Run], assets: str | Path, say: bool = True) -> list[Run]:
    """The runs whose data set is there; of the others a line (say) tells how many are left out, and for want of what."""
    for dataset, folder in FOLDERS.items():
        count = sum(run.dataset == dataset for run in runs)
        if count and not (assets and (Path(assets) / folder).is_dir()):
            runs = [run for run in runs if run.dataset != dataset]
            if say:
                print(f"left out: {count} runs on {dataset}, for want of {folder}/ in the folder --assets or $CAMUTILS_ASSETS")
    return runs


def _make(run: Run, assets: str | Path, batch: int, out: Path, rank: int) -> None:
    """Measure one run in its folder, and copy what is kept."""
    options: dict[str, Any] = {"out": out / run.name, "root": roots(assets)[run.dataset], "limit": run.limit, "first": run.first,
                               "split": run.split, "batch": batch}
    if run.kind == "benchmark":
        benchmark(run.dataset, run.model, run.methods, run.metrics, **options)
    elif rank == 0:  # it is not shared: the other processes wait
        sanity(run.dataset, run.model, run.methods, **options)
    if rank == 0:
        kept = DATA / "results" / run.name
        kept.mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            put(out / run.name / name, kept / name)


def make_results(names: Iterable[str] | None = None, assets: str | Path | None = None, dry_run: bool = False, batch: int = 8,
                 out: str | Path = BUILD / "results") -> list[Run]:
    """Measure runs, each in out/NAME, and copy their tables to data/results/NAME; return the runs that were made.

    names: see `find_runs`; assets: folder that holds ILSVRC/ and VOCdevkit/ (None: $CAMUTILS_ASSETS), without which only the
    scenes are measured; dry_run: print `listing`, make nothing; batch: as `benchmark`. A run that was interrupted goes on where
    it stopped; several processes of `torchrun` share the work. Raises ValueError as `find_runs`, and for a folder in `out` that
    holds another configuration; FileNotFoundError for missing weights.
    """
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    runs = find_runs(names)
    if dry_run:
        if rank == 0:
            print(listing(runs))
        return []
    if assets is None:
        assets = os.environ.get("CAMUTILS_ASSETS", "")
    runs = runs_at_hand(runs, assets, say=rank == 0)
    own = world > 1 and not dist.is_initialized()
    if own:  # one group of processes for all runs
        dist.init_process_group("gloo", timeout=timedelta(days=7))
    try:
        bar = tqdm(runs, desc="results", unit="run", disable=rank > 0)
        for run in bar:
            bar.set_postfix_str(run.name)
            _make(run, assets, batch, Path(out), rank)
            if world > 1:
                dist.barrier()
    finally:
        if own:
            dist.destroy_process_group()
    return runs
