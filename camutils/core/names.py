"""How layers are spelled: "conv2" a module, "relu[0]" its first call, "conv2:add:relu" what functions make of its output."""

from collections.abc import Callable
from typing import Any


def split_name(layer: str) -> tuple[str, int | None, tuple[str, ...]]:
    """A layer's name in parts: "conv2[0]" -> conv2, call 0, (); "conv2:add:relu" -> conv2, None, functions (add, relu)."""
    module, *functions = layer.split(":")
    call: int | None = None
    number = module[:-1].rpartition("[")[2]
    if module.endswith("]") and number.isdecimal() and len(number) < 10:  # no network is called more often
        module = module[:-1].rpartition("[")[0]
        call = int(number)
    return module, call, tuple(functions)


def function_name(function: Callable[..., Any]) -> str:
    """What a torch function is called in a layer's name: `relu_` and `relu` are relu, `__iadd__` and `__add__` are add."""
    name = getattr(function, "__name__", "").strip("_")
    return name[1:] if name in ("iadd", "isub", "imul", "radd", "rsub", "rmul") else name
