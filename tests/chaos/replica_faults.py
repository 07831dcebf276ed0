"""Replicas that are killed, and replicas that are restarted one after the other."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import threading
import time
from pathlib import Path

from fleet import eventually

from background import Background
from cluster import Cluster, alone, cluster
from conversations import Findings, Load, Timing, Truth, tell_truths
from figures import Report, distribution, print_table

REPLICAS = 3
# From a death to others' taking over at the latest: presence, and the calls' patience.
TAKE_OVER_SECONDS = 8.0
COUNTERS = ("claimed", "taken_over", "given_up", "lost", "store_failures")


def truths_of(folder: Path, options: argparse.Namespace) -> list[Truth]:
    with alone(folder / "alone") as client:
        return tell_truths(client, options.conversations, options.turns, options.seed)


class Totals:
    """Of the replicas' counters, over their deaths."""

    def __init__(self) -> None:
        self._sum = dict.fromkeys(COUNTERS, 0.0)

    def add(self, running: Cluster, number: int) -> None:
        for name in COUNTERS:
            self._sum[name] += running.replicas[number].metric(f"ssmd_shared_{name}_total")

    def report(self) -> dict[str, float]:
        return dict(self._sum)


def kills(folder: Path, options: argparse.Namespace) -> Report:
    """kill -9 of one after the other, back with what it had on disk, or without."""
    truths = truths_of(folder, options)
    draw = random.Random(f"kills/{options.seed}")
    deaths: list[float] = []
    with cluster(folder, REPLICAS) as running, running.client() as client:
        load = Load(client, truths, options.seed, creation_may_fail=True)
        ended = threading.Event()
        totals = Totals()

        def kill() -> None:
            end = time.monotonic() + options.seconds
            while time.monotonic() < end - options.every and not ended.wait(options.every):
                number = draw.randrange(REPLICAS)
                replica = running.replicas[number]
                pause, keeps = draw.uniform(0, options.every - 1), draw.random() < 0.5
                totals.add(running, number)
                deaths.append(time.monotonic())
                replica.stop(signal.SIGKILL)
                if not keeps:
                    shutil.rmtree(running.state_dir(number), ignore_errors=True)
                # Within the time in which others may not take over yet, and past it.
                time.sleep(pause)
                replica.start()

        killer = Background(kill)
        try:
            load.run(options.seconds)
        finally:
            ended.set()
            killer.join()
        for number in range(REPLICAS):
            totals.add(running, number)
    return turn_report("kills", options, load.findings, {"kills": len(deaths)}, totals, deaths)


def restarts(folder: Path, options: argparse.Namespace) -> Report:
    """SIGTERM of one after the other, each when the one before it is back."""
    truths = truths_of(folder, options)
    with cluster(folder, REPLICAS) as running, running.client() as client:
        load = Load(client, truths, options.seed)
        done = threading.Event()
        ends: list[float] = []
        totals = Totals()

        def restart() -> None:
            try:
                for count in range(options.restarts):
                    number = count % REPLICAS
                    replica = running.replicas[number]
                    totals.add(running, number)
                    ends.append(time.monotonic())
                    code = replica.stop()
                    if code != 0:
                        load.findings.violated(f"restart {count}: {replica.name} ended with {code}")
                    replica.start()
                    if not eventually(lambda: running.envoy.healthy() == REPLICAS):
                        load.findings.violated(f"restart {count}: {replica.name} is not back")
                        return
            finally:
                done.set()

        restarter = Background(restart)
        try:
            # As long as restarts take is not known before.
            load.run(min(20.0, 3.0 * options.restarts), done.is_set)
        finally:
            restarter.join()
        for number in range(REPLICAS):
            totals.add(running, number)
    return turn_report("restarts", options, load.findings, {"restarts": len(ends)}, totals, ends)


def turn_report(
    name: str,
    options: argparse.Namespace,
    findings: Findings,
    counts: dict[str, int],
    totals: Totals,
    faults: list[float],
) -> Report:
    def disturbed(timing: Timing) -> bool:
        end = timing.begin + timing.seconds
        return any(timing.begin < fault + TAKE_OVER_SECONDS and end > fault for fault in faults)

    def moved(timing: Timing) -> bool:
        return timing.state_source in ("remote", "replayed") or timing.replayed

    groups = {
        "all turns": findings.timings,
        "the session stayed": [one for one in findings.timings if not moved(one)],
        "it came from another replica": [one for one in findings.timings if moved(one)],
        "of those, soon after a fault": [
            one for one in findings.timings if moved(one) and disturbed(one)
        ],
        "an answer told again": [one for one in findings.timings if one.replayed],
    }
    rows = {key: distribution([one.seconds for one in some]) for key, some in groups.items()}
    print_table(f"{name}: a turn's latency", rows)
    shared = totals.report()
    print(
        f"conversations ended: {findings.ended}; {counts}; sessions: {shared}; "
        f"creations asked for again: {findings.creations_again}"
    )
    return {
        "seed": options.seed,
        "conversations_ended": findings.ended,
        **counts,
        "creations_again": findings.creations_again,
        "shared": shared,
        "latency_ms": rows,
        "violations": findings.violations,
    }
