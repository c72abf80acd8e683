"""What must hold of the projects of the HTTP API's page; see scenarios.py."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from tests.docs.scenarios import PATIENCE, Stage


def http_api_key(stage: Stage) -> None:
    """The commands below the step are run by test_step."""
    with stage.connect("/websocket/11") as client:
        client.send("ping")
        assert client.recv(PATIENCE) == "pong"


def http_api_cent(stage: Stage) -> None:
    script = stage.folder / "publish.py"
    script.write_text(script.read_text().replace("http://localhost:8000", stage.server.http))
    with stage.connect("/websocket/11") as client:
        client.send("ping")
        assert client.recv(PATIENCE) == "pong"
        subprocess.run([sys.executable, script], check=True, timeout=PATIENCE)
        assert client.recv(PATIENCE) == '{"order":7}'


SCENARIOS: dict[str, Callable[[Stage], None]] = {"http_api_key": http_api_key, "http_api_cent": http_api_cent}
