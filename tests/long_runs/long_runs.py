"""Long runs: does memory stay flat, does speed stay, does a run that was killed twice end with the same table?

    python tests/long_runs/long_runs.py [NAME ...] [--images N]        or: make long

For each of RUNS `camutils benchmark` runs twice, each time in a process of its own: once in one go, and once killed (SIGKILL)
after a third and after two thirds of its images and started again. The first is watched every half second: the memory that it
holds, and the processor's seconds that it has had. Where one of the three is not so, the exit status is 1. What a run holds more
at its end, when its chunks become one table, is no growth and is told by itself: rows, and the resamples of the intervals.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import psutil

from camutils.evaluation.results import read_table
from camutils.places import BUILD, ROOT

SCENES = ("--dataset", "scenes", "--split", "train", "--model", "scenes_resnet", "--metrics", "energy,drop")
RUNS = {  # name -> how many images, and what `camutils benchmark` is asked
    "one_pass": (5000, (*SCENES, "--methods", "grad_cam,grad_cam_pp,layer_cam,hires_cam,integrative_cam")),
    "others": (500, (*SCENES, "--methods", "integrated_grad_cam:steps=10,gig_cam:steps=10,"
                          "gig_cam_m:steps=5:scales=[1,1.5],score_cam,cluster_cam,combined_cam")),
    "photographs": (5000, ("--dataset", "folder", "--model", "efficientnet_lite0", "--metrics", "drop", "--methods", "grad_cam")),
}
GROWN = 0.05  # of the most memory that the second fifth of a run holds: what later ones may hold more
SLOWER = 0.15  # of the processor's time that an image takes in the second fifth: what it may take more in the last one


class Seen(NamedTuple):
    """A run at one moment: chunks that are there, MB held, seconds since it began, the processor's seconds it has had."""

    chunks: int
    memory: float
    seconds: float
    worked: float


def photographs(folder: Path, count: int) -> Path:
    """A folder with `count` names of the assets' VOC photographs, one after the other: files of many sizes, read from a disk."""
    assets = Path(os.environ.get("CAMUTILS_ASSETS") or ROOT.parent / "shared" / "assets")
    found = sorted((assets / "VOCdevkit" / "VOC2012" / "JPEGImages").glob("*.jpg"))
    if not found:
        raise SystemExit("photographs needs VOC's pictures: set CAMUTILS_ASSETS to the folder that holds VOCdevkit/")
    folder.mkdir()
    for i in range(count):
        (folder / f"{i:05d}.jpg").symlink_to(found[i % len(found)])
    return folder


def done(out: Path) -> int:
    """How many chunks are there."""
    return len([*(out / "parts").glob("*.json")])


def run(out: Path, asked: list[str], kill_at: float = float("inf")) -> list[Seen]:
    """One process, killed as soon as there are `kill_at` chunks, looked at every half second."""
    command = [sys.executable, "-m", "camutils", "benchmark", *asked, "--out", str(out)]
    seen, start = [], time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            chunks = done(out)
            if chunks >= kill_at:
                process.send_signal(signal.SIGKILL)
                process.wait()
                break
            try:
                held, worked = watched.memory_info().rss / 1e6, watched.cpu_times()
                seen.append(Seen(chunks, held, time.perf_counter() - start, worked.user + worked.system))
            except psutil.NoSuchProcess:
                break
            time.sleep(0.5)
        if process.wait() and kill_at == float("inf"):
            said.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {said.read().decode()[-2000:]}")
    return seen


def fifths(seen: list[Seen], chunks: int) -> list[tuple[float, float, float]]:
    """Of each fifth of a run: the most MB held, milliseconds an image, and the processor's milliseconds an image."""
    parts, seen = [], [one for one, last in zip(seen, at_end(seen, chunks), strict=True) if not last]
    for low, high in pairwise(chunks * i / 5 for i in range(6)):
        part = [one for one in seen if low <= one.chunks <= high]
        images = 8 * (part[-1].chunks - part[0].chunks)
        took, worked = part[-1].seconds - part[0].seconds, part[-1].worked - part[0].worked
        parts.append((max(one.memory for one in part), 1000 * took / images, 1000 * worked / images))
    return parts


def ending(seen: list[Seen], chunks: int) -> float:
    """The most MB held while the chunks, all of them there, are put together and summarised; 0 where nobody looked then."""
    return max((one.memory for one, last in zip(seen, at_end(seen, chunks), strict=True) if last), default=0)


def at_end(seen: list[Seen], chunks: int) -> list[bool]:
    """Of each moment: were all chunks there? Afterwards a run takes them away, so fewer than before are a sign too."""
    most = accumulate((one.chunks for one in seen), max)
    return [now >= chunks or one.chunks < now for one, now in zip(seen, most, strict=True)]


def flat(values: Sequence[float], more: float) -> bool:
    """Is none after the second above it by more than this share? The first fifth loads, and fills the allocator."""
    return max(values[2:]) <= values[1] * (1 + more)


def listed(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:.0f}" for number in numbers)


def long_run(name: str, images: int | None) -> bool:
    """One of RUNS: prints what was seen; whether all of it is as it should be."""
    count, words = RUNS[name]
    count = images or count
    out = BUILD / "long_runs" / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    asked = [*words, "--limit", str(count)]
    if name == "photographs":
        asked += ["--root", str(photographs(out / "pictures", count))]
    chunks = -(-count // 8)
    start = time.perf_counter()
    seen = run(out / "whole", asked)
    took = time.perf_counter() - start
    for third in (1, 2):
        run(out / "resumed", asked, kill_at=chunks * third / 3)
        assert done(out / "resumed") < chunks and not (out / "resumed" / "results.csv").exists(), "it ended before it was killed"
    run(out / "resumed", asked)
    tables = [(out / which / table).read_bytes() for table in ("results.csv", "summary.csv") for which in ("whole", "resumed")]
    same = tables[0] == tables[1] and tables[2] == tables[3]
    rows = len(read_table(out / "whole" / "results.csv"))
    held, each, worked = zip(*fifths(seen, chunks), strict=True)
    flat_memory, steady = flat(held, GROWN), flat(worked, SLOWER)
    added = max(ending(seen, chunks) - held[-1], 0)
    print(f"{name}: {count} images, {rows} rows, {took / 60:.1f} minutes in one go: {' '.join(words)}\nIn each fifth of the run:")
    print(f"  memory {'flat' if flat_memory else 'GROWS'}: at most {listed(held)} MB")
    print(f"  at its end, {rows} rows put together: {added:.0f} MB more")
    print(f"  speed {'steady' if steady else 'FALLS'}: {listed(worked)} ms of the processor an image "
          f"({listed(each)} ms by the clock)")
    print(f"  killed twice and started again: {'the same tables' if same else 'OTHER TABLES'}", flush=True)
    return flat_memory and steady and same


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)}; default: all")
    parser.add_argument("--images", type=int, help="instead of each run's own number")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in RUNS]:
        parser.error(f"unknown run {unknown[0]!r}; accepted: {', '.join(RUNS)}")
    if given.images is not None and given.images < 120:
        parser.error(f"--images {given.images}; accepted: 120 or more, three chunks in each fifth")
    good = [long_run(name, given.images) for name in given.names or RUNS]
    sys.exit(not all(good))
