"""The runner: methods x metrics on a data set, one row per image x class x method; resumable, sharded over processes.

Images go in chunks of `batch`, always the same ones, so a row's number depends neither on where a run was interrupted nor on
how many processes share it: process r of n does chunks r, r + n, r + 2n, … Start several with `torchrun`.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from tqdm import tqdm

from ..core.maps import Method
from ..core.network import evaluating
from ..datasets import VOC_CLASSES, Images, Sample, Skipped, grouped_output, open_dataset
from ..datasets.ahead import load_ahead
from ..datasets.sample import Label, chosen
from ..datasets.voc_targets import VOC_GROUPS
from ..methods import METHODS
from ..methods.parts.masks import same_chunks
from ..networks.load import class_names, default_device, load_model
from ..whole import alone, write_whole
from .measure import CENTRE, COLUMNS, LOCATION, METRICS, Pair, measure, parse_method, place_of, split_list
from .results import Row, check_folder, merge, part_path, provenance, read_table, write_part
from .summary import show, summary, write_summary

HELP = {
    "dataset": "scenes, voc, imagenet or folder.",
    "methods": "Methods, comma-separated; options as name:option=value, e.g. grad_cam:layer=layer3; ^2 last: the map squared.",
    "metrics": f"Metrics, comma-separated: {', '.join(METRICS)}.",
    "limit": "Use only so many images, from the first on.",
    "first": "Number of the first image that is used, counted from 0.",
    "out": "Folder for the results; an interrupted run in it is resumed.",
    "root": "Folder of the data set (voc: holds VOCdevkit; imagenet: Data and Annotations, or val/SYNSET; folder: the images).",
    "split": "Part of the data set; default: test for scenes, val for voc and imagenet; of val, tune chose our defaults, confirm "
             "holds all others.",
    "batch": "Images loaded at once and pairs of image and class per forward pass.",
    "seed": "Seed of methods that draw random numbers, and of the bootstrap.",
    "link": "Confidence: softmax or sigmoid; default: sigmoid for scenes, else softmax.",
    "tolerance": "Pointing game's tolerance in pixels; default: 0 for scenes, else 15.",
}


def _labels(data: Images, sample: Sample, model: nn.Module, names: Sequence[str],
            device: torch.device) -> tuple[dict[Label, int] | None, bool]:
    """Class -> output (None: whichever is largest), and whether ImageNet's outputs are to be grouped for VOC.

    names: those of the outputs, where they are known. Raises ValueError for a network that does not take the picture.
    """
    try:
        with evaluating(model), torch.no_grad():
            output = model(sample.image[None].to(device))
    except Exception as error:  # whatever a network of somebody else raises
        first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
        reason = str(error).partition("\n")[0]
        if first is not None and first.in_channels != 3:
            reason = f"its first convolution takes {first.in_channels} channel{'s' * (first.in_channels > 1)}"
        raise ValueError(f"{type(model).__name__} does not take pictures {(1, *sample.image.shape)}: {reason}; accepted: a "
                         "network that takes RGB (B, 3, H, W), or a module around it that makes its input of that") from error
    if not isinstance(output, torch.Tensor) or output.ndim != 2:
        raise ValueError(f"the network returned {type(output).__name__}; accepted here: logits (B, classes)")
    outputs = output.shape[1]
    if data.kind == "voc" and outputs not in (1000, len(VOC_CLASSES)):
        raise ValueError(f"the network has {outputs} outputs; accepted for voc: ImageNet's 1000, or VOC's 20 in their order")
    if data.kind == "voc":
        return {name: i for i, name in enumerate(VOC_GROUPS if outputs == 1000 else VOC_CLASSES)}, outputs == 1000
    if data.kind == "folder" and not data.boxes:
        return None, False
    known: dict[Label, int] = {i: i for i in range(outputs)}
    if data.kind == "folder":
        known |= {name: i for i, name in enumerate(names) if names.count(name) == 1}  # of two cranes it is neither
    return known, False


def _pairs(sample: Sample, labels: dict[Label, int] | None, model: nn.Module,
           device: torch.device) -> tuple[list[Pair], list[Row]]:
    """(sample, position of the class, target) of a sample's classes, and notes on those that the network does not know."""
    if labels is None:
        with evaluating(model), torch.no_grad():
            return [(sample, None, int(model(sample.image[None].to(device)).argmax()))], []
    known: list[Pair] = []
    notes: list[Row] = []
    for position, c in enumerate(sample.classes):
        if c in labels:
            known.append((sample, position, labels[c]))
        else:
            notes.append({"image": sample.name, "what": "left out", "note": f"class {c}: this network has no output for it"})
    return known, notes


def _chunk(items: list[Sample | Skipped], waited: float, labels: dict[Label, int] | None, model: nn.Module, batch: int,
           first_seed: int, run: partial[list[Row]]) -> dict[str, Any]:
    """One part: rows, notes and seconds of one chunk of images. Each batch of pairs draws from a seed of its own."""
    seconds = {"images": len(items), "loading": waited, "location": 0.0, "forwards": 0.0}
    notes: list[Row] = []
    pairs: list[Pair] = []
    for item in items:
        if not isinstance(item, Sample):
            notes.append({"image": item.name, "what": "skipped", "note": item.reason})
            continue
        found, missing = _pairs(item, labels, model, run.keywords["device"])
        pairs += found
        notes += [{"image": item.name, "what": "changed", "note": note} for note in item.notes] + missing
    rows = []
    for low, high in pairwise(_cuts(len(pairs), batch)):
        rows += run(model, pairs[low:high], seconds=seconds, seed=first_seed + low)
    return {"rows": rows, "notes": notes, "timing": seconds}


def _cuts(length: int, batch: int) -> list[int]:
    """Where to cut `length` things into as few parts of at most `batch` as will do, all of nearly equal size: 0, ..., length."""
    if not length:
        return []
    count = ceil(length / batch)
    return [length * i // count for i in range(count + 1)]


def _measure_all(out: Path, data: Images, model: nn.Module, names: Sequence[str], chunks: list[range], batch: int, seed: int,
                 run: partial[list[Row]], rank: int, world: int) -> None:
    """This process's chunks, those aside that are already there."""
    mine = range(rank, len(chunks), world)
    todo = [k for k in mine if not part_path(out, k).exists()]
    labels: dict[Label, int] | None = {}
    grouped = False
    if todo:
        first = _first_sample(data, range(chunks[0].start, chunks[-1].stop))
        if first is not None:
            labels, grouped = _labels(data, first, model, names, run.keywords["device"])
    images = sum(len(chunks[k]) for k in mine)
    with ExitStack() as stack:
        if grouped:
            stack.enter_context(grouped_output(model))
        done = images - sum(len(chunks[k]) for k in todo)
        bar = stack.enter_context(tqdm(total=images, initial=done, desc="benchmark", unit="image", disable=rank > 0))
        for k, items, waited in load_ahead(data, [(k, chunks[k]) for k in todo], min(8, os.cpu_count() or 1)):
            first_seed = (seed << 32) + (k << 12)  # chunks of one run, and runs of different seeds, share no seed
            write_part(out, k, _chunk(items, waited, labels, model, batch, first_seed, run))
            bar.update(len(items))


def _first_sample(data: Images, indices: range) -> Sample | None:
    """The first of these images that can be used; None where none can."""
    for i in indices:
        sample = data[i]
        if isinstance(sample, Sample):
            return sample
    return None


def _finish(out: Path, chunks: int, columns: list[str], methods: list[str], seed: int) -> None:
    """Merge, summarise, and say in a few lines what was measured, what was not, and where the time went."""
    if not (out / "results.csv").exists():
        merge(out, chunks, columns)
    shutil.rmtree(out / "parts", ignore_errors=True)
    files = (out / f"{name}.csv" for name in ("results", "notes", "timing"))  # a finished run may have been copied without timing
    needed = (COLUMNS, ("image", "what", "note"), ())
    table, notes, timing = (read_table(p, columns) if p.exists() else [] for p, columns in zip(files, needed, strict=True))
    for what, count in sorted(Counter(note["what"] for note in notes).items()):
        reasons = Counter(note["note"] for note in notes if note["what"] == what).most_common(5)
        print(f"{what}: {count} ({'; '.join(f'{n} x {reason}' for reason, n in reasons)}); all in notes.csv")
    if not table:
        raise ValueError(f"no image could be measured; {out / 'notes.csv'} says why for each")
    lines = summary(table, seed=seed)
    write_summary(out / "summary.csv", lines)
    print(show(lines))
    names = ("images", "loading", "location", "forwards", *methods)
    total = {name: np.nansum([row.get(name, 0.0) for row in timing]) for name in names}
    spent = sum(total[m] for m in methods)
    beside = total["loading"] + total["location"]
    print(f"{len(table)} rows, {total['images']:.0f} images; methods {spent:.1f} s, metrics' forwards {total['forwards']:.1f} s; "
          f"loading and location {beside:.1f} s = {beside / max(spent, 1e-9):.1%} of that of the methods")


def benchmark(dataset: str | Images, model: str | nn.Module, methods: str | Iterable[str],
              metrics: str | Iterable[str] | None = None, *, out: str | Path, limit: int | None = None, first: int = 0,
              root: str | Path | None = None, split: str | None = None, batch: int = 8, seed: int = 0, link: str | None = None,
              tolerance: float | None = None, options: dict[str, Any] | None = None,
              device: torch.device | str | None = None) -> list[Row]:
    """Measure methods on a data set; write results.csv, notes.csv, timing.csv, summary.csv and config.json to `out`.

    dataset: a name, or an `Images`; model: a name of `load_model`, or a network that takes RGB in [0, 1]; methods, metrics:
    text as on the command line, or lists; options: keyword options for every method, e.g. {"layer": "layer3"}; the rest: HELP.
    The centre baseline is always a row. Returns the summary. Run again after a kill it goes on where it stopped and ends with
    the same table; with another configuration, or while another process is at work in `out`, it raises ValueError. ValueError,
    TypeError also for what methods and data sets refuse; FileNotFoundError for missing data or weights.
    """
    names = [m for m in split_list(methods) if m != CENTRE]
    data = open_dataset(dataset, root, split)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    able = [m for m in METRICS if data.boxes or m not in LOCATION]
    if metrics is None:
        metrics = [m for m in ("pointing", "energy", "drop", "increase") if m in able]
    else:
        metrics = split_list(metrics)
    unknown = [m for m in metrics if m not in able]
    kind = data.kind if data.boxes else f"{data.kind} without boxes"
    if unknown or batch < 1 or (limit is not None and limit < 1) or not names:
        raise ValueError(f"methods {names}, metrics {metrics}, batch {batch}, limit {limit}; accepted for {kind}: "
                         f"at least one method, metrics from {', '.join(able)}, batch and limit 1 or more")
    numbers = chosen(data, first, limit)
    parsed: dict[str, Method] = {name: partial(parse_method(name, METHODS), **(options or {})) for name in names}
    used = data.names[numbers.start : numbers.stop]
    place = torch.device(device or default_device())
    if isinstance(model, nn.Module):
        network, place = model, place_of(model)
    else:
        if place.type == "cuda" and world > 1:
            place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
        network = load_model(model, place)
    link = link or data.link
    if tolerance is None:
        tolerance = 0 if data.kind == "scenes" else 15
    config = {"dataset": data.kind, "split": split, "limit": limit, "images": len(used), "methods": names, "metrics": metrics,
              "model": model if isinstance(model, str) else type(model).__name__, "link": link, "tolerance": tolerance,
              "batch": batch, "seed": seed, "options": options or {}, "device": place.type}
    if first:  # runs that begin at the first image are written down as they always were
        config["first"] = first
    if data.boxes_sha256:
        config["boxes_sha256"] = data.boxes_sha256
    record, out = provenance(config, network, used), Path(out)
    chunks = [range(low, min(low + batch, numbers.stop)) for low in numbers[::batch]]
    with ExitStack() as stack:
        stack.enter_context(same_chunks())
        if rank == 0:
            stack.enter_context(alone(out))
        check_folder(out, record)
        if world > 1 and not dist.is_initialized():
            dist.init_process_group("gloo", timeout=timedelta(days=7))
            stack.callback(dist.destroy_process_group)
        if rank == 0:
            if not (out / "config.json").exists():
                write_whole(out / "config.json", json.dumps(record, indent=1) + "\n")
            if not (out / "results.csv").exists():
                (out / "parts").mkdir(exist_ok=True)
        if world > 1:
            dist.barrier()
        if not (out / "results.csv").exists():
            run = partial(measure, methods=parsed, metrics=metrics, link=link, tolerance=tolerance, device=place)
            outputs = class_names(model) if isinstance(model, str) else []
            _measure_all(out, data, network, outputs, chunks, batch, seed, run, rank, world)
        if world > 1:
            dist.barrier()
        if rank == 0:
            _finish(out, len(chunks), [*COLUMNS, "confidence", *metrics], names, seed)
        if world > 1:
            dist.barrier()
        return read_table(out / "summary.csv")
