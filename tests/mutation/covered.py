"""How much of camutils do the tests reach? `make coverage` measures it and asks here for the table.

    python tests/mutation/covered.py build/coverage.json
"""

import json
import sys
from collections import Counter
from pathlib import Path

PARTS = ("camutils/core/", "camutils/methods/", "camutils/evaluation/metrics/", "camutils/")


def part(files: dict[str, dict], folder: str) -> str:
    """A line of the table: lines and branches of all files below `folder`, and how many of them are reached."""
    total = sum((Counter(summary) for name, summary in files.items() if name.startswith(folder)), Counter())
    line = f"{folder:30}"
    for what, covered, every in (("lines", "covered_lines", "num_statements"), ("branches", "covered_branches", "num_branches")):
        line += f"{total[covered]:7} of {total[every]:5} {what} ({100 * total[covered] / total[every]:5.1f} %)"
    return line


def main() -> None:
    report = json.loads(Path(sys.argv[1]).read_text())
    files = {name: file["summary"] for name, file in report["files"].items()}
    print(*(part(files, folder) for folder in PARTS), sep="\n")
    print("\nleast covered files:")
    for name in sorted(files, key=lambda name: files[name]["percent_covered"])[:10]:
        print(f"{files[name]['percent_covered']:5.1f} %  {name}")


if __name__ == "__main__":
    main()
