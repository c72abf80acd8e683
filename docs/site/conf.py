"""What Sphinx makes of the pages that build.py prepares."""

from pygments.lexers.html import HtmlLexer
from sphinx.application import Sphinx

project = "asgi_push"
html_title = project
copyright = "asgi_push contributors"  # noqa: A001  # Sphinx names it so

extensions = ["myst_parser", "sphinx_copybutton"]
myst_heading_anchors = 4  # as on GitHub, so that one link serves both
myst_enable_extensions = ["html_image"]
exclude_patterns = ["site"]

suppress_warnings = ["misc.highlighting_failure"]  # in Vue files, which it then reads less strictly

html_theme = "furo"  # light and dark, and nothing that is fetched from elsewhere
html_static_path = ["static"]
html_css_files = ["style.css"]
html_favicon = "static/icon.svg"
html_logo = "static/icon.svg"
html_copy_source = False
html_use_index = False
html_show_sphinx = False
pygments_style = "default"
pygments_dark_style = "github-dark"
copybutton_selector = "div:not(.highlight-text) > div.highlight pre"

_BLUE = {"light": "#0550ae", "dark": "#79c0ff"}
html_theme_options = {
    f"{mode}_css_variables": {"color-brand-primary": color, "color-brand-content": color}
    for mode, color in _BLUE.items()
}


def setup(app: Sphinx) -> None:
    app.add_lexer("vue", HtmlLexer)
