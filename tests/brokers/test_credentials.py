"""The user and the password of the broker come from a function of the application, and change while it runs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis import Redis

from asgi_push import BrokerError, Push, SettingsError
from asgi_push.push import core_of
from tests import asgi, servers
from tests.brokers.postgres_server import PostgresServer, postgres_server
from tests.brokers.station import hurry

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[servers.Server]:
    with servers.run_redis(tmp_path) as server:
        yield server


class Vault:
    """Hands out what is the password now, and counts."""

    def __init__(self, *user: str) -> None:
        self.user = user
        self.password = secrets.token_hex(8)
        self.asked = 0

    def answer(self) -> Any:
        self.asked += 1
        return (*self.user, self.password) if self.user else self.password

    async def answer_async(self) -> Any:
        await asyncio.sleep(0)
        return self.answer()


def rotate_in_redis(admin: Redis, vault: Vault, user: str) -> None:
    """Another password is good from now on, and whoever came with the old one is thrown out."""
    vault.password = secrets.token_hex(8)
    admin.acl_setuser(user, enabled=True, reset_passwords=True, passwords=["+" + vault.password])
    admin.execute_command("CLIENT", "KILL", "USER", user)


async def published(push: Push) -> None:
    """It is published as soon as the broker takes it."""
    with anyio.fail_after(asgi.PATIENCE):
        while True:
            try:
                await push.publish("news", 1)
            except BrokerError:
                await anyio.sleep(0.01)
            else:
                return


@pytest.mark.parametrize("way", ["sync", "async", "in the URL"])
async def test_redis(redis: servers.Server, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old password is good no more, and what is published and heard goes on with the new one."""
    hurry(monkeypatch)
    vault = Vault(*(() if way == "in the URL" else ("shop",)))
    with Redis(port=redis.port) as admin:
        admin.execute_command("ACL", "SETUSER", "shop", "on", "~*", "&*", "+@all")
        rotate_in_redis(admin, vault, "shop")
        host = f"shop@{servers.HOST}" if way == "in the URL" else servers.HOST
        ask: Any = vault.answer_async if way == "async" else vault.answer
        url = f"redis://{host}:{redis.port}"
        async with asgi.pushing(broker=url, broker_credentials=ask) as (push, server):
            client = await server.connect("/ws/alice?channels=")
            await push.send_to_user("alice", "before")
            assert await client.receive() == "before"
            for _ in range(2):
                asked = vault.asked
                rotate_in_redis(admin, vault, "shop")
                await published(push)
                await asgi.until(lambda: core_of(push).hub.broker.connected)
                await push.send_to_user("alice", "after")
                assert await client.receive() == "after"
                assert vault.asked > asked


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


def want_password(server: PostgresServer, role: str) -> None:
    """Let this role in with its password only."""
    rules = Path(server.do("SHOW hba_file")[0][0])
    rules.write_text(f"host all {role} all scram-sha-256\nhost all all all trust\n")
    server.do("SELECT pg_reload_conf()")


async def test_postgres(postgres: PostgresServer) -> None:
    """The same with its roles, for what writes, reads and listens."""
    want_password(postgres, "shop")
    vault = Vault("shop")
    postgres.do(f"CREATE ROLE shop LOGIN SUPERUSER PASSWORD '{vault.password}'")
    url = postgres.url.replace("postgres@", "")
    async with asgi.pushing(broker=url, broker_credentials=vault.answer) as (push, server):
        client = await server.connect("/ws/alice")
        await push.send_to_user("alice", "before")
        assert await client.receive() == "before"
        asked = vault.asked
        vault.password = secrets.token_hex(8)
        postgres.do(f"ALTER ROLE shop PASSWORD '{vault.password}'")
        postgres.kill_connections()
        await published(push)
        await asgi.until(lambda: core_of(push).hub.broker.connected)
        await push.send_to_user("alice", "after")
        assert await client.receive() == "after"
        assert vault.asked >= asked + 3


@pytest.mark.parametrize("fault", [RuntimeError("the vault is closed"), None, 7, ("a", "b", "c")])
@pytest.mark.parametrize("scheme", ["redis", "postgres"])
async def test_a_function_that_fails(redis: servers.Server, postgres: PostgresServer, scheme: str, fault: Any) -> None:
    """The broker is away as long as it fails: publishing says why, and shows nothing that may be a secret."""

    def answer() -> Any:
        if isinstance(fault, Exception):
            raise fault
        return fault

    url = redis.redis if scheme == "redis" else postgres.url
    async with asgi.pushing(broker=url, broker_credentials=answer) as (push, _):
        with pytest.raises(BrokerError, match="broker_credentials: ") as failed:
            await push.publish("news", 1)
        assert ("the vault is closed" in str(failed.value)) is isinstance(fault, Exception)


@pytest.mark.parametrize("broker", ["memory://", "local://"])
def test_a_broker_without_a_password(broker: str) -> None:
    """It is refused, and the error names the argument."""
    with pytest.raises(SettingsError, match=r"^broker_credentials: .* has no use"):
        Push(broker=broker, broker_credentials=lambda: "secret")


@pytest.mark.parametrize("scheme", ["redis", "postgres", "redis+sentinel"])
def test_a_password_twice(scheme: str) -> None:
    """So is a password in the URL, which is not shown; a user there is none."""
    rest = "/mymaster" if "sentinel" in scheme else ""
    with pytest.raises(SettingsError, match="beside broker_credentials") as failed:
        Push(broker=f"{scheme}://me:s3cret@localhost{rest}", broker_credentials=lambda: "other")
    assert "s3cret" not in str(failed.value)
    Push(broker=f"{scheme}://me@localhost{rest}", broker_credentials=lambda: "other")
    with pytest.raises(SettingsError, match=r"^broker_credentials: must be a function"):
        Push(broker=f"{scheme}://me@localhost{rest}", broker_credentials="other")  # type: ignore[arg-type]
