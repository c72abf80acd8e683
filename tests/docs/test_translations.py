"""Pages in another language."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, TRANSLATIONS, blocks_of
from tests.docs.translations import original

each_page = pytest.mark.parametrize("page", TRANSLATIONS, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_same_code(page: Path) -> None:
    """Its code blocks are those of the original, in their order."""
    for block, source in zip_longest(blocks_of(page), blocks_of(original(page))):
        assert block, f"{source} is not in the translation"
        assert source, f"{block} is not in the original"
        same = (block.language, block.text, block.marks) == (source.language, source.text, source.marks)
        assert same, f"{block} is not {source}: `python -m tests.docs.translations` copies it"


@each_page
def test_leads_to_the_other_language(page: Path) -> None:
    """Both pages have a link to each other at the top."""
    for here, there in ((page, original(page)), (original(page), page)):
        assert f"]({there.name})" in "\n".join(here.read_text().splitlines()[:4]), here
