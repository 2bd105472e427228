"""What each method costs beside the passes that it cannot do without, and beside captum, grad-cam and torchcam: `camutils speed`.

subjects (the networks), cases (what is timed, and the targets), bounds (the bare passes), rivals and path_loop (the peers),
harness (interleaved rounds, exact counts), curves and memory (how cost grows), table (files and text), suite (the run).
Times differ between machines, so what is read is ratios of times within a round. The peers come with the extra `[test]`.
"""

from collections.abc import Callable
from typing import Any

PEERS = ("captum", "pytorch_grad_cam", "torchcam")


def open_suite() -> Callable[..., Any]:
    """`suite.run_speed`. ImportError in one line where a peer is not installed."""
    try:
        from .suite import run_speed
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in PEERS:
            raise
        raise ImportError(f"this needs {missing}, which is not installed; pip install 'camutils[test]' installs it"
                          ) from error
    return run_speed
