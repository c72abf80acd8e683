"""The messages of the protocols themselves: heartbeats, envelopes, acks, questions and answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..message_types.schemas import Payload
from ..messages import Pong
from .components import JSON, TEXT, Components, record

_TEXT = {"type": "string"}
_NAMES = {"type": "array", "items": _TEXT}
_IDS = {"type": "object", "additionalProperties": _TEXT, "description": "channel -> id"}
_ANYTHING: dict[str, Any] = {}


_LOST = "Something in these channels is lost for good."
_CONFIRMED = "The client has everything in the channel up to the id."
_PAGE = "The WebSocket itself, of a client that connected with ?since=."


def constant(value: str) -> dict[str, Any]:
    """Return the schema of one text."""
    return {"type": "string", "const": value}


def add_heartbeats(parts: Components, pong: Pong) -> None:
    """Add the heartbeats of the plain protocol."""
    fields = {"id": _ANYTHING, "seen": _IDS}
    ping = record({"type": constant("ping")}, fields, "Any JSON object of the type ping.")
    answer = record({"type": constant("pong")}, fields, "The same object, of the type pong.")
    as_text = constant("pong" if pong == "pong" else "ping")
    pairs = (
        ("PushPing", ping, "PushPong", answer, JSON),
        ("PushPingText", constant("ping"), "PushPongText", as_text, TEXT),
    )
    key = parts.channel("pushHeartbeats", [], ["plain"], address=None, description="Heartbeats.")
    # One operation each: generators make a union of an operation's messages, for no use here.
    for asked, schema, answered, reply, kind in pairs:
        heartbeat = parts.named(asked, schema, kind)
        back = parts.named(answered, reply, kind)
        parts.refer(key, heartbeat, back)
        parts.operation(
            f"answer{asked}", "receive", key, [heartbeat], "Answers a heartbeat at once.", [back]
        )


def add_control(
    parts: Components, questions: Sequence[Payload], answers: Sequence[Payload]
) -> None:
    """Add what a page with envelopes is told and asked, and what it confirms and answers."""
    kinds = {name: constant(name) for name in ("gap", "welcome", "ack", "ask", "answer")}
    flag = {"type": "boolean"}
    gap = record({"type": kinds["gap"], "channels": _NAMES}, about=_LOST)
    fields = {"type": kinds["welcome"], "session": _TEXT, "recovered": flag, "ids": _IDS}
    welcome = record(fields, about="The server has sent everything up to these ids.")
    ack = record({"type": kinds["ack"], "id": _TEXT}, {"channel": _TEXT}, _CONFIRMED)
    question = {"type": kinds["ask"], "id": _TEXT, "data": one_of(questions)}
    answer = {"type": kinds["answer"], "id": _TEXT, "data": one_of(answers)}
    key = parts.channel("pushControl", [], ["plain"], address=None, description=_PAGE)
    sent = [parts.named("PushGap", gap), parts.named("PushWelcome", welcome)]
    confirms = parts.named("PushAck", ack)
    asks = parts.named("PushAsk", record(question))
    answered = parts.named("PushAnswer", record(answer))
    parts.refer(key, *sent, confirms, asks, answered)
    parts.operation("sendPosition", "send", key, sent, "Says where the page is, and what it lost.")
    parts.operation("receiveAck", "receive", key, [confirms], "The page confirms what it has.")
    parts.operation("ask", "send", key, [asks], "Asks, and waits for an answer.", [answered])


def add_stream_events(parts: Components) -> None:
    """Add the named events of an event stream."""
    gap = record({"channels": _NAMES}, about="event: gap. Something may be missing in these.")
    welcome = record({"session": _TEXT, "ack": _TEXT}, about="event: welcome, with ?ack=1.")
    fields = {"code": {"type": "integer"}, "reason": _TEXT}
    end = record(fields, about="event: disconnect, the last one.")
    key = parts.channel("pushEvents", [], ["events"], address=None, description="The stream.")
    events = [
        parts.named("PushGapEvent", gap),
        parts.named("PushWelcomeEvent", welcome),
        parts.named("PushDisconnectEvent", end),
    ]
    parts.refer(key, *events)
    parts.operation("sendEvent", "send", key, events, "Sends an event of the stream itself.")


def envelope(binary: bool, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an envelope with a payload of this schema, or with bytes."""
    data = {"base64": _TEXT} if binary else {"data": payload}
    awaited = {"type": "boolean", "description": "Somebody waits until it is confirmed."}
    place = {"channel": _TEXT, "id": _TEXT, "time": {"type": "number"}, "confirm": awaited}
    return record(data, place, "A publication with its channel and its place in it.")


def one_of(payloads: Sequence[Payload]) -> dict[str, Any]:
    """Return the schema of any of these payloads."""
    if len(payloads) == 1:
        return dict(payloads[0].schema)
    return {"oneOf": [dict(payload.schema) for payload in payloads]} if payloads else {}
