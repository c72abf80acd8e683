"""An idle session is few objects: the garbage collector stops the event loop to look at each of them."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

from tests.docs.blocks import DOCS, blocks_of

# The objects of a session beside those of a bare handler on the same server, for which that keeps some 13 of the
# handshake. Each one more is a hundred thousand more for as many sessions: raise a bound only for what cannot be
# shared, or made when it is needed. On a slow machine, which lets them in one by one, no two of them have a deadline in
# common: that is two more.
BOUNDS = {"plain": -4, "envelopes": -1, "sdk": -5}

SERVER = """
    import asyncio, gc, json, logging, os, socket, weakref
    import uvicorn
    from asgi_push import PushMiddleware

    logging.disable(logging.CRITICAL)
    UPGRADE = (
        "GET {path} HTTP/1.1\\r\\nHost: x\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n"
        "Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n"
    )
    # What a client sends, and what comes then; each has a user, as most have.
    KINDS = {
        "bare": ("/bare", b"ping", b"pong"),
        "plain": ("/ws/{user}", b"ping", b"pong"),
        "envelopes": ("/ws/{user}?since=", b"ping", b"pong"),
        "sdk": ("/connection/websocket?user={user}", b'{"id":1,"connect":{}}', b"version"),
    }

    async def bare(scope, receive, send):
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": "pong"})

    def frame(data):
        return bytes((0x81, 0x80 | len(data))) + bytes(4) + data

    def user_of(connection):
        return connection.path_params.get("user_id") or connection.query_params["user"]

    def connect(port, kind, user):
        path, said, answer = KINDS[kind]
        sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        sock.sendall(UPGRADE.format(path=path.format(user=user)).encode())
        read_to(sock, b"\\r\\n\\r\\n")
        sock.sendall(frame(said))
        read_to(sock, answer)
        return sock

    def read_to(sock, answer):
        got = b""
        while answer not in got:
            chunk = sock.recv(4096)
            if not chunk:
                raise RuntimeError(f"it was refused: {got}")
            got += chunk

    async def serving(work):
        app = PushMiddleware(bare, path="/ws/{user_id}", authenticate=user_of)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = uvicorn.Config(app, log_level="critical", ws="websockets-sansio", ws_ping_interval=None)
            task = asyncio.create_task(uvicorn.Server(config).serve([listener]))
            print(json.dumps(await work(listener.getsockname()[1], app.push)), flush=True)
            os._exit(0)

    async def some(port, kind, count, name="user"):
        return [await asyncio.to_thread(connect, port, kind, f"{name}{place}") for place in range(count)]
"""

COUNT = """
    COUNT = 60

    async def count(before, most, rounds):
        # What connecting has begun may not be done yet: the smallest of some counts, with so many that are no smaller.
        found = []
        while not found or (min(found) > most and len(found) - found.index(min(found)) <= rounds):
            await asyncio.sleep(0.02)
            gc.collect()
            found.append((len(gc.get_objects()) - before) / COUNT)
        return min(found)

    async def work(port, push):
        found, kept = {}, []
        for kind in KINDS:
            kept += await some(port, kind, 5, "first")  # what is made once is there now
            gc.collect()
            before = len(gc.get_objects())
            kept += await some(port, kind, COUNT)
            gc.collect()
            bound = BOUNDS.get(kind)  # none for the bare one, which no count can be below
            found[kind] = await count(before, found["bare"] + bound, 200) if bound else await count(before, 0, 20)
        return found

    asyncio.run(serving(work))
"""

SPARED = """
    async def work(port, push):
        kept = await some(port, "plain", 30)
        known = len(push.sessions())
        gc.collect()
        looked_at = sum(type(item).__name__ == "Connection" for item in gc.get_objects())
        ended = [weakref.ref(session) for session in push.sessions()]
        for sock in kept:
            sock.close()
        for _ in range(3000):
            if not any(ref() for ref in ended):
                break
            await asyncio.sleep(0.01)
        return known, looked_at, sum(ref() is not None for ref in ended)

    gc.disable()
    asyncio.run(serving(work))
"""


def run(*scripts: str) -> Any:
    """Run scripts as one, in a process of its own, and return what its work has returned."""
    script = "".join(map(textwrap.dedent, scripts))
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=170, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_an_idle_session_is_few_objects() -> None:
    """Of each protocol, beside what a bare handler takes."""
    found = run(SERVER, f"BOUNDS = {BOUNDS}", COUNT)
    beside = {kind: found[kind] - found["bare"] for kind in BOUNDS}
    assert all(beside[kind] <= bound for kind, bound in BOUNDS.items()), beside


def test_the_collector_spares_sessions() -> None:
    """With the recipe of the docs it looks once at each, and sessions that end are freed without it."""
    (recipe,) = (block.text for block in blocks_of(DOCS / "guides" / "deploying.md") if "gc.freeze" in block.text)
    known, looked_at, kept = run(SERVER, recipe, SPARED)
    assert (known, looked_at, kept) == (30, 0, 0)
