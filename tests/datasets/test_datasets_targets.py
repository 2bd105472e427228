"""VOC classes as scores of an ImageNet network, and a linear head on frozen features."""

import pytest
import torch
from torch import nn
from torchvision.models import MobileNet_V2_Weights

from camutils import grad_cam, hires_cam, probe
from camutils.datasets import (
    VOC_CLASSES,
    VOC_TO_IMAGENET,
    group_scores,
    group_target,
    grouped_output,
    linear_head,
    pooled_features,
    scenes,
)
from camutils.datasets.voc_targets import VOC_GROUPS


def thousand():
    """A small network with 1000 outputs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1000)
        return nn.Sequential(*layers).eval()


def test_every_voc_class_has_its_group_and_no_imagenet_class_two():
    assert tuple(VOC_TO_IMAGENET) == VOC_CLASSES and VOC_TO_IMAGENET["person"] == []
    members = [i for group in VOC_TO_IMAGENET.values() for i in group]
    assert len(members) == len(set(members)) and set(VOC_GROUPS) == set(VOC_CLASSES) - {"person"}
    assert len(VOC_TO_IMAGENET["dog"]) == 118 and len(VOC_TO_IMAGENET["bird"]) == 59


def test_indices_are_the_categories_that_are_meant():
    names = MobileNet_V2_Weights.DEFAULT.meta["categories"]
    group = {c: [names[i] for i in indices] for c, indices in VOC_TO_IMAGENET.items()}
    assert group["aeroplane"] == ["airliner", "warplane"] and group["bus"] == ["minibus", "school bus", "trolleybus"]
    assert group["bicycle"] == ["bicycle-built-for-two", "mountain bike", "tricycle", "unicycle"]
    assert group["boat"] == ["aircraft carrier", "canoe", "catamaran", "container ship", "fireboat", "gondola", "lifeboat",
                             "liner", "pirate", "schooner", "speedboat", "trimaran", "yawl"]
    assert group["bottle"] == ["beer bottle", "pill bottle", "pop bottle", "water bottle", "wine bottle"]
    assert group["car"] == ["beach wagon", "cab", "convertible", "jeep", "limousine", "minivan", "Model T", "racer", "sports car"]
    assert group["cat"] == ["tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat"]
    assert group["chair"] == ["barber chair", "folding chair", "rocking chair", "throne"]
    assert [group[c] for c in ("cow", "diningtable", "horse", "pottedplant", "sofa")] == [
        ["ox"], ["dining table"], ["sorrel"], ["pot"], ["studio couch"]]
    assert group["motorbike"] == ["moped", "motor scooter"] and group["sheep"] == ["ram", "bighorn"]
    assert group["train"] == ["bullet train", "electric locomotive", "freight car", "passenger car", "steam locomotive"]
    assert group["tvmonitor"] == ["monitor", "screen", "television"]
    assert (group["dog"][0], group["dog"][-1], names[269]) == ("Chihuahua", "Mexican hairless", "timber wolf")
    birds = group["bird"]
    assert (birds[0], birds[17], birds[18], birds[38], birds[39], birds[-1]) == (
        "cock", "great grey owl", "black grouse", "black swan", "white stork", "albatross")


def test_group_target_is_the_log_sum_exp_of_each_rows_own_group():
    z = torch.randn(3, 1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    S = group_target(["cat", "cow", "tvmonitor"])(z)
    expected = [z[0, 281:286].exp().sum().log(), z[1, 345], z[2, [664, 782, 851]].exp().sum().log()]
    assert torch.allclose(S, torch.stack(expected), atol=1e-12)
    assert torch.equal(group_target("cat")(z)[0], S[0]) and len(group_target("cat")(z)) == 3


def test_group_scores_keep_the_probabilities():
    z = torch.randn(4, 1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    p, q = z.softmax(1), group_scores(z).softmax(1)
    assert q.shape == (4, 20)
    for column, name in enumerate(VOC_GROUPS):
        assert torch.allclose(q[:, column], p[:, VOC_TO_IMAGENET[name]].sum(1), atol=1e-12)


def test_the_target_explains_in_a_mixed_batch_and_the_grouped_network_alike(images):
    net, names = thousand(), ["dog", "horse", "dog", "boat"]
    mixed = grad_cam(net, images, group_target(names), "1", raw=True)
    for b, name in enumerate(names):
        assert torch.allclose(mixed[b], grad_cam(net, images[b : b + 1], group_target([name]), "1", raw=True)[0], atol=1e-7)
    with grouped_output(net):
        grouped = grad_cam(net, images, [VOC_GROUPS.index(n) for n in names], "1", raw=True)
    assert torch.allclose(mixed, grouped, atol=1e-7) and net(images).shape == (4, 1000)


def test_wrong_names_and_shapes_are_named(images):
    with pytest.raises(ValueError, match="'person' has no ImageNet class"):
        group_target(["dog", "person"])
    with pytest.raises(ValueError, match="'wolf' is no VOC class"):
        group_target("wolf")
    with pytest.raises(ValueError, match="2 classes for 4 images"):
        grad_cam(thousand(), images, group_target(["dog", "cat"]), "1")
    with pytest.raises(ValueError, match=r"\(4, 5\)"):
        group_scores(torch.zeros(4, 5))
    net = thousand()
    with pytest.raises(ZeroDivisionError), grouped_output(net):
        raise ZeroDivisionError
    assert net(images).shape == (4, 1000)


def test_pooled_features_are_means_over_space(tiny, images):
    tiny.train()
    features = pooled_features(tiny, images, "relu3")
    assert torch.allclose(features, probe(tiny, images, 0, "relu3")[0].mean((2, 3)), atol=1e-6)
    assert tiny.training and not features.requires_grad


def test_linear_head_learns_what_the_features_tell(tiny):
    """Presence of a colour in the image: linear in pooled features; unseen images are told apart."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (200, 3), generator=rng)
    images = torch.rand(200, 3, 16, 16, generator=rng) * 0.3 + labels[:, :, None, None] * 0.6
    features = pooled_features(tiny, images, "conv2")
    net = linear_head(tiny, features[:150], labels[:150], "conv2")
    logits = net(images[150:])
    assert ((logits > 0) == labels[150:].bool()).double().mean() > 0.97
    assert torch.allclose(logits, net.head(features[150:]), atol=1e-5)
    assert not net.training and not net.head.weight.requires_grad
    maps = hires_cam(net, images[:4], 1, raw=True)  # the layer is found by itself
    A = probe(tiny, images[:4], 0, "conv2")[0]
    by_hand = torch.einsum("k,bkhw->bhw", net.head.weight[1], A).relu() / 64  # CAM: the head's own weights, mean over 8 x 8
    assert torch.allclose(maps, by_hand, atol=1e-5)


def test_linear_head_equals_scikit_learn():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    samples = [scenes("train", 60)[i] for i in range(60)]
    present = torch.tensor([[int(c in s.classes) for c in (1, 7)] for s in samples])
    features = torch.stack([s.image.mean((1, 2)) for s in samples])
    head = linear_head(nn.Sequential(nn.Conv2d(3, 3, 1)), features, present, "0").head
    for c in range(2):
        expected = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(features.double(), present[:, c])
        logits = torch.from_numpy(expected.decision_function(features.double()))
        assert torch.allclose(head(features)[:, c].double(), logits, atol=1e-4)


def test_linear_head_refuses_what_it_cannot_fit(tiny):
    with pytest.raises(ValueError, match="class 1 is in all images or in none"):
        linear_head(tiny, torch.rand(4, 7), torch.tensor([[0, 1], [1, 1], [0, 1], [1, 1]]), "relu3")
    with pytest.raises(ValueError, match=r"\(4, 7\).*\(3, 2\)"):
        linear_head(tiny, torch.rand(4, 7), torch.zeros(3, 2), "relu3")
    with pytest.raises(ValueError, match="2 layers"):
        linear_head(tiny, torch.rand(4, 7), torch.tensor([[0], [1], [0], [1]]), ["relu3", "relu2"])
