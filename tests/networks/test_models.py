"""The embedded networks do their job, photographs are recognised, and normalisation happens inside."""

import pytest
import torch
import torchvision
from torch.testing import assert_close

from camutils import class_names, default_layer, grad_cam, load_model, photo_batch, scene, standardise_inside
from camutils.networks import load as models
from camutils.networks.scene_networks import SEED, SHUFFLED
from camutils.networks.train import BY_HEART, _load, mean_average_precision, shuffle_labels
from camutils.places import DATA

SCENES = [name for name in models.SCENE_NETWORKS if not name.endswith(SHUFFLED)]
LEARNED_BY_HEART = [name for name in models.SCENE_NETWORKS if name.endswith(SHUFFLED)]
ON_PHOTOGRAPHS = {"chelsea": {"Egyptian cat"}, "coffee": {"espresso"}, "motorcycle": {"moped"}, "china": {"palace", "monastery"}}


@pytest.fixture(scope="module")
def split():
    return _load("test")


@pytest.mark.parametrize("name", [*SCENES, *LEARNED_BY_HEART])
def test_scene_network_is_small_and_its_checksum_is_stated(name):
    path = models.CHECKPOINTS / f"{name}.pth"
    assert path.stat().st_size <= 3e6
    assert models.read_checksums()[path.name] == models.sha256(path)
    state = torch.load(path, weights_only=True)
    assert all(isinstance(v, torch.Tensor) for v in state.values())
    model = load_model(name, "cpu")
    assert not model.training and model.state_dict().keys() == state.keys()
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("name", SCENES)
def test_scene_network_finds_the_digits(name, split):
    images, present = split
    assert images.shape == (1000, 3, 96, 96) and present.sum(1).min() == 1
    precision = mean_average_precision(load_model(name, "cpu"), images, present)
    assert precision.shape == (10,) and precision.mean() >= 0.98
    row = next(line for line in (DATA / "README.md").read_text().splitlines() if line.startswith(f"| `{name}` |"))
    assert precision.mean() == pytest.approx(float(row.split("|")[5]), abs=5e-4)  # as written down


@pytest.mark.parametrize("name", ["scenes_resnet", "scenes_vgg"])
def test_seeds_are_networks_of_their_own(name, split):
    """Three trainings: the same layers, other weights, no two with the same answers."""
    models_of = [load_model(n, "cpu") for n in SCENES if n.split(SEED)[0] == name]
    states = [m.state_dict() for m in models_of]
    assert len(states) == 3 and all([v.shape for v in s.values()] == [v.shape for v in states[0].values()] for s in states)
    with torch.inference_mode():
        S = torch.stack([m(split[0][:20].float() / 255) for m in models_of])
    assert min((S[a] - S[b]).abs().mean() for a, b in ((0, 1), (0, 2), (1, 2))) > 0.3


@pytest.mark.parametrize("name", LEARNED_BY_HEART)
def test_shuffled_network_knows_its_own_labels_and_no_digit(name, split):
    """It has the labels of its training scenes by heart; on others it is at chance, the frequency of a digit."""
    model, (images, present) = load_model(name, "cpu"), _load("train", BY_HEART["length"])
    assert mean_average_precision(model, images, shuffle_labels(present)).mean() >= 0.95
    chance = split[1].mean(0).numpy()
    assert (mean_average_precision(model, *split) - chance).max() < 0.1 and 0.15 < chance.min() < chance.max() < 0.25


@pytest.mark.parametrize("name, layer", [("scenes_resnet", "layer4"), ("scenes_vgg", "features.14")])
def test_scene_network_heat_lies_on_the_digit(name, layer):
    model = load_model(name, "cpu")
    assert default_layer(model) == layer
    assert class_names(name) == list("0123456789")
    hits = []
    for index in range(40):
        s = scene("test", index)
        n = len(s.classes)
        heat = grad_cam(model, s.image.expand(n, -1, -1, -1), s.classes)
        for one, (x0, y0, x1, y1) in zip(heat, s.boxes.tolist(), strict=True):
            y, x = divmod(int(one.argmax()), 96)
            hits.append(x0 <= x < x1 and y0 <= y < y1)
    assert sum(hits) / len(hits) > 0.8  # by chance: a box covers 8 % of the scene


def test_normalisation_happens_inside(tiny, images):
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.4])
    expected = tiny((images - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    names = [n for n, _ in tiny.named_modules()]
    assert standardise_inside(tiny, mean, std) is tiny
    assert_close(tiny(images), expected)
    assert [n for n, _ in tiny.named_modules()] == names


@pytest.mark.parametrize("name", ["mobilenet_v2", "squeezenet1_1"])
def test_photographs_are_recognised(name, assets, monkeypatch):
    monkeypatch.setenv("CAMUTILS_CHECKPOINTS", str(assets / "checkpoints"))
    model, names = load_model(name, "cpu"), class_names(name)
    with torch.inference_mode():
        top = model(photo_batch(ON_PHOTOGRAPHS)).argmax(1)
    assert len(names) == 1000
    for photo, c in zip(ON_PHOTOGRAPHS, top.tolist(), strict=True):
        assert names[c] in ON_PHOTOGRAPHS[photo]


def test_normalisation_of_torchvision_networks(assets, monkeypatch):
    monkeypatch.setenv("CAMUTILS_CHECKPOINTS", str(assets / "checkpoints"))
    x, bare = photo_batch(["chelsea"]), torchvision.models.mobilenet_v2()
    bare.load_state_dict(torch.load(assets / "checkpoints" / "mobilenet_v2.pth", weights_only=True))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    assert_close(load_model("mobilenet_v2", "cpu")(x), bare.eval()((x - mean) / std))
