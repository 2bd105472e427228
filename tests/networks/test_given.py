"""Networks that a command names: of the user's own, with weights; of load_model, with their picture sizes."""

import sys

import pytest
import torch
from torch import nn
from torchvision.transforms import InterpolationMode

from camutils.networks import given
from camutils.networks.given import Given, named_network, open_network, own_network

CODE = """
from torch import nn
def net(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2)).train()
class Held(nn.Module):
    def __init__(self):
        super().__init__()
        self.module = nn.Linear(2, 3)
def small(): return nn.Linear(2, 3)
def needs(outputs): return small()
def number(): return 3
limit = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with modules of networks."""
    monkeypatch.chdir(tmp_path)
    for name, code in (("mynets", CODE), ("syntax", "def"), ("lacking", "import nowhere_at_all")):
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in ("mynets", "syntax", "lacking"):
        sys.modules.pop(name, None)


def test_a_function_or_a_class_in_the_current_folder(here):
    path = list(sys.path)
    assert isinstance(own_network("mynets:Held").module, nn.Linear) and sys.path == path
    assert not own_network("mynets:net").training
    assert isinstance(own_network("torch.nn:Identity"), nn.Identity)


@pytest.mark.parametrize(("place", "kind", "said"), [
    ("mynet:net", ValueError, "no module 'mynet'; nearest: mynets; accepted: a module in "),
    ("mynets.deep:net", ValueError, "no module 'mynets.deep'"),
    ("mynets:nett", ValueError, "no function 'nett' in mynets; nearest: net"),
    ("mynets:limit", ValueError, "no function 'limit' in mynets"),
    ("mynets:", ValueError, "no function '' in mynets"),
    ("mynets:number", TypeError, r"mynets:number\(\) gives a int; accepted: a function that gives a torch.nn.Module"),
    ("mynets:needs", ValueError, r"mynets:needs\(\) raised TypeError .*'outputs'.*accepted: a function that needs no arguments"),
    ("syntax:net", ValueError, r"module syntax cannot be imported: SyntaxError"),
    ("lacking:net", ValueError, "module lacking needs nowhere_at_all, which is not installed"),
])
def test_what_is_no_network_is_said(here, place, kind, said):
    with pytest.raises(kind, match=said):
        own_network(place)


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3},
                                  lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}}])
def test_weights_in_every_usual_form(here, wrap):
    state = nn.Linear(2, 3).state_dict()
    torch.save(wrap(state), "w.pt")
    found = own_network("mynets:small", "w.pt").state_dict()
    assert found.keys() == state.keys() and all(torch.equal(found[k], v) for k, v in state.items())


def test_a_child_called_module_keeps_its_name(here):
    state = {"module.weight": torch.ones(3, 2), "module.bias": torch.ones(3)}
    for content in (state, {f"module.{k}": v for k, v in state.items()}):
        torch.save(content, "w.pt")
        assert own_network("mynets:Held", "w.pt").module.weight.eq(1).all()


@pytest.mark.parametrize(("content", "said"), [
    ({"weight": torch.ones(3, 2)}, r"w.pt does not fit mynets:small: 1 missing \(bias\)$"),
    ({"weight": torch.ones(3, 4), "bias": torch.ones(3), "a": torch.ones(1)},
     r"1 not in the network \(a\); 1 of another shape \(weight\)$"),
    ([torch.ones(2)], "w.pt holds no state dict"), ({"epoch": 3}, "w.pt holds no state dict"), ({}, "w.pt holds no state dict"),
    (nn.Linear(2, 3), "w.pt is not a readable state dict"),
])
def test_weights_that_do_not_fit_are_said(here, content, said):
    torch.save(content, "w.pt")
    with pytest.raises(ValueError, match=said):
        own_network("mynets:small", "w.pt")
    with pytest.raises(FileNotFoundError, match="no file gone.pt; accepted as weights: a file of torch.save"):
        own_network("mynets:small", "gone.pt")


def test_what_benchmark_takes(here):
    assert named_network("resnet50") == "resnet50" and isinstance(named_network("mynets:small"), nn.Linear)
    with pytest.raises(ValueError, match="--weights w.pt with --model resnet50; accepted with --model package"):
        named_network("resnet50", "w.pt")


@pytest.mark.parametrize(("name", "resize", "crop", "how"), [
    ("scenes_vgg", 96, 96, "BILINEAR"), ("squeezenet1_1", 256, 224, "BILINEAR"), ("inception_v3", 342, 299, "BILINEAR"),
    ("efficientnet_b0", 256, 224, "BICUBIC"),
])
def test_pictures_have_the_size_that_the_network_was_tried_with(name, resize, crop, how, monkeypatch):
    monkeypatch.setattr(given, "find_weights", lambda name: None)
    found = open_network(name, trained=False)
    assert found[1:] == (name, resize, crop, InterpolationMode[how])
    assert all(p.any() for p in found.model.parameters())
    assert open_network(name, size=32, trained=False)[2:4] == (37, 32)


def test_names_and_probabilities_of_outputs():
    own, digits = Given(nn.Identity(), "my:net"), Given(nn.Identity(), "scenes_vgg")
    assert own.names(3) == ["class 0", "class 1", "class 2"] and own.names(1000)[285] == "Egyptian cat"
    assert digits.names(10) == list("0123456789")
    x = torch.tensor([[0.0, 1.0, 2.0]])
    assert torch.equal(own.probabilities(x), x.softmax(1)) and torch.equal(digits.probabilities(x), x.sigmoid())
    assert own.probabilities(x[:, :1]) == 0.5  # a softmax over one logit would say 1
