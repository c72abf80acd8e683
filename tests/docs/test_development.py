"""The page for those who develop the package: it names files that are there."""

from __future__ import annotations

import ast
import re
import sys

import pytest

from tests.servers import ROOT

PAGE = (ROOT / "docs" / "development.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:asgi_push|tests|docs)/[\w/.]*)`", PAGE)))

# What the smallest test needs, and no more: pytest, the package, and what both of them need.
SMALLEST = {"pytest", "tests", *sys.stdlib_module_names}


@pytest.mark.parametrize("path", NAMED)
def test_what_is_named_is_there(path: str) -> None:
    """Each file and folder of the page is in the tree."""
    assert (ROOT / path).exists()


def test_the_root_conftest_imports_only_what_all_need() -> None:
    """A browser, Node or Hypothesis is imported where a test asks for it."""
    module = ast.parse((ROOT / "tests" / "conftest.py").read_text())
    imported = {
        name if name.startswith("tests.") else name.partition(".")[0]
        for node in module.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert imported <= SMALLEST
