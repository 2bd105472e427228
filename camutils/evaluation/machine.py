"""What a machine calls itself: the processor, the accelerator, the versions that times and last digits depend on."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch


def cpu_name() -> str:
    """What the processor calls itself, and whether it has AVX-512 and AMX."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    flags = facts.get("flags", "").split()
    extras = [label for flag, label in (("avx2", "AVX2"), ("avx512f", "AVX-512"), ("amx_tile", "AMX")) if flag in flags]
    name = facts.get("model name", platform.machine())
    family = f"family {facts.get('cpu family', '?')}, model {facts.get('model', '?')}"
    return f"{name} ({family}; {', '.join(extras) or 'no AVX2'})"


def machine(packages: tuple[str, ...] = ("torch", "torchvision", "numpy")) -> dict[str, Any]:
    """Processor, torch's threads, accelerator, versions: no name of a host, no path, no time."""
    found = {"processor": cpu_name(), "threads": torch.get_num_threads(),
             "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none"}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
