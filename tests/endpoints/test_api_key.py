"""Wrong keys: counted together wherever they are offered, logged, and no harm to who has the right one."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import httpx
import pytest

from asgi_push import Push, PushMiddleware
from asgi_push.endpoints.api_key import WrongKeys
from asgi_push.endpoints.console.login import COOKIE, issue
from tests.asgi import Refused, Server, nothing, serve

KEY = "a key that is long enough"
ORIGIN = "http://h"


class House:
    """A server with everything that the key opens."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def post(self, path: str, key: str, address: str = "1.2.3.4", headers: Mapping[str, str] = {}) -> int:
        transport = httpx.ASGITransport(self.server.app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            if path == "metrics":
                return (await client.get("/push/metrics", headers={"x-api-key": key, **headers})).status_code
            content = {"key": key} if path == "console/login" else {}
            said = {"x-api-key": key, "origin": ORIGIN, **headers}
            return (await client.post(f"/push/{path}", json=content, headers=said)).status_code

    async def api(self, key: str, address: str = "1.2.3.4") -> int:
        return await self.post("api/info", key, address)

    async def drain(self, key: str, address: str = "1.2.3.4") -> int:
        return await self.post("api/drain", key, address)

    async def metrics(self, key: str, address: str = "1.2.3.4") -> int:
        return await self.post("metrics", key, address)

    async def login(self, key: str, address: str = "1.2.3.4") -> int:
        return await self.post("console/login", key, address)

    async def page(self, key: str, address: str = "1.2.3.4") -> int:
        """Open the console with what a key signs."""
        transport = httpx.ASGITransport(self.server.app, client=(address, 1))
        cookies = {COOKIE: issue(key, 4e9)}
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=cookies) as client:
            answer = await client.get("/push/console")
            if answer.status_code != 200:
                return answer.status_code
            return 401 if 'name="key"' in answer.text or 'type="password"' in answer.text else 200

    async def feed(self, key: str, address: str = "1.2.3.4") -> int:
        """Open the console's WebSocket with what a key signs."""
        headers = {"host": "h", "origin": ORIGIN, "cookie": f"{COOKIE}={issue(key, 4e9)}"}
        try:
            await self.server.connect("/push/console/live", headers=headers, client=(address, 1))
        except Refused as refused:
            return refused.status
        return 101


Ask = Callable[..., Awaitable[int]]
DOORS = ["api", "drain", "metrics", "login", "page", "feed"]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    push = Push(api_key=KEY, metrics=True, console=True)
    async with serve(PushMiddleware(nothing, push)) as server:
        yield House(server)


@pytest.mark.parametrize("door", DOORS)
async def test_one_limit_for_one_key(house: House, door: str) -> None:
    """Five wrong keys of an address are the last for all doors; the right one opens each of them all the same."""
    ask: Ask = getattr(house, door)
    assert [await ask(f"wrong {number}") for number in range(5)] == [401] * 5
    for other in DOORS:
        assert await getattr(house, other)("wrong") == 429
    assert await ask("wrong", "5.6.7.8") == 401
    for other in DOORS:
        if other != "drain":
            assert await getattr(house, other)(KEY) in (200, 204, 101)


async def test_each_key_in_a_request_counts(house: House) -> None:
    """One request is not one try; and none at all is no try."""
    for _ in range(10):
        assert await house.api("") == 401
    headers = [("x-api-key", f"wrong {number}") for number in range(6)]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(house.server.app), base_url=ORIGIN) as client:
        assert (await client.post("/push/api/info", json={}, headers=headers)).status_code == 429


async def test_wrong_keys_are_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Whose they are, at most once a second, and never the key itself."""
    caplog.set_level(logging.INFO, "asgi_push")
    for number in range(50):
        await house.metrics(f"wrong {number}")
    assert 1 <= caplog.text.count("a wrong key for the metrics from '1.2.3.4'") < 10
    assert "wrong 1" not in caplog.text


def test_tries_come_back() -> None:
    """One by one; each address has its own, and not all addresses are remembered."""
    tries = WrongKeys()
    assert [tries.count("a", 0.0) for _ in range(6)] == [0, 0, 0, 0, 0, 10]
    assert tries.count("b", 0.0) == 0
    assert [tries.count("a", 10.0), tries.count("a", 10.0)] == [0, 10]
    for address in range(5000):
        tries.count(f"{address}", 11.0)
    assert len(tries._used) == 1000


@pytest.mark.parametrize(("key", "warned"), [("secret", True), (KEY, False), (None, False)])
def test_a_short_key_is_warned_of(key: str | None, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    """At construction, without the key."""
    PushMiddleware(nothing, path="/ws", api_key=key)
    assert ("may be guessed" in caplog.text) is warned
    assert "secret\n" not in caplog.text
