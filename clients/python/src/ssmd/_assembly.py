"""A generation as it comes in: what is new of each message, and what all of them amount to.

A try that follows a lost one starts from the beginning: its Deltas repeat what was handed on before,
in other pieces (`Started.replayed`, or a running stream that was taken over). What repeats is
compared, and left out. Belongs to one stream; not thread-safe.
"""

from __future__ import annotations

from ssmd._errors import Aborted, Internal
from ssmd._proto import common_pb2, generation_pb2
from ssmd._results import (
    Choice,
    ChoiceFinished,
    Completion,
    Delta,
    Event,
    Final,
    Logprobs,
    Progress,
    Started,
    choice_finished_of,
    final_of,
    logprobs_of,
    started_of,
)

Details = list["common_pb2.TokenDetail | None"]


class _Track:
    """The text and tokens of one choice, or of its echo."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.details: Details = []
        self._pieces: list[str] = []  # of the text
        # What the present try has still to repeat.
        self._old_text = ""
        self._old_ids: list[int] = []

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def begin_again(self) -> None:
        self._old_text = self.text
        self._old_ids = list(self.ids)

    def add(self, delta: generation_pb2.Delta) -> tuple[str, list[int], Details]:
        """Takes a Delta and returns what is new of it."""
        text, ids = delta.text, list(delta.token_ids)
        # Where some are missing, they are those of the first tokens.
        missing = len(ids) - len(delta.logprobs)
        details: Details = [*([None] * missing), *delta.logprobs]
        if self._old_text or self._old_ids:
            text_size = min(len(text), len(self._old_text))
            size = min(len(ids), len(self._old_ids))
            if text[:text_size] != self._old_text[:text_size] or ids[:size] != self._old_ids[:size]:
                raise Aborted("ABORTED", "another try is answered otherwise", "RETRY_DIVERGED")
            self._old_text, self._old_ids = self._old_text[text_size:], self._old_ids[size:]
            text, ids, details = text[text_size:], ids[size:], details[size:]
        self._pieces.append(text)
        self.ids += ids
        self.details += details
        return text, ids, details


class Assembly:
    """Takes a stream's messages, in order, over all of its tries."""

    def __init__(self, request: generation_pb2.GenerateRequest) -> None:
        self._top = request.logprobs if request.HasField("logprobs") else None
        self._answers: dict[int, _Track] = {}
        self._echoes: dict[int, _Track] = {}
        self._started: Started | None = None
        self._replayed = False
        self._finished: dict[int, ChoiceFinished] = {}
        self._final: Final | None = None

    @property
    def text(self) -> str:
        """Of the first choice, as far as it came."""
        return self._track(0, echo=False).text

    def begin_again(self) -> None:
        """What follows are the messages of another try."""
        for track in [*self._answers.values(), *self._echoes.values()]:
            track.begin_again()

    def take(self, message: generation_pb2.GenerateResponse) -> Event | None:
        """The message as an event; None where it says nothing new, or nothing that is known here."""
        kind = message.WhichOneof("event")
        if kind == "started":
            return self._take_started(message.started)
        if kind == "progress":
            return Progress(message.progress.done_tokens, message.progress.total_tokens)
        if kind == "delta":
            return self._take_delta(message.delta)
        if kind == "choice_finished":
            return self._take_choice_finished(message.choice_finished)
        if kind == "final":
            self._final = final_of(message.final)
            return self._final
        return None

    def completion(self) -> Completion:
        """What the stream amounts to. Raises Internal where it ended with OK before its time."""
        started, final = self._started, self._final
        if started is None or final is None or not self._finished:
            raise Internal("INTERNAL", "the stream ended before its last event")
        echo = self._track(0, echo=True)
        return Completion(
            choices=[self._choice(self._finished[index]) for index in sorted(self._finished)],
            prompt_text=echo.text,
            prompt_token_ids=list(echo.ids),
            prompt_logprobs=self._logprobs(echo.ids, echo.details) if echo.ids else None,
            request_id=started.request_id,
            model=started.model,
            session_id=started.session_id,
            seed=started.seed,
            numerics_profile=started.numerics_profile,
            state_source=final.state_source,
            reuse_miss=final.reuse_miss,
            replayed=self._replayed,
            usage=final.usage,
            timings=final.timings,
        )

    def _track(self, index: int, *, echo: bool) -> _Track:
        return (self._echoes if echo else self._answers).setdefault(index, _Track())

    def _logprobs(self, ids: list[int], details: Details) -> Logprobs | None:
        return None if self._top is None else logprobs_of(ids, details, self._top)

    def _take_started(self, message: generation_pb2.Started) -> Started | None:
        self._replayed = self._replayed or message.replayed
        if self._started is not None:
            return None
        self._started = started_of(message)
        return self._started

    def _take_delta(self, message: generation_pb2.Delta) -> Delta | None:
        track = self._track(message.choice_index, echo=message.echo)
        text, ids, details = track.add(message)
        if not text and not ids:
            return None
        logprobs = self._logprobs(ids, details)
        return Delta(message.choice_index, text, ids, logprobs, message.echo)

    def _take_choice_finished(
        self, message: generation_pb2.ChoiceFinished
    ) -> ChoiceFinished | None:
        if message.choice_index in self._finished:
            return None
        event = choice_finished_of(message)
        self._finished[event.choice] = event
        return event

    def _choice(self, end: ChoiceFinished) -> Choice:
        track = self._track(end.choice, echo=False)
        return Choice(
            index=end.choice,
            text=track.text,
            token_ids=list(track.ids),
            logprobs=self._logprobs(track.ids, track.details),
            finish_reason=end.finish_reason,
            stop_reason=end.stop_reason,
            history_token_ids=end.history_token_ids,
            session_id=end.session_id,
            revision=end.revision,
            usage=end.usage,
        )
