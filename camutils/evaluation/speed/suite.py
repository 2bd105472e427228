"""The run: network by network, case by case; what is done is written at once, so that a killed run goes on where it stopped."""

import json
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch.utils.benchmark import timer

from ...memory import memory_kept
from ...places import BUILD, DATA
from ...whole import alone, put, write_whole
from ..machine import machine
from ..results import read_record
from .bounds import Best, bounds
from .cases import NAMES, TARGETS, Case, call, cases, parts, seen_by
from .curves import curves, measure, slope, verdict
from .full import SETS, full_sets
from .harness import Contestant, interleave, paired, passes, rounds_for, spread, threads
from .rivals import rivals
from .subjects import NETWORKS, Subject, check_network, subject
from .table import Row, Table, aligned

DEVICES = {"cpu": "cpu", "gpu": "cuda"}
SUITES = (*DEVICES, "all")
PARTS = ("ratios", "curves")
FILES = ("ratios.csv", "curves.csv", "machine.json")
PACKAGES = ("torch", "torchvision", "numpy", "captum", "grad-cam", "torchcam")
SHOWN = ("contestant", "seconds", "ratio", "low", "high", "to_ours", "forwards", "backwards", "target", "verdict", "setting")
VERDICTS = ("suite", "network", "method", "options", "batch", "of", "found", "target", "verdict")
CURVE_ROUNDS = 3


class FirstCall:
    """A method on a network that it has never seen: a copy, made off the clock."""

    def __init__(self, case: Case, own: Subject, x: torch.Tensor, classes: torch.Tensor):
        self.case, self.own, self.x, self.classes = case, own, x, classes
        self.fresh = own

    def ready(self) -> None:
        """Forget everything that was learnt of the network: what is remembered hangs on the object."""
        self.fresh = self.own._replace(model=deepcopy(self.own.model))

    def run(self) -> object:
        """The call."""
        return call(self.case, self.fresh, self.x, self.classes)()


def contestants(case: Case, own: Subject, best: Best) -> list[Contestant]:
    """Bounds, ours on a known and on a new network, peers."""
    x, classes = own.images(case.batch), own.classes(case.batch)
    asked = parts(case, own, x, classes)
    first = FirstCall(case, own, x, classes)
    forward = asked[0]._replace(kind="forward")
    chunk = best.setting(forward, "contiguous").chunk if case.method == "score_cam" else 0
    return [*bounds(own, asked, best), Contestant("ours", call(case, own, x, classes)),
            Contestant("ours, first call", first.run, ready=first.ready), *rivals(case, own, x, classes, chunk)]


def ratio_rows(suite: str, case: Case, own: Subject, best: Best, rounds: int | None) -> list[Row]:
    """A row per contestant: time, ratios within rounds, passes, and for ours whether the target is met."""
    own, said = seen_by(case, own)
    runs, counts, start = contestants(case, own, best), {}, timer()
    for one in runs:
        counts[one.name] = passes(one)  # warms up, too
    rounds = rounds or rounds_for(timer() - start)
    taken = interleave(runs, rounds)
    head = {"suite": suite, "network": own.name, "weights": "trained" if own.trained else "random", "size": own.size,
            "method": case.method, "options": case.label, "batch": case.batch, "rounds": rounds}
    rows = []
    for one in runs:
        ratio, to_ours = paired(taken[one.name], taken["bound"]), paired(taken[one.name], taken["ours"])
        row = {**head, "contestant": one.name, "setting": one.setting, "seconds": spread(taken[one.name]).median,
               **counts[one.name]._asdict(), "ratio": ratio.median, "low": ratio.low, "high": ratio.high,
               "to_ours": to_ours.median}
        if one.name == "ours":
            target = TARGETS[suite][case.method]
            base = target.base if target.base in taken else "bound"
            found = paired(taken["ours"], taken[base]).median
            row |= {"of": base, "found": found, "target": target.most, "verdict": "met" if found <= target.most else "missed",
                    "setting": said}
        rows.append(row)
    return rows


def curve_rows(suite: str, own: Subject, methods: Sequence[str], table: Table, rounds: int) -> Iterable[list[Row]]:
    """For every curve that the table does not hold, a row per value."""
    for curve in curves(own, methods):
        head = {"suite": suite, "network": own.name, "axis": curve.axis, "method": curve.method}
        if table.holds(**head):
            continue
        points = measure(curve, rounds, own.device)
        values = [p.value for p in points]
        time, asked = slope(values, [p.seconds for p in points]), slope(values, [curve.time(v) for v in values])
        memory = slope(values, [p.bytes for p in points])
        flat = slope(values, [curve.memory(v) for v in values])
        slopes = {"slope": time, "theory": asked, "verdict": verdict(time, asked),
                  "memory_slope": memory, "memory_theory": flat, "memory_verdict": verdict(memory, flat)}
        yield [{**head, "rounds": rounds, **point._asdict(), **slopes} for point in points]


def check_machine(out: Path) -> dict[str, Any]:
    """The machine, written into the folder. ValueError where the folder holds times of another one."""
    here, path = machine(PACKAGES) | {"freed_memory": memory_kept()}, out / "machine.json"
    if path.exists():
        there = read_record(path)
        other = [f"{k} is {there.get(k)} there, {here.get(k)} here" for k in {*here, *there} if there.get(k) != here.get(k)]
        if other:
            raise ValueError(f"{out} holds times of another machine: {'; '.join(sorted(other))}; accepted: another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(here, indent=1) + "\n")
    return here


def missing(suite: str, networks: Sequence[str], methods: Sequence[str]) -> list[str]:
    """Lines that name the rows of a suite whose device is not here."""
    rows = [f"{case.method} x {case.batch}" for case in cases(suite) if case.method in methods]
    return [f"{suite}: no {DEVICES[suite].upper()} device here; missing rows of {', '.join(networks)}: {', '.join(rows)}"]


def _names(asked: Sequence[str] | None, known: Sequence[str], what: str) -> list[str]:
    unknown = [name for name in asked or () if name not in known]
    if unknown:
        raise ValueError(f"unknown {what} {', '.join(unknown)}; accepted: {', '.join(known)}")
    return list(asked or known)


def run_speed(suite: str = "cpu", networks: Sequence[str] | None = None, methods: Sequence[str] | None = None,
              which: Sequence[str] | None = None, rounds: int | None = None, workers: int | None = None, out: Path | None = None,
              store: bool = False) -> Path:
    """Measure, print the tables, write OUT/ratios.csv, OUT/curves.csv and OUT/machine.json; rows that are there are kept.

    which: out of PARTS; rounds: None: `rounds_for`; workers: torch's threads, None: as they are; store: copy these files to
    data/speed. Raises ValueError for what is not accepted, and for a folder that holds times of another machine or in
    which another process is at work.
    """
    if suite not in SUITES:
        raise ValueError(f"unknown suite {suite!r}; accepted: {', '.join(SUITES)}")
    methods, which = _names(methods, NAMES, "methods"), _names(which, PARTS, "parts")
    networks, out = list(networks or NETWORKS), out or BUILD / "speed"
    for what, number in (("rounds", rounds), ("threads", workers)):
        if number is not None and number < 1:
            raise ValueError(f"{number} {what}; accepted: 1 or more")
    with threads(workers or torch.get_num_threads()), alone(out):
        _run(suite, networks, methods, which, rounds, out)
    if store:
        (DATA / "speed").mkdir(exist_ok=True)
        for path in out.iterdir():
            if path.name in FILES:
                put(path, DATA / "speed" / path.name)
    return out


def _run(suite: str, networks: Sequence[str], methods: Sequence[str], which: Sequence[str], rounds: int | None,
         out: Path) -> None:
    for name in networks:
        check_network(name)
    for name, value in check_machine(out).items():
        print(f"{name}: {value}")
    ratios, grown = Table(out / "ratios.csv"), Table(out / "curves.csv")
    for one in DEVICES if suite == "all" else (suite,):
        if one == "gpu" and not torch.cuda.is_available():
            print("\n".join(missing(one, networks, methods)))
            continue
        for name in networks:
            measure_network(one, subject(name, DEVICES[one]), methods, which, rounds, ratios, grown)
    judged = [row for row in ratios.rows if row.get("verdict")]
    if judged:
        print("\n".join(["", f"{sum(row['verdict'] == 'met' for row in judged)} of {len(judged)} targets met",
                         *aligned(judged, VERDICTS)]))
        print("\n".join(["", "for whole validation sets, one class a picture, in h (seconds: a picture)",
                         *aligned(full_sets(ratios.rows), ("suite", "network", "method", "seconds", *SETS))]))


def measure_network(suite: str, own: Subject, methods: Sequence[str], which: Sequence[str], rounds: int | None, ratios: Table,
                    grown: Table) -> None:
    """All that is asked of one network and not there yet: measured, written, printed."""
    best = Best(own)
    for case in cases(suite, own.name) if "ratios" in which else ():
        key = {"suite": suite, "network": own.name, "method": case.method, "options": case.label, "batch": case.batch}
        if case.method in methods and not ratios.holds(**key):
            rows = ratio_rows(suite, case, own, best, rounds)
            ratios.add(rows)
            print(f"\n{suite} {own.name} {case.method} {case.label} x {case.batch}, {rows[0]['rounds']} rounds")
            print("\n".join(aligned(rows, SHOWN)), flush=True)
    if "curves" in which:
        for rows in curve_rows(suite, own, methods, grown, rounds or CURVE_ROUNDS):
            grown.add(rows)
            last = rows[-1]
            print(f"{suite} {own.name} {last['method']} over {last['axis']}: time ~ ^{last['slope']:.2f} (theory "
                  f"{last['theory']:.2f}: {last['verdict']}), memory ~ ^{last['memory_slope']:.2f} (theory "
                  f"{last['memory_theory']:.2f}: {last['memory_verdict']})", flush=True)
