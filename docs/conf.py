"""The site of the documentation: `make site` builds it from the pages of this folder into build/site."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mpirobust

if TYPE_CHECKING:
    from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "mpirobust"
author = "The mpirobust developers"
version = release = mpirobust.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "plan_reference", "site_links"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["extensions"]

# The pages are read on GitHub as well: its anchors, and no syntax beyond Markdown but for the directives of Sphinx.
myst_heading_anchors = 4
myst_links_external_new_tab = False

default_role = "code"  # docstrings have Markdown's backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"

napoleon_use_ivar = True
napoleon_attr_annotations = False

# In signatures these are shown as they are written.
_TYPES = ["AggregatorLike", "ArrayLike", "CompressorLike", "FeedbackLike", "Given", "Message", "NDArray", "PlanLike"]
autodoc_type_aliases = {name: name for name in (*_TYPES, "Rows", "Tree", "Vector")}

html_theme = "furo"
html_title = f"mpirobust {release}"
html_static_path = ["_static"]
html_css_files = ["print.css"]
html_copy_source = False
html_favicon = "favicon.svg"
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}


def _as_written(*event: Any) -> tuple[str | None, str | None]:
    """Return arguments and result of a function with the names of types in place of what Sphinx keeps for them."""
    arguments, result = (each and re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", each) for each in event[-2:])
    return arguments, result


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.connect("autodoc-process-signature", _as_written)
