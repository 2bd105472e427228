"""What the whole validation sets would take on this machine, worked out from the times that were measured."""

import inspect
from collections.abc import Iterable

from ...methods import METHODS
from .table import Row

SETS = {"VOC2012 val": 5823, "ILSVRC2012 val": 50_000}  # pictures


def default_steps(method: str) -> int:
    """How many steps the method takes where nobody says: 1 for methods without steps."""
    known = inspect.signature(METHODS[method]).parameters.get("steps") if method in METHODS else None
    return 1 if known is None else int(known.default)


def seconds_per_image(row: Row) -> float:
    """Seconds of one picture with the method's default options; a path of fewer steps is scaled, since all cost the same.

    ValueError for a row whose seconds, batch or steps are no numbers.
    """
    options = dict(pair.partition("=")[::2] for pair in str(row["options"]).split())
    try:
        steps = int(options["steps"]) if "steps" in options and row["method"] in METHODS else 0
        longer = default_steps(row["method"]) / steps if steps else 1
        return float(row["seconds"]) / int(row["batch"]) * longer
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        raise ValueError(f"a row of {row['method']} on {row['network']} ({error}); accepted: seconds, batch and steps as "
                         "they were written") from error


def full_sets(rows: Iterable[Row]) -> list[Row]:
    """Per network and method, at the largest batch that was timed: seconds a picture, hours for each set, one class a picture.

    A method that was timed on a part of its channels is left out.
    """
    found: dict[tuple[str, str], Row] = {}
    times: dict[tuple[str, str], float] = {}
    for row in rows:
        whole = row["contestant"] == "ours" and not row.get("setting") and "preset" not in str(row["options"])
        if not whole:
            continue
        key, each = (row["network"], row["method"]), seconds_per_image(row)
        if key not in found or int(row["batch"]) >= int(found[key]["batch"]):
            found[key], times[key] = row, each
    table = []
    for (network, method), row in found.items():
        each = times[network, method]
        hours = {name: each * pictures / 3600 for name, pictures in SETS.items()}
        table.append({"suite": row["suite"], "network": network, "method": method, "seconds": each, **hours})
    return table
