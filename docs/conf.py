"""How the documents are built."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
sys.path.insert(0, str(Path(__file__).parent.parent))

from prefactor_http._version import __version__

project = "prefactor-exporter"
author = "the prefactor-exporter authors"
copyright = author  # noqa: A001  # Sphinx's name
version = release = __version__

extensions = [
    "myst_parser",
    "commands",
    "models",
    "settings",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["tables.css"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
# One line for each attribute; the types stand in the signature.
napoleon_use_ivar = True
default_role = "code"

# References are checked for our own public names; other projects' inventories are not fetched.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!prefactor_(exporter|http)\b).*"),
    (r"py:.*", r"prefactor_\w+\.(.*\.)?_.*"),
    (r"py:.*", r"prefactor_exporter\.(context|recorder|tracing|stats|config|invocation)\..*"),
    (r"py:.*", r"prefactor_exporter\.testing\.(recorded|recording)\..*"),
    (r"py:.*", r"prefactor_http\.(client|config|devserver|endpoints|models)\..*"),
]

doctest_global_setup = """
from prefactor_exporter import *
from prefactor_http.devserver import DevServer
"""
