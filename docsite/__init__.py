"""The documentation as a site: `python -m docsite` builds it from README.md, docs/ and the code itself.

nav.toml        which page stands where
pages.py        copies the pages and rewrites their links to the site's addresses
commands.py     reference of the command line, from the Typer application
rest.py         reference of the REST API, from its OpenAPI document
library.py      reference of the Python packages, from their docstrings
build.py        runs Sphinx, and refuses pages that load anything from another host
"""
