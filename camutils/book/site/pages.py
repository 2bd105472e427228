"""Which file of the repository is which page of the site, and where its links go.

A page lies in the site where its file lies in the repository, so that most links hold as they are: notebooks/00_x.ipynb becomes
notebooks/00_x.html. Two things differ. notebooks/README.md is long: SPLIT names the sections that are pages of their own. And a
link to a file that is no page leads to a copy of it in the site.
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import NamedTuple

import nbformat

from ...places import ROOT
from ..render import find_notebooks

COURSE = "notebooks/README.md"
TEXTS = (COURSE, "README.md", "camutils/README.md", "camutils/BESIDE_OTHERS.md", "data/README.md", "data/experiments/README.md",
         "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
SPLIT = {  # head of a section of the course -> the page that it becomes
    "Glossary": "notebooks/glossary.md", "Which method?": "notebooks/which_method.md",
    "What was found": "notebooks/findings.md", "For teachers": "notebooks/for_teachers.md",
}
PARTS = {  # first digit of a notebook's number -> what its part is about
    "0": "Maps, and how to judge them", "1": "Integrative CAM", "2": "GIG-CAM+M", "3": "Cluster-CAM",
    "4": "Comparing and trusting", "5": "What a map costs", "6": "A network of your own", "9": "To play with",
}
LINK = re.compile(r"(\]\()([^)\s#]*)(#[^)\s]*)?(\))")
FENCE = re.compile(r"(?s)```.*?```")


class Lesson(NamedTuple):
    """A notebook of the course: its path in the repository, title, question and part."""

    path: str
    title: str
    question: str
    part: str


def anchor(head: str) -> str:
    """The anchor that a head of a Markdown page has: small letters, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-")


def sections(text: str) -> dict[str, str]:
    """Head -> section of a Markdown page, "" for what stands above the first `## `; heads inside of code are none."""
    found, head = {"": ""}, ""
    for piece in re.split(r"(?ms)(^```.*?^```[ ]*$)", text):
        for line in [piece] if piece.startswith("```") else piece.splitlines(keepends=True):
            if line.startswith("## "):
                head = line[3:].strip()
                found[head] = ""
            else:
                found[head] += line
    return found


def lessons() -> list[Lesson]:
    """The notebooks in order, without solutions."""
    course = (ROOT / COURSE).read_text(encoding="utf-8")
    questions = dict(re.findall(r"(?m)^\| \[\w+\]\(([\w.]+)\) \| ([^|]+) \|", course))
    found = []
    for path in find_notebooks():
        if path.parent.name != "solutions":
            title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].removeprefix("# ")
            question, part = questions.get(path.name, "").strip(), PARTS.get(path.name[0], "More")
            found.append(Lesson(f"notebooks/{path.name}", title, question, part))
    return found


def moved_anchors() -> dict[str, str]:
    """Anchor in notebooks/README.md -> the page that it stands on now."""
    course = sections((ROOT / COURSE).read_text(encoding="utf-8"))
    found = {}
    for head, page in SPLIT.items():
        found[anchor(head)] = page
        found |= {anchor(below): page for below in re.findall(r"(?m)^###+ (.+)$", course.get(head, ""))}
    return found


def is_page(path: str) -> bool:
    """Whether a file of the repository is a page of the site."""
    return path in TEXTS or path.startswith("notebooks/") and path.endswith(".ipynb")


def relinked(text: str, source: str, target: str) -> tuple[str, set[str]]:
    """A text of the file `source` for the page `target`, both paths in the repository, and the files that it shows or links to.

    Links to a section that has become a page lead there, links to a folder to its README. Code stays as it is.
    FileNotFoundError for a link that leads nowhere.
    """
    moved, files = moved_anchors(), set[str]()

    def led(link: re.Match[str]) -> str:
        path, place = link[2], link[3] or ""
        if "://" in path or path.startswith("mailto:"):
            return link[0]
        found = normpath(str(PurePosixPath(source).parent / path)) if path else source
        if (ROOT / found).is_dir():
            found += "/README.md"
        if not (ROOT / found).is_file():
            raise FileNotFoundError(f"{source} links to {link[2]}{place}, which is not there")
        if found == COURSE:
            page = moved.get(place[1:], COURSE)
            found, place = page, "" if page != COURSE and anchor_of_page(page) == place[1:] else place
        elif not is_page(found):
            files.add(found)
            place = ""
        written = relpath(found, PurePosixPath(target).parent) if found != target else ""
        return f"{link[1]}{written or ('' if place else PurePosixPath(target).name)}{place}{link[4]}"

    pieces = re.split(r"((?s:```.*?```)|`[^`\n]+`)", text)
    return "".join(piece if i % 2 else LINK.sub(led, piece) for i, piece in enumerate(pieces)), files


def anchor_of_page(page: str) -> str:
    """The anchor that the whole of a split page had in notebooks/README.md."""
    return anchor(next(head for head, own in SPLIT.items() if own == page))


def toctree(entries: list[str], caption: str = "", here: str = "", last: str = "") -> str:
    """A hidden table of contents: entries are pages, as paths in the repository, seen from the folder `here`; last: one line
    more."""
    names = [relpath(str(PurePosixPath(entry).with_suffix("")), here or ".") for entry in entries]
    head = "\n```{toctree}\n:hidden:\n:maxdepth: 1\n" + (f":caption: {caption}\n" if caption else "")
    return head + "\n" + "\n".join([*names, last]).rstrip() + "\n```\n"


def text_pages() -> tuple[dict[str, str], set[str]]:
    """Path -> Markdown of every page that is made of the repository's texts, and the files that they need."""
    pages, files = {}, set[str]()
    course = sections((ROOT / COURSE).read_text(encoding="utf-8"))
    for source in TEXTS:
        text = (ROOT / source).read_text(encoding="utf-8")
        if source == COURSE:
            text = "".join((f"## {head}\n" if head else "") + body for head, body in course.items() if head not in SPLIT)
        pages[source], needed = relinked(text, source, source)
        files |= needed
    for head, page in SPLIT.items():
        body, needed = relinked(course[head], COURSE, page)
        pages[page] = f"# {head}\n{body}"
        files |= needed
    front, needed = relinked(front_page(), "README.md", "index.md")
    pages["index.md"] = front + toctree([COURSE, SPLIT["Which method?"], "gallery.md", "moving.md", "camutils/README.md",
                                         "api/index.md"], last="The project <README>")
    solutions = [f"notebooks/solutions/{path.name}" for path in find_notebooks() if path.parent.name == "solutions"]
    listed = "".join(f"- [Notebook {PurePosixPath(path).stem}]({PurePosixPath(path).name})\n" for path in solutions)
    said = "# Solutions\n\nSolve the exercises of a lesson first; its last section links here.\n\n"
    pages["notebooks/solutions/index.md"] = said + listed + toctree(solutions, here="notebooks/solutions")
    for part in dict.fromkeys(lesson.part for lesson in lessons()):
        pages[COURSE] += toctree([own.path for own in lessons() if own.part == part], part, "notebooks")
    pages[COURSE] += toctree(["notebooks/solutions/index.md"], "Afterwards", "notebooks")
    pages[COURSE] += toctree([page for head, page in SPLIT.items() if head != "Which method?"], "To look up", "notebooks")
    pages["camutils/README.md"] += toctree(["camutils/BESIDE_OTHERS.md"], here="camutils")
    pages["README.md"] += toctree([path for path in TEXTS if path not in (COURSE, "README.md") and "camutils" not in path])
    return pages, files | needed


def front_page() -> str:
    """What README.md says first, the map of the course, and the notebooks by part with their questions."""
    lead = sections((ROOT / "README.md").read_text(encoding="utf-8"))[""]
    course = sections((ROOT / COURSE).read_text(encoding="utf-8"))[""]
    picture = re.search(r"!\[[^\]]*\]\(\.\./figures/00_course\.png\)", course)
    text = lead.replace("# ", '<div class="front"></div>\n\n# ', 1) + "\n## The course\n\n"
    text += picture[0].replace("../", "") + "\n\n" if picture else ""
    listed = lessons()
    for part in dict.fromkeys(lesson.part for lesson in listed):
        text += f"### {part}\n\n"
        text += "".join(f"- [{own.title}]({own.path})" + (f": {own.question}\n" if own.question else "\n")
                        for own in listed if own.part == part) + "\n"
    return text


def here(path: Path) -> str:
    """A file's path in the repository, with slashes."""
    return path.relative_to(ROOT).as_posix()
