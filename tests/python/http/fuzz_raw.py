"""Requests that are wrong, or odd, as HTTP."""

from fuzz_wire import request_bytes

JSON = ("Content-Type", "application/json")
BODY = b'{"prompt":"a","max_tokens":1}'
HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNK = b"%x\r\n%s\r\n" % (len(BODY), BODY)
TARGETS = ("/v1/completions", "/healthz", "/v1/sessions", "/v1/models/demo", "/v1/sessions/x/export", "/metrics", "/")


def _framing(random):
    """Lengths that contradict each other or are none: no such request may be carried out."""
    length = b"%d" % len(BODY)
    wrong = random.choice((
        b"Content-Length: -1", b"Content-Length: 0x1d", b"Content-Length: +29", b"Content-Length: 2 9",
        b"Content-Length: 99999999999999999999", b"Content-Length: 18446744073709551616", b"Content-Length: 1e2",
        b"Content-Length: ", b"Content-Length: " + length + b", 30",
        b"Content-Length: " + length + b"\r\nContent-Length: 30",
        b"Content-Length: " + length + b"\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: " + length,
        b"Transfer-Encoding: gzip", b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ))  # fmt: skip
    chunked = b"chunked" in wrong and random.random() < 0.5
    return HEAD + wrong + b"\r\n\r\n" + (CHUNK + b"0\r\n\r\n" if chunked else BODY)


def _chunks(random):
    """Chunks that are none."""
    wrong = random.choice((
        b"g\r\n" + BODY, b"-1\r\n" + BODY, b"ffffffffffffffff\r\n" + BODY, b"fffffffffffffffff\r\n" + BODY,
        b"1d" + BODY, b"0x1d\r\n" + BODY + b"\r\n0\r\n\r\n", b"5\r\n" + BODY + b"\r\n0\r\n\r\n", b"\r\n" + BODY,
        CHUNK[:-2] + b"0\r\n\r\n", b" 1d\r\n" + BODY + b"\r\n0\r\n\r\n", b"1d;" + b"x" * 20000 + b"\r\n" + BODY,
    ))  # fmt: skip
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + wrong


def _header(random):
    """Headers that are none, and hosts that are not this one."""
    line = b"GET " + random.choice(TARGETS).encode() + b" HTTP/1.1\r\n"
    host = b"Host: localhost\r\n"
    return line + random.choice((
        b"\r\n", host + host + b"\r\n", b"Host: evil.example\r\n\r\n", b"Host: \r\n\r\n", b"Host: [::1\r\n\r\n",
        b"Host: localhost:port\r\n\r\n", b"Host: localhost@evil.example\r\n\r\n", host + b"No colon here\r\n\r\n",
        host + b": no name\r\n\r\n", host + b"Na me: x\r\n\r\n", host + b"Name : x\r\n\r\n", b" " + host + b"\r\n",
        host + b"X: a\0b\r\n\r\n", host + b"X\xe9: a\r\n\r\n", host + b"X: " + b"a" * 9000 + b"\r\n\r\n",
        host + b"X: a\r\n" * 2000 + b"\r\n", host + b"X: a\rb\r\n\r\n",
    ))  # fmt: skip


def _line(random):
    """Request lines that are none."""
    rest = b"\r\nHost: localhost\r\n\r\n"
    return random.choice((
        b"GET", b"GET /healthz", b"GET /healthz HTTP/2.0", b"GET /healthz HTTP/1.10", b"GET /healthz HTTP/a.b",
        b"GET /healthz FTP/1.1", b"GET  /healthz HTTP/1.1", b"GET /a b HTTP/1.1", b"GET /\0 HTTP/1.1",
        b"G(T /healthz HTTP/1.1", b"", b" GET /healthz HTTP/1.1", b"GET healthz HTTP/1.1",
        b"GET http://localhost/healthz HTTP/1.1", b"CONNECT localhost:80 HTTP/1.1", b"OPTIONS * HTTP/1.1",
        b"TRACE /healthz HTTP/1.1", b"get /healthz HTTP/1.1", b"A" * 9000 + b" /healthz HTTP/1.1",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1", b"PRI * HTTP/2.0",
    )) + rest  # fmt: skip


def _noise(random):
    return random.choice((
        random.randbytes(random.randrange(1, 300)),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.randbytes(100),  # TLS
        b"\r\n" * random.randrange(1, 2000), b"\0" * random.randrange(1, 9000), b"A" * 20000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    ))  # fmt: skip


REFUSED = (_framing, _chunks, _header, _line, _noise)


def refused(random):
    """What must not be carried out."""
    return random.choice(REFUSED)(random)


def cut(random):
    """A good request of which only a part comes."""
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    if random.random() < 0.3:
        whole = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + b"0\r\n\r\n"
    return whole[: random.randrange(1, len(whole))]


def odd(random):
    """(method, bytes) of what is allowed, though rare."""
    chunked = HEAD + b"Transfer-Encoding: Chunked\r\n\r\n"
    pieces = b"".join(b"%X\r\n%c\r\n" % (1, byte) for byte in BODY)
    good = b"Content-Length: %d\r\n" % len(BODY)
    get = b"GET /healthz HTTP/1.1\r\nhOsT:localhost\r\n"
    return random.choice((
        ("POST", chunked + CHUNK + b"0\r\n\r\n"),
        ("POST", chunked + pieces + b"000\r\nTrailer: x\r\n\r\n"),
        ("POST", chunked + CHUNK.replace(b"\r\n", b";ext=\"a b\"\r\n", 1) + b"0;x\r\n\r\n"),
        ("POST", HEAD + good + b"Expect: 100-continue\r\n\r\n" + BODY),
        ("POST", HEAD + good + b"Expect: 200-ok\r\n\r\n" + BODY),
        ("POST", HEAD + b"Upgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: AAMAAABk\r\n" + good + b"\r\n" + BODY),
        ("POST", HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + good + b"\r\n" + BODY),
        ("POST", HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + good + b"Connection: keep-alive\r\n\r\n" + BODY),
        ("POST", HEAD.replace(b"application/json", b"Application/JSON ; charset=utf-8") + good + b"\r\n" + BODY),
        ("GET", b"\r\n\r\n" + get + b"\r\n"), ("GET", get + b"Connection: close\r\n\r\n"),
        ("GET", get + b"X: a\r\n b\r\n\r\n"), ("GET", get + b"X: \xe9\xff\r\n\r\n"),
        ("GET", get + b"X:\r\n" * 100 + b"\r\n"),
        ("GET", get + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n"),
        ("GET", get.replace(b"/healthz", b"/healthz?" + b"a=%zz&" * 200) + b"\r\n"),
        ("GET", get.replace(b"/healthz", b"/v1/models/%00%ff%2e%2e") + b"\r\n"),
        ("GET", get.replace(b"/healthz", b"//healthz") + b"\r\n"),
        ("GET", get.replace(b"/healthz", b"/healthz/") + b"\r\n"),
        ("GET", get.replace(b"/healthz", b"/v1/sessions/" + b"a" * 4000) + b"\r\n"),
        ("GET", get + b"traceparent: 00-%s-%s-01\r\n\r\n" % (b"a" * 32, b"b" * 16)),
        ("GET", get + b"traceparent: 00-%s-01\r\n\r\n" % (b"0" * 70)),
        ("GET", get + b"Origin: http://localhost\r\n\r\n"), ("GET", get + b"Origin: null\r\n\r\n"),
        ("GET", get + b"Authorization: Bearer " + b"x" * 3000 + b"\r\n\r\n"),
        ("GET", get + b"Content-Length: 5\r\n\r\nhello"),
        ("HEAD", get.replace(b"GET", b"HEAD") + b"\r\n"),
        ("OPTIONS", get.replace(b"GET", b"OPTIONS") + b"Origin: http://localhost\r\n\r\n"),
        ("PATCH", get.replace(b"GET", b"PATCH") + b"\r\n"),
        ("GET", request_bytes("GET", "/v1/sessions?limit=1", headers=[("Accept", "text/html")])),
    ))  # fmt: skip
