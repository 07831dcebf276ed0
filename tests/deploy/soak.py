#!/usr/bin/env python3
"""Keeps a daemon under many streams for long, and says whether it is afterwards what it was before.

Conversations of several turns, of prompts and answers of all lengths, by ssmd-bench over gRPC. Resident
memory is looked at once a second: its drift is between the median of the first and of the last tenth of the
load. Then descriptors, slots and sessions are counted again, and compared with what they were between a
warm-up and the load: threads and polling make a few descriptors of their own when they are first needed.
The cache of prompts holds slots by design, up to its limit: it is off here, so that what is held is a leak.

Fails when a request failed, the memory drifted by more than --drift-max, or a descriptor, a slot or a session
is left. SSMD_BINARY is the daemon; tests/deploy/run.sh sets it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fleet

BENCH = fleet.BINARY.with_name("ssmd-bench")
SECONDS_MAX = 86400
STREAMS_MAX = 4096
SETTLE_SECONDS = 60
TENTHS = 10
OF_ALL_LENGTHS = (
    *("--turns", "uniform:1:4"),
    *("--prompt-tokens", "lognormal:60:0.8"),
    *("--max-tokens", "lognormal:60:0.8"),
)
# All of them run at once: what will ever be in use is, and has been touched.
ALL_AT_ONCE = ("--turns", "2", "--prompt-tokens", "60", "--max-tokens", "150")


class Daemon:
    """One that has room for the streams."""

    def __init__(self, folder: Path, streams: int) -> None:
        ready = folder / "ready"
        command = [str(fleet.BINARY), "--model", f"{fleet.MODEL}={fleet.MODEL_FOLDER}"]
        command += ["--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
        command += ["--ready-file", str(ready), "--log-level", "error"]
        command += ["--prefix-cache-bytes", "0", "--state-slots", str(2 * streams + 2)]
        for limit in ("running", "waiting", "requests", "tenant-requests", "concurrent-streams"):
            command += [f"--max-{limit}", str(2 * streams)]
        command += ["--max-queue-time", "3600"]
        self.process = subprocess.Popen(command)
        assert fleet.eventually(
            lambda: ready.exists() or self.process.poll() is not None, SETTLE_SECONDS
        )
        assert self.process.poll() is None, "the daemon did not start"
        addresses = json.loads(ready.read_text())
        self.grpc: str = addresses["grpc"]
        # One for all, which is there whenever descriptors are counted.
        self._http = http.client.HTTPConnection(addresses["http"], timeout=60)

    def metric(self, name: str) -> float:
        """The sum of a metric's values, of those whose labels are in the name."""
        lines = self._get("/metrics").splitlines()
        name, _, label = name.partition("{")
        found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        assert found, name
        return sum(float(line.rsplit(" ", 1)[1]) for line in found if label in line)

    def _get(self, path: str) -> str:
        try:
            self._http.request("GET", path)
            return self._http.getresponse().read().decode()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._http.close()  # it was idle for long, and the next request opens another
            self._http.request("GET", path)
            return self._http.getresponse().read().decode()

    def resident(self) -> int:
        return fleet.resident_bytes(self.process.pid)

    def descriptors(self) -> dict[str, int]:
        """How many of each kind, files by their names."""
        folder = Path(f"/proc/{self.process.pid}/fd")
        links = [os.readlink(entry) for entry in folder.iterdir()]
        kinds = Counter(re.sub(r"^(socket|pipe):.*", r"\1", link) for link in links)
        return dict(sorted(kinds.items()))

    def held(self) -> dict[str, Any]:
        """What the load must give back."""
        return {
            "slots": int(self.metric('ssmd_state_slots{state="used"')),
            "sessions": int(self.metric("ssmd_sessions")),
            "descriptors": self.descriptors(),
        }


@contextmanager
def daemon(streams: int) -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory() as folder:
        one = Daemon(Path(folder), streams)
        try:
            yield one
        finally:
            one.process.terminate()
            one.process.wait(60)


def load(one: Daemon, streams: int, seconds: int, *what: str) -> subprocess.Popen[str]:
    command = [str(BENCH), "serve", "--server", one.grpc, "--json", "--streams", str(streams)]
    command += ["--duration", str(seconds), *what]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def watch(
    one: Daemon, loader: subprocess.Popen[str], warm_up: int, seconds: int, what: str
) -> list[int]:
    """Resident bytes, each second after the warm-up while the whole load is there; progress now and then."""
    sizes: list[int] = []
    began = said = time.monotonic()
    while loader.poll() is None and one.process.poll() is None:
        time.sleep(1)
        now = time.monotonic()
        resident = one.resident()
        if warm_up <= now - began <= warm_up + seconds:
            sizes.append(resident)
        if now - said >= max(10, (warm_up + seconds) / 20):
            said = now
            print(
                f"{what}: {now - began:.0f} of {warm_up + seconds} s: {resident / 1e6:.1f} MB",
                file=sys.stderr,
                flush=True,
            )
    return sizes


def drift(sizes: list[int]) -> tuple[float, int, int]:
    tenth = max(1, len(sizes) // TENTHS)
    first, last = statistics.median(sizes[:tenth]), statistics.median(sizes[-tenth:])
    return last / first - 1, int(first), int(last)


def soak(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    complaints: list[str] = []
    with daemon(options.streams) as one:
        warm_up = (options.warm_up + 1) // 2
        loader = load(one, options.streams, warm_up, *ALL_AT_ONCE)
        watch(one, loader, warm_up, 0, "first half of the warm-up")
        loader.communicate()
        fleet.eventually(lambda: one.held()["slots"] == 0, SETTLE_SECONDS)
        before = one.held()
        # What the heap gave back in between it takes again in the first half minute.
        loader = load(one, options.streams, warm_up + options.seconds, *OF_ALL_LENGTHS)
        sizes = watch(one, loader, warm_up, options.seconds, "second half and load")
        seen = json.loads(loader.communicate()[0])
        if one.process.poll() is not None:
            return {}, [f"the daemon ended with status {one.process.returncode}"]
        fleet.eventually(lambda: one.held() == before, SETTLE_SECONDS)
        after = one.held()
    change, first, last = drift(sizes)
    if seen["errors"]:
        complaints.append(f"requests failed: {seen['errors']}")
    if change > options.drift_max:
        complaints.append(f"resident memory grew by {100 * change:.2f} %")
    complaints += [f"{name} held" for name in ("slots", "sessions") if after[name]]
    for name, count in before.items():
        if after[name] != count:
            complaints.append(f"{name}: {count} before, {after[name]} afterwards")
    report = {
        "streams": options.streams,
        "seconds": options.seconds,
        "requests": seen["succeeded"],
        "generated_tokens": seen["generated_tokens"],
        "resident_first_tenth": first,
        "resident_last_tenth": last,
        "resident_min": min(sizes),
        "resident_max": max(sizes),
        "drift": round(change, 5),
        "held_before": before,
        "held_after": after,
    }
    return report, complaints


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=1000, help="at once [1000]")
    parser.add_argument("--seconds", type=int, default=3600, help="of load [3600]")
    parser.add_argument("--warm-up", type=int, default=600, help="seconds before [600]")
    parser.add_argument("--drift-max", type=float, default=0.01, help="of the memory [0.01]")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    options = parser.parse_args()
    if not 0 < options.streams <= STREAMS_MAX or not 0 < options.seconds <= SECONDS_MAX:
        parser.error(f"streams are at most {STREAMS_MAX}, seconds {SECONDS_MAX}")
    report, complaints = soak(options)
    text = json.dumps(report, indent=1)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n")
    for complaint in complaints:
        print(f"soak: {complaint}", file=sys.stderr)
    return int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main())
