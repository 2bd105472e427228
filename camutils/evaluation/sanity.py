"""Sanity checks on a data set: does a method's map still look the same where it should not?

One row per image, class, method and control: how like the untouched map is the map under the control, and what does it score?
The controls of `control_maps`, and three that need all pictures:

    other    the method's maps of other pictures: the floor, how alike two maps are that have nothing in common
    mean     the method's mean map over all other pictures
    centre   a spot in the middle of the picture

A method that reads the network is near `other` with random weights, shuffled labels, another class, and far above it under noise.
Beside every method stands `edges`, which never looks at the network.
"""

import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..core.maps import Method
from ..core.probe import predict
from ..datasets import Images, Sample, open_dataset
from ..datasets.sample import chosen
from ..methods import METHODS
from ..methods.parts.masks import same_chunks
from ..networks.load import default_device, load_model
from ..networks.scene_networks import SCENE_NETWORKS, SHUFFLED
from ..whole import alone, write_whole
from .controls import cascade_modules, control_maps, edges, likeness
from .measure import CENTRE, location, parse_method, place_of, split_list
from .metrics import centre_map
from .results import Row, as_csv, check_folder, checksum, provenance, read_provenance, read_table
from .statistics import Comparison, Interval, bootstrap_mean, paired_bootstrap

Pair = tuple[Sample, int, int]  # a sample, the position of the class in it, the target
EDGES, FLOOR, OTHERS = "edges", "other", 8
COLUMNS = ["image", "class", "method", "control", "correlation", "ssim", "pointing", "energy"]
SUMMARY = ["method", "control", "mean", "low", "high", "above", "above_low", "above_high", "ssim", "pointing", "energy"]


def _rows(name: str, control: str, L: Tensor, draws: list[Tensor], pairs: list[Pair], tolerance: float) -> list[Row]:
    """One row per pair of image and class: means over the draws."""
    boxes = [s.boxes[p] for s, p, _ in pairs]
    values: dict[str, list[list[float]]] = {c: [] for c in COLUMNS[4:]}  # column -> per draw one number per pair
    for M in draws:
        rho, ssim = likeness(L, M)
        full = [s.geometry.restore(m) for (s, _, _), m in zip(pairs, M, strict=True)]
        found = {"correlation": rho.tolist(), "ssim": ssim.tolist()}
        found |= location(full, boxes, ("pointing", "energy"), tolerance)
        for column, value in found.items():
            values[column].append(value)
    means = {c: np.mean(v, 0).round(4).tolist() for c, v in values.items()}
    rows = []
    for i, (s, p, _) in enumerate(pairs):
        row = {"image": s.name, "class": str(s.classes[p]), "method": name, "control": control}
        rows.append(row | {c: v[i] for c, v in means.items()})
    return rows


def _method_rows(name: str, method: Method, pairs: list[Pair], batch: int, outputs: int, tolerance: float, device: torch.device,
                 run: partial[dict[str, list[Tensor]]]) -> list[Row]:
    """All rows of one method, control by control."""
    rows: list[Row] = []
    own: list[Tensor] = []  # the untouched maps, batch by batch
    chunks = [pairs[i : i + batch] for i in range(0, len(pairs), batch)]
    for chunk in tqdm(chunks, desc=name, unit="batch"):
        images = torch.stack([s.image for s, _, _ in chunk]).to(device)
        targets = torch.tensor([t for _, _, t in chunk], device=device)
        absent = torch.tensor([_absent_class(s, t, outputs) for s, _, t in chunk], device=device)
        found = run(method, images=images, targets=targets, absent=absent)
        own.append(found["itself"][0])
        for control, draws in found.items():
            rows += _rows(name, control, own[-1], draws, chunk, tolerance)
    L = torch.cat(own)                                    # (N, H, W), a map per pair
    apart = _of_other_pictures(pairs)
    mean = torch.stack([L[others].mean(0) for others in apart])
    centre = centre_map(L.shape[1:]).to(L).expand_as(L)
    for control, draws in ((FLOOR, _floor_maps(L, apart)), ("mean", [mean]), ("centre", [centre])):
        rows += _rows(name, control, L, draws, pairs, tolerance)
    return rows


def _absent_class(sample: Sample, target: int, outputs: int) -> int:
    """The first class after the target, round the network's outputs, that is not in the picture."""
    return next(c for c in ((target + step) % outputs for step in range(1, outputs + 1)) if c not in sample.classes)


def _of_other_pictures(pairs: list[Pair]) -> list[list[int]]:
    """For every pair the places of all pairs that are of another picture."""
    names = [s.name for s, _, _ in pairs]
    return [[k for k, other in enumerate(names) if other != own] for own in names]


def _floor_maps(L: Tensor, apart: list[list[int]]) -> list[Tensor]:
    """OTHERS times maps of other pictures in place of L (N, H, W): evenly spread over them, each pair beginning one further."""
    draws = []
    for j in range(OTHERS):
        picked = []
        for i, others in enumerate(apart):
            step = j * len(others) // OTHERS
            picked.append(others[(i + step) % len(others)])
        draws.append(L[picked])
    return draws


def summarise(rows: list[Row], seed: int = 0) -> list[Row]:
    """Per method and control: mean correlation, 95 % interval by image, and how far it stands above `other` (paired).

    NaN for a method whose untouched maps are all constant. ValueError where a control has not the rows of the others.
    """
    lines: list[Row] = []
    table: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        table.setdefault((row["method"], row["control"]), []).append(row)
    for (method, control), own in table.items():
        if len(table.get((method, FLOOR), ())) != len(own):
            raise ValueError(f"{method} has other rows for {control} than for {FLOOR}; accepted: a row of each control for each "
                             "image and class, as `sanity` writes them")
        images = [r["image"] for r in own]
        rho = [r["correlation"] for r in own]
        floor = [r["correlation"] for r in table[method, FLOOR]]
        if np.isnan(rho).all():
            m, d = Interval(np.nan, np.nan, np.nan, 0), Comparison(np.nan, np.nan, np.nan, np.nan)
        else:
            m, d = bootstrap_mean(rho, images, seed=seed), paired_bootstrap(rho, floor, images, seed=seed)
        line = {"method": method, "control": control, "mean": m.mean, "low": m.low, "high": m.high,
                "above": d.difference, "above_low": d.low, "above_high": d.high}
        for column in ("ssim", "pointing", "energy"):
            known = [r[column] for r in own if not np.isnan(r[column])]
            line[column] = float(np.mean(known)) if known else np.nan
        lines.append(line)
    return lines


def _methods(path: Path) -> list[str]:
    """The methods of a config.json that is there. ValueError where it is damaged."""
    methods = read_provenance(path)["config"].get("methods")
    if not isinstance(methods, list) or not all(isinstance(name, str) for name in methods):
        raise ValueError(f"{path} is damaged (methods are no list of names); accepted: the file as it was written")
    return methods


def sanity(dataset: str | Images, model: str | nn.Module, methods: str | Iterable[str], *, out: str | Path,
           limit: int | None = None, first: int = 0, root: str | Path | None = None, split: str | None = None, batch: int = 8,
           seed: int = 0, draws: int = 1, radii: Sequence[float] = (0.02, 0.05, 0.1), modules: list[str] | None = None,
           shuffled: nn.Module | None = None, device: torch.device | str | None = None) -> list[Row]:
    """Run every control on every method; write results.csv, summary.csv and config.json to `out`; return the summary.

    dataset, model, methods: as `benchmark`; data sets whose classes are the network's outputs: scenes, imagenet. modules: the
    cascade's steps, head first (None: `cascade_modules`); draws: of random weights and noise; shuffled: the network of `labels`
    (None: MODEL_shuffled; without one the control is left out). Finished methods in `out` are kept: run again with other
    methods, it adds theirs. With any other setting, or while another process is at work in `out`, it raises ValueError, as
    for what methods and data sets refuse.
    """
    data, device = open_dataset(dataset, root, split), torch.device(device or default_device())
    names = [n for n in split_list(methods) if n != CENTRE]  # which is a control
    parsed: dict[str, Method] = {EDGES: edges} | {name: parse_method(name, METHODS) for name in names}
    fit = data.kind in ("scenes", "imagenet") and data.boxes
    if not fit or min(batch, draws, len(names)) < 1 or (limit is not None and limit < 2):
        raise ValueError(f"data set {data.kind}, methods {names}, batch {batch}, draws {draws}, limit {limit}; accepted: scenes "
                         "or imagenet with boxes, at least one method, batch and draws 1 or more, limit 2 or more")
    numbers = chosen(data, first, limit)
    used = data.names[numbers.start : numbers.stop]
    if isinstance(model, nn.Module):
        network, device = model, place_of(model)
    else:
        network = load_model(model, device)
    if shuffled is None and f"{model}{SHUFFLED}" in SCENE_NETWORKS:
        shuffled = load_model(f"{model}{SHUFFLED}", device)
    modules = modules or cascade_modules(network)
    config = {"dataset": data.kind, "split": split, "limit": limit, "images": len(used), "methods": names, "modules": modules,
              "model": model if isinstance(model, str) else type(model).__name__, "shuffled": shuffled and checksum(shuffled),
              "radii": list(radii), "draws": draws, "batch": batch, "seed": seed, "device": device.type}
    if first:  # as `benchmark`
        config["first"] = first
    record, out = provenance(config, network, used), Path(out)
    with alone(out), same_chunks():
        if (out / "config.json").exists():
            record["config"]["methods"] = _methods(out / "config.json")
        check_folder(out, record)
        record["config"]["methods"] = list(dict.fromkeys([*record["config"]["methods"], *names]))
        write_whole(out / "config.json", json.dumps(record, indent=1) + "\n")
        rows = read_table(out / "results.csv", COLUMNS) if (out / "results.csv").exists() else []
        items = [data[i] for i in numbers]
        samples = [s for s in items if isinstance(s, Sample)]
        notes = [{"image": s.name, "what": "skipped", "note": s.reason} for s in items if not isinstance(s, Sample)]
        write_whole(out / "notes.csv", as_csv(notes, ["image", "what", "note"]))
        pairs = [(s, p, int(c)) for s in samples for p, c in enumerate(s.classes)]
        if len({s.name for s, _, _ in pairs}) < 2:
            raise ValueError(f"{len(samples)} of {len(items)} pictures can be used; accepted: 2 or more, with classes")
        outputs = predict(network, samples[0].image[None].to(device)).shape[1]
        crowded = [s.name for s in samples if set(range(outputs)) <= {int(c) for c in s.classes}]
        if crowded:
            raise ValueError(f"{crowded[0]} holds all {outputs} classes of the network; accepted: pictures that leave one out")
        run = partial(control_maps, model=network, modules=modules, shuffled=shuffled, radii=radii, draws=draws, seed=seed)
        for name in [n for n in parsed if n not in {row["method"] for row in rows}]:
            rows += _method_rows(name, parsed[name], pairs, batch, outputs, 0 if data.kind == "scenes" else 15, device, run)
            write_whole(out / "results.csv", as_csv(rows, COLUMNS))
        lines = summarise(read_table(out / "results.csv"), seed)  # as stored: a run that was interrupted reads its first rows
        write_whole(out / "summary.csv", as_csv(lines, SUMMARY))
        return lines
