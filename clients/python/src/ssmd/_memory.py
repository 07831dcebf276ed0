"""A signal that the server keeps as a few coefficients; calls block."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

import numpy.typing as npt

from ssmd._calls import Calls
from ssmd._memory_state import Doubles, MemoryState
from ssmd._proto import memory_pb2
from ssmd._retries import Safety
from ssmd._session import Session


class Memory(MemoryState):
    """A memory of a Client: `client.memory("legs")` makes one.

        memory = client.memory("legs")
        memory.append(samples)
        past = memory.reconstruct(range(memory.samples))

    Samples have the shape (time,) where there is one channel, else (time, channels), and so has what is
    reconstructed. `session` is the Session behind it: to rewind, checkpoint, save and delete. Positions
    there count the samples of all channels. Thread-safe.
    """

    def __init__(self, calls: Calls, opened: memory_pb2.MemoryOpened, session: Session) -> None:
        super().__init__(opened, session)
        self._calls = calls
        self._opened = opened

    @property
    def session(self) -> Session:
        assert isinstance(self._session, Session)
        return self._session

    def append(
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
            responses = self._calls.memory(
                messages, session_id=self.id, timeout=timeout, safety=Safety.NAMED_TURN
            )
        return self._appended(responses)

    def reconstruct(
        self,
        times: npt.ArrayLike,
        *,
        channels: Iterable[int] | None = None,
        timeout: float | None = None,
    ) -> Doubles:
        """The past at some times: numbers of samples, 0 the first there was; fractions are allowed."""
        chosen = self._channels(channels) if channels is not None else None
        messages = list(self._reconstructions(times, chosen))
        responses = self._calls.memory(messages, session_id=self.id, timeout=timeout)
        return self._reconstruction(responses, chosen)

    def coefficients(self, *, timeout: float | None = None) -> Doubles:
        """The state: (N,) where there is one channel, else (channels, N)."""
        messages = self._question(coefficients=True)
        return self._coefficients(self._calls.memory(messages, session_id=self.id, timeout=timeout))

    def error(self, *, timeout: float | None = None) -> float | Doubles | None:
        """The root mean square of signal minus reconstruction, over all of the past; a channel each.

        None where it is not known, which it is for "legs" with "zoh".
        """
        messages = self._question(error=True)
        return self._error(self._calls.memory(messages, session_id=self.id, timeout=timeout))

    def fork(self, *, timeout: float | None = None) -> Memory:
        """A memory that goes on from here. No state is copied until it has samples of its own."""
        child = self.session.fork(timeout=timeout)
        return Memory(self._calls, self._opened, child)

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.session.__exit__(kind, error, trace)
