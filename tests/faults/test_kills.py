"""SIGKILL at every write of everything that writes: started again it ends with the same files as if nothing had been."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import benchmark_child
import pytest

from camutils.places import ROOT
from camutils.whole import HALVES

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork and no SIGKILL")
ALONE = ("timing.csv",)  # seconds differ from run to run
FILES = {  # what each piece of work writes, and what is cut
    "benchmark": ["config.json", "notes.csv", "parts/000000.json", "parts/000001.json", "results.csv", "summary.csv",
                  "timing.csv"],
    "sanity": ["config.json", "notes.csv", "results.csv", "results.csv", "summary.csv"],
    "results": [*(f"build/01_scenes_vgg/{name}" for name in ("config.json", "notes.csv", "parts/000000.json", "results.csv",
                                                             "summary.csv", "timing.csv")),
                *(f"data/results/01_scenes_vgg/{name}" for name in ("config.json", "notes.csv", "results.csv", "summary.csv"))],
    "handout": ["out/figures/90_one.png", "out/figures/91_two.png", "out/notebooks/90_one.ipynb", "out/notebooks/91_two.ipynb",
                "out/written.sha256"],
    "render": ["figures/90_a.png", "figures/90_b.png", "notebooks/90_one.ipynb"],
    "train": ["SHA256SUMS", "scenes_vgg.pth"],
}


@contextmanager
def start(*words, before=()):
    """A script in a process group of its own, on one thread, that is ended at the latest with the body."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen([sys.executable, *before, *map(str, words)], env=environment, start_new_session=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def files(folder: Path) -> dict[str, bytes]:
    """Path below a folder -> content; what a kill has left half written aside."""
    halves = {*folder.rglob(HALVES)}
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p not in halves}


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of kills_child.py, and how often it was killed at the writes of each file."""
    out = tmp_path_factory.mktemp("kills")
    with start(Path(__file__).with_name("kills_child.py"), out) as child:
        said, _ = child.communicate(timeout=600)
    assert child.returncode == 0, said
    return out, json.loads((out / "kills.json").read_text())


@pytest.mark.parametrize("work", FILES)
def test_killed_at_every_write_and_started_again_it_ends_with_the_same_files(work, killed):
    out, kills = killed
    assert sorted(name.partition(" of ")[0] for name in kills[work]) == FILES[work]
    assert min(kills[work].values()) >= 3  # half written, written, in its place
    whole, cut = files(out / work / "whole"), files(out / work / "killed")
    assert whole.keys() == cut.keys() and len(cut) >= 2
    assert [name for name in whole if whole[name] != cut[name] and Path(name).name not in ALONE] == []


def test_what_kills_leave_half_written_is_taken_away_or_ignored_by_git(killed):
    out, _ = killed
    for folder in ("benchmark/killed", "sanity/killed", "results/killed/build/01_scenes_vgg"):
        assert [*(out / folder).rglob(HALVES)] == []
    left = [p.relative_to(out).as_posix() for p in (out / "render" / "killed").rglob(HALVES)]
    assert left
    ignored = subprocess.run(["git", "check-ignore", "--no-index", *left], cwd=ROOT, capture_output=True, text=True)
    assert ignored.stdout.split() == left


def test_a_second_run_is_refused_and_a_killed_one_taken_up_where_it_was(killed, tmp_path, capsys):
    """The first is killed while a method computes; the second says why it may not, and then goes on from the first's part."""
    with start(benchmark_child.__file__, tmp_path, 6, 1) as process:
        while not (tmp_path / "parts" / "000000.json").exists() and process.poll() is None:
            time.sleep(0.02)
        with pytest.raises(ValueError, match="another process is at work in .*; accepted: to wait until it has ended"):
            benchmark_child.run(tmp_path, 6)
        assert process.poll() is None, process.stdout.read()
    assert not (tmp_path / "results.csv").exists()
    benchmark_child.run(tmp_path, 6)
    assert "4/6" in capsys.readouterr().err  # the bar starts behind the part that was there
    whole, again = files(killed[0] / "benchmark" / "whole"), files(tmp_path)
    assert whole.keys() == again.keys()
    assert [name for name in whole if whole[name] != again[name] and name not in (*ALONE, "config.json")] == []
