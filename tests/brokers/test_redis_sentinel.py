"""A Redis whose primary changes: three sentinels, planned and by a kill, with passwords and over TLS."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import ConnectionError as RedisConnectionError
from redis import Redis as Client

from asgi_push import BrokerError, StreamPosition
from tests.asgi import PATIENCE, until
from tests.brokers.faulty import FaultyRedis
from tests.brokers.station import Station, station
from tests.servers import HOST, find_program, free_port, run_server

SECRET, OTHER_SECRET = "for-servers", "for-sentinels"

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


class Watched(FaultyRedis):
    """A server that wants a password, over TLS if there is a certificate."""

    def __init__(self, folder: Path, certificate: Path | None, *options: str) -> None:
        folder.mkdir()
        self._certificate = certificate
        secrets = ["--requirepass", SECRET, "--masterauth", SECRET, "--repl-diskless-sync-delay", "0"]
        super().__init__(folder, *secrets, *options)
        if certificate is not None:
            self._options = (*self._options, *tls(certificate, self.port))

    def client(self) -> Client:
        return client(self.port, SECRET, self._certificate)


def tls(certificate: Path, port: int) -> list[str]:
    files = ["--tls-cert-file", f"{certificate}", "--tls-key-file", f"{certificate}"]
    files += ["--tls-ca-cert-file", f"{certificate}", "--tls-auth-clients", "no", "--tls-replication", "yes"]
    return ["--port", "0", "--tls-port", f"{port}", *files]


def client(port: int, password: str, certificate: Path | None) -> Client:
    secure: dict[str, Any] = {} if certificate is None else {"ssl": True, "ssl_ca_certs": f"{certificate}"}
    return Client(host=HOST, port=port, password=password, **secure)


class Sentinels:
    """A primary, a replica, and three who watch them."""

    def __init__(self, folder: Path, certificate: Path | None) -> None:
        self._stack = ExitStack()
        self._folder = folder
        self._certificate = certificate
        self.primary = Watched(folder / "a", certificate)
        self.replica = Watched(folder / "b", certificate, "--replicaof", f"{HOST} {self.primary.port}")
        self._ports = [free_port() for _ in range(3)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{port}" for port in self._ports)
        scheme, options = "redis", f"sentinel_password={OTHER_SECRET}"
        if self._certificate is not None:
            scheme, options = "rediss", f"{options}&ssl_ca_certs={self._certificate}"
        return f"{scheme}+sentinel://:{SECRET}@{hosts}/mymaster/1?{options}"

    def start(self) -> None:
        self.primary.start()
        self.replica.start()
        self.replicated()
        for port in self._ports:
            self._watch(port)
        with client(self._ports[0], OTHER_SECRET, self._certificate) as sentinel:
            wait(lambda: self._known(sentinel) == (2, 1))

    def _known(self, sentinel: Client) -> tuple[int, int]:
        """How many other sentinels and replicas one of them knows."""
        state = sentinel.sentinel_masters()["mymaster"]
        return state["num-other-sentinels"], state["num-slaves"]

    def _watch(self, port: int) -> None:
        lines = [
            f"port {port}", f"dir {self._folder}", f"requirepass {OTHER_SECRET}",
            f"sentinel sentinel-pass {OTHER_SECRET}",
            f"sentinel monitor mymaster {HOST} {self.primary.port} 2", f"sentinel auth-pass mymaster {SECRET}",
            "sentinel down-after-milliseconds mymaster 1000", "sentinel failover-timeout mymaster 5000",
        ]  # fmt: skip
        if self._certificate is not None:
            words = tls(self._certificate, port)
            lines[:1] = [f"{name[2:]} {value}" for name, value in zip(words[::2], words[1::2], strict=True)]
        config = self._folder / f"sentinel-{port}.conf"
        config.write_text("\n".join(lines))
        command = [find_program("redis-server"), f"{config}", "--sentinel"]
        log = self._folder / f"{port}.log"
        self._stack.enter_context(run_server("sentinel", command, port=port, log_path=log))

    def replicated(self) -> None:
        """Return when the replica has what the primary has."""
        written = self.primary.do("INFO", "replication")["master_repl_offset"]

        def has_it() -> bool:
            state = self.replica.do("INFO", "replication")
            return bool(state["master_link_status"] == "up" and state["slave_repl_offset"] >= written)

        wait(has_it)

    def change(self) -> None:
        """Ask for another primary, and return when it is there and the old one is its replica."""
        with client(self._ports[0], OTHER_SECRET, self._certificate) as sentinel:
            sentinel.execute_command("SENTINEL", "FAILOVER", "mymaster")
        self.changed()
        wait(lambda: role(self.primary) == "slave")

    def changed(self) -> None:
        wait(lambda: role(self.replica) == "master")

    def close(self) -> None:
        self._stack.close()
        for server in (self.primary, self.replica):
            server.close()


def role(server: FaultyRedis) -> str:
    """What a server is; empty while it does not say, as a sentinel cuts off who is connected when it changes that."""
    try:
        return str(server.do("INFO", "replication")["role"])
    except RedisConnectionError:
        return ""


def wait(happened: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "certificate.pem"
    make = [find_program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    about = ["-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:{HOST}"]
    made = subprocess.run([*make, *about, "-keyout", "-", "-out", "-"], check=True, capture_output=True)
    path.write_bytes(made.stdout)
    return path


@pytest.fixture(params=["plain"])
def redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sentinels]:
    secure = request.getfixturevalue("certificate") if request.param == "tls" else None
    sentinels = Sentinels(tmp_path, secure)
    try:
        sentinels.start()
        yield sentinels
    finally:
        sentinels.close()


async def place(process: Station) -> StreamPosition:
    return (await process.broker.history("news", 0, None, reverse=False)).position


@pytest.mark.parametrize("redis", ["plain", "tls"], indirect=True)
async def test_another_primary_is_asked_for(redis: Sentinels) -> None:
    """All is heard, once, and nobody is told of a loss; histories go on in another epoch.

    One process has the password in its URL, the other one has a function that names it.
    """
    bare = redis.url.replace(f":{SECRET}@", "")
    async with station(bare, credentials=lambda: SECRET) as here, station(redis.url, hears=False) as there:
        await there.publish(*range(10))
        await here.numbers(*range(10))
        before = await place(there)
        redis.replicated()
        redis.change()
        await there.publish_surely(*range(10, 20))
        await here.numbers(*range(10, 20))
        assert here.told_of_loss == []
        recovery = await there.broker.recover("news", before)
        assert [item.data for item in recovery.publications] == list(range(10, 20))
        assert recovery.position.epoch != before.epoch
        assert redis.replica.do("INFO", "keyspace")["db1"]["keys"]


async def test_the_primary_is_killed(redis: Sentinels) -> None:
    """Who publishes meanwhile is told, and nobody is deaf when the other has taken over."""
    async with station(redis.url) as here, station(redis.url, hears=False) as there:
        await there.publish(0, 1)
        redis.replicated()
        redis.primary.kill()
        with pytest.raises(BrokerError):
            await there.publish(-1)
        redis.changed()
        await there.publish_surely(*range(2, 12))
        await here.publish_surely(12)
        await here.numbers(*range(13))
        assert here.told_of_loss == []


async def test_what_the_replica_had_not_got(redis: Sentinels) -> None:
    """Is lost with the primary; who had it is told, and its positions are not taken for those of others."""
    async with station(redis.url) as here, station(redis.url, hears=False) as there:
        await there.publish(0, 1)
        redis.replicated()
        kept = await place(there)
        redis.replica.do("CONFIG", "SET", "masterauth", "another")
        redis.primary.do("CLIENT", "KILL", "TYPE", "replica")
        await there.publish(2, 3)
        await here.numbers(0, 1, 2, 3)
        lost = await place(there)
        redis.primary.kill()
        redis.changed()
        await there.publish_surely(*range(10, 15))
        await here.numbers(*range(10, 15))
        assert here.told_of_loss == ["news"]
        assert not (await there.broker.recover("news", lost)).recovered
        recovery = await there.broker.recover("news", kept)
        assert [item.data for item in recovery.publications] == list(range(10, 15))


async def test_no_sentinel_is_there(redis: Sentinels) -> None:
    """Publishers are told, and it is said what is wrong."""
    url = f"redis+sentinel://:{SECRET}@{HOST}:{free_port()},{HOST}:{free_port()}/mymaster"
    async with station(url, hears=False) as here:
        with pytest.raises(BrokerError, match="No master found for 'mymaster'"):
            await here.publish(1)
        await until(lambda: not here.broker.connected)
