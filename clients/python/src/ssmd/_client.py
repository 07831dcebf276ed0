"""A client whose calls block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from ssmd._calls import Calls, Stream
from ssmd._channel import FilePath, Tls, make_settings
from ssmd._memory import Memory
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
from ssmd._session import Session

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Client:
    """A client of an ssmd daemon.

        with ssmd.Client("127.0.0.1:50051") as client:
            for text in client.generate("Once upon a time", max_tokens=60):
                print(text, end="", flush=True)

    Thread-safe, and meant to be shared: its calls run over one connection, which is made by the first
    one. Calls block until they end or their timeout passes, and raise subclasses of `ssmd.Error`.
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
        self._calls = Calls(
            make_settings(
                server,
                token=token,
                tls=tls,
                timeout=timeout,
                retries=retries,
                allow_plaintext_token=allow_plaintext_token,
            )
        )

    def close(self) -> None:
        """Closes the connection. Calls in progress end with Cancelled."""
        self._calls.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def models(self, *, timeout: float | None = None) -> list[Model]:
        """The models that are served."""
        response = self._calls.unary(LIST_MODELS, model_pb2.ListModelsRequest(), timeout=timeout)
        return [model_of(model) for model in response.models]

    def model(self, name: str, *, timeout: float | None = None) -> Model:
        request = model_pb2.GetModelRequest(name=name)
        return model_of(self._calls.unary(GET_MODEL, request, timeout=timeout).model)

    def generate(
        self,
        prompt: str | None = None,
        *,
        tokens: Iterable[int] | None = None,
        messages: Iterable[ChatMessage] | None = None,
        model: str = "",
        **options: Unpack[GenerateOptions],
    ) -> Stream:
        """Begins to generate after text as it is, token ids or chat messages, without a session.

        `model` may be left out where one is served. The options are those of GenerateOptions.
        """
        request, timeout = generate_request(prompt, tokens, messages, model, options)
        return Stream(self._calls, request, timeout)

    def complete(
        self,
        prompt: str | None = None,
        *,
        tokens: Iterable[int] | None = None,
        messages: Iterable[ChatMessage] | None = None,
        model: str = "",
        **options: Unpack[GenerateOptions],
    ) -> Completion:
        """As `generate`, and waits for the end."""
        return self.generate(
            prompt, tokens=tokens, messages=messages, model=model, **options
        ).result()

    def score(
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
        return score_of(self._calls.unary(SCORE, request, timeout=timeout), top_logprobs)

    def encode(
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
        return encoded_of(self._calls.unary(ENCODE, request, timeout=timeout))

    def tokenize(
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
        return list(self._calls.unary(TOKENIZE, request, timeout=timeout).token_ids)

    def detokenize(
        self, tokens: Iterable[int], *, model: str = "", timeout: float | None = None
    ) -> str:
        """The text of token ids. Bytes that are not UTF-8 become U+FFFD."""
        request = generation_pb2.DetokenizeRequest(
            model=model, token_ids=[int(token) for token in tokens]
        )
        return self._calls.unary(DETOKENIZE, request, timeout=timeout).text

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
    ) -> Session:
        """A new session, with an empty history or with one that is read now.

        It ends `ttl_seconds` after its creation, `idle_seconds` after its last use (0: never; the
        server's choice where they are not given), when it is deleted, or at the end of a `with` block
        where `delete_on_exit` is set.
        """
        lifetime = lifetime_of(ttl_seconds, idle_seconds)
        request = create_request(prompt, tokens, messages, model, parse_special, lifetime)
        response = self._calls.unary(CREATE, request, timeout=timeout, safety=Safety.CHANGE)
        return Session(self._calls, response.session, delete_on_exit)

    def attach(
        self, session_id: str, *, delete_on_exit: bool = False, timeout: float | None = None
    ) -> Session:
        """A session that exists, by its id."""
        request = session_pb2.GetSessionRequest(session_id=session_id)
        response = self._calls.unary(GET, request, session_id=session_id, timeout=timeout)
        return Session(self._calls, response.session, delete_on_exit)

    def memory(
        self,
        model: str = "",
        *,
        session_id: str | None = None,
        ttl_seconds: int | None = None,
        idle_seconds: int | None = None,
        delete_on_exit: bool = False,
        timeout: float | None = None,
    ) -> Memory:
        """A new session of a memory of signals, or one that exists, by its id.

        It ends as `session` says.
        """
        request = open_memory_request(model, session_id, ttl_seconds, idle_seconds)
        safety = Safety.CHANGE if session_id is None else Safety.READ
        responses = self._calls.memory(
            [request], session_id=session_id or "", timeout=timeout, safety=safety
        )
        opened = responses[0].opened
        session = Session(self._calls, opened.session, delete_on_exit)
        return Memory(self._calls, opened, session)

    def sessions(
        self, *, model: str = "", parent_id: str = "", timeout: float | None = None
    ) -> Iterator[SessionInfo]:
        """All sessions, in the order of their ids: of one model, or forked from one, where given."""
        request = session_pb2.ListSessionsRequest(model=model, parent_id=parent_id, page_size=1000)
        while True:
            page = self._calls.unary(LIST, request, timeout=timeout)
            yield from map(session_info_of, page.sessions)
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
    ) -> Session:
        """A new session from a file that `Session.save` wrote.

        FailedPrecondition says what differs where it is of another model, layout or numerics profile;
        of the last, `allow_inexact` takes it as it is, and `rebuild` reads the history again.
        """
        lifetime = lifetime_of(ttl_seconds, idle_seconds)
        first = import_request(model, allow_inexact, rebuild, lifetime)
        return Session(self._calls, self._calls.load(first, path, timeout), delete_on_exit)
