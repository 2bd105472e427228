"""Where things lie: absolute paths, so that a notebook and a command line find the same files.

    CHECKOUT     is this package used from the project's repository, with its notebooks beside it?
    ROOT         the repository; without one, the folder that the program was started in
    DATA         weights and photographs: ROOT/data, without a repository the copy inside the installed package
    FIGURES      $CAMUTILS_FIGURES, or ROOT/figures
    CHECKPOINTS  the weights that come with the project
"""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = (PACKAGE.parent / "pyproject.toml").is_file() and (PACKAGE.parent / "notebooks").is_dir()
ROOT = PACKAGE.parent if CHECKOUT else Path.cwd()
NOTEBOOKS = ROOT / "notebooks"
DATA = ROOT / "data" if CHECKOUT else PACKAGE / "data"
CHECKPOINTS = DATA / "checkpoints"
BUILD = ROOT / "build"


def from_home(path: str | Path) -> Path:
    """A path with the home folder in place of ~; ~NAME of nobody stays as it is, and is then no file."""
    return Path(os.path.expanduser(path))


def need_checkout(what: str) -> None:
    """FileNotFoundError in one line where the repository is needed and this package was installed without it."""
    if not CHECKOUT:
        raise FileNotFoundError(f"{what} in the project's repository, which is not part of the installed package;"
                                " clone it and run `make figures` or `camutils` there")


def figures() -> Path:
    """Folder that `save_figure` writes to; the renderer points it elsewhere with $CAMUTILS_FIGURES."""
    return Path(os.environ.get("CAMUTILS_FIGURES") or ROOT / "figures")


def figure_path(name: str, preset: str = "scenes") -> Path:
    """Where the committed picture NAME of a preset is: in figures/PRESET/, or in figures/ where both presets draw the same."""
    own = ROOT / "figures" / preset / f"{name}.png"
    return own if own.exists() else ROOT / "figures" / f"{name}.png"


def checkpoint_folders() -> list[Path]:
    """Folders searched for weights, first match wins: $CAMUTILS_CHECKPOINTS (several: separated as in $PATH),
    the project's own, torchvision's download folder."""
    import torch

    own = [from_home(p).resolve() for p in os.environ.get("CAMUTILS_CHECKPOINTS", "").split(os.pathsep) if p]
    return [*own, CHECKPOINTS, Path(torch.hub.get_dir()) / "checkpoints"]
