"""What Sphinx is told. Nothing of it asks another host, neither while it builds nor when a page is read."""

project = "camutils"
author = "the camutils authors"
extensions = ["myst_nb", "sphinx.ext.mathjax"]
exclude_patterns: list[str] = []
root_doc = "index"

# Notebooks are shown as they were committed.
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # the widgets' scripts would come from another host
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "amsmath", "attrs_block"]
myst_heading_anchors = 4
myst_dmath_double_inline = True
suppress_warnings = ["mystnb.unknown_mime_type"]

# Mathematics: one file of MathJax, copied into the site, which draws letters as paths and so needs no fonts.
mathjax_path = "tex-svg-full.js"
mathjax3_config = {"options": {"enableMenu": False}, "startup": {"typeset": True}}

add_module_names = False
maximum_signature_line_length = 100
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "camutils"
html_static_path = ["_own"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # a summary would be fetched, which a browser refuses to pages that are opened as files
NO_PAGES_BELOW = ("gallery", "moving", "search", "notebooks/which_method")
html_sidebars: dict[str, list[str]] = dict.fromkeys(NO_PAGES_BELOW, [])
html_last_updated_fmt = None
html_use_index = False
html_domain_indices = False
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is, until a button says otherwise
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
    "footer_end": [],
    "show_nav_level": 1,
    "navigation_depth": 3,
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
