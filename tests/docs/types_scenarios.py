"""What must hold of the page on types: they are made, and TypeScript accepts the page and finds a mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests import npm, servers
from tests.docs.scenarios import Stage

TOOLS = Path(__file__).parents[1] / "asyncapi"


def types_page(stage: Stage) -> None:
    node = servers.find_program("node")
    modules = npm.install(TOOLS)
    (stage.folder / "node_modules").symlink_to(modules)
    env = {**os.environ, "PYTHONPATH": str(servers.ROOT)}

    def run(*command: object, fails: bool = False) -> str:
        done = subprocess.run(
            [*map(str, command)], check=False, cwd=stage.folder, env=env, capture_output=True, text=True
        )
        assert bool(done.returncode) is fails, done.stdout + done.stderr
        return done.stdout

    document = run(sys.executable, "-m", "asgi_push", "asyncapi", "app:app")
    (stage.folder / "asyncapi.json").write_text(document)
    run(node, "types.mjs")
    check = (modules / ".bin" / "tsc", "--noEmit", "--strict", "page.ts")
    run(*check)
    types = (stage.folder / "messages.ts").read_text()
    assert "export type ToUser = Shipped | Mistake;" in types
    assert "export type ToUserInEnvelopes = ShippedEnvelope | MistakeEnvelope;" in types
    assert "AnonymousSchema" not in types
    renamed = (stage.folder / "page.ts").read_text().replace("message.order", "message.number")
    (stage.folder / "page.ts").write_text(renamed)
    assert "'number' does not exist on type 'Shipped'" in run(*check, fails=True)
    with stage.connect("/websocket/11") as client:
        stage.post("/orders/7/ship?user=11")
        sent = json.loads(client.recv(servers.PATIENCE))
    assert sent == {"type": "shipped", "order": 7, "by": "bike"}


SCENARIOS: dict[str, Callable[[Stage], None]] = {"types_page": types_page}
