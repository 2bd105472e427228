"""The built site: the same bytes twice, links that lead somewhere, a text for every picture; and every page in a real browser."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from conftest import not_locked
from PIL import Image

from camutils.book.site import moving
from camutils.places import BUILD, ROOT

pytestmark = pytest.mark.site
WIDTHS = (1400, 390)
THEMES = ("light", "dark")
# Pages that are alike: axe reads some of them (a lesson takes it 14 seconds), all others in light and dark.
ALIKE = re.compile(r"notebooks/(?!00|22|42)\d\d|solutions/(?!00|index)|api/(?!index|camutils\.methods)")


class Page(HTMLParser):
    """What a page holds: its anchors, links, pictures and scripts."""

    def __init__(self, path):
        super().__init__()
        self.path, self.ids, self.links, self.pictures, self.sources = path, set(), [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "img":
            self.pictures.append(found)
        key = {"img": "src", "script": "src", "link": "href"}.get(tag)
        self.sources += [found[key]] if key in found else []


def build(out):
    """Build the site by its command: folder, seconds."""
    start = time.time()
    run = subprocess.run([sys.executable, "-m", "camutils", "site", "--out", str(out)], cwd=ROOT, capture_output=True, text=True,
                         env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert run.returncode == 0, run.stderr
    return out, time.time() - start


@pytest.fixture(scope="module")
def site():
    pytest.importorskip("sphinx", reason="the extra [site] is not installed: make test-site installs it")
    folder, seconds = build(BUILD / "site")
    print(f"\nbuilt in {seconds:.0f} s")
    assert seconds < 300
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def test_the_size(site):
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 1e6
    print(f"\n{size:.1f} MB")
    assert size < 60


def digests(folder):
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def test_two_builds_are_the_same_bytes(site, tmp_path):
    again, _ = build(tmp_path / "elsewhere")
    first, second = digests(site), digests(again)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_no_page_names_the_machine(site):
    for path in site.rglob("*"):
        if path.suffix in (".html", ".js", ".json", ".css"):
            assert str(ROOT) not in path.read_text(encoding="utf-8"), path.name


def test_every_notebook_and_text_is_a_page(pages):
    notebooks = {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in (ROOT / "notebooks").rglob("*.ipynb")
                 if ".ipynb_checkpoints" not in path.parts}
    wanted = {"index.html", "gallery.html", "moving.html", "search.html", "api/index.html", "notebooks/glossary.html",
              "notebooks/which_method.html", "notebooks/findings.html", "camutils/BESIDE_OTHERS.html", "CHANGELOG.html",
              "camutils/README.html", "data/README.html", "api/camutils.methods.grad_cam.html"}
    assert notebooks | wanted <= {*pages}


def test_every_internal_link_and_anchor_leads_somewhere(site, pages):
    lost = []
    for name, page in pages.items():
        for link in page.links + page.sources:
            parts = urlsplit(link)
            if parts.scheme or link in ("#", ""):
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            if not target.is_file():
                lost.append((name, link))
            elif parts.fragment and target.suffix == ".html":
                known = pages[target.relative_to(site.resolve()).as_posix()].ids
                if unquote(parts.fragment) not in known:
                    lost.append((name, link))
    assert lost == []


def test_nothing_is_taken_from_another_host(pages):
    assert [(name, source) for name, page in pages.items() for source in page.sources if "//" in source] == []


def test_every_picture_says_what_it_shows(pages):
    seen = [(name, picture.get("alt") or "") for name, page in pages.items() for picture in page.pictures]
    assert len(seen) > 250
    assert [(name, text) for name, text in seen if len(text) < 20] == []


def test_the_gallery_has_every_figure_and_leads_to_its_cell(site, pages):
    figures = [p for p in (ROOT / "figures").rglob("*") if p.suffix in (".png", ".gif")]
    links = [link for link in pages["gallery.html"].links if "#figure-" in link]
    assert len(links) == len(figures)
    (lesson,) = [link for link in links if link.endswith("#figure-02-contrast")]
    text = (site / lesson.partition("#")[0]).read_text(encoding="utf-8")
    behind = text.split('id="figure-02-contrast"')[1]
    assert behind.index("02_contrast") < behind.index("<img")  # the cell that saves it


def test_solutions_are_folded_away(site):
    text = (site / "notebooks" / "00_first_heatmap.html").read_text(encoding="utf-8")
    folded = re.search(r'<li class="toctree-l1 has-children"><a[^>]*>Solutions</a><details( open[^>]*)?>', text)
    assert folded and not folded[1]


def close(one, other):
    """Whether two WebP pictures show the same: root mean square below 2 of 255 levels."""
    a, b = (np.asarray(Image.open(BytesIO(data)).convert("RGB"), float) for data in (one, other))
    return a.shape == b.shape and np.sqrt(((a - b) ** 2).mean()) < 2


@pytest.mark.parametrize("name", moving.MOVING)
def test_stored_frames_are_what_is_computed(name):
    """All texts, and the middle frame as a picture."""
    stored = json.loads((moving.STORED / "frames.json").read_text(encoding="utf-8"))[name]
    with moving.plt.rc_context():
        moving.use_style()
        frames = list(moving.MOVING[name].frames())
        pictures = [moving.drawn(frame) for frame in frames]
    assert [frame.text for frame in frames] == stored
    middle = len(frames) // 2
    assert not close(pictures[0], pictures[-1])
    if other := not_locked("matplotlib"):  # sets its letters and margins otherwise
        pytest.skip(f"all texts are the same; the picture is not compared with {other}")
    assert close(pictures[middle], (moving.STORED / f"{name}_{middle:02d}.webp").read_bytes())


def test_stored_frames_are_small():
    assert sum(path.stat().st_size for path in moving.STORED.iterdir()) < 1e6


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="the extra [site] is not installed: make test-site installs it")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no chromium on this machine")
    with sync.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


def url(site, page):
    return (site.resolve() / page).as_uri()


@pytest.fixture(scope="module")
def visited(browser, site, pages):
    """Page -> what the browser saw of it: errors, requests elsewhere, width of the content, mathematics, contrast."""
    axe = pytest.importorskip("axe_playwright_python", reason="the extra [site] is not installed")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    seen = {}
    tab = browser.new_page(viewport={"width": WIDTHS[0], "height": 900})
    said = {"errors": [], "requests": []}
    tab.on("console", lambda message: said["errors"].append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: said["errors"].append(str(error)))
    tab.on("request", lambda request: said["requests"].append(request.url))
    for name in pages:
        said["errors"].clear()
        said["requests"].clear()
        tab.goto(url(site, name))
        found = {"scroll": {}, "contrast": {}}
        if tab.evaluate("typeof MathJax !== 'undefined'"):
            tab.evaluate("MathJax.startup.promise.then(() => null)")
        found["formulas"] = tab.evaluate("document.querySelectorAll('.math').length")
        found["set"] = tab.evaluate("document.querySelectorAll('.math mjx-container svg').length")
        found["wrong"] = tab.evaluate("document.querySelectorAll('[data-mjx-error], mjx-merror').length")
        for width in WIDTHS:
            tab.set_viewport_size({"width": width, "height": 900})
            found["scroll"][width] = tab.evaluate("document.scrollingElement.scrollWidth")
        tab.set_viewport_size({"width": WIDTHS[0], "height": 900})
        if not ALIKE.search(name):
            tab.evaluate(script)
            tab.add_style_tag(content="* { transition: none !important; animation: none !important }")  # no colour half-way
        for theme in THEMES if not ALIKE.search(name) else ():
            tab.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
            result = tab.evaluate("axe.run(document, {runOnly: ['color-contrast', 'image-alt', 'label', 'select-name'],"
                                  " resultTypes: ['violations'], elementRef: false})")
            found["contrast"][theme] = [(violation["id"], node["html"][:120], node["failureSummary"][:200])
                                        for violation in result["violations"] for node in violation["nodes"]]
        found["errors"] = [*said["errors"]]
        found["requests"] = [u for u in said["requests"] if not u.startswith((site.resolve().as_uri(), "data:", "blob:"))]
        seen[name] = found
    tab.close()
    return seen


def test_every_page_opens_without_an_error(visited):
    assert {name: found["errors"] for name, found in visited.items() if found["errors"]} == {}


def test_no_page_asks_another_host(visited):
    assert {name: found["requests"] for name, found in visited.items() if found["requests"]} == {}


def test_nothing_scrolls_sideways(visited):
    assert {name: found["scroll"] for name, found in visited.items()
            if any(seen > width for width, seen in found["scroll"].items())} == {}


def test_mathematics_is_set(visited):
    assert sum(found["set"] for found in visited.values()) > 600
    assert {name: found for name, found in visited.items() if found["set"] < found["formulas"] or found["wrong"]} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_text_has_contrast(visited, theme):
    read = {name: found["contrast"][theme] for name, found in visited.items() if found["contrast"]}
    assert len(read) > 30 and {name: wrong[:3] for name, wrong in read.items() if wrong} == {}


def test_search_finds_scissors(browser, site):
    tab = browser.new_page()
    tab.goto(url(site, "search.html") + "?q=scissors")
    lesson = '#search-results li a[href*="%s"]'  # results come one after the other: wait for the lesson's own
    tab.wait_for_selector(", ".join(lesson % name for name in ("30_cluster_cam", "32_merging")))
    tab.close()


def test_the_filter_of_the_gallery(browser, site):
    tab = browser.new_page()
    tab.goto(url(site, "gallery.html"))

    def shown():
        return tab.eval_on_selector_all(".gallery > li", "all => all.filter(one => one.checkVisibility())"
                                    ".map(one => one.textContent)")

    every = shown()
    tab.focus("#part")
    tab.keyboard.type("GIG")  # by the keyboard alone
    tab.keyboard.press("Enter")
    part = shown()
    assert part and {text[0] for text in part} == {"2"} and len(part) < len(every)
    tab.select_option("#part", "")
    tab.select_option("#method", "cluster_cam")
    method = shown()
    assert any("cluster maps" in text for text in method) and not any("saturation" in text for text in method)
    assert tab.inner_text("#count") == f"{len(method)} figures"
    tab.close()


@pytest.mark.parametrize("name", moving.MOVING)
def test_a_slider_moves_its_figure_by_the_keyboard(browser, site, name):
    tab = browser.new_page()
    tab.goto(url(site, "moving.html"))
    picture = f".moving:has(#{name}) img"
    before = tab.get_attribute(picture, "src"), tab.inner_text(f"#{name}-says")
    tab.focus(f"#{name}")
    tab.keyboard.press("ArrowRight")
    after = tab.get_attribute(picture, "src"), tab.inner_text(f"#{name}-says")
    assert before[0].endswith("_00.webp") and after[0].endswith("_01.webp") and before[1] != after[1]
    assert tab.get_attribute(picture, "alt") == after[1]
    tab.keyboard.press("End")
    assert tab.eval_on_selector(picture, "async picture => { await picture.decode(); return picture.naturalWidth }") > 300
    tab.close()
