"""Training: what is shuffled, what is written, and that the caller's random state stays."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from camutils.__main__ import app
from camutils.networks import load as models
from camutils.networks import train as module
from camutils.networks.scene_networks import SCENE_NETWORKS
from camutils.networks.train import shuffle_labels


def few(split, length=None):
    """Stands for `_load`: a few pictures of noise, each with one digit, another number of each digit."""
    n = length or 40
    present = torch.zeros(n, 10)
    present[torch.arange(n), (torch.arange(n) ** 2) % 10] = 1
    present[0, :] = 1  # so that every digit is there
    rng = torch.Generator().manual_seed(len(split))
    return torch.randint(0, 256, (n, 3, 96, 96), dtype=torch.uint8, generator=rng), present


@pytest.fixture
def quick(monkeypatch):
    """Training on noise; what the loss was given is collected."""
    given, loss = [], module.binary_cross_entropy_with_logits
    monkeypatch.setattr(module, "_load", few)
    monkeypatch.setattr(module, "binary_cross_entropy_with_logits", lambda S, y: given.append(y.clone()) or loss(S, y))
    return given


def test_shuffled_labels_are_the_same_rows_in_another_order():
    present = few("train", 200)[1]
    present[:, 5] = torch.arange(200) / 200  # tells the rows apart
    dealt = shuffle_labels(present, seed=3)
    order = (dealt[:, 5] * 200).round().long()
    assert sorted(order.tolist()) == list(range(200)) and torch.equal(dealt, present[order])
    assert (order == torch.arange(200)).sum() < 8 and torch.equal(dealt.sum(0), present[order].sum(0))
    assert torch.equal(dealt, shuffle_labels(present, seed=3)) and not torch.equal(dealt, shuffle_labels(present, seed=4))


@pytest.mark.parametrize("name", ["scenes_resnet", "scenes_resnet_shuffled"])
def test_a_training_writes_a_checkpoint_that_loads(name, quick, tmp_path, monkeypatch):
    state = torch.random.get_rng_state()
    made = module.train(name, epochs=1, batch=20, length=40, out=tmp_path)
    assert torch.equal(torch.random.get_rng_state(), state)
    monkeypatch.setattr(models, "CHECKPOINTS", tmp_path)
    model = models.load_model(name, "cpu")
    assert made["sha256"] == models.read_checksums()[f"{name}.pth"] and made["mAP"].keys() == {"train", "tune", "test"}
    images, present = few("train", 40)
    learned = shuffle_labels(present) if name.endswith("shuffled") else present
    expected = module.mean_average_precision(model, images, learned).mean()
    assert made["mAP"]["train"] == pytest.approx(expected, abs=1e-6)
    assert np.allclose(torch.cat(quick).sum(0), present.sum(0)) and len(quick) == 2


def test_shuffled_training_learns_other_labels_than_plain_training(quick, tmp_path):
    for name in ("scenes_resnet", "scenes_resnet_shuffled"):
        module.train(name, epochs=1, batch=40, length=40, out=tmp_path)
    plain, shuffled = quick  # the same order of scenes, since both start from the same seed
    assert not torch.equal(plain, shuffled) and torch.equal(plain.sum(0), shuffled.sum(0))


def test_a_name_says_its_seed():
    seeds = {"scenes_resnet": 0, "scenes_resnet_shuffled": 0, "scenes_vgg_seed1": 1, "scenes_resnet_seed2": 2}
    assert {name: module.seed_of(name) for name in seeds} == seeds
    for name in SCENE_NETWORKS:  # three trainings of each architecture
        plain = name.split("_seed")[0]
        assert SCENE_NETWORKS[name] is SCENE_NETWORKS[plain] and 0 <= module.seed_of(name) <= 2


def test_a_network_with_a_seed_in_its_name_is_trained_with_it(quick, tmp_path):
    """Other start and other order than without; the same as with the seed given; labels are not dealt out anew."""
    made = {out: module.train(name, epochs=1, batch=40, length=40, seed=seed, out=tmp_path / out)["sha256"]
            for out, name, seed in (("plain", "scenes_vgg", None), ("named", "scenes_vgg_seed1", None),
                                    ("over", "scenes_vgg_seed1", 0))}
    state = {out: torch.load(next((tmp_path / out).glob("*.pth")), weights_only=True) for out in made}
    assert all(torch.equal(state["plain"][key], state["over"][key]) for key in state["plain"])
    assert not torch.equal(state["plain"]["features.0.weight"], state["named"]["features.0.weight"])
    assert all(torch.equal(present.sum(0), quick[0].sum(0)) for present in quick) and not torch.equal(quick[0], quick[1])
    module.train("scenes_vgg", epochs=1, batch=40, length=40, seed=1, out=tmp_path / "given")
    given = torch.load(tmp_path / "given" / "scenes_vgg.pth", weights_only=True)
    assert all(torch.equal(state["named"][key], given[key]) for key in given)


def test_defaults_and_the_command_line(tmp_path, monkeypatch):
    seen = {}
    assert module.USUAL == {"epochs": 8, "batch": 64, "rate": 4e-3, "length": None}
    monkeypatch.setattr(module, "train", lambda name, **options: seen.update(options, name=name) or {})
    words = ["train", "scenes_resnet_shuffled", "--length", "30", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert seen == {"name": "scenes_resnet_shuffled", "length": 30, "epochs": None, "seed": None, "out": tmp_path}


def test_refusals():
    with pytest.raises(ValueError, match=f"cannot train 'lenet'; accepted: {', '.join(SCENE_NETWORKS)}"):
        module.train("lenet")
    for wrong in ({"epochs": 0}, {"batch": 0}, {"length": 0}, {"length": -1}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} {next(iter(wrong.values()))}.*accepted: 1 or more"):
            module.train("scenes_resnet", **wrong)


def test_fewer_scenes_than_a_batch_are_one_batch(quick, tmp_path):
    module.train("scenes_resnet_shuffled", epochs=1, length=20, out=tmp_path)
    assert [len(y) for y in quick] == [20]
