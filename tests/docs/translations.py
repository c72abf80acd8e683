"""The code of a translated page is that of its original: ``python -m tests.docs.translations`` copies it there."""

from __future__ import annotations

from pathlib import Path

from tests.docs.blocks import BLOCK, TRANSLATIONS


def original(page: Path) -> Path:
    return page.with_name(page.name.replace(".zh-CN", ""))


def with_blocks(page: Path) -> str:
    """Return a page with the blocks of its original, one for one.

    Raises:
        ValueError: one of both has more of them, so that nobody knows which is which.
    """
    text = page.read_text()
    blocks = [match[0] for match in BLOCK.finditer(original(page).read_text())]
    if len(blocks) != len(BLOCK.findall(text)):
        raise ValueError(f"{page} and {original(page)} have not as many blocks")
    copies = iter(blocks)
    return BLOCK.sub(lambda _: next(copies), text)


if __name__ == "__main__":
    for page in TRANSLATIONS:
        page.write_text(with_blocks(page))
