"""What Sphinx makes of the pages that build.py prepares."""

from typing import Any

from pygments.lexers.html import HtmlLexer
from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

project = "asgi_push"
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


class Search(SearchEnglish):
    """Finds numbers too: close codes and statuses. static/search-numbers.js is the other half."""

    def word_filter(self, word: str) -> bool:
        return (word.isdigit() and len(word) >= 3) or super().word_filter(word)


def add_search_script(app: Sphinx, page: str, *_: Any) -> None:
    if page == "search":
        app.add_js_file("search-numbers.js", loading_method="defer")


def setup(app: Sphinx) -> None:
    app.add_lexer("vue", HtmlLexer)
    app.add_search_language(Search)
    app.connect("html-page-context", add_search_script)
