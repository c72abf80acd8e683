"""What a release rests on: versions that agree, a workflow whose commands exist, the lowest versions."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import asgi_push
from tests.lowest import constraints
from tests.release import objections
from tests.servers import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = ROOT / ".github" / "workflows"

PACKAGE = '__version__ = "1.2.3"\n'
READY = """
[project]
urls = { Source = "https://code.example.com/asgi_push" }
"""
LOG = "# Changelog\n\n## [1.2.3] - 2030-01-31\n"


def test_what_may_be_released() -> None:
    """A tag, a version and a dated heading that are the same."""
    assert list(objections("v1.2.3", PACKAGE, READY, LOG)) == []


@pytest.mark.parametrize(
    ("tag", "pyproject", "changelog", "word"),
    [
        ("v1.2.4", READY, LOG, "the tag is v1.2.4"),
        ("1.2.3", READY, LOG, "the tag is 1.2.3"),
        ("v1.2.3", READY, LOG.replace("2030-01-31", "not released yet"), "CHANGELOG.md"),
        ("v1.2.3", READY.replace("example.com", "example.org"), LOG, "[project.urls] Source"),
    ],
)
def test_what_may_not(tag: str, pyproject: str, changelog: str, word: str) -> None:
    """Each is told by name."""
    (objection,) = objections(tag, PACKAGE, pyproject, changelog)
    assert word in objection


def test_the_changelog_has_this_version() -> None:
    """At its top, with a date or without."""
    found = re.search(r"^## \[(.+?)\] - ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert found is not None
    assert found[1] == asgi_push.__version__


def test_the_lowest_versions_need_nothing_but_python() -> None:
    """A bare interpreter prints them, one for each library."""
    command = [sys.executable, "-I", "-S", ROOT / "tests" / "lowest.py"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert printed.split() == constraints()
    assert len({line.partition("==")[0] for line in constraints()}) == len(constraints())


def workflow(name: str) -> dict[str, dict[str, dict[str, object]]]:
    loaded: dict[str, dict[str, dict[str, object]]] = yaml.safe_load((WORKFLOWS / name).read_text())
    return loaded


def test_the_matrix_is_what_is_promised() -> None:
    """Each Python of the classifiers, with the lowest and the newest libraries."""
    matrix = workflow("test.yml")["jobs"]["test"]["strategy"]["matrix"]  # type: ignore[index]
    named = [line.rpartition(" ")[2] for line in PYPROJECT["classifiers"] if ":: 3." in line]
    assert matrix == {"python": named, "libraries": ["lowest", "newest"]}


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_what_a_workflow_calls_exists(path: Path) -> None:
    """Files of this project, and targets of the Makefile."""
    text = path.read_text()
    for file in re.findall(r"python (tests/\S+)", text):
        assert (ROOT / file).exists()
    for targets in re.findall(r"run: make ([a-z ]+?)(?: #|$)", text, re.MULTILINE):
        makefile = (ROOT / "Makefile").read_text()
        assert all(f"\n{target}:" in makefile for target in targets.split())


def test_only_what_is_tested_is_published() -> None:
    """Each job of a release waits for the one before it, and only one may speak to the index."""
    jobs = workflow("release.yml")["jobs"]
    assert [job.get("needs") for job in jobs.values()] == [None, *list(jobs)[:-1]]
    trusted = [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})]  # type: ignore[operator]
    assert trusted == ["publish"]
