"""HTTP/1.1 as bytes: a peer that reads answers strictly, and requests as commands of a shell."""

import re
import shlex
import socket
import struct
from dataclasses import dataclass

# Any answer comes within this; all of the daemon's own time limits are shorter.
ANSWER_SECONDS = 30


class Malformed(Exception):
    """What came is no HTTP answer."""


class Closed(Exception):
    """The connection ended before an answer, or within one."""


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes
    closes: bool

    @property
    def media_type(self):
        return self.headers.get("content-type", "").split(";")[0].strip()


def request_bytes(method, target, body=None, headers=(), host="localhost"):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + (body or b"")


class Peer:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def end_sending(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it is closed by the other side

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """More of the buffer; whether there was more."""
        try:
            data = self.socket.recv(262144)
        except ConnectionError:
            data = b""
        self.buffer += data
        return bool(data)

    def take(self, size):
        while len(self.buffer) < size:
            if not self.receive():
                raise Closed(f"the connection ended {size - len(self.buffer)} bytes before the end")
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def take_line(self):
        while (end := self.buffer.find(b"\r\n")) < 0:
            if len(self.buffer) > 65536:
                raise Malformed("a line without end")
            if not self.receive():
                raise Closed("the connection ended within a line" if self.buffer else "the connection ended")
        return self.take(end + 2)[:-2]

    def take_rest(self):
        while self.receive():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def answer(self, is_head=False):
        """The next one that is final."""
        while True:
            line = self.take_line()
            found = re.fullmatch(rb"HTTP/1\.([01]) (\d{3}) [ -~]*", line)
            if not found:
                raise Malformed(f"no status line: {line[:200]!r}")
            status = int(found[2])
            headers = {}
            while line := self.take_line():
                name, colon, value = line.decode("latin-1").partition(": ")
                if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
                    raise Malformed(f"no header: {line[:200]!r}")
                headers[name.lower()] = value
            if status != 100:
                break
        closes = headers.get("connection") == "close" or (found[1] == b"0" and "connection" not in headers)
        if is_head or status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = self.take_chunks()
        elif "content-length" in headers:
            body = self.take(int(headers["content-length"]))
        elif closes:
            body = self.take_rest()
        else:
            raise Malformed("a body of no length")
        return Answer(status, headers, body, closes)

    def take_chunks(self):
        body = []
        while True:
            line = self.take_line()
            if not re.fullmatch(rb"[0-9a-f]+", line):
                raise Malformed(f"no chunk size: {line[:200]!r}")
            size = int(line, 16)
            body.append(self.take(size))
            if self.take(2) != b"\r\n":
                raise Malformed("a chunk that does not end where it says")
            if size == 0:
                return b"".join(body)


def _quoted(data):
    if re.fullmatch(rb"[\t\n -~]*", data):
        return shlex.quote(data.decode())
    return "$'" + "".join(chr(b) if 32 <= b < 127 and b not in b"\\'" else f"\\x{b:02x}" for b in data) + "'"


def _shortened(data, most=6000):
    return data if len(data) <= most else data[:most] + f" … and {len(data) - most} bytes more".encode()


def as_curl(method, target, body, headers):
    words = ["curl -sS", "-I" if method == "HEAD" else f"-X {shlex.quote(method)}"]
    words += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers]
    url = f'"$URL"{shlex.quote(target)}'
    if not body:
        return " ".join([*words, url] if body is None else [*words, "-d ''", url])
    if b"\0" in body:
        return f"printf {shlex.quote(_escaped(_shortened(body)))} | " + " ".join([*words, "--data-binary @-", url])
    return " ".join([*words, "--data-binary", _quoted(_shortened(body)), url])


def _escaped(data):
    return "".join(chr(b) if 32 <= b < 127 and b not in b"\\%" else f"\\{b:03o}" for b in data)


def as_bytes_command(data):
    """What is no request of curl's."""
    return f"printf {shlex.quote(_escaped(_shortened(data)))} | nc -q 2 HOST PORT"
