"""Answers to the exercises of notebooks 20 to 22, GIG-CAM+M."""

from typing import Any

RIGHT: dict[str, list[Any]] = {}
WRONG: dict[str, list[Any]] = {}
