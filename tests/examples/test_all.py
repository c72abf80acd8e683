from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.examples.running import EXAMPLES, StartLine

APPS = sorted([*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*/app.py")])
SCREEN = 60  # lines


@pytest.mark.parametrize("path", APPS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_example_is_short_and_says_how_to_start_it(path: Path) -> None:
    """An example fits on a screen, its first line starts that very file, and the list of examples has it."""
    name = path.relative_to(EXAMPLES).with_suffix("")
    assert len(path.read_text().splitlines()) <= SCREEN
    assert f" examples.{'.'.join(name.parts)}:app" in StartLine.of(path).serve
    assert f"({path.name})" in list_of_examples() or f"({path.parent.name})" in list_of_examples()


def list_of_examples() -> str:
    return (EXAMPLES / "README.md").read_text()


def test_the_lock_file_names_no_registry() -> None:
    """Whatever registry npm is set to can serve the page's packages."""
    packages = json.loads((EXAMPLES / "vue" / "package-lock.json").read_text())["packages"]
    assert packages
    assert not [name for name, package in packages.items() if "resolved" in package]
