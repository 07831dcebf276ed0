"""A conversation that the server keeps as the model's state; for asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine, Generator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from ssmd._async_calls import AsyncCalls, AsyncStream
from ssmd._channel import FilePath
from ssmd._errors import NotFound
from ssmd._methods import CHECKPOINT, DELETE, FORK, GET, REWIND
from ssmd._proto import session_pb2
from ssmd._requests import ChatMessage, TurnOptions, asked
from ssmd._results import Completion, SessionInfo
from ssmd._retries import Safety
from ssmd._session_state import SessionState

if TYPE_CHECKING:
    from typing_extensions import Unpack


class AsyncSession(SessionState):
    """A session of an AsyncClient: `client.session()`, `client.attach(id)` and `client.load(path)` make one.

    A turn reads only what is new, and is appended whole or not at all. The server takes one turn at a
    time, and refuses others with SessionBusy unless they say `when_busy="wait"`. An `async with` block
    deletes the session at its end if it, or what it was forked from, was made with `delete_on_exit=True`.
    """

    def __init__(
        self, calls: AsyncCalls, session: session_pb2.Session, delete_on_exit: bool = False
    ) -> None:
        super().__init__(session)
        self._calls = calls
        self._delete_on_exit = delete_on_exit

    async def ask(
        self, message: str, *, system: str | None = None, **options: Unpack[TurnOptions]
    ) -> Completion:
        """Says something as the user of a chat and returns the answer; `system` is told first."""
        return await self.stream(message, system=system, **options).result()

    def stream(
        self, message: str, *, system: str | None = None, **options: Unpack[TurnOptions]
    ) -> AsyncStream:
        """As `ask`, with the answer as it comes."""
        return self.generate(messages=asked(message, system), **options)

    def generate(
        self,
        prompt: str | None = None,
        *,
        tokens: Iterable[int] | None = None,
        messages: Iterable[ChatMessage] | None = None,
        **options: Unpack[TurnOptions],
    ) -> AsyncStream:
        """Goes on with text as it is, token ids or chat messages; without any, from where it stands."""
        request, timeout = self._turn(prompt, tokens, messages, options)
        return AsyncStream(
            self._calls, request, timeout, lambda outcome: self._turn_ended(request, outcome)
        )

    async def complete(
        self,
        prompt: str | None = None,
        *,
        tokens: Iterable[int] | None = None,
        messages: Iterable[ChatMessage] | None = None,
        **options: Unpack[TurnOptions],
    ) -> Completion:
        """As `generate`, and waits for the end."""
        return await self.generate(prompt, tokens=tokens, messages=messages, **options).result()

    async def info(self, *, timeout: float | None = None) -> SessionInfo:
        """Asks the server, and brings `revision` and `position` up to date."""
        request = session_pb2.GetSessionRequest(session_id=self.id)
        response = await self._calls.unary(GET, request, session_id=self.id, timeout=timeout)
        return self._update(response.session)

    @overload
    async def fork(
        self,
        count: None = None,
        *,
        checkpoint: str | None = None,
        position: int | None = None,
        ttl_seconds: int | None = None,
        idle_seconds: int | None = None,
        timeout: float | None = None,
    ) -> AsyncSession: ...

    @overload
    async def fork(
        self,
        count: int,
        *,
        checkpoint: str | None = None,
        position: int | None = None,
        ttl_seconds: int | None = None,
        idle_seconds: int | None = None,
        timeout: float | None = None,
    ) -> list[AsyncSession]: ...

    async def fork(
        self,
        count: int | None = None,
        *,
        checkpoint: str | None = None,
        position: int | None = None,
        ttl_seconds: int | None = None,
        idle_seconds: int | None = None,
        timeout: float | None = None,
    ) -> AsyncSession | list[AsyncSession]:
        """A new session that goes on from here, or from a point held; with a count, a list of them.

        This one is not touched, and no state is copied until a child has a turn of its own.
        """
        number = 1 if count is None else count
        request = self._fork(number, checkpoint, position, ttl_seconds, idle_seconds)
        response = await self._calls.unary(
            FORK, request, session_id=self.id, timeout=timeout, safety=Safety.CHANGE
        )
        children = [
            AsyncSession(self._calls, session, self._delete_on_exit)
            for session in response.sessions
        ]
        return children[0] if count is None else children

    async def rewind(
        self,
        turns: int | None = None,
        *,
        checkpoint: str | None = None,
        position: int | None = None,
        allow_recompute: bool = False,
        timeout: float | None = None,
    ) -> SessionInfo:
        """Goes back by turns (one, where nothing is said), to a checkpoint or to a position.

        Raises NotFound where no state is held there, unless it may be computed again.
        """
        request = self._rewind(turns, checkpoint, position, allow_recompute)
        response = await self._calls.unary(
            REWIND, request, session_id=self.id, timeout=timeout, safety=Safety.CHANGE
        )
        return self._update(response.session)

    async def checkpoint(self, name: str, *, timeout: float | None = None) -> SessionInfo:
        """Names the present state, to come back to or to fork from."""
        return await self._name_state(name, remove=False, timeout=timeout)

    async def remove_checkpoint(self, name: str, *, timeout: float | None = None) -> SessionInfo:
        """Gives such a name up."""
        return await self._name_state(name, remove=True, timeout=timeout)

    async def save(
        self, path: FilePath, *, checkpoint: str = "", timeout: float | None = None
    ) -> int:
        """Writes the session into a file, whole or not at all, and returns its size: `client.load`."""
        request = session_pb2.ExportSessionRequest(session_id=self.id, checkpoint=checkpoint)
        return await self._calls.save(request, path, timeout)

    async def delete(self, *, timeout: float | None = None) -> None:
        """Frees the state, wherever the session is. A turn in progress is cancelled."""
        request = session_pb2.DeleteSessionRequest(session_id=self.id)
        await self._calls.unary(
            DELETE, request, session_id=self.id, timeout=timeout, safety=Safety.CHANGE
        )

    async def __aenter__(self) -> AsyncSession:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._delete_on_exit:
            with contextlib.suppress(NotFound):
                await self.delete()

    async def _name_state(self, name: str, *, remove: bool, timeout: float | None) -> SessionInfo:
        response = await self._calls.unary(
            CHECKPOINT,
            self._checkpoint(name, remove),
            session_id=self.id,
            timeout=timeout,
            safety=Safety.CHANGE,
        )
        return self._update(response.session)


class OpeningSession:
    """A session in the making: `await` it, or enter it by `async with`. One of the two, once."""

    def __init__(self, making: Coroutine[Any, Any, AsyncSession]) -> None:
        self._making = making

    def __await__(self) -> Generator[Any, None, AsyncSession]:
        return self._making.__await__()

    async def __aenter__(self) -> AsyncSession:
        self._session = await self._making
        return self._session

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.__aexit__(kind, error, trace)
