"""A disk that is full, and folders that may not be written to: one clear error, no file cut, and afterwards the same table."""

import ctypes
import errno
import os
import resource
import subprocess
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import benchmark_child
import matplotlib.pyplot as plt
import nbformat
import pytest
from benchmark_child import network
from PIL import Image
from test_kills import ALONE, files

from camutils.book import figures, handout, render
from camutils.book.plotted import write_plotted
from camutils.evaluation.sanity import sanity
from camutils.explain import explain
from camutils.networks import train
from camutils.whole import HALVES, alone

KB = 1024


@contextmanager
def no_file_above(size: int):
    """Inside, a file cannot grow beyond so many bytes, as on a full disk; nothing is printed, which is a file, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def an_ordinary_user():
    """Inside, root minds permissions as anybody else does: two capabilities, to pass over them, are laid down in this thread."""
    if os.geteuid():
        yield
        return
    call, head = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 2)(0x20080522, 0)
    now = (ctypes.c_uint32 * 6)()
    if call.capget(head, now):
        pytest.skip("root's capabilities cannot be asked here")
    less = (ctypes.c_uint32 * 6)(*now)
    less[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert not call.capset(head, less)
    try:
        yield
    finally:
        assert not call.capset(head, now)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small benchmark with room enough."""
    out = tmp_path_factory.mktemp("whole") / "out"
    benchmark_child.run(out, 6)
    return files(out)


def same(out: Path, whole: dict[str, bytes]) -> None:
    found = files(out)
    assert found.keys() == whole.keys() and [n for n in whole if found[n] != whole[n] and n not in ALONE] == []


def test_the_disk_is_full_at_every_page(whole, tmp_path):
    """A disk of 1 page, of 2, …: the run stops with the system's error until all fits, and then goes on from what is there."""
    disk = tmp_path / "disk"
    disk.mkdir()
    page = resource.getpagesize()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={page}", "none", disk], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no disk of its own can be mounted here ({made.stderr.strip()})")
    try:
        full = 0
        while True:
            try:
                benchmark_child.run(disk / "out", 6)
                break
            except OSError as error:
                full += 1
                assert error.errno == errno.ENOSPC and [*disk.rglob(HALVES)] == []
                assert full < 40
                subprocess.run(["mount", "-o", f"remount,size={(full + 1) * page}", disk], check=True)
        assert full >= 5
        same(disk / "out", whole)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_no_file_may_grow_and_then_a_little_and_then_enough(whole, tmp_path):
    stopped = 0
    for size in (0, 300, KB, 2 * KB, 4 * KB, 6 * KB, 8 * KB):
        try:
            with no_file_above(size):
                benchmark_child.run(tmp_path, 6)
            break
        except OSError as error:
            stopped += 1
            assert error.errno == errno.EFBIG and [*tmp_path.rglob(HALVES)] == []
    assert stopped >= 3
    benchmark_child.run(tmp_path, 6)
    same(tmp_path, whole)


def line():
    figure, axis = plt.subplots(figsize=(3, 3))
    axis.plot([0, 1, 4, 9])
    plt.close(figure)
    return figure


WRITERS = {
    "90_a.png": lambda folder: figures.save_figure(line(), "90_a"),
    "90_a.gif": lambda folder: figures.save_moving([line(), line()], "90_a"),
    "90_a.csv": lambda folder: write_plotted(line(), folder / "90_a.csv"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_where_a_new_file_does_not_fit_the_old_one_stays(name, tmp_path, monkeypatch):
    monkeypatch.setenv("CAMUTILS_FIGURES", str(tmp_path))
    (tmp_path / name).write_text("old")
    with pytest.raises(OSError) as caught, no_file_above(40):
        WRITERS[name](tmp_path)
    assert caught.value.errno == errno.EFBIG and files(tmp_path) == {name: b"old"} and [*tmp_path.rglob(HALVES)] == []
    WRITERS[name](tmp_path)
    assert len((tmp_path / name).read_bytes()) > 40


def explained(folder: Path) -> None:
    photo = folder.parent / "photo.png"
    Image.new("RGB", (96, 96), "red").save(photo)
    explain([photo], method="grad_cam", model="scenes_vgg", out=folder)


def handed_out(folder: Path) -> None:
    nbformat.write(nbformat.v4.new_notebook(), folder.parent / "notebooks" / "90_one.ipynb")
    handout.handout(out=folder)


def trained(folder: Path) -> None:
    """Before it draws a single scene."""
    train.train("scenes_vgg", out=folder)


LOCKED = {
    "benchmark": lambda folder: benchmark_child.run(folder, 2),
    "benchmark below": lambda folder: benchmark_child.run(folder / "deeper" / "out", 2),
    "sanity": lambda folder: sanity("scenes", network(), "grad_cam", out=folder, limit=2, modules=["6"], device="cpu"),
    "save_figure": WRITERS["90_a.png"], "save_moving": WRITERS["90_a.gif"], "write_plotted": WRITERS["90_a.csv"],
    "explain": explained, "handout": handed_out, "train": trained,
    "render": lambda folder: render.check_writable(folder),
}


@pytest.mark.parametrize("name", LOCKED)
def test_a_folder_that_may_not_be_written_to_is_named(name, tmp_path, monkeypatch):
    """The command line says an OSError in one line; afterwards nothing is there, not even half of a file."""
    folder = tmp_path / "locked"
    for place in (folder, tmp_path / "notebooks"):
        place.mkdir()
    monkeypatch.setenv("CAMUTILS_FIGURES", str(folder))
    for module in (render, handout):
        monkeypatch.setattr(module, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(train, "_load", None)
    folder.chmod(0o555)
    try:
        with pytest.raises(PermissionError) as caught, an_ordinary_user():
            LOCKED[name](folder)
    finally:
        folder.chmod(0o755)
    assert str(folder) in str(caught.value) and [*folder.iterdir()] == []


def test_a_folder_without_locks_refuses_nobody(tmp_path, monkeypatch):
    """As on a network drive: flock raises, the body runs."""
    with alone(tmp_path / "new"), pytest.raises(ValueError, match="another process is at work in .*new"), alone(tmp_path / "new"):
        pass
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "no locks available")))
    with alone(tmp_path / "new"), alone(tmp_path / "new"):
        pass
