"""Shared by all tests: small networks and images, the offline assets, and a figures folder that is thrown away."""

import math
import os
import re
import tempfile
from importlib.metadata import version
from pathlib import Path

if os.environ.get("PYTEST_XDIST_WORKER"):  # files run side by side: a core for each, and for the kernels that it starts
    os.environ["OMP_NUM_THREADS"] = "1"
os.environ["CAMUTILS_FIGURES"] = tempfile.mkdtemp(prefix="camutils-figures-")  # notebooks under nbval write here

import nbformat
import pytest
import torch
from torch import nn

from camutils.book import handout, render, reproduce
from camutils.memory import keep_memory
from camutils.networks.random_weights import randomise, seeded  # noqa: F401
from camutils.places import ROOT

keep_memory()  # here and in the kernels of notebooks


def pytest_terminal_summary(terminalreporter):
    """What tests counted or timed (`record_property("said", ...)`); also where workers ran them."""
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, value in report.user_properties:
            if name == "said" and report.when == "call":
                terminalreporter.write_line(value)


def not_locked(*packages):
    """Name -> version of those packages that are not here as constraints.txt has them: what is committed was made with those."""
    exact = dict(re.findall(r"(?m)^([\w.-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text()))
    here = {name: version(name).split("+")[0] for name in packages}
    return {name: found for name, found in here.items() if found != exact[name]}


class Tiny(nn.Module):
    """conv1 bn1 relu1 pool drop conv2 relu2 conv3 relu3 avgpool fc: 16 x 16 images, 5 classes, layer sizes 16, 8, 8.

    relu2 is in place, so that whoever keeps conv2's output by reference sees it change.
    """

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = nn.Conv2d(3, 6, 3, 1, 1), nn.BatchNorm2d(6), nn.ReLU()
        self.pool, self.drop = nn.MaxPool2d(2), nn.Dropout(0.5)
        self.conv2, self.relu2 = nn.Conv2d(6, 8, 3, 1, 1), nn.ReLU(inplace=True)
        self.conv3, self.relu3 = nn.Conv2d(8, 7, 3, 1, 1), nn.ReLU()
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(7, 5)

    def forward(self, x):
        x = self.drop(self.pool(self.relu1(self.bn1(self.conv1(x)))))
        x = self.relu3(self.conv3(self.relu2(self.conv2(x))))
        return self.fc(self.avgpool(x).flatten(1))


def linear_network(G):
    """A network whose layer "0" puts out the image itself (A = x), with the score's gradient G (K, h, w) there; one class.

    For a case by hand: METHOD(linear_network(G), A[None], 0, "0", raw=True).
    """
    head = nn.Linear(G.numel(), 1, bias=False, dtype=G.dtype)
    head.weight.data.copy_(G.flatten())
    return nn.Sequential(nn.Identity(), nn.Flatten(), head).eval()


def straight(model, images, targets, layer):
    """A and g by the plainest means: a full graph, retain_grad in a hook. targets: one class per image. The oracle's input."""
    kept = []
    hook = model.get_submodule(layer).register_forward_hook(lambda m, i, out: kept.append(out) or out.clone())
    with torch.enable_grad():
        output = model(images.clone().requires_grad_())
    hook.remove()
    S = output[torch.arange(len(images)), torch.as_tensor(targets)]
    return kept[-1].detach(), torch.autograd.grad(S.sum(), kept[-1])[0]


def slow_walk(S_at, image, baseline, steps, fraction, max_dist):
    """The text's steps 1 to 3 for one image: x component by component, no progress, no sorting of batches. Yields x_t, passes.

    S_at: x_t (C,H,W) -> S_t (H,W); image, baseline (C,H,W), float64.
    """
    C, H, W = image.shape
    pixels, channels = [(i, j) for i in range(H) for j in range(W)], range(C)
    full, start = image.tolist(), baseline.tolist()
    x = [[row[:] for row in plane] for plane in start]
    D = sum(abs(full[c][i][j] - start[c][i][j]) for c in channels for i, j in pixels)
    for t in range(steps):
        before, a, passes = torch.tensor(x, dtype=torch.float64), (t + 1) / steps, 0
        S = S_at(before).abs()
        S = (S / (64 * 2.0**-52 * S.max())).round().tolist()  # what rounding alone tells apart are ties
        behind, ahead = max(a - max_dist, 0), min(a + max_dist, 1)
        x_max = [[[s + ahead * (f - s) for s, f in zip(*rows, strict=True)] for rows in zip(*planes, strict=True)]
                 for planes in zip(start, full, strict=True)]
        for c in channels:
            for i, j in pixels:
                way = full[c][i][j] - start[c][i][j]
                x_min = start[c][i][j] + behind * way
                if (x[c][i][j] - x_min) * way < 0:
                    x[c][i][j] = x_min
        while True:
            passes += 1
            missing = sum(abs(full[c][i][j] - x[c][i][j]) for c in channels for i, j in pixels) - (1 - a) * D
            room = {(i, j): sum(abs(x_max[c][i][j] - x[c][i][j]) for c in channels) for i, j in pixels}
            free = [at for at in pixels if room[at] > 1e-12]
            if not free or missing < 1e-12 * D:
                passes -= passes > 1
                break
            threshold = sorted(S[i][j] for i, j in free)[math.ceil(len(free) * fraction - 1e-6) - 1]
            taken = [(i, j) for i, j in free if S[i][j] <= threshold]
            gamma = missing / sum(room[at] for at in taken)
            for c in channels:
                for i, j in taken:
                    x[c][i][j] += min(gamma, 1) * (x_max[c][i][j] - x[c][i][j])
            if gamma <= 1:
                break
        yield before, passes


def hooks(model: nn.Module) -> int:
    """Number of hooks of every kind on every submodule."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(m, kind)) for m in model.modules() for kind in kinds)


@pytest.fixture
def tiny():
    """The network Tiny with seeded weights, float32, eval mode."""
    return seeded(Tiny, size=16)


@pytest.fixture
def images():
    """Four images (4, 3, 16, 16) in [0, 1]."""
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def assets():
    """Folder of real weights and images that lies beside the project, never in it."""
    folder = Path(os.environ.get("CAMUTILS_ASSETS") or ROOT.parent / "shared" / "assets")
    if not folder.is_dir():
        pytest.skip(f"no {folder.name} folder: set $CAMUTILS_ASSETS, or put it at ../shared/assets")
    return folder


SOURCES = {  # cells of a small notebook
    "parameters": "value: int = 2  # a number",
    "figure": "import camutils as cam\nfrom matplotlib import pyplot as plt\n"
              "figure, axis = plt.subplots(figsize=(2, 2))\naxis.plot([0, value])\n"
              "cam.save_figure(figure, '90_line')\nplt.show()",
    "print": "print('value', value)",
    "fail": "assert value < 10",
}


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A small project with one notebook."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    for name, source in SOURCES.items():
        tags = {"tags": ["parameters"]} if name == "parameters" else {}
        book.cells.append(nbformat.v4.new_code_cell(source, id=name, metadata=tags))
    (tmp_path / "notebooks").mkdir()
    nbformat.write(book, tmp_path / "notebooks" / "90_small.ipynb")
    for module in (render, handout):
        monkeypatch.setattr(module, "NOTEBOOKS", tmp_path / "notebooks")
    for module in (render, reproduce, handout):
        monkeypatch.setattr(module, "ROOT", tmp_path)
        monkeypatch.setattr(module, "BUILD", tmp_path / "build")
    return tmp_path
