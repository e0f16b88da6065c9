"""Sphinx's settings. Sphinx reads this file by its name."""

from __future__ import annotations

project = "vcpbench"
author = "the vcpbench authors"
copyright = author
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
language = "en"
default_role = "code"

myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 4  # links such as protocols.md#the-catalog, as on GitHub

html_theme = "furo"
html_title = "vcpbench"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#0b5fa5", "color-brand-content": "#0b5fa5"},
    "dark_css_variables": {"color-brand-primary": "#7cc0ff", "color-brand-content": "#7cc0ff"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
