"""What OpenAI publishes of the shapes of answers, as JSON Schemas written by hand.

They are strict: members that OpenAI does not have are mistakes, but for `ssmd`. Where OpenAI's own
server sends null against its document, as in `usage` of chunks, null is taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import jsonschema
from openai.types import Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

Schema = dict[str, Any]
Json = dict[str, Any]

# --- Parts of schemas ---

TEXT: Schema = {"type": "string"}
SOME_TEXT: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
LOGPROB: Schema = {"type": "number", "maximum": 0}
FLAG: Schema = {"type": "boolean"}
NULL: Schema = {"type": "null"}
# 2020 to 2100.
TIME: Schema = {"type": "integer", "minimum": 1577836800, "maximum": 4102444800}


def constant(value: str) -> Schema:
    return {"const": value}


def one_of(*words: str) -> Schema:
    return {"enum": list(words)}


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, NULL]}


def array(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


def members(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


# --- ssmd ---

SESSION_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
SSMD = members(
    {
        "session_id": or_null(SESSION_ID),
        "revision": COUNT,
        "state_source": one_of("fresh", "resident", "host", "disk", "remote", "prefix", "replayed"),
        "seed": COUNT,
        "numerics_profile": SOME_TEXT,
        "reused_tokens": COUNT,
        "computed_tokens": COUNT,
        "recomputed_tokens": COUNT,
        "timings_ms": members(
            {name: {"type": "number", "minimum": 0} for name in ("queue", "load", "total")}
            | {"first_token": {"type": "number", "minimum": 0}}
        ),
    },
    {"parent_id": or_null(SOME_TEXT), "replayed": FLAG, "request_id": or_null(SOME_TEXT)},
)
CHOICE_SSMD = members({"id": SOME_TEXT, "session_id": SESSION_ID, "revision": COUNT})
MODEL_SSMD = members(
    {
        "architecture": SOME_TEXT,
        "weights": SOME_TEXT,
        "state": SOME_TEXT,
        "parameters": COUNT,
        "vocabulary_size": COUNT,
        "state_bytes_per_session": COUNT,
        "state_slots": COUNT,
        "max_history_tokens": COUNT,
        "has_tokenizer": FLAG,
        "chat_format": SOME_TEXT,
        "device": SOME_TEXT,
        "numerics_profile": SOME_TEXT,
    }
)
POINT = {"revision": COUNT, "position": COUNT, "held": FLAG}
SESSION = members(
    {
        "id": SESSION_ID,
        "object": constant("session"),
        "model": SOME_TEXT,
        "created": TIME,
        "used": TIME,
        "expires": or_null(TIME),
        "revision": COUNT,
        "position": COUNT,
        "pending_tokens": COUNT,
        "running": FLAG,
        "waiting_turns": COUNT,
        "tier": {"enum": ["device", "host", "disk", "lost", None]},
        "state_position": COUNT,
        "state_bytes": COUNT,
        "history_hash": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "parent_id": or_null(SESSION_ID),
        "parent_position": COUNT,
        "checkpoints": array(members({"name": SOME_TEXT, **POINT})),
        "turn_ends": array(members(POINT)),
    }
)
SESSION_DELETED = members(
    {"id": SESSION_ID, "object": constant("session.deleted"), "deleted": {"const": True}}
)
ANSWER_DELETED = members(
    {
        "id": SOME_TEXT,
        "object": {"enum": ["response", "chat.completion.deleted"]},
        "deleted": {"const": True},
    }
)
SESSION_LIST = members(
    {"object": constant("list"), "data": array(SESSION)},
    {"has_more": FLAG, "next": or_null(SOME_TEXT)},
)

# --- Errors and models ---

ERROR_MEMBERS = members(
    {"message": SOME_TEXT, "type": SOME_TEXT, "param": or_null(SOME_TEXT)}
    | {"code": or_null(SOME_TEXT)}
)
ERROR = members({"error": ERROR_MEMBERS})
MODEL = members(
    {"id": SOME_TEXT, "object": constant("model"), "created": TIME, "owned_by": SOME_TEXT},
    {"ssmd": MODEL_SSMD},
)
MODEL_LIST = members({"object": constant("list"), "data": array(MODEL)})

# --- Completions and chat completions ---

FINISH = one_of("stop", "length", "tool_calls", "content_filter", "function_call")
USAGE = members(
    {"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT},
    {
        "prompt_tokens_details": members({}, {"cached_tokens": COUNT, "audio_tokens": COUNT}),
        "completion_tokens_details": members(
            {},
            {
                "reasoning_tokens": COUNT,
                "audio_tokens": COUNT,
                "accepted_prediction_tokens": COUNT,
                "rejected_prediction_tokens": COUNT,
            },
        ),
    },
)
COMPLETION_LOGPROBS = members(
    {
        "tokens": array(TEXT),
        "token_logprobs": array(or_null(LOGPROB)),
        "top_logprobs": array(
            or_null({"type": "object", "additionalProperties": LOGPROB, "maxProperties": 20})
        ),
        "text_offset": array(COUNT),
    }
)
TOKEN = {"token": TEXT, "logprob": LOGPROB}
BYTES = array({"type": "integer", "minimum": 0, "maximum": 255}, minItems=1)
CHAT_TOKEN = members(
    {
        **TOKEN,
        "bytes": or_null(BYTES),
        "top_logprobs": array(members({**TOKEN, "bytes": or_null(BYTES)}), maxItems=20),
    }
)
CHAT_LOGPROBS = members({"content": or_null(array(CHAT_TOKEN)), "refusal": NULL})


def choices(members_of_one: dict[str, Schema], **limits: int) -> Schema:
    return array(members({"index": COUNT, **members_of_one}, {"ssmd": CHOICE_SSMD}), **limits)


def answer(kind: str, id_starts: str, of_kind: dict[str, Schema], usage: Schema | None) -> Schema:
    head = {
        "id": {"type": "string", "pattern": f"^{id_starts}[0-9a-f]{{32}}(-[0-9]+)?$"},
        "object": constant(kind),
        "created": TIME,
        "model": SOME_TEXT,
    }
    optional = {"system_fingerprint": SOME_TEXT, "ssmd": SSMD}
    if usage is None:
        return members({**head, **of_kind}, {**optional, "usage": or_null(USAGE)})
    return members({**head, **of_kind, "usage": usage, "ssmd": SSMD}, optional)


TEXT_CHOICE = {"text": TEXT, "logprobs": or_null(COMPLETION_LOGPROBS)}
COMPLETION = answer(
    "text_completion",
    "cmpl-",
    {"choices": choices({**TEXT_CHOICE, "finish_reason": one_of("stop", "length")}, minItems=1)},
    USAGE,
)
COMPLETION_CHUNK = answer(
    "text_completion",
    "cmpl-",
    {"choices": choices({**TEXT_CHOICE, "finish_reason": or_null(one_of("stop", "length"))})},
    None,
)
CHAT = answer(
    "chat.completion",
    "chatcmpl-",
    {
        "choices": choices(
            {
                "message": members(
                    {"role": constant("assistant"), "content": TEXT, "refusal": NULL},
                    {"annotations": array({}, maxItems=0)},
                ),
                "logprobs": or_null(CHAT_LOGPROBS),
                "finish_reason": FINISH,
            },
            minItems=1,
        )
    },
    USAGE,
)
CHAT_CHUNK = answer(
    "chat.completion.chunk",
    "chatcmpl-",
    {
        "choices": choices(
            {
                "delta": members(
                    {}, {"role": constant("assistant"), "content": TEXT, "refusal": NULL}
                ),
                "logprobs": or_null(CHAT_LOGPROBS),
                "finish_reason": or_null(FINISH),
            }
        )
    },
    None,
)

# --- Responses ---

NOTHING_IN_IT = array({}, maxItems=0)
OUTPUT_TEXT = members(
    {"type": constant("output_text"), "text": TEXT, "annotations": NOTHING_IN_IT},
    {"logprobs": NOTHING_IN_IT},
)
MESSAGE = members(
    {
        "id": SOME_TEXT,
        "type": constant("message"),
        "role": constant("assistant"),
        "status": one_of("in_progress", "completed", "incomplete"),
        "content": array(OUTPUT_TEXT),
    }
)
RESPONSE_USAGE = members(
    {
        "input_tokens": COUNT,
        "input_tokens_details": members({"cached_tokens": COUNT, "cache_write_tokens": COUNT}),
        "output_tokens": COUNT,
        "output_tokens_details": members({"reasoning_tokens": COUNT}),
        "total_tokens": COUNT,
    }
)
RESPONSE = members(
    {
        "id": {"type": "string", "pattern": "^resp_[0-9a-f]{32}(-[0-9]+)?$"},
        "object": constant("response"),
        "created_at": TIME,
        "error": or_null(members({"code": constant("server_error"), "message": SOME_TEXT})),
        "incomplete_details": or_null(
            members({"reason": one_of("max_output_tokens", "content_filter")})
        ),
        "instructions": or_null(TEXT),
        "metadata": or_null({"type": "object", "additionalProperties": TEXT}),
        "model": SOME_TEXT,
        "output": array(MESSAGE),
        "parallel_tool_calls": FLAG,
        "temperature": or_null(NUMBER),
        "tool_choice": one_of("none", "auto", "required"),
        "tools": NOTHING_IN_IT,
        "top_p": or_null(NUMBER),
        "status": one_of("completed", "failed", "in_progress", "incomplete"),
        "usage": or_null(RESPONSE_USAGE),
    },
    {
        "background": FLAG,
        "max_output_tokens": or_null(COUNT),
        "previous_response_id": or_null(SOME_TEXT),
        "store": FLAG,
        "text": members({"format": members({"type": constant("text")})}),
        "truncation": one_of("auto", "disabled"),
        "ssmd": SSMD,
    },
)
ITEM_PLACE = {"item_id": SOME_TEXT, "output_index": COUNT, "content_index": COUNT}


def event(kind: str, of_kind: dict[str, Schema]) -> Schema:
    return members({"type": constant(kind), "sequence_number": COUNT, **of_kind})


RESPONSE_EVENTS: dict[str, Schema] = {
    **{
        kind: event(kind, {"response": RESPONSE})
        for kind in (
            "response.created",
            "response.in_progress",
            "response.completed",
            "response.incomplete",
            "response.failed",
        )
    },
    **{
        kind: event(kind, {"output_index": COUNT, "item": MESSAGE})
        for kind in ("response.output_item.added", "response.output_item.done")
    },
    **{
        kind: event(kind, {**ITEM_PLACE, "part": OUTPUT_TEXT})
        for kind in ("response.content_part.added", "response.content_part.done")
    },
    "response.output_text.delta": event(
        "response.output_text.delta", {**ITEM_PLACE, "delta": SOME_TEXT, "logprobs": NOTHING_IN_IT}
    ),
    "response.output_text.done": event(
        "response.output_text.done", {**ITEM_PLACE, "text": TEXT, "logprobs": NOTHING_IN_IT}
    ),
}

# --- The checks ---

_validators: dict[int, jsonschema.Draft202012Validator] = {}  # by schema, which all live on
_EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


class ShapeError(AssertionError):
    """An answer is not as OpenAI publishes it."""


def _no_key_twice(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ShapeError(f"a key is there twice: {[key for key, _ in pairs]}")
    return found


def parse(text: str) -> Json:
    """JSON as strictly as it can be read."""

    def refuse(word: str) -> None:
        raise ShapeError(f"{word} is not JSON")

    found = json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=refuse)
    if not isinstance(found, dict):
        raise ShapeError(f"not an object: {text}")
    return found


def validate(value: Json, schema: Schema) -> None:
    validator = _validators.get(id(schema))
    if validator is None:
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = _validators[id(schema)] = jsonschema.Draft202012Validator(schema)
    error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    if error is not None:
        where = "/".join(str(part) for part in error.absolute_path)
        raise ShapeError(f"{where or 'top'}: {error.message}\nin {json.dumps(value)}")


def _without_nulls(value: Json) -> Json:
    """A completion as the package's types have it, which know no nulls where OpenAI sends them:
    before the end of a stream, and of an echo's first token."""
    value = json.loads(json.dumps(value))
    for choice in value["choices"]:
        choice["finish_reason"] = choice["finish_reason"] or "stop"
        logprobs = choice["logprobs"]
        if logprobs is not None:
            for name, nothing in (("token_logprobs", 0.0), ("top_logprobs", {})):
                logprobs[name] = [nothing if part is None else part for part in logprobs[name]]
    return value


def check_completion(value: Json, *, chunk: bool) -> None:
    validate(value, COMPLETION_CHUNK if chunk else COMPLETION)
    Completion.model_validate_json(json.dumps(_without_nulls(value)), strict=True)


def check_chat(value: Json, *, chunk: bool) -> None:
    validate(value, CHAT_CHUNK if chunk else CHAT)
    kind = ChatCompletionChunk if chunk else ChatCompletion
    kind.model_validate_json(json.dumps(value), strict=True)


def check_response(value: Json) -> None:
    validate(value, RESPONSE)
    Response.model_validate_json(json.dumps(value), strict=True)


def check_response_event(value: Json) -> None:
    if value.get("type") not in RESPONSE_EVENTS:
        raise ShapeError(f"no event of a response: {value}")
    validate(value, RESPONSE_EVENTS[value["type"]])
    _EVENTS.validate_json(json.dumps(value), strict=True)


def check_model(value: Json) -> None:
    validate(value, MODEL)
    Model.model_validate_json(json.dumps(value), strict=True)


def check_body(method: str, path: str, status: int, value: Json) -> None:
    """A whole answer to a request under /v1."""
    parts = path.strip("/").split("/")[1:]
    if status >= 400:
        validate(value, ERROR)
    elif path == "/v1/completions":
        check_completion(value, chunk=False)
    elif path == "/v1/chat/completions":
        check_chat(value, chunk=False)
    elif path == "/v1/responses":
        check_response(value)
    elif path == "/v1/models":
        validate(value, MODEL_LIST)
        for model in value["data"]:
            check_model(model)
    elif parts[0] == "models":
        check_model(value)
    elif (parts == ["sessions"] and method == "GET") or parts[-1] == "fork":
        validate(value, SESSION_LIST)
    elif method == "DELETE" and parts[0] != "sessions":
        validate(value, ANSWER_DELETED)
    elif parts[0] == "sessions":
        validate(value, SESSION_DELETED if method == "DELETE" else SESSION)
    else:
        raise ShapeError(f"nothing is known of {method} {path}")


class StreamCheck:
    """Reads the server-sent events of one answer, a line at a time, in the order of their coming."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._name: str | None = None
        self._data: str | None = None
        self.comments: list[str] = []
        self.events: list[Json] = []
        self.done = False
        self.failed = False

    def line(self, line: str) -> None:
        if line.startswith(":"):
            self.comments.append(line[1:].strip())
        elif line.startswith("event: "):
            self._name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            if self._data is not None:
                raise ShapeError(f"two lines of data in one event: {line}")
            self._data = line.removeprefix("data: ")
        elif not line:
            self._event()
        else:
            raise ShapeError(f"no line of an event stream: {line!r}")

    def _event(self) -> None:
        name, data = self._name, self._data
        self._name = self._data = None
        if data is None:
            return
        if self.done or self.failed:
            raise ShapeError(f"something after the end: {data}")
        if data == "[DONE]" and self._path != "/v1/responses":
            self.done = True
            return
        value = parse(data)
        self.events.append(value)
        if self._path == "/v1/responses":
            if name != value.get("type"):
                raise ShapeError(f"event {name} has the type {value.get('type')}")
            if value.get("sequence_number") != len(self.events) - 1:
                raise ShapeError(f"event {len(self.events) - 1} has another number: {data}")
            check_response_event(value)
            self.failed = value["type"] == "response.failed"
            self.done = value["type"] in ("response.completed", "response.incomplete")
        elif "error" in value:
            validate(value, ERROR)
            self.failed = True
        elif self._path == "/v1/completions":
            check_completion(value, chunk=True)
        else:
            check_chat(value, chunk=True)

    def end(self) -> None:
        """The whole stream was read."""
        if not self.done and not self.failed:
            raise ShapeError("the stream ended without its end")
        if self.failed:
            return
        if self._path == "/v1/responses":
            check_response_stream(self.events)
        else:
            check_chunks(self.events)


def _only(values: Iterable[Any]) -> Any:
    found = list(values)
    if len(found) != 1:
        raise ShapeError(f"one of these was to be there: {found}")
    return found[0]


def check_chunks(chunks: list[Json]) -> None:
    """What holds of a stream's chunks together."""
    for name in ("id", "created", "model", "object", "system_fingerprint"):
        if len({chunk[name] for chunk in chunks}) != 1:
            raise ShapeError(f"chunks of one stream differ in {name}")
    _only(chunk for chunk in chunks if "ssmd" in chunk)
    if "ssmd" not in chunks[-1]:
        raise ShapeError(f"the last chunk is without ssmd: {chunks[-1]}")
    counted = [chunk for chunk in chunks if chunk.get("usage") is not None]
    if any("usage" in chunk for chunk in chunks):
        if counted != [chunks[-1]] or chunks[-1]["choices"]:
            raise ShapeError("usage belongs into one last chunk, without choices")
        if not all("usage" in chunk for chunk in chunks):
            raise ShapeError("a chunk is without usage: null")
    ended: set[int] = set()
    begun: set[int] = set()
    for chunk in chunks:
        for choice in chunk["choices"]:
            index = choice["index"]
            if index in ended:
                raise ShapeError(f"choice {index} goes on after its end")
            if "delta" in choice and (index in begun) == ("role" in choice["delta"]):
                raise ShapeError(f"the role belongs into the first chunk of a choice: {chunk}")
            begun.add(index)
            if choice["finish_reason"] is not None:
                ended.add(index)
    if begun != ended or begun != set(range(len(begun))):
        raise ShapeError(f"choices {begun} began, and {ended} ended")


def check_response_stream(events: list[Json]) -> None:
    """What holds of a response's events together."""
    kinds = [event["type"] for event in events]
    deltas = kinds.count("response.output_text.delta")
    expected = ["response.created", "response.in_progress", "response.output_item.added"]
    expected += ["response.content_part.added", *["response.output_text.delta"] * deltas]
    expected += ["response.output_text.done", "response.content_part.done"]
    expected += ["response.output_item.done", kinds[-1]]
    if kinds != expected:
        raise ShapeError(f"events are not in their order: {kinds}")
    text = "".join(event.get("delta", "") for event in events)
    item = events[-1]["response"]["output"][0]
    texts = {
        text,
        events[-4]["text"],
        events[-3]["part"]["text"],
        events[-2]["item"]["content"][0]["text"],
        item["content"][0]["text"],
    }
    if len(texts) != 1:
        raise ShapeError(f"a response's text is not the same in all of its events: {texts}")
    if events[-2]["item"] != item:
        raise ShapeError("a response's message is not the same in its last events")
    _only({event["response"]["id"] for event in events if "response" in event})
    _only({event["item_id"] for event in events if "item_id" in event} | {item["id"]})
