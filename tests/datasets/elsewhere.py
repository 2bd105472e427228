"""Scenes elsewhere: their digests and the resize tests with other Pillows, narrower instructions, other BLAS kernels. By hand:

    python tests/datasets/elsewhere.py 11 12 13

downloads each Pillow that is named into a temporary folder and sets it before the installed one, then runs with the installed
one under the environments below. Prints a line a run; exit status 1 if one failed. Not part of `make test`: it needs an index.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TESTS = ["tests/datasets/test_scenes.py", "tests/datasets/test_resize.py"]
ROOT = Path(__file__).resolve().parent.parent.parent
WIDE = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])  # what NumPy would choose here beyond its baseline
VERSION = "import PIL, numpy; print('Pillow', PIL.__version__, 'NumPy', numpy.__version__)"


def passes(title: str, **environment: str) -> bool:
    """Run the tests with these environment variables; print the title, the versions in use and pytest's verdict."""
    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment}, capture_output=True,
                              text=True)

    tests = run("-m", "pytest", *TESTS, "-p", "no:cacheprovider", "-o", "addopts=", "-q")
    print(f"{title}: {run('-c', VERSION).stdout.strip()}: {tests.stdout.strip().splitlines()[-1]}", flush=True)
    return tests.returncode == 0


def main(pillows: list[str]) -> int:
    results = [passes("as installed", PYTHONPATH=str(ROOT))]
    for version in pillows:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder,
                            f"pillow=={version}.*"], check=True)
            results.append(passes(f"Pillow {version}", PYTHONPATH=os.pathsep.join([folder, str(ROOT)])))
    for count in range(len(WIDE)):
        off = " ".join(WIDE[count:])
        results.append(passes(f"without {off}", PYTHONPATH=str(ROOT), NPY_DISABLE_CPU_FEATURES=off))
    for core in ("Haswell", "Prescott"):
        results.append(passes(f"OpenBLAS for {core}", PYTHONPATH=str(ROOT), OPENBLAS_CORETYPE=core))
    return int(not all(results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
