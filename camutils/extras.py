"""Packages that heat maps do without: scenes, measuring and notebooks need them (pip install 'camutils[book]')."""

from importlib import import_module
from types import ModuleType


def extra(module: str, package: str | None = None) -> ModuleType:
    """The module, imported when it is needed. ImportError in one line where its package (default: of its name) is missing."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        name = package or module.split(".")[0]
        raise ImportError(f"this needs {name}, which is not installed; pip install 'camutils[book]' installs it") from error
