"""Calls for asyncio: tries, deadlines and cancellation around gRPC's. Of one event loop."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

import grpc
import grpc.aio

from ssmd._assembly import Assembly
from ssmd._channel import FilePath, Settings
from ssmd._errors import Cancelled, Error, error_of
from ssmd._methods import EXPORT, GENERATE, IMPORT, MEMORY, Method, Request, Response
from ssmd._proto import generation_pb2, memory_pb2, session_pb2
from ssmd._results import Completion, Delta, Event
from ssmd._retries import Attempts, Safety
from ssmd._snapshots import SnapshotWriter, is_written_through, read_snapshot

Result = TypeVar("Result")


def _error_of(error: grpc.aio.AioRpcError) -> Error:
    return error_of(
        error.code().name,
        error.details() or "",
        error.initial_metadata() or (),
        error.trailing_metadata() or (),
    )


class AsyncCalls:
    """A channel to the daemon, made by the first call, and what goes with each call."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: grpc.aio.Channel | None = None
        self._calls: weakref.WeakSet[Any] = weakref.WeakSet()  # in progress, or at their end
        self.closed = False

    @property
    def _channel(self) -> grpc.aio.Channel:
        if self.closed:
            raise ValueError("the client is closed")
        if self._made is None:  # belongs to the loop that runs now
            server, options = self._settings.server, self._settings.options
            if self._settings.credentials is None:
                self._made = grpc.aio.insecure_channel(server, options)
            else:
                self._made = grpc.aio.secure_channel(server, self._settings.credentials, options)
        return self._made

    async def close(self) -> None:
        """Ends the calls in progress."""
        self.closed = True
        for call in self._calls:  # not all versions of gRPC find them
            call.cancel()
        if self._made is not None:
            await self._made.close()

    def attempts(self, timeout: float | None) -> Attempts:
        return Attempts(
            self._settings.retries, self._settings.timeout if timeout is None else timeout
        )

    async def unary(
        self,
        method: Method[Request, Response],
        request: Request,
        *,
        session_id: str = "",
        timeout: float | None = None,
        safety: Safety = Safety.READ,
    ) -> Response:
        multicallable = self._channel.unary_unary(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        metadata = self._settings.metadata(session_id)

        async def one_try(time_left: float | None) -> Response:
            call = multicallable(request, timeout=time_left, metadata=metadata)
            self._calls.add(call)
            response: Response = await call
            return response

        return await self._try(one_try, timeout, safety)

    def generate(self, request: generation_pb2.GenerateRequest, attempt: Attempts) -> Any:
        """Begins one try of a turn: what gRPC has for a stream, to be read and cancelled."""
        multicallable = self._channel.unary_stream(
            GENERATE.path, GENERATE.request.SerializeToString, GENERATE.response.FromString
        )
        metadata = self._settings.metadata(request.session_id, named=bool(request.request_id))
        call = multicallable(request, timeout=attempt.time_left(), metadata=metadata)
        self._calls.add(call)
        return call

    async def memory(
        self,
        messages: Sequence[memory_pb2.MemoryRequest],
        *,
        session_id: str = "",
        timeout: float | None = None,
        safety: Safety = Safety.READ,
    ) -> list[memory_pb2.MemoryResponse]:
        """The answer to each message."""
        multicallable = self._channel.stream_stream(
            MEMORY.path, MEMORY.request.SerializeToString, MEMORY.response.FromString
        )
        metadata = self._settings.metadata(session_id)

        async def one_try(time_left: float | None) -> list[memory_pb2.MemoryResponse]:
            stream = multicallable(iter(messages), timeout=time_left, metadata=metadata)
            self._calls.add(stream)
            try:
                return [response async for response in stream]
            finally:
                stream.cancel()  # what has ended already does not mind

        return await self._try(one_try, timeout, safety)

    async def save(
        self, request: session_pb2.ExportSessionRequest, path: FilePath, timeout: float | None
    ) -> int:
        """Exports into a file, and returns its size."""
        multicallable = self._channel.unary_stream(
            EXPORT.path, EXPORT.request.SerializeToString, EXPORT.response.FromString
        )
        metadata = self._settings.metadata(request.session_id)

        async def one_try(time_left: float | None) -> int:
            with SnapshotWriter(path) as file:
                stream = multicallable(request, timeout=time_left, metadata=metadata)
                self._calls.add(stream)
                try:
                    async for part in stream:
                        file.write(part)
                finally:
                    stream.cancel()  # what has ended already does not mind
                return await asyncio.get_running_loop().run_in_executor(None, file.commit)

        # What went into a pipe cannot be taken back.
        safety = Safety.STREAMED if is_written_through(path) else Safety.READ
        return await self._try(one_try, timeout, safety)

    async def load(
        self, first: session_pb2.ImportSessionRequest, path: FilePath, timeout: float | None
    ) -> session_pb2.Session:
        """Imports a file."""
        multicallable = self._channel.stream_unary(
            IMPORT.path, IMPORT.request.SerializeToString, IMPORT.response.FromString
        )
        metadata = self._settings.metadata("")

        async def one_try(time_left: float | None) -> session_pb2.Session:
            stream = multicallable(timeout=time_left, metadata=metadata)
            self._calls.add(stream)
            try:
                for message in read_snapshot(path, first):
                    await stream.write(message)
                await stream.done_writing()
            except asyncio.InvalidStateError:
                pass  # the server has answered already: what, is read next
            except OSError:
                stream.cancel()
                raise
            response = await stream
            session: session_pb2.Session = response.session
            return session

        return await self._try(one_try, timeout, Safety.CHANGE)

    async def _try(
        self,
        one_try: Callable[[float | None], Awaitable[Result]],
        timeout: float | None,
        safety: Safety,
    ) -> Result:
        attempts = self.attempts(timeout)
        while True:
            try:
                return await one_try(attempts.time_left())
            except grpc.aio.AioRpcError as failure:
                error = _error_of(failure)
            except asyncio.CancelledError:
                if not self.closed:
                    raise  # the task
                error = Cancelled("CANCELLED", "the client was closed")
            await asyncio.sleep(attempts.pause_after(error, safety))


class AsyncStream:
    """A generation in progress.

    Iterating it gives the text piece by piece; `events` gives all there is, `result` waits for the end.
    Leaving the loop, leaving an `async with` block, `cancel` and the end of the task that reads it end
    the generation at the server.
    """

    def __init__(
        self,
        calls: AsyncCalls,
        request: generation_pb2.GenerateRequest,
        timeout: float | None,
        on_end: Callable[[Completion | Error], None] = lambda outcome: None,
    ) -> None:
        self._calls = calls
        self._request = request
        self._attempts = calls.attempts(timeout)
        self._on_end = on_end
        self._assembly = Assembly(request)
        self._safety = Safety.NAMED_TURN if request.request_id else Safety.READ
        self._cancelled = asyncio.Event()
        self._completion: Completion | None = None
        self._failure: Error | None = None
        self._call = calls.generate(request, self._attempts)

    async def __aiter__(self) -> AsyncIterator[str]:
        """The text, as it comes. With n > 1 there are several: see `events`."""
        if self._request.n > 1:
            raise TypeError(
                "with n > 1 there are several texts: iterate events(), or take result()"
            )
        try:
            async for event in self.events():
                if isinstance(event, Delta) and event.text:
                    yield event.text
        finally:
            self.cancel()

    async def events(self) -> AsyncIterator[Event]:
        """Started, then Progress, Delta and ChoiceFinished as they come, then Final."""
        try:
            while (event := await self._next()) is not None:
                yield event
        finally:
            self.cancel()

    async def result(self) -> Completion:
        """Waits for the end and returns all that was said."""
        async for _ in self.events():
            pass
        assert self._completion is not None
        return self._completion

    @property
    def text(self) -> str:
        """What came so far, of the first choice."""
        return self._assembly.text

    @property
    def request_id(self) -> str:
        """The turn's name, on a session: with it and the same request a turn can be tried again."""
        return self._request.request_id

    def cancel(self) -> None:
        """Ends the generation at the server. What has ended already does not mind."""
        if self._ended or self._cancelled.is_set():
            return
        self._cancelled.set()
        self._call.cancel()
        self._on_end(_given_up())

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()

    @property
    def _ended(self) -> bool:
        return self._completion is not None or self._failure is not None

    async def _next(self) -> Event | None:
        """The next event, of whichever try it takes; None at the end."""
        while self._completion is None:
            if self._failure is not None:
                raise self._failure
            try:
                message = await self._call.read()
            except grpc.aio.AioRpcError as failure:
                error = _error_of(failure)
            except asyncio.CancelledError:
                if not (self._cancelled.is_set() or self._calls.closed):
                    raise  # the task
                error = _given_up()
            else:
                if message is grpc.aio.EOF:
                    self._completion = self._assembly.completion()
                    self._on_end(self._completion)
                    continue
                if self._safety is Safety.READ:
                    self._safety = Safety.STREAMED
                event = self._assembly.take(message)
                if event is not None:
                    return event
                continue
            await self._try_again(error)
        return None

    async def _try_again(self, error: Error) -> None:
        if self._cancelled.is_set():
            error = _given_up()
        try:
            pause = self._attempts.pause_after(error, self._safety)
        except Error:
            self._failure = error
            self._on_end(error)
            raise
        try:
            await asyncio.wait_for(self._cancelled.wait(), pause)
        except asyncio.TimeoutError:
            self._assembly.begin_again()
            self._call = self._calls.generate(self._request, self._attempts)


def _given_up() -> Cancelled:
    return Cancelled("CANCELLED", "the generation was cancelled")
