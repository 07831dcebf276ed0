"""The openai package as it comes, asked in each of its ways: whole and streaming, sync and async."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2
import pytest
from openai import AsyncOpenAI, OpenAI

from checking import AsyncCheckingTransport, CheckingTransport
from daemon import MODEL

Kind = Literal["completions", "chat", "responses"]
KINDS: tuple[Kind, ...] = ("completions", "chat", "responses")
Mode = Literal["whole", "stream", "async whole", "async stream"]
MODES: tuple[Mode, ...] = ("whole", "stream", "async whole", "async stream")


PROMPT = "Once upon a time"
# What the model goes on with.
EXPECTED = ", there was a little girl named Lily"
WAYS = [pytest.param(*way, id="-".join(way)) for way in itertools.product(KINDS, MODES)]


@dataclass
class Answer:
    """What the three have in common."""

    id: str = ""
    texts: dict[int, str] = field(default_factory=dict)  # by choice
    finish: dict[int, str] = field(default_factory=dict)
    prompt_tokens: int = -1
    output_tokens: int = -1
    total_tokens: int = -1
    cached_tokens: int = -1
    pieces: int = 0
    ssmd: dict[str, Any] = field(default_factory=dict)
    choice_ssmd: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        assert list(self.texts) == [0]
        return self.texts[0]

    def take(self, part: Any) -> None:
        """A whole answer, a chunk, or an event."""
        if getattr(part, "object", None) == "response":
            self._take_response(part)
        elif not hasattr(part, "choices"):
            self._take_event(part)
        else:
            self._take_choices(part)

    def _take_choices(self, part: Any) -> None:
        self.id = part.id
        for choice in part.choices:
            if hasattr(choice, "text"):
                text = choice.text
            else:
                said: Any = getattr(choice, "message", None) or getattr(choice, "delta", None)
                text = said.content or ""
            self.pieces += bool(text)
            self.texts[choice.index] = self.texts.get(choice.index, "") + text
            if choice.finish_reason is not None:
                self.finish[choice.index] = choice.finish_reason
            if getattr(choice, "ssmd", None) is not None:
                self.choice_ssmd[choice.index] = choice.ssmd
        if part.usage is not None:
            self.prompt_tokens = part.usage.prompt_tokens
            self.output_tokens = part.usage.completion_tokens
            self.total_tokens = part.usage.total_tokens
            self.cached_tokens = part.usage.prompt_tokens_details.cached_tokens
        self.ssmd = getattr(part, "ssmd", None) or self.ssmd

    def _take_event(self, event: Any) -> None:
        if event.type == "response.output_text.delta":
            self.pieces += 1
            self.texts[0] = self.texts.get(0, "") + event.delta
        elif event.type in ("response.completed", "response.incomplete"):
            streamed = self.texts.get(0, "")
            self._take_response(event.response)
            assert self.text == streamed

    def _take_response(self, response: Any) -> None:
        self.id = response.id
        self.pieces = self.pieces or 1
        self.texts[0] = response.output_text
        self.finish[0] = "stop" if response.status == "completed" else "length"
        self.prompt_tokens = response.usage.input_tokens
        self.output_tokens = response.usage.output_tokens
        self.total_tokens = response.usage.total_tokens
        self.cached_tokens = response.usage.input_tokens_details.cached_tokens
        self.ssmd = response.ssmd


def arguments_of(kind: Kind, prompt: Any, tokens: int, /, **more: Any) -> dict[str, Any]:
    """`prompt` is a text, or for chats and responses messages."""
    arguments: dict[str, Any] = {"model": MODEL, "temperature": 0}
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    if kind == "completions":
        arguments |= {"prompt": prompt, "max_tokens": tokens}
    elif kind == "chat":
        arguments |= {"messages": messages, "max_completion_tokens": tokens}
    else:
        arguments |= {"input": messages, "max_output_tokens": tokens}
    return arguments | more


def endpoint_of(client: Any, kind: Kind) -> Any:
    if kind == "chat":
        return client.chat.completions
    return getattr(client, kind)


class Asker:
    def __init__(self, url: str, token: str = "none") -> None:
        self._url = url
        self._token = token
        self.client = self.make(token)

    def make(self, token: str) -> OpenAI:
        http = httpx2.Client(trust_env=False, transport=CheckingTransport())
        return OpenAI(
            base_url=f"{self._url}/v1", api_key=token, max_retries=0, timeout=60, http_client=http
        )

    def make_async(self) -> AsyncOpenAI:
        http = httpx2.AsyncClient(trust_env=False, transport=AsyncCheckingTransport())
        return AsyncOpenAI(
            base_url=f"{self._url}/v1",
            api_key=self._token,
            max_retries=0,
            timeout=60,
            http_client=http,
        )

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def __call__(
        self, kind: Kind, prompt: Any, /, tokens: int = 16, mode: Mode = "whole", **more: Any
    ) -> Answer:
        arguments = arguments_of(kind, prompt, tokens, **more)
        if mode.endswith("stream"):
            arguments["stream"] = True
            if kind != "responses":
                arguments.setdefault("stream_options", {"include_usage": True})
        if mode.startswith("async"):
            return asyncio.run(self._ask_async(kind, arguments))
        answer = Answer()
        result = endpoint_of(self.client, kind).create(**arguments)
        for part in result if "stream" in arguments else [result]:
            answer.take(part)
        return answer

    async def _ask_async(self, kind: Kind, arguments: dict[str, Any]) -> Answer:
        answer = Answer()
        async with self.make_async() as client:
            result = await endpoint_of(client, kind).create(**arguments)
            if "stream" not in arguments:
                answer.take(result)
            else:
                async for part in result:
                    answer.take(part)
        return answer


def raw(ask: Asker, **more: Any) -> Any:
    """A completion as the package gives it."""
    return ask.client.completions.create(**arguments_of("completions", PROMPT, 8, **more))


def raw_chat(ask: Asker, **more: Any) -> Any:
    return ask.client.chat.completions.create(**arguments_of("chat", PROMPT, 8, **more))
