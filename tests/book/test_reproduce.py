"""Variants of the machine: the kernels really run otherwise, what differs is named, nothing committed is touched."""

import os
import subprocess
import sys

import nbformat
import pytest

from camutils.book import reproduce
from camutils.places import ROOT

ASK = """
import torch, numpy as np
from numpy._core._multiarray_umath import __cpu_dispatch__ as kernels, __cpu_features__ as features
wide = [f for f in kernels if f.startswith("AVX512") or f == "X86_V4"]
print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(), any(features[f] for f in wide))
"""


def asked(variant):
    """What PyTorch and NumPy say of themselves under a variant: capability, threads, AVX-512 kernels in NumPy."""
    run = subprocess.run([sys.executable, "-c", ASK], env={**os.environ, **reproduce.environment(variant)}, capture_output=True,
                         text=True, check=True)
    return run.stdout.replace("NO AVX", "NO").split()


def test_variants_change_what_the_libraries_run():
    if "avx2" not in open("/proc/cpuinfo").read():
        pytest.skip("this processor has no AVX2")
    assert asked("avx2")[0] == "AVX2" and asked("avx2")[2] == "False"
    assert asked("sse41")[0] in ("DEFAULT", "NO")  # "NO AVX", as older PyTorch says it
    assert asked("one_thread")[1] == "1"
    assert asked("avx2_one_thread") == ["AVX2", "1", "False"]


def add_cell(house, source, output):
    """Put a cell with a stored output at the end of the small notebook."""
    path = house / "notebooks" / "90_small.ipynb"
    book = nbformat.read(path, 4)
    cell = nbformat.v4.new_code_cell(source, id="last", execution_count=len(book.cells) + 1)
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=output)]
    book.cells.append(cell)
    nbformat.write(book, path)


def contents(folder):
    """Every file of a folder but those of build/."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and "build" not in p.relative_to(folder).parts}


def test_what_differs_is_named_and_nothing_committed_changes(house, capsys, monkeypatch):
    reproduce.execute(house / "notebooks" / "90_small.ipynb", {}, house / "notebooks", house / "figures")
    add_cell(house, "import torch\nprint(torch.get_num_threads() == 1)", "True\n")
    before = contents(house)
    assert reproduce.reproduce(["90"], ["one_thread"]) == []
    assert "90_small" in capsys.readouterr().out
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    said = reproduce.reproduce(["90"], ["native", "one_thread"])
    shown = capsys.readouterr().out
    assert len(said) == 1 and said[0].startswith("[native] 90_small.ipynb cell 4: text differs")
    assert "processor: " in shown and shown.rstrip().endswith("same") and "1 differ" in shown
    assert contents(house) == before


def test_onednn_is_off_in_the_kernel(house):
    reproduce.execute(house / "notebooks" / "90_small.ipynb", {}, house / "notebooks", house / "figures")
    add_cell(house, "import torch\nprint(torch.backends.mkldnn.enabled)", "False\n")
    assert reproduce.reproduce(["90"], ["no_onednn"]) == []
    assert len(reproduce.reproduce(["90"], ["native"])) == 1


def test_a_cell_that_fails_is_named(house):
    add_cell(house, "assert value == 3, 'not three'", "")
    (said,) = reproduce.reproduce(["90"], ["native"])
    assert "90_small.ipynb cell 4: AssertionError" in said


def test_names_are_checked_before_anything_runs(house):
    with pytest.raises(ValueError, match="unknown variant 'sse42'; accepted: native, avx2"):
        reproduce.reproduce(["90"], ["native", "sse42"])
    with pytest.raises(ValueError, match="unknown notebook"):
        reproduce.reproduce(["91"])
    with pytest.raises(ValueError, match="store wants whole rows: native, avx2"):
        reproduce.reproduce(["90"], ["native"], store=True)
    assert not (house / "build" / "reproduce" / "native").exists()


def test_rows_of_other_notebooks_stay(house, monkeypatch):
    monkeypatch.setattr(reproduce, "STORED", house / "reproduced.csv")
    monkeypatch.setattr(reproduce, "find_notebooks", lambda: [house / "01_a.ipynb", house / "02_b.ipynb"])
    reproduce._store({("01_a", "native"): 0, ("02_b", "native"): 3, ("03_gone", "native"): 0}, "first")
    reproduce._store({("02_b", "native"): 0}, "second")
    rows = [line.split(",")[:4] for line in (house / "reproduced.csv").read_text().splitlines()]
    assert rows[0] == ["notebook", "variant", "differ", "commit"]
    assert rows[1:] == [["01_a", "native", "0", "first"], ["02_b", "native", "0", "second"]]


def test_command_line_names_the_cell_and_fails():
    command = [sys.executable, "-m", "camutils", "reproduce", "--variant", "avx2_one_thread", "--print-environment"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = dict(line.split("=") for line in run.stdout.split())
    assert lines["ATEN_CPU_CAPABILITY"] == "avx2" and lines["OMP_NUM_THREADS"] == "1"
    run = subprocess.run([*command[:-2], "sse42"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode and run.stderr.startswith("camutils: unknown variant 'sse42'")
