"""A replica that is not one: healthy, and failing every other call as it is told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from fleet import Secrets

SERVING = b"\x08\x01"  # HealthCheckResponse{status: SERVING}


class StandIn(grpc.GenericRpcHandler):
    """Counts what reaches it."""

    def __init__(self, secrets: Secrets) -> None:
        self.calls = 0
        self.refuses = False  # says that it has done nothing
        keys = secrets.folder
        credentials = grpc.ssl_server_credentials(
            [((keys / "replica/tls.key").read_bytes(), (keys / "replica/tls.crt").read_bytes())],
            (keys / "routers/ca.crt").read_bytes(),
            require_client_auth=True,
        )
        self._server = grpc.server(ThreadPoolExecutor(4), handlers=[self])
        self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        if details.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(lambda request, context: SERVING)
        return grpc.unary_unary_rpc_method_handler(self._fail)

    def _fail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls += 1
        if self.refuses:
            context.send_initial_metadata((("x-ssmd-refused", "ask-another"),))
        context.abort(grpc.StatusCode.UNAVAILABLE, "not here")
        raise AssertionError("abort raises")

    def stop(self) -> None:
        self._server.stop(0).wait()


@contextlib.contextmanager
def stand_in(secrets: Secrets) -> Iterator[StandIn]:
    replica = StandIn(secrets)
    try:
        yield replica
    finally:
        replica.stop()
