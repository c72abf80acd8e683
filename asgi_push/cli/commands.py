"""What each command does."""

import argparse
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from asgi_push import Settings, StreamPosition
from asgi_push.protocols.lossless_json import as_float

from .application import find_push
from .failures import Failed, Unreachable
from .output import show, show_json, to_json
from .server import Server
from .targets import Sent, Target, open_target

# How often a watched channel is read, in seconds.
_POLL_EVERY = 0.2

# How often a server that does not answer is asked again, in seconds.
_RETRY_EVERY = 1.0


def demo(arguments: argparse.Namespace) -> None:
    """Serve the demo."""
    from asgi_push.demo import run  # noqa: PLC0415  # wants the extra [demo]

    run(arguments.host, arguments.port)


def config(arguments: argparse.Namespace) -> None:
    """Print the settings in force, of an application or of the environment alone."""
    target = arguments.application
    settings = find_push(target).settings if target else None
    lines = Settings.describe(settings=settings)
    if arguments.json:
        shown = [{"name": line.name, "value": line.plain, "source": line.source} for line in lines]
        show_json(shown)
        return
    for line in lines:
        show(f"{line.variable:<32} {line.value:<14} {line.source:<12} {line.about}")


def send(arguments: argparse.Namespace) -> None:
    """Send to a user."""
    if not arguments.user:
        raise Failed("the user's id is empty")
    with open_target(arguments.url) as target:
        sent = target.send(
            arguments.user,
            arguments.data,
            arguments.confirm,
            inbox=arguments.inbox,
            undelivered_after=arguments.undelivered_after,
        )
    _print_sent(arguments, f"sent to user {arguments.user}", sent)


def _print_sent(arguments: argparse.Namespace, done: str, sent: Sent) -> None:
    if sent.confirmed is None:
        _print_position(arguments, done, sent.position)
    else:
        _print_confirmed(arguments, done, sent, sent.confirmed)


def _print_confirmed(
    arguments: argparse.Namespace, done: str, sent: Sent, confirmed: Sequence[str]
) -> None:
    if arguments.json:
        position = {} if sent.position is None else sent.position._asdict()
        show_json({**position, "receivers": sent.receivers, "confirmed": [*confirmed]})
    else:
        count = f"{len(confirmed)} of {sent.receivers} sessions"
        show(_plain(f"{done}, confirmed by {count}"))


def publish(arguments: argparse.Namespace) -> None:
    """Publish in a channel."""
    with open_target(arguments.url) as target:
        sent = target.publish(arguments.channel, arguments.data, arguments.confirm)
    _print_sent(arguments, f"published in {arguments.channel}", sent)


def _print_position(
    arguments: argparse.Namespace, done: str, position: StreamPosition | None
) -> None:
    if arguments.json:
        show_json({} if position is None else position._asdict())
    else:
        show(_plain(done) + (f", offset {position.offset}" if position is not None else ""))


def workers(arguments: argparse.Namespace) -> None:
    """List the processes that share a broker."""
    found = Server(arguments.url, Settings.load()).call("info")
    if arguments.json:
        show_json(found)
        return
    headings = ["PROCESS", "SESSIONS", "USERS", "CHANNELS", "RUNNING", "STATE", "VERSION", "ID"]
    _print_table([headings, *map(_process_row, found["nodes"])])
    if len(found["nodes"]) > 1:
        total = sum(node["num_clients"] for node in found["nodes"])
        _note(f"{len(found['nodes'])} processes, {total} sessions")
    _note_silence(found)


def _process_row(node: Mapping[str, Any]) -> list[str]:
    state = "accepting" if node["accepting"] else "draining"
    numbers = [node[name] for name in ("num_clients", "num_users", "num_channels", "uptime")]
    cells = [node["name"], *numbers, state, node["version"], node["uid"]]
    return [_plain(_cell(cell)) for cell in cells]


def _note_silence(found: Mapping[str, Any]) -> None:
    if not found["complete"]:
        _note("a process did not answer in time: it is missing here")


def _process_id(server: Server, name: str) -> str:
    """Return the id of a process, of its name or its id; empty for an empty name."""
    if not name:
        return ""
    nodes = server.call("info")["nodes"]
    found = [node["uid"] for node in nodes if name in (node["uid"], node["name"])]
    if len(found) != 1:
        known = ", ".join(node["name"] for node in nodes)
        raise Failed(f"--process {name}: it must be the name or the id of one of {known}")
    return str(found[0])


def sessions(arguments: argparse.Namespace) -> None:
    """List the sessions of all processes, or of one."""
    server = Server(arguments.url, Settings.load())
    found = server.call(
        "sessions",
        user=arguments.user,
        channel=arguments.channel,
        limit=arguments.limit,
        process=_process_id(server, arguments.process),
    )
    if arguments.json:
        show_json(found)
        return
    names = {node["uid"]: node["name"] for node in found["processes"]}
    shown = [{**row, "process": names[row["process"]]} for row in found["sessions"]]
    rows = [[_plain(_cell(session[column])) for column in _COLUMNS] for session in shown]
    _print_table([[column.upper() for column in _COLUMNS], *rows])
    if len(rows) < found["num_clients"]:
        _note(f"{len(rows)} of {found['num_clients']} sessions; --limit shows more")
    _note_silence(found)


_COLUMNS = (
    "client",
    "user",
    "protocol",
    "transport",
    "remote",
    "connected",
    "seen",
    "queued",
    "dropped",
    "process",
)


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    value = as_float(value)
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        show("  ".join(cells).rstrip())


def watch(arguments: argparse.Namespace) -> None:
    """Print what is published in a channel, until it is interrupted."""
    with open_target(arguments.url) as target:
        try:
            _watch(arguments, target)
        except KeyboardInterrupt:
            return


def _watch(arguments: argparse.Namespace, target: Target) -> None:
    channel = arguments.channel
    position = target.read(channel, None).position
    lost = False
    _note(f"watching {channel}; Ctrl+C ends it")
    while True:
        time.sleep(_RETRY_EVERY if lost else _POLL_EVERY)
        try:
            read = target.read(channel, position)
        except Unreachable as error:
            if not lost:
                _note(f"{error}; trying again")
            lost = True
            continue
        lost = False
        if not read.continued:
            _note("the channel's history began anew: what came in between is not known")
        elif (missed := read.position.offset - position.offset - len(read.publications)) > 0:
            _note(f"missed {missed}: more than the history keeps")
        _print_publications(arguments, read.publications)
        position = read.position


def _print_publications(
    arguments: argparse.Namespace, publications: Iterable[Mapping[str, Any]]
) -> None:
    for publication in publications:
        if arguments.json:
            show_json({"channel": arguments.channel, **_encoded(publication)})
        else:
            shown = to_json(publication.get("data"))
            began = _local_time(publication.get("time"))
            show(f"{publication['offset']}  {began}  {_plain(shown)}")


def _local_time(found: Any) -> str:
    """Return a Unix time as the clock on the wall shows it, with milliseconds."""
    seconds = as_float(found)
    if seconds is None:
        return "-"
    shown = time.strftime("%H:%M:%S", time.localtime(seconds))
    return f"{shown}.{int(seconds * 1000) % 1000:03d}"


def inbox(arguments: argparse.Namespace) -> None:
    """Print what a user has not confirmed, or remove it."""
    with open_target(arguments.url) as target:
        if not arguments.clear:
            _print_inbox(arguments, target.inbox(arguments.user))
            return
        removed = target.clear_inbox(arguments.user)
    if arguments.json:
        show_json({"removed": removed})
    else:
        show(_plain(f"removed {removed} from the inbox of user {arguments.user}"))


def _print_inbox(arguments: argparse.Namespace, publications: Sequence[Mapping[str, Any]]) -> None:
    for publication in publications:
        if arguments.json:
            show_json(_encoded(publication))
        else:
            shown = to_json(publication.get("data"))
            show(f"{_plain(publication['id'])}  {_plain(shown)}")


def _encoded(publication: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return it with each field encoded: data alone may have all the levels that can be."""
    return {name: orjson.Fragment(to_json(value)) for name, value in publication.items()}


def drain(arguments: argparse.Namespace) -> None:
    """Send the sessions of a process away."""
    server = Server(arguments.url, Settings.load())
    over = {} if arguments.over is None else {"over": arguments.over}
    process = _process_id(server, arguments.process)
    found = server.call("drain", patience=None, process=process, **over)
    if arguments.json:
        show_json(found)
    else:
        place = f" in {arguments.process}" if process else ""
        show(_plain(f"closed {found['num_clients']} sessions of {server.url}{place}"))


def _note(text: str) -> None:
    print(_plain(text), file=sys.stderr, flush=True)


def _plain(text: str) -> str:
    """Return text without characters that control a terminal, as it may be a client's."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )
