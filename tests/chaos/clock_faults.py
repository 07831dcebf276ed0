"""The wall clock of one machine, a replica's or Redis's, set forward and back by hours under load."""

from __future__ import annotations

import argparse
import random
import threading
import time
from pathlib import Path

import ssmd
from fleet import Place

from background import Background
from cluster import Cluster
from conversations import Load
from figures import Report
from network import network
from replica_faults import Totals, truths_of, turn_report

REPLICAS = 2
LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
# It begins ahead, for the certificates are of now: before they are valid nobody is let in, as it should be.
AHEAD_HOURS, SHIFT_HOURS = 12, 11
# Longer than any jump, so that no session's time is over; and there, so that clocks are looked at.
IDLE_SECONDS = 3 * 24 * 3600
PAUSE_SECONDS = 1.5


class WallClock:
    """Of a process that is started by way of `placed`: the wall clock, and no other."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(AHEAD_HOURS)

    def set(self, hours: float) -> None:
        # Renamed: it is read while it is written.
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{hours * 3600:+.0f}\n")
        fresh.rename(self._file)

    def placed(self, place: Place) -> Place:
        variables = {
            # libc's malloc before Redis's jemalloc, which asks for the time before the library can tell it.
            "LD_PRELOAD": f"{LIBRARY} libc.so.6",
            "FAKETIME_TIMESTAMP_FILE": self._file,
            "FAKETIME_NO_CACHE": 1,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1,
        }
        changed = [f"{name}={value}" for name, value in variables.items()]
        return Place(place.host, (*place.prefix, "env", *changed))


def clocks(folder: Path, options: argparse.Namespace) -> Report:
    if not LIBRARY.exists():
        print(f"clock: skipped: there is no {LIBRARY} (Debian's package faketime)")
        return {"seed": options.seed, "skipped": True, "violations": []}
    reports: Report = {}
    violations: list[str] = []
    for name in ("ssmd-0", "redis"):
        where = folder / name
        where.mkdir()
        reports[name] = _jumps(where, name, options)
        violations += [f"the clock of {name}: {what}" for what in reports[name]["violations"]]
    return {"seed": options.seed, "clocks": reports, "violations": violations}


def _jumps(folder: Path, name: str, options: argparse.Namespace) -> Report:
    """All the while sessions move: each turn is at the other replica."""
    truths = truths_of(folder, options)
    draw = random.Random(f"clock/{name}/{options.seed}")
    clock = WallClock(folder)
    seconds = 2 * options.fault_seconds
    jumps: list[float] = []
    flags = ("--session-idle", str(IDLE_SECONDS))

    def placed(who: str, place: Place) -> Place:
        return clock.placed(place) if who == name else place

    with network() as net, Cluster(folder, net, REPLICAS, *flags, placed=placed) as running:
        patient = [running.direct(number, ssmd.Retries()) for number in range(REPLICAS)]
        with running.client() as client:
            load = Load(client, truths, options.seed, spread=patient)
            ended = threading.Event()

            def jump() -> None:
                while not ended.wait(PAUSE_SECONDS):
                    hours = draw.uniform(1, SHIFT_HOURS) * (1 if len(jumps) % 2 == 0 else -1)
                    jumps.append(time.monotonic())
                    clock.set(AHEAD_HOURS + hours)

            jumper = Background(jump)
            try:
                load.run(seconds)
            finally:
                ended.set()
                jumper.join()
            totals = Totals()
            for number in range(REPLICAS):
                totals.add(running, number)
    if not jumps:
        load.findings.violated("the clock was never set")
    return turn_report(
        f"clock of {name}", options, load.findings, {"jumps": len(jumps)}, totals, jumps
    )
