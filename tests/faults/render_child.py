"""Renders the notebooks of FOLDER: python render_child.py FOLDER. $CAMUTILS_ASKED: a file that says who listens (`listen`)."""

import os
import sys
from pathlib import Path

import listen

from camutils.book import render

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    listen.listen("camutils")
    os.environ["PYTHONSTARTUP"] = str(Path(listen.__file__))  # a kernel runs it before its first cell
    render.ROOT, render.NOTEBOOKS, render.BUILD = folder, folder / "notebooks", folder / "build"
    render.render()
