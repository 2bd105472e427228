"""The zoo's table: its cheap networks anew, the stored one whole, and that a wrong map does not pass."""

import pytest
import torch
from conftest import not_locked
from networks import NETWORKS, make
from table import HEADS, METHODS, STORED, Wrong, attempt, hand_made, main, numbered, pictures, read, row
from torch import nn

from camutils import Network

CHEAP = [e for e in NETWORKS if e.cheap]
SMALL = next(e for e in NETWORKS if e.name == "one logit")


def marks(entry, cells):
    """What can be compared between machines: not what the last bit decides, nor the words of another library's errors."""
    return [cell[:2] for method, cell in zip(METHODS, cells, strict=True) if method not in entry.unsteady]


@pytest.mark.parametrize("entry", CHEAP, ids=[f"{e.library}: {e.name}" for e in CHEAP])
def test_every_method_on_networks_of_every_kind(entry):
    library = entry.library.split()[0]
    if library != "by":
        pytest.importorskip(library)
    found = row(entry)
    failed = [cell for cell in found.cells.values() if cell.startswith("F")]
    if not_locked("torch") and {*failed} == {"F: all zero"}:
        pytest.skip("another PyTorch draws other random weights; of these a map is nothing but zeros")
    assert failed == []
    known = read(STORED)[entry.name, entry.library]
    assert found.words()[:6] == known[:6] and marks(entry, found.cells.values()) == marks(entry, known[6:])


def test_the_stored_table_is_whole():
    known = read(STORED)
    assert [*known] == [(e.name, e.library) for e in NETWORKS] and len(known) > 50
    assert STORED.read_text().splitlines()[0] == ",".join(HEADS) and {*METHODS} < {*HEADS}
    for entry in NETWORKS:
        for method, cell in zip(METHODS, known[entry.name, entry.library][6:], strict=True):
            refused = "all" in entry.refused or method in entry.refused
            by_hand = method in ("grad_cam", "grad_cam_pp", "layer_cam", "hires_cam", "score_cam")
            accepted = "R:" if refused else ("~", "=", "ok") if method in entry.unsteady else "=" if by_hand else "ok"
            assert cell.startswith(accepted), (entry.name, method, cell)


def attempted(monkeypatch, method="grad_cam", by_hand=None):
    """A cell of the small network, where `method` stands in the place of Grad-CAM."""
    if callable(method):
        monkeypatch.setitem(METHODS, "grad_cam", method)
    return attempt("grad_cam", SMALL, make(SMALL), pictures(SMALL), [0, 0], None, by_hand)


def test_a_wrong_map_is_told(monkeypatch):
    def first(value):
        return lambda model, x, *rest: torch.full((len(x), 64, 64), float(value))

    assert "from the map by hand" in attempted(monkeypatch, by_hand=torch.rand(2, 8, 8))
    assert attempted(monkeypatch, first(0)) == "F: all zero"
    assert attempted(monkeypatch, first(2)) == "F: not finite, or not in [0, 1]"
    assert attempted(monkeypatch, lambda model, x, *rest: x.mean(1)) == "F: (2, 64, 64), torch.float64"
    assert attempted(monkeypatch, lambda model, x, *rest: torch.rand(len(x), 64, 64)) == "F: another map at the second call"
    batch = attempted(monkeypatch, lambda model, x, *rest: x.mean(1).float() / (x.mean() * 9))
    assert batch.startswith("F: alone")


def test_errors_that_nobody_wrote_a_sentence_for_are_told(monkeypatch):
    def failing(error):
        def method(model, x, *rest):
            raise error

        return method

    assert attempted(monkeypatch, failing(RuntimeError("inside"))) == "F: RuntimeError, inside"
    assert attempted(monkeypatch, failing(ValueError("not this one"))) == "F: ValueError, not this one"  # it is to be accepted


def test_a_layer_that_a_path_leads_around_is_told():
    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3, 1, 1), nn.Linear(4, 2)

        def forward(self, x):
            return self.fc((self.conv(x) + x.mean(1, keepdim=True)).mean((2, 3)))

    network, x = Network(Around().double()), torch.rand(2, 3, 8, 8).double()
    with pytest.raises(Wrong, match="leads around 'conv'"):
        hand_made(network, x, [0, 1], "conv", "channels first")


def test_sentences_are_numbered_and_written(tmp_path, capsys):
    known = []
    assert numbered(["=", "R: one", "F: two", "R: one"], known) == ["=", "R1", "F2", "R1"] and known == ["R: one", "F: two"]
    where = tmp_path / "zoo.csv"
    assert main(["--only", "one logit", "--jobs", "1", "--out", str(where)]) == 0
    assert main(["--only", "U-Net, as it is", "--jobs", "1", "--out", str(where)]) == 0
    printed = capsys.readouterr().out
    assert "R1: the network returned" in printed or "R1: targets=None with an output" in printed
    assert [name for name, _ in read(where)] == ["U-Net, as it is", "one logit"]
