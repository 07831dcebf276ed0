"""A client of ssmd, a daemon that serves state-space language models.

    import ssmd

    with ssmd.Client("127.0.0.1:50051") as client:
        for text in client.generate("Once upon a time", max_tokens=60):
            print(text, end="", flush=True)

`Client` blocks, `AsyncClient` is for asyncio; their names and arguments are the same. A `Session` is a
conversation that the server keeps as the model's state. What goes wrong is an `Error`.
"""

from ssmd._async_calls import AsyncStream
from ssmd._async_client import AsyncClient
from ssmd._async_memory import AsyncMemory
from ssmd._async_session import AsyncSession
from ssmd._calls import Stream
from ssmd._channel import Tls, __version__
from ssmd._client import Client
from ssmd._errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    Conflict,
    DataLoss,
    DeadlineExceeded,
    Error,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    Overloaded,
    PermissionDenied,
    ResourceExhausted,
    SessionBusy,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from ssmd._memory import Memory
from ssmd._requests import ChatMessage, GenerateOptions, Pooling, TurnOptions
from ssmd._results import (
    Choice,
    ChoiceFinished,
    Completion,
    Delta,
    Event,
    Final,
    Logprobs,
    Model,
    Progress,
    Score,
    SessionInfo,
    SessionPoint,
    Started,
    Timings,
    Usage,
)
from ssmd._retries import Retries
from ssmd._session import Session

__all__ = [
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "AsyncMemory",
    "AsyncSession",
    "AsyncStream",
    "Cancelled",
    "ChatMessage",
    "Choice",
    "ChoiceFinished",
    "Client",
    "Completion",
    "Conflict",
    "DataLoss",
    "DeadlineExceeded",
    "Delta",
    "Error",
    "Event",
    "FailedPrecondition",
    "Final",
    "GenerateOptions",
    "Internal",
    "InvalidArgument",
    "Logprobs",
    "Memory",
    "Model",
    "NotFound",
    "Overloaded",
    "PermissionDenied",
    "Pooling",
    "Progress",
    "ResourceExhausted",
    "Retries",
    "Score",
    "Session",
    "SessionBusy",
    "SessionInfo",
    "SessionPoint",
    "Started",
    "Stream",
    "Timings",
    "Tls",
    "TurnOptions",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Usage",
    "__version__",
]
