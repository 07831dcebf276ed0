#!/usr/bin/env python3
"""What a session has in the shared store, of a daemon and a Redis of its own: JSON, the figures of records
and images in figures.json. Turns of three sizes tell the part that is always there and that of each token.
They have a request_id, as those of clients that try again, so that a record has the answer.

usage: probe_sessions.py [--bin build/release/bin] [--redis-server PATH]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from probe_redis import ROOT, Client, redis_server

MODEL = ROOT / "deploy/models/tales-2m"


class Daemon:
    def __init__(self, folder: Path, binaries: Path, port: str) -> None:
        ready = folder / "ready.json"
        self._ssmctl = str(binaries / "ssmctl")
        command = [str(binaries / "ssmd"), "--model", str(MODEL), "--grpc-listen", "127.0.0.1:0"]
        command += [
            "--http-listen",
            "127.0.0.1:0",
            "--ready-file",
            str(ready),
            "--log-level",
            "error",
        ]
        command += ["--shared-store", f"redis://127.0.0.1:{port}", "--threads", "1"]
        self.process = subprocess.Popen(
            [*command, "--shared-state-after", "0.1"], stdout=subprocess.DEVNULL
        )
        while not ready.exists():
            if self.process.poll() is not None:
                raise RuntimeError("ssmd does not start")
            time.sleep(0.1)
        self._server = json.loads(ready.read_text(encoding="utf-8"))["grpc"]

    def ssmctl(self, *words: str) -> str:
        command = [self._ssmctl, "--server", self._server, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def tokens(count: int) -> str:
    return ",".join(str(1 + index % 2000) for index in range(count))


def stored(client: Client, session: str) -> dict[str, int]:
    """Bytes of each field, once its state is there."""
    key = next(key for key in client.call("KEYS", "ssmd:s:*") if key.decode().endswith(session))
    while True:
        fields = client.call("HKEYS", key)
        if b"s" in fields:
            return {field.decode(): client.call("HSTRLEN", key, field) for field in fields}
        time.sleep(0.05)


def turn(client: Client, daemon: Daemon, prompt: int, answer: int) -> tuple[int, int]:
    """Bytes of its record, and of the image of a fork, which has the whole of it."""
    session = daemon.ssmctl("sessions", "create")
    words = [
        "generate",
        "--session",
        session,
        "--tokens",
        tokens(prompt),
        "--max-tokens",
        str(answer),
    ]
    daemon.ssmctl(
        *words, "--ignore-eos", "--seed", "1", "--request-id", f"{prompt}-{answer}", "--json"
    )
    # The making of the session is change 1, in its image; the turn is the one after it.
    record = stored(client, session)["r2"]
    fork = daemon.ssmctl("sessions", "create", "--from", session)
    return record, stored(client, fork)["image"]


def measure(client: Client, daemon: Daemon) -> dict[str, object]:
    short, asked, answered = (
        turn(client, daemon, *size) for size in ((48, 16), (1048, 16), (48, 516))
    )
    prompt_token, answer_token = (asked[0] - short[0]) / 1000, (answered[0] - short[0]) / 500
    image_token = (asked[1] - short[1]) / 1000
    return {
        "record_bytes": round(short[0] - 48 * prompt_token - 16 * answer_token, 1),
        "record_prompt_bytes": round(prompt_token, 2),
        "record_answer_bytes": round(answer_token, 2),
        "image_bytes": round(short[1] - 64 * image_token, 1),
        "image_token_bytes": round(image_token, 2),
        "records_and_images": {"48 and 16": short, "1048 and 16": asked, "48 and 516": answered},
    }


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\nusage")[0])
    parser.add_argument(
        "--bin", type=Path, default=ROOT / "build/release/bin", help="where ssmd and ssmctl are"
    )
    parser.add_argument("--redis-server")
    options = parser.parse_args(arguments)
    os.environ.pop("SSMD_SERVER", None)
    with tempfile.TemporaryDirectory() as folder, redis_server(options.redis_server) as client:
        daemon = Daemon(Path(folder), options.bin, client.port)
        try:
            json.dump(measure(client, daemon), sys.stdout, indent=1)
            print()
        finally:
            daemon.process.kill()
            daemon.process.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
