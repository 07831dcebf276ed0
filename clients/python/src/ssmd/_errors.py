"""What went wrong with a call, as exceptions: a class a kind, with the server's reason and details.

The details come in "grpc-status-details-bin" as google.rpc.ErrorInfo and RetryInfo. What cannot be
decoded of them is left out: the code and the message stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional, Union

from google.protobuf.message import DecodeError

from ssmd._proto import rpc_status_pb2

Metadata = Iterable[tuple[str, Union[str, bytes]]]

_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
# Far above any sane delay; a longer one is a mistake.
_RETRY_SECONDS_MAX = 24 * 3600


class Error(Exception):
    """A call that failed. The classes below say how; all of them have these attributes."""

    #: The canonical gRPC code: "NOT_FOUND", …
    code: str
    #: The server's words.
    message: str
    #: Upper snake case and stable: "QUEUE_FULL", "SESSION_BUSY", …; empty where the server named none.
    reason: str
    #: What the server says beside the reason.
    metadata: dict[str, str]
    #: Seconds that the server asks to wait before the next try.
    retry_after: Optional[float]
    #: The name of the call in the server's log; empty where no answer came.
    request_id: str

    def __init__(
        self,
        code: str,
        message: str,
        reason: str = "",
        *,
        metadata: dict[str, str] | None = None,
        retry_after: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(f"{code}: {message}" + (f" ({reason})" if reason else ""))
        self.code = code
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after
        self.request_id = request_id


class InvalidArgument(Error, ValueError):
    """A field of the request is not allowed; the message names it."""


class NotFound(Error, LookupError):
    """No such model, session or checkpoint, or it is somebody else's."""


class AlreadyExists(Error):
    """A `request_id` was used before, with another request."""


class PermissionDenied(Error):
    """The token may not do this."""


class Unauthenticated(Error):
    """No token, or one that the server does not know."""


class ResourceExhausted(Error):
    """A limit or a quota of the server is reached."""


class Overloaded(ResourceExhausted):
    """The server has no room now and says after how many seconds it may: `retry_after`."""


class FailedPrecondition(Error):
    """What is asked for does not fit what is there, such as a snapshot of another model."""


class Aborted(Error):
    """The call lost against another one."""


class SessionBusy(Aborted):
    """The session has a turn in progress."""


class Conflict(Aborted):
    """The session is at another revision than this side knew: somebody else changed it."""


class Unimplemented(Error):
    """The server does not know the call."""


class Internal(Error):
    """The server failed."""


class Unavailable(Error):
    """The server cannot be reached, or takes no calls."""


class DataLoss(Error):
    """Bytes were lost or changed."""


class Cancelled(Error):
    """The call was cancelled."""


class DeadlineExceeded(Error, TimeoutError):
    """The call's timeout has passed."""


_OF_CODE: dict[str, type[Error]] = {
    "CANCELLED": Cancelled,
    "INVALID_ARGUMENT": InvalidArgument,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "PERMISSION_DENIED": PermissionDenied,
    "RESOURCE_EXHAUSTED": ResourceExhausted,
    "FAILED_PRECONDITION": FailedPrecondition,
    "ABORTED": Aborted,
    "UNIMPLEMENTED": Unimplemented,
    "INTERNAL": Internal,
    "UNAVAILABLE": Unavailable,
    "DATA_LOSS": DataLoss,
    "UNAUTHENTICATED": Unauthenticated,
}
_OF_REASON: dict[str, type[Error]] = {"SESSION_BUSY": SessionBusy, "REVISION_MISMATCH": Conflict}


def error_of(code: str, message: str, initial: Metadata = (), trailing: Metadata = ()) -> Error:
    """The exception for a status that came with this metadata."""
    reason = ""
    metadata: dict[str, str] = {}
    retry_after = None
    trailers = dict(iter(trailing))  # not of its keys, which asyncio's have
    for type_url, value in _details_of(trailers.get("grpc-status-details-bin", b"")):
        try:
            if type_url == _ERROR_INFO:
                info = rpc_status_pb2.ErrorInfo.FromString(value)
                reason, metadata = info.reason, dict(info.metadata)
            elif type_url == _RETRY_INFO:
                delay = rpc_status_pb2.RetryInfo.FromString(value).retry_delay
                retry_after = _sane(delay.seconds + delay.nanos / 1e9)
        except DecodeError:
            continue
    if retry_after is None:
        retry_after = _pushback_of(trailers.get("grpc-retry-pushback-ms", ""))
    kind = _OF_REASON.get(reason) or _OF_CODE.get(code, Error)
    if kind is ResourceExhausted and retry_after is not None:
        kind = Overloaded
    request_id = str(dict(iter(initial)).get("x-ssmd-request-id", ""))
    return kind(
        code, message, reason, metadata=metadata, retry_after=retry_after, request_id=request_id
    )


def _details_of(value: str | bytes) -> list[tuple[str, bytes]]:
    """Type URLs and messages."""
    if not isinstance(value, bytes):
        return []
    try:
        details = rpc_status_pb2.RpcStatus.FromString(value).details
    except DecodeError:
        return []
    return [(detail.type_url, detail.value) for detail in details]


def _pushback_of(value: str | bytes) -> float | None:
    try:
        return _sane(int(value) / 1000)
    except ValueError:
        return None


def _sane(seconds: float) -> float | None:
    return seconds if 0 <= seconds <= _RETRY_SECONDS_MAX else None
