"""What a session's object knows without asking, and the requests that follow from it.

Every change is made on the condition that the session is where this side knows it: `expected_revision`.
Somebody else's change then shows as Conflict, and `info()` brings the object up to date. Thread-safe.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from ssmd._errors import Cancelled, Conflict, Error
from ssmd._proto import generation_pb2, session_pb2
from ssmd._requests import ChatMessage, TurnOptions, lifetime_of, set_options, set_prompt, set_turn
from ssmd._results import Completion, SessionInfo, session_info_of


class SessionState:
    def __init__(self, session: session_pb2.Session) -> None:
        self._id = session.session_id
        self._model = session.model
        self._lock = threading.RLock()  # a stream that is forgotten amid a change says so here
        self._revision = session.revision
        self._position = session.position
        # Not after a turn that was given up, or cut with commit="partial": it may have left something.
        self._is_known = True

    @property
    def id(self) -> str:
        """The server's name for the session. Whoever may use the server can go on by it: `attach`."""
        return self._id

    @property
    def model(self) -> str:
        return self._model

    @property
    def revision(self) -> int:
        """Raised by every change; as this side knows it."""
        return self._revision

    @property
    def position(self) -> int:
        """Tokens of history; as this side knows it."""
        return self._position

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._id!r}, revision={self._revision})"

    def _update(self, session: session_pb2.Session) -> SessionInfo:
        with self._lock:
            if session.revision >= self._revision:  # an answer may be overtaken by a later one
                self._revision, self._position = session.revision, session.position
                self._is_known = True
        return session_info_of(session)

    def _advanced(self, revision: int, position: int) -> None:
        """Something of this side has changed the session."""
        with self._lock:
            if revision > self._revision:
                self._revision, self._position = revision, position
            self._is_known = True

    @contextlib.contextmanager
    def _change(self) -> Iterator[None]:
        """Where it fails, nobody knows what became of the session, unless it was somebody else's."""
        try:
            yield
        except Conflict:
            raise
        except BaseException:
            with self._lock:
                self._is_known = False
            raise

    def _expected(self) -> int | None:
        with self._lock:
            return self._revision if self._is_known else None

    def _turn(
        self,
        prompt: str | None,
        tokens: Iterable[int] | None,
        messages: Iterable[ChatMessage] | None,
        options: TurnOptions,
    ) -> tuple[generation_pb2.GenerateRequest, float | None]:
        """A turn, and its timeout."""
        given: dict[str, Any] = dict(options)
        timeout = given.pop("timeout", None)
        request = generation_pb2.GenerateRequest(session_id=self._id)
        set_prompt(request, prompt, tokens, messages)
        names = ("request_id", "expected_revision", "when_busy", "commit", "durability")
        turn = {name: given.pop(name) for name in names if name in given}
        # Who waits for another turn expects it to have changed the session.
        if turn.get("when_busy") != "wait":
            turn.setdefault("expected_revision", self._expected())
        set_options(request, **given)
        set_turn(request, **turn)
        return request, timeout

    def _turn_ended(
        self, request: generation_pb2.GenerateRequest, outcome: Completion | Error
    ) -> None:
        with self._lock:
            if isinstance(outcome, Error):
                is_partial = request.commit == generation_pb2.COMMIT_PARTIAL
                if is_partial or isinstance(outcome, Cancelled):
                    self._is_known = False
                return
            choice = outcome.choices[0]
            if choice.session_id == self._id and choice.revision > self._revision:
                self._revision = choice.revision
                self._position = outcome.usage.prompt_tokens + len(choice.history_token_ids)
                self._is_known = True

    def _fork(
        self,
        count: int,
        checkpoint: str | None,
        position: int | None,
        ttl_seconds: int | None,
        idle_seconds: int | None,
    ) -> session_pb2.ForkSessionRequest:
        if checkpoint is not None and position is not None:
            raise TypeError("a fork starts at a checkpoint or at a position")
        is_of_now = checkpoint is None and position is None
        return session_pb2.ForkSessionRequest(
            session_id=self._id,
            count=count,
            checkpoint=checkpoint,
            position=position,
            expected_revision=self._expected() if is_of_now else None,
            lifetime=lifetime_of(ttl_seconds, idle_seconds),
        )

    def _rewind(
        self,
        turns: int | None,
        checkpoint: str | None,
        position: int | None,
        allow_recompute: bool,
    ) -> session_pb2.RewindSessionRequest:
        if sum(given is not None for given in (turns, checkpoint, position)) > 1:
            raise TypeError("go back by turns, to a checkpoint or to a position")
        if checkpoint is None and position is None and turns is None:
            turns = 1
        return session_pb2.RewindSessionRequest(
            session_id=self._id,
            turns=turns,
            checkpoint=checkpoint,
            position=position,
            allow_recompute=allow_recompute,
            expected_revision=self._expected(),
        )

    def _checkpoint(self, name: str, remove: bool) -> session_pb2.CheckpointSessionRequest:
        return session_pb2.CheckpointSessionRequest(
            session_id=self._id, name=name, remove=remove, expected_revision=self._expected()
        )
