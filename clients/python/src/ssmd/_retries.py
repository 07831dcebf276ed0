"""When a call that failed is tried again, and after how long.

Tried again is only what cannot be applied twice:

- what changes nothing (models, scores, looking at sessions), when the server could not be reached or
  asks for another try;
- what changes something, when the server says that it refused it and when to come back;
- a turn of a session, by its `request_id`, also when it is not known whether it was applied: the
  server then gives the first answer again, or the rest of it;
- a generation without a session, until something of it has come.
"""

from __future__ import annotations

import enum
import math
import random
import time
from dataclasses import dataclass

from ssmd._errors import Error

# Of replicas that share their sessions: it passes by itself, once the session's owner or the store is back.
_PASSES = {"DRAINING", "SESSION_ELSEWHERE", "SESSION_MOVED", "SHARED_STORE", "NOT_REPLICATED"}


@dataclass(frozen=True)
class Retries:
    """How often, and after how long, a call is tried again that can be tried again safely.

    The delay doubles from try to try, and is drawn between its half and its whole, so that clients
    that failed together do not return together. Where the server names a delay, it is waited at least
    that long. A call's timeout covers all its tries.

    Where replicas share their sessions, what one of them cannot do now another one soon can, and it is
    safe to ask again: turns that were UNAVAILABLE, and what a replica refused because of the others, are
    tried again for `patience_seconds` from the first failure, however often that is.
    """

    #: Tries after the first one; 0: none.
    count: int = 5
    first_delay_seconds: float = 0.1
    longest_delay_seconds: float = 5.0
    #: 0: the count is all there is.
    patience_seconds: float = 30.0

    def __post_init__(self) -> None:
        delays = (self.first_delay_seconds, self.longest_delay_seconds, self.patience_seconds)
        if self.count < 0 or not all(delay >= 0 for delay in delays):
            raise ValueError("retries must not be negative")


class Safety(enum.Enum):
    """What a call may do to the server, and so what of its failures are followed by another try."""

    READ = enum.auto()  # changes nothing
    CHANGE = enum.auto()  # may have been applied when its answer is lost
    NAMED_TURN = enum.auto()  # has a request_id: never applied twice
    STREAMED = enum.auto()  # part of its answer was handed on


def may_try_again(error: Error, safety: Safety) -> bool:
    """Whether another try is safe, and may end otherwise."""
    if safety is Safety.STREAMED:
        return False
    if error.retry_after is not None or error.reason == "DRAINING":
        return True  # the server has refused it: nothing was applied
    if safety is Safety.CHANGE:
        return False
    if _was_never_begun(error):
        return True
    return error.code == "UNAVAILABLE" or (safety is Safety.NAMED_TURN and _turn_was_lost(error))


def _was_never_begun(error: Error) -> bool:
    """A call that reached a gRPC server as it shut down: none of the daemon's words came with it."""
    # What this side cancels says so in other words.
    return error.code == error.message == "CANCELLED" and not error.request_id


def _turn_was_lost(error: Error) -> bool:
    """Whether another try of a turn with a name may end otherwise, other than for UNAVAILABLE."""
    if error.code == "ABORTED":
        # Without a reason: of a retry of a turn that failed meanwhile.
        return error.reason in ("", "SESSION_MOVED")
    if error.reason == "NOT_REPLICATED":
        return error.code == "RESOURCE_EXHAUSTED"  # the store was full, and is told again
    # What gRPC makes of a stream that a router broke off, as its replica was lost.
    return error.code in ("INTERNAL", "UNKNOWN") and not error.reason


def passes_by_itself(error: Error, safety: Safety) -> bool:
    """Whether it is worth more patience than a number of tries."""
    if error.code not in ("UNAVAILABLE", "ABORTED"):
        return False
    return error.reason in _PASSES or (error.code == "UNAVAILABLE" and safety is Safety.NAMED_TURN)


class Attempts:
    """The tries of one call, within its timeout."""

    def __init__(self, retries: Retries, timeout: float | None) -> None:
        if timeout is not None and (math.isnan(timeout) or timeout < 0):
            raise ValueError(f"a timeout is a number of seconds, got {timeout}")
        self._retries = retries
        self._failed = 0
        self._patient_until = math.inf  # known with the first failure
        self._end = math.inf if timeout is None else time.monotonic() + timeout

    def time_left(self) -> float | None:
        """Seconds for the next try; None: no limit."""
        return None if math.isinf(self._end) else max(0.0, self._end - time.monotonic())

    def pause_after(self, error: Error, safety: Safety) -> float:
        """Seconds to wait before the next try. Raises the error where there is to be none."""
        if self._failed == 0:
            self._patient_until = time.monotonic() + self._retries.patience_seconds
        if not self._may_wait(error, safety) or not may_try_again(error, safety):
            raise error
        first, longest = self._retries.first_delay_seconds, self._retries.longest_delay_seconds
        pause = min(first * 2.0 ** min(self._failed, 60), longest) * random.uniform(0.5, 1.0)
        if error.retry_after is not None:
            pause += error.retry_after
        left = self.time_left()
        if left is not None and pause >= left:
            raise error
        self._failed += 1
        return pause

    def _may_wait(self, error: Error, safety: Safety) -> bool:
        if self._failed < self._retries.count:
            return True
        is_patient = self._retries.count > 0 and passes_by_itself(error, safety)
        return is_patient and time.monotonic() < self._patient_until
