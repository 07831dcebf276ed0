"""How to reach a daemon: address, transport security and who one is."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Optional, Union

import grpc

from ssmd._retries import Retries

_DEFAULT_SERVER = "127.0.0.1:50051"
# Answers may be large (scores with alternatives); requests are limited by the server.
_MESSAGE_BYTES_MAX = 256 << 20
__version__ = metadata.version("ssmd")

FilePath = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Tls:
    """Encryption with more than the system's certificates. All files are PEM."""

    #: Whom to trust; the system's roots unless given.
    ca_file: Optional[FilePath] = None
    #: This side's certificate and its key, for servers that ask for one; both or neither.
    certificate_file: Optional[FilePath] = None
    key_file: Optional[FilePath] = None
    #: Expected in the certificate; the host of the server unless given.
    server_name: str = ""


@dataclass(frozen=True)
class Settings:
    """What the clients of both kinds are made of."""

    server: str
    credentials: grpc.ChannelCredentials | None
    options: Sequence[tuple[str, Any]]
    token: str = field(repr=False)
    timeout: float | None
    retries: Retries

    def metadata(self, session_id: str, *, named: bool = False) -> tuple[tuple[str, str], ...]:
        """What goes with every call. A session's id is repeated for routers.

        Of a turn with a request_id (`named`) they are told that it may be tried again.
        """
        pairs = [("authorization", f"Bearer {self.token}")] if self.token else []
        # Metadata is ASCII; what is not an id goes to the server in the request alone, to be refused.
        if re.fullmatch("[0-9a-f]+", session_id):
            pairs.append(("x-ssmd-session", session_id))
        if named:
            pairs.append(("x-ssmd-retry", "safe"))
        return tuple(pairs)


def make_settings(
    server: str | None,
    *,
    token: str | None,
    tls: bool | Tls,
    timeout: float | None,
    retries: int | Retries,
    allow_plaintext_token: bool,
) -> Settings:
    """Checks what a client was made with. Raises ValueError for what cannot work."""
    server = server or os.environ.get("SSMD_SERVER") or _DEFAULT_SERVER
    if not server.startswith("unix:") and not re.fullmatch(r".+:[0-9]{1,5}", server):
        raise ValueError(f"the server must be HOST:PORT, got {server!r}")
    token = os.environ.get("SSMD_TOKEN", "").strip() if token is None else token
    # gRPC would break the call off with a less clear error.
    if not re.fullmatch(r"[\x21-\x7e]*", token):
        raise ValueError("the bearer token holds characters other than printable ASCII")
    if token and not tls and not allow_plaintext_token and not is_loopback(server):
        raise ValueError(
            f"not sending the bearer token in plaintext to {server}: use TLS, or allow it explicitly"
        )
    options: list[tuple[str, Any]] = [
        ("grpc.primary_user_agent", f"ssmd-python/{__version__}"),
        ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),
        # How long gRPC fails calls without looking, after a connection failed: no longer than tries wait.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
    if is_loopback(server):  # a proxy between a machine and itself is never meant
        options.append(("grpc.enable_http_proxy", 0))
    credentials = None
    if tls:
        tls = Tls() if tls is True else tls
        credentials = _credentials(tls)
        if tls.server_name:
            options.append(("grpc.ssl_target_name_override", tls.server_name))
    retries = Retries(count=retries) if isinstance(retries, int) else retries
    return Settings(server, credentials, options, token, timeout, retries)


def is_loopback(server: str) -> bool:
    """True for 127.0.0.0/8, ::1, localhost and Unix sockets."""
    if server.startswith("unix:"):
        return True
    host = server.rpartition(":")[0].strip("[]")
    # "127." must begin a dotted quad, not a name like 127.example.com.
    return host in ("localhost", "::1") or re.fullmatch(r"127\.[0-9.]+", host) is not None


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    if (tls.certificate_file is None) != (tls.key_file is None):
        raise ValueError("a client certificate and its key go together")

    def read(path: FilePath | None) -> bytes | None:
        return None if path is None else Path(path).read_bytes()

    return grpc.ssl_channel_credentials(
        read(tls.ca_file), read(tls.key_file), read(tls.certificate_file)
    )
