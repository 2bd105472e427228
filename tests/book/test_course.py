"""The course in numbers."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from camutils.book.course import counted, listing


def test_words_pictures_and_exercises_are_counted(tmp_path):
    picture = new_output("display_data", {"image/png": "AAAA"})
    cells = [new_markdown_cell("# Three words here\n\n![one](x.png)"), new_code_cell("draw()", outputs=[picture]),
             new_code_cell('exercises.check("02.1", answer)\nexercises.check("02.1", answer)'),
             new_markdown_cell("## What we saw\n\nthree more words")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "02_few.ipynb")
    assert counted(tmp_path / "02_few.ipynb", "0.3") == ("02_few", "0.3", 5, 12, 2, 1)


def test_every_notebook_has_a_line_with_its_minutes():
    head, *lines = listing().splitlines()
    assert head.split()[:2] == ["notebook", "minutes"] and len(lines) > 20
    assert all(float(line.split()[1]) > 0 and int(line.split()[2]) > 100 for line in lines)
