"""Replicas that share their sessions, Redis behind and Envoy before them. None is left behind."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import ssmd
from fleet import Envoy, Place, Replica, Secrets, eventually, free_port

from network import Network, network

# What a caller waits, all tries together; nothing here takes as long.
TIMEOUT = 120.0


class Redis:
    """With its append-only file where it is told so."""

    def __init__(self, folder: Path, place: Place, *, aof: bool) -> None:
        self._folder = folder / "redis"
        self._folder.mkdir()
        self._place, self._aof = place, aof
        self._port = free_port()
        self.start()

    @property
    def address(self) -> str:
        return f"{self._place.host}:{self._port}"

    def start(self) -> None:
        command = [*self._place.prefix, "redis-server", "--bind", self._place.host]
        command += ["--port", str(self._port), "--protected-mode", "no", "--save", ""]
        command += ["--appendonly", "yes" if self._aof else "no"]
        command += ["--dir", str(self._folder), "--maxmemory-policy", "noeviction"]
        with (self._folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        assert eventually(self._answers), (self._folder / "log").read_text()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.call("PING") == b"+PONG\r\n"
        return False

    def call(self, *words: str) -> bytes:
        """A command with a short answer."""
        host = (self._place.host, self._port)
        with socket.create_connection(host, timeout=5) as connection:
            sent = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
            connection.sendall(f"*{len(words)}\r\n{sent}".encode())
            return connection.recv(1 << 16)

    def signal(self, how: signal.Signals) -> None:
        self.process.send_signal(how)

    def kill(self, *, forget: bool) -> None:
        self.process.kill()
        self.process.wait()
        if forget:
            shutil.rmtree(self._folder / "appendonlydir", ignore_errors=True)


class Cluster:
    """`shared_by`: Redis's address as the n-th replica is told it; `placed`: where who has a name runs."""

    def __init__(
        self,
        folder: Path,
        net: Network,
        replicas: int,
        *flags: str,
        aof: bool = False,
        shared_by: Callable[[int, str], str] = lambda number, address: address,
        placed: Callable[[str, Place], Place] = lambda name, place: place,
    ) -> None:
        self.folder = folder
        self._placed = placed
        self._cleanup = contextlib.ExitStack()
        try:
            self.secrets = Secrets(folder / "secrets")
            places = net.places(replicas + 2)
            self.redis = Redis(folder, placed("redis", places[-1]), aof=aof)
            self._cleanup.callback(lambda: _end(self.redis.process))
            self.replicas: list[Replica] = []
            for number in range(replicas):
                address = shared_by(number, self.redis.address)
                self.replicas.append(self._replica(number, places[number], address, *flags))
            ports = {one.name: (one.grpc_port, one.http_port) for one in self.replicas}
            hosts = {one.name: one.place.host for one in self.replicas}
            self.envoy = Envoy(folder, self.secrets, ports, hosts, places[-2])
            self._cleanup.callback(lambda: _end(self.envoy.process))
        except BaseException:
            self._cleanup.close()
            raise

    def _replica(self, number: int, place: Place, redis: str, *flags: str) -> Replica:
        name = f"ssmd-{number}"
        shared = ["--shared-store", f"redis://{redis}", "--replica-address", name]
        # The last one is without: what it knew is gone with it.
        if number != 2:
            shared += ["--state-dir", str(self.state_dir(number))]
        where = self._placed(name, place)
        replica = Replica(name, self.folder, self.secrets, *shared, *flags, place=where)
        self._cleanup.callback(lambda: _end(replica.process))
        return replica

    def state_dir(self, number: int) -> Path:
        return self.folder / f"state-{number}"

    def client(self, retries: int | ssmd.Retries | None = None) -> ssmd.Client:
        """Through Envoy, with the retry policy as it is shipped."""
        host = self.envoy.place.host
        return ssmd.Client(
            f"{host}:{self.envoy.ports['front']}",
            token=self.secrets.token,
            tls=ssmd.Tls(ca_file=self.secrets.folder / "front/ca.crt", server_name="localhost"),
            timeout=TIMEOUT,
            retries=ssmd.Retries() if retries is None else retries,
        )

    def direct(self, number: int, retries: int | ssmd.Retries = 0) -> ssmd.Client:
        """To one replica."""
        return direct(self.replicas[number], self.secrets, retries)

    def close(self) -> None:
        self._cleanup.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def direct(replica: Replica, secrets: Secrets, retries: int | ssmd.Retries) -> ssmd.Client:
    keys = secrets.folder
    return ssmd.Client(
        f"{replica.place.host}:{replica.grpc_port}",
        token=secrets.token,
        tls=ssmd.Tls(
            ca_file=keys / "replicas/ca.crt",
            certificate_file=keys / "replica-client/tls.crt",
            key_file=keys / "replica-client/tls.key",
            server_name="localhost",
        ),
        timeout=TIMEOUT,
        retries=retries,
    )


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[ssmd.Client]:
    """One daemon, without faults and without others: what it says is the truth."""
    folder.mkdir()
    secrets = Secrets(folder / "secrets")
    replica = Replica("alone", folder, secrets)
    try:
        with direct(replica, secrets, 5) as client:
            yield client
    finally:
        _end(replica.process)


@contextlib.contextmanager
def cluster(folder: Path, replicas: int, *flags: str, aof: bool = False) -> Iterator[Cluster]:
    with network() as net, Cluster(folder, net, replicas, *flags, aof=aof) as running:
        yield running


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
