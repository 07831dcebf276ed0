"""What ssmd says to a service manager, from its start to its end, by the socket that $NOTIFY_SOCKET names.

usage: notify_test.py SSMD MODEL
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

# Far more than anything here takes.
PATIENCE_S = 120
WATCHDOG_S = 2


class Manager:
    """The end that listens."""

    def __init__(self, name: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.settimeout(PATIENCE_S)
        self.heard: list[str] = []

    def wait_for(self, line: str) -> None:
        while True:
            lines = self.socket.recv(4096).decode().splitlines()
            self.heard += lines
            if any(re.fullmatch(line, each) for each in lines):
                return


def run(ssmd: str, model: str, name: str) -> list[str]:
    manager = Manager(name)
    command = [
        ssmd,
        "--model",
        f"m={model}",
        "--grpc-listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
    ]
    environment = {
        **os.environ,
        "NOTIFY_SOCKET": name,
        "WATCHDOG_USEC": str(WATCHDOG_S * 1_000_000),
    }
    daemon = subprocess.Popen(command, env=environment)
    try:
        manager.wait_for("READY=1")
        for _ in range(2):
            manager.wait_for("WATCHDOG=1")
        daemon.send_signal(signal.SIGTERM)
        manager.wait_for("STOPPING=1")
        assert daemon.wait(PATIENCE_S) == 0
    finally:
        daemon.kill()
        daemon.wait()
    return manager.heard


def main() -> None:
    ssmd, model = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for name in (f"{folder}/notify", f"@ssmd-notify-test-{os.getpid()}"):
            heard = run(ssmd, model, name)
            ready = heard.index("READY=1")
            assert "STATUS=serving m" in heard[ready:], heard
            assert all(each.startswith("STATUS=loading m: ") for each in heard[:ready]), heard
            stopping = heard.index("STOPPING=1")
            assert heard[stopping + 1] == "STATUS=draining: no new turns", heard
            assert "WATCHDOG=1" not in heard[stopping:], heard
            print(name, heard)


if __name__ == "__main__":
    main()
