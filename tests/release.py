"""Says whether a tag may be released: ``python tests/release.py v0.2.0``. It needs nothing but Python."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent


def objections(tag: str, package: str, pyproject: str, changelog: str) -> Iterator[str]:
    """Yield what is not as it must be, of a tag and of the contents of three files."""
    version = version_of(package)
    if tag != f"v{version}":
        yield f"the tag is {tag}, and asgi_push/__init__.py has the version {version}"
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        yield f"CHANGELOG.md has no heading '## [{version}] - YYYY-MM-DD'"
    for name, url in tomllib.loads(pyproject)["project"]["urls"].items():
        if "example.org" in url:
            yield f"[project.urls] {name} is {url}: put the address of your repository there"


def version_of(package: str) -> str:
    """Return the version that the source of ``asgi_push/__init__.py`` names."""
    (version,) = re.findall(r'^__version__ = "(.+)"$', package, re.MULTILINE)
    return str(version)


def main() -> int:
    (tag,) = sys.argv[1:]
    files = ((ROOT / name).read_text() for name in ("asgi_push/__init__.py", "pyproject.toml", "CHANGELOG.md"))
    found = list(objections(tag, *files))
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
