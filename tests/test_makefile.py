"""make: what cannot work is one line that says what to do, and leaves nothing behind that a second call would trip over."""

import os
import shutil
import subprocess
import sys

import pytest

from camutils.places import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*words, **environment):
    return subprocess.run(["make", "--no-print-directory", *words], cwd=ROOT, env={**os.environ, **environment},
                          capture_output=True, text=True)


def pretend(folder, version):
    """A Python that says it is another version, for `python -c CODE`."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'import sys; sys.version_info = {version}; exec(sys.argv[1])' \"$2\"\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("version, said", [
    ((3, 10, 9), "this is Python 3.10, camutils needs 3.11 or newer: make PYTHON=python3.12 ..."),
    ((3, 14, 0), "this is Python 3.14, constraints.txt is for 3.11 to 3.13: make PYTHON=python3.13 ..., or LOCK= ..."),
])
def test_a_python_that_does_not_fit(tmp_path, version, said):
    run = make("figures", f"VENV={tmp_path / 'env'}", f"PYTHON={pretend(tmp_path, version)}")
    assert run.returncode and run.stderr.splitlines()[0] == said
    assert not (tmp_path / "env").exists()


def test_a_half_made_environment(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    run = make("test", f"VENV={tmp_path / 'env'}")
    said = f"{tmp_path / 'env'} is half made: rm -r {tmp_path / 'env'}, then make again"
    assert run.returncode and run.stderr.splitlines()[0] == said


def test_no_network_at_the_first_call(tmp_path):
    run = make("figures", f"VENV={tmp_path / 'env'}", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path), PIP_CONFIG_FILE=os.devnull)
    assert run.returncode and "not installed; the lines above say why. Without a network" in run.stderr
    assert not (tmp_path / "env" / ".camutils-installed").exists()


def test_the_second_call_installs_nothing(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / ".camutils-installed").touch()
    run = make("-n", "test", f"VENV={tmp_path}")
    assert run.returncode == 0 and "pip" not in run.stdout and "pytest" in run.stdout
    stale = make("-n", "-W", "constraints.txt", "test", f"VENV={tmp_path}")
    assert "--constraint constraints.txt --editable" in stale.stdout
    assert "--constraint" not in make("-n", "-W", "pyproject.toml", "test", f"VENV={tmp_path}", "LOCK=").stdout


def test_zoo_installs_its_libraries_beside_the_exact_versions_and_prints_the_table(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / ".camutils-installed").touch()
    lines = make("-n", "zoo", f"VENV={tmp_path}", "ZOO=--store").stdout.splitlines()
    assert lines[0].endswith("pip install --quiet --constraint constraints.txt --editable '.[zoo]'")
    assert lines[1].endswith("python tests/zoo/table.py --store")


@pytest.mark.parametrize("target, command", [
    ("fuzz-readers", "python tests/fuzzing/readers.py"), ("mutants", "python tests/mutation/mutants.py"),
    ("coverage", "python tests/mutation/covered.py build/coverage.json"), ("long", "python tests/long_runs/long_runs.py")])
def test_long_checks_install_their_tools_and_run(tmp_path, target, command):
    (tmp_path / "bin").mkdir()
    (tmp_path / ".camutils-installed").touch()
    first, *rest = make("-n", target, f"VENV={tmp_path}").stdout.splitlines()
    assert first.endswith("pip install --quiet --constraint constraints.txt --editable '.[checks]'")
    assert rest[-1].endswith(command) and (ROOT / command.split()[1]).exists()


def test_site_installs_its_packages_and_builds_and_test_site_asks_the_browser(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / ".camutils-installed").touch()
    lines = make("-n", "site", f"VENV={tmp_path}").stdout.splitlines()
    assert lines[0].endswith("pip install --quiet --constraint constraints.txt --editable '.[site]'")
    assert lines[1].endswith("python -m camutils site")
    lines = make("-n", "test-site", f"VENV={tmp_path}").stdout.splitlines()
    assert lines[1].endswith("-m site tests/site")
    lines = make("-n", "test-browser", f"VENV={tmp_path}").stdout.splitlines()
    assert lines[0].endswith("'.[site]'") and lines[1].endswith("-m browser tests/browser")
