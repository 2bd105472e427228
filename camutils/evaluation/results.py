"""A results folder that survives a kill: parts written whole or not at all, merged into one table at the end.

    config.json    what was measured with what: settings, versions, commit, checksums; a run with others is refused
    parts/         one file per chunk of images while the run lasts
    results.csv    one row per image x class x method       notes.csv   files skipped, changed, or pairs left out, and why
    timing.csv     seconds per chunk (differ from run to run)   summary.csv    means, intervals, comparisons
"""

import csv
import hashlib
import io
import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..places import ROOT
from ..whole import write_whole

Row = dict[str, Any]  # of a table: column -> text or number
KEYS = ("image", "class", "method")
TEXT = {*KEYS, "control", "subset", "metric", "against", "what", "note"}


def as_csv(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """Rows as CSV: numbers with six significant digits, NaN and missing values empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({c: _cell(row.get(c)) for c in columns})
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    return "" if value is None else value


def read_lines(path: Path, needed: Iterable[str] = ()) -> Iterator[dict[str, str]]:
    """Rows of a CSV as texts, one by one. Raises ValueError for a line that is none, and for a missing column of `needed`."""
    path = Path(path)
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        try:
            columns = table.fieldnames or ()
            if missing := [column for column in needed if column not in columns]:
                raise ValueError(f"{path} has no column {', '.join(missing)}; accepted: the table as it was written")
            for row in table:
                if None in row or None in row.values():  # what csv puts in for cells too many, and for missing ones
                    raise ValueError(f"{path} line {table.line_num} has not as many cells as the first; "
                                     "accepted: the table as it was written")
                yield row
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} line {table.line_num + 1}: {error}; accepted: the table as it was written") from error


def read_table(path: Path, needed: Iterable[str] = ()) -> list[Row]:
    """Rows of a CSV file of this module: text columns as they are, all others float, NaN where empty.

    Raises ValueError as `read_lines`, and for text in place of a number.
    """
    rows = []
    for row in read_lines(path, needed):
        try:  # a long table says the same few names again and again: one text of each is enough
            rows.append({c: sys.intern(v) if c in TEXT else float(v or "nan") for c, v in row.items()})
        except ValueError as error:
            raise ValueError(f"{path}: {error}; accepted: the table as it was written") from error
    return rows


def read_record(path: Path, needed: Iterable[str] = ()) -> dict[str, Any]:
    """A JSON object out of a file. Raises ValueError that names the file where it is none, or lacks a key of `needed`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(found, ensure_ascii=False).encode()  # half a character could not be written again
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); accepted: the file as it was written, or no such file") from error
    if not isinstance(found, dict) or not {*needed} <= {*found}:
        raise ValueError(f"{path} is damaged; accepted: an object with {', '.join(needed) or 'names'}, or no such file")
    return found


def checksum(model: nn.Module) -> str:
    """SHA-256 over the names and values of a network's state: the same weights give the same 64 digits, on any device."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def provenance(config: dict[str, Any], model: nn.Module, names: list[str]) -> dict[str, Any]:
    """What stands in config.json: no path, host or time. Raises TypeError for settings that JSON cannot hold."""
    try:
        config = json.loads(json.dumps(config))
    except TypeError as error:
        raise TypeError(f"a setting cannot be written down ({error}); accepted: numbers, text, lists") from error
    try:
        own = version("camutils")
    except PackageNotFoundError:
        own = "not installed"
    versions = {"camutils": own, "python": platform.python_version(), "numpy": version("numpy"), "torch": torch.__version__,
                "torchvision": version("torchvision"), "pillow": version("pillow")}
    return {"config": config, "versions": versions, "weights_sha256": checksum(model),
            "images_sha256": hashlib.sha256("\n".join(names).encode()).hexdigest(), "commit": _commit()}


def _commit() -> str | None:
    """The checkout's commit, with `+changes` where the package differs from it; None where there is no git checkout."""
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True).stdout.strip()
    if not (ROOT / ".git").exists():
        return None
    try:
        changed = git("status", "--porcelain", "--", "camutils")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Where two records of `provenance` differ, the commit aside: 'batch is 8 there, 4 here'."""
    there, here = _flat(old), _flat(new)
    keys = sorted({*there, *here})
    return [f"{k} is {there.get(k)!r} there, {here.get(k)!r} here" for k in keys if there.get(k) != here.get(k)]


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record without its commit, its settings and versions on one level with the rest."""
    single = {k: v for k, v in record.items() if k != "commit" and not isinstance(v, dict)}
    return single | record["config"] | record["versions"]


def read_provenance(path: Path) -> dict[str, Any]:
    """A config.json: what `provenance` gave. Raises ValueError that names the file where it is damaged."""
    record = read_record(path, ("config", "versions", "commit"))
    if not isinstance(record["config"], dict) or not isinstance(record["versions"], dict):
        raise ValueError(f"{path} is damaged: config and versions are no objects; accepted: the file as it was written")
    return record


def check_folder(out: Path, record: dict[str, Any]) -> None:
    """Refuse a folder that holds other results. Raises ValueError that names every difference; prints a changed commit."""
    path = out / "config.json"
    if not path.exists():
        if (out / "results.csv").exists() or (out / "parts").exists():
            raise ValueError(f"{out} holds results without config.json; accepted: a new folder, or one of an earlier run")
        return
    old = read_provenance(path)
    changed = differences(old, record)
    if changed:
        raise ValueError(f"{out} holds results of another configuration: {'; '.join(changed)}; "
                         "accepted: the same, or another folder")
    if old["commit"] != record["commit"]:
        print(f"note: the results in {out.name} were begun at commit {old['commit']}, this is {record['commit']}")


def part_path(out: Path, chunk: int) -> Path:
    """Where the rows of one chunk lie until the run is merged."""
    return out / "parts" / f"{chunk:06d}.json"


def write_part(out: Path, chunk: int, part: dict[str, Any]) -> None:
    """Store one chunk: {"rows": …, "notes": …, "timing": …}; numbers survive exactly."""
    write_whole(part_path(out, chunk), json.dumps(part))


def _read_part(path: Path) -> dict[str, Any]:
    """What `write_part` stored. ValueError that names the file where it is damaged."""
    part = read_record(path, ("rows", "notes", "timing"))
    if not isinstance(part["rows"], list) or not isinstance(part["notes"], list):
        raise ValueError(f"{path} is damaged (no list of rows or of notes); delete it and start the same command again")
    for row in [*part["rows"], *part["notes"], part["timing"]]:
        if not isinstance(row, dict) or not all(_fits(c, v) for c, v in row.items()):
            raise ValueError(f"{path} is damaged ({str(row)[:80]} is no row); delete it and start the same command again")
    return part


def _fits(column: str, value: object) -> bool:
    """Is it what stands in this column: text, or else a number or nothing?"""
    return isinstance(value, str) if column in TEXT else value is None or type(value) in (int, float)


def merge(out: Path, chunks: int, columns: list[str]) -> None:
    """All parts, in order, into timing.csv, notes.csv and, last, results.csv. The parts stay.

    Raises ValueError that names the first missing or damaged part: nothing is merged then.
    """
    missing = [k for k in range(chunks) if not part_path(out, k).exists()]
    if missing:
        raise ValueError(f"chunk {missing[0]} of {chunks} is missing in {out / 'parts'}; start the same command again")
    timing = [{"chunk": k, **part["timing"]} for k, part in enumerate(_parts(out, chunks))]
    seconds = list(dict.fromkeys(key for row in timing for key in row))
    notes = as_csv((note for part in _parts(out, chunks) for note in part["notes"]), ["image", "what", "note"])
    results = as_csv((row for part in _parts(out, chunks) for row in part["rows"]), columns)
    write_whole(out / "timing.csv", as_csv(timing, seconds))
    write_whole(out / "notes.csv", notes)
    write_whole(out / "results.csv", results)


def _parts(out: Path, chunks: int) -> Iterator[dict[str, Any]]:
    """Every part in order, one at a time: a long run's would fill the memory together."""
    return (_read_part(part_path(out, k)) for k in range(chunks))
