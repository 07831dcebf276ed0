"""A daemon with small limits for the fuzz of its HTTP API, and the figures by which it is at rest."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from fuzz_wire import Peer, request_bytes

ROOT = Path(__file__).resolve().parents[3]
# So that cases are cheap, and that limits are met.
ARGUMENTS = """
    --threads 1 --max-tokens 64 --max-n 4 --max-prompt-bytes 4K --max-prompt-tokens 512 --max-history-tokens 2048
    --state-slots 24 --host-state-bytes 8M --prefix-cache-bytes 4M --turn-end-bytes 4M --dirty-state-bytes 4M
    --disk-state-bytes 64M --max-sessions 100 --max-checkpoints 4 --max-turn-ends 8 --max-turn-end-states 2
    --max-http-body-bytes 128K --max-http-header-bytes 8K --max-http-connections 64 --http-timeout 5
    --drain-timeout 10 --log-level warn
""".split()
TOKENS = {"one": "token-of-tenant-one", "two": "token-of-tenant-two"}  # by tenant
START_SECONDS = 120
STOP_SECONDS = 60
REST_SECONDS = 60


def bearer(tenant):
    return "Authorization", f"Bearer {TOKENS[tenant]}"


class FuzzDaemon:
    """Usable as a context; it is ended with it."""

    def __init__(self, arguments=()):
        self.folder = tempfile.TemporaryDirectory(prefix="ssmd-fuzz-")
        folder = Path(self.folder.name)
        binary = os.environ.get("SSMD_BINARY") or str(ROOT / "build/release/bin/ssmd")
        ready = folder / "ready"
        self.log = folder / "log"
        command = [binary, "--model", f"demo={ROOT / 'deploy/models/tales-2m'}", "--ready-file", str(ready)]
        command += ["--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
        command += ["--state-dir", str(folder / "state"), *ARGUMENTS, *arguments]
        tokens = folder / "tokens"
        tokens.write_text("".join(f"{token} {tenant}\n" for tenant, token in TOKENS.items()))
        tokens.chmod(0o600)
        command += ["--token-file", str(tokens)]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists() or not ready.read_text().strip():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the daemon did not start: {self.log_end()}")
            time.sleep(0.02)
        self.port = int(json.loads(ready.read_text())["http"].rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.is_alive():
            self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def is_alive(self):
        return self.process.poll() is None

    def log_end(self, size=4000):
        return self.log.read_bytes()[-size:].decode("utf-8", "replace")

    def get(self, target, method="GET", tenant="one"):
        with Peer(self.port) as peer:
            peer.send(request_bytes(method, target, headers=[bearer(tenant)]))
            return peer.answer(is_head=method == "HEAD")

    def figures(self):
        """Of /metrics, those of several labels added up."""
        figures = {}
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith("#"):
                continue
            name, value = re.fullmatch(r"(\w+)(?:\{.*\})? (\S+)", line).groups()
            figures[name] = figures.get(name, 0.0) + float(value)
        return figures

    def resident_bytes(self):
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def wait_until(self, is_so, what, seconds=REST_SECONDS):
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > deadline:
                raise AssertionError(f"after {seconds} s it is not so that {what}; log: {self.log_end()}")
            time.sleep(0.05)

    def is_at_rest(self):
        figures = self.figures()
        busy = ("ssmd_requests_running", "ssmd_requests_waiting", "ssmd_requests_paused")
        return all(figures[name] == 0 for name in busy)

    def delete_sessions(self):
        """All of them; how many there were."""
        count = 0
        for tenant in TOKENS:
            while sessions := json.loads(self.get("/v1/sessions?limit=1000", tenant=tenant).body)["data"]:
                for session in sessions:
                    answer = self.get(f"/v1/sessions/{session['id']}", "DELETE", tenant)
                    assert answer.status in (200, 404), answer  # the time of some ends by itself
                count += len(sessions)
        return count

    def stop(self):
        """By SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)
