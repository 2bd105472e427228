"""What SECURITY.md promises: no code out of data, no path out of its folder, nothing downloaded or asked for unasked."""

import ast
import json
import re
import subprocess
import sys
from inspect import signature
from pathlib import Path

import listen
import nbformat
import papermill
import pytest
import torch
from make_sets import picture, write_voc
from papermill.translators import PythonTranslator
from PIL import Image

from camutils.book import handout, render
from camutils.book.figures import save_figure, save_moving
from camutils.datasets import folder, imagenet, voc
from camutils.evaluation.benchmark import benchmark
from camutils.evaluation.experiment_files import read_experiment
from camutils.explain import explain
from camutils.networks.lite import has_lite
from camutils.places import NOTEBOOKS, ROOT

SOURCES = {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in sorted((ROOT / "camutils").rglob("*.py"))}
CELLS = {f"{p.name} cell {i}": cell.source for p in sorted(NOTEBOOKS.rglob("*.ipynb")) if ".ipynb_checkpoints" not in p.parts
         for i, cell in enumerate(nbformat.read(p, as_version=4).cells) if cell.cell_type == "code"}
RUNS_CODE = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "os.spawnv", "runpy.run_path",
             "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open", "joblib.load", "dill.load",
             "yaml.load", "yaml.unsafe_load", "torch.hub.load", "torch.jit.load", "pd.read_pickle", "pandas.read_pickle"}
UNPACKS = {"tarfile", "zipfile", "shutil.unpack_archive"}  # archives; torchvision unpacks VOC's, when it is asked to
NETWORK = {"socket", "urllib.request", "http", "requests", "httpx", "aiohttp", "ftplib", "pip", "ensurepip"}
IMPORTS = {"camutils/extras.py", "camutils/whole.py",  # modules whose names stand in our own code
           "camutils/networks/given.py", "camutils/networks/lite.py",  # --model package.module:function is the caller's own code
           "camutils/moved.py"}


def name_of(node: ast.AST) -> str:
    """`torch.hub.load` for the node of it, `?.eval` for what a call gave; nothing for what has no name."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value) or '?'}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults_of(source: str) -> list[str]:
    """What a source does that no source here may do."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"imports {n}" for n in names if n in NETWORK | UNPACKS | {"pickle", "marshal", "dill"}
                      or n.split(".")[0] in {"requests", "http", "pip"}]
        if isinstance(node, ast.Call):
            name, words = name_of(node.func), {k.arg: k.value for k in node.keywords}
            if name in RUNS_CODE | UNPACKS:
                found.append(f"calls {name}")
            if name == "torch.load" and getattr(words.get("weights_only"), "value", None) is not True:
                found.append("torch.load without weights_only=True")
            if name.endswith(("np.load", "numpy.load")) and "allow_pickle" in words:
                found.append("np.load with allow_pickle")
            if "shell" in words or getattr(words.get("download"), "value", None) is True:
                found.append(f"{name} with {'shell' if 'shell' in words else 'download=True'}")
            if name.split(".")[0] == "subprocess" and node.args and isinstance(node.args[0], ast.Constant | ast.JoinedStr):
                found.append(f"{name} of a text")
    return found


@pytest.mark.parametrize("source, said", [
    ("eval(text)", ["calls eval"]), ("torch.load(path)", ["torch.load without weights_only=True"]),
    ("torch.load(path, weights_only=False)", ["torch.load without weights_only=True"]),
    ("torch.load(path, weights_only=True)", []), ("model.eval()", []), ("build().eval()", []), ("re.compile('a')", []),
    ("import urllib.request", ["imports urllib.request"]), ("from urllib.error import URLError", []),
    ("import pickle\npickle.loads(b)", ["imports pickle", "calls pickle.loads"]),
    ("subprocess.run(f'rm {x}', shell=True)", ["subprocess.run with shell", "subprocess.run of a text"]),
    ("cam.voc(root, download=True)", ["cam.voc with download=True"])])
def test_the_search_finds_what_it_looks_for(source, said):
    assert faults_of(source) == said


def test_no_source_runs_text_or_reads_pickles():
    assert {name: found for name, source in SOURCES.items() if (found := faults_of(source))} == {}
    assert len(SOURCES) > 100


def test_modules_that_are_imported_by_name_are_ours_or_the_callers():
    assert {name for name, source in SOURCES.items() if "import_module(" in source} <= IMPORTS


def test_tests_read_weights_as_carefully():
    found = {p.name: faults_of(p.read_text(encoding="utf-8")) for p in sorted((ROOT / "tests").rglob("*.py"))}
    assert [name for name, said in found.items() if any("torch.load" in fault for fault in said)] == []


def test_notebooks_install_download_and_run_nothing_silently():
    """No line for a shell or IPython, no network, no pickle, no code out of text."""
    said = {}
    for name, source in CELLS.items():
        lines = [line for line in source.splitlines() if re.match(r"\s*[!%]|\s*\w+\s*=\s*[!%]", line)]
        said[name] = lines or faults_of(source)
    assert {name: found for name, found in said.items() if found} == {} and len(CELLS) > 300
    text = "\n".join(CELLS.values())
    assert not re.search(r"get_ipython|load_state_dict_from_url|download_url|urlopen|urlretrieve|pip install|hf_hub", text)


def test_full_sets_are_downloaded_only_when_asked():
    assert signature(voc).parameters["download"].default is False
    calls = [source for source in (*SOURCES.values(), *CELLS.values()) if re.search(r"download\s*=\s*True", source)]
    assert calls == [SOURCES["camutils/datasets/voc.py"]]  # in a docstring and a sentence: `test_no_source_…` finds a call


NASTY = ["x'); import os; os.abort() #", '"); boom("', "\\", '\\"', "a\nboom()", "{x}", "'''", '"""\nboom()\n"""', "\x00",
         "\u2028boom()", {'k"]: boom() #': "v\\"}, [None, True, 1.5, ["'"]], -7, 1e300]


@pytest.mark.parametrize("value", NASTY, ids=repr)
def test_a_parameter_is_a_value_in_a_notebook_never_code(value):
    """What stands in the cell that papermill writes reads as the same value, and as nothing else."""
    cell = ast.parse(PythonTranslator.codify({"value": value}))
    (line,) = cell.body
    assert isinstance(line, ast.Assign) and name_of(line.targets[0]) == "value" and ast.literal_eval(line.value) == value


@pytest.mark.parametrize("kind, right, wrong", [
    ("int", [0, -3], [True, 1.5, "1", None, [1]]), ("float", [1, 1.5], [True, "1", None]), ("str", ["", "a"], [1, None, ["a"]]),
    ("bool", [True], [1, "yes"]), ("list[int]", [[], [1, 2]], ["12", [1, "2"], [True], 1]), ("list[str]", [["a"]], ["a", [1]]),
    ("tuple", [["a"], ("a",)], ["a", 1]), ("None", [1, "a", None], []), ("dict[str, int]", [{}, 1], [])])
def test_a_parameter_is_of_the_type_that_its_cell_names(kind, right, wrong):
    assert [v for v in right if not render.fits(v, kind)] == [v for v in wrong if render.fits(v, kind)] == []


def test_a_wrong_type_is_refused_before_anything_runs(house):
    for value in ("3", True, 2.5, [1]):
        with pytest.raises(ValueError, match=re.escape(f"90_small: value = {value!r} given; accepted: int")):
            render.render(parameters={"value": value})
    assert not (house / "build").exists()


def test_every_parameter_of_the_notebooks_has_a_type_that_is_asked():
    found = {(p.stem, name): known["inferred_type_name"] for p in render.find_notebooks()
             for name, known in papermill.inspect_notebook(str(p)).items()}
    assert {kind.split("[")[0] for kind in found.values()} <= {*render.KINDS} and len(found) > 40


OUT = ["../out", "../../etc/passwd", "/etc/passwd", "a/b"]


@pytest.mark.parametrize("name", OUT)
def test_a_list_of_pictures_leads_out_of_no_folder(name, tmp_path):
    root = write_voc(tmp_path / "voc", {"a": (picture(60, 60), [("dog", 1, 1, 30, 30, 0)])})
    (root / "VOCdevkit/VOC2012/ImageSets/Main/val.txt").write_text(f"a\n{name}\n")
    with pytest.raises(ValueError, match="of ImageSets/Main/val.txt is not in JPEGImages; accepted: an image id a line"):
        voc(root)
    for place in ("Data/CLS-LOC/val", "Annotations/CLS-LOC/val", "ImageSets/CLS-LOC"):
        (tmp_path / "ILSVRC" / place).mkdir(parents=True)
    (tmp_path / "ILSVRC/ImageSets/CLS-LOC/val.txt").write_text(f"a 1\n{name} 2\n")
    with pytest.raises(ValueError, match=f"'{name}' in val.txt leads out of .*; accepted: names of files there"):
        imagenet(tmp_path / "ILSVRC")


@pytest.mark.parametrize("name", OUT)
def test_boxes_of_ones_own_name_pictures_of_the_folder_only(name, tmp_path):
    (tmp_path / "set").mkdir()
    picture(40, 40).save(tmp_path / "set" / "a.png")
    picture(40, 40).save(tmp_path / "out.png")
    coco = {"images": [{"id": 1, "file_name": f"{name}.png"}], "annotations": [], "categories": []}
    (tmp_path / "boxes.json").write_text(json.dumps(coco))
    (tmp_path / "boxes.csv").write_text(f"image,class,x0,y0,x1,y1\n{name}.png,1,0,0,9,9\n")
    for boxes in ("boxes.json", "boxes.csv"):
        with pytest.raises(ValueError, match="names none of the 1 pictures in the folder"):
            folder(tmp_path / "set", tmp_path / boxes)


@pytest.mark.parametrize("name", [*OUT, "..", ".hidden", "a b", ""])
def test_a_run_is_the_name_of_a_folder(name, tmp_path):
    path = tmp_path / "01_out.toml"
    path.write_text(f'title = "t"\nkind = "benchmark"\nmethods = ["grad_cam"]\n[[runs]]\nname = "{name}"\ndataset = "scenes"\n'
                    'models = ["scenes_vgg"]\nmetrics = ["energy"]\n')
    with pytest.raises(ValueError, match="01_out.toml: (name = .*accepted: the name of a folder|name = '' in)"):
        read_experiment(path)


@pytest.mark.parametrize("name", [*OUT, ""])
def test_a_figure_is_saved_among_the_figures(name, tmp_path, monkeypatch):
    monkeypatch.setenv("CAMUTILS_FIGURES", str(tmp_path / "figures"))
    for save, what in ((save_figure, None), (save_moving, [])):
        with pytest.raises(ValueError, match="a figure's name .*; accepted: the name of a file"):
            save(what, name)
    assert [*tmp_path.iterdir()] == []


def test_a_handout_takes_pictures_from_figures_only(house):
    book = house / "notebooks" / "90_small.ipynb"
    (house / "secret.png").write_text("secret")
    notebook = nbformat.read(book, as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell("![](../figures/../secret.png)", id="x"))
    nbformat.write(notebook, book)
    with pytest.raises(ValueError, match="90_small.ipynb shows figures/../secret.png; accepted: pictures in figures/"):
        handout.handout(out=house / "out")
    assert not (house / "out").exists()


@pytest.mark.parametrize("name", ["{0.__class__.__mro__}", "a{b}c", "*", "[a]", "-rf"])
def test_photographs_of_any_name_are_explained_in_their_folder(name, tmp_path):
    Image.new("RGB", (96, 96), "red").save(tmp_path / f"{name}.png")
    photo, out = tmp_path / f"{name}.png", tmp_path / "out"
    (path,) = explain([photo], method="grad_cam", model="scenes_vgg", out=out, classes="3", raw=True)
    assert path == out / f"{name}.grad_cam.3_3.png"
    assert {p for p in tmp_path.rglob("*") if p.is_file()} == {photo, path, path.with_suffix(".npy")}


def test_nothing_asks_another_machine(tmp_path, monkeypatch):
    """Networks, a photograph and a benchmark with an ear at every connection; for `render`, see test_render_faults."""
    monkeypatch.setenv("CAMUTILS_ASKED", str(tmp_path / "asked"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    listen.listen("here")
    Image.new("RGB", (96, 96), "red").save(tmp_path / "a.png")
    model = "efficientnet_lite0" if has_lite("efficientnet_lite0") else "scenes_vgg"
    explain([tmp_path / "a.png"], method="grad_cam", model=model, out=tmp_path / "out")
    benchmark("scenes", "scenes_vgg", "grad_cam", "energy", out=tmp_path / "run", limit=1, device="cpu")
    assert (tmp_path / "asked").read_text() == "here\n"
    with pytest.raises(OSError):
        torch.hub.download_url_to_file("http://127.0.0.2:9/nothing", str(tmp_path / "nothing"), progress=False)
    assert "here asked http://127.0.0.2:9/nothing" in (tmp_path / "asked").read_text()  # the hook hears


def test_importing_asks_nobody():
    code = (f"import sys\nsys.addaudithook(lambda event, args: event in {listen.EVENTS} and sys.exit(f'{{event}} {{args}}'))\n"
            "import camutils, camutils.__main__")
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_security_md_names_the_tests_that_hold_it():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"tests/[\w/]+\.py", text))
    assert named and all((ROOT / name).is_file() for name in named)
    assert {f"tests/faults/{Path(p).name}" for p in (ROOT / "tests" / "faults").glob("test_*.py")} <= named
