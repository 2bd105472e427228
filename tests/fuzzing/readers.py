"""A coverage-guided fuzzer over everything that reads files or values of somebody else: `targets.py` lists them.

    python tests/fuzzing/readers.py                                 all targets, ten minutes together
    python tests/fuzzing/readers.py --minutes 2 --only coco         one target
    python tests/fuzzing/readers.py --only coco --input FILE        once, with these bytes: the traceback of a crash

Wants `pip install atheris` (libFuzzer for Python); --input does not. Each target has a process of its own, whose words are in
build/fuzzing/TARGET.log. What no reader means to raise is a crash; the first bytes for each place where one happens are kept in
build/fuzzing, and so is what takes twenty seconds or two gigabytes, which ends its target. Exit status 1 if anything was found.
"""

import argparse
import os
import random
import re
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "fuzzing"
for place in (ROOT, ROOT / "tests", ROOT / "tests" / "fuzzing"):
    sys.path.insert(0, str(place))
if not any(word.startswith("--input") for word in sys.argv):
    import atheris
    import torch  # noqa: F401  which need not be instrumented

    with atheris.instrument_imports(include=["camutils", "tomllib"]):
        import camutils  # noqa: F401
from targets import TARGETS, expected  # noqa: E402

TOKENS = ["0", "-1", "1.5", "1e308", "1e999", "9" * 400, "9" * 5000, "NaN", "Infinity", "null", "true", '""', '"\\ud800"', "[]",
          "{}", "[" * 300 + "]" * 300, "[" * 99999, '{"a":' * 300, "-" * 9999, "x" * 300, "x" * 140_000, "<!DOCTYPE a [", "&a;",
          "\0", "\ufeff", "\x85", "\u00b2", "\u0663", "~nobody/", "../", '"', "'", "\r", "\n", ",", ":", "=", "^", "+", "("]
TOKEN = re.compile(rb'"[^"\n]*"|[\w.+-]+|\s+|.', re.DOTALL)


def swap_token(data: bytes, size: int, seed: int) -> bytes:
    """The bytes with one token doubled, taken out, or replaced by another of theirs or of TOKENS: often still well formed."""
    chance, found = random.Random(seed), TOKEN.findall(data) or [b""]
    at = chance.randrange(len(found))
    new = chance.choice([chance.choice(TOKENS).encode(), chance.choice(found), found[at] * 2, b""])
    return b"".join([*found[:at], new, *found[at + 1 :]])[:size]


def where(error: BaseException) -> str:
    """What was raised and the last line of camutils that it came from: the same for all crashes of one fault."""
    frames = traceback.extract_tb(error.__traceback__)
    last = ([frame for frame in frames if "camutils/" in frame.filename] or frames)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name} line {last.lineno}"


def fuzz(name: str, seconds: int, scratch: Path) -> None:
    """One target, in a process of its own: libFuzzer until the time is over. Never returns."""
    corpus = OUT / "corpus" / name  # stays: the next run begins with what this one learnt
    corpus.mkdir(parents=True, exist_ok=True)
    read, seeds = TARGETS[name](scratch)
    for i, seed in enumerate(seeds):
        (corpus / f"seed{i}").write_bytes(seed)
    known: set[str] = set()
    sys.stdout = sys.stderr = open(os.devnull, "w")  # what readers print, and their bars

    def once(data: bytes) -> None:
        try:
            read(data)
        except Exception as error:
            if not expected(error) and (place := where(error)) not in known:
                known.add(place)
                kept = OUT / f"crash-{name}-{re.sub(r'[^a-zA-Z0-9]+', '_', place)}"
                kept.write_bytes(data)
                print(f"crash: {place}: {str(error)[:200]!a} {kept.name}", file=sys.__stderr__, flush=True)

    def change(data: bytes, size: int, seed: int) -> bytes:
        return atheris.Mutate(data, size) if seed % 2 else swap_token(data, size, seed)

    limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=200000"]
    atheris.Setup([sys.argv[0], *limits, "-print_final_stats=1", f"-artifact_prefix={OUT}/killed-{name}-", str(corpus)],
                  once, custom_mutator=change)
    atheris.Fuzz()


def run(name: str, seconds: int) -> list[str]:
    """`fuzz` in a process of its own: prints a line of numbers, gives what was found."""
    log, shared = OUT / f"{name}.log", Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as scratch:
        child = os.fork()
        if child == 0:
            with log.open("wb") as file:
                os.dup2(file.fileno(), 2)
            try:
                fuzz(name, seconds, Path(scratch))
            finally:
                traceback.print_exc()
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = log.read_text(errors="replace")
    executions, features, took = (re.findall(pattern, said, re.MULTILINE)[-1:] or ["?"] for pattern in
                                  (r"(?:units: *|^#)(\d+)", r"ft: (\d+)", r"runs in (\d+) second"))
    found = re.findall(r"^crash: (.*)$", said, re.MULTILINE)
    if status:
        found.append(f"ended with status {status}; {log.name}, {', '.join(p.name for p in OUT.glob(f'killed-{name}-*'))}")
    print(f"{name:18s}{executions[0]:>10s} executions{features[0]:>8s} features{took[0]:>6s} s{len(found):>4d} crashes")
    print("".join(f"    {line}\n" for line in found), end="", flush=True)
    return found


def main() -> None:
    """The command."""
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--minutes", type=float, default=10, help="of all targets together")
    asked.add_argument("--only", help="one target")
    asked.add_argument("--input", type=Path, help="a file: let the target --only read it, once")
    given = asked.parse_args()
    names = [given.only] if given.only else [*TARGETS]
    if unknown := [name for name in names if name not in TARGETS]:
        asked.error(f"unknown target {unknown[0]}; accepted: {', '.join(TARGETS)}")
    if given.input:
        with tempfile.TemporaryDirectory() as scratch:
            TARGETS[given.only](Path(scratch))[0](given.input.read_bytes())
        return
    OUT.mkdir(parents=True, exist_ok=True)
    found = [line for name in names for line in run(name, round(60 * given.minutes / len(names)))]
    print(f"{len(found)} crashes; to repeat one: python tests/fuzzing/readers.py --only TARGET --input build/fuzzing/FILE")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
