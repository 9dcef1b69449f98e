"""Settings of Sphinx. `make docs` builds these pages."""

import logging

from docs import formulas, gallery, tables
from docs.docstrings import to_rst

project = "di4c"
author = copyright = "The di4c authors"
release = "0.1.0"

logging.getLogger("fontTools").setLevel(logging.WARNING)  # matplotlib writes PDFs with it

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "generated/*.md"]  # the latter are included by other pages
default_role = "py:obj"  # a single backtick links to what it names, if that is documented here

smartquotes = False  # they turn --quick into a dash
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "di4c"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_sphinx = False

copybutton_exclude = ".linenos, .gp, .go"

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_attr_annotations = False  # the signature of a dataclass shows them


def skip_field(app, what, name, thing, skip, options):
    """Skip the fields of named tuples. The docstring of the class describes them."""
    return (getattr(thing, "__doc__", "") or "").startswith("Alias for field number") or None


def setup(app):
    """Write the generated pages before the build, and read docstrings as we write them."""
    formulas.install(app)
    app.connect("builder-inited", lambda app: tables.write(app.srcdir / "generated"))
    app.connect("builder-inited", lambda app: gallery.write(app.srcdir / "generated" / "gallery"))
    app.connect("autodoc-skip-member", skip_field)
    # Before napoleon, whose priority is 500.
    app.connect("autodoc-process-docstring", to_rst, priority=400)
