"""`camutils site`: write everything that Sphinx reads to build/site-source, run Sphinx, and put the pages into build/site.

No notebook is executed. The same repository gives the same pages, to the byte: nothing in them tells the day, the folder or the
machine.
"""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nbformat

from ...places import BUILD, ROOT, need_checkout
from ..render import find_notebooks
from .gallery import gallery_page
from .lessons import Drawn, staged
from .moving import moving_page
from .pages import here, lessons, text_pages
from .reference import reference_pages

OWN = Path(__file__).parent
MATHJAX = "tex-svg-full.js"
NEEDED = {"sphinx": "sphinx", "myst_nb": "myst-nb", "pydata_sphinx_theme": "pydata-sphinx-theme",
          "sphinx-mathjax-offline": "sphinx-mathjax-offline"}  # module -> package of the extra [site]
LEFT_OUT = (".doctrees", ".buildinfo", "jupyter_execute", "_sources", "_static/webpack-macros.html")


def site(out: Path | str | None = None) -> Path:
    """Build the site and return its folder, whose index.html is the front page.

    out: default build/site; what an earlier build wrote there is replaced. Raises FileNotFoundError without the repository or for
    a link that leads nowhere, ImportError where a package of the extra [site] is missing, FileExistsError for a folder that is
    not empty and holds no site, ValueError where Sphinx warns of something, with what it said.
    """
    need_checkout("the notebooks are")
    folder = Path(out or BUILD / "site")
    if folder.exists() and any(folder.iterdir()) and not (folder / "searchindex.js").is_file():
        raise FileExistsError(f"{folder} holds something else than a site; accepted: an empty folder or an earlier site")
    missing = [package for module, package in NEEDED.items() if find_spec(module) is None]
    if missing:
        raise ImportError(f"this needs {', '.join(missing)}, which is not installed; pip install 'camutils[site]' installs it")
    source, made = BUILD / "site-source", BUILD / "site-made"
    for old in (source, made):
        shutil.rmtree(old, ignore_errors=True)
    stage(source)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-d", str(made / "doctrees"),
               str(source), str(made / "html")]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise ValueError("Sphinx: " + run.stderr.replace(f"{source}/", ""))
    finish(made / "html")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(made / "html", folder)
    shutil.rmtree(made)
    return folder


def stage(source: Path) -> None:
    """Write what Sphinx reads: pages, notebooks, the files that they show or link to, and the site's own scripts and styles."""
    pages, files = text_pages()
    drawn = list[Drawn]()
    for path in find_notebooks():
        notebook, figures, needed = staged(here(path))
        drawn += figures
        files |= needed
        put(source / here(path), nbformat.writes(notebook))
    shutil.copytree(OWN / "static", source / "_own")
    shutil.copyfile(OWN / "conf.py", source / "conf.py")
    shutil.copyfile(Path(mathjax()) / "static" / "mathjax" / MATHJAX, source / "_own" / MATHJAX)
    pages["gallery.md"] = gallery_page(drawn, lessons(), source / "_own")
    pages["moving.md"] = moving_page(source / "_own")
    pages |= reference_pages()
    for name, text in pages.items():
        put(source / name, text)
    for name in sorted(files):
        put(source / name, (ROOT / name).read_bytes())


def put(path: Path, content: str | bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def mathjax() -> str:
    """The folder of the package that holds MathJax 3.2.2."""
    found = find_spec("sphinx-mathjax-offline")
    if found is None or not found.submodule_search_locations:
        raise ImportError("this needs sphinx-mathjax-offline, which is not installed; pip install 'camutils[site]' installs it")
    return found.submodule_search_locations[0]


def finish(html: Path) -> None:
    """Take out what belongs to the build alone or differs from run to run."""
    for name in LEFT_OUT:
        path = html / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
