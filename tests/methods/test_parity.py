"""Parity with captum, torchcam and grad-cam: raw low-resolution maps at a middle layer. `pytest -k parity -s` prints the table.

What has to be neutralised: captum applies no ReLU; grad-cam's methods get A and g from a plain hook and give the sum before
the ReLU; its Grad-CAM++ adds 1e-6 to the denominator, so it is fed float64 and scores (hence gradients) scaled by 2^30.
torchcam's Grad-CAM++ is no oracle: its division writes into a copy.
"""

from functools import cache

import captum.attr
import pytest
import pytorch_grad_cam
import torch
import torchcam.methods
import torchvision
from conftest import seeded, straight

import camutils

MIDDLE = {"resnet18": "layer3", "vgg11_bn": "features.20",
          "mobilenet_v2": "features.13.conv.1", "densenet121": "features.transition3.relu"}
SIGNED = {"mobilenet_v2": "features.13", "densenet121": "features.denseblock3"}  # Grad-CAM++ divides by sum A: float64 there
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
SCALE = 2.0**30  # a power of two moves no digit of a gradient: where g is all rounding, its sign alone weighs
NAMES = {"grad_cam": "GradCAM", "grad_cam_pp": "GradCAMPlusPlus", "layer_cam": "LayerCAM", "hires_cam": "HiResCAM"}


@cache
def network(name, dtype):
    return seeded(lambda: torchvision.models.get_model(name, weights=None), 128).to(dtype)


def batch(dtype):
    """Channels-last, as `camutils` hands them on: in another layout PyTorch sums in another order, 1e-3 apart in float32."""
    x = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0)).to(dtype)
    return x.contiguous(memory_format=torch.channels_last)


@cache
def classes_of(name):
    """Another class for every image: the highest logit among a third of them each, so that no Grad-CAM map is empty."""
    with torch.no_grad():
        output = network(name, torch.float64)(batch(torch.float64))
    return torch.stack([333 * i + output[i, 333 * i : 333 * (i + 1)].argmax() for i in range(3)])


def from_captum(method, model, x, classes, layer):
    build, channels = {"grad_cam": (captum.attr.LayerGradCam, "one"),
                       "hires_cam": (captum.attr.LayerGradientXActivation, "all")}.get(method, (None, None))
    if build is None:
        return None
    maps = build(model, model.get_submodule(layer)).attribute(x, target=classes)
    return (maps[:, 0] if channels == "one" else maps.sum(1)).detach().relu()


def from_torchcam(method, model, x, classes, layer):
    if method not in ("grad_cam", "layer_cam"):
        return None
    with getattr(torchcam.methods, NAMES[method])(model, layer) as extractor:
        return extractor(classes.tolist(), model(x), normalized=False)[0].detach()


def from_grad_cam(method, model, x, classes, layer):
    A, g = straight(model, x, classes, layer)
    if method == "grad_cam_pp":
        A, g = A.double(), g.double() * SCALE
    module = model.get_submodule(layer)
    oracle = getattr(pytorch_grad_cam, NAMES[method])(model, [module])
    maps = oracle.get_cam_image(x, module, None, A.numpy(), g.numpy(), False)
    oracle.activations_and_grads.release()
    return torch.from_numpy(maps).relu()


CASES = [(m, n, layer, d) for m in NAMES for n, layer in [*MIDDLE.items(), *SIGNED.items()] for d in TOLERANCE
         if not (m == "grad_cam_pp" and layer in SIGNED.values() and d == torch.float32)]
ORACLES = {"captum": from_captum, "torchcam": from_torchcam, "grad-cam": from_grad_cam}


def relative(ours, theirs):
    """Largest difference of an image's map, relative to that map's maximum; the worst image of the batch."""
    return ((ours.double() - theirs.double()).abs().amax((1, 2)) / theirs.double().amax((1, 2))).max().item()


@pytest.fixture(scope="module")
def table():
    rows = []
    yield rows
    print(f"\n\n{'largest relative difference':62}" + "".join(f"{o:>12}" for o in ORACLES))
    for method, name, layer, dtype, gaps in rows:
        cells = "".join(f"{gaps[o]:12.1e}" if o in gaps else f"{'-':>12}" for o in ORACLES)
        print(f"{method:14}{name:14}{layer:26}{str(dtype)[6:]:8}{cells}")


@pytest.mark.parametrize("method, name, layer, dtype", CASES, ids=lambda v: str(v).removeprefix("torch."))
def test_parity(method, name, layer, dtype, table):
    model, x, classes = network(name, dtype), batch(dtype), classes_of(name)
    if method == "grad_cam_pp":
        ours = camutils.grad_cam_pp(model, x, lambda out: SCALE * out.gather(1, classes[:, None])[:, 0], layer, raw=True)
    else:
        ours = camutils.METHODS[method](model, x, classes, layer, raw=True)
    assert ours.dtype == dtype
    oracles = {o: read(method, model, x, classes, layer) for o, read in ORACLES.items()}
    gaps = {o: relative(ours, maps) for o, maps in oracles.items() if maps is not None}
    table.append((method, name, layer, dtype, gaps))
    assert "grad-cam" in gaps and len(gaps) == {"grad_cam": 3, "layer_cam": 2, "hires_cam": 2, "grad_cam_pp": 1}[method]
    assert all(gap <= TOLERANCE[dtype] for gap in gaps.values()), gaps


@pytest.mark.parametrize("name", MIDDLE)
def test_parity_layer_tells_methods_apart(name):
    """No pair of methods gives the same picture here, and no map is empty: else the table above would prove nothing."""
    model, x, classes = network(name, torch.float64), batch(torch.float64), classes_of(name)
    raw = {m: camutils.METHODS[m](model, x, classes, MIDDLE[name], raw=True) for m in NAMES}
    for method, maps in raw.items():
        assert (maps.amax((1, 2)) > 0).all(), f"{method} is empty"
    shape = {m: a / a.amax((1, 2), keepdim=True) for m, a in raw.items()}
    pairs = [(a, b) for a in NAMES for b in NAMES if a < b]
    apart = {(a, b): (shape[a] - shape[b]).abs().amax((1, 2)).min().item() for a, b in pairs}
    assert min(apart.values()) > 0.05, apart
    A, g = camutils.probe(model, x, classes, MIDDLE[name])
    assert (g.std((2, 3)) > 0.3 * g.mean((2, 3)).abs()).double().mean() > 0.5  # gradients vary over positions
