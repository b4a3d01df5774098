"""How Sphinx builds the site."""

from __future__ import annotations

from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION
from docutils import nodes

project = "hpc.jupyter"
author = "the hpc.jupyter contributors"
version = release = VERSION

extensions = ["myst_parser", "sphinx_antsibull_ext"]
myst_heading_anchors = 4
exclude_patterns = ["README.md"]  # the front page has it
html_theme = "alabaster"
html_theme_options = {
    "description": "JupyterLab of a compute node, in the browser of your own computer",
    "fixed_sidebar": True,
    "page_width": "72em",
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_copy_source = False
html_show_sphinx = False
highlight_language = "yaml+jinja"

_ANSIBLE = "https://docs.ansible.com/ansible/latest"
_ANSIBLES_PAGES = {
    "common_return_values": f"{_ANSIBLE}/reference_appendices/common_return_values.html",
    "action_plugins": f"{_ANSIBLE}/plugins/action.html",
    "ansible_configuration_settings": f"{_ANSIBLE}/reference_appendices/config.html",
}


def _lead_to_ansible(_app: Any, _environment: Any, node: Any, content: Any) -> Any:
    """What the generated reference links to in Ansible's own documentation, without asking for its index."""
    address = _ANSIBLES_PAGES.get(node.get("reftarget", ""))
    return nodes.reference("", "", content, internal=False, refuri=address) if address else None


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("missing-reference", _lead_to_ansible)
