"""A real daemon on free ports, and what it says of itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import ssmd
from ssmd._methods import Method
from ssmd._proto import admin_pb2

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("SSMD_BINARY", ROOT / "build/release/bin/ssmd"))
MODEL = ROOT / "deploy/models/tales-2m"
GET_STATS = Method(
    "/ssmd.v1.AdminService/GetStats", admin_pb2.GetStatsRequest, admin_pb2.GetStatsResponse
)
# Longer than any test: something else ends it. So is what has so many tokens to score.
ENDLESS = 60000
LONG_SCORE = 1 << 18


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Looks until the condition holds; False where it does not."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


class Daemon:
    """Started with the flags given, and those that every test wants."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self._ready = folder / "ready"
        self._log = folder / "log"
        command = [str(BINARY), "--model", f"tales={MODEL}", "--ready-file", str(self._ready)]
        command += ["--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
        command += [f"--max-score-tokens={LONG_SCORE}", *flags]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stderr=log)
        assert eventually(lambda: self._is_ready() or self._process.poll() is not None)
        assert self._process.poll() is None, self._log.read_text()
        self.server: str = json.loads(self._ready.read_text())["grpc"]
        self._operator = ssmd.Client(self.server, retries=0, token="")

    def _is_ready(self) -> bool:
        try:
            return bool(json.loads(self._ready.read_text())["pid"] == self._process.pid)
        except (OSError, ValueError):
            return False

    def stats(self) -> admin_pb2.ModelStats:
        request = admin_pb2.GetStatsRequest()
        return self._operator._calls.unary(GET_STATS, request).models[0]

    def is_at_rest(self) -> bool:
        stats = self.stats()
        return stats.running == 0 and stats.waiting == 0

    def ended_early(self) -> list[str]:
        """Why turns ended before their time, oldest first."""
        return [end.reason for end in self.stats().early_ends]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self._operator.close()
        self._process.send_signal(how)
        return self._process.wait(60)
