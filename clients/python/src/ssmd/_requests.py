"""What callers say, as messages of proto/ssmd/v1.

Ranges are the server's to check: its errors name the field, what is allowed and what came. Here is
refused only what the messages cannot say.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Optional, TypedDict, TypeVar, Union

from ssmd._proto import common_pb2, generation_pb2, session_pb2

Pooling = Literal["mean", "last", "max"]
"""How the hidden vectors of all tokens become one, element by element."""


class ChatMessage(TypedDict):
    """What somebody said in a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


class GenerateOptions(TypedDict, total=False):
    """What a generation can be told, as keywords. What is left out has the server's default."""

    max_tokens: int
    """Most tokens to sample; 0 only reads the prompt. Default 256."""
    temperature: float
    """0 always takes the most likely token. Range [0, 10]. Default 1."""
    top_k: int
    """Keep the k most likely tokens; 0 keeps all. Default 0."""
    top_p: float
    """Keep the fewest most likely tokens whose probabilities reach this sum. Range (0, 1]. Default 1."""
    min_p: float
    """Keep tokens at least this fraction as likely as the most likely. Range [0, 1]. Default 0."""
    repetition_penalty: float
    """Divides positive, multiplies negative logits of tokens in the window. Range (0, 10]. Default 1."""
    presence_penalty: float
    """Subtracted once from the logits of tokens that were sampled in the window. Range [-2, 2]. Default 0."""
    frequency_penalty: float
    """Subtracted once per occurrence of them. Range [-2, 2]. Default 0."""
    penalty_window: int
    """How many of the latest tokens penalties look at. Range [0, 4096]. Default 256."""
    logit_bias: Mapping[int, float]
    """Added to the logits of single tokens. Values in [-100, 100]; at most 1024 entries."""
    seed: int
    """The same seed on the same history draws the same tokens. Default: a random one, told in results."""
    stop: Union[str, Sequence[str]]
    """Strings that end the answer, and are not part of it. At most 16."""
    stop_token_ids: Sequence[int]
    """Tokens that end it, beside the model's own. At most 64."""
    ignore_eos: bool
    """Sample the end of the text like any token and go on. Default False."""
    stop_history: Literal["trim", "keep"]
    """Whether a session's history ends where a stop string begins, or keeps it. Default "trim"."""
    n: int
    """Independent answers to the one prompt, which is read once. Range [1, 16]. Default 1."""
    echo: bool
    """Send the prompt back first. Default False."""
    logprobs: int
    """Log-probabilities, with this many of the most likely beside each. Range [0, 20]. Default: none."""
    priority: int
    """Who starts first of those that wait: negative is low, positive high. Range [-100, 100]. Default 0."""
    parse_special: bool
    """Recognise special tokens written out in a text prompt. Default False: they are plain text."""
    timeout: Optional[float]
    """Seconds until the call has to be over, tries and all; math.inf: no limit. Default: the client's."""


class TurnOptions(GenerateOptions, total=False):
    """What a turn on a session can be told beside that."""

    request_id: str
    """The caller's name for this turn, so that it is never applied twice. Default: a random one."""
    expected_revision: Optional[int]
    """Conflict unless the session is there; None: wherever it is. Default: where this side knows it."""
    when_busy: Literal["abort", "wait"]
    """What happens when another turn is in progress: SessionBusy, or it is waited for. Default "abort"."""
    commit: Literal["on_complete", "partial"]
    """What a turn leaves that is cut short: nothing, or what was sent of it. Default "on_complete"."""
    durability: Literal["process", "power", "replicated"]
    """Whether the turn is safe from the end of the server's process, or of its machine, or is with the
    replicas' shared store. Default: the server's, normally "process"."""


_Number = TypeVar("_Number")

_ROLES = {
    "system": common_pb2.CHAT_ROLE_SYSTEM,
    "user": common_pb2.CHAT_ROLE_USER,
    "assistant": common_pb2.CHAT_ROLE_ASSISTANT,
}
_POOLINGS = {
    "mean": generation_pb2.POOLING_MEAN,
    "last": generation_pb2.POOLING_LAST,
    "max": generation_pb2.POOLING_MAX,
}
_HISTORIES = {
    "trim": common_pb2.StopParams.HISTORY_TRIM,
    "keep": common_pb2.StopParams.HISTORY_KEEP,
}
_WHEN_BUSY = {
    "abort": generation_pb2.WHEN_BUSY_ABORT,
    "wait": generation_pb2.WHEN_BUSY_WAIT,
}
_COMMITS = {
    "on_complete": generation_pb2.COMMIT_ON_COMPLETE,
    "partial": generation_pb2.COMMIT_PARTIAL,
}
_DURABILITIES = {
    "process": generation_pb2.DURABILITY_PROCESS,
    "power": generation_pb2.DURABILITY_POWER,
    "replicated": generation_pb2.DURABILITY_REPLICATED,
}


def token_ids(ids: Iterable[int]) -> common_pb2.TokenIds:
    return common_pb2.TokenIds(ids=[int(token) for token in ids])  # of numpy, too


def chat_messages(messages: Iterable[ChatMessage]) -> common_pb2.ChatMessages:
    out = common_pb2.ChatMessages()
    for message in messages:
        role = _one_of("the role of a message", _ROLES, message["role"])
        out.messages.add(role=role, content=message["content"])
    return out


def set_prompt(
    request: generation_pb2.GenerateRequest
    | generation_pb2.ScoreRequest
    | generation_pb2.EncodeRequest
    | session_pb2.CreateSessionRequest,
    prompt: str | None,
    tokens: Iterable[int] | None,
    messages: Iterable[ChatMessage] | None = None,
) -> None:
    """Sets the one of them that is given; none is the server's to judge."""
    if sum(given is not None for given in (prompt, tokens, messages)) > 1:
        raise TypeError("a prompt is one of text, tokens and messages")
    if prompt is not None:
        request.text = prompt
    if tokens is not None:
        request.token_ids.CopyFrom(token_ids(tokens))
    if messages is not None:
        if isinstance(request, (generation_pb2.ScoreRequest, generation_pb2.EncodeRequest)):
            raise TypeError("messages cannot be scored or encoded")
        request.messages.CopyFrom(chat_messages(messages))


def set_options(
    request: generation_pb2.GenerateRequest,
    *,
    max_tokens: int | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    penalty_window: int | None = None,
    logit_bias: Mapping[int, float] | None = None,
    seed: int | None = None,
    stop: str | Sequence[str] | None = None,
    stop_token_ids: Sequence[int] | None = None,
    ignore_eos: bool | None = None,
    stop_history: str | None = None,
    n: int | None = None,
    echo: bool | None = None,
    logprobs: int | None = None,
    priority: int | None = None,
    parse_special: bool | None = None,
) -> None:
    """GenerateOptions but for the timeout, which no message holds. None is as good as left out."""
    sampling = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "repetition_penalty": repetition_penalty,
        "presence_penalty": presence_penalty,
        "frequency_penalty": frequency_penalty,
        "penalty_window": penalty_window,
        "seed": seed,
    }
    for name, value in sampling.items():
        if value is not None:
            setattr(request.sampling, name, value)
    for token, bias in (logit_bias or {}).items():
        request.sampling.logit_bias[int(token)] = bias
    if stop is not None:
        request.stop.strings.extend([stop] if isinstance(stop, str) else stop)
    if stop_token_ids is not None:
        request.stop.token_ids.extend(int(token) for token in stop_token_ids)
    if ignore_eos is not None:
        request.stop.ignore_eos = ignore_eos
    if stop_history is not None:
        request.stop.history = _one_of("stop_history", _HISTORIES, stop_history)
    scalars = {
        "max_tokens": max_tokens,
        "n": n,
        "echo": echo,
        "logprobs": logprobs,
        "priority": priority,
        "parse_special": parse_special,
    }
    for name, value in scalars.items():
        if value is not None:
            setattr(request, name, value)


def set_turn(
    request: generation_pb2.GenerateRequest,
    *,
    request_id: str | None = None,
    expected_revision: int | None = None,
    when_busy: str | None = None,
    commit: str | None = None,
    durability: str | None = None,
) -> None:
    """What TurnOptions have beside GenerateOptions.

    The request gets a name, and a seed where it has none: another try is then answered with the same
    tokens, even where the first one left nothing behind.
    """
    request.request_id = secrets.token_hex(16) if request_id is None else request_id
    if not request.sampling.HasField("seed"):
        request.sampling.seed = secrets.randbits(64)
    if expected_revision is not None:
        request.expected_revision = expected_revision
    if when_busy is not None:
        request.when_busy = _one_of("when_busy", _WHEN_BUSY, when_busy)
    if commit is not None:
        request.commit = _one_of("commit", _COMMITS, commit)
    if durability is not None:
        request.durability = _one_of("durability", _DURABILITIES, durability)


def generate_request(
    prompt: str | None,
    tokens: Iterable[int] | None,
    messages: Iterable[ChatMessage] | None,
    model: str,
    options: GenerateOptions,
) -> tuple[generation_pb2.GenerateRequest, float | None]:
    """A generation without a session, and its timeout."""
    given: dict[str, Any] = dict(options)
    timeout = given.pop("timeout", None)
    request = generation_pb2.GenerateRequest(model=model)
    set_prompt(request, prompt, tokens, messages)
    set_options(request, **given)
    return request, timeout


def score_request(
    prompt: str | None,
    tokens: Iterable[int] | None,
    model: str,
    top_logprobs: int,
    parse_special: bool,
) -> generation_pb2.ScoreRequest:
    request = generation_pb2.ScoreRequest(
        model=model, top_logprobs=top_logprobs, parse_special=parse_special
    )
    set_prompt(request, prompt, tokens)
    return request


def encode_request(
    prompt: str | None,
    tokens: Iterable[int] | None,
    model: str,
    pooling: Pooling,
    normalize: bool,
    parse_special: bool,
) -> generation_pb2.EncodeRequest:
    request = generation_pb2.EncodeRequest(
        model=model,
        pooling=_one_of("pooling", _POOLINGS, pooling),
        normalize=normalize,
        parse_special=parse_special,
    )
    set_prompt(request, prompt, tokens)
    return request


def create_request(
    prompt: str | None,
    tokens: Iterable[int] | None,
    messages: Iterable[ChatMessage] | None,
    model: str,
    parse_special: bool,
    lifetime: session_pb2.SessionLifetime,
) -> session_pb2.CreateSessionRequest:
    request = session_pb2.CreateSessionRequest(
        model=model, lifetime=lifetime, parse_special=parse_special
    )
    set_prompt(request, prompt, tokens, messages)
    return request


def import_request(
    model: str, allow_inexact: bool, rebuild: bool, lifetime: session_pb2.SessionLifetime
) -> session_pb2.ImportSessionRequest:
    """All of an import but the bytes."""
    return session_pb2.ImportSessionRequest(
        model=model, allow_inexact=allow_inexact, rebuild=rebuild, lifetime=lifetime
    )


def durability_of(word: str) -> generation_pb2.Durability:
    return _one_of("durability", _DURABILITIES, word)


def asked(message: str, system: str | None) -> list[ChatMessage]:
    """What a user says, after what the model is told first."""
    said: list[ChatMessage] = [{"role": "user", "content": message}]
    return said if system is None else [{"role": "system", "content": system}, *said]


def lifetime_of(ttl_seconds: int | None, idle_seconds: int | None) -> session_pb2.SessionLifetime:
    return session_pb2.SessionLifetime(ttl_seconds=ttl_seconds, idle_seconds=idle_seconds)


def _one_of(name: str, values: Mapping[str, _Number], value: str) -> _Number:
    if value in values:
        return values[value]
    raise ValueError(f"{name} must be one of {', '.join(values)}, got {value!r}")
