"""`camutils explore`: the explorer in JupyterLab, in a copy of the notebook that is the reader's own."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from ...places import BUILD, ROOT
from ..handout import handout

NUMBER = "90"
LARGEST = 100 * 1024 * 1024  # bytes that the browser may send at once: an uploaded picture


def own_copy(folder: Path | None = None) -> Path:
    """The copy of the notebook that is opened, made where it is not there yet; one that the reader has worked in stays."""
    folder = folder or BUILD / "explorer"
    try:
        return handout([NUMBER], folder)[0]
    except FileExistsError:
        made = next((folder / "notebooks").glob(f"{NUMBER}_*.ipynb"), None)
        if made is None:
            raise
        return made


def command(notebook: Path, port: int | None = None, browser: bool = True) -> list[str]:
    """The command that opens a notebook in JupyterLab; port: where it listens, default: the first that is free from 8888 on."""
    options = [] if port is None else [f"--port={port}"]
    options += [] if browser else ["--no-browser"]
    limit = f"--ServerApp.tornado_settings={{'websocket_max_message_size': {LARGEST}}}"
    return [sys.executable, "-m", "jupyterlab", str(notebook), f"--ServerApp.root_dir={ROOT}", limit, *options]


def explore(port: int | None = None, browser: bool = True) -> int:
    """Open the explorer in JupyterLab and wait until that is shut down: its exit status.

    Raises FileNotFoundError without the repository, ImportError where JupyterLab or ipywidgets is missing.
    """
    missing = [name for name in ("jupyterlab", "ipywidgets") if find_spec(name) is None]
    if missing:
        raise ImportError(f"this needs {', '.join(missing)}, which is not installed; pip install 'camutils[book]' installs it")
    notebook = own_copy()
    own = {**os.environ, "CAMUTILS_FIGURES": str(notebook.parent.parent / "figures")}
    print("JupyterLab opens in your browser: choose Run ▸ Run All Cells there. Ctrl+C here ends it.", flush=True)
    process = subprocess.Popen(command(notebook, port, browser), env=own)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # JupyterLab hears it too, and asks or ends
            continue
