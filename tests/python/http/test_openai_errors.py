"""The openai package, unmodified, against the daemon: refusals, callers that go away, models."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from asking import (
    EXPECTED,
    KINDS,
    MODES,
    PROMPT,
    WAYS,
    Answer,
    Asker,
    Kind,
    Mode,
    arguments_of,
    endpoint_of,
    raw,
)
from daemon import ENDLESS, MODEL, Daemon, eventually, token_id

# --- Errors ---

Refused = tuple[Kind, dict[str, Any], str]
REFUSED: list[Refused] = [
    ("completions", {"temperature": -1}, "temperature"),
    ("completions", {"temperature": "warm"}, "temperature"),
    ("completions", {"top_p": 0}, "top_p"),
    ("completions", {"top_p": 1.5}, "top_p"),
    ("completions", {"n": 0}, "n"),
    ("completions", {"n": 1000}, "n"),
    ("completions", {"max_tokens": -1}, "max_tokens"),
    ("completions", {"max_tokens": 10**7}, "max_tokens"),
    ("completions", {"logprobs": 21}, "logprobs"),
    ("completions", {"stop": [""]}, "stop"),
    ("completions", {"stop": [str(i) for i in range(40)]}, "stop"),
    ("completions", {"stop": [1]}, "stop"),
    ("completions", {"logit_bias": {"1": 101}}, "logit_bias"),
    ("completions", {"logit_bias": {"99999": 1}}, "logit_bias"),
    ("completions", {"logit_bias": {"dog": 1}}, "logit_bias"),
    ("completions", {"presence_penalty": 3}, "presence_penalty"),
    ("completions", {"frequency_penalty": -3}, "frequency_penalty"),
    ("completions", {"seed": 1.5}, "seed"),
    ("completions", {"suffix": "the end"}, "suffix"),
    ("completions", {"best_of": 4}, "best_of"),
    ("completions", {"prompt": ["one", "two"]}, "prompt"),
    ("completions", {"prompt": [1, 99999]}, "prompt"),
    ("completions", {"prompt": [1, -1]}, "prompt"),
    ("completions", {"prompt": None}, "prompt"),
    ("completions", {"prompt": ""}, "prompt"),
    ("completions", {"prompt": []}, "prompt"),
    ("completions", {"stream_options": {"include_usage": True}}, "stream_options"),
    ("completions", {"extra_body": {"top_k": -1}}, "top_k"),
    ("completions", {"extra_body": {"min_p": 2}}, "min_p"),
    ("completions", {"extra_body": {"repetition_penalty": 0}}, "repetition_penalty"),
    ("completions", {"extra_body": {"ignore_eos": 1}}, "ignore_eos"),
    ("completions", {"extra_body": {"stop_token_ids": ["a"]}}, "stop_token_ids"),
    ("completions", {"extra_body": {"stop_token_ids": [-1]}}, "stop_token_ids"),
    ("completions", {"extra_body": {"stop_token_ids": [99999]}}, "stop_token_ids"),
    ("completions", {"extra_body": {"no_such": 1}}, "no_such"),
    ("completions", {"extra_body": {"ssmd": {"no_such": 1}}}, "ssmd.no_such"),
    ("completions", {"extra_body": {"ssmd": {"request_id": "a"}}}, "ssmd.request_id"),
    ("chat", {"max_completion_tokens": -1}, "max_completion_tokens"),
    ("chat", {"top_logprobs": 2}, "top_logprobs"),
    ("chat", {"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ("chat", {"messages": []}, "messages"),
    ("chat", {"messages": [{"content": "Hi"}]}, "messages[0].role"),
    ("chat", {"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
    ("chat", {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ("chat", {"response_format": {"type": "json_object"}}, "response_format"),
    ("chat", {"modalities": ["text", "audio"]}, "modalities"),
    ("responses", {"max_output_tokens": -1}, "max_output_tokens"),
    ("responses", {"input": []}, "input"),
    ("responses", {"input": 1}, "input"),
    ("responses", {"tools": [{"type": "web_search"}]}, "tools"),
    ("responses", {"background": True}, "background"),
    ("responses", {"text": {"format": {"type": "json_object"}}}, "text.format"),
]


@pytest.mark.parametrize(
    ("kind", "parameters", "param"),
    [pytest.param(*row, id=f"{row[0]}-{row[2]}-{i}") for i, row in enumerate(REFUSED)],
)
@pytest.mark.parametrize("mode", ["whole", "stream"])
def test_bad_requests_name_the_parameter(
    ask: Asker, kind: Kind, parameters: dict[str, Any], param: str, mode: Mode
) -> None:
    if mode == "stream" and "stream_options" in parameters:
        parameters = {"stream_options": {"no_such": 1}}
        param = "stream_options.no_such"
    with pytest.raises(openai.BadRequestError) as caught:
        ask(kind, PROMPT, mode=mode, **parameters)
    error = caught.value
    assert (error.status_code, error.param, error.code) == (400, param, "invalid_field")
    assert error.type == "invalid_request_error"
    body = error.body
    assert isinstance(body, dict)
    # In the words of this API, not of another.
    assert param.split(".")[-1].split("[")[0] in body["message"]
    for word in ("token_ids or messages", "COMMIT_", "page_", "stop.strings"):
        assert word not in body["message"]
    assert error.request_id is not None


def test_prompts_that_are_too_long(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon("--max-history-tokens", "64", "--max-prompt-bytes", "1K")
    with Asker(daemon.url) as ask:
        for kind, mode in itertools.product(KINDS, MODES):
            for prompt, tokens in (("dog " * 100, 1), (PROMPT, 64)):
                with pytest.raises(openai.BadRequestError, match="at most 64 tokens") as caught:
                    ask(kind, prompt, tokens=tokens, mode=mode)
                assert caught.value.code == "history_too_long"
            with pytest.raises(openai.BadRequestError, match="--max-prompt-bytes"):
                ask(kind, "dog " * 300, mode=mode)
            assert ask(kind, PROMPT, tokens=20, mode=mode).output_tokens == 20


@pytest.mark.parametrize(("kind", "mode"), WAYS)
def test_an_unknown_model(ask: Asker, kind: Kind, mode: Mode) -> None:
    with pytest.raises(openai.NotFoundError, match="no model named other") as caught:
        ask(kind, PROMPT, mode=mode, model="other")
    assert (caught.value.status_code, caught.value.code) == (404, "model_not_found")


def test_tokens_are_asked_for(start_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa alice\n")
    tokens.chmod(0o600)
    daemon = start_daemon("--token-file", str(tokens), token="a" * 32)
    for token in ("wrong", "a" * 31):
        with Asker(daemon.url, token) as stranger:
            for kind, mode in itertools.product(KINDS, MODES):
                with pytest.raises(openai.AuthenticationError) as caught:
                    stranger(kind, PROMPT, mode=mode)
                assert (caught.value.status_code, caught.value.type) == (
                    401,
                    "authentication_error",
                )
                assert caught.value.response.headers["www-authenticate"] == "Bearer"
            with pytest.raises(openai.AuthenticationError):
                stranger.client.models.list()
    with Asker(daemon.url, "a" * 32) as known:
        assert known("completions", PROMPT).text.startswith(EXPECTED)
        assert known("completions", PROMPT, mode="async stream").text.startswith(EXPECTED)
        assert [model.id for model in known.client.models.list()] == [MODEL]


def test_as_many_requests_at_once_as_allowed(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon("--max-requests", "1")
    with Asker(daemon.url) as ask:
        stream = raw(ask, max_tokens=ENDLESS, stream=True, extra_body={"ignore_eos": True})
        assert next(stream).choices[0].text
        for kind, mode in itertools.product(KINDS, MODES):
            with pytest.raises(openai.RateLimitError, match="--max-requests") as caught:
                ask(kind, PROMPT, mode=mode)
            assert (caught.value.status_code, caught.value.type) == (429, "rate_limit_error")
            assert caught.value.code == "too_many_requests"
            assert int(caught.value.response.headers["retry-after"]) >= 1
            assert int(caught.value.response.headers["retry-after-ms"]) >= 1
        stream.close()
        # The package tries again by itself.
        patient = ask.client.with_options(max_retries=50)
        assert patient.completions.create(**arguments_of("completions", PROMPT, 2)).choices


def test_a_busy_session(ask: Asker, daemon: Daemon) -> None:
    made = daemon.http.post("/v1/sessions", json={"model": MODEL, "text": PROMPT}).json()
    session = made["id"]
    of_session: dict[str, Any] = {
        "extra_body": {"ssmd": {"session_id": session}, "ignore_eos": True}
    }
    stream = raw(ask, max_tokens=ENDLESS, stream=True, prompt="", **of_session)
    assert next(stream).choices[0].text
    for mode in MODES:
        with pytest.raises(openai.ConflictError) as caught:
            ask("completions", " and", mode=mode, **of_session)
        assert (caught.value.status_code, caught.value.code) == (409, "session_busy")
    stream.close()
    assert eventually(daemon.is_at_rest)
    left = daemon.http.get(f"/v1/sessions/{session}").json()
    assert (left["revision"], left["running"]) == (made["revision"], False)
    daemon.http.delete(f"/v1/sessions/{session}")


# --- Going away ---


@pytest.mark.parametrize("kind", KINDS)
def test_closing_a_stream_ends_its_turn(ask: Asker, daemon: Daemon, kind: Kind) -> None:
    more: dict[str, Any] = {"extra_body": {"ignore_eos": True}}
    create = endpoint_of(ask.client, kind).create
    if kind == "responses":
        more = {"store": False, "extra_body": {"logit_bias": {str(token_id(" dog")): 100}}}
    with create(**arguments_of(kind, PROMPT, ENDLESS, stream=True, **more)) as stream:
        for _ in zip(range(6), stream, strict=False):
            pass
        assert daemon.metric("ssmd_requests_running") == 1
    assert eventually(daemon.is_at_rest)
    assert ask(kind, PROMPT, tokens=2).output_tokens == 2


@pytest.mark.parametrize("stream", [False, True])
def test_cancelling_a_task_ends_its_turn(ask: Asker, daemon: Daemon, stream: bool) -> None:
    arguments = arguments_of("completions", PROMPT, ENDLESS, extra_body={"ignore_eos": True})

    async def endless() -> None:
        async with ask.make_async() as client:
            if not stream:
                await client.completions.create(**arguments)
                return
            async for _ in await client.completions.create(**arguments, stream=True):
                pass

    async def cancelled() -> None:
        task = asyncio.create_task(endless())
        running = asyncio.to_thread(eventually, lambda: daemon.metric("ssmd_requests_running") == 1)
        assert await running
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert eventually(daemon.is_at_rest)


def test_streams_side_by_side(ask: Asker) -> None:
    """Streams that are computed together say what each says alone."""
    prompts = [PROMPT, "The dog", "Lily and Tom", "One day"]
    alone = [ask("completions", prompt, tokens=40).text for prompt in prompts]

    async def one(client: openai.AsyncOpenAI, prompt: str) -> str:
        answer = Answer()
        arguments = arguments_of("completions", prompt, 40)
        async for chunk in await client.completions.create(**arguments, stream=True):
            answer.take(chunk)
        return answer.text

    async def together() -> list[str]:
        async with ask.make_async() as client:
            return await asyncio.gather(*(one(client, prompt) for prompt in prompts * 4))

    assert asyncio.run(together()) == alone * 4


# --- Models and headers ---


def test_models(ask: Asker) -> None:
    (model,) = ask.client.models.list()
    assert (model.id, model.owned_by) == (MODEL, "ssmd")
    assert ask.client.models.retrieve(MODEL) == model
    details: dict[str, Any] = model.to_dict()["ssmd"]  # type: ignore[assignment]
    assert details["vocabulary_size"] == 2048
    assert details["chat_format"] == "chatml"
    assert details["has_tokenizer"] is True
    with pytest.raises(openai.NotFoundError) as caught:
        ask.client.models.retrieve("other")
    assert caught.value.code == "model_not_found"


def test_what_this_server_does_not_have(ask: Asker) -> None:
    client = ask.client
    calls: list[Callable[[], object]] = [
        lambda: client.embeddings.create(model=MODEL, input="a"),
        lambda: client.responses.retrieve("resp_1"),
        lambda: client.responses.cancel("resp_1"),
        lambda: client.chat.completions.list(),
        lambda: client.files.list(),
    ]
    for call in calls:
        with pytest.raises(openai.APIStatusError, match=r"nothing here|that method") as caught:
            call()
        assert caught.value.status_code in (404, 405)
        assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize("kind", KINDS)
def test_requests_have_ids(ask: Asker, kind: Kind) -> None:
    raw_calls = endpoint_of(ask.client, kind).with_raw_response
    seen = set()
    for stream in (False, True):
        response = raw_calls.create(**arguments_of(kind, PROMPT, 2, stream=stream))
        assert response.status_code == 200
        seen.add(response.headers["x-request-id"])
        parsed = response.parse()
        if stream:
            assert list(parsed)
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        else:
            assert parsed._request_id == response.headers["x-request-id"]
    assert len(seen) == 2


def test_a_chat_model_is_needed_for_chats(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon(chat="none")
    with Asker(daemon.url) as ask:
        assert ask("completions", PROMPT).text.startswith(EXPECTED)
        for kind in ("chat", "responses"):
            with pytest.raises(openai.BadRequestError, match=r"chat"):
                ask(kind, PROMPT)
        models = ask.client.models.list().data
        assert models[0].to_dict()["ssmd"]["chat_format"] == "none"  # type: ignore[index]
