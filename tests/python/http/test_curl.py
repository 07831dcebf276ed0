"""HTTP as curl speaks it, and as it is written by hand."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

import shapes
from daemon import ENDLESS, MODEL, Daemon, eventually

PROMPT = "Once upon a time"
JSON = ("-H", "Content-Type: application/json")
ORIGIN = "https://app.example"

if shutil.which("curl") is None:
    pytest.skip("curl is not there", allow_module_level=True)


def body_of(**more: Any) -> str:
    return json.dumps({"model": MODEL, "prompt": PROMPT, "max_tokens": 8, "temperature": 0, **more})


@dataclass
class Reply:
    status: int
    version: str
    headers: dict[str, str]
    body: str
    error: str  # what curl itself says

    def json(self) -> Any:
        return shapes.parse(self.body)

    def message(self) -> str:
        """Of an error in this API's shape."""
        value = self.json()
        shapes.validate(value, shapes.ERROR)
        return str(value["error"]["message"])


def curl(daemon: Daemon, path: str, *arguments: str, data: str | bytes | None = None) -> Reply:
    command = ["curl", "-sS", "-v", "--max-time", "60", "--noproxy", "*", "-i", *arguments]
    if data is not None:
        command += ["--data-binary", "@-"]
    given = data.encode() if isinstance(data, str) else data
    done = subprocess.run(
        [*command, f"{daemon.url}{path}"], input=given, capture_output=True, check=False
    )
    text = done.stdout.decode()
    status, headers, version = 0, {}, ""
    while match := re.match(r"HTTP/(1\.[01]) (\d+)[^\r]*\r\n((?:[^\r]+\r\n)*)\r\n", text):
        version, status = match[1], int(match[2])
        lines = match[3].split("\r\n")[:-1]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        text = text[match.end() :]
    return Reply(status, version, headers, text, done.stderr.decode())


def post(daemon: Daemon, data: str | bytes, *arguments: str) -> Reply:
    return curl(daemon, "/v1/completions", *JSON, *arguments, data=data)


class Streaming:
    """curl -N, whose output is read line by line."""

    def __init__(self, daemon: Daemon, path: str, body: str) -> None:
        command = ["curl", "-sS", "-N", "--max-time", "120", "--noproxy", "*", *JSON]
        self.process = subprocess.Popen(
            [*command, "-d", body, f"{daemon.url}{path}"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.lines: IO[str] = self.process.stdout

    def __enter__(self) -> Streaming:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(60)
        self.lines.close()

    def next_data(self) -> str:
        for line in self.lines:
            if line.startswith("data: "):
                return line.removeprefix("data: ").rstrip("\n")
        raise AssertionError("the stream has ended")

    def rest(self) -> list[str]:
        """All data up to the end."""
        lines = [line for line in self.lines if line.startswith("data: ")]
        return [line.removeprefix("data: ").rstrip("\n") for line in lines]


class Raw:
    """A connection, to write to by hand."""

    def __init__(self, daemon: Daemon) -> None:
        host, port = daemon.address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), 60)
        self.reader = self.socket.makefile("rb")

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()
        self.socket.close()

    def send(self, text: str | bytes) -> None:
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def head(self) -> tuple[int, dict[str, str]]:
        line = self.reader.readline().decode()
        status = int(line.split(" ")[1])
        headers = {}
        while (line := self.reader.readline().decode().rstrip("\r\n")) != "":
            name, value = line.split(": ", 1)
            headers[name.lower()] = value
        return status, headers

    def whole(self) -> tuple[int, dict[str, str], str]:
        status, headers = self.head()
        body = self.reader.read(int(headers.get("content-length", "0"))).decode()
        return status, headers, body

    def pieces(self) -> list[str]:
        """Of a chunked body, to its end."""
        found = []
        while size := int(self.reader.readline(), 16):
            found.append(self.reader.read(size).decode())
            assert self.reader.readline() == b"\r\n"
        assert self.reader.readline() == b"\r\n"
        return found


def request_of(body: str, *headers: str, version: str = "1.1") -> str:
    lines = [f"POST /v1/completions HTTP/{version}", "Host: localhost"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", body])


# --- Streams ---


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": PROMPT, "ignore_eos": True}),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": PROMPT}], "ignore_eos": True},
        ),
        ("/v1/responses", {"input": PROMPT, "logit_bias": {"500": 100}}),
    ],
)
def test_chunks_arrive_as_they_are_made(daemon: Daemon, path: str, body: dict[str, Any]) -> None:
    """There are chunks of an answer that is not at its end, and will not be for long."""
    most = "max_output_tokens" if path == "/v1/responses" else "max_tokens"
    text = json.dumps({"model": MODEL, "stream": True, most: ENDLESS, **body})
    before = daemon.metric("ssmd_requests_total")
    with Streaming(daemon, path, text) as stream:
        seen = [stream.next_data() for _ in range(8)]
        assert daemon.metric("ssmd_requests_running") == 1
        assert daemon.metric("ssmd_requests_total") == before
        assert all(shapes.parse(data) for data in seen)
    assert eventually(daemon.is_at_rest)
    assert daemon.metric("ssmd_requests_total") == before + 1


def test_a_stream_ends(daemon: Daemon) -> None:
    whole = post(daemon, body_of()).json()["choices"][0]["text"]
    reply = post(daemon, body_of(stream=True))
    assert (reply.status, reply.headers["transfer-encoding"]) == (200, "chunked")
    assert reply.headers["cache-control"] == "no-store"
    data = [line[6:] for line in reply.body.splitlines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    text = "".join(shapes.parse(part)["choices"][0]["text"] for part in data[:-1])
    assert text == whole


def test_a_long_prompt_says_how_far_it_is(daemon: Daemon) -> None:
    long = "The dog ran to the big tree. " * 600
    reply = post(daemon, body_of(prompt=long, stream=True, max_tokens=1))
    progress = re.findall(r"^: prefill (\d+) of (\d+) tokens$", reply.body, re.MULTILINE)
    assert len(progress) > 2
    done = [int(part) for part, _ in progress]
    assert done == sorted(set(done))
    assert {total for _, total in progress} == {progress[0][1]}
    assert done[-1] <= int(progress[0][1])


def test_a_stream_that_waits_keeps_alive(start_daemon: Callable[..., Daemon]) -> None:
    """A turn that waits for its slot has not begun: its answer is an answer's, after that."""
    daemon = start_daemon("--http-keep-alive", "0.1", "--max-running", "1", "--state-slots", "2")
    endless = body_of(stream=True, max_tokens=ENDLESS, ignore_eos=True)
    with Streaming(daemon, "/v1/completions", endless) as first:
        first.next_data()
        with Streaming(daemon, "/v1/completions", body_of(stream=True)) as second:
            assert eventually(lambda: daemon.metric("ssmd_requests_waiting") == 1)
            first.process.kill()
            lines = second.lines.read().splitlines()
            assert "data: [DONE]" in lines


# --- Bodies ---


def test_a_body_that_is_too_large(daemon: Daemon) -> None:
    for expect in ("Expect: 100-continue", "Expect:"):
        reply = post(daemon, body_of(prompt="a" * (1 << 20)), "-H", expect)
        assert reply.status == 413
        assert "--max-http-body-bytes" in reply.message()
        assert reply.headers["connection"] == "close"
    chunked = post(
        daemon, body_of(prompt="a" * (1 << 20)), "-H", "Transfer-Encoding: chunked", "-H", "Expect:"
    )
    assert chunked.status == 413
    # One that just fits is read.
    fits = body_of()
    fits += " " * ((1 << 20) - len(fits))
    assert post(daemon, fits).status == 200
    assert post(daemon, fits + " ").status == 413


def test_a_caller_that_asks_before_it_sends(daemon: Daemon) -> None:
    reply = post(daemon, body_of(), "-H", "Expect: 100-continue")
    assert reply.status == 200
    assert "HTTP/1.1 100 Continue" in reply.error
    body = body_of()
    with Raw(daemon) as raw:
        head, content = request_of(body, "Expect: 100-continue").split("\r\n\r\n")
        raw.send(head + "\r\n\r\n")
        assert raw.head()[0] == 100
        raw.send(content)
        assert raw.whole()[0] == 200
    # What would be refused is refused before a long body is sent.
    long = head.replace(f"Length: {len(body)}", "Length: 100000")
    with Raw(daemon) as raw:
        raw.send(long.replace("application/json", "text/plain") + "\r\n\r\n")
        status, _, text = raw.whole()
        assert status == 415
        shapes.validate(shapes.parse(text), shapes.ERROR)


def test_a_body_in_chunks(daemon: Daemon) -> None:
    reply = post(daemon, body_of(), "-H", "Transfer-Encoding: chunked")
    assert reply.status == 200
    assert reply.json()["choices"][0]["text"]


def test_content_types(daemon: Daemon) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        reply = curl(daemon, "/v1/completions", "-H", f"Content-Type: {kind}", data=body_of())
        assert reply.status == 415
        assert "application/json" in reply.message()
    for kind in ("application/json", "Application/JSON; charset=utf-8"):
        reply = curl(daemon, "/v1/completions", "-H", f"Content-Type: {kind}", data=body_of())
        assert reply.status == 200
    reply = curl(daemon, "/v1/sessions/import", *JSON, data="{}")
    assert reply.status == 415
    assert "application/octet-stream" in reply.message()


# --- Versions and connections ---


def test_old_http(daemon: Daemon) -> None:
    whole = post(daemon, body_of(), "--http1.0")
    assert (whole.status, whole.version) == (200, "1.0")
    assert "transfer-encoding" not in whole.headers
    stream = post(daemon, body_of(stream=True), "--http1.0")
    assert (stream.status, stream.version) == (200, "1.0")
    assert "transfer-encoding" not in stream.headers
    assert stream.headers.get("connection", "close") == "close"
    assert stream.body.rstrip().endswith("data: [DONE]")
    for line in stream.body.splitlines():
        assert line == "" or line.startswith(("data: ", ": "))


def test_heads(daemon: Daemon) -> None:
    for path in ("/v1/models", f"/v1/models/{MODEL}", "/v1/sessions", "/healthz", "/metrics"):
        head = curl(daemon, path, "--head")
        assert (head.status, head.body) == (200, ""), path
        whole = curl(daemon, path)
        assert head.headers["content-type"] == whole.headers["content-type"]
        if path != "/metrics":
            assert head.headers["content-length"] == str(len(whole.body))
    assert curl(daemon, "/v1/completions", "--head").status == 405
    assert curl(daemon, "/v1/no_such", "--head").status == 404


def test_two_requests_on_a_connection(daemon: Daemon) -> None:
    for first, second in ((False, False), (False, True), (True, False), (True, True)):
        other = ["-sSi", *JSON, "-d", body_of(stream=first), f"{daemon.url}/v1/completions"]
        reply = post(daemon, body_of(stream=second), *other, "--next", "-sSi", "-v", *JSON)
        assert "Re-using existing connection" in reply.error
        assert reply.error.count("Connected to") == 1
        assert reply.body.count("HTTP/1.1 200 OK") + 1 == 2
        assert reply.body.count("data: [DONE]") == first + second
        assert reply.body.count('"usage":{') == (not first) + (not second)


def test_requests_that_do_not_wait_for_answers(daemon: Daemon) -> None:
    """Pipelined ones are answered in their order."""
    with Raw(daemon) as raw:
        texts = []
        raw.send("".join(request_of(body_of(max_tokens=tokens)) for tokens in (3, 1, 2)))
        for tokens in (3, 1, 2):
            status, _, body = raw.whole()
            assert status == 200
            assert shapes.parse(body)["usage"]["completion_tokens"] == tokens
            texts.append(body)
        raw.send(request_of(body_of(stream=True)) + request_of(body_of(max_tokens=1)))
        assert raw.head()[0] == 200
        assert raw.pieces()[-1].endswith("data: [DONE]\n\n")
        assert raw.whole()[0] == 200


def test_a_request_that_comes_letter_by_letter(daemon: Daemon) -> None:
    with Raw(daemon) as raw:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for letter in request_of(body_of()):
            raw.send(letter)
        assert raw.whole()[0] == 200


def test_what_is_no_request(daemon: Daemon) -> None:
    for text in (
        "nonsense\r\n\r\n",
        "GET /v1/models HTTP/2.0\r\nHost: localhost\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    ):
        with Raw(daemon) as raw:
            raw.send(text)
            assert raw.whole()[0] == 400, text
    with Raw(daemon) as raw:
        raw.send("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: " + "a" * 20000 + "\r\n\r\n")
        assert raw.whole()[0] == 431
    with Raw(daemon) as raw:  # a body that never comes whole
        raw.send(request_of(body_of())[:-5])
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.reader.read() == b""
    assert post(daemon, body_of()).status == 200


# --- Who may ask ---


def test_hosts(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon("--http-host", "models.example")
    for host in ("evil.example", "localhost.evil.example", "", "localhost:x"):
        reply = post(daemon, body_of(), "-H", f"Host: {host}" if host else "Host;")
        assert reply.status == 403, host
        assert "--http-host" in reply.message()
    for host in ("models.example", "MODELS.example:99", "localhost", "127.0.0.1:1", "[::1]:80"):
        assert post(daemon, body_of(), "-H", f"Host: {host}").status == 200, host


def test_origins(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon("--http-allow-origin", ORIGIN)
    for origin in ("https://evil.example", "null", "http://app.example", f"{ORIGIN}:8443"):
        reply = post(daemon, body_of(), "-H", f"Origin: {origin}")
        assert reply.status == 403, origin
        assert "--http-allow-origin" in reply.message()
        assert "access-control-allow-origin" not in reply.headers
        preflight = curl(daemon, "/v1/completions", "-X", "OPTIONS", "-H", f"Origin: {origin}")
        assert preflight.status == 403
    own = post(daemon, body_of(), "-H", f"Origin: {daemon.url}")
    assert own.status == 200
    for stream in (False, True):
        reply = post(daemon, body_of(stream=stream), "-H", f"Origin: {ORIGIN}")
        assert reply.status == 200
        assert reply.headers["access-control-allow-origin"] == ORIGIN
        assert reply.headers["vary"] == "Origin"
        assert "x-request-id" in reply.headers["access-control-expose-headers"]
    # An error can be read by the page, too.
    for data, status in ((body_of(temperature=11), 400), (body_of(model="other"), 404)):
        reply = post(daemon, data, "-H", f"Origin: {ORIGIN}")
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (status, ORIGIN)


def test_preflights(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon("--http-allow-origin", ORIGIN)
    session = "/v1/sessions/" + "0" * 32
    asked = "authorization,content-type,x-stainless-lang,x-stainless-os"
    for path, method in (
        ("/v1/completions", "POST"),
        ("/v1/chat/completions", "POST"),
        ("/v1/responses", "POST"),
        ("/v1/models", "GET"),
        (session, "DELETE"),
        (f"{session}/fork", "POST"),
    ):
        reply = curl(
            daemon,
            path,
            *("-X", "OPTIONS", "-H", f"Origin: {ORIGIN}"),
            *("-H", f"Access-Control-Request-Method: {method}"),
            *("-H", f"Access-Control-Request-Headers: {asked}"),
        )
        assert (reply.status, reply.body) == (204, ""), path
        assert reply.headers["access-control-allow-origin"] == ORIGIN
        methods = reply.headers["access-control-allow-methods"].split(", ")
        assert method in methods
        allowed = reply.headers["access-control-allow-headers"].lower().split(", ")
        # The package for pages sends headers of its own. * is for all but this one.
        assert "authorization" in allowed
        assert "*" in allowed or set(asked.split(",")) <= set(allowed)
    any_origin = start_daemon("--http-allow-origin", "*")
    reply = post(any_origin, body_of(), "-H", "Origin: https://wherever.example")
    assert reply.status == 200
    allowed_origin = reply.headers["access-control-allow-origin"]
    assert allowed_origin in ("*", "https://wherever.example")


def test_preflights_need_no_token(start_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{'a' * 32} alice\n")
    tokens.chmod(0o600)
    flags = ("--token-file", str(tokens), "--http-allow-origin", ORIGIN)
    daemon = start_daemon(*flags, token="a" * 32)
    preflight = curl(
        daemon,
        "/v1/completions",
        *("-X", "OPTIONS", "-H", f"Origin: {ORIGIN}"),
        *("-H", "Access-Control-Request-Method: POST"),
    )
    assert preflight.status == 204
    refused = post(daemon, body_of(), "-H", f"Origin: {ORIGIN}")
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)
    assert refused.headers["www-authenticate"] == "Bearer"
    refused.message()
    for given in ("Bearer ", "Basic YWxpY2U6", f"Bearer {'b' * 32}", "a" * 32):
        assert post(daemon, body_of(), "-H", f"Authorization: {given}").status == 401
    token = ("-H", f"Authorization: Bearer {'a' * 32}")
    assert post(daemon, body_of(), *token).status == 200
    assert post(daemon, body_of(), *token, *token).status == 401
    for path in ("/healthz", "/readyz"):
        assert curl(daemon, path).status == 200


# --- The end ---


def test_a_stream_is_whole_though_the_daemon_is_told_to_end(
    start_daemon: Callable[..., Daemon],
) -> None:
    daemon = start_daemon()
    body = body_of(stream=True, max_tokens=2000, ignore_eos=True)
    # All of them end with the last turn that the daemon waits for.
    with ExitStack() as stack:
        streams = [
            stack.enter_context(Streaming(daemon, "/v1/completions", body)) for _ in range(6)
        ]
        firsts = [stream.next_data() for stream in streams]
        daemon.terminate()
        assert eventually(lambda: not daemon.is_ready())
        late = post(daemon, body_of())
        assert late.status in (0, 503), late
        if late.status == 503:
            shapes.validate(late.json(), shapes.ERROR)
            assert late.json()["error"]["code"] == "draining"
        else:
            assert "refused" in late.error or "reset" in late.error or "Empty reply" in late.error
        with ThreadPoolExecutor(len(streams)) as readers:
            rests = list(readers.map(Streaming.rest, streams))
        assert [stream.process.wait(60) for stream in streams] == [0] * len(streams)
    for first, rest in zip(firsts, rests, strict=True):
        assert rest[-1] == "[DONE]"
        pieces = [shapes.parse(data) for data in (first, *rest[:-1])]
        assert pieces[-1]["choices"][0]["finish_reason"] == "length"
        assert len(pieces) > 1000
    assert daemon.wait() == 0


def test_a_long_answer_is_whole_though_the_daemon_is_told_to_end(
    start_daemon: Callable[..., Daemon],
) -> None:
    """Longer than what a socket holds, for a caller that takes its time."""
    daemon = start_daemon()
    body = body_of(max_tokens=1200, ignore_eos=True, n=16, logprobs=20)
    command = ["curl", "-sS", "-i", "--limit-rate", "8M", "--noproxy", "*", *JSON, "-d", body]
    caller = subprocess.Popen(
        [*command, f"{daemon.url}/v1/completions"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert eventually(lambda: daemon.metric("ssmd_requests_running") == 1)
        daemon.terminate()
        text = caller.communicate(timeout=60)[0]
    finally:
        caller.kill()
    assert caller.returncode == 0
    length = int(re.search(r"Content-Length: (\d+)", text)[1])  # type: ignore[index]
    answer = text.split("\n\n", 1)[1]
    assert len(answer.encode()) == length > 4 << 20
    assert len(shapes.parse(answer)["choices"]) == 16
    assert daemon.wait() == 0


def test_a_stream_that_is_cut_off_does_not_look_whole(
    start_daemon: Callable[..., Daemon],
) -> None:
    """Either it says why, or it breaks off within a chunk."""
    daemon = start_daemon("--drain-timeout", "0")
    body = body_of(stream=True, max_tokens=ENDLESS, ignore_eos=True)
    with Streaming(daemon, "/v1/completions", body) as stream:
        stream.next_data()
        daemon.terminate()
        rest = stream.rest()
        partial = stream.process.wait(60)
    assert "[DONE]" not in rest
    if partial == 0:
        shapes.validate(shapes.parse(rest[-1]), shapes.ERROR)
    assert daemon.wait() is not None
