"""A TCP proxy whose connections can be cut, with a reset or without a word, and slowed down."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.servers import HOST

# What may wait in the kernel on the way from the server, in bytes: without a bound it is many MB, and a line that is
# slow is not felt by the server.
_WINDOW = 64 * 1024


def _connect(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
    try:
        sock.connect((HOST, port))
    except OSError:
        sock.close()
        raise
    return sock


class Link:
    """One client's connection, and its other half to the server."""

    def __init__(self, client: socket.socket, port: int, proxy: Proxy) -> None:
        self._proxy = proxy
        self._client, self._server = client, _connect(port)
        self._silent = False
        self.threads = [
            threading.Thread(target=self._pump, args=(self._client, self._server)),
            threading.Thread(target=self._pump, args=(self._server, self._client)),
        ]
        for thread in self.threads:
            thread.start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                time.sleep(self._proxy.delay)
                if not self._silent:
                    target.sendall(data)
        if not self._silent:
            for sock in (source, target):
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Both sides are told that it is over, and get nothing more of what is on its way."""
        for sock in (self._client, self._server):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a close sends RST
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RD)  # ends the thread that reads it
        self.close()

    def silence(self) -> None:
        """From now on nothing comes through, and nobody is told."""
        self._silent = True

    def close(self) -> None:
        for sock in (self._client, self._server):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self._client.close()
        self._server.close()


class Proxy:
    """Takes connections for a server; each of them can be cut."""

    def __init__(self, port: int) -> None:
        self.server_port = port
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._links: list[Link] = []
        self._cut = False
        self.delay = 0.0  # of each piece on its way, in seconds
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"ws://{HOST}:{self.port}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with self._lock:
                    link = None if self._cut else self._link(client)
                if link is None:
                    client.close()

    def _link(self, client: socket.socket) -> Link | None:
        """Connect to the server; None while it takes no connections."""
        try:
            link = Link(client, self.server_port, self)
        except OSError:
            return None
        self._links.append(link)
        return link

    def cut(self) -> None:
        """Reset all connections, and take none until ``restore``."""
        with self._lock:
            self._cut = True
            links, self._links = self._links, []
        for link in links:
            link.reset()

    def restore(self) -> None:
        """Take connections again."""
        with self._lock:
            self._cut = False

    def silence(self) -> None:
        """All connections carry nothing any more, and stay open; new ones work."""
        with self._lock:
            for link in self._links:
                link.silence()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for link in self._links:
            link.close()


@contextmanager
def proxy_for(port: int) -> Iterator[Proxy]:
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
