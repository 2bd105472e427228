"""Bad input: which error, and that its words name what was given and what is accepted."""

import pytest
import torch
import torchvision
from torch import nn

import camutils
from camutils import METHODS, Scenes, capture, default_layer, find_layers, grad_cam, load_model, photograph, scene, stages
from camutils.core.maps import check_finite
from camutils.core.probe import activation

X = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def changed(value):
    x = X.clone()
    x[2, 1, 5, 5] = value
    return x


BAD_IMAGES = {
    "rank 3": (X[0], ValueError, r"shape \(3, 16, 16\); accepted: \(B, 3, H, W\)"),
    "rank 5": (X[None], ValueError, r"shape \(1, 4, 3, 16, 16\); accepted: \(B, 3, H, W\)"),
    "one channel": (X[:, :1], ValueError, "images have 1 channels; accepted by this network: 3"),
    "four channels": (X.repeat(1, 2, 1, 1)[:, :4], ValueError, "images have 4 channels; accepted by this network: 3"),
    "empty batch": (X[:0], ValueError, r"shape \(0, 3, 16, 16\); accepted: .*> 0"),
    "no pixels": (X[..., :0], ValueError, r"shape \(4, 3, 16, 0\); accepted: .*> 0"),
    "NaN": (changed(float("nan")), ValueError, r"images \[2\] of the batch hold NaN or Inf; accepted: finite"),
    "Inf": (changed(float("inf")), ValueError, r"images \[2\] of the batch hold NaN or Inf; accepted: finite"),
    "uint8": ((X * 255).byte(), TypeError, r"images are torch.uint8; accepted: a float tensor"),
    "int64": ((X * 255).long(), TypeError, r"images are torch.int64; accepted: a float tensor"),
    "NumPy": (X.numpy(), TypeError, r"images are ndarray; accepted: a float tensor"),
    "list": ([1, 2], TypeError, r"images are list; accepted: a float tensor"),
    "float64": (X.double(), TypeError, "images are torch.float64, the network is torch.float32; accepted: the same type"),
}
BAD_TARGETS = {
    "too large": (5, ValueError, r"target 5 out of range; accepted: 0 to 4 \(5 classes\)"),
    "negative": (-1, ValueError, "target -1 out of range; accepted: 0 to 4"),
    "one of them": ([0, 1, 7, 2], ValueError, "target 7 out of range; accepted: 0 to 4"),
    "too few": ([0, 1], ValueError, "2 targets for 4 images; accepted: one int for all, or one per image"),
    "one in a list": ([0], ValueError, "1 targets for 4 images"),
    "too many": (torch.zeros(5, dtype=torch.long), ValueError, "5 targets for 4 images"),
    "float": (1.5, TypeError, "targets are 1.5; accepted: None, an int, a list or LongTensor"),
    "text": ("cat", TypeError, "targets are 'cat'; accepted: None, an int, a list or LongTensor"),
    "float tensor": (torch.zeros(4), TypeError, "targets are torch.float32; accepted: whole numbers"),
    "matrix": (torch.zeros(4, 2, dtype=torch.long), TypeError, "accepted: None, an int, a list or LongTensor"),
    "wrong shape": (lambda out: out, ValueError, r"target function returned \(4, 5\); accepted: a tensor of shape \(4,\)"),
    "no tensor": (lambda out: 3.0, ValueError, r"target function returned float; accepted: a tensor of shape \(4,\)"),
    "NaN score": (lambda out: out[:, 0] * float("nan"), ValueError, "score of image 0 is not finite"),
}
BAD_LAYERS = {
    "misspelt": ("cov3", ValueError, "unknown layer 'cov3' in Tiny; nearest: .*conv3"),
    "far off": ("encoder", ValueError, "unknown layer 'encoder' in Tiny; nearest: .*conv1"),
    "no text": ("", ValueError, "unknown layer '' in Tiny"),
    "foreign": (nn.ReLU(), ValueError, "the given ReLU is not a module of this Tiny"),
    "number": (3, TypeError, "layer is a int; accepted: None, a dotted name, a module, a list of these, or 'all'"),
    "empty list": ([], ValueError, "empty list of layers"),
    "no map": ("fc", ValueError, r"layer 'fc' has shape \(4, 5\); accepted: a layer with a spatial map"),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", BAD_IMAGES)
def test_images(case, method, tiny):
    images, error, words = BAD_IMAGES[case]
    with pytest.raises(error, match=words):
        METHODS[method](tiny, images, 1, "conv2")


@pytest.mark.parametrize("case", ["rank 3", "one channel", "uint8"])
def test_images_before_a_normalising_hook(case, tiny):
    images, error, _ = BAD_IMAGES[case]
    with pytest.raises(error, match=r"accepted: .*\(B, 3, H, W\)"):
        grad_cam(camutils.standardise_inside(tiny, [0.5] * 3, [0.2] * 3), images)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", BAD_TARGETS)
def test_targets(case, method, tiny):
    targets, error, words = BAD_TARGETS[case]
    with pytest.raises(error, match=words):
        METHODS[method](tiny, X, targets)


@pytest.mark.parametrize("case", BAD_LAYERS)
def test_layers(case, tiny):
    layer, error, words = BAD_LAYERS[case]
    with pytest.raises(error, match=words):
        grad_cam(tiny, X, 1, layer)


def test_repeated_layer_and_many_layers_for_probe(tiny):
    with pytest.raises(ValueError, match="layer 'conv2' was given twice"):
        grad_cam(tiny, X, 1, ["conv2", "conv3", tiny.conv2])
    with pytest.raises(ValueError, match=r"2 layers given \(conv2, conv3\); accepted here: one"):
        camutils.probe(tiny, X, 1, ["conv2", "conv3"])
    with pytest.raises(ValueError, match=r"2 layers given \(conv2, conv3\); accepted here: one"):
        activation(tiny, X, 1, ["conv2", "conv3"])


def test_nearest_names_in_deep_networks():
    with pytest.raises(ValueError, match="unknown layer 'layer5' in ResNet; nearest: .*layer4"):
        find_layers(torchvision.models.resnet18(), "layer5")
    with pytest.raises(ValueError, match=r"unknown layer 'feature.13' in MobileNetV2; nearest: .*features.13"):
        find_layers(torchvision.models.mobilenet_v2(), "feature.13")


class Beside(nn.Module):
    """One convolution is not called at all, one is called for nothing, one puts out a tuple."""

    def __init__(self):
        super().__init__()
        self.used, self.idle, self.vain, self.pair = (nn.Conv2d(3, 5, 3) for _ in range(4))
        self.pair.register_forward_hook(lambda m, i, out: (out, out))

    def forward(self, x):
        self.vain(x)
        return self.used(x).mean((2, 3)) + 0 * self.pair(x)[0].mean((2, 3))


@pytest.mark.parametrize("layer, words", [
    ("idle", "layer 'idle' is not reached; accepted: a layer with a spatial map"),
    ("vain", "the score does not depend on layer 'vain'; accepted: a layer between image and score"),
    ("pair", "layer 'pair' puts out a tuple; accepted: a layer that puts out one tensor")])
def test_layers_that_cannot_be_explained(layer, words):
    net = Beside()
    with pytest.raises(ValueError, match=words):
        grad_cam(net, X, 1, layer)
    assert not net.idle._forward_hooks and len(net.pair._forward_hooks) == 1


def test_networks_without_a_convolution_or_classes(tiny):
    with pytest.raises(ValueError, match="no layer of Sequential at .* has a map of more than 1 x 1; name a layer"):
        default_layer(nn.Sequential(nn.Flatten(), nn.Linear(768, 5)), X)
    assert default_layer(tiny) == "relu3"  # a black picture is traced
    with pytest.raises(ValueError, match=r"network returned \(4, 5, 14, 14\), not \(B, classes\); .*callable"):
        grad_cam(nn.Sequential(nn.Conv2d(3, 5, 3)), X, 1, "0")


class Rounded(nn.Module):
    """Whole numbers, which have no gradient."""

    def forward(self, x):
        return (255 * x).long()


def test_layers_and_networks_without_a_gradient(tiny):
    whole = nn.Sequential(Rounded(), nn.Flatten(), nn.ReLU())
    with pytest.raises(ValueError, match="layer '0' puts out torch.int64, of which there is no gradient; accepted: .*score_cam"):
        grad_cam(whole, X, 1, "0")
    with pytest.raises(ValueError, match="no gradient leads from the score of Sequential at 16 x 16 pixels .*; name a layer"):
        default_layer(nn.Sequential(Rounded(), nn.Flatten()), X)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):  # PyTorch's own: nobody gave a picture that could be at fault
        stages(nn.Sequential(nn.Flatten(), nn.Linear(7, 5)))


class Asserting(nn.Module):
    def __init__(self, words):
        super().__init__()
        self.words = words

    def forward(self, x):
        raise AssertionError(self.words)


@pytest.mark.parametrize("words", ["Wrong image height!", "Width 16", "Input size (16*16) doesn't match model", "shape (16, 16)"])
def test_a_network_of_one_size(words):
    for fixed_size in (Asserting(words), nn.Sequential(nn.Flatten(), nn.Linear(7, 5))):
        with pytest.raises(ValueError, match="this network does not take images of 16 x 16 pixels"):
            stages(fixed_size, X)
    with pytest.raises(AssertionError, match="something else"):
        stages(Asserting("something else"), X)


def test_models_and_devices(tiny):
    with pytest.raises(TypeError, match="model is a str; accepted: a torch.nn.Module"):
        grad_cam("resnet50", X, 1)
    with pytest.raises(ValueError, match="images are on cpu, the network on meta; accepted: both on one device"):
        grad_cam(tiny.to("meta"), X, 1, "conv2")


def test_maps_that_are_not_finite():
    maps = torch.zeros(4, 3, 3)
    maps[1, 0, 2], maps[3, 1, 1] = float("nan"), float("inf")
    with pytest.raises(ValueError, match=r"maps of images \[1, 3\] of the batch are not finite; accepted: activations and"):
        check_finite(maps)
    check_finite(maps[::2])


@pytest.mark.parametrize("method", METHODS)
def test_unknown_option(method, tiny):
    for layer in ("conv2", ["conv2", "conv3"]):
        with pytest.raises(TypeError, match="unexpected keyword argument 'smooth'"):
            METHODS[method](tiny, X, 1, layer, smooth=True)
    with pytest.raises(TypeError, match="positional"):
        METHODS[method](tiny, X, 1, "conv2", True)
    with pytest.raises(ValueError, match="unknown layer 'conv9'"), capture(tiny, "conv9"):
        pass


def test_unknown_names():
    accepted = "nearest: resnet50.*accepted: scenes_resnet, scenes_vgg.*list_models"
    with pytest.raises(ValueError, match=f"unknown network 'resnet_50'; {accepted}"):
        load_model("resnet_50")
    with pytest.raises(ValueError, match="unknown photograph 'lena'; accepted: chelsea, coffee"):
        photograph("lena")
    with pytest.raises(ValueError, match="unknown split 'val'; accepted: train, tune, test"):
        Scenes("val")
    for split, index in [("val", 0), ("test", -1)]:
        with pytest.raises(ValueError, match=f"no scene {index} in split '{split}'; accepted: .*train, tune, test"):
            scene(split, index)
    with pytest.raises(IndexError):
        Scenes("test", 10)[10]


@pytest.mark.parametrize("mean, std", [([0.5] * 3, [0.2] * 2), ([], []), ([0.5], [0.0])])
def test_normalisation(mean, std, tiny):
    with pytest.raises(ValueError, match="accepted: equally many numbers, every std > 0"):
        camutils.standardise_inside(tiny, mean, std)
