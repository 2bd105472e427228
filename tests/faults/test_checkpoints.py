"""Checkpoints that are cut, swapped, flipped in a bit, or that would run code: refused by name, and no code runs."""

import pickle
import shutil
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from camutils import load_model
from camutils.networks import load
from camutils.networks.given import open_network
from camutils.places import CHECKPOINTS

CUTS = 12  # places at which a file is cut, from its first byte to its last


class Code:
    """What a pickle can hold: read without care it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


WAYS = {
    "a pickle": lambda content, file: file.write_bytes(pickle.dumps(content)),
    "an old file of torch": lambda content, file: torch.save(content, file, _use_new_zipfile_serialization=False),
    "a file of torch": torch.save,
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A copy of two of the project's checkpoints, in its place, and the place for weights of one's own."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in ("scenes_vgg.pth", "scenes_vgg_seed1.pth", "SHA256SUMS"):
        shutil.copy(CHECKPOINTS / name, folder)
    monkeypatch.setattr(load, "CHECKPOINTS", folder)
    monkeypatch.setenv("CAMUTILS_CHECKPOINTS", str(folder))
    (tmp_path / "own_small.py").write_text("from torch import nn\n\ndef small():\n    return nn.Sequential(nn.Conv2d(3, 4, 3))\n")
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_copies_are_whole(own):
    assert [*load_model("scenes_vgg", "cpu").state_dict()] == [*load_model("scenes_vgg_seed1", "cpu").state_dict()]


@pytest.mark.parametrize("cut", range(CUTS))
def test_a_cut_file_is_refused_wherever_it_is_cut(own, cut):
    small = nn.Sequential(nn.Conv2d(3, 4, 3))
    torch.save(small.state_dict(), own / "small.pth")
    torch.save(torchvision.models.squeezenet1_1().state_dict(), own / "squeezenet1_1.pth")
    for name in ("scenes_vgg", "small", "squeezenet1_1"):
        content = (own / f"{name}.pth").read_bytes()
        (own / f"{name}.pth").write_bytes(content[: len(content) * cut // (CUTS - 1) - (cut == CUTS - 1)])
    with pytest.raises(ValueError, match="scenes_vgg.pth does not have the checksum that .*SHA256SUMS states"):
        load_model("scenes_vgg")
    with pytest.raises(ValueError, match="squeezenet1_1.pth is not a readable state dict"):
        load_model("squeezenet1_1")
    with pytest.raises(ValueError, match="small.pth is not a readable state dict"):
        open_network("own_small:small", own / "small.pth")


@pytest.mark.parametrize("place", range(0, 10, 3))
def test_a_bit_that_flipped_is_found(own, place):
    content = bytearray((own / "scenes_vgg.pth").read_bytes())
    content[len(content) * place // 10] ^= 1
    (own / "scenes_vgg.pth").write_bytes(content)
    with pytest.raises(ValueError, match="scenes_vgg.pth does not have the checksum"):
        load_model("scenes_vgg")


def test_two_files_of_one_shape_that_were_swapped_are_found(own):
    (own / "scenes_vgg.pth").rename(own / "kept")
    (own / "scenes_vgg_seed1.pth").rename(own / "scenes_vgg.pth")
    (own / "kept").rename(own / "scenes_vgg_seed1.pth")
    for name in ("scenes_vgg", "scenes_vgg_seed1"):
        with pytest.raises(ValueError, match=f"{name}.pth does not have the checksum"):
            load_model(name)


def test_another_networks_file_is_found(own):
    torch.save(torchvision.models.squeezenet1_0().state_dict(), own / "squeezenet1_1.pth")
    with pytest.raises(ValueError, match="squeezenet1_1.pth does not hold the weights of squeezenet1_1"):
        load_model("squeezenet1_1")
    torch.save(nn.Sequential(nn.Conv2d(3, 5, 3)).state_dict(), own / "small.pth")
    with pytest.raises(ValueError, match="small.pth does not fit own_small:small: 2 of another shape"):
        open_network("own_small:small", own / "small.pth")


@pytest.mark.parametrize("sums", [None, b"", b"0123", b"\xff\xfe\x00\n\n  \n", b"0" * 64 + b"  scenes_vgg.pth\n"],
                         ids=["missing", "empty", "cut", "no text", "wrong"])
def test_without_its_checksum_no_checkpoint_is_read(own, sums):
    (own / "SHA256SUMS").unlink()
    if sums is not None:
        (own / "SHA256SUMS").write_bytes(sums)
    with pytest.raises(ValueError, match="scenes_vgg.pth does not have the checksum that .*SHA256SUMS states; restore it"):
        load_model("scenes_vgg")


@pytest.mark.parametrize("way", WAYS)
def test_code_in_a_file_of_weights_is_refused_and_does_not_run(own, tmp_path, way):
    ran = tmp_path / "ran"
    inside = {"0.weight": torch.zeros(4, 3, 3, 3), "0.bias": Code(ran)}
    for content in (Code(ran), inside, {"state_dict": inside}):
        for name in ("small", "squeezenet1_1"):
            WAYS[way](content, own / f"{name}.pth")
        with pytest.raises(ValueError, match="squeezenet1_1.pth is not a readable state dict"):
            load_model("squeezenet1_1")
        with pytest.raises(ValueError, match="small.pth is not a readable state dict"):
            open_network("own_small:small", own / "small.pth")
        assert not ran.exists()
    pickle.loads(pickle.dumps(Code(ran)))
    assert ran.exists()  # whoever reads it without care runs it
