"""What the server says, as values: messages of proto/ssmd/v1 without protobuf.

Enumerations are lower-case words, as their names in the protos end: "stop", "length", "resident"; one
that this version does not know is its number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Optional, Protocol, Union

import numpy as np
import numpy.typing as npt

from ssmd._proto import common_pb2, generation_pb2, model_pb2, session_pb2

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


class _Enum(Protocol):
    def Name(self, number: int) -> str: ...  # noqa: N802


def word_of(enum: _Enum, value: int, prefix: str) -> str:
    """FINISH_REASON_STOP is "stop"; zero, which says nothing, is empty."""
    if value == 0:
        return ""
    try:
        return enum.Name(value)[len(prefix) :].lower()
    except ValueError:
        return str(value)


@dataclass(frozen=True)
class Model:
    """A served model."""

    name: str
    architecture: str
    weights: str  #: number format of its matrices
    parameters: int
    weight_bytes: int
    layers: int
    d_model: int
    vocabulary_size: int  #: 0 of a memory
    has_tokenizer: bool  #: without: prompts are token ids only
    eos_token_ids: list[int]
    state_bytes_per_session: int
    state_slots: int
    token_budget: int
    max_history_tokens: int
    fingerprint: str
    numerics_profile: str  #: what the bits of its output depend on beside the weights
    device: str


def model_of(message: model_pb2.Model) -> Model:
    names = [name for name in Model.__dataclass_fields__ if name != "eos_token_ids"]
    scalars = {name: getattr(message, name) for name in names}
    return Model(eos_token_ids=list(message.eos_token_ids), **scalars)


@dataclass(frozen=True)
class Usage:
    """Tokens of a turn. prompt = reused + computed."""

    prompt_tokens: int
    reused_tokens: int  #: the state had consumed them before
    computed_tokens: int
    recomputed_tokens: int  #: fed a second time
    generated_tokens: int


def usage_of(message: common_pb2.Usage) -> Usage:
    return Usage(**{name: getattr(message, name) for name in Usage.__dataclass_fields__})


@dataclass(frozen=True)
class Timings:
    """Where a turn's time went at the server, in milliseconds."""

    queue_ms: float
    load_ms: float  #: of queue_ms, waiting for the state
    first_token_ms: float
    total_ms: float


def timings_of(message: common_pb2.Timings) -> Timings:
    return Timings(**{name: getattr(message, name) for name in Timings.__dataclass_fields__})


@dataclass(frozen=True, eq=False)
class Logprobs:
    """Natural log-probabilities of tokens under the model's own distribution, a row a token.

    A row that was not told is NaN: of the first token of a text, and of tokens that came again after a
    lost connection, which come without.
    """

    token_ids: Ints  #: (tokens)
    tokens: list[bytes]  #: their bytes, which may be parts of characters
    logprobs: Floats  #: (tokens)
    top_token_ids: Ints  #: (tokens, k), most likely first; -1 where there is none
    top_logprobs: Floats  #: (tokens, k)


def logprobs_of(
    ids: Sequence[int], details: Sequence[common_pb2.TokenDetail | None], top: int
) -> Logprobs:
    """Of tokens and what was told of each; `top` columns."""
    values = np.full(len(ids), np.nan, np.float32)
    top_ids = np.full((len(ids), top), -1, np.int32)
    top_values = np.full((len(ids), top), np.nan, np.float32)
    tokens = [b""] * len(ids)
    for row, detail in enumerate(details):
        if detail is None:
            continue
        values[row] = detail.token.logprob
        tokens[row] = detail.token.token
        for column, candidate in enumerate(detail.top[:top]):
            top_ids[row, column] = candidate.token_id
            top_values[row, column] = candidate.logprob
    return Logprobs(np.asarray(ids, np.int32), tokens, values, top_ids, top_values)


@dataclass(frozen=True)
class Score:
    """How likely a model finds a text."""

    token_ids: list[int]
    logprobs: Logprobs  #: of all tokens but the first, each given all before it
    numerics_profile: str

    @property
    def total(self) -> float:
        """The log-probability of the whole, given its first token."""
        return float(self.logprobs.logprobs.sum(dtype=np.float64))

    @property
    def perplexity(self) -> float:
        return math.exp(-self.total / len(self.logprobs.logprobs))


def score_of(message: generation_pb2.ScoreResponse, top: int) -> Score:
    ids = list(message.token_ids)
    logprobs = logprobs_of(ids[1:], message.logprobs, top)
    return Score(ids, logprobs, message.numerics_profile)


def encoded_of(message: generation_pb2.EncodeResponse) -> Floats:
    return np.asarray(message.values, np.float32)


# --- A generation: its events, and what they amount to ---


@dataclass(frozen=True)
class Started:
    """The first event: what the turn builds on."""

    request_id: str  #: names the turn in the server's log
    model: str
    session_id: str  #: empty without a session
    base_revision: int
    state_source: (
        str  #: where the state was: "fresh", "resident", "host", "disk", "prefix", "replayed", …
    )
    seed: int
    numerics_profile: str
    replayed: bool  #: the answer to an earlier try of the same turn comes again


@dataclass(frozen=True)
class Progress:
    """Some of a long prompt was read."""

    done_tokens: int
    total_tokens: int


@dataclass(frozen=True)
class Delta:
    """What a choice said since its last Delta."""

    choice: int
    text: str  #: whole characters; may be empty while one is incomplete
    token_ids: list[int]
    logprobs: Optional[Logprobs]
    echo: bool  #: this is the prompt, not the answer


@dataclass(frozen=True)
class ChoiceFinished:
    """A choice is complete."""

    choice: int
    finish_reason: str  #: "stop", "length" or "partial"
    stop_reason: str  #: the stop string, or the text of the stop token
    history_token_ids: list[int]  #: what the session's history holds of the answer
    session_id: str  #: the session that holds the result; with n > 1 a new one
    revision: int
    usage: Usage


@dataclass(frozen=True)
class Final:
    """The last event: the turn is committed."""

    usage: Usage
    timings: Timings
    state_source: str
    reuse_miss: (
        str  #: why no more of a prompt without a session was reused; empty: nothing was missed
    )


Event = Union[Started, Progress, Delta, ChoiceFinished, Final]


def started_of(message: generation_pb2.Started) -> Started:
    return Started(
        request_id=message.request_id,
        model=message.model,
        session_id=message.session_id,
        base_revision=message.base_revision,
        state_source=_source(message.state_source),
        seed=message.seed,
        numerics_profile=message.numerics_profile,
        replayed=message.replayed,
    )


def choice_finished_of(message: generation_pb2.ChoiceFinished) -> ChoiceFinished:
    return ChoiceFinished(
        choice=message.choice_index,
        finish_reason=word_of(common_pb2.FinishReason, message.finish_reason, "FINISH_REASON_"),
        stop_reason=message.stop_reason,
        history_token_ids=list(message.history_token_ids),
        session_id=message.session_id,
        revision=message.revision,
        usage=usage_of(message.usage),
    )


def final_of(message: generation_pb2.Final) -> Final:
    return Final(
        usage=usage_of(message.usage),
        timings=timings_of(message.timings),
        state_source=_source(message.state_source),
        reuse_miss=word_of(generation_pb2.ReuseMiss, message.reuse_miss, "REUSE_MISS_"),
    )


def _source(value: int) -> str:
    return word_of(common_pb2.StateSource, value, "STATE_SOURCE_")


@dataclass(frozen=True)
class Choice:
    """One answer."""

    index: int
    text: str
    token_ids: list[int]  #: sampled, as they were sent
    logprobs: Optional[Logprobs]  #: of them, where asked for
    finish_reason: str  #: "stop", "length" or "partial"
    stop_reason: str
    history_token_ids: list[int]
    session_id: str
    revision: int
    usage: Usage


@dataclass(frozen=True)
class Completion:
    """A finished generation. The answer of the only, or first, choice is at hand here."""

    choices: list[Choice]
    prompt_text: str  #: with `echo`
    prompt_token_ids: list[int]  #: with `echo`
    prompt_logprobs: Optional[Logprobs]  #: with `echo` and `logprobs`
    request_id: str
    model: str
    session_id: str
    seed: int
    numerics_profile: str
    state_source: str
    reuse_miss: str
    replayed: bool
    usage: Usage
    timings: Timings

    @property
    def text(self) -> str:
        return self.choices[0].text

    @property
    def token_ids(self) -> list[int]:
        return self.choices[0].token_ids

    @property
    def logprobs(self) -> Logprobs | None:
        return self.choices[0].logprobs

    @property
    def finish_reason(self) -> str:
        return self.choices[0].finish_reason

    @property
    def stop_reason(self) -> str:
        return self.choices[0].stop_reason

    def __str__(self) -> str:
        return self.text


# --- Sessions ---


@dataclass(frozen=True)
class SessionPoint:
    """A place in a session's past."""

    name: str  #: of a checkpoint; empty for the end of a turn
    revision: int
    position: int
    held: bool  #: going back there recomputes nothing


@dataclass(frozen=True)
class SessionInfo:
    """A session as of its last commit."""

    session_id: str
    model: str
    revision: int  #: raised by every commit; 0 at creation
    position: int  #: tokens of history, pending ones included
    pending_tokens: int
    last_token_ids: list[int]  #: the newest tokens of history, at most 16
    running: bool
    waiting_turns: int
    tier: str  #: where its state is: "device", "host", "disk", "lost"; empty: nowhere yet
    state_position: int
    state_bytes: int
    history_hash: int
    created: datetime
    used: datetime
    expires: Optional[datetime]
    parent_id: str  #: empty: it is no fork
    parent_position: int
    checkpoints: list[SessionPoint]
    turn_ends: list[SessionPoint]


def session_info_of(message: session_pb2.Session) -> SessionInfo:
    return SessionInfo(
        session_id=message.session_id,
        model=message.model,
        revision=message.revision,
        position=message.position,
        pending_tokens=message.pending_tokens,
        last_token_ids=list(message.last_token_ids),
        running=message.running,
        waiting_turns=message.waiting_turns,
        tier=word_of(session_pb2.StateTier, message.tier, "STATE_TIER_"),
        state_position=message.state_position,
        state_bytes=message.state_bytes,
        history_hash=message.history_hash,
        created=_time(message.created_unix_ms),
        used=_time(message.used_unix_ms),
        expires=_time(message.expires_unix_ms) if message.expires_unix_ms else None,
        parent_id=message.parent_id,
        parent_position=message.parent_position,
        checkpoints=_points(message.checkpoints),
        turn_ends=_points(message.turn_ends),
    )


def _points(messages: Sequence[session_pb2.SessionPoint]) -> list[SessionPoint]:
    return [SessionPoint(m.name, m.revision, m.position, m.held) for m in messages]


def _time(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, timezone.utc)
