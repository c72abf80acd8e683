"""Drives clients of the Python SDK; see driver.mjs."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import centrifuge
from centrifuge import ClientEventHandler, SubscriptionEventHandler

Note = Callable[..., None]


def emit(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class Listener(SubscriptionEventHandler):
    """Notes what happens to one subscription, or to those that the server makes."""

    def __init__(self, note: Note, decode: Callable[[Any], Any], channel: str = "") -> None:
        self._note, self._decode, self._channel = note, decode, channel

    def _about(self, context: Any) -> str:
        return self._channel or str(context.channel)

    async def on_subscribing(self, ctx: Any) -> None:
        self._note("subscribing", channel=self._about(ctx), code=getattr(ctx, "code", 0))

    async def on_subscribed(self, ctx: Any) -> None:
        position = ctx.stream_position
        self._note(
            "subscribed",
            channel=self._about(ctx),
            was_recovering=ctx.was_recovering,
            recovered=ctx.recovered,
            offset=position.offset if position else 0,
            epoch=position.epoch if position else "",
        )

    async def on_unsubscribed(self, ctx: Any) -> None:
        self._note("unsubscribed", channel=self._about(ctx), code=getattr(ctx, "code", 0))

    async def on_publication(self, ctx: Any) -> None:
        self._note("publication", channel=self._about(ctx), **publication(ctx.pub, self._decode))

    async def on_join(self, ctx: Any) -> None:
        self._note("join", channel=self._about(ctx), **person(ctx.info, self._decode))

    async def on_leave(self, ctx: Any) -> None:
        self._note("leave", channel=self._about(ctx), **person(ctx.info, self._decode))

    async def on_error(self, ctx: Any) -> None:
        self._note("error", code=getattr(ctx.error, "code", ctx.code), message=str(ctx.error))


class ClientListener(Listener, ClientEventHandler):
    """Notes what happens to a connection, too."""

    async def on_connecting(self, ctx: Any) -> None:
        self._note("connecting", code=ctx.code, reason=ctx.reason)

    async def on_connected(self, ctx: Any) -> None:
        self._note("connected", id=ctx.client, data=self._decode(ctx.data))

    async def on_disconnected(self, ctx: Any) -> None:
        self._note("disconnected", code=ctx.code, reason=ctx.reason)


def person(info: Any, decode: Callable[[Any], Any]) -> dict[str, Any]:
    conn_info, chan_info = decode(info.conn_info), decode(info.chan_info)
    return {"user": info.user, "id": info.client, "conn_info": conn_info, "chan_info": chan_info}


def publication(found: Any, decode: Callable[[Any], Any]) -> dict[str, Any]:
    user = found.info.user if found.info else None
    return {"data": decode(found.data), "offset": found.offset, "tags": dict(found.tags or {}), "user": user}


class Client:
    """One SDK client and its orders."""

    def __init__(self, note: Note, options: dict[str, Any]) -> None:
        protobuf, tokens = options["protobuf"], options["tokens"]
        self._note, self._options = note, options
        self._encode = (lambda data: json.dumps(data).encode()) if protobuf else (lambda data: data)
        self._decode = (lambda data: json.loads(data) if data else None) if protobuf else (lambda data: data)

        async def get_token() -> str:
            note("token")
            return str(tokens.pop(0) if len(tokens) > 1 else tokens[0])

        self._client = centrifuge.Client(
            options["url"],
            events=ClientListener(note, self._decode),
            get_token=get_token if tokens else None,
            use_protobuf=protobuf,
            min_reconnect_delay=options["min_delay"],
            max_reconnect_delay=options["max_delay"],
            max_server_ping_delay=options["ping_delay"],
            timeout=options["timeout"],
            proxy=None,
        )

    async def connect(self) -> None:
        await self._client.connect()

    async def disconnect(self) -> None:
        await self._client.disconnect()

    async def subscribe(self, channel: str, tokens: list[str] | None = None) -> None:
        async def get_token(channel: str) -> str:
            self._note("subscription token", channel=channel)
            return tokens.pop(0) if tokens else ""

        subscription = self._client.get_subscription(channel) or self._client.new_subscription(
            channel,
            events=Listener(self._note, self._decode, channel),
            get_token=get_token if tokens else None,
            min_resubscribe_delay=self._options["min_delay"],
            max_resubscribe_delay=self._options["max_delay"],
        )
        await subscription.subscribe()

    async def unsubscribe(self, channel: str) -> None:
        subscription = self._client.get_subscription(channel)
        assert subscription is not None
        await subscription.unsubscribe()

    async def publish(self, channel: str, data: Any) -> None:
        await self._client.publish(channel, self._encode(data))

    async def history(self, channel: str, since: dict[str, Any] | None = None, **asked: Any) -> dict[str, Any]:
        position = centrifuge.StreamPosition(**since) if since else None
        found = await self._client.history(channel, since=position, **asked)
        publications = [publication(item, self._decode) for item in found.publications]
        return {"offset": found.offset, "epoch": found.epoch, "publications": publications}

    async def presence(self, channel: str) -> list[dict[str, Any]]:
        found = await self._client.presence(channel)
        return [person(info, self._decode) for info in found.clients.values()]

    async def presence_stats(self, channel: str) -> dict[str, int]:
        found = await self._client.presence_stats(channel)
        return {"clients": found.num_clients, "users": found.num_users}

    async def rpc(self, method: str, data: Any) -> Any:
        return self._decode((await self._client.rpc(method, self._encode(data))).data)


class Driver:
    """Obeys one order after the other, each in a task of its own."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, line: str) -> None:
        task = asyncio.create_task(self._obey(**json.loads(line)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _obey(self, id: int, client: str, order: str, fields: dict[str, Any]) -> None:  # noqa: A002
        try:
            if order == "open":
                self._clients[client] = Client(
                    lambda event, **rest: emit({"client": client, "event": event, **rest}), fields
                )
                result = None
            else:
                do: Callable[..., Awaitable[Any]] = getattr(self._clients[client], order)
                result = await do(**fields)
        except Exception as error:  # noqa: BLE001  # the test asked for it, and gets it
            emit({"answer": id, "error": {"code": getattr(error, "code", 0), "message": repr(error)}})
        else:
            emit({"answer": id, "result": result})


async def main() -> None:
    driver, lines = Driver(), asyncio.StreamReader(limit=2**20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        driver.take(line.decode())


if __name__ == "__main__":
    asyncio.run(main())
