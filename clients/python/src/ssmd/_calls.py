"""Calls that block: tries, deadlines and cancellation around gRPC's. Thread-safe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

import grpc

from ssmd._assembly import Assembly
from ssmd._channel import FilePath, Settings
from ssmd._errors import Cancelled, Error, error_of
from ssmd._methods import EXPORT, GENERATE, IMPORT, MEMORY, Method, Request, Response
from ssmd._proto import generation_pb2, memory_pb2, session_pb2
from ssmd._results import Completion, Delta, Event
from ssmd._retries import Attempts, Safety
from ssmd._snapshots import SnapshotWriter, is_written_through, read_snapshot

Result = TypeVar("Result")


def _error_of(error: grpc.RpcError) -> Error:
    call: Any = error  # what gRPC raises is the call, too
    return error_of(
        call.code().name,
        call.details() or "",
        call.initial_metadata() or (),
        call.trailing_metadata() or (),
    )


class Calls:
    """A channel to the daemon and what goes with each call."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        if settings.credentials is None:
            self._channel = grpc.insecure_channel(settings.server, settings.options)
        else:
            self._channel = grpc.secure_channel(
                settings.server, settings.credentials, settings.options
            )

    def close(self) -> None:
        """Ends the calls in progress."""
        self._channel.close()

    def attempts(self, timeout: float | None) -> Attempts:
        return Attempts(
            self._settings.retries, self._settings.timeout if timeout is None else timeout
        )

    def unary(
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

        def one_try(time_left: float | None) -> Response:
            future = multicallable.future(request, timeout=time_left, metadata=metadata)
            response: Response = _wait(future)
            return response

        return self._try(one_try, timeout, safety)

    def generate(self, request: generation_pb2.GenerateRequest, attempt: Attempts) -> Any:
        """Begins one try of a turn: what gRPC has for a stream, to be iterated and cancelled."""
        multicallable = self._channel.unary_stream(
            GENERATE.path, GENERATE.request.SerializeToString, GENERATE.response.FromString
        )
        metadata = self._settings.metadata(request.session_id, named=bool(request.request_id))
        return multicallable(request, timeout=attempt.time_left(), metadata=metadata)

    def memory(
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

        def one_try(time_left: float | None) -> list[memory_pb2.MemoryResponse]:
            stream = multicallable(iter(messages), timeout=time_left, metadata=metadata)
            try:
                return list(stream)
            finally:
                stream.cancel()  # what has ended already does not mind

        return self._try(one_try, timeout, safety)

    def save(
        self, request: session_pb2.ExportSessionRequest, path: FilePath, timeout: float | None
    ) -> int:
        """Exports into a file, and returns its size."""
        multicallable = self._channel.unary_stream(
            EXPORT.path, EXPORT.request.SerializeToString, EXPORT.response.FromString
        )
        metadata = self._settings.metadata(request.session_id)

        def one_try(time_left: float | None) -> int:
            with SnapshotWriter(path) as file:
                stream = multicallable(request, timeout=time_left, metadata=metadata)
                try:
                    for part in stream:
                        file.write(part)
                finally:
                    stream.cancel()  # what has ended already does not mind
                return file.commit()

        # What went into a pipe cannot be taken back.
        safety = Safety.STREAMED if is_written_through(path) else Safety.READ
        return self._try(one_try, timeout, safety)

    def load(
        self, first: session_pb2.ImportSessionRequest, path: FilePath, timeout: float | None
    ) -> session_pb2.Session:
        """Imports a file."""
        multicallable = self._channel.stream_unary(
            IMPORT.path, IMPORT.request.SerializeToString, IMPORT.response.FromString
        )
        metadata = self._settings.metadata("")

        def one_try(time_left: float | None) -> session_pb2.Session:
            failures: list[OSError] = []  # gRPC would tell of them without saying what they were

            def messages() -> Iterator[session_pb2.ImportSessionRequest]:
                try:
                    yield from read_snapshot(path, first)
                except OSError as failure:
                    failures.append(failure)
                    raise

            try:
                future = multicallable.future(messages(), timeout=time_left, metadata=metadata)
                response: session_pb2.ImportSessionResponse = _wait(future)
                return response.session
            except grpc.RpcError:
                if failures:
                    raise failures[0] from None
                raise

        return self._try(one_try, timeout, Safety.CHANGE)

    def _try(
        self, one_try: Callable[[float | None], Result], timeout: float | None, safety: Safety
    ) -> Result:
        attempts = self.attempts(timeout)
        while True:
            try:
                return one_try(attempts.time_left())
            except grpc.RpcError as failure:
                error = _error_of(failure)
            time.sleep(attempts.pause_after(error, safety))


def _wait(future: Any) -> Any:
    """The answer of a call, which is cancelled when the wait is interrupted."""
    try:
        return future.result()
    except grpc.FutureCancelledError:
        raise Cancelled("CANCELLED", "the client was closed") from None
    except grpc.RpcError:
        raise
    except BaseException:
        future.cancel()
        raise


class Stream:
    """A generation in progress.

    Iterating it gives the text piece by piece; `events` gives all there is, `result` waits for the end.
    Leaving the loop, leaving a `with` block, `cancel` and an exception on the way (Ctrl-C, too) end the
    generation at the server. One thread reads it; `cancel` may come from any.
    """

    def __init__(
        self,
        calls: Calls,
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
        self._cancelled = threading.Event()
        self._completion: Completion | None = None
        self._failure: Error | None = None
        self._call = calls.generate(request, self._attempts)

    def __iter__(self) -> Iterator[str]:
        """The text, as it comes. With n > 1 there are several: see `events`."""
        if self._request.n > 1:
            raise TypeError(
                "with n > 1 there are several texts: iterate events(), or take result()"
            )
        try:
            for event in self.events():
                if isinstance(event, Delta) and event.text:
                    yield event.text
        finally:
            self.cancel()

    def events(self) -> Iterator[Event]:
        """Started, then Progress, Delta and ChoiceFinished as they come, then Final."""
        try:
            while (event := self._next()) is not None:
                yield event
        finally:
            self.cancel()

    def result(self) -> Completion:
        """Waits for the end and returns all that was said."""
        for _ in self.events():
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

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()

    def __del__(self) -> None:
        if hasattr(self, "_call"):
            self.cancel()

    @property
    def _ended(self) -> bool:
        return self._completion is not None or self._failure is not None

    def _next(self) -> Event | None:
        """The next event, of whichever try it takes; None at the end."""
        while self._completion is None:
            if self._failure is not None:
                raise self._failure
            try:
                message = next(self._call)
            except StopIteration:
                self._completion = self._assembly.completion()
                self._on_end(self._completion)
                continue
            except grpc.RpcError as failure:
                error = _error_of(failure)
            else:
                if self._safety is Safety.READ:
                    self._safety = Safety.STREAMED
                event = self._assembly.take(message)
                if event is not None:
                    return event
                continue
            self._try_again(error)
        return None

    def _try_again(self, error: Error) -> None:
        if self._cancelled.is_set():
            error = _given_up()
        try:
            pause = self._attempts.pause_after(error, self._safety)
        except Error:
            self._failure = error
            self._on_end(error)
            raise
        if not self._cancelled.wait(pause):
            self._assembly.begin_again()
            self._call = self._calls.generate(self._request, self._attempts)
            if self._cancelled.is_set():  # amid these lines
                self._call.cancel()


def _given_up() -> Cancelled:
    return Cancelled("CANCELLED", "the generation was cancelled")
