"""The book on the web: `camutils site` makes static pages of the executed notebooks and of the Markdown files, and runs none.

    pages       which file of the repository is which page; where links go; the front page
    lessons     notebooks with a text for every picture and a place to link to at every figure
    gallery     all figures on one page              moving      figures with a slider, computed beforehand
    reference   the docstrings as pages              equations   their equations as TeX
    build       all of it to build/site-source, then Sphinx to build/site (conf.py, static/)
"""
