from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

import servers
from playground import Playground

expect.set_options(timeout=10_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "there is no chromium here"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    server = servers.start(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[servers.Server]:
    """One that a test may stop and start."""
    server = servers.start(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def mock() -> Iterator[servers.Mock]:
    """For what a daemon cannot be made to do at will."""
    server = servers.Mock()
    yield server
    server.stop()


class Watch:
    """What pages asked for and complained of."""

    def __init__(self, context: BrowserContext) -> None:
        self._context = context
        self.hosts: set[str] = set()
        self.complaints: list[str] = []
        self._listeners: dict[str, Callable[[Any], None]] = {
            "request": lambda request: self.hosts.add(urlsplit(request.url).netloc),
            "console": lambda message: self._console(message.type, message.text),
            "weberror": lambda error: self.complaints.append(str(error.error)),
        }
        for name, listener in self._listeners.items():
            context.on(name, listener)  # type: ignore[call-overload]

    def end(self) -> None:
        for name, listener in self._listeners.items():
            self._context.remove_listener(name, listener)

    def _console(self, kind: str, text: str) -> None:
        # Refused requests are no fault of the page.
        if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
            self.complaints.append(text)


LOOKS = {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light", "reduced_motion": "reduce"}


@pytest.fixture(scope="session")
def shared_context(browser: Browser) -> Iterator[BrowserContext]:
    """For one test after the other: a context for each takes a second more."""
    context = browser.new_context(**LOOKS)
    context.new_page()  # stays, to forget from what tests kept
    yield context
    context.close()


def watched(context: BrowserContext) -> Iterator[BrowserContext]:
    """No page of it complains, or asks another host."""
    context.set_default_timeout(10_000)
    watch = Watch(context)
    yield context
    watch.end()
    assert watch.complaints == []
    assert {host for host in watch.hosts if not host.startswith("127.0.0.1:") and host != ""} == set()


@pytest.fixture
def context(shared_context: BrowserContext, server: servers.Server) -> Iterator[BrowserContext]:
    """A browser without a past."""
    yield from watched(shared_context)
    first, *pages = shared_context.pages
    for page in pages:
        page.close()
    session = shared_context.new_cdp_session(first)
    session.send("Storage.clearDataForOrigin", {"origin": server.url, "storageTypes": "local_storage"})
    session.detach()


@pytest.fixture
def own_context(browser: Browser) -> Iterator[BrowserContext]:
    """One whose clock a test may turn."""
    context = browser.new_context(**LOOKS)
    yield from watched(context)
    context.close()


@pytest.fixture
def play(context: BrowserContext, server: servers.Server) -> Playground:
    return Playground(context, server.url)


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """Where pictures of the page go: kept where PLAYGROUND_SCREENSHOTS says."""
    folder = Path(os.environ.get("PLAYGROUND_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
