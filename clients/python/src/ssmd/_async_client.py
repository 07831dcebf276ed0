"""A client for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from ssmd._async_calls import AsyncCalls, AsyncStream
from ssmd._async_memory import AsyncMemory
from ssmd._async_session import AsyncSession, OpeningSession
from ssmd._channel import FilePath, Tls, make_settings
from ssmd._memory_state import open_memory_request
from ssmd._methods import (
    CREATE,
    DETOKENIZE,
    ENCODE,
    GET,
    GET_MODEL,
    LIST,
    LIST_MODELS,
    SCORE,
    TOKENIZE,
)
from ssmd._proto import generation_pb2, model_pb2, session_pb2
from ssmd._requests import (
    ChatMessage,
    GenerateOptions,
    Pooling,
    create_request,
    encode_request,
    generate_request,
    import_request,
    lifetime_of,
    score_request,
)
from ssmd._results import (
    Completion,
    Floats,
    Model,
    Score,
    SessionInfo,
    encoded_of,
    model_of,
    score_of,
    session_info_of,
)
from ssmd._retries import Retries, Safety

if TYPE_CHECKING:
    from typing_extensions import Unpack


class AsyncClient:
    """A client of an ssmd daemon.

        async with ssmd.AsyncClient("127.0.0.1:50051") as client:
            async for text in client.generate("Once upon a time", max_tokens=60):
                print(text, end="", flush=True)

    Belongs to the event loop that its first call runs in, and is meant to be shared by its tasks: its
    calls run over one connection. The end of a task ends its call at the server. Calls raise subclasses
    of `ssmd.Error`.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        token: str | None = None,
        tls: bool | Tls = False,
        timeout: float | None = None,
        retries: int | Retries = Retries(),  # noqa: B008, it is frozen
        allow_plaintext_token: bool = False,
    ) -> None:
        """
        server: "HOST:PORT"; SSMD_SERVER where it is not given, or 127.0.0.1:50051.
        token: the bearer token; SSMD_TOKEN where it is not given. Without TLS it is sent to this
            machine only, unless `allow_plaintext_token` is set.
        tls: True, with the system's certificates, or a Tls.
        timeout: seconds that each call may take, tries and all, unless it says otherwise; None: no limit.
        retries: how often a call that failed is tried again where that is safe, or a Retries.
        """
        self._calls = AsyncCalls(
            make_settings(
                server,
                token=token,
                tls=tls,
                timeout=timeout,
                retries=retries,
                allow_plaintext_token=allow_plaintext_token,
            )
        )

    async def close(self) -> None:
        """Closes the connection. Calls in progress end with Cancelled."""
        await self._calls.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def models(self, *, timeout: float | None = None) -> list[Model]:
        """The models that are served."""
        response = await self._calls.unary(
            LIST_MODELS, model_pb2.ListModelsRequest(), timeout=timeout
        )
        return [model_of(model) for model in response.models]

    async def model(self, name: str, *, timeout: float | None = None) -> Model:
        request = model_pb2.GetModelRequest(name=name)
        return model_of((await self._calls.unary(GET_MODEL, request, timeout=timeout)).model)

    def generate(
        self,
        prompt: str | None = None,
        *,
        tokens: Iterable[int] | None = None,
        messages: Iterable[ChatMessage] | None = None,
        model: str = "",
        **options: Unpack[GenerateOptions],
    ) -> AsyncStream:
        """Begins to generate after text as it is, token ids or chat messages, without a session.

        `model` may be left out where one is served. The options are those of GenerateOptions.
        """
        request, timeout = generate_request(prompt, tokens, messages, model, options)
        return AsyncStream(self._calls, request, timeout)

    async def complete(
        self,
        prompt: str | None = None,
        *,
        tokens: Iterable[int] | None = None,
        messages: Iterable[ChatMessage] | None = None,
        model: str = "",
        **options: Unpack[GenerateOptions],
    ) -> Completion:
        """As `generate`, and waits for the end."""
        return await self.generate(
            prompt, tokens=tokens, messages=messages, model=model, **options
        ).result()

    async def score(
        self,
        prompt: str | None = None,
        *,
        tokens: Iterable[int] | None = None,
        model: str = "",
        top_logprobs: int = 0,
        parse_special: bool = False,
        timeout: float | None = None,
    ) -> Score:
        """Log-probabilities of given tokens, each given all before it; `top_logprobs` alternatives."""
        request = score_request(prompt, tokens, model, top_logprobs, parse_special)
        return score_of(await self._calls.unary(SCORE, request, timeout=timeout), top_logprobs)

    async def encode(
        self,
        prompt: str | None = None,
        *,
        tokens: Iterable[int] | None = None,
        model: str = "",
        pooling: Pooling = "mean",
        normalize: bool = False,
        parse_special: bool = False,
        timeout: float | None = None,
    ) -> Floats:
        """A text as one vector, to classify or compare: the last hidden values of all its tokens, pooled.

        With `normalize` its length is 1, so that dot products are cosines.
        """
        request = encode_request(prompt, tokens, model, pooling, normalize, parse_special)
        return encoded_of(await self._calls.unary(ENCODE, request, timeout=timeout))

    async def tokenize(
        self,
        text: str,
        *,
        model: str = "",
        parse_special: bool = False,
        timeout: float | None = None,
    ) -> list[int]:
        """The token ids of a text; never with a BOS."""
        request = generation_pb2.TokenizeRequest(
            model=model, text=text, parse_special=parse_special
        )
        response = await self._calls.unary(TOKENIZE, request, timeout=timeout)
        return list(response.token_ids)

    async def detokenize(
        self, tokens: Iterable[int], *, model: str = "", timeout: float | None = None
    ) -> str:
        """The text of token ids. Bytes that are not UTF-8 become U+FFFD."""
        request = generation_pb2.DetokenizeRequest(
            model=model, token_ids=[int(token) for token in tokens]
        )
        response = await self._calls.unary(DETOKENIZE, request, timeout=timeout)
        return response.text

    def session(
        self,
        prompt: str | None = None,
        *,
        tokens: Iterable[int] | None = None,
        messages: Iterable[ChatMessage] | None = None,
        model: str = "",
        parse_special: bool = False,
        ttl_seconds: int | None = None,
        idle_seconds: int | None = None,
        delete_on_exit: bool = False,
        timeout: float | None = None,
    ) -> OpeningSession:
        """A new session, with an empty history or with one that is read now: `await` or `async with` it.

        It ends `ttl_seconds` after its creation, `idle_seconds` after its last use (0: never; the
        server's choice where they are not given), when it is deleted, or at the end of a `with` block
        where `delete_on_exit` is set.
        """
        lifetime = lifetime_of(ttl_seconds, idle_seconds)
        request = create_request(prompt, tokens, messages, model, parse_special, lifetime)

        async def create() -> AsyncSession:
            response = await self._calls.unary(
                CREATE, request, timeout=timeout, safety=Safety.CHANGE
            )
            return AsyncSession(self._calls, response.session, delete_on_exit)

        return OpeningSession(create())

    def attach(
        self, session_id: str, *, delete_on_exit: bool = False, timeout: float | None = None
    ) -> OpeningSession:
        """A session that exists, by its id: `await` or `async with` it."""
        request = session_pb2.GetSessionRequest(session_id=session_id)

        async def get() -> AsyncSession:
            response = await self._calls.unary(GET, request, session_id=session_id, timeout=timeout)
            return AsyncSession(self._calls, response.session, delete_on_exit)

        return OpeningSession(get())

    async def memory(
        self,
        model: str = "",
        *,
        session_id: str | None = None,
        ttl_seconds: int | None = None,
        idle_seconds: int | None = None,
        delete_on_exit: bool = False,
        timeout: float | None = None,
    ) -> AsyncMemory:
        """A new session of a memory of signals, or one that exists, by its id.

        It ends as `session` says.
        """
        request = open_memory_request(model, session_id, ttl_seconds, idle_seconds)
        safety = Safety.CHANGE if session_id is None else Safety.READ
        responses = await self._calls.memory(
            [request], session_id=session_id or "", timeout=timeout, safety=safety
        )
        opened = responses[0].opened
        session = AsyncSession(self._calls, opened.session, delete_on_exit)
        return AsyncMemory(self._calls, opened, session)

    async def sessions(
        self, *, model: str = "", parent_id: str = "", timeout: float | None = None
    ) -> AsyncIterator[SessionInfo]:
        """All sessions, in the order of their ids: of one model, or forked from one, where given."""
        request = session_pb2.ListSessionsRequest(model=model, parent_id=parent_id, page_size=1000)
        while True:
            page = await self._calls.unary(LIST, request, timeout=timeout)
            for session in page.sessions:
                yield session_info_of(session)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def load(
        self,
        path: FilePath,
        *,
        model: str = "",
        allow_inexact: bool = False,
        rebuild: bool = False,
        ttl_seconds: int | None = None,
        idle_seconds: int | None = None,
        delete_on_exit: bool = False,
        timeout: float | None = None,
    ) -> OpeningSession:
        """A new session from a file that `Session.save` wrote: `await` or `async with` it.

        FailedPrecondition says what differs where it is of another model, layout or numerics profile;
        of the last, `allow_inexact` takes it as it is, and `rebuild` reads the history again.
        """
        lifetime = lifetime_of(ttl_seconds, idle_seconds)
        first = import_request(model, allow_inexact, rebuild, lifetime)

        async def read() -> AsyncSession:
            session = await self._calls.load(first, path, timeout)
            return AsyncSession(self._calls, session, delete_on_exit)

        return OpeningSession(read())
