"""`camutils explain`: whose picture, of which class, where it is written; no two photographs in one file."""

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from torch import nn

from camutils import class_names, grad_cam, photograph
from camutils.datasets.reader import BadFile
from camutils.explain import draw, explain, find_photos, parse, pick_classes, read_photo
from camutils.networks import given
from camutils.networks.given import Given

CAT, CUP = photograph("chelsea"), photograph("coffee")


@pytest.fixture
def network(monkeypatch):
    """A small network of 1000 outputs in place of the default one."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 5, 4, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1000)).eval()
    monkeypatch.setattr("camutils.explain.open_network", lambda *_: Given(model, "own:small", 64, 56))
    return model


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with two photographs of one name in two folders."""
    monkeypatch.chdir(tmp_path)
    for name, pixels in (("a", CAT), ("b", CUP)):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "same.png")
    return tmp_path


def drawn(folder):
    """Names of the files in a folder, without the class."""
    return sorted(p.name.rsplit(".", 2)[0] for p in folder.iterdir() if p.suffix in (".png", ".npy"))


def bar(path):
    """Does a picture hold the colour bar: a column that runs from the map's last colour down to its first?"""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    first, last = np.array([0, 0, 3]), np.array([252, 255, 164])  # inferno's
    hot, cold = (np.abs(pixels - end).max(2) < 6 for end in (last, first))
    return bool((hot.argmax(0)[hot.any(0)].min() < len(pixels) / 2) and (hot[:, -150:].any(0) & cold[:, -150:].any(0)).any())


def test_one_picture_per_photograph_and_class(folder, network, capsys):
    written = explain([folder / "a"], "grad_cam", classes="top2", out=folder / "out", raw=True)
    assert len(written) == 2 and drawn(folder / "out") == ["same.grad_cam"] * 4
    assert all(Image.open(p).size == (480, 420) and bar(p) for p in written)
    said = capsys.readouterr().out.splitlines()
    names, x = class_names("mobilenet_v2"), read_photo(folder / "a/same.png", Given(network, "own:small", 64, 56))
    p, order = network(x[None]).softmax(1)[0].topk(3)
    assert said[0] == f"{folder / 'a/same.png'}: " + ", ".join(f"{names[c]} {v:.3f}" for v, c in zip(p, order, strict=True))
    assert said[1:] == [f"  {path}" for path in written]
    for path, c in zip(written, order.tolist(), strict=False):
        assert path.name.startswith(f"same.grad_cam.{c}_")
        heat = np.load(path.with_suffix(".npy"))
        assert heat.dtype == np.float32 and np.array_equal(heat, grad_cam(network, x[None], c)[0])


def test_a_sheet_holds_the_photograph_and_every_method(folder, network):
    (path,) = explain([folder / "a"], compare="grad_cam,layer_cam:layer=0,grad_cam+M:scales=[1,2]", out=folder / "out", raw=True)
    assert path.name.startswith("same.compare.") and Image.open(path).size == (1560, 420) and bar(path)
    assert len(drawn(folder / "out")) == 4


def test_no_photograph_replaces_another(folder, network):
    out = folder / "out"
    explain([folder / "a", folder / "b"], "grad_cam", out=out)
    assert drawn(out) == ["same-2.grad_cam", "same.grad_cam"]
    before = {p: p.read_bytes() for p in out.iterdir()}
    explain([folder / "b"], "grad_cam", out=out)  # known as same-2, though it comes first this time
    explain([folder / "a", folder / "b"], "grad_cam", out=out)
    assert {p: p.read_bytes() for p in out.iterdir()} == before
    explain([folder / "b"], "layer_cam", out=out)
    assert drawn(out) == ["same-2.grad_cam", "same-2.layer_cam", "same.grad_cam"]
    Image.fromarray(CUP[::2]).save(folder / "a/same.png")  # another photograph of the old name
    explain([folder / "a"], "grad_cam", out=out)
    assert "same-3.grad_cam" in drawn(out) and all(p.read_bytes() == old for p, old in before.items())


def test_one_photograph_in_two_folders_is_drawn_twice(folder, network):
    Image.fromarray(CAT).save(folder / "b/same.png")
    assert len({*explain([folder / "a", folder / "b"], "grad_cam", out=folder / "out")}) == 2


def test_somebody_elses_picture_is_kept(folder, network):
    theirs = folder / "same.grad_cam.mine.png"
    Image.fromarray(CUP).save(theirs)
    content = theirs.read_bytes()
    explain([folder / "a"], "grad_cam", out=folder)
    assert theirs.read_bytes() == content and drawn(folder) == ["same-2.grad_cam", "same.grad_cam"]


def test_what_was_drawn_is_no_photograph(folder, network):
    explain([folder], "grad_cam", out=folder)
    assert find_photos([folder]) == [folder / "a/same.png", folder / "b/same.png"]
    explain([folder], "grad_cam", out=folder)
    assert drawn(folder) == ["same-2.grad_cam", "same.grad_cam"]


def test_bad_files_are_named_and_passed_over(folder, network, capsys):
    (folder / "a/broken.jpg").write_bytes(Image.open(folder / "a/same.png").tobytes()[:500])
    Image.fromarray(np.zeros((40, 40), np.uint16)).save(folder / "a/deep.png")
    Image.fromarray(np.zeros((5, 400, 3), np.uint8)).save(folder / "a/long.png")
    assert len(explain([folder / "a"], "grad_cam", out=folder / "out")) == 1
    told = capsys.readouterr().err
    for said in ("broken.jpg: not a readable", "deep.png: pixels are uint16, not of 8 bits", "long.png: 400 x 5 pixels",
                 "3 of 4 files passed over"):
        assert said in told
    with pytest.raises(ValueError, match=r"none of 1 files could be read: .*deep.png"):
        explain([folder / "a/deep.png"], "grad_cam", out=folder / "out")


def test_photographs_are_read_upright_and_over_black(tmp_path):
    network, exif = Given(nn.Identity(), "own:id", 64, 56), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(CAT).save(tmp_path / "a.png")
    Image.fromarray(np.rot90(CAT)).save(tmp_path / "turned.png", exif=exif)
    alpha = np.dstack([CAT, np.full(CAT.shape[:2], 0, np.uint8)])
    Image.fromarray(alpha).save(tmp_path / "clear.png")
    plain = read_photo(tmp_path / "a.png", network)
    assert plain.shape == (3, 56, 56) and plain.dtype == torch.float32 and 0 <= plain.min() < 0.2 < 0.7 < plain.max() <= 1
    assert torch.equal(read_photo(tmp_path / "turned.png", network), plain)
    assert read_photo(tmp_path / "clear.png", network).max() == 0
    with pytest.raises(BadFile, match="missing"):
        read_photo(tmp_path / "gone.png", network)


def test_a_map_of_nothing_is_told(folder, network, capsys):
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].bias.fill_(-1)
    explain([folder / "a"], "grad_cam", out=folder / "out")
    assert "(nothing to show: grad_cam)" in capsys.readouterr().out


def test_a_network_of_ones_own_is_told_what_it_is_given(folder, network, capsys):
    explain([folder / "a"], "grad_cam", out=folder / "out")
    assert "own:small is given RGB in [0, 1]" in capsys.readouterr().err


def test_classes_by_rank_number_and_name():
    names, p = ["tabby", "tiger cat", "Egyptian cat", "crane", "Crane", "7"], torch.tensor([0.1, 0.3, 0.4, 0.1, 0.05, 0.05])
    assert pick_classes(None, names, p) == [2] and pick_classes("top2", names, p) == [2, 1]
    assert len(pick_classes("top9", names, p)) == 6
    for asked, index in (("egyptian CAT", 2), ("3", 3), ("7", 5), ("Crane", 4)):
        assert pick_classes(asked, names, p) == [index]
    for asked, said in (("egyptian dog", "unknown class 'egyptian dog'; nearest: Egyptian cat"), ("top0", "unknown class"),
                        ("CRANE", "class 'CRANE' is the name of several; accepted: their numbers, 3, 4"),
                        ("6", "class 6; accepted: 0 to 5"),
                        ("n02124075", "WordNet numbers, where as many outputs are")):
        with pytest.raises(ValueError, match=said):
            pick_classes(asked, names, p)


def test_wordnet_numbers_are_imagenets(assets):
    known, names = given.synsets(), class_names("mobilenet_v2")
    assert [*known] == sorted(known) and [*known.values()] == list(range(1000))
    assert [*known] == (assets / "synsets.txt").read_text().split()
    for number, name in (("n02124075", "Egyptian cat"), ("n07920052", "espresso"), ("n01440764", "tench")):
        assert pick_classes(number, names, torch.rand(1000)) == [known[number]] and names[known[number]] == name


def test_a_layer_is_for_methods_that_name_none():
    title, method = parse("gig_cam:steps=3", "layer3")
    assert title == "GIG-CAM, steps=3" and method.keywords == {"steps": 3, "layer": "layer3"}
    title, method = parse("grad_cam+M:layer=layer2", "layer3")
    assert title == "Grad-CAM+M, layer=layer2" and method.keywords == {"layer": "layer2"}
    title, method = parse("grad_cam:relu=False^0.50", "layer3")
    assert title == "Grad-CAM, relu=False^0.5" and method.gamma == 0.5
    assert method.method.keywords == {"relu": False, "layer": "layer3"}
    with pytest.raises(ValueError, match="unknown option of grad_cam 'rely'; nearest: relu"):
        parse("grad_cam:rely=False^2")


def test_a_sheet_has_one_colour_bar():
    figure = draw({"one": np.zeros((8, 8, 3)), "two": np.ones((8, 8, 3))}, "a class")
    FigureCanvasAgg(figure).draw()
    *pictures, colours = figure.axes
    assert [a.get_title() for a in pictures] == ["one", "two"] and colours.get_ylim() == (0, 1)
    assert "0 lowest, 1 highest" in colours.get_ylabel()
