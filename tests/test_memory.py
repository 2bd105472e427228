"""What is freed is kept: the system hands out no page anew."""

import subprocess
import sys

import pytest

from camutils.memory import ASKED

LOOP = """
import os, resource, subprocess, sys
import torch
from camutils.memory import keep_memory
if sys.argv[1] == "keep":
    kept = keep_memory()
    assert kept == keep_memory()
def faults():
    for _ in range(3):
        torch.ones(10_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(min(faults(), faults(), faults()))  # a small allocation may push the heap up once, and then it has its size
if sys.argv[1] == "keep":
    print(subprocess.run([sys.executable, "-c", sys.argv[2], "child", ""], capture_output=True, text=True, check=True).stdout)
"""


def faults(how, monkeypatch, **given):
    for variable in ASKED:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    done = subprocess.run([sys.executable, "-c", LOOP, how, LOOP], capture_output=True, text=True, check=True)
    return [int(number) for number in done.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_freed_memory_is_kept(monkeypatch):
    """Ten tensors of 40 MB, one after another: 9766 pages each, unless memory is kept; a child process keeps it as well."""
    (given_back,) = faults("leave", monkeypatch)
    here, child = faults("keep", monkeypatch)
    assert given_back > 10 * 9000 and here < 500 and child < 500


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_what_the_caller_asked_for_stays(monkeypatch):
    here, _ = faults("keep", monkeypatch, MALLOC_MMAP_MAX_="65536", MALLOC_TRIM_THRESHOLD_="131072")
    assert here > 10 * 9000
