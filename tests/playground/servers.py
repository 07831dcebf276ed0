"""What the page is tested against: a daemon where SSMD_BINARY names one, the mock server otherwise.

Both serve two models: demo, which chats, and tales, which does not.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mock_server import MockServer

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "deploy/models/tales-2m"
BINARY = os.environ.get("SSMD_BINARY", "")


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Looks until the condition holds; False where it does not."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Mock:
    is_mock = True

    def __init__(self) -> None:
        self.server = MockServer()
        self.url = self.server.url

    def stop(self) -> None:
        self.server.stop()

    def crash(self) -> None:
        """In the middle of whatever it does."""
        self.server.stop()

    def restart(self) -> None:
        """Loses all sessions."""
        self.server.stop()
        self.server.start()

    def session_count(self) -> int:
        return len(self.server.state.sessions)

    def generated_count(self) -> int:
        return self.server.state.figures.written


class Daemon:
    """Without a state directory, so that a restart loses all sessions."""

    is_mock = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._listen = "127.0.0.1:0"
        self._start()

    def _start(self) -> None:
        ready = self._folder / "ready"
        ready.unlink(missing_ok=True)
        command = [BINARY, "--model", f"demo={MODEL}", "--model-option", "demo.chat=chatml"]
        command += ["--model", f"tales={MODEL}", "--model-option", "tales.chat=none"]
        command += ["--ready-file", str(ready)]
        command += ["--grpc-listen", "127.0.0.1:0", "--http-listen", self._listen]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log)
        process = self._process
        eventually(lambda: ready.exists() or process.poll() is not None)
        assert process.poll() is None, (self._folder / "log").read_text()
        self._listen = json.loads(ready.read_text())["http"]
        self.url = f"http://{self._listen}"

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def crash(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self._start()

    def session_count(self) -> int:
        with urllib.request.urlopen(f"{self.url}/v1/sessions?limit=100") as response:
            body: dict[str, Any] = json.load(response)
        return len(body["data"])

    def generated_count(self) -> int:
        with urllib.request.urlopen(f"{self.url}/metrics") as response:
            text = response.read().decode()
        return sum(map(int, re.findall(r"^ssmd_generation_tokens_total\S* (\d+)", text, re.MULTILINE)))


Server = Mock | Daemon


def start(folder: Path) -> Server:
    return Daemon(folder) if BINARY else Mock()
