"""This library as clients connect to it: each has a user of its own."""

from functools import partial
from typing import Any

from . import Built, Peer, redis_url
from .ours import build

_CONNECT = '{"id":1,"connect":{}}'
_SUBSCRIBE = '{"id":2,"subscribe":{"channel":"news"}}'


async def _allow(session: Any, channel: str, action: str) -> bool:
    return True


def _build(*, over_redis: bool) -> Built:
    settings = {"broker": redis_url()} if over_redis else {}
    paths = {"path": "/ws/{user_id}", "centrifuge_path": "/sdk/{user_id}"}
    return build(**paths, **settings, authorize=_allow)


def _peer(title: str, path: str, *, over_redis: bool, **what: Any) -> Peer:
    where = "Redis" if over_redis else "memory"
    return Peer(f"asgi_push, {title}, {where}", partial(_build, over_redis=over_redis), path=path, **what)


def _plain(*, over_redis: bool) -> Peer:
    return _peer("plain", "/ws/{user}", over_redis=over_redis)


def _channels(*, over_redis: bool) -> Peer:
    return _peer("plain with ?channels=", "/ws/{user}?channels=news", over_redis=over_redis)


def _envelopes(*, over_redis: bool) -> Peer:
    return _peer("envelopes", "/ws/{user}?since=", over_redis=over_redis, greetings=1, expects=b'"welcome"')


def _sdk(*, over_redis: bool) -> Peer:
    told = {"hello": _CONNECT, "then": (_SUBSCRIBE,), "expects": b'{"id":'}
    return _peer("SDK protocol with a subscribe", "/sdk/{user}", over_redis=over_redis, **told)


PLAIN = _plain(over_redis=False)
CHANNELS = _channels(over_redis=False)
ENVELOPES = _envelopes(over_redis=False)
SDK = _sdk(over_redis=False)
PLAIN_REDIS = _plain(over_redis=True)
CHANNELS_REDIS = _channels(over_redis=True)
ENVELOPES_REDIS = _envelopes(over_redis=True)
SDK_REDIS = _sdk(over_redis=True)
