"""The code blocks of the documentation, and what is done with each.

A comment on the line above a block tells which test runs it:

    <!-- file: app.py -->                 the block is this file of the page's project, from here on
    <!-- add: app.py -->                  it is added at the end of this file
    <!-- file: app.py; step: hello -->    and the project is served as it stands now: scenarios.py says what must hold
    <!-- before: app.py -->               it shows what the reader had before, and is not run

A project's application is ``app`` in ``app.py``. Blocks without a comment are run by what they are written in; see
test_blocks.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
TRANSLATIONS = [ROOT / "README.zh-CN.md", *sorted(DOCS.rglob("*.zh-CN.md"))]  # see test_translations.py
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted({*DOCS.rglob("*.md")} - {*TRANSLATIONS})]

BLOCK = re.compile(
    r"^(?:<!-- (?P<marks>[a-z]+: .*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    page: str
    line: int
    language: str
    text: str
    marks: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def step(self) -> str | None:
        """The name of its scenario: the page's and the step's."""
        step = self.marks.get("step")
        return f"{Path(self.page).stem.lower().replace('-', '_')}_{step}" if step else None


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    found = []
    for match in BLOCK.finditer(text):
        marks = dict(mark.split(": ", 1) for mark in (match["marks"] or "").split("; ") if mark)
        line = text.count("\n", 0, match.start("text"))
        found.append(Block(str(page.relative_to(ROOT)), line, match["language"], match["text"], marks))
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
STEPS = [block for block in BLOCKS if block.step]


def on_page(block: Block) -> list[Block]:
    return [other for other in BLOCKS if other.page == block.page]


def write_project(last: Block, folder: Path) -> None:
    """Write the files of a page's project as they stand after one of its blocks."""
    for block in on_page(last):
        for mark, mode in (("file", "w"), ("add", "a")):
            if name := block.marks.get(mark):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open(mode) as file:
                    file.write(("\n\n" if mode == "a" else "") + block.text)
        if block is last:
            return


def commands_after(step: Block) -> list[tuple[Block, Block | None]]:
    """The blocks of curl commands between a step and the next, each with the block of its output if there is one."""
    blocks = on_page(step)
    later = blocks[blocks.index(step) + 1 :]
    found = []
    for block, following in zip_longest(later, later[1:]):
        if block.step:
            break
        if block.language == "sh" and block.text.startswith("curl "):
            found.append((block, following if following and following.language == "json" else None))
    return found
