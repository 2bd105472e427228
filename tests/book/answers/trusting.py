"""Answers to the exercises of notebooks 42 and 50: trust and cost."""

from typing import Any

RIGHT: dict[str, list[Any]] = {}
WRONG: dict[str, list[Any]] = {}
