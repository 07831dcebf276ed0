"""A signal that the server keeps as a few coefficients, for asyncio."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

import numpy.typing as npt

from ssmd._async_calls import AsyncCalls
from ssmd._async_session import AsyncSession
from ssmd._memory_state import Doubles, MemoryState
from ssmd._proto import memory_pb2
from ssmd._retries import Safety


class AsyncMemory(MemoryState):
    """A memory of an AsyncClient: `await client.memory("legs")` makes one.

        memory = await client.memory("legs")
        await memory.append(samples)
        past = await memory.reconstruct(range(memory.samples))

    Samples have the shape (time,) where there is one channel, else (time, channels), and so has what is
    reconstructed. `session` is the Session behind it: to rewind, checkpoint, save and delete. Positions
    there count the samples of all channels.
    """

    def __init__(
        self, calls: AsyncCalls, opened: memory_pb2.MemoryOpened, session: AsyncSession
    ) -> None:
        super().__init__(opened, session)
        self._calls = calls
        self._opened = opened

    @property
    def session(self) -> AsyncSession:
        assert isinstance(self._session, AsyncSession)
        return self._session

    async def append(
        self,
        samples: npt.ArrayLike,
        *,
        durability: str | None = None,
        timeout: float | None = None,
    ) -> int:
        """Goes on with samples, and returns how many there are now, of each channel.

        They are committed when this returns. Many go in several messages, each committed by itself: what
        goes wrong amid them leaves those before it. Conflict where somebody else has changed the session.
        """
        messages = self._appends(samples, durability)
        if len(messages) == 1:
            return self.samples
        with self._session._change():
            responses = await self._calls.memory(
                messages, session_id=self.id, timeout=timeout, safety=Safety.NAMED_TURN
            )
        return self._appended(responses)

    async def reconstruct(
        self,
        times: npt.ArrayLike,
        *,
        channels: Iterable[int] | None = None,
        timeout: float | None = None,
    ) -> Doubles:
        """The past at some times: numbers of samples, 0 the first there was; fractions are allowed."""
        chosen = self._channels(channels) if channels is not None else None
        messages = list(self._reconstructions(times, chosen))
        responses = await self._calls.memory(messages, session_id=self.id, timeout=timeout)
        return self._reconstruction(responses, chosen)

    async def coefficients(self, *, timeout: float | None = None) -> Doubles:
        """The state: (N,) where there is one channel, else (channels, N)."""
        messages = self._question(coefficients=True)
        return self._coefficients(
            await self._calls.memory(messages, session_id=self.id, timeout=timeout)
        )

    async def error(self, *, timeout: float | None = None) -> float | Doubles | None:
        """The root mean square of signal minus reconstruction, over all of the past; a channel each.

        None where it is not known, which it is for "legs" with "zoh".
        """
        messages = self._question(error=True)
        return self._error(await self._calls.memory(messages, session_id=self.id, timeout=timeout))

    async def fork(self, *, timeout: float | None = None) -> AsyncMemory:
        """A memory that goes on from here. No state is copied until it has samples of its own."""
        child = await self.session.fork(timeout=timeout)
        return AsyncMemory(self._calls, self._opened, child)

    async def __aenter__(self) -> AsyncMemory:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.session.__aexit__(kind, error, trace)
