"""The installed package, without a checkout and without the packages of the book: heat maps work, the rest says what it lacks."""

import os
import subprocess
import sys
import tomllib

import pytest

from camutils.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HEAT = """
import torch, camutils as cam
model = cam.load_model("scenes_resnet", "cpu")
images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
for name, method in cam.METHODS.items():
    options = {"steps": 2} if "gig" in name or "integrated" in name else {}
    options |= {"scales": [1, 1.5]} if name == "gig_cam_m" else {}
    assert method(model, images, [3, 7], **options).shape == (2, 96, 96), name
cam.show_maps(images, {"Grad-CAM": cam.grad_cam(model, images)})
print("maps of", len(cam.METHODS), "methods")
"""
IMPORTED = {"scikit-image": "skimage", "scikit-learn": "sklearn", "pyoxipng": "oxipng",
            "grad-cam": "pytorch_grad_cam", "pyyaml": "yaml"}


def python(code, folder, site=None):
    """Run code in `folder`, with the package from `site` (or from the checkout) in front of all others."""
    environment = {**os.environ, "PYTHONPATH": str(site or ROOT), "CAMUTILS_FIGURES": ""}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)


def without(*extras):
    """Code that makes the packages of these extras unimportable."""
    listed = [d.split(">")[0] for extra in extras for d in PROJECT["optional-dependencies"][extra]]
    return "import sys\n" + "".join(f"sys.modules[{IMPORTED.get(name, name)!r}] = None\n" for name in listed)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the installed wheel, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("camutils-*.whl")
    assert wheel.stat().st_size < 20e6
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def test_every_method_runs_with_the_runtime_packages_alone(site, tmp_path):
    run = python(without("book", "test") + HEAT, tmp_path, site)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("maps of ")


def test_a_photograph_is_explained_with_the_runtime_packages_alone(site, tmp_path):
    """Whoever installs the wheel without the book gets pictures, and WordNet numbers, from the command line."""
    (tmp_path / "flower.png").write_bytes((ROOT / "data" / "photographs" / "flower.png").read_bytes())
    words = ["camutils", "explain", "flower.png", "--model", "scenes_resnet", "--class", "3", "--compare", "grad_cam,layer_cam"]
    code = without("book", "test") + f"sys.argv = {words}\nfrom camutils.__main__ import main\ntry: main()\n"
    code += "finally:\n from camutils.networks.given import synsets\n print(synsets()['n02124075'])"
    run = python(code, tmp_path, site)
    assert run.returncode == 0 and run.stdout.splitlines()[-2:] == ["  flower.compare.3_3.png", "285"], run.stderr
    assert (tmp_path / "flower.compare.3_3.png").is_file()


def test_the_wheel_is_what_runs(site, tmp_path):
    run = python("import camutils; print(camutils.__file__); print(camutils.places.DATA)", tmp_path, site)
    assert all(line.startswith(str(site)) for line in run.stdout.split()), run.stdout


def test_checkers_find_the_types_of_the_wheel(site):
    assert (site / "camutils" / "py.typed").is_file()


def test_a_scene_comes_out_of_the_wheel(site, tmp_path):
    code = "import camutils as cam\nprint(*(float(cam.scene('test', i).image.sum()) for i in range(20)))"
    here, there = python(code, ROOT), python(code, tmp_path, site)
    assert there.returncode == 0 and here.stdout == there.stdout, there.stderr


@pytest.mark.parametrize("command, said", [
    ("render 00", "the notebooks are in the project's repository"),
    ("site", "the notebooks are in the project's repository"),
    ("reproduce", "the notebooks are in the project's repository"),
    ("train scenes_resnet", "checkpoints are kept in the project's repository"),
])
def test_what_needs_the_checkout_says_so_in_one_line(site, tmp_path, command, said):
    code = f"import sys\nsys.argv = {['camutils', *command.split()]}\nfrom camutils.__main__ import main\nmain()"
    run = python(code, tmp_path, site)
    assert run.returncode and said in run.stderr and run.stderr.count("\n") == 1, run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code, package", [
    ("cam.scene('test', 0)", "scikit-learn|scikit-image"),
    ("cam.use_style()", "seaborn"),
    ("cam.edges(None, torch.rand(1, 3, 8, 8))", "scikit-image"),
])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(tmp_path, code, package):
    run = python(without("book") + "import torch, camutils as cam\n" + code, tmp_path)
    said = run.stderr.strip().split("\n")[-1]
    assert any(f"needs {name}, which is not installed; pip install 'camutils[book]'" in said for name in package.split("|")), said


def test_a_command_without_its_extra_is_one_line(tmp_path):
    code = without("book") + "sys.argv = ['camutils', 'render', '00']\nfrom camutils.__main__ import main\nmain()"
    run = python(code, tmp_path)
    assert run.returncode and run.stderr.count("\n") == 1
    assert "which is not installed; pip install 'camutils[book]'" in run.stderr
