"""``asgi-push asyncapi``: the description of an application that does not run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from asgi_push.cli import main

SHOP = """
from fastapi import FastAPI
from asgi_push import Messages, PushMiddleware

app = FastAPI(title="Shop", version="2.1")
app.add_middleware(PushMiddleware, path="/live", messages=Messages(to_user=str))
"""


def test_it_prints_the_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named by the application, for the server that is asked for; the setting need not be on."""
    (tmp_path / "described_shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(["asyncapi", "described_shop:app", "--server", "https://shop.test"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["info"]["title"] == "Shop"
    assert found["servers"]["plain"]["host"] == "shop.test"
    assert found["servers"]["plain"]["pathname"] == "/live"
    assert main(["asyncapi", "described_shop:app", "--server", "shop"]) == 1
    assert capsys.readouterr().err.startswith("server: must be like")
