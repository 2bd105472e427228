"""Weights: where they are looked for, and what is said when they are missing, damaged or somebody else's."""

from urllib.error import URLError

import pytest
import torch
import torchvision

from camutils import load_model
from camutils.networks import load as models


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A machine without network and without any weights; the folder of $CAMUTILS_CHECKPOINTS."""
    own, project = tmp_path / "own", tmp_path / "project"
    own.mkdir()
    project.mkdir()
    monkeypatch.setenv("CAMUTILS_CHECKPOINTS", str(own))
    monkeypatch.setattr(models, "CHECKPOINTS", project)
    monkeypatch.setattr("camutils.places.CHECKPOINTS", project)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def no_network(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    return own


def test_missing_offline_is_one_clear_line(empty):
    with pytest.raises(FileNotFoundError) as caught:
        load_model("mobilenet_v2")
    line = str(caught.value)
    assert "\n" not in line
    for words in ("no weights for mobilenet_v2", "mobilenet_v2.pth", "mobilenet_v2-", str(empty), "hub", "no network",
                  "put the file into one of these folders", "$CAMUTILS_CHECKPOINTS"):
        assert words in line


@pytest.mark.parametrize("name", ["squeezenet1_1", "densenet121", "googlenet"])
def test_found_in_the_named_folder(name, empty):
    inits = {"init_weights": False} if name == "googlenet" else {}
    saved = torchvision.models.get_model(name, weights=None, **inits).state_dict()
    torch.save(saved, empty / f"{name}.pth")
    model = load_model(name, "cpu")
    assert not model.training and model.state_dict().keys() == saved.keys()
    assert all(torch.equal(v, saved[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 cut off"])
def test_damaged_file(content, empty):
    (empty / "mobilenet_v2.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"mobilenet_v2.pth is not a readable state dict .*accepted: a file of torch.save"):
        load_model("mobilenet_v2")


def test_pickled_code_is_refused(empty):
    torch.save(torch.nn.Linear(2, 2), empty / "mobilenet_v2.pth")
    with pytest.raises(ValueError, match="mobilenet_v2.pth is not a readable state dict"):
        load_model("mobilenet_v2")


@pytest.mark.parametrize("content", [{"fc.weight": torch.zeros(2)}, [torch.zeros(2)]], ids=["another network's", "a list"])
def test_somebody_elses_weights(content, empty):
    torch.save(content, empty / "mobilenet_v2.pth")
    with pytest.raises(ValueError, match="mobilenet_v2.pth does not hold the weights of mobilenet_v2"):
        load_model("mobilenet_v2")


def test_scene_network_missing(empty):
    with pytest.raises(FileNotFoundError, match="scenes_vgg.pth is missing in .*`camutils train scenes_vgg` makes it"):
        load_model("scenes_vgg")


def test_wrong_checksum(empty):
    path = models.CHECKPOINTS / "scenes_vgg.pth"
    torch.save(models.SCENE_NETWORKS["scenes_vgg"]().state_dict(), path)
    sums = models.CHECKPOINTS / "SHA256SUMS"
    sums.write_text(f"{models.sha256(path)}  {path.name}\n")
    assert load_model("scenes_vgg", "cpu")(torch.rand(2, 3, 96, 96)).shape == (2, 10)
    content = path.read_bytes()
    for damaged in (content[:-10], content.replace(b"\x00", b"\x01", 1)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="scenes_vgg.pth does not have the checksum that .*SHA256SUMS states; restore it"):
            load_model("scenes_vgg")
