"""The mutation tester itself: what it draws, what it notices, and that lived.csv explains lines that still exist."""

import pytest

pytest.importorskip("mutmut", reason="mutmut is no part of the tests' packages: `make mutants` installs it")

from mutants import ALIVE, HUNG, KILLED, ROOT, draw, explained, mutants_of, run  # noqa: E402

HALF = '''"""Half of it."""


def half(x: int | None, share: float = 2) -> float:
    if x is None:
        raise ValueError("nothing was given" + "; accepted: a number")
    return x / share
'''
TEST = "from half_of import half\n\n\ndef test_half():\n    assert half(6) == 3\n"


@pytest.fixture
def verdict(tmp_path):
    """What the one test of a small project says of this code."""
    (tmp_path / "test_half_of.py").write_text(TEST)

    def of(code, limit=60):
        (tmp_path / "half_of.py").write_text(code)
        return run({"test_half_of.py::test_half": 0.1}, limit, tmp_path)

    return of


def test_faults_are_made_in_what_is_computed_only():
    found = [mutant.text() for mutant in mutants_of("half_of.py", HALF)]
    assert found == [
        ("def half(x: int | None, share: float = 2) -> float:", "def half(x: int | None, share: float = 3) -> float:"),
        ("if x is None:", "if x is not None:"),
        ("return x / share", "return x * share"),
    ]


def test_a_fault_is_noticed(verdict):
    assert verdict(HALF) == ALIVE
    assert [verdict(mutant.code()) for mutant in mutants_of("half_of.py", HALF)] == 3 * [KILLED]


def test_an_endless_loop_is_noticed(verdict):
    assert verdict(HALF.replace("    return", "    while x:\n        pass\n    return"), limit=1) == HUNG


def test_what_no_test_notices_lives(verdict):
    assert verdict(HALF.replace("is None", "== None")) == ALIVE


def test_the_seed_decides_the_sample_and_a_larger_one_begins_alike():
    mutants = mutants_of("half_of.py", HALF * 20)
    sample = draw(mutants, 10, seed=0)
    assert len({id(mutant) for mutant in sample}) == 10
    assert draw(mutants, 10, seed=0) == sample and draw(mutants, 20, seed=0)[:10] == sample
    assert draw(mutants, 10, seed=1) != sample


@pytest.mark.parametrize("file, was, becomes", explained())
def test_explained_lines_still_exist(file, was, becomes):
    source = " ".join(line.strip() for line in (ROOT / file).read_text().splitlines())
    assert was in source and becomes not in source and explained()[file, was, becomes]
