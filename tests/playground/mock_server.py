"""Stands in for ssmd: the page, and as much of the HTTP API as the page uses, over made-up stories.

Tests run against it where there is no daemon; people who work on the page run it by hand:
    python mock_server.py --listen 127.0.0.1:8081
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from mock_metrics import Figures

WEB = Path(__file__).resolve().parents[2] / "server/http/web"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript"}
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
VOCABULARY_SIZE = 2048
# An answer ends by itself, unless so many tokens were asked for that it is meant to go on.
STORY_TOKENS = 50
ENDLESS_TOKENS = 1000
PREFILL_CHUNK = 512

WHO = [
    "a little fox",
    "an old lighthouse keeper",
    "a girl named Lily",
    "the café's grey cat",
    "a quiet robot",
]
DID = [
    "found a key under",
    "walked slowly round",
    "dreamt about",
    "painted a picture of",
    "waited beside",
    "sang to",
]
WHAT = [
    "the frozen lake",
    "a door nobody had opened",
    "the last red kite 🪁",
    "a boat made of paper",
    "the sleeping hill",
]
THEN = [
    "It was a very still morning.",
    "Nobody said a word.",
    "“How strange,” she thought.",
    "The wind turned east.\n",
]


def pieces(text: str) -> list[bytes]:
    """A text as a tokenizer cuts it: words with the space before them, characters beyond ASCII in halves."""
    out: list[bytes] = []
    for word in re.findall(r"\s?[^\s\x80-\U0010ffff]+|[\x80-\U0010ffff]|\s", text):
        raw = word.encode()
        if len(raw) > 1 and raw[0] >= 0x80:
            out += [raw[:1], raw[1:]]
        else:
            out.append(raw)
    return out


class BadRequestError(Exception):
    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param


class Story:
    """Tokens that a seed draws, each with what else it could have been."""

    def __init__(self, seed: int, begun: bool) -> None:
        self._random = random.Random(seed)
        self._begun = begun

    def _sentences(self) -> Iterator[str]:
        pick = self._random.choice
        lead = " " if self._begun else ""
        while True:
            who = pick(WHO)
            then = pick(THEN)
            yield f"{lead}{who[0].upper()}{who[1:]} {pick(DID)} {pick(WHAT)}. {then}"
            lead = "" if then.endswith("\n") else " "

    def tokens(self) -> Iterator[dict[str, Any]]:
        for sentence in self._sentences():
            for raw in pieces(sentence):
                p = min(0.999, self._random.betavariate(2.2, 0.9))
                others = self._random.sample([" the", " and", " a", " very", ".", "\n", " little", " she"], 4)
                rest = 1 - p
                tops = [(raw, p)]
                for other in others:
                    rest /= 2
                    tops.append((other.encode(), rest * 0.9))
                tops.sort(key=lambda one: -one[1])
                yield {"raw": raw, "p": p, "top": tops}


@dataclasses.dataclass
class Session:
    id: str
    revision: int = 0
    position: int = 0
    running: bool = False
    answers: dict[str, list[str]] = dataclasses.field(default_factory=dict)  # events by names of requests

    def json(self) -> dict[str, Any]:
        return {"id": self.id, "object": "session", "revision": self.revision, "position": self.position,
                "running": self.running}  # fmt: skip


class State:
    """What the server knows; lost when it restarts."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.ids = itertools.count(1)
        self.figures = Figures()

    def session(self, name: str) -> Session:
        if name not in self.sessions:
            raise BadRequestError(404, f"there is no session {name}")
        return self.sessions[name]

    def make(self, revision: int = 0, position: int = 0) -> Session:
        session = Session(f"{next(self.ids):032x}", revision, position)
        self.sessions[session.id] = session
        return session


class MockServer:
    """REQUIRES: stop() at the end."""

    def __init__(self, listen: str = "127.0.0.1:0", token: str = "", pace_seconds: float = 0.001) -> None:
        self.token = token
        self.pace_seconds = pace_seconds
        self.requests: list[dict[str, Any]] = []  # bodies of turns, in order
        self.forked: list[str] = []  # sessions, in order
        self.deleted: list[str] = []
        self.calls: Counter[str] = Counter()
        self._host, port = listen.rsplit(":", 1)
        self._port = int(port)
        self._server: ThreadingHTTPServer | None = None
        self.start()

    def start(self) -> None:
        self.state = State()

        class BoundHandler(Handler):
            mock = self

        self._server = ThreadingHTTPServer((self._host, self._port), BoundHandler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}"

    def stop(self) -> None:
        if self._server is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        server.server_close()

    def running(self) -> bool:
        return self._server is not None


class Handler(BaseHTTPRequestHandler):
    mock: MockServer

    def log_message(self, *args: object) -> None:
        pass

    # The plumbing.

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", CSP)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def _json(self, body: object, status: int = 200) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _error(self, error: BadRequestError) -> None:
        body = {"message": str(error), "type": "invalid_request_error", "param": error.param, "code": None}
        self._json({"error": body}, error.status)

    def _check_token(self) -> None:
        if self.mock.token and self.headers.get("Authorization") != f"Bearer {self.mock.token}":
            raise BadRequestError(401, "this server wants a token: Authorization: Bearer TOKEN")

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.mock.calls[path] += 1
        try:
            if path == "/metrics":
                self._check_token()
                text = self.mock.state.figures.text(len(self.mock.state.sessions))
                self._send(200, text.encode(), "text/plain; version=0.0.4")
            elif path == "/v1/models":
                self._check_token()
                self._json({"object": "list", "data": [model("demo", "chatml"), model("tales", "none")]})
            elif path.startswith("/v1/sessions/"):
                self._check_token()
                self._json(self.mock.state.session(path.rsplit("/", 1)[1]).json())
            elif (file := WEB / ("index.html" if path == "/" else path[1:])).is_file() and file.parent == WEB:
                self._send(200, file.read_bytes(), TYPES[file.suffix])
            else:
                raise BadRequestError(404, f"nothing is at {path}")
        except BadRequestError as error:
            self._error(error)

    def do_DELETE(self) -> None:
        session = self.path.rsplit("/", 1)[1]
        try:
            self._check_token()
            self.mock.state.session(session)
            del self.mock.state.sessions[session]
        except BadRequestError as error:
            self._error(error)
            return
        self.mock.deleted.append(session)
        self._json({"id": session, "object": "session.deleted", "deleted": True})

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(length))
        try:
            self._check_token()
            if self.path == "/v1/sessions":
                self._json(self.mock.state.make().json())
                return
            if self.path.endswith("/fork"):
                self._fork(self.path.split("/")[3], body)
                return
            if self.path not in ("/v1/completions", "/v1/chat/completions"):
                raise BadRequestError(404, f"nothing is at {self.path}")
            turn = Turn(self.mock, body, chat="chat" in self.path)
        except BadRequestError as error:
            self._error(error)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for event in turn.events():
                if not self.mock.running():
                    raise ConnectionResetError
                self.wfile.write(event.encode())
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            turn.cut_off()
        finally:
            turn.figures.running -= 1
            turn.session.running = False

    def _fork(self, name: str, body: dict[str, Any]) -> None:
        session = self.mock.state.session(name)
        if body["expected_revision"] != session.revision:
            raise BadRequestError(409, f"{name} is at revision {session.revision}")
        self.mock.forked.append(name)
        child = self.mock.state.make(session.revision, session.position)
        self._json({"object": "list", "data": [child.json()]})


def model(name: str, chat_format: str) -> dict[str, Any]:
    facts = {
        "architecture": "mamba2", "weights": "bf16", "state": "f32", "parameters": 130_000_000,
        "vocabulary_size": VOCABULARY_SIZE, "state_bytes_per_session": 2_802_688, "state_slots": 64,
        "max_history_tokens": 1_048_576, "has_tokenizer": True, "chat_format": chat_format, "device": "cpu/avx2",
        "numerics_profile": "mock",
    }  # fmt: skip
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "ssmd", "ssmd": facts}


class Turn:
    """One request: checked when it is made, answered by events()."""

    RANGES = (("temperature", 0, 10), ("top_p", 0, 1), ("top_k", 0, VOCABULARY_SIZE), ("min_p", 0, 1),
              ("max_tokens", 0, 65536))  # fmt: skip

    def __init__(self, mock: MockServer, body: dict[str, Any], chat: bool) -> None:
        self.mock = mock
        self.state = mock.state
        self.figures = mock.state.figures
        self.body = body
        self.chat = chat
        for name, low, high in self.RANGES:
            if name in body and not low <= body[name] <= high:
                raise BadRequestError(400, f"{name} must be in [{low}, {high}], got {body[name]}", name)
        if body["model"] == "tales" and chat:
            raise BadRequestError(400, "tales has no chat format", "messages")
        self.session = self.state.session(body["ssmd"]["session_id"])
        self.told = self.session.answers.get(body["ssmd"]["request_id"])
        if self.told is None:
            mock.requests.append(body)
        self.base = self.session.position
        text = "".join(one["content"] for one in body["messages"]) if chat else body["prompt"]
        self.read = len(pieces(text))
        self.max_tokens = body.get("max_tokens", 16)
        self.seed = body.get("seed", random.randrange(2**31))
        revision = self.session.revision if self.told else self.session.revision + 1
        self.id = f"{'chatcmpl' if chat else 'cmpl'}-{self.session.id}-{revision}"
        self.written: list[dict[str, Any]] = []
        self.session.running = True
        self.figures.running += 1

    def _chunk(self, choice: dict[str, Any] | None, **more: Any) -> str:
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        choices = [] if choice is None else [{"index": 0, "finish_reason": None, "logprobs": None, **choice}]
        return "data: " + json.dumps(
            {"id": self.id, "object": kind, "created": 1_700_000_000, "model": self.body["model"],
             "choices": choices, **more}) + "\n\n"  # fmt: skip

    def _text(self, text: str, tokens: list[dict[str, Any]]) -> dict[str, Any]:
        logprobs = self._logprobs(tokens) if self.body.get("logprobs") else None
        if self.chat:
            return {"delta": {"content": text}, "logprobs": logprobs}
        return {"text": text, "logprobs": logprobs}

    def _logprobs(self, tokens: list[dict[str, Any]]) -> dict[str, Any]:
        def written(raw: bytes) -> str:
            try:
                return raw.decode()
            except UnicodeDecodeError:
                return "�" if self.chat else "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)

        def entry(raw: bytes, p: float) -> dict[str, Any]:
            return {"token": written(raw), "logprob": math.log(p), "bytes": list(raw)}

        if self.chat:
            content = [
                {**entry(t["raw"], t["p"]), "top_logprobs": [entry(raw, p) for raw, p in t["top"]]}
                for t in tokens
            ]
            return {"content": content, "refusal": None}
        return {
            "tokens": [written(t["raw"]) for t in tokens],
            "token_logprobs": [math.log(t["p"]) for t in tokens],
            "top_logprobs": [{written(raw): math.log(p) for raw, p in t["top"]} for t in tokens],
            "text_offset": [0 for _ in tokens],
        }

    def events(self) -> Iterator[str]:
        if self.told is not None:
            yield from self.told
            return
        begun = time.monotonic()
        for done in range(PREFILL_CHUNK, self.read, PREFILL_CHUNK):
            yield f": prefill {done} of {self.read} tokens\n\n"
            time.sleep(self.mock.pace_seconds)
        self.figures.read += self.read
        if self.chat:
            yield self._chunk({"delta": {"role": "assistant", "content": ""}})
        first = 0.0
        held: list[dict[str, Any]] = []
        finish = "length"
        for token in Story(self.seed, begun=not self.chat).tokens():
            written = len(self.written)
            if written == self.max_tokens:
                break
            if (
                written >= STORY_TOKENS
                and self.max_tokens < ENDLESS_TOKENS
                and token["raw"][-1:] in (b".", b"\n")
            ):
                finish = "stop"
            time.sleep(self.mock.pace_seconds)
            first = first or time.monotonic() - begun
            self.figures.wrote(first if written == 0 else None, self.mock.pace_seconds)
            held.append(token)
            self.written.append(token)
            try:
                text = b"".join(one["raw"] for one in held).decode()
            except UnicodeDecodeError:
                continue
            yield self._chunk(self._text(text, held))
            held = []
            if finish == "stop":
                break
        yield from self._end(finish, first, time.monotonic() - begun)

    def cut_off(self) -> None:
        """The caller has gone: what was written is kept, and told to one that asks again."""
        self.figures.cancelled += 1
        if not self.written or self.session.id not in self.state.sessions:
            return
        text = b"".join(one["raw"] for one in self.written).decode(errors="ignore")
        events = [self._chunk(self._text(text, []) | {"logprobs": None}), *self._end("length", 0, 0)]
        self.session.answers[self.body["ssmd"]["request_id"]] = events

    def _end(self, finish: str, first: float, total: float) -> list[str]:
        self.session.revision += 1
        self.session.position += self.read + len(self.written)
        prompt = self.base + self.read
        usage = {"prompt_tokens": prompt, "completion_tokens": len(self.written),
                 "total_tokens": self.session.position}  # fmt: skip
        ssmd = {
            "session_id": self.session.id, "revision": self.session.revision,
            "state_source": "resident" if self.base else "fresh", "seed": self.seed, "numerics_profile": "mock",
            "reused_tokens": self.base, "computed_tokens": self.read, "recomputed_tokens": 0,
            "timings_ms": {"queue": 0.1, "load": 0, "first_token": first * 1000, "total": total * 1000},
        }  # fmt: skip
        last = {"delta" if self.chat else "text": {} if self.chat else "", "finish_reason": finish}
        return [self._chunk(last), self._chunk(None, usage=usage, ssmd=ssmd), "data: [DONE]\n\n"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8081")
    parser.add_argument("--token", default="")
    parser.add_argument("--pace-seconds", type=float, default=0.02)
    arguments = parser.parse_args()
    server = MockServer(arguments.listen, arguments.token, arguments.pace_seconds)
    print(f"The playground is at {server.url}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
