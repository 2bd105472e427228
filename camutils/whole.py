"""Files that are written whole or not at all, and folders that one process at a time writes to.

    write_whole(path, "text")                a text, or bytes
    with whole(path) as file: …              whatever writes to an open binary file
    put(source, target)                      a copy
    with alone(folder): …                    a second process is refused there until this one has ended, however it ends

What is half written is called .NAME.PROCESS.tmp, lies in the same folder and takes the file's place by one renaming; a kill at
any moment, a full disk or an error leaves the old file or the new one, never a part of it.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

HALVES = ".*.[0-9]*.tmp"  # what a kill may leave in a folder


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which becomes `path` when the body has ended well, and is gone when it has not. OSError as `open`."""
    half = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with half.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a text, in UTF-8, or bytes as `whole` does."""
    with whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def put(source: Path, target: Path) -> None:
    """Replace `target` by a copy of `source` as `whole` does."""
    with source.open("rb") as content, whole(target) as file:
        shutil.copyfileobj(content, file)


def check_writable(folder: Path) -> None:
    """PermissionError in one line where nothing can be written to `folder`, which is made if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(f"cannot write to {folder} ({error.strerror}); make it writable, or take another folder") from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make the folder, run the body as the only process in it, and first take away what killed ones have left half written.

    Raises ValueError where another process is at work there. The lock is the system's (flock on the folder itself) and goes
    with the process; where there is none, as on Windows and on some network drives, nobody is refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        flock = import_module("fcntl")
        lock = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        try:
            flock.flock(lock, flock.LOCK_EX | flock.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another process is at work in {folder}; accepted: to wait until it has ended, or another folder"
                             ) from None
        except OSError:  # a drive without locks
            pass
        for half in folder.glob(HALVES):
            half.unlink()
        yield
    finally:
        os.close(lock)
