"""The gallery: every committed figure as a small picture on one page; two lists choose by method and by part."""

from html import escape
from pathlib import Path

from PIL import Image

from ...methods import METHODS
from ...places import ROOT
from ..figures import LABELS
from .lessons import Drawn
from .pages import Lesson

WIDTH = 320  # pixels of a small picture
HEAD = """# Gallery

Every figure of the notebooks. A picture leads to the cell that makes it.

<form class="choose" role="search" aria-label="Choose figures">
<label>Method <select id="method">{methods}</select></label>
<label>Part <select id="part">{parts}</select></label>
<output id="count" for="method part">{count} figures</output>
</form>

<ul class="gallery">
"""


def small(source: Path, target: Path) -> tuple[int, int]:
    """Write a small WebP picture of a figure: width and height of it. The first picture of a moving one."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    height = round(picture.height * WIDTH / picture.width)
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.resize((WIDTH, height), Image.Resampling.LANCZOS).save(target, quality=80, method=6)
    return WIDTH, height


def gallery_page(drawn: list[Drawn], lessons: list[Lesson], static: Path) -> str:
    """The page as Markdown; its small pictures are written to static/gallery/."""
    by_path, by_name = {lesson.path: lesson for lesson in lessons}, {figure.name: figure for figure in drawn}
    items, count = [], 0
    for figure in drawn:
        lesson = by_path[figure.lesson]
        for file in (f"{figure.name}.png", f"photos/{figure.name}.png", f"{figure.name}.gif", f"photos/{figure.name}.gif"):
            source = ROOT / "figures" / file
            if not source.is_file():
                continue
            count += 1
            target = static / "gallery" / Path(file).with_suffix(".webp")
            width, height = small(source, target)
            on = ", on photographs" if file.startswith("photos/") else ""
            words = figure.name.partition("_")[2].replace("_", " ") + on
            items.append(
                f'<li data-part="{escape(lesson.part)}" data-methods="{" ".join(figure.methods)}">'
                f'<a href="{lesson.path.replace(".ipynb", ".html")}#{figure.place}">'
                f'<img src="_static/gallery/{Path(file).with_suffix(".webp").as_posix()}" alt="{escape(figure.text + on)}" '
                f'width="{width}" height="{height}" loading="lazy"><span>{figure.name[:2]} · {escape(words)}</span></a></li>\n')
    used = {method for figure in by_name.values() for method in figure.methods}
    methods = _options("every method", {method: LABELS[method] for method in METHODS if method in used})
    parts = _options("every part", {part: part for part in dict.fromkeys(lesson.part for lesson in lessons)})
    return HEAD.format(methods=methods, parts=parts, count=count) + "".join(items) + (
        '</ul>\n\n<script src="_static/gallery.js"></script>\n')


def _options(every: str, values: dict[str, str]) -> str:
    """The choices of a list, the first one being all."""
    return f'<option value="">{every}</option>' + "".join(
        f'<option value="{escape(value)}">{escape(label)}</option>' for value, label in values.items())
