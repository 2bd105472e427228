"""The fuzzer's targets still work: each reads its own seeds, and says what it should of damaged ones. No atheris is needed."""

import runpy
import sys

import pytest
from targets import TARGETS, expected

from camutils.places import ROOT


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_reads_its_seeds(name, tmp_path):
    """The first seed is a good file; of all of them, and of the first cut in half, only such errors come as are meant."""
    read, seeds = TARGETS[name](tmp_path)
    if name not in ("parameter", "classes"):
        read(seeds[0])
    for data in (*seeds, seeds[0][: len(seeds[0]) // 2], b""):
        try:
            read(data)
        except Exception as error:
            assert expected(error), error


def test_an_error_that_says_nothing_to_a_user_is_a_crash():
    assert expected(ValueError("a given; accepted: b")) and expected(FileNotFoundError("no file a"))
    decoding = UnicodeDecodeError("utf-8", b"", 0, 1, "accepted")
    for error in (KeyError("a"), ValueError("invalid literal"), RecursionError("accepted"), decoding):
        assert not expected(error)


def test_a_crash_can_be_repeated_without_atheris(tmp_path, monkeypatch):
    (tmp_path / "crash").write_bytes(b"image,class\n")
    monkeypatch.setattr(sys, "argv", ["readers.py", "--only", "boxes_csv", "--input", str(tmp_path / "crash")])
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(ValueError, match="boxes.csv has no column x0, y0, x1, y1"):
        runpy.run_path(str(ROOT / "tests" / "fuzzing" / "readers.py"), run_name="__main__")
    assert "atheris" not in sys.modules
