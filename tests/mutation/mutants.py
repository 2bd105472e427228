"""Do the tests notice where the mathematics is wrong? One small fault at a time in camutils, and the tests that reach it.

    python tests/mutation/mutants.py [--sample 120] [--seed 0] [--seconds 60]

The faults are mutmut's, in core/, methods/ and evaluation/metrics/: `a + b` becomes `a - b`, `f(x, y)` becomes `f(x)`, `5`
becomes `6`, `x = y` becomes `x = None`, and so on. Left out are types and what an error says; docstrings mutmut leaves alone.
The sample is drawn from all of them with the seed; a larger one begins with the same mutants.

First the tests run as they are, once: which lines does each reach, how long does it take? Each mutant then meets the tests that
reach its statement, the quickest first, as many as take --seconds, until one fails; all these tests first have to pass without
a fault. All this happens in a copy of the project, build/mutants/copy. A mutant that no test notices lives. lived.csv explains
those that no test can notice.

What was found is kept in build/mutants: an interrupted run goes on; once tests change, only mutants that lived are tried again.
"""

import argparse
import csv
import difflib
import gc
import hashlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import coverage
import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "mutants"
COPY = KEPT / "copy"
LIVED = Path(__file__).with_name("lived.csv")
SOURCES = ("camutils/core", "camutils/methods", "camutils/evaluation/metrics")
TESTS = ("tests/core", "tests/methods", "tests/evaluation", "tests/properties", "tests/test_cli.py", "tests/test_explain.py")
PYTEST = ("-p", "no:nbval", "-p", "no:cacheprovider", "--override-ini", "addopts=-q",
          "-m", "not long and not site and not browser", "-W", "ignore::pytest.PytestAssertRewriteWarning")
KILLED, HUNG, ALIVE = "killed", "timed out", "lived"


@dataclass
class Mutant:
    """One fault: in the file `path`, the node `old` of `module` becomes `new`."""

    path: str  # from the project's root
    number: int  # among the mutants of its file
    statement: range  # its lines, counted from 1
    around: range  # lines of the function around it, or of the whole file
    module: cst.Module
    old: cst.CSTNode
    new: cst.CSTNode

    def code(self) -> str:
        """The file with the fault."""
        return self.module.deep_replace(self.old, self.new).code

    def diff(self) -> list[str]:
        """Lines that differ: "-" as it is, "+" with the fault."""
        lines = difflib.unified_diff(self.module.code.splitlines(), self.code().splitlines(), n=0)
        return [line for line in lines if line[0] in "-+" and not line.startswith(("---", "+++"))]

    def text(self) -> tuple[str, str]:
        """The same in two lines, as lived.csv has it: no indentation, so that a line may move."""
        was, now = (" ".join(line[1:].strip() for line in self.diff() if line[0] == sign) for sign in "-+")
        return was, now

    def key(self) -> str:
        return hashlib.sha256(f"{self.path}\n{self.code()}".encode()).hexdigest()[:16]


def mutants_of(path: str, code: str) -> list[Mutant]:
    """Every mutant of one file, from its first line to its last."""
    wrapper = MetadataWrapper(cst.parse_module(code))
    places = wrapper.resolve(PositionProvider)

    whole, number = range(1, len(code.splitlines()) + 1), count()

    def lines(node: cst.CSTNode) -> range:
        return range(places[node].start.line, places[node].end.line + 1)

    def walk(node: cst.CSTNode, statement: range, around: range) -> Iterator[Mutant]:
        if isinstance(node, cst.Annotation) or overload(node) or around == whole and alias(node):
            return
        if isinstance(node, cst.FunctionDef):
            around = lines(node)
        if isinstance(node, cst.SimpleStatementLine):
            statement = lines(node)
        elif isinstance(node, cst.BaseCompoundStatement):
            statement = range(lines(node)[0], lines(node.body)[0] + 1)  # its head, such as `if x:`
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                for new in operator(node):
                    yield Mutant(path, next(number), statement, around, wrapper.module, node, new)
        for child in node.children:
            if not (isinstance(node, cst.Raise) and child is node.exc):
                yield from walk(child, statement, around)

    return list(walk(wrapper.module, whole, whole))


def overload(node: cst.CSTNode) -> bool:
    """A function that is only there for the type checker?"""
    return m.matches(node, m.FunctionDef(decorators=[m.Decorator(m.Name("overload"))]))


def alias(node: cst.CSTNode) -> bool:
    """A name for a type, `Places = list[tuple[int, str]]`? Outside of functions only these begin with one capital. Or `__all__`,
    which tests/test_project.py compares with what is there."""
    return m.matches(node, m.Assign([m.AssignTarget(m.Name(m.MatchRegex(r"[A-Z][a-z]\w*|__all__")))]))


def all_mutants() -> list[Mutant]:
    files = sorted(file for folder in SOURCES for file in (ROOT / folder).rglob("*.py"))
    return [mutant for file in files for mutant in mutants_of(file.relative_to(ROOT).as_posix(), file.read_text())]


def draw(mutants: list[Mutant], sample: int, seed: int) -> list[Mutant]:
    """The first `sample` of them in an order that the seed gives; a change of one file moves no mutant of another."""
    def lot(mutant: Mutant) -> str:
        return hashlib.sha256(f"{seed} {mutant.path} {mutant.number}".encode()).hexdigest()

    return sorted(mutants, key=lot)[:sample]


def explained() -> dict[tuple[str, str, str], str]:
    """(file, line as it is, line with the fault) of mutants that no test can notice -> why."""
    with LIVED.open(newline="") as file:
        return {(row["file"], row["was"], row["becomes"]): row["why"] for row in csv.DictReader(file)}


def digest(folders: tuple[str, ...]) -> dict[str, str]:
    """File -> its content in short, for every Python file in these folders."""
    files = sorted(file for folder in folders for file in [ROOT / folder, *(ROOT / folder).rglob("*.py")] if file.is_file())
    return {file.relative_to(ROOT).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files}


def copy_project() -> None:
    """What git knows of the project, and new files that it does not ignore, into COPY."""
    shutil.rmtree(COPY, ignore_errors=True)
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():  # git also names files that were deleted
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, COPY / name)


class Reach:
    """Which tests reach which lines, and how long each test takes: measured once, again where tests or camutils changed."""

    def __init__(self):
        self.file, self.seconds_file, self.seen_file = KEPT / "reach.coverage", KEPT / "seconds.json", KEPT / "seen.json"
        self.seconds: dict[str, float] = json.loads(self.seconds_file.read_text()) if self.seconds_file.exists() else {}
        self.measure()
        self.data = coverage.CoverageData(str(self.file))
        self.data.read()

    def measure(self) -> None:
        seen = json.loads(self.seen_file.read_text()) if self.seen_file.exists() else {}
        code, tests = digest(("camutils",)), digest(TESTS)
        if seen.get("camutils") != code:
            seen, self.seconds = {"camutils": code, "tests": {}}, {}
            self.file.unlink(missing_ok=True)
        changed = [name for name in tests if seen["tests"].get(name) != tests[name] and Path(name).name.startswith("test_")]
        if changed:
            print(f"which lines do the tests of {len(changed)} files reach? (minutes, once)", flush=True)
            times = KEPT / "times.xml"
            subprocess.run([sys.executable, "-m", "pytest", *PYTEST, *changed, "--cov=camutils", "--cov-branch", "--cov-append",
                            "--cov-context=test", "--cov-report=", f"--junitxml={times}", "-o", "junit_family=xunit1"],
                           cwd=COPY, env=environment() | {"COVERAGE_FILE": str(self.file)}, check=True)
            for case in ElementTree.parse(times).iter("testcase"):
                self.seconds[f"{case.get('file')}::{case.get('name')}"] = float(case.get("time"))
            self.seconds_file.write_text(json.dumps(self.seconds))
            self.seen_file.write_text(json.dumps({"camutils": code, "tests": tests}))

    def tests(self, mutant: Mutant, seconds: float) -> dict[str, float]:
        """Test -> seconds it takes, the quickest first: those that reach the statement, else its function, else its file."""
        by_line = self.data.contexts_by_lineno(str(COPY / mutant.path))
        for lines in (mutant.statement, mutant.around, by_line):
            contexts = {context for line in lines for context in by_line.get(line, []) if context}
            names = {context.rpartition("|")[0] for context in contexts} & self.seconds.keys()
            if names:
                break
        chosen, total = {}, 0.0
        for name in sorted(names, key=self.seconds.get):
            total += self.seconds[name]
            if total > seconds and chosen:
                break
            chosen[name] = self.seconds[name]
        return chosen


def environment() -> dict[str, str]:
    """For a process whose camutils is the copy's. No .pyc: a fault of the same length within one second would not be seen."""
    return os.environ | {"PYTHONPATH": str(COPY), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}


class Only:
    """Pytest plugin: of the tests collected only these, in this order."""

    def __init__(self, names):
        self.places = {name: place for place, name in enumerate(names)}

    def pytest_collection_modifyitems(self, items):
        items[:] = sorted((item for item in items if item.nodeid in self.places), key=lambda item: self.places[item.nodeid])


def preload() -> None:
    """Import what every test needs and no mutant changes: once, before the processes fork, since torch takes seconds."""
    for name in ("captum.attr", "hypothesis", "matplotlib.pyplot", "nbformat", "pytest", "pytorch_grad_cam", "torchcam",
                 "torchvision", "typer.testing"):
        importlib.import_module(name)


def run(tests: dict[str, float], limit: float, folder: Path = COPY) -> str:
    """"killed" where a test fails, "timed out" after so many seconds, "lived" where all pass: in a process of its own."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.setsid()
        in_child(list(tests), folder)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return ALIVE if status == 0 else KILLED
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return HUNG


def in_child(names: list[str], folder: Path) -> None:
    """Run these tests in `folder` and leave with pytest's status. Never returns."""
    import pytest

    status = 1
    try:
        with (folder / "pytest.log").open("w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        gc.freeze()  # pytest collects garbage; what was imported before is none
        os.environ.update(environment() | {"PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        sys.dont_write_bytecode = True
        files = dict.fromkeys(name.partition("::")[0] for name in names)
        status = pytest.main([*PYTEST, "-x", *files], plugins=[Only(names)])
        if status == pytest.ExitCode.NO_TESTS_COLLECTED:
            status = 0
    finally:
        os._exit(int(status))


def try_all(sample: list[Mutant], seconds: float) -> dict[str, str]:
    """Key -> verdict of every mutant of the sample."""
    copy_project()
    reach, tests_now = Reach(), hashlib.sha256(json.dumps(digest(TESTS)).encode()).hexdigest()[:16]
    preload()
    file = KEPT / "verdicts.csv"
    rows = list(csv.reader(file.open(newline=""))) if file.exists() else []
    verdicts = {key: verdict for key, verdict, tests in rows if verdict != ALIVE or tests == f"{tests_now} {seconds}"}
    asked = {mutant.key(): reach.tests(mutant, seconds) for mutant in sample if mutant.key() not in verdicts}
    together = {name: took for tests in asked.values() for name, took in tests.items()}
    if together and run(together, 60 + 5 * sum(together.values())) != ALIVE:
        raise SystemExit(f"a test fails without any fault: see {COPY.relative_to(ROOT) / 'pytest.log'}")
    with file.open("a", newline="") as out:
        for number, mutant in enumerate(sample, 1):
            key = mutant.key()
            if key not in verdicts:
                began = time.monotonic()
                tests = asked[key]
                place = COPY / mutant.path
                place.write_text(mutant.code())
                try:
                    verdicts[key] = run(tests, 60 + 10 * sum(tests.values()))
                finally:
                    place.write_text(mutant.module.code)
                csv.writer(out).writerow([key, verdicts[key], f"{tests_now} {seconds}"])
                out.flush()
                print(f"{number:4} {verdicts[key]:9} {time.monotonic() - began:6.1f} s {len(tests):5} tests  "
                      f"{mutant.path}:{mutant.statement[0]}", flush=True)
    return verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=int, default=120, help="how many mutants to try (default: 120)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (default: 0)")
    parser.add_argument("--seconds", type=float, default=60, help="of tests for each mutant, at most (default: 60)")
    chosen = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    mutants = all_mutants()
    sample = draw(mutants, chosen.sample, chosen.seed)
    verdicts, why = try_all(sample, chosen.seconds), explained()
    alive = [mutant for mutant in sample if verdicts[mutant.key()] == ALIVE]
    unexplained = [mutant for mutant in alive if (mutant.path, *mutant.text()) not in why]
    for mutant in sorted(alive, key=lambda mutant: (mutant.path, mutant.statement[0])):
        print(f"\n{mutant.path}:{mutant.statement[0]} lived", *mutant.diff(), sep="\n")
        print(f"explained: {why.get((mutant.path, *mutant.text()), 'no')}")
    said = [verdicts[mutant.key()] for mutant in sample]
    print(f"\n{len(mutants)} mutants, {len(sample)} sampled (seed {chosen.seed}): {said.count(KILLED)} killed, "
          f"{said.count(HUNG)} timed out, {said.count(ALIVE)} lived, of which {len(alive) - len(unexplained)} explained")
    sys.exit(bool(unexplained))


if __name__ == "__main__":
    main()
