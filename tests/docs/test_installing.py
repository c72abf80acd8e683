"""What people are told to install is there: libraries by their names, and this project from where they have it."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from asgi_push import __version__
from tests.docs.blocks import PAGES, ROOT

# The one page that says how to install this project, which no index has.
HOW = ROOT / "docs" / "guides" / "installing.md"

PLACES = [
    *PAGES,
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.py")),
    *sorted((ROOT / "examples").rglob("requirements*.txt")),
    *sorted((ROOT / "asgi_push").rglob("*.py")),
]
RELEASE_TOOLS = {"twine", "cyclonedx-bom"}  # of whoever publishes a version; no test runs them
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMMAND = re.compile(r"""(?:pip install|pip3 install|uv add|uv pip install|poetry add) +([^`\n#)]*)""")


def commands(path: Path) -> list[str]:
    """What stands behind each command that installs something."""
    return COMMAND.findall(path.read_text())


def requirements(command: str) -> list[str]:
    """What a command names, without its options; a message ends with a quotation mark of the source."""
    words = re.findall(r'"[^"]+"|' + r"'[^']+'|[^\s\"']+", command)
    return [word.strip("\"'") for word in words if re.match(r"[\w.]", word.strip("\"'"))]


@pytest.mark.parametrize(
    "path", [path for path in PLACES if commands(path)], ids=lambda path: str(path.relative_to(ROOT))
)
def test_only_what_an_index_has_is_named(path: Path) -> None:
    """Neither a message nor a page but the one tells anybody to install this project by its name."""
    if path == HOW:
        return
    for command in commands(path):
        for name in requirements(command):
            if name.startswith((".", "dist/", "requirements")):  # a checkout, or the reader's own file
                continue
            requirement = Requirement(name)
            assert requirement.name.lower().replace("_", "-") != PROJECT["name"]
            if requirement.name not in RELEASE_TOOLS:
                distribution(requirement.name)


def test_messages_name_what_the_extras_bring() -> None:
    """A message asks for the version that the project does."""
    known = {item.split(";")[0].strip() for extra in PROJECT["optional-dependencies"].values() for item in extra}
    found = [command for path in (ROOT / "asgi_push").rglob("*.py") for command in commands(path)]
    named = {name for command in found for name in requirements(command)}
    assert named == known


def test_the_page_names_every_extra() -> None:
    """Each with the libraries that it brings, and the three ways to this project."""
    page = HOW.read_text()
    for extra, items in PROJECT["optional-dependencies"].items():
        (row,) = [line for line in page.splitlines() if line.endswith(f"| `{extra}` |")]
        for item in items:
            requirement = Requirement(item)
            extras = f"[{','.join(requirement.extras)}]" if requirement.extras else ""
            assert f"`{requirement.name}{extras}`" in row
    for way in ("pip install .`", f"asgi_push-{__version__}-py3-none-any.whl", "asgi-push @ git+https://"):
        assert way in page
