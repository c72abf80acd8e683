"""Builds the site of the documentation: ``make docs``. Without a network, into build/docs.

The pages are written for GitHub, and are read there as they stand. For the site a few things are
added to a copy of them: the navigation, which is what index.md lists; the name of its file above
each block of code; and pages of what lies outside of docs/ and is linked from it, the examples with
their sources and the changes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import chain
from os.path import relpath
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SITE = ROOT / "build" / "docs"
OUTSIDE = {
    ROOT / "examples" / "README.md": "examples.md",
    ROOT / "CHANGELOG.md": "changes.md",
    ROOT / "CONTRIBUTING.md": "contributing.md",
    ROOT / "SECURITY.md": "reporting.md",
}

_FENCE = re.compile(
    r"^<!-- (?:file|add|before): ([\w./]+)(?:; .*?)? -->\n```(\w+)\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
_API_HEADING = re.compile(
    r"(<!-- from the docstring of .+ -->\n)?^### ([\w.]+)(\(.*\))?\n\n(.*)$", re.MULTILINE
)
_SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def prepare(source: Path) -> None:
    """Write the copy that Sphinx reads."""
    shutil.copytree(DOCS, source)
    examples = example_pages()
    pages = {page: str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} | OUTSIDE | examples
    for page, name in pages.items():
        text = sources(page) if page in examples else page.read_text()
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page_text(text, page.parent, name))
    with (source / "index.md").open("a") as index:
        index.write(navigation((DOCS / "index.md").read_text()))
        index.write(toctree("Changes", ["changes.md", "contributing.md", "reporting.md"]))
    with (source / "examples.md").open("a") as page:
        page.write(toctree("", sorted(examples.values())))


def page_text(text: str, folder: Path, name: str) -> str:
    """Return a page of the site from one in ``folder``, with links and names of files."""

    def link(match: re.Match[str]) -> str:
        return f"]({relpath(page_of((folder / match[1]).resolve()), Path(name).parent)}"

    if name == "reference/api.md":
        text = _API_HEADING.sub(with_kind, text)
    return _FENCE.sub(r"```{code-block} \2\n:caption: \1\n\n\3```", _LINK.sub(link, text))


def with_kind(heading: re.Match[str]) -> str:
    """A heading of the reference of the API, and what its name is before the line below it."""
    from_docstring, name, call, below = heading.groups()
    if not from_docstring and not call and "." not in name:
        return heading[0]
    return f'{heading[0].removesuffix(below)}<span class="kind">{kind(name, below)}</span> {below}'


def kind(name: str, written: str) -> str:
    """What a name is, by the way it is written."""
    if "." in name:
        if not written.startswith("`"):
            return "property"
        return "async method" if written.startswith("`await ") else "method"
    if name.endswith("Error"):
        return "exception"
    return "class" if name[0].isupper() else "function"


def page_of(target: Path) -> str:
    """Where the site has a file."""
    if target in OUTSIDE:
        return OUTSIDE[target]
    pages = example_pages()
    for folder in (target, *target.parents):
        if folder in pages:
            return pages[folder]
    return str(target.relative_to(DOCS))


def example_pages() -> dict[Path, str]:
    """A page for each example: a file, or a folder with what belongs together."""
    examples = ROOT / "examples"
    found = [
        path
        for path in examples.iterdir()
        if path.suffix == ".py" or (path.is_dir() and path.name[0].isalpha())
    ]
    return {path: f"examples/{path.name.removesuffix('.py')}.md" for path in found}


def sources(example: Path) -> str:
    files = [example] if example.is_file() else sorted(written_files(example))
    blocks = [
        f"```{{code-block}} {file.suffix[1:]}\n:caption: {file.name}\n\n{file.read_text()}```"
        for file in files
    ]
    return "\n\n".join([f"# {example.name}", *blocks, ""])


def written_files(folder: Path) -> list[Path]:
    """Those that somebody wrote: neither installed, nor built, nor a lock."""
    kinds = {".py", ".html", ".js", ".vue", ".css"}
    return [
        path
        for path in folder.rglob("*")
        if path.suffix in kinds
        and not {"node_modules", "dist"} & set(path.relative_to(folder).parts)
    ]


def navigation(index: str) -> str:
    """What index.md lists under its headings, as Sphinx wants it told."""
    sections = [
        (title, re.findall(r"^- \[.+?\]\((.+?\.md)\)", text, re.MULTILINE))
        for title, text in _SECTION.findall(index)
    ]
    return "".join(
        toctree(title, [page_of((DOCS / page).resolve()) for page in pages])
        for title, pages in sections
        if pages
    )


def toctree(caption: str, pages: list[str]) -> str:
    options = chain([":hidden:"], [f":caption: {caption}"] if caption else [])
    return "\n```{toctree}\n" + "\n".join([*options, "", *pages]) + "\n```\n"


def build(site: Path) -> int:
    """Make the site; return the exit code of Sphinx.

    A link or a picture that leads nowhere is an error.
    """
    shutil.rmtree(site, ignore_errors=True)
    with TemporaryDirectory() as folder:
        source, trees = Path(folder) / "source", Path(folder) / "trees"
        prepare(source)
        options = ["-c", source / "site", "-d", trees, "--fail-on-warning", "--nitpicky", "--quiet"]
        options += ["-D", f"html_title=asgi_push {version()}"]
        return subprocess.run(
            [sys.executable, "-m", "sphinx", *options, source, site], check=False
        ).returncode


def version() -> str:
    """That of the package beside these pages, installed or not."""
    return re.search(
        r'^__version__ = "(.+)"$', (ROOT / "asgi_push" / "__init__.py").read_text(), re.MULTILINE
    )[1]


def main() -> int:
    site = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else SITE
    failed = build(site)
    if not failed:
        print(f"The documentation is in {relpath(site / 'index.html')}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
