"""Answers to the exercises of notebooks 00, 01 and 60."""

from typing import Any

RIGHT: dict[str, list[Any]] = {}
WRONG: dict[str, list[Any]] = {}
