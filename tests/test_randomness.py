"""Random names."""

from __future__ import annotations

import re

import pytest

from asgi_push.randomness import random_text


@pytest.mark.parametrize("size", [6, 9, 12])
def test_random_text(size: int) -> None:
    """It has four characters for each three bytes, all of which may stand in a URL, and no two are the same."""
    found = {random_text(size) for _ in range(1000)}
    assert len(found) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", text) and len(text) == size // 3 * 4 for text in found)
