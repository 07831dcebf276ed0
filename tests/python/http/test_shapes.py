"""Answers have OpenAI's published shapes, byte for byte as they come.

What other tests get is checked too (see checking.py). Here is each kind of answer once, and that
the check itself finds what is wrong.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import httpx2
import jsonschema
import pytest

import checking
import shapes
from asking import KINDS, Kind
from daemon import END_ID, ENDLESS, MODEL, token_id

PROMPT = "Once upon a time"
Json = dict[str, Any]
PATHS: dict[Kind, str] = {
    "completions": "/v1/completions",
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
}
BODIES: dict[Kind, list[Json]] = {
    "completions": [
        {},
        {"logprobs": 0},
        {"logprobs": 5, "echo": True},
        {"logprobs": 20, "n": 3, "temperature": 2, "seed": 1, "max_tokens": 40},
        {"n": 2, "store": True},
        {"max_tokens": 0},
        {"stop": "little", "max_tokens": 40},
        {"seed": -1, "temperature": 10, "max_tokens": 100},
    ],
    "chat": [
        {},
        {"logprobs": True},
        {"logprobs": True, "top_logprobs": 20, "temperature": 2, "seed": 1, "max_tokens": 40},
        {"n": 3, "store": True},
        {"max_tokens": 0},
        {"stop": ["a"], "max_tokens": 40},
    ],
    "responses": [
        {},
        {"store": False},
        {"instructions": "Be kind.", "metadata": {"a": "b"}, "temperature": 0.5, "top_p": 0.9},
        {"max_output_tokens": 0},
        {"max_output_tokens": 3},
        {"max_output_tokens": 60, "temperature": 0, "logit_bias": {str(END_ID): 6}},
    ],
}
ALL_BODIES = [
    pytest.param(kind, body, id=f"{kind}-{i}")
    for kind in KINDS
    for i, body in enumerate(BODIES[kind])
]


def body_of(kind: Kind, **more: Any) -> Json:
    body: Json = {"model": MODEL}
    if kind == "completions":
        body |= {"prompt": PROMPT, "max_tokens": 8}
    elif kind == "chat":
        body |= {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 8}
    else:
        body |= {"input": PROMPT, "max_output_tokens": 8}
    return body | more


@pytest.fixture(autouse=True)
def everything_is_looked_at() -> None:
    checking.looked_at.clear()


# --- Each kind of answer ---


@pytest.mark.parametrize(("kind", "body"), ALL_BODIES)
def test_whole_answers(http: httpx2.Client, kind: Kind, body: Json) -> None:
    response = http.post(PATHS[kind], json=body_of(kind, **body))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert checking.looked_at == [f"POST {PATHS[kind]} 200"]
    if kind == "responses":
        answer = response.json()
        for name in ("temperature", "top_p", "instructions", "max_output_tokens"):
            if name in body:
                assert answer[name] == pytest.approx(body[name])
        assert answer["store"] is body.get("store", True)
        ended = "logit_bias" in body
        assert answer["status"] == ("completed" if ended else "incomplete")
        assert (answer["incomplete_details"] is None) == ended


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize(("kind", "body"), ALL_BODIES)
def test_streams(http: httpx2.Client, kind: Kind, body: Json, usage: bool) -> None:
    """Their order too: the check of a stream's end looks at all of it."""
    body = body_of(kind, stream=True, **body)
    if usage and kind != "responses":
        body["stream_options"] = {"include_usage": True}
    response = http.post(PATHS[kind], json=body)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert checking.looked_at == [f"POST {PATHS[kind]} 200"]
    assert response.text.endswith("\n\n")
    assert response.text.count("[DONE]") == (0 if kind == "responses" else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_says_what_the_whole_does(http: httpx2.Client, kind: Kind) -> None:
    """Members that a stream and a whole answer have in common are the same."""
    body = body_of(kind, temperature=0)
    if kind != "responses":
        body["stream_options"] = {"include_usage": True}
    text = http.post(PATHS[kind], json={**body, "stream": True}).text
    data = [line[6:] for line in text.splitlines() if line.startswith("data: {")]
    last = shapes.parse(data[-1])
    body.pop("stream_options", None)
    whole = http.post(PATHS[kind], json=body).json()
    end = last["response"] if kind == "responses" else last
    for name in set(end) - {"id", "created", "created_at", "object", "choices", "output", "ssmd"}:
        if name == "usage":
            continue  # the second read nothing again
        assert end[name] == whole[name], name
    assert set(end["ssmd"]) == set(whole["ssmd"])
    assert set(end) == set(whole)


def test_sessions_and_models(http: httpx2.Client) -> None:
    session = http.post("/v1/sessions", json={"text": PROMPT, "ttl_seconds": 60}).json()["id"]
    path = f"/v1/sessions/{session}"
    http.post(f"{path}/checkpoint", json={"name": "a"})
    http.post(f"{path}/fork", json={"count": 2})
    http.post(f"{path}/rewind", json={"checkpoint": "a"})
    for asked in ("/v1/sessions", path, "/v1/models", f"/v1/models/{MODEL}"):
        assert http.get(asked).status_code == 200
    http.delete(path)
    for asked in ("/v1/no_such", "/v1/models/other", path, "/v1/sessions?limit=x"):
        assert http.get(asked).status_code >= 400
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert http.request(method, "/v1/completions").status_code == 405
    for content in (b"", b"{", b"[]", b"null", b"1", b"\xff", b'{"model":"\xff"}', b"[" * 99):
        for kind in KINDS:
            headers = {"Content-Type": "application/json"}
            response = http.post(PATHS[kind], content=content, headers=headers)
            assert response.status_code == 400
    assert len(checking.looked_at) == 9 + 4 + 5 + 8 * 3


@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_within_a_stream(http: httpx2.Client, kind: Kind) -> None:
    """Of a session that is deleted while its turn is in progress."""
    session = http.post("/v1/sessions", json={"model": MODEL}).json()["id"]
    most = "max_output_tokens" if kind == "responses" else "max_tokens"
    more: Json = {most: ENDLESS, "logit_bias": {str(token_id(" dog")): 100}}
    more["ssmd"] = {"session_id": session}
    if kind == "responses":
        more["store"] = False
    body = body_of(kind, stream=True, **more)
    with http.stream("POST", PATHS[kind], json=body) as response:
        lines = response.iter_lines()
        assert any(line.startswith("data: {") for line in lines)
        assert http.delete(f"/v1/sessions/{session}").status_code == 200
        data = [line[6:] for line in lines if line.startswith("data: ")]
    last = json.loads(data[-1])
    error = last["response"]["error"] if kind == "responses" else last["error"]
    assert "the session was deleted" in error["message"]
    assert checking.looked_at[1] == f"POST {PATHS[kind]} 200"


def test_members_of_ssmd_only(http: httpx2.Client) -> None:
    """The one extension is `ssmd`: an answer without it is OpenAI's."""
    for kind in KINDS:
        answer = http.post(PATHS[kind], json=body_of(kind)).json()
        assert "ssmd" in answer
        del answer["ssmd"]
        schema = {"completions": shapes.COMPLETION, "chat": shapes.CHAT}.get(kind, shapes.RESPONSE)
        bare = copy.deepcopy(schema)
        del bare["properties"]["ssmd"]
        bare["required"] = [name for name in bare["required"] if name != "ssmd"]
        jsonschema.validate(answer, bare)


# --- The check finds what is wrong ---


def spoilt(value: Json, path: str, new: Any) -> Json:
    value = copy.deepcopy(value)
    place: Any = value
    *parts, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in parts:
        place = place[part]
    if new is KeyError:
        del place[last]
    else:
        place[last] = new
    return value


SPOILT: list[tuple[Kind, str, Any]] = [
    ("completions", "id", "x"),
    ("completions", "object", "completion"),
    ("completions", "created", 1.5),
    ("completions", "choices", []),
    ("completions", "choices/0/text", None),
    ("completions", "choices/0/finish_reason", None),
    ("completions", "choices/0/logprobs", KeyError),
    ("completions", "choices/0/extra", 1),
    ("completions", "usage/total_tokens", "9"),
    ("completions", "usage", KeyError),
    ("chat", "choices/0/message/role", "user"),
    ("chat", "choices/0/message/refusal", KeyError),
    ("chat", "choices/0/finish_reason", "end"),
    ("chat", "extra", 1),
    ("responses", "output/0/content/0/annotations", KeyError),
    ("responses", "metadata", KeyError),
    ("responses", "temperature", "1"),
    ("responses", "status", "done"),
    ("responses", "usage/input_tokens_details", {}),
    ("responses", "tools", None),
]


@pytest.mark.parametrize(("kind", "path", "new"), SPOILT)
def test_the_check_finds_what_is_wrong(
    http: httpx2.Client, kind: Kind, path: str, new: Any
) -> None:
    whole = http.post(PATHS[kind], json=body_of(kind)).json()
    with pytest.raises(shapes.ShapeError):
        shapes.check_body("POST", PATHS[kind], 200, spoilt(whole, path, new))


def test_the_check_finds_what_is_wrong_in_a_stream(http: httpx2.Client) -> None:
    for kind in KINDS:
        text = http.post(PATHS[kind], json=body_of(kind, stream=True)).text
        lines = text.split("\n")

        def check(lines: list[str], path: str = PATHS[kind]) -> None:
            stream = shapes.StreamCheck(path)
            for line in lines:
                stream.line(line)
            stream.end()

        check(lines)
        events = text.split("\n\n")
        for wrong in (
            "\n\n".join(events[:-2]) + "\n\n",  # without its end
            text + events[0] + "\n\n",  # with something after it
            text.replace("data: {", "data: [{", 1),
            text.replace("data: {", "date: {", 1),
            text.replace('"id":', '"id":"x","id":', 1),
            text.replace(MODEL, "other", 1),
        ):
            if kind == "responses" and "other" in wrong:
                continue
            with pytest.raises((shapes.ShapeError, ValueError)):
                check(wrong.split("\n"))
    with pytest.raises(shapes.ShapeError):
        shapes.parse('{"a": 1, "a": 2}')
    with pytest.raises(shapes.ShapeError):
        shapes.parse('{"a": NaN}')


def test_schemas_are_schemas() -> None:
    named = [value for name, value in vars(shapes).items() if name.isupper()]
    schemas = [value for value in named if isinstance(value, dict) and "properties" in value]
    assert len(schemas) > 15
    for schema in [*schemas, *shapes.RESPONSE_EVENTS.values()]:
        jsonschema.Draft202012Validator.check_schema(schema)
