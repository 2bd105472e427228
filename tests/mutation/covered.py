"""How much of camutils do the tests reach? `make coverage` measures it and asks here for the table.

    python tests/mutation/covered.py build/coverage.json
"""

import json
import sys
from pathlib import Path

PARTS = ("camutils/core/", "camutils/methods/", "camutils/evaluation/metrics/", "camutils/")


def part(files: dict[str, dict], folder: str) -> str:
    """A line of the table: lines and branches of all files below `folder`, and how many of them are reached."""
    inside = [summary for name, summary in files.items() if name.startswith(folder)]
    line = f"{folder:30}"
    for what, covered, every in (("lines", "covered_lines", "num_statements"), ("branches", "covered_branches", "num_branches")):
        reached, all_of_them = sum(file[covered] for file in inside), sum(file[every] for file in inside)
        line += f"{reached:7} of {all_of_them:5} {what} ({100 * reached / all_of_them:5.1f} %)"
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
