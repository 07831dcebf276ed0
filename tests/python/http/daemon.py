"""A real daemon on free ports, asked by HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx2

from checking import CheckingTransport

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("SSMD_BINARY", ROOT / "build/release/bin/ssmd"))
MODEL_FOLDER = ROOT / "deploy/models/tales-2m"
MODEL = "tales"
# Of the end of a text. The model seldom ends a chat by itself.
END_ID = 0
# More than any test reads: something else ends it.
ENDLESS = 60000


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Looks until the condition holds; False where it does not."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def token_id(token: str) -> int:
    """Of a token of the model, a space at its start included."""
    vocabulary = json.loads((MODEL_FOLDER / "tokenizer.json").read_text())["model"]["vocab"]
    return int(vocabulary[token.replace(" ", "Ġ")])


class Daemon:
    """Started with the flags given, and those that every test wants."""

    def __init__(
        self, folder: Path, *flags: str, token: str | None = None, chat: str = "chatml"
    ) -> None:
        self._ready = folder / "ready"
        self._log = folder / "log"
        command = [str(BINARY), "--model", f"{MODEL}={MODEL_FOLDER}", "--ready-file"]
        command += [str(self._ready), "--model-option", f"{MODEL}.chat={chat}"]
        command += ["--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", *flags]
        # A small one is up at once, and leaves the machine to others.
        for name, value in (("--threads", "1"), ("--state-slots", "64")):
            if name not in flags:
                command += [name, value]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stderr=log)
        assert eventually(lambda: self._is_ready() or self._process.poll() is not None)
        assert self._process.poll() is None, self._log.read_text()
        self.address: str = json.loads(self._ready.read_text())["http"]
        self.url = f"http://{self.address}"
        self.http = self.caller(token)
        self._plain = httpx2.Client(base_url=self.url, verify=False, trust_env=False)

    def _is_ready(self) -> bool:
        try:
            return bool(json.loads(self._ready.read_text())["pid"] == self._process.pid)
        except (OSError, ValueError):
            return False

    def caller(self, token: str | None = None) -> httpx2.Client:
        """Whose answers are all checked for their shape."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx2.Client(
            base_url=self.url,
            headers=headers,
            timeout=60,
            trust_env=False,
            transport=CheckingTransport(),
        )

    def metric(self, name: str) -> float:
        """The sum of a metric's values."""
        lines = self.http.get("/metrics").text.splitlines()
        found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        assert found, name
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def is_at_rest(self) -> bool:
        return (
            self.metric("ssmd_requests_running") == 0 and self.metric("ssmd_requests_waiting") == 0
        )

    def is_ready(self) -> bool:
        """Whether it takes new turns."""
        try:
            return self._plain.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def terminate(self) -> None:
        """Asks it to end, which it does when its turns are at their ends."""
        self._process.terminate()

    def wait(self) -> int:
        """Its exit status."""
        return self._process.wait(60)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.http.close()
        self._plain.close()
        self._process.send_signal(how)
        return self._process.wait(60)
