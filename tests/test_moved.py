"""Old names of modules: each gives the module that took its place, once more, with a warning, and nothing is overwritten."""

import subprocess
import sys
from importlib import import_module

import pytest

import camutils
from camutils.moved import MOVED
from camutils.places import ROOT


@pytest.mark.parametrize("old", MOVED)
def test_old_name(old):
    function = getattr(camutils, old, None) if callable(getattr(camutils, old, None)) else None
    sys.modules.pop(f"camutils.{old}", None)
    new = import_module(f"camutils.{MOVED[old]}")
    name = new.__spec__.name
    with pytest.warns(FutureWarning, match=rf"camutils.{old} is camutils.{MOVED[old]} now; the old name works until version 0.3"):
        assert import_module(f"camutils.{old}") is new
    assert new.__spec__.name == name == new.__name__
    if function is not None:
        assert getattr(camutils, old) is function


def test_old_imports_as_people_write_them():
    code = ("import camutils as cam\nfrom camutils.gig import signed_map\nfrom camutils.cluster_cam import MERGES\n"
            "from camutils.metrics.location import box_mask\nfrom camutils.networks import SCENE_NETWORKS\n"
            "assert callable(cam.figures.grid) and not hasattr(cam, 'nothing')\n"
            "assert callable(cam.cluster_cam) and cam.METHODS['cluster_cam'] is cam.cluster_cam and callable(signed_map)")
    run = subprocess.run([sys.executable, "-W", "always", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    for name in ("camutils.gig is", "camutils.figures is", "camutils.cluster_cam is", "camutils.metrics.location is",
                 "SCENE_NETWORKS is"):
        assert f"FutureWarning: {name}" in run.stderr


def test_no_module_of_the_project_uses_an_old_name():
    old = [f"camutils.{name}" for name in MOVED]
    for path in (ROOT / "camutils").rglob("*.py"):
        text = path.read_text()
        assert not any(f"from {name} import" in text for name in old), path


def test_the_changelog_lists_every_moved_module():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert [f"{old} → {new}" for old, new in MOVED.items() if f"| `{old}` | `{new}` |" not in text] == []
