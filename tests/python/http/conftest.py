from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import httpx2
import pytest

import checking
from asking import Asker
from daemon import Daemon


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(autouse=True)
def all_shapes_are_right() -> Iterator[None]:
    """Everything that a test gets is checked against what OpenAI publishes."""
    checking.mistakes.clear()
    yield
    assert not checking.mistakes, "\n".join(checking.mistakes[:5])


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("daemon"))
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture
def start_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Daemon]]:
    """Starts daemons of one test's own, with flags."""
    started: list[Daemon] = []

    def start(*flags: str, **more: str) -> Daemon:
        started.append(Daemon(tmp_path_factory.mktemp("daemon"), *flags, **more))
        return started[-1]

    yield start
    for daemon in started:
        daemon.stop(signal.SIGKILL)


@pytest.fixture
def ask(daemon: Daemon) -> Iterator[Asker]:
    with Asker(daemon.url) as ask:
        yield ask


@pytest.fixture
def http(daemon: Daemon) -> httpx2.Client:
    return daemon.http
