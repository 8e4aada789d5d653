"""Sphinx's settings; `make docs` builds by them."""

from gdcore import __version__

project, version, release = "gdcore", __version__, __version__
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
smartquotes = False  # "adam" is a string
nitpicky = True  # a name that leads nowhere is a warning, hence an error
exclude_patterns = []
html_theme = "furo"
html_title = f"gdcore {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 120
pygments_dark_style = "github-dark"
