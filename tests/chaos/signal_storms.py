"""SIGTERM sent again and again to replicas that drain already."""

from __future__ import annotations

import argparse
import random
import signal
import threading
import time
from pathlib import Path

from fleet import Replica, eventually

from background import Background
from cluster import cluster
from conversations import Findings, Load
from figures import Report
from replica_faults import REPLICAS, Totals, truths_of, turn_report

SIGNALS = 10
# Their second to last come within this.
STORM_SECONDS = 1.0
# What a drain here takes at most, and --replica-presence.
DRAIN_SECONDS, PRESENCE_SECONDS = 5.0, 3.0
# After a drain, and by the second signal, which ends a replica at once (server/lifecycle.h).
DRAINED, AT_ONCE = 0, 1


def storms(folder: Path, options: argparse.Namespace) -> Report:
    """Of one replica, or of all but one, each storm when the one before is over and all are back."""
    truths = truths_of(folder, options)
    draw = random.Random(f"storms/{options.seed}")
    begins: list[float] = []
    codes: dict[int, int] = {}
    with cluster(folder, REPLICAS) as running, running.client() as client:
        load = Load(client, truths, options.seed, creation_may_fail=True)
        ended = threading.Event()
        totals = Totals()

        def storm() -> None:
            end = time.monotonic() + options.seconds / 2
            while time.monotonic() < end and not ended.wait(1):
                victims = draw.sample(range(REPLICAS), draw.choice((1, REPLICAS - 1)))
                for number in victims:
                    totals.add(running, number)
                begins.append(time.monotonic())
                chosen = [running.replicas[number] for number in victims]
                # The second signal comes at any moment of the drain, or when it is over.
                alone = draw.choice((0.0, draw.uniform(0, DRAIN_SECONDS)))
                for code in _storm(chosen, alone, draw.uniform(0, STORM_SECONDS), load.findings):
                    codes[code] = codes.get(code, 0) + 1
                # Within the time in which others may not take over yet, and past it.
                time.sleep(draw.choice((0.0, draw.uniform(0, PRESENCE_SECONDS + 1))))
                for replica in chosen:
                    replica.start()
                if not eventually(lambda: running.envoy.healthy() == REPLICAS):
                    load.findings.violated(f"storm {len(begins)}: not all are back")
                    return

        stormer = Background(storm)
        try:
            load.run(options.seconds / 2)
        finally:
            ended.set()
            stormer.join()
        for number in range(REPLICAS):
            totals.add(running, number)
    counts = {"storms": len(begins), **{f"ended_with_{code}": n for code, n in codes.items()}}
    if not begins:
        load.findings.violated("there was no storm")
    return turn_report("storms", options, load.findings, counts, totals, begins)


def _storm(victims: list[Replica], alone: float, seconds: float, findings: Findings) -> list[int]:
    """The first signal is alone for a while; all the others come within `seconds`."""
    for count in range(SIGNALS):
        for replica in victims:
            replica.process.send_signal(signal.SIGTERM)
        time.sleep(seconds / SIGNALS if count else alone)
    codes = [replica.process.wait(60) for replica in victims]
    for replica, code in zip(victims, codes):
        if code not in (DRAINED, AT_ONCE):
            findings.violated(f"{replica.name} ended with {code}")
    return codes
