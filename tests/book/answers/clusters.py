"""Answers to the exercises of notebooks 30 to 32, Cluster-CAM."""

from typing import Any

RIGHT: dict[str, list[Any]] = {}
WRONG: dict[str, list[Any]] = {}
