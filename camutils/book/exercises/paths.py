"""Checks of the exercises of notebooks 20 to 22, GIG-CAM+M."""

from collections.abc import Callable
from typing import Any

CHECKS: dict[str, Callable[[Any], str]] = {}
