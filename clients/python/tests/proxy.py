"""What stands between a client and a daemon, and loses what it is told to lose."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class _Connection:
    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server

    def close(self, *sides: socket.socket) -> None:
        for side in sides or (self.client, self.server):
            with contextlib.suppress(OSError):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                side.shutdown(socket.SHUT_RDWR)
            side.close()


class Proxy:
    """Forwards TCP connections to a daemon. What it loses are those that are open."""

    def __init__(self, server: str, host: str = "127.0.0.1") -> None:
        self.forward_to(server)
        self._listener = socket.create_server((host, 0))
        self.server = f"{host}:{self._listener.getsockname()[1]}"
        #: Seconds that everything takes longer, in either direction.
        self.delay = 0.0
        #: Whether new connections end at once, as those to a port without a server do.
        self.refuses = False
        self._open: list[_Connection] = []
        self._answers_flow, self._calls_flow = threading.Event(), threading.Event()
        self._answers_flow.set()
        self._calls_flow.set()
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def forward_to(self, server: str) -> None:
        """Where connections go from now on."""
        host, _, port = server.rpartition(":")
        self._target = (host, int(port))

    def lose(self) -> None:
        """Breaks all connections: both sides see it."""
        for connection in self._taken():
            connection.close()

    def lose_client(self) -> None:
        """Breaks the clients' side: the daemon sees nothing yet."""
        for connection in self._taken():
            connection.close(connection.client)
        self._answers_flow.set()

    def hold(self) -> None:
        """What the daemon says from now on is not passed on."""
        self._answers_flow.clear()

    def hold_calls(self) -> None:
        """What the client says from now on is not passed on, nor that it has gone."""
        self._calls_flow.clear()

    def go_on(self) -> None:
        """What was held is passed on, late."""
        self._calls_flow.set()
        self._answers_flow.set()

    def close(self) -> None:
        self._listener.close()
        self.lose()
        self.go_on()

    def _taken(self) -> list[_Connection]:
        taken, self._open = self._open, []
        return taken

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refuses:
                    client.close()
                    continue
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                connection = _Connection(client, server)
                self._open.append(connection)
                self.accepted += 1
                for source in (client, server):
                    threading.Thread(
                        target=self._forward, args=(connection, source), daemon=True
                    ).start()

    def _forward(self, connection: _Connection, source: socket.socket) -> None:
        sink = connection.client if source is connection.server else connection.server
        # What a lost client would have read is read here: the daemon sees no difference.
        flow = self._answers_flow if source is connection.server else self._calls_flow
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                flow.wait()
                time.sleep(self.delay)
                with contextlib.suppress(OSError):
                    sink.sendall(data)
        if connection in self._open:  # ended by itself, and so for both
            self._open.remove(connection)
            connection.close()
