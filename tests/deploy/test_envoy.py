"""deploy/envoy/envoy.yaml in front of real daemons: who gets in, where calls go, what is refused."""

from __future__ import annotations

import http.client
import json
import secrets as random_names
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
import ssmd
from ssmd._proto import generation_pb2

from fleet import (
    CONFIGURATION,
    Envoy,
    Replica,
    Secrets,
    configuration,
    envoy_binary,
    eventually,
    fleet,
)
from stand_in import StandIn, stand_in

PROMPT = "Once upon a time"
GENERATE = "/ssmd.v1.GenerationService/Generate"
GET_SESSION = "/ssmd.v1.SessionService/GetSession"
LIST_MODELS = "/ssmd.v1.ModelService/ListModels"
Metadata = tuple[tuple[str, str], ...]


class Fleet(NamedTuple):
    secrets: Secrets
    replicas: list[Replica]
    envoy: Envoy

    def tls(self, certificate: str | None = None) -> ssmd.Tls:
        folder = self.secrets.folder
        if certificate is None:
            return ssmd.Tls(ca_file=folder / "front/ca.crt")
        return ssmd.Tls(
            ca_file=folder / "front/ca.crt",
            certificate_file=folder / certificate / "tls.crt",
            key_file=folder / certificate / "tls.key",
        )

    def client(
        self, listener: str = "front", certificate: str | None = None, retries: int = 0
    ) -> ssmd.Client:
        return ssmd.Client(
            self.envoy.address(listener),
            token=self.secrets.token,
            tls=self.tls(certificate),
            timeout=30,
            retries=retries,
        )

    def http(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        context = ssl.create_default_context(cafile=self.secrets.folder / "front/ca.crt")
        connection = http.client.HTTPSConnection(
            "localhost", self.envoy.ports["front"], context=context, timeout=30
        )
        try:
            known = {"authorization": f"Bearer {self.secrets.token}"}
            known["content-type"] = "application/json"
            sent = known | {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def channel(self) -> Any:
        ca = (self.secrets.folder / "front/ca.crt").read_bytes()
        return grpc.secure_channel(self.envoy.address(), grpc.ssl_channel_credentials(ca))

    def metadata(self, **more: str) -> tuple[tuple[str, str], ...]:
        pairs = [(name.replace("_", "-"), value) for name, value in more.items()]
        return (("authorization", f"Bearer {self.secrets.token}"), *pairs)

    def call(
        self, channel: Any, path: str, request: bytes = b"", metadata: Metadata | None = None
    ) -> tuple[str, str]:
        """One unary call; its code and its message."""
        pairs = self.metadata() if metadata is None else metadata
        try:
            channel.unary_unary(path, None, None)(request, timeout=30, metadata=pairs)
        except grpc.RpcError as error:
            status: Any = error  # what gRPC raises is the call, too
            return status.code().name, status.details() or ""
        return "OK", ""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet"), 3) as (secrets, replicas, envoy):
        yield Fleet(secrets, replicas, envoy)


@pytest.fixture(scope="module")
def dribble(running: Fleet) -> Iterator[socket.socket]:
    """A caller who began to send headers when the tests began, and goes on with a byte at a time."""
    context = ssl.create_default_context(cafile=running.secrets.folder / "front/ca.crt")
    plain = socket.create_connection(("localhost", running.envoy.ports["front"]))
    with context.wrap_socket(plain, server_hostname="localhost") as slow:
        slow.sendall(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx: ")
        ended = threading.Event()

        def go_on() -> None:
            while not ended.wait(0.2):
                try:
                    slow.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=go_on)
        thread.start()
        yield slow
        ended.set()
        thread.join()


@pytest.fixture(autouse=True)
def begun(dribble: socket.socket) -> None:
    """Begins it with the first test."""


# --- The file itself ---


def test_the_configuration_is_valid_as_it_stands(tmp_path: Path) -> None:
    # Only the place of the files that it names is another than in production.
    text = CONFIGURATION.read_text().replace("/etc/envoy/sds", str(CONFIGURATION.parent / "sds"))
    config = tmp_path / "envoy.yaml"
    config.write_text(text)
    command = [envoy_binary(), "--mode", "validate", "-c", str(config), "-l", "warning"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "eprecated" not in done.stderr
    assert "OK" in done.stdout


def test_a_mistake_in_it_would_be_found(tmp_path: Path, running: Fleet) -> None:
    config = json.loads(
        configuration(tmp_path, running.secrets, {"a": (1, 2)}, running.envoy.ports).read_text()
    )
    config["static_resources"]["clusters"][0]["lb_policy"] = "NO_SUCH_POLICY"
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(config))
    command = [envoy_binary(), "--mode", "validate", "-c", str(path)]
    assert subprocess.run(command, capture_output=True).returncode != 0


# --- Who gets in ---


def test_a_story_streams_over_tls(running: Fleet) -> None:
    with running.client() as client:
        pieces = list(client.generate(PROMPT, max_tokens=20, temperature=0))
        assert len(pieces) > 5
        with pytest.raises(ssmd.InvalidArgument):
            client.complete(PROMPT, max_tokens=-1)
    body = b'{"prompt": "Once upon a time", "max_tokens": 20, "temperature": 0, "stream": true}'
    status, events = running.http("POST", "/v1/completions", body)
    assert status == 200, events
    datas = [json.loads(line[6:]) for line in events.splitlines() if line.startswith(b"data: {")]
    assert "".join(data["choices"][0]["text"] for data in datas) == "".join(pieces)


def test_it_takes_a_token_and_a_trusted_certificate(running: Fleet) -> None:
    server = running.envoy.address()
    with (
        ssmd.Client(server, token="wrong-token", tls=running.tls(), retries=0) as stranger,
        pytest.raises(ssmd.Unauthenticated),
    ):
        stranger.models()
    with (
        ssmd.Client(server, token="", tls=True, retries=0) as untrusting,
        pytest.raises(ssmd.Unavailable),
    ):
        untrusting.models(timeout=5)
    with socket.create_connection(("localhost", running.envoy.ports["front"])) as plain:
        plain.sendall(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert plain.recv(100) == b"", "in plaintext nothing is answered"


def test_the_mtls_listener_takes_the_clients_of_one_authority(running: Fleet) -> None:
    with running.client("front_mtls", "client") as client:
        assert client.models()
    assert eventually(
        lambda: any(
            (call["client_certificate"] or "").startswith("CN=") for call in running.envoy.calls()
        )
    )
    for certificate in (None, "replica-client"):  # none, and one of another authority
        with (
            running.client("front_mtls", certificate) as refused,
            pytest.raises(ssmd.Unavailable),
        ):
            refused.models(timeout=5)


def test_replicas_take_calls_from_routers_alone(running: Fleet) -> None:
    tls = ssmd.Tls(ca_file=running.secrets.folder / "replicas/ca.crt")
    server = f"localhost:{running.replicas[0].grpc_port}"
    with (
        ssmd.Client(server, token=running.secrets.token, tls=tls, retries=0) as direct,
        pytest.raises(ssmd.Unavailable),
    ):
        direct.models(timeout=5)


def test_what_is_not_for_callers_is_not_there(running: Fleet) -> None:
    with running.channel() as channel:
        code, _ = running.call(channel, "/ssmd.v1.AdminService/Drain")
        assert code == "PERMISSION_DENIED"
        reflection = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        assert running.call(channel, reflection)[0] == "UNIMPLEMENTED"
        assert running.call(channel, "/grpc.health.v1.Health/Check")[0] == "OK"
    for path in ("/metrics", "/", "/main.js", "/healthz", "/v1/../metrics", "/stats"):
        assert running.http("GET", path)[0] == 404, path
    assert running.http("GET", "/v1/models/%2e%2e%2f%2e%2e%2fmetrics")[0] == 400
    assert running.http("GET", "/readyz")[0] == 200
    assert running.http("GET", "/openapi.json")[0] == 200


def test_statistics_are_to_be_read_and_nothing_else(running: Fleet) -> None:
    at = f"http://127.0.0.1:{running.envoy.ports['stats']}"
    with urllib.request.urlopen(f"{at}/stats/prometheus") as answer:
        assert b"envoy_http_downstream_rq_total" in answer.read()
    with urllib.request.urlopen(f"{at}/ready") as answer:
        assert answer.status == 200
    for path, body in (("/quitquitquit", b""), ("/config_dump", None), ("/ready", b"")):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{at}{path}", data=body)


# --- Limits ---


def test_metadata_past_the_limit_is_refused_and_other_calls_go_on(running: Fleet) -> None:
    request = generation_pb2.GenerateRequest(text=PROMPT, max_tokens=3000)
    request.stop.ignore_eos = True
    with running.channel() as channel:
        stream = channel.unary_stream(GENERATE)(
            request.SerializeToString(), metadata=running.metadata()
        )
        next(stream)
        for more in ({"x_large": "x" * 13_000}, {f"x_{n}": "x" for n in range(70)}):
            metadata = running.metadata(**more)
            assert running.call(channel, LIST_MODELS, metadata=metadata)[0] != "OK"
            assert running.call(channel, LIST_MODELS) == ("OK", "")
        metadata = (*running.metadata(), ("x_under_score", "x"))
        assert running.call(channel, LIST_MODELS, metadata=metadata)[0] != "OK"
        last = generation_pb2.GenerateResponse.FromString(list(stream)[-1])
        assert last.final.usage.generated_tokens == 3000
        metadata = running.metadata(x_large="x" * 9_000)
        assert running.call(channel, LIST_MODELS, metadata=metadata)[0] == "OK"
    assert running.http("GET", "/v1/models", x_large="x" * 13_000)[0] == 431


def test_a_body_past_the_limit_is_refused(running: Fleet) -> None:
    with running.channel() as channel:
        code, _ = running.call(channel, LIST_MODELS, b"\x0a" + b"x" * 5_000_000)
        assert code != "OK"
        assert running.call(channel, LIST_MODELS) == ("OK", "")
    status, _ = running.http("POST", "/v1/completions", b"x" * 1_200_000)
    assert status == 413


def test_callers_do_not_steer_envoy(running: Fleet) -> None:
    with running.channel() as channel:
        metadata = running.metadata(x_envoy_upstream_rq_timeout_ms="0")
        assert running.call(channel, LIST_MODELS, metadata=metadata)[0] == "OK"
        metadata = running.metadata(x_envoy_original_path="/metrics", x_forwarded_for="127.0.0.1")
        assert running.call(channel, LIST_MODELS, metadata=metadata)[0] == "OK"


# --- Where calls go ---


def session_request(session: str) -> bytes:
    """GetSessionRequest{session_id}"""
    return b"\x0a" + bytes([len(session)]) + session.encode()


def test_a_session_is_always_sent_to_the_same_replica(running: Fleet) -> None:
    sessions = [random_names.token_hex(16) for _ in range(30)]
    with running.channel() as first, running.channel() as second:
        for channel in (first, second):
            for session in sessions:
                code, message = running.call(
                    channel,
                    GET_SESSION,
                    session_request(session),
                    running.metadata(x_ssmd_session=session),
                )
                assert code == "NOT_FOUND", message
    for session in sessions:  # by HTTP, and by its path
        assert running.http("GET", f"/v1/sessions/{session}")[0] == 404

    http_to_grpc = {
        f"127.0.0.1:{replica.http_port}": f"127.0.0.1:{replica.grpc_port}"
        for replica in running.replicas
    }

    def places() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {session: [] for session in sessions}
        for call in running.envoy.calls():
            session = call["session"] or (call["path"] or "").rsplit("/", 1)[-1]
            if session in found:
                found[session].append(http_to_grpc.get(call["replica"], call["replica"]))
        return found

    assert eventually(lambda: all(len(found) == 3 for found in places().values()))
    assert {len(set(found)) for found in places().values()} == {1}, places()
    assert len({found[0] for found in places().values()}) == 3, "and all replicas have some"


def test_the_turns_of_a_session_are_counted_by_one_replica(running: Fleet) -> None:
    before = [replica.metric("ssmd_requests_total") for replica in running.replicas]
    turns = 4
    with running.client() as client:
        # Without a shared store a session is found only where it was made: make them until some is at
        # its place.
        for _ in range(100):
            session = client.session()
            try:
                session.info()
            except ssmd.NotFound:
                continue
            break
        for _ in range(turns):
            session.complete(" and", max_tokens=2, ignore_eos=True)
    after = [replica.metric("ssmd_requests_total") for replica in running.replicas]
    assert sorted(b - a for a, b in zip(before, after)) == [0, 0, turns]


# --- What is tried again ---


@pytest.fixture
def half(running: Fleet, tmp_path: Path) -> Iterator[tuple[Fleet, StandIn]]:
    """Another Envoy, in front of one replica and of one that fails all that it is asked."""
    with stand_in(running.secrets) as failing:
        real = running.replicas[0]
        ports = {"real": (real.grpc_port, real.http_port), "fails": (failing.port, real.http_port)}
        envoy = Envoy(tmp_path, running.secrets, ports)
        try:
            yield Fleet(running.secrets, [real], envoy), failing
        finally:
            envoy.process.kill()
            envoy.process.wait()


def outcomes(fleet: Fleet, **metadata: str) -> list[str]:
    """Codes of calls on many sessions, each of which is absent where it is looked up."""
    codes = []
    with fleet.channel() as channel:
        for _ in range(20):
            session = random_names.token_hex(16)
            pairs = fleet.metadata(x_ssmd_session=session, **metadata)
            code, _ = fleet.call(channel, GET_SESSION, session_request(session), pairs)
            codes.append(code)
    return codes


def test_only_what_is_safe_is_tried_again(half: tuple[Fleet, StandIn]) -> None:
    fleet, failing = half
    codes = outcomes(fleet)
    assert codes.count("UNAVAILABLE") == failing.calls > 0, "nothing is tried again unasked"
    assert codes.count("NOT_FOUND") == len(codes) - failing.calls > 0

    known = failing.calls
    codes = outcomes(fleet, x_envoy_retry_on="5xx,reset", x_envoy_retry_grpc_on="unavailable")
    assert codes.count("UNAVAILABLE") == failing.calls - known > 0, (
        "nor as callers would have Envoy do"
    )

    known = failing.calls
    assert set(outcomes(fleet, x_ssmd_retry="safe")) == {"NOT_FOUND"}
    assert failing.calls > known, "it was asked first, where that was its place"

    known = failing.calls
    failing.refuses = True
    assert set(outcomes(fleet)) == {"NOT_FOUND"}, "what it has not begun is no risk"
    assert failing.calls > known


# --- Life ---


def test_a_replica_that_drains_leaves_without_an_error(running: Fleet) -> None:
    leaving = running.replicas[2]
    with running.client() as client, ThreadPoolExecutor(40) as readers:

        def read_all() -> str:
            stream = client.generate(PROMPT, max_tokens=2500, temperature=0, ignore_eos=True)
            return stream.result().choices[0].finish_reason

        def one_is_there() -> bool:
            ends.append(readers.submit(read_all))
            return leaving.metric("ssmd_requests_running") > 0

        ends: list[Future[str]] = []
        assert eventually(one_is_there)
        leaving.process.terminate()
        made = 0
        while leaving.process.poll() is None:
            client.complete(PROMPT, max_tokens=1)
            client.session()
            made += 1
        assert [end.result() for end in ends] == ["length"] * len(ends)
        assert made > 0
        assert leaving.process.returncode == 0
        for _ in range(30):
            client.complete(PROMPT, max_tokens=1)
    leaving.start()
    assert eventually(lambda: running.envoy.healthy() == 3)


def test_a_call_whose_replica_is_lost_is_made_again_if_it_is_safe(running: Fleet) -> None:
    session = random_names.token_hex(16)
    request = session_request(session)
    plain = running.metadata(x_ssmd_session=session)
    safe = running.metadata(x_ssmd_session=session, x_ssmd_retry="safe")

    calls: list[Future[tuple[str, str]]] = []

    def both_wait() -> bool:
        return running.envoy.stat("cluster.ssmd_grpc.upstream_rq_active") == 2

    def one_ended() -> bool:
        return any(call.done() for call in calls)

    with running.channel() as channel, ThreadPoolExecutor(2) as callers:
        assert running.call(channel, GET_SESSION, request, plain)[0] == "NOT_FOUND"
        assert eventually(lambda: any(call["session"] == session for call in running.envoy.calls()))
        place = next(call for call in running.envoy.calls() if call["session"] == session)
        port = int(place["replica"].rsplit(":", 1)[1])
        lost = next(replica for replica in running.replicas if replica.grpc_port == port)
        for _ in range(3):
            lost.process.send_signal(signal.SIGSTOP)  # the calls are with it, and not answered
            calls = [
                callers.submit(running.call, channel, GET_SESSION, request, metadata)
                for metadata in (plain, safe)
            ]
            assert eventually(lambda: both_wait() or one_ended())
            if both_wait():
                break
            # It was found out before both had come to it, on a machine that is busy.
            lost.process.send_signal(signal.SIGCONT)
            for call in calls:
                call.result()
            assert eventually(lambda: running.envoy.healthy() == 3)
        lost.stop(signal.SIGKILL)
        codes = [call.result()[0] for call in calls]
    lost.start()
    assert codes == ["UNAVAILABLE", "NOT_FOUND"]
    assert eventually(lambda: running.envoy.healthy() == 3)


def test_certificates_are_renewed_without_a_restart(running: Fleet) -> None:
    folder = running.secrets.folder
    shutil.copy(folder / "front/ca.crt", folder / "old-ca.crt")
    running.secrets.renew("front")

    def takes(ca: Path) -> bool:
        context = ssl.create_default_context(cafile=ca)
        plain = socket.create_connection(("localhost", running.envoy.ports["front"]))
        try:
            with context.wrap_socket(plain, server_hostname="localhost"):
                return True
        except ssl.SSLError:
            return False

    assert eventually(lambda: takes(folder / "front/ca.crt"))
    assert not takes(folder / "old-ca.crt")
    with running.client() as client:
        assert client.models()


def test_the_access_log_has_no_secret(running: Fleet) -> None:
    status, _ = running.http("GET", "/v1/models?api_key=secret-in-a-query")
    assert status in (200, 400, 404)
    assert eventually(lambda: any(call["path"] == "/v1/models" for call in running.envoy.calls()))
    text = running.envoy.access_log.read_text()
    assert "secret-in-a-query" not in text
    assert running.secrets.token not in text
    assert "Bearer" not in text
    paths = {call["path"] for call in running.envoy.calls()}
    assert GENERATE in paths


def test_headers_that_come_slowly_end_their_connection(dribble: socket.socket) -> None:
    dribble.settimeout(30)
    answer = b""
    while piece := dribble.recv(1000):
        answer += piece
    assert answer.startswith(b"HTTP/1.1 408"), answer
