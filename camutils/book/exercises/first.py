"""Checks of the exercises of notebooks 00, 01 and 60."""

from collections.abc import Callable
from typing import Any

CHECKS: dict[str, Callable[[Any], str]] = {}
