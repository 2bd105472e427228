"""What the site is made of, without Sphinx: links between pages, texts of figures, docstrings and their equations."""

import ast

import pytest

from camutils import METHODS
from camutils.book.site import equations, lessons, pages, reference
from camutils.places import PACKAGE


def test_links_lead_to_pages_and_files():
    text = ("[a](../data/README.md) [b](README.md#which-method) [c](README.md#glossary) [d](README.md#three-tracks) "
            "![e](../figures/00_course.png) [f](https://example.org/x#y) [g](../data/zoo.csv) `[h](nowhere.md)`")
    found, files = pages.relinked(text, "notebooks/00_first_heatmap.ipynb", "notebooks/00_first_heatmap.ipynb")
    assert "[b](which_method.md) [c](glossary.md) [d](README.md#three-tracks)" in found and "`[h](nowhere.md)`" in found
    assert "[f](https://example.org/x#y)" in found and files == {"figures/00_course.png", "data/zoo.csv"}
    moved, _ = pages.relinked("[a](data/README.md#the-scenes)", "README.md", "notebooks/glossary.md")
    assert moved == "[a](../data/README.md#the-scenes)"


def test_a_link_that_leads_nowhere_is_named():
    with pytest.raises(FileNotFoundError, match="README.md links to gone.md#x"):
        pages.relinked("[a](gone.md#x)", "README.md", "README.md")


def test_the_course_is_split_without_a_loss():
    texts, files = pages.text_pages()
    course = pages.sections((PACKAGE.parent / pages.COURSE).read_text(encoding="utf-8"))
    assert {*pages.SPLIT} <= {*course} and all(texts[page].startswith(f"# {head}\n") for head, page in pages.SPLIT.items())
    assert "| scissors |" in texts["notebooks/glossary.md"] and "| scissors |" not in texts[pages.COURSE]
    assert "figures/00_course.png" in files and all((PACKAGE.parent / name).is_file() for name in files)


def test_the_text_of_a_figure_says_what_it_shows():
    source = 'axis.set(title=f"{net}: nothing is above the line", xlabel="Average Drop")\ncam.save_figure(figure, "02_contrast")'
    text = lessons.figure_text("02_contrast", source, "On `scenes_resnet` $\\alpha$ is **large**. [More](x.md) below.")
    assert text == ("Figure contrast of notebook 02, with the words …: nothing is above the line; Average Drop. "
                    "On scenes_resnet α is large. More below.")
    assert len(lessons.figure_text("02_x", "", "A sentence of words. " * 60)) <= lessons.LONGEST


@pytest.mark.parametrize("plain, expected", [
    ("L = ReLU(sum_k w_k A_k),    w_k = mean_ij g_kij",
     r"L = \mathrm{ReLU}(\sum _{k} w_{k} A_{k}), \qquad w_{k} = \mathrm{mean}_{ij}\, g_{kij}"),
    ("d = T(a) - T(b),    p = min(1, 2 #[d* <= 0])", r"d = T(a) - T(b), \qquad p = \min (1, 2 \# [d^{*} \le 0])"),
    ("100 1[O > Y]", r"100 \; 1[O > Y]"),
])
def test_an_equation_becomes_tex(plain, expected):
    assert " ".join(equations.tex(plain).split()) == expected


@pytest.mark.parametrize("plain", [
    "with capture(model, [\"layer3\"]) as A:\n    S = model(images)",
    "kind    line, points    a line's vertices", "name   what it is",
    "handout()                every notebook -> build/", "L = $x$",
])
def test_what_is_no_equation_stays(plain):
    assert equations.tex(plain) is None


def test_every_method_has_its_equation_as_mathematics():
    found = {}
    for text in reference.reference_pages().values():
        for name in METHODS:
            if f"{{py:function}} {name}(" in text:
                found[name] = "```{math}" in text.split(f"{{py:function}} {name}(")[1].split("\n````\n")[0]
    assert found == dict.fromkeys(METHODS, True)


def test_the_reference_has_everything_public():
    written = reference.reference_pages()
    for module in reference.modules():
        page = written[f"api/{reference.page(module.name)}"]
        for node in module.public:
            kind = "py:class" if isinstance(node, ast.ClassDef) else "py:function"
            assert f"{{{kind}}} {node.name}" in page
    counts = "".join(written.values()).count("```{math}")
    print(f"\n{counts} equations as mathematics on {len(written)} pages")
    assert counts > 60
