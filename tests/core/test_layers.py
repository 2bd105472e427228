"""Which layer is found by itself, in torchvision's families and in any plain CNN; scores of networks that are no classifiers."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, max_pool2d, relu
from torch.testing import assert_close

from camutils import METHODS, default_layer, find_layers, grad_cam, probe

FAMILIES = {
    "alexnet": "features.11", "vgg11": "features.19", "vgg11_bn": "features.27", "vgg16": "features.29",
    "resnet18": "layer4", "resnet50": "layer4", "resnext50_32x4d": "layer4", "wide_resnet50_2": "layer4",
    "mobilenet_v2": "features", "mobilenet_v3_small": "features", "efficientnet_b0": "features", "efficientnet_v2_s": "features",
    "convnext_tiny": "features", "densenet121": "features", "squeezenet1_0": "features", "squeezenet1_1": "features",
    "googlenet": "inception5b", "inception_v3": "Mixed_7c", "shufflenet_v2_x0_5": "conv5", "mnasnet0_5": "layers",
    "regnet_y_400mf": "trunk_output", "swin_t": "permute"}
RUN = ["alexnet", "vgg11", "resnet18", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "densenet121",
       "squeezenet1_1", "googlenet", "shufflenet_v2_x0_5", "mnasnet0_5", "regnet_y_400mf", "swin_t"]


def build(name):
    inits = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torchvision.models.get_model(name, weights=None, **inits).eval()


@pytest.mark.parametrize("name", FAMILIES)
def test_torchvision_families(name):
    with torch.device("cpu" if name.startswith("regnet") else "meta"):  # names need no weights
        model = build(name)
    assert default_layer(model) == FAMILIES[name]
    found = find_layers(model)
    assert list(found) == [FAMILIES[name]]
    if name.startswith(("vgg", "alexnet")):
        assert isinstance(found[FAMILIES[name]], nn.ReLU)


@pytest.mark.parametrize("name", RUN)
def test_torchvision_families_run(name):
    x = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    A, g = probe(build(name), x, 3)
    assert A.shape == g.shape and A.shape[2] == A.shape[3] > 1 and g.abs().max() > 0


class Functional(nn.Module):
    """A plain CNN with everything but its weights written as functions."""

    def __init__(self):
        super().__init__()
        self.c1, self.c2, self.c3, self.fc = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3), nn.Conv2d(6, 8, 3, 1, 1), nn.Linear(8, 5)

    def forward(self, x):
        x = max_pool2d(relu(self.c2(max_pool2d(relu(self.c1(x)), 2))), 2)
        return self.fc(adaptive_avg_pool2d(relu(self.c3(x)), 1).flatten(1))


class Reversed(Functional):
    """Its convolutions are called in another order than they are listed in."""

    def __init__(self):
        super().__init__()
        self.c1, self.c3 = nn.Conv2d(8, 8, 3), nn.Conv2d(3, 4, 3)
        self.c2 = nn.Conv2d(4, 8, 3)

    def forward(self, x):
        return self.fc(relu(self.c1(relu(self.c2(relu(self.c3(x)))))).mean((2, 3)))


def plain(*layers):
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


PLAIN = {
    "functional ReLU": (Functional, "c3"),
    "called in another order": (Reversed, "c1"),
    "with its ReLU": (lambda: plain(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU()), "3"),
    "batch norm and SiLU": (lambda: plain(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.SiLU()), "2"),
    "activation before batch norm": (lambda: plain(nn.Conv2d(3, 4, 3), nn.GELU(), nn.BatchNorm2d(4)), "2"),
    "pooling between": (lambda: plain(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)), "1"),
    "network in network": (lambda: plain(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.Conv2d(6, 6, 1), nn.ReLU(), nn.MaxPool2d(2),
                                         nn.Conv2d(6, 5, 1), nn.ReLU()), "3"),  # the last one classifies
    "convolution as classifier": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                                                        nn.Conv2d(4, 5, 1), nn.Flatten()), "1"),
    "nested": (lambda: nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))), "0"),
}


@pytest.mark.parametrize("case", PLAIN)
def test_plain_networks(case, images):
    make, expected = PLAIN[case]
    model = make().train()
    flags, buffers = [m.training for m in model.modules()], [b.clone() for b in model.buffers()]
    assert default_layer(model, images) == expected
    assert [m.training for m in model.modules()] == flags and not any(m._forward_hooks for m in model.modules())
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))
    named = grad_cam(model, images, 1, expected)
    assert torch.equal(grad_cam(model, images, 1), named) and torch.equal(grad_cam(model, images, 1, None), named)


def test_default_layer_of_wrapped_models():
    model = build("resnet18")
    for wrapped in (nn.DataParallel(model), torch.compile(model), torch.compile(nn.DataParallel(model))):
        assert default_layer(wrapped) == "layer4"
        assert list(find_layers(wrapped, ["layer3", model.layer4[0].conv1])) == ["layer3", "layer4.0.conv1"]
    assert list(find_layers(model, torch.compile(model.layer2))) == ["layer2"]
    assert all(isinstance(m, nn.Conv2d) for m in find_layers(model, "all").values()) and len(find_layers(model, "all")) == 20


@pytest.mark.parametrize("method", METHODS)
def test_segmentation_with_a_callable_target(method):
    torch.manual_seed(0)
    model = torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None).eval()
    x = torch.rand(2, 3, 64, 64)

    def area(output):
        """The class 7 logits, summed over the left half of the image."""
        return output["out"][:, 7, :, :32].sum((1, 2))

    heat = METHODS[method](model, x, area, "backbone.12")
    assert heat.shape == (2, 64, 64) and heat.isfinite().all()
    kept = []
    hook = model.backbone["12"].register_forward_hook(lambda m, i, out: kept.append(out))
    S = area(model(x))  # the plain way: a full graph
    hook.remove()
    assert_close(probe(model, x, area, "backbone.12"), (kept[0].detach(), torch.autograd.grad(S.sum(), kept[0])[0]))


def test_grouped_classes(tiny, images):
    """log sum exp over a group of classes: its gradient is the softmax-weighted mean of theirs."""
    group = [1, 3, 4]
    A, g = probe(tiny, images, lambda out: out[:, group].logsumexp(1), "conv2")
    share = tiny(images)[:, group].softmax(1).detach()
    each = torch.stack([probe(tiny, images, c, "conv2")[1] for c in group], 1)
    assert_close(g, (share[:, :, None, None, None] * each).sum(1))
    assert grad_cam(tiny, images, lambda out: out[:, group].logsumexp(1)).shape == (4, 16, 16)
