from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon import Daemon
from proxy import Proxy

import ssmd


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSMD_SERVER", "SSMD_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("daemon"))
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture
def start_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Daemon]]:
    """Starts daemons of one test's own, with flags."""
    started: list[Daemon] = []

    def start(*flags: str) -> Daemon:
        folder: Path = tmp_path_factory.mktemp("daemon")
        started.append(Daemon(folder, *flags))
        return started[-1]

    yield start
    for daemon in started:
        daemon.stop(signal.SIGKILL)


@pytest.fixture
def client(daemon: Daemon) -> Iterator[ssmd.Client]:
    with ssmd.Client(daemon.server) as client:
        yield client


@pytest.fixture
def proxy(daemon: Daemon) -> Iterator[Proxy]:
    proxy = Proxy(daemon.server)
    yield proxy
    proxy.close()
