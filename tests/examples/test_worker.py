from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack

from tests.examples.running import EXAMPLES, PATIENCE, RunExample, StartLine, connected, receive
from tests.servers import ROOT, Server


def test_a_worker_pushes_to_the_users_of_a_server(run_example: RunExample, redis: Server) -> None:
    """What it sends arrives, whichever process of the server a user is connected to."""
    env = {"ASGI_PUSH_BROKER": redis.redis}
    with run_example("worker/app.py", env=env) as server, ExitStack() as stack:
        clients = [stack.enter_context(connected(f"{server.ws}/websocket/{user}")) for user in range(10)]
        jobs = "".join(f"{user} {user + 100}\n" for user in range(10))
        line = StartLine.of(EXAMPLES / "worker" / "worker.py").serve.split()
        assert line[0] == "python"
        command = [sys.executable, *line[1:]]
        subprocess.run(
            command, input=jobs, text=True, cwd=ROOT, env={**os.environ, **env}, check=True, timeout=PATIENCE
        )
        for user, client in enumerate(clients):
            assert json.loads(receive(client)) == {"order": user + 100, "status": "shipped"}
