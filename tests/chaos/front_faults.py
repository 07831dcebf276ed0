"""Envoy, the only one, killed again and again while callers go on."""

from __future__ import annotations

import argparse
import random
import signal
import threading
import time
from pathlib import Path

from fleet import eventually

from background import Background
from cluster import cluster
from conversations import Load
from figures import Report, distribution, print_table
from replica_faults import REPLICAS, Totals, truths_of, turn_report


def envoy(folder: Path, options: argparse.Namespace) -> Report:
    """kill -9 of Envoy: every call under way breaks off, and none can be made before it is back."""
    truths = truths_of(folder, options)
    draw = random.Random(f"envoy/{options.seed}")
    seconds = options.seconds / 2
    absences: list[tuple[float, float]] = []
    with cluster(folder, REPLICAS) as running, running.client() as client:
        # The client makes no call again that changes something and has no name, and gives up looks after two
        # seconds: the caller does. Turns are the client's alone.
        load = Load(client, truths, options.seed, creation_may_fail=True, end_may_fail=True)
        ended = threading.Event()

        def kill() -> None:
            end = time.monotonic() + seconds
            # Well for as long as callers wait at most between two tries.
            while time.monotonic() < end and not ended.wait(options.every):
                pause = draw.choice((0.0, draw.uniform(0, options.every - 1)))
                begin = time.monotonic()
                running.envoy.stop(signal.SIGKILL)
                time.sleep(pause)
                running.envoy.start()
                if not eventually(lambda: running.envoy.healthy() == REPLICAS):
                    load.findings.violated("Envoy is not back")
                    return
                absences.append((begin, time.monotonic()))

        killer = Background(kill)
        try:
            load.run(seconds)
        finally:
            ended.set()
            killer.join()
        totals = Totals()
        for number in range(REPLICAS):
            totals.add(running, number)
    counts = {"kills": len(absences), "looks_and_deletions_again": load.findings.others_again}
    if not absences:
        load.findings.violated("Envoy was never killed")
    without = [
        one
        for one in load.findings.timings
        if any(one.begin < end and one.begin + one.seconds > begin for begin, end in absences)
    ]
    figures = turn_report("envoy", options, load.findings, counts, totals, [a[0] for a in absences])
    row = {"turns without Envoy": distribution([one.seconds for one in without])}
    print_table("envoy: a turn begun before or while it was away", row)
    figures["latency_ms"] |= row
    return figures
