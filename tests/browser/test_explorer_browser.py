"""The explorer as a reader has it: `camutils explore` in a real JupyterLab, in a real browser."""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from camutils import photograph
from camutils.book.explorer import words
from camutils.book.explorer.lab import command, own_copy
from camutils.places import BUILD, ROOT

pytestmark = pytest.mark.browser
PICTURES = ".camutils-pictures img"
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
CELLS = 5  # of the notebook
PATIENCE = 300_000  # milliseconds: a kernel starts, torch is imported, on a machine that does other things too


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="the extra [site] is not installed: make test-browser installs it")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no chromium on this machine")
    with sync.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=[*QUIET])
        yield started
        started.close()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """JupyterLab as the command starts it, with settings of its own; the address of the notebook."""
    folder, home = BUILD / f"explorer-tested-{os.getpid()}", tmp_path_factory.mktemp("jupyter")
    shutil.rmtree(folder, ignore_errors=True)
    notebook, port = own_copy(folder), free_port()
    own = {"JUPYTER_CONFIG_DIR": "config", "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
           "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython", "CAMUTILS_FIGURES": "figures"}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JUPYTER_TOKEN": "explorer",
                   **{name: str(home / place) for name, place in own.items()}}
    said = (home / "said.txt").open("w")
    started = [*command(notebook, port, browser=False), "--allow-root"]
    server = subprocess.Popen(started, env=environment, stdout=said, stderr=said)
    try:
        until = time.time() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5)
                break
            except OSError:
                assert server.poll() is None and time.time() < until, (home / "said.txt").read_text()
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/lab/tree/{notebook.relative_to(ROOT).as_posix()}?token=explorer"
    finally:
        server.terminate()
        server.wait(60)
        said.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def page(browser, address):
    """The notebook, all of its cells run."""
    tab = browser.new_page(viewport={"width": 1400, "height": 2200})
    tab.set_default_timeout(PATIENCE)
    tab.goto(address)
    tab.wait_for_function("document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'")
    tab.wait_for_timeout(5000)  # JupyterLab may start a second kernel in place of its first, and forget what the first one ran
    tab.click(".lm-MenuBar-itemLabel:text-is('Run')")
    tab.click(".lm-Menu-itemLabel:text-is('Run All Cells')")
    tab.wait_for_selector(PICTURES)
    tab.wait_for_function("document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'")
    yield tab
    tab.close()


def sources(page):
    return page.eval_on_selector_all(PICTURES, "all => all.map(one => one.src)")


def texts(page):
    return page.eval_on_selector_all(PICTURES, "all => all.map(one => one.alt)")


def says(page):
    return page.inner_text(".camutils-explorer [role=status]")


def changes(page, act):
    """Do something; what the pictures were before and are when they have changed, and the seconds that it took."""
    before, start = sources(page), time.time()
    act()
    page.wait_for_function("before => { const now = [...document.querySelectorAll('.camutils-pictures img')].map(one => one.src);"
                           " return now.length && JSON.stringify(now) !== JSON.stringify(before) }", arg=before, polling=20)
    return before, sources(page), time.time() - start


def labelled(page, text, kind, number=0):
    """The control of a widget with this label."""
    return page.locator(f".camutils-explorer .jupyter-widgets:has(> .widget-label:text-is('{text}')) {kind}").nth(number)


def put_in(page, path):
    """Choose a file as a reader does: press the button, pick it in the system's dialog."""
    with page.expect_file_chooser() as dialog:
        page.click(".camutils-explorer button.widget-upload")
    dialog.value.set_files(path)


def test_it_loads_with_the_pictures_of_the_notebook(page):
    assert len(sources(page)) == 4 and len(set(sources(page))) == 4
    assert texts(page)[1].startswith("Grad-CAM for digit") and texts(page)[2].startswith("Integrative CAM for digit")
    assert all(len(text) > 20 for text in texts(page))
    assert "cam.grad_cam(network, x, " in page.locator(".camutils-explorer textarea").input_value()
    assert page.locator(".camutils-measures tbody tr").count() == 7
    assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0


def test_the_contrast_moves_by_the_arrow_keys(page, record_property):
    handle = labelled(page, words.GAMMA, ".noUi-handle")

    def turn():
        handle.focus()
        handle.press("ArrowRight")

    before, after, seconds = changes(page, turn)
    record_property("said", f"contrast: {seconds:.2f} seconds from the key to the picture")
    assert before[0] == after[0] and before[1] != after[1]
    page.wait_for_function("document.querySelector('.camutils-explorer textarea').value.includes('cam.sharpen(')")
    before, after, _ = changes(page, lambda: handle.press("ArrowLeft"))


def test_the_threshold_can_be_typed(page):
    readout = labelled(page, words.THRESHOLD, ".widget-readout")

    def write(text):
        readout.fill(text)
        readout.press("Enter")

    changes(page, lambda: write("0.5"))
    page.wait_for_function("document.querySelector('.camutils-explorer textarea').value.includes('above = heat >= 0.5')")
    changes(page, lambda: write("0"))


def test_another_method_brings_its_knobs_and_another_map(page, record_property):
    method = labelled(page, words.METHOD, "select")

    def choose(label):
        method.focus()
        page.keyboard.type(label)
        page.keyboard.press("Enter")

    before, after, _ = changes(page, lambda: method.select_option(label="Cluster-CAM"))
    assert before[1] != after[1] and before[2] == after[2]
    clusters = labelled(page, words.KNOBS["n_clusters"].label, ".noUi-handle")
    clusters.focus()
    changes(page, lambda: clusters.press("ArrowRight"))
    page.wait_for_function("document.querySelector('.camutils-explorer textarea').value.includes('n_clusters=11')")
    _, _, seconds = changes(page, lambda: choose("HiResCAM"))  # by the keyboard alone; elsewhere its letters are shortcuts
    record_property("said", f"another method of one pass: {seconds:.2f} seconds from the key to the picture")
    assert clusters.count() == 0 and page.locator(".jp-Notebook .jp-Cell").count() == CELLS


def test_one_map_alone(page):
    changes(page, lambda: page.get_by_label(words.COMPARE).uncheck())
    assert len(sources(page)) == 2
    changes(page, lambda: page.get_by_label(words.COMPARE).check())
    assert len(sources(page)) == 4


def test_a_typed_class_and_one_that_is_none(page, record_property):
    typed = labelled(page, words.TYPED, "input")

    def write(text):
        typed.fill(text)
        typed.press("Enter")

    _, _, seconds = changes(page, lambda: write("9"))
    record_property("said", f"another class, two maps: {seconds:.2f} seconds from the key to the picture")
    assert "digit 9" in texts(page)[1] and labelled(page, words.CLASS, "select").input_value()
    write("12")
    page.wait_for_function("document.querySelector('.camutils-explorer [role=status]').innerText.includes('accepted: 0 to 9')")
    assert "digit 9" in texts(page)[1]


def test_a_picture_of_one_s_own(page, tmp_path):
    Image.fromarray(photograph("coffee")[:300, :300]).save(tmp_path / "my cup.png")
    before, after, _ = changes(page, lambda: put_in(page, tmp_path / "my cup.png"))
    assert before[0] != after[0] and texts(page)[0].startswith("my cup.png, as scenes_resnet sees it")
    assert words.NO_BOX in page.inner_text(".camutils-explorer")


def test_a_wrong_file_is_a_sentence(page, tmp_path):
    (tmp_path / "notes.png").write_bytes(b"these are my notes")
    before = sources(page)
    put_in(page, tmp_path / "notes.png")
    page.wait_for_function("document.querySelector('.camutils-explorer [role=status]').innerText.includes('notes.png')")
    assert says(page).startswith("notes.png cannot be used: not a readable image")
    assert sources(page) == before and "Traceback" not in page.inner_text(".jp-NotebookPanel")


def test_what_takes_long_waits_for_its_button(page):
    method = labelled(page, words.METHOD, "select")
    before = sources(page)
    method.select_option(label="GIG-CAM+M")
    button = page.locator(f".camutils-explorer button:text-is('{words.COMPUTE}')")
    button.wait_for(state="visible")
    assert "Press" in says(page) and sources(page) == before
    scales = labelled(page, words.KNOBS["scales"].label, "select")
    changes(page, lambda: scales.select_option(label="1, 1.5, 2"))
    assert not button.is_visible()


def test_its_controls_have_names_and_its_text_has_contrast(page):
    """axe's rules on the explorer, in JupyterLab's light and dark theme."""
    axe = pytest.importorskip("axe_playwright_python", reason="the extra [site] is not installed")
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        use_theme(page, theme)
        result = page.evaluate("axe.run('.camutils-explorer', {runOnly: ['color-contrast', 'image-alt', 'label', 'select-name',"
                               " 'button-name'], resultTypes: ['violations'], elementRef: false})")
        wrong = [(violation["id"], node["html"][:160]) for violation in result["violations"] for node in violation["nodes"]]
        assert wrong == [], theme
        if os.environ.get("CAMUTILS_SCREENSHOTS"):
            page.screenshot(path=os.path.join(os.environ["CAMUTILS_SCREENSHOTS"], f"{theme.split()[1].lower()}.png"))


def use_theme(page, theme):
    """Choose a theme in JupyterLab's menu."""
    page.click(".lm-MenuBar-itemLabel:text-is('Settings')")
    page.hover(".lm-Menu-itemLabel:text-is('Theme')")
    page.click(f".lm-Menu-itemLabel:text-is('{theme}')")
    light = "true" if theme.endswith("Light") else "false"
    page.wait_for_function("light => document.body.dataset.jpThemeLight === light", arg=light)
    page.wait_for_timeout(1000)  # colours fade over
