"""Errors, retries and settings, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

import ssmd
from ssmd._channel import Settings, is_loopback, make_settings
from ssmd._errors import error_of
from ssmd._proto import rpc_status_pb2
from ssmd._retries import Attempts, Safety, may_try_again


def details(reason: str = "", delay_seconds: int | None = None) -> bytes:
    status = rpc_status_pb2.RpcStatus()
    if reason:
        info = rpc_status_pb2.ErrorInfo(reason=reason, domain="ssmd", metadata={"key": "value"})
        status.details.add(
            type_url="type.googleapis.com/google.rpc.ErrorInfo", value=info.SerializeToString()
        )
    if delay_seconds is not None:
        retry = rpc_status_pb2.RetryInfo()
        retry.retry_delay.seconds = delay_seconds
        status.details.add(
            type_url="type.googleapis.com/google.rpc.RetryInfo", value=retry.SerializeToString()
        )
    return status.SerializeToString()


def error(code: str, reason: str = "", delay_seconds: int | None = None) -> ssmd.Error:
    return error_of(
        code, "words", (), [("grpc-status-details-bin", details(reason, delay_seconds))]
    )


# --- Errors ---


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        ("NOT_FOUND", "SESSION_NOT_FOUND", ssmd.NotFound),
        ("ABORTED", "SESSION_BUSY", ssmd.SessionBusy),
        ("ABORTED", "REVISION_MISMATCH", ssmd.Conflict),
        ("ABORTED", "TAKEN_OVER", ssmd.Aborted),
        ("RESOURCE_EXHAUSTED", "STATE_QUOTA", ssmd.ResourceExhausted),
        ("DEADLINE_EXCEEDED", "", ssmd.DeadlineExceeded),
        ("DATA_LOSS", "", ssmd.DataLoss),
        ("UNKNOWN", "", ssmd.Error),
    ],
)
def test_a_code_and_a_reason_make_a_class(code: str, reason: str, kind: type[ssmd.Error]) -> None:
    made = error(code, reason)
    assert type(made) is kind
    assert (made.code, made.message, made.reason) == (code, "words", reason)
    assert made.metadata == ({"key": "value"} if reason else {})
    assert str(made) == f"{code}: words" + (f" ({reason})" if reason else "")


def test_a_delay_is_told() -> None:
    full = error("RESOURCE_EXHAUSTED", "QUEUE_FULL", 3)
    assert type(full) is ssmd.Overloaded
    assert full.retry_after == 3
    pushed_back = error_of("UNAVAILABLE", "", (), [("grpc-retry-pushback-ms", "250")])
    assert pushed_back.retry_after == 0.25


@pytest.mark.parametrize(
    "trailer",
    [
        ("grpc-status-details-bin", b"\xff\xff"),
        ("grpc-status-details-bin", details(delay_seconds=-1)),
        ("grpc-status-details-bin", details(delay_seconds=2**40)),
        ("grpc-status-details-bin", b"\x1a\x03\x0a\x01x"),
        ("grpc-retry-pushback-ms", "soon"),
        ("grpc-retry-pushback-ms", "-1"),
    ],
)
def test_details_that_make_no_sense_are_left_out(trailer: tuple[str, str | bytes]) -> None:
    made = error_of("UNAVAILABLE", "words", (), [trailer])
    assert (made.message, made.reason, made.retry_after) == ("words", "", None)


# --- Retries ---


@pytest.mark.parametrize(
    ("failure", "read", "change", "turn"),
    [
        (error("UNAVAILABLE"), True, False, True),
        (error("UNAVAILABLE", "DRAINING"), True, True, True),
        (error("RESOURCE_EXHAUSTED", "QUEUE_FULL", 1), True, True, True),
        (error("RESOURCE_EXHAUSTED", "STATE_QUOTA"), False, False, False),
        (error("ABORTED"), False, False, True),
        (error("ABORTED", "SESSION_MOVED"), False, False, True),
        (error("UNAVAILABLE", "SESSION_MOVED"), True, False, True),
        (error("UNAVAILABLE", "SESSION_ELSEWHERE", 1), True, True, True),
        (error("UNAVAILABLE", "NOT_REPLICATED"), True, False, True),
        (error("RESOURCE_EXHAUSTED", "NOT_REPLICATED"), False, False, True),
        (error("FAILED_PRECONDITION", "NOT_REPLICATED"), False, False, False),
        (error("INTERNAL"), False, False, True),  # a router's, whose replica was lost
        (error("ABORTED", "SESSION_BUSY"), False, False, False),
        (error("ABORTED", "REVISION_MISMATCH"), False, False, False),
        (error("INTERNAL", "NUMERICAL"), False, False, False),
        (error("CANCELLED"), False, False, False),
        (ssmd.Cancelled("CANCELLED", "CANCELLED"), True, False, True),  # by a gRPC that shuts down
        (error("DEADLINE_EXCEEDED"), False, False, False),
    ],
    ids=str,
)
def test_only_what_is_safe_is_tried_again(
    failure: ssmd.Error, read: bool, change: bool, turn: bool
) -> None:
    assert may_try_again(failure, Safety.READ) is read
    assert may_try_again(failure, Safety.CHANGE) is change
    assert may_try_again(failure, Safety.NAMED_TURN) is turn
    assert not may_try_again(failure, Safety.STREAMED)


def test_pauses_grow_up_to_a_limit_and_the_tries_end() -> None:
    attempts = Attempts(ssmd.Retries(5, first_delay_seconds=1, longest_delay_seconds=4), None)
    for most in (1, 2, 4, 4, 4):
        assert most / 2 <= attempts.pause_after(error("UNAVAILABLE"), Safety.READ) <= most
    with pytest.raises(ssmd.Unavailable):
        attempts.pause_after(error("UNAVAILABLE"), Safety.READ)


@pytest.mark.parametrize(
    ("failure", "safety", "is_patient"),
    [
        (error("UNAVAILABLE"), Safety.NAMED_TURN, True),
        (error("UNAVAILABLE"), Safety.READ, False),
        (error("UNAVAILABLE", "SHARED_STORE", 0), Safety.CHANGE, True),
        (error("ABORTED", "SESSION_MOVED"), Safety.NAMED_TURN, True),
        (error("RESOURCE_EXHAUSTED", "NOT_REPLICATED"), Safety.NAMED_TURN, False),
        (error("INTERNAL"), Safety.NAMED_TURN, False),
    ],
    ids=str,
)
def test_what_passes_by_itself_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, failure: ssmd.Error, safety: Safety, is_patient: bool
) -> None:
    now = 0.0
    monkeypatch.setattr("ssmd._retries.time.monotonic", lambda: now)
    attempts = Attempts(ssmd.Retries(2, 0.01, 0.01, patience_seconds=30), None)
    for _ in range(2):
        attempts.pause_after(failure, safety)
    now = 29.0
    if is_patient:
        for _ in range(100):
            attempts.pause_after(failure, safety)
    now = 30.0 if is_patient else now
    with pytest.raises(type(failure)):
        attempts.pause_after(failure, safety)


def test_who_wants_no_retries_has_no_patience_either() -> None:
    with pytest.raises(ssmd.Unavailable):
        Attempts(ssmd.Retries(0), None).pause_after(error("UNAVAILABLE"), Safety.NAMED_TURN)


def test_the_servers_delay_is_waited_at_least() -> None:
    attempts = Attempts(ssmd.Retries(first_delay_seconds=1), None)
    full = error("RESOURCE_EXHAUSTED", "QUEUE_FULL", 30)
    assert 30 < attempts.pause_after(full, Safety.READ) <= 31


def test_a_pause_that_the_timeout_does_not_allow_ends_the_call() -> None:
    attempts = Attempts(ssmd.Retries(), 20)
    with pytest.raises(ssmd.Overloaded):
        attempts.pause_after(error("RESOURCE_EXHAUSTED", "QUEUE_FULL", 30), Safety.READ)


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_timeout_is_a_time(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        Attempts(ssmd.Retries(), timeout)
    with pytest.raises(ValueError, match="negative"):
        ssmd.Retries(-1)
    with pytest.raises(ValueError, match="negative"):
        ssmd.Retries(patience_seconds=-1)


# --- Settings ---


def settings(
    server: str | None = None,
    token: str | None = None,
    tls: bool | ssmd.Tls = False,
    allow_plaintext_token: bool = False,
) -> Settings:
    return make_settings(
        server,
        token=token,
        tls=tls,
        timeout=None,
        retries=1,
        allow_plaintext_token=allow_plaintext_token,
    )


def test_the_environment_names_what_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings().server == "127.0.0.1:50051"
    monkeypatch.setenv("SSMD_SERVER", "localhost:1")
    monkeypatch.setenv("SSMD_TOKEN", "secret\n")
    assert settings().server == "localhost:1"
    assert settings().metadata("") == (("authorization", "Bearer secret"),)
    assert settings(token="").metadata("") == ()
    assert "secret" not in repr(settings())


def test_a_sessions_id_goes_with_its_calls() -> None:
    assert settings().metadata("0af") == (("x-ssmd-session", "0af"),)
    assert settings().metadata("no id\n") == ()


def test_routers_are_told_that_a_named_turn_may_be_tried_again() -> None:
    named = settings().metadata("0af", named=True)
    assert named == (("x-ssmd-session", "0af"), ("x-ssmd-retry", "safe"))


@pytest.mark.parametrize(
    ("server", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("unix:/run/ssmd", True),
        ("127.example.com:1", False),
        ("10.0.0.1:1", False),
        ("localhost.example.com:1", False),
    ],
)
def test_a_token_stays_on_this_machine_unless_it_is_encrypted(server: str, loopback: bool) -> None:
    assert is_loopback(server) is loopback
    settings(server, token="secret", tls=True)
    settings(server, token="secret", allow_plaintext_token=True)
    if loopback:
        settings(server, token="secret")
    else:
        with pytest.raises(ValueError, match="plaintext"):
            settings(server, token="secret")


@pytest.mark.parametrize("server", ["localhost", ":1", "localhost:", "localhost:http"])
def test_a_server_is_a_host_and_a_port(server: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        settings(server)


def test_what_cannot_be_sent_or_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ASCII"):
        settings(token="two words")
    with pytest.raises(ValueError, match="together"):
        settings(tls=ssmd.Tls(key_file=tmp_path / "key"))
    with pytest.raises(FileNotFoundError):
        settings(tls=ssmd.Tls(ca_file=tmp_path / "ca"))
