"""Answers to the exercises of notebooks 10 to 13, Integrative CAM."""

from typing import Any

RIGHT: dict[str, list[Any]] = {}
WRONG: dict[str, list[Any]] = {}
