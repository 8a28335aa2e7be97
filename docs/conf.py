"""Configuration of the documentation, which `nox -s docs` builds and opens in a browser."""

import sys
from pathlib import Path

from docutils import nodes

import skdnn

sys.path.insert(0, str(Path(__file__).parent))  # for gallery_style and architecture_graph

import architecture_graph

architecture_graph.draw(Path(__file__).parent / "generated" / "architecture.svg")

project = "skdnn"
author = "The skdnn developers"
copyright = f"2026, {author} (BSD-3-Clause)"
version = release = skdnn.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",  # formulas without an external server
]
included = ["defaults.rst", "measured"]
exclude_patterns = ["_build", *included, "sg_execution_times.rst", "**/sg_execution_times.rst"]
templates_path = ["_templates"]
suppress_warnings = ["myst.header"]  # included parts of Markdown files begin below a title
default_role = "literal"  # single backticks, as in the docstrings

numpydoc_show_class_members = False  # the page of each class lists its methods
autodoc_typehints = "none"  # types are in the docstrings
autosummary_generate = True
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "skdnn"
html_static_path = ["_static"]
html_css_files = ["narrow.css", "gallery.css", "home.css"]
html_show_sphinx = False
html_use_index = False  # the API page serves as one
html_context = {"default_mode": "auto"}  # dark mode by the reader's system
html_theme_options = {
    "logo": {"text": "skdnn"},
    "navbar_align": "left",
    "show_prev_next": True,
    # The gallery needs the width for its plots.
    "secondary_sidebar_items": {"**": ["page-toc"], "gallery/index": []},
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {
    page: []
    for page in (
        *("index", "install", "lecture", "benchmarks", "architecture", "faq"),
        *("changelog", "contributing"),
    )
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skdnn",),
    "reference_url": {"skdnn": None},
    "capture_repr": (),  # only printed output
    "show_memory": False,
    "min_reported_time": 1,
    "image_srcset": ["2x"],
    "reset_modules": ("matplotlib", "gallery_style.readable"),  # in this order
    "thumbnail_size": (600, 500),
    "remove_config_comments": True,  # such as the number of the thumbnail
}

# Pages of other projects, so that no inventory is downloaded.
PAGES = {
    "sklearn": "https://scikit-learn.org/stable/modules/generated/{}.html",
    "numpy": "https://numpy.org/doc/stable/reference/generated/{}.html",
    "torch": "https://docs.pytorch.org/docs/stable/generated/{}.html",
}


def link_elsewhere(app, env, node, contnode):
    """Return a link for a name that another project documents."""
    name = node.get("reftarget", "")
    page = PAGES.get(name.partition(".")[0])
    return page and nodes.reference("", "", contnode, refuri=page.format(name))


def setup(app):
    """Register the links to other projects."""
    app.connect("missing-reference", link_elsewhere)
