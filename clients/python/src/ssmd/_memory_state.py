"""What a memory's object knows without asking, and the messages of its streams.

Each call is one stream of a few messages: the session is opened, and then appended to or asked. Appends
have names, so that another try never applies one twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Optional, Union

import numpy as np
import numpy.typing as npt

from ssmd._proto import memory_pb2
from ssmd._requests import durability_of, lifetime_of
from ssmd._session_state import SessionState

#: Samples, and values of a reconstruction, of one message: well below what servers take.
_MESSAGE_NUMBERS_MAX = 32768

Doubles = npt.NDArray[np.float64]


def open_request(session_id: str) -> memory_pb2.MemoryRequest:
    return memory_pb2.MemoryRequest(open=memory_pb2.MemoryOpen(session_id=session_id))


def open_memory_request(
    model: str,
    session_id: Optional[str],
    ttl_seconds: Optional[int],
    idle_seconds: Optional[int],
) -> memory_pb2.MemoryRequest:
    """Opens a new session, or one that exists."""
    request = memory_pb2.MemoryOpen(model=model)
    if session_id is not None:
        request.session_id = session_id
    if ttl_seconds is not None or idle_seconds is not None:
        request.lifetime.CopyFrom(lifetime_of(ttl_seconds, idle_seconds))
    return memory_pb2.MemoryRequest(open=request)


class MemoryState:
    """The part of a memory that asks nobody; `session` is a Session or an AsyncSession."""

    def __init__(self, shape: memory_pb2.MemoryOpened, session: SessionState) -> None:
        self._shape = shape.memory
        self._session = session

    @property
    def id(self) -> str:
        """The server's name for the memory's session."""
        return self._session.id

    @property
    def samples(self) -> int:
        """How many there were, of each channel; as this side knows it."""
        return self._session.position // self.channels

    @property
    def channels(self) -> int:
        return self._shape.channels

    @property
    def basis(self) -> str:
        """ "legs", "legt" or "fourier"."""
        return self._shape.basis

    @property
    def state_size(self) -> int:
        """N, the coefficients of a channel."""
        return self._shape.state_size

    @property
    def window(self) -> int:
        """Samples that are covered; 0: all of them."""
        return self._shape.window

    @property
    def discretization(self) -> str:
        """ "zoh" or "bilinear"."""
        return self._shape.discretization

    def __repr__(self) -> str:
        name = f"{type(self).__name__}({self.id!r}"
        return f"{name}, basis={self.basis!r}, samples={self.samples})"

    def _appends(
        self, samples: npt.ArrayLike, durability: Optional[str]
    ) -> list[memory_pb2.MemoryRequest]:
        """The messages that append; only the open where there is nothing to append."""
        frames = self._frames(samples)
        revision = self._session._expected()
        messages = [open_request(self.id)]
        step = max(1, _MESSAGE_NUMBERS_MAX // self.channels)
        for number, first in enumerate(range(0, len(frames), step)):
            append = memory_pb2.MemoryAppend(
                samples=frames[first : first + step].ravel(), request_id=secrets.token_hex(16)
            )
            if revision is not None:
                append.expected_revision = revision + number
            if durability is not None:
                append.durability = durability_of(durability)
            messages.append(memory_pb2.MemoryRequest(append=append))
        return messages

    def _frames(self, samples: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """(time, channels)"""
        array = np.asarray(samples, dtype=np.float32)
        if array.ndim == 1 and self.channels == 1:
            return array.reshape(-1, 1)
        if array.ndim != 2 or array.shape[1] != self.channels:
            shape = "(time,)" if self.channels == 1 else f"(time, {self.channels})"
            raise ValueError(f"samples must have the shape {shape}, got {array.shape}")
        return array

    def _appended(self, responses: Sequence[memory_pb2.MemoryResponse]) -> int:
        last = responses[-1]
        if last.WhichOneof("event") == "appended":
            position = last.appended.samples * self.channels
            self._session._advanced(last.appended.revision, position)
        return self.samples

    def _reconstructions(
        self, times: npt.ArrayLike, channels: Optional[Iterable[int]]
    ) -> Iterator[memory_pb2.MemoryRequest]:
        chosen = self._channels(channels)
        asked = np.atleast_1d(np.asarray(times, dtype=np.float64))
        if asked.ndim != 1:
            raise ValueError(f"times must have the shape (times,), got {asked.shape}")
        step = max(1, _MESSAGE_NUMBERS_MAX // max(1, len(chosen) or self.channels))
        yield open_request(self.id)
        for first in range(0, len(asked), step):
            query = memory_pb2.MemoryQuery(times=asked[first : first + step], channels=chosen)
            yield memory_pb2.MemoryRequest(query=query)

    def _reconstruction(
        self,
        responses: Sequence[memory_pb2.MemoryResponse],
        channels: Optional[Iterable[int]],
    ) -> Doubles:
        count = len(self._channels(channels)) or self.channels
        parts = [
            np.array([channel.values for channel in response.reading.channels], np.float64).T
            for response in responses[1:]
        ]
        values = np.concatenate(parts) if parts else np.empty((0, count))
        return values[:, 0] if self.channels == 1 else values

    def _question(
        self, *, coefficients: bool = False, error: bool = False
    ) -> list[memory_pb2.MemoryRequest]:
        query = memory_pb2.MemoryQuery(coefficients=coefficients, error=error)
        return [open_request(self.id), memory_pb2.MemoryRequest(query=query)]

    def _coefficients(self, responses: Sequence[memory_pb2.MemoryResponse]) -> Doubles:
        channels = responses[-1].reading.channels
        values = np.array([channel.coefficients for channel in channels], np.float64)
        return values[0] if self.channels == 1 else values

    def _error(self, responses: Sequence[memory_pb2.MemoryResponse]) -> Union[float, Doubles, None]:
        channels = responses[-1].reading.channels
        if not all(channel.HasField("rms_error") for channel in channels):
            return None
        values = np.array([channel.rms_error for channel in channels], np.float64)
        return float(values[0]) if self.channels == 1 else values

    @staticmethod
    def _channels(channels: Optional[Iterable[int]]) -> list[int]:
        return [] if channels is None else [int(channel) for channel in channels]
