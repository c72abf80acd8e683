"""Origins and tokens: headers in, decisions out."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from asgi_push import AuthenticationError, SettingsError, TokenExpiredError
from asgi_push.auth import find_token, origin_allowed, require_jwt, verify_subscription_token, verify_token

SECRET = "0123456789abcdef0123456789abcdef"


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode(claims, secret, algorithm)


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("http://example.org", "example.org", True),
        ("https://example.org", "example.org", True),  # TLS that ends at a proxy
        ("http://example.org:8000", "example.org:8000", True),
        ("http://EXAMPLE.org", "example.ORG", True),
        ("https://example.org", "example.org:443", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://example.org:8000", "example.org", False),
        ("http://example.org", "example.org:8000", False),
        ("https://evil.example", "example.org", False),
        ("https://example.org.evil.example", "example.org", False),
        ("https://example.org@evil.example", "example.org", False),
        ("https://evil.example?example.org", "example.org", False),
        ("null", "example.org", False),  # a sandboxed frame, a file
        ("file://", "", False),
        ("http://", "", False),
        ("", "example.org", False),
        ("http://example.org:port", "example.org", False),
        ("http://[", "example.org", False),
    ],
)
def test_same_host(origin: str, host: str, allowed: bool) -> None:
    """The page comes from the host and port that it opens the WebSocket to."""
    assert origin_allowed("same-host", "ws", {"origin": origin, "host": host}) is allowed


@pytest.mark.parametrize(
    ("setting", "origin", "allowed"),
    [
        ("https://example.org:443", "https://example.org", True),  # a browser leaves the default port out
        ("http://example.org:80", "http://example.org", True),
        ("https://example.org:80", "https://example.org", False),
        ("https://example.org", "https://example.org:443", True),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example", True),  # and sends names in ASCII
        ("https://B\u00dcCHER.example:8443", "https://xn--bcher-kva.example:8443", True),
        ("HTTPS://Example.org", "https://example.org", True),
        ("http://[::1]:5173", "http://[::1]:5173", True),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("same-host", "same-host", False),
        ("https://example.org", "https://example.org:x", False),
        ("https://a.example", "https://a.example", True),
        ("https://A.example , https://b.example", "https://a.EXAMPLE", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://b.example", False),
        ("https://a.example", "https://here.example", False),
        ("https://a.example,same-host", "https://here.example", True),
        ("*", "https://b.example", True),
        ("*", "null", True),
        ("https://a.example", "*", False),
    ],
)
def test_listed_origins(setting: str, origin: str, allowed: bool) -> None:
    """Only listed origins are let in, by scheme, host and port; ``*`` lets in all."""
    assert origin_allowed(setting, "ws", {"origin": origin, "host": "here.example"}) is allowed


@pytest.mark.parametrize("setting", ["same-host", "https://a.example"])
def test_no_browser_no_origin(setting: str) -> None:
    """A client that sends no Origin is no browser, so no page can misuse it."""
    assert origin_allowed(setting, "ws", {"host": "example.org"})


@given(origin=st.text(), host=st.text(), scheme=st.text())
def test_any_origin_is_decided(origin: str, host: str, scheme: str) -> None:
    """Nothing that a client writes into these headers raises."""
    assert origin_allowed("same-host", scheme, {"origin": origin, "host": host}) in (True, False)


hosts = st.tuples(
    st.sampled_from(["a.example", "b.a.example", "a.example.org", "192.0.2.1"]), st.sampled_from([80, 8000])
)


@given(theirs=hosts, ours=hosts)
def test_another_host_or_port_is_another_origin(theirs: tuple[str, int], ours: tuple[str, int]) -> None:
    """Host and port both count, and no part of either does for the whole."""
    (page, page_port), (host, port) = theirs, ours
    headers = {"origin": f"http://{page}:{page_port}", "host": f"{host}:{port}"}
    assert origin_allowed("same-host", "ws", headers) is (theirs == ours)


def connection(
    headers: Mapping[str, str] | None = None, subprotocols: tuple[str, ...] = (), query: str = ""
) -> HTTPConnection:
    encoded = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return HTTPConnection(
        {"type": "websocket", "headers": encoded, "subprotocols": subprotocols, "query_string": query.encode()}
    )


@pytest.mark.parametrize(
    ("found", "where"),
    [
        ("a.b.c", {"subprotocols": ("chat", "bearer.a.b.c")}),
        ("a.b.c", {"headers": {"authorization": "Bearer a.b.c"}}),
        ("a.b.c", {"headers": {"authorization": "bearer  a.b.c "}}),
        ("a.b.c", {"headers": {"cookie": "other=1; jwt=a.b.c"}}),
        ("a.b.c", {"query": "t=a.b.c"}),
        (None, {"headers": {"authorization": "Basic a.b.c"}}),
        (None, {"headers": {"authorization": "Bearer"}}),
        (None, {"headers": {"cookie": "token=a.b.c"}}),
        (None, {"query": "token=a.b.c"}),
        (None, {"subprotocols": ("chat",)}),
        (None, {}),
    ],
)
def test_find_token(found: str | None, where: dict[str, Any]) -> None:
    """A token may be in a subprotocol, the Authorization header, the named cookie or the named query parameter."""
    assert find_token(connection(**where), cookie="jwt", query="t") == found


def test_an_empty_name_finds_nothing() -> None:
    """With no name set neither the cookies nor the query are looked at."""
    where = connection({"cookie": "=a.b.c; token=a.b.c"}, query="=a.b.c&token=a.b.c")
    assert find_token(where, cookie="", query="") is None


def test_the_first_place_wins() -> None:
    """What a client says on purpose wins over what a browser adds by itself."""
    everywhere = connection(
        {"authorization": "Bearer header", "cookie": "token=cookie"}, ("bearer.subprotocol",), "token=query"
    )
    assert find_token(everywhere, "token", "token") == "subprotocol"


def test_verify_token() -> None:
    """A good token says who, until when, with what and in which channels."""
    expires_at = int(time.time()) + 60
    credentials = verify_token(token(sub="alice", exp=expires_at, info={"name": "Alice"}, channels=["news"]), SECRET)
    assert (credentials.user, credentials.info, credentials.channels) == ("alice", {"name": "Alice"}, ("news",))
    assert credentials.expires_at == expires_at


def test_a_token_without_claims_is_anonymous() -> None:
    """No subject, no expiry: nobody, for ever."""
    credentials = verify_token(token(), SECRET)
    assert (credentials.user, credentials.expires_at, credentials.channels) == ("", None, ())


@pytest.mark.parametrize("channel", ["news", "#alice", 5, True, ["news"]])
def test_a_subscription_token_opens_no_connection(channel: Any) -> None:
    """Whoever may hear one channel may not hear all that its user may; an empty name is none."""
    with pytest.raises(AuthenticationError, match="meant for a subscription"):
        verify_token(token(sub="alice", channel=channel), SECRET)
    assert verify_token(token(sub="alice", channel=""), SECRET).user == "alice"
    assert verify_token(token(sub="alice", channel=None), SECRET).user == "alice"


def test_a_connection_token_names_no_channel() -> None:
    """So it is none for any subscription."""
    assert verify_subscription_token(token(sub="alice", channels=["news"]), SECRET).channel == ""
    assert verify_subscription_token(token(sub="alice", channel="news"), SECRET).channel == "news"


@pytest.mark.parametrize("verify", [verify_token, verify_subscription_token])
@pytest.mark.parametrize(
    ("claims", "wanted", "good"),
    [
        ({"aud": "push"}, {"audience": "push"}, True),
        ({"aud": ["other", "push"]}, {"audience": "push"}, True),
        ({"aud": "other"}, {"audience": "push"}, False),
        ({}, {"audience": "push"}, False),
        ({"aud": "other"}, {}, True),
        ({"iss": "login"}, {"issuer": "login"}, True),
        ({"iss": "other"}, {"issuer": "login"}, False),
        ({}, {"issuer": "login"}, False),
        ({"iss": "other"}, {}, True),
        ({"iss": "login", "aud": "other"}, {"issuer": "login", "audience": "push"}, False),
    ],
)
def test_audience_and_issuer(verify: Any, claims: dict[str, Any], wanted: dict[str, str], good: bool) -> None:
    """Where they are set a token must name them, whatever it is meant for."""
    signed = token(sub="alice", **claims)
    if good:
        assert verify(signed, SECRET, **wanted).user == "alice"
    else:
        with pytest.raises(AuthenticationError):
            verify(signed, SECRET, **wanted)


@pytest.mark.parametrize("verify", [verify_token, verify_subscription_token])
@pytest.mark.parametrize(("claim", "sign"), [("iat", 1), ("nbf", 1), ("exp", -1)])
def test_clocks_may_differ_by_seconds(verify: Any, claim: str, sign: int) -> None:
    """A token of a clock that is a little off is good; one that is far off may be followed by one that is."""
    now = int(time.time())
    near = verify(token(sub="alice", **{claim: now + 2 * sign}), SECRET)
    assert near.user == "alice"
    assert near.expires_at is None or near.expires_at > now
    with pytest.raises(TokenExpiredError):
        verify(token(sub="alice", **{claim: now + 60 * sign}), SECRET)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (token(SECRET[::-1], sub="alice"), "Signature"),
        (token("", "none", sub="alice"), "alg"),
        (token(SECRET * 2, "HS512", sub="alice"), "alg"),
        (token(sub="alice", exp=1), "expired"),
        (token(sub="alice", nbf=1e10), "not yet valid"),
        (token(sub="alice", channels="news"), "channels must be"),
        (token(sub="alice", channels=[1]), "channels must be"),
        (token(sub="alice", subs=["news"]), "subs must be"),
        (token(sub="alice", expire_at="soon"), "expire_at must be"),
        (token(sub="alice", expire_at=float("nan")), "expire_at must be"),
        (token(sub="alice", expire_at=float("inf")), "expire_at must be"),
        ("", "segments"),
        ("a.b.c", "token: "),
        ("\u00e9.\u00e9.\u00e9", "token: "),
        (token(sub="alice") + "x", "Signature"),
    ],
)
def test_a_bad_token_is_refused(bad: str, why: str) -> None:
    """A wrong signature, algorithm, time or claim refuses, and says which without repeating the token."""
    with pytest.raises(AuthenticationError, match=why) as caught:
        verify_token(bad, SECRET)
    assert not bad or bad not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["sub", "exp", "expire_at", "nbf", "info", "channels", "subs", "aud", "jti"]), json_values
    )
)
def test_any_claims_are_credentials_or_refused(claims: dict[str, Any]) -> None:
    """However odd a well-signed token is, it is taken or refused."""
    try:
        signed = token(**claims)
    except (TypeError, ValueError):  # PyJWT signs no such token
        return
    try:
        credentials = verify_token(signed, SECRET)
    except AuthenticationError:
        return
    assert isinstance(credentials.user, str)
    assert credentials.expires_at is None or math.isfinite(credentials.expires_at)


def test_a_token_secret_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyJWT a token_secret fails at construction, and says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "jwt", None)
    with pytest.raises(SettingsError, match='pip install "PyJWT>='):
        require_jwt()


def test_expire_at_goes_before_exp() -> None:
    """How long the token is good is one thing, how long the connection another; 0 is for ever."""
    exp = int(time.time()) + 60
    assert verify_token(token(exp=exp, expire_at=exp + 60), SECRET).expires_at == exp + 60
    assert verify_token(token(exp=exp, expire_at=0), SECRET).expires_at is None
