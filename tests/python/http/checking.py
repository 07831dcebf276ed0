"""HTTP transports that check all answers under /v1 as they are read.

What is wrong is not raised where it is found, in the midst of a client: a test that read it fails
at its end (see conftest.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx2
from pydantic import ValidationError

import shapes

# What was found wrong since the last look, and how many bodies and events were looked at.
mistakes: list[str] = []
looked_at: list[str] = []


class Watch:
    """One answer."""

    def __init__(self, request: httpx2.Request, response: httpx2.Response) -> None:
        self._method = request.method
        self._path = request.url.path
        self._status = response.status_code
        self._kind = response.headers.get("content-type", "").split(";")[0]
        self._held = b""
        self._stream = shapes.StreamCheck(self._path)
        self._wrong = not self._path.startswith("/v1/") or self._kind == "application/octet-stream"
        if not self._wrong:
            looked_at.append(f"{self._method} {self._path} {self._status}")
        if self._status >= 400 and self._kind != "application/json":
            self._fail(f"an error of the type {self._kind}")

    def _fail(self, what: object) -> None:
        if not self._wrong:
            mistakes.append(f"{self._method} {self._path} {self._status}: {what}")
        self._wrong = True

    def take(self, piece: bytes) -> None:
        self._held += piece
        if self._wrong or self._kind != "text/event-stream":
            return
        try:
            while b"\n" in self._held:
                line, self._held = self._held.split(b"\n", 1)
                self._stream.line(line.decode())
        except (shapes.ShapeError, ValidationError, ValueError) as error:
            self._fail(error)

    def end(self) -> None:
        """All of it was read."""
        if self._wrong:
            return
        try:
            if self._kind == "text/event-stream":
                self._stream.end()
            elif self._kind == "application/json":
                value = shapes.parse(self._held.decode())
                shapes.check_body(self._method, self._path, self._status, value)
            else:
                self._fail(f"an answer of the type {self._kind}")
        except (shapes.ShapeError, ValidationError, ValueError) as error:
            self._fail(error)


class _Body(httpx2.SyncByteStream):
    def __init__(self, body: httpx2.SyncByteStream, watch: Watch) -> None:
        self._body = body
        self._watch = watch

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._body:
            self._watch.take(piece)
            yield piece
        self._watch.end()

    def close(self) -> None:
        self._body.close()


class CheckingTransport(httpx2.HTTPTransport):
    def __init__(self) -> None:
        super().__init__(verify=False)  # no certificates are read

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Body(response.stream, Watch(request, response))
        return response


class _AsyncBody(httpx2.AsyncByteStream):
    def __init__(self, body: httpx2.AsyncByteStream, watch: Watch) -> None:
        self._body = body
        self._watch = watch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            self._watch.take(piece)
            yield piece
        self._watch.end()

    async def aclose(self) -> None:
        await self._body.aclose()


class AsyncCheckingTransport(httpx2.AsyncHTTPTransport):
    def __init__(self) -> None:
        super().__init__(verify=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _AsyncBody(response.stream, Watch(request, response))
        return response
