"""Prints the lowest version that pyproject.toml allows of each library, as constraints for pip.

It needs nothing but Python: ``python tests/lowest.py > lowest.txt``, then
``PIP_CONSTRAINT=$PWD/lowest.txt make test`` in a fresh checkout.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,]+\])?>=(?P<version>[\w.]+)")


def constraints() -> list[str]:
    """Return one line for each library that the package, or an extra of it, needs."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    extras = project["optional-dependencies"].values()
    return sorted({_lowest(line) for lines in [project["dependencies"], *extras] for line in lines})


def _lowest(requirement: str) -> str:
    found = _REQUIREMENT.fullmatch(requirement)
    if found is None:
        raise ValueError(f"{requirement}: names no lowest version, or more than that")
    return f"{found['name']}=={found['version']}"


if __name__ == "__main__":
    print("\n".join(constraints()))
