#!/usr/bin/env python3
"""Attacks a daemon, bare and behind Envoy, and says what its healthy callers feel of it.

Starts all that it needs on the loopback, and reaches nothing else. For each attack: the healthy callers
alone, then the same with the attackers, then what the processes keep of it. Attackers are other machines;
here they share the cores of what they attack, so they run at a lower priority (--attacker-nice).

--check fails if a process ended, kept memory or descriptors, or if behind Envoy the 99th percentile is more
than twice what it is without the attack. SSMD_BINARY is the daemon; tests/deploy/run.sh sets it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import grpc
from ssmd._proto import generation_pb2

import fleet
from attackers import ATTACKS, Counts, Target

SECONDS_MAX = 600
GENERATE = "/ssmd.v1.GenerationService/Generate"
HEALTHY_CALLERS = 4
PAUSE_SECONDS = 0.02  # of a healthy caller, between two requests
TOKENS = 32
SETTLE_SECONDS = 60
# What grows with every prompt by design, up to its limit, would hide what does not.
SMALL = ("--prefix-cache-bytes", "4M", "--host-state-bytes", "16M", "--log-level", "error")
RATIO_MAX = 2.0
# What may stay: the allocator's own, in pieces that it cannot give back, and lists that have grown once. More
# attacks add little to it: after 29,000 connections it was 110 MB, and after 128,000 145.
KEPT_BYTES_MAX = 160 << 20
KEPT_DESCRIPTORS_MAX = 4


@dataclass
class Healthy:
    """What healthy callers saw."""

    requests: int = 0
    errors: int = 0
    gaps_ms: list[float] = field(default_factory=list)  # between two tokens
    first_ms: list[float] = field(default_factory=list)  # to the first one
    whole_ms: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        figures: dict[str, float] = {"requests": self.requests, "errors": self.errors}
        for name in ("gaps", "first", "whole"):
            values = sorted(getattr(self, f"{name}_ms")) or [0.0]
            figures[f"{name}_p50_ms"] = round(statistics.median(values), 3)
            figures[f"{name}_p99_ms"] = round(values[int(0.99 * (len(values) - 1))], 3)
        return figures


class Callers:
    """A few who generate short answers, one after the other, over one connection each."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def run(self, seconds: float) -> Healthy:
        seen = Healthy()
        lock = threading.Lock()
        end = time.monotonic() + seconds

        def call() -> None:
            with self._channel() as channel:
                while time.monotonic() < end:
                    self._one(channel, seen, lock)
                    time.sleep(PAUSE_SECONDS)

        threads = [threading.Thread(target=call) for _ in range(HEALTHY_CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return seen

    def _channel(self) -> Any:
        address = f"localhost:{self._target.port}"
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        if self._target.ca_file is None:
            return grpc.insecure_channel(address, options)
        trusted = grpc.ssl_channel_credentials(self._target.ca_file.read_bytes())
        return grpc.secure_channel(address, trusted, options)

    def _one(self, channel: Any, seen: Healthy, lock: threading.Lock) -> None:
        request = generation_pb2.GenerateRequest(text="Once upon a time", max_tokens=TOKENS)
        request.stop.ignore_eos = True
        metadata = [("authorization", f"Bearer {self._target.token}")]
        began = last = time.monotonic()
        times: list[float] = []
        error = False
        try:
            stream = channel.unary_stream(
                GENERATE, request.SerializeToString, generation_pb2.GenerateResponse.FromString
            )(request, timeout=30, metadata=metadata)
            for event in stream:
                if event.HasField("delta"):
                    now = time.monotonic()
                    times.append(1e3 * (now - last))
                    last = now
        except grpc.RpcError:
            error = True
        with lock:
            seen.requests += 1
            seen.errors += error
            seen.first_ms += times[:1]
            seen.gaps_ms += times[1:]
            if not error:
                seen.whole_ms.append(1e3 * (time.monotonic() - began))


@dataclass
class Watched:
    """A process that is attacked, or stands behind what is."""

    name: str
    process: subprocess.Popen[bytes]

    def resident(self) -> int:
        return fleet.resident_bytes(self.process.pid)

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def lives(self) -> bool:
        return self.process.poll() is None


@dataclass
class Front:
    name: str
    target: Target
    watched: list[Watched]
    first_resident: dict[str, int] = field(default_factory=dict)  # before the first attack


@dataclass
class Row:
    front: str
    attack: str
    alone: dict[str, float]
    attacked: dict[str, float]
    counts: dict[str, float]
    processes: list[dict[str, Any]]
    complaints: list[str] = field(default_factory=list)

    def ratio(self, figure: str) -> float:
        return round(self.attacked[figure] / self.alone[figure], 2) if self.alone[figure] else 0.0


def attack_process(name: str, target: Target, seconds: float, nice: int, results: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(nice)
    results.put(asdict(ATTACKS[name](target, seconds)))


@contextmanager
def attackers(
    name: str, front: Front, options: argparse.Namespace
) -> Iterator[Callable[[], Counts]]:
    """Begins an attack; what is yielded waits for its end."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    arguments = (name, front.target, options.seconds + 1.0, options.attacker_nice, results)
    processes = [
        context.Process(target=attack_process, args=arguments) for _ in range(options.attackers)
    ]
    for process in processes:
        process.start()

    def wait() -> Counts:
        total = Counts()
        for _ in processes:
            total.add(Counts(**results.get(timeout=options.seconds + 60)))
        return total

    try:
        yield wait
    finally:
        for process in processes:
            process.join(10)
            process.kill()


def peak_while(watched: list[Watched], ended: threading.Event, peaks: dict[str, int]) -> None:
    while not ended.wait(0.05):
        for one in watched:
            if one.lives():
                peaks[one.name] = max(peaks.get(one.name, 0), one.resident())


def one_attack(front: Front, name: str, options: argparse.Namespace) -> Row:
    callers = Callers(front.target)
    callers.run(min(1.0, options.seconds))  # everything has been touched once
    for one in front.watched:
        front.first_resident.setdefault(one.name, one.resident())
    before = {
        one.name: (front.first_resident[one.name], one.descriptors()) for one in front.watched
    }
    alone = callers.run(options.seconds)
    peaks: dict[str, int] = {}
    ended = threading.Event()
    watcher = threading.Thread(target=peak_while, args=(front.watched, ended, peaks))
    watcher.start()
    with attackers(name, front, options) as wait:
        time.sleep(0.7)  # until they are at it
        attacked = callers.run(options.seconds)
        counts = wait()
    ended.set()
    watcher.join()
    row = Row(front.name, name, alone.figures(), attacked.figures(), asdict(counts), [])
    for one in front.watched:
        row.processes.append(
            aftermath(one, before[one.name], peaks.get(one.name, 0), row.complaints)
        )
    for figure in ("whole_p99_ms", "gaps_p99_ms"):
        if front.name == "envoy" and row.ratio(figure) > RATIO_MAX:
            row.complaints.append(f"{figure} is {row.ratio(figure)} times that without the attack")
    if front.name == "envoy" and attacked.errors:
        row.complaints.append(f"{attacked.errors} of {attacked.requests} healthy requests failed")
    return row


def aftermath(
    one: Watched, before: tuple[int, int], peak: int, complaints: list[str]
) -> dict[str, Any]:
    """What a process keeps once it had time to tidy up."""
    if not one.lives():
        complaints.append(f"{one.name} ended with status {one.process.returncode}")
        return {"name": one.name, "status": one.process.returncode}
    began = time.monotonic()

    def is_tidy() -> bool:
        kept = one.resident() - before[0]
        return one.descriptors() <= before[1] + KEPT_DESCRIPTORS_MAX and kept <= KEPT_BYTES_MAX

    fleet.eventually(is_tidy, SETTLE_SECONDS)
    seconds = round(time.monotonic() - began, 1)
    resident, descriptors = one.resident(), one.descriptors()
    if descriptors > before[1] + KEPT_DESCRIPTORS_MAX:
        complaints.append(f"{one.name} has {descriptors} descriptors open, and had {before[1]}")
    if resident > before[0] + KEPT_BYTES_MAX:
        complaints.append(f"{one.name} keeps {(resident - before[0]) >> 20} MiB")
    return {
        "name": one.name,
        "resident_before": before[0],  # the first attack
        "resident_peak": peak,
        "resident_after": resident,
        "descriptors_before": before[1],
        "descriptors_after": descriptors,
        "tidy_after_seconds": seconds,
    }


@contextmanager
def bare_daemon(folder: Path) -> Iterator[Front]:
    """As nobody should expose it."""
    ready = folder / "bare.ready"
    tokens = folder / "tokens"
    token = "token-of-a-caller"
    tokens.write_text(f"{token} someone\n")
    command = [
        str(fleet.BINARY),
        "--model",
        f"{fleet.MODEL}={fleet.MODEL_FOLDER}",
        "--threads",
        "1",
    ]
    command += [
        "--state-slots",
        "64",
        "--grpc-listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
    ]
    command += ["--token-file", str(tokens), "--ready-file", str(ready), *SMALL]
    process = subprocess.Popen(command)
    try:
        assert fleet.eventually(ready.exists)
        port = int(json.loads(ready.read_text())["grpc"].rsplit(":", 1)[1])
        yield Front("daemon", Target(port, None, token), [Watched("ssmd", process)])
    finally:
        process.kill()
        process.wait()


@contextmanager
def behind_envoy(folder: Path) -> Iterator[Front]:
    with fleet.fleet(folder, 1, *SMALL) as (secrets, replicas, envoy):
        target = Target(envoy.ports["front"], secrets.folder / "front/ca.crt", secrets.token)
        watched = [Watched("envoy", envoy.process), Watched("ssmd", replicas[0].process)]
        yield Front("envoy", target, watched)


FRONTS = {"envoy": behind_envoy, "daemon": bare_daemon}


def memory_of(process: dict[str, Any]) -> str:
    if "status" in process:
        return f"{process['name']} ended with {process['status']}"
    figures = (process[f"resident_{when}"] / 1e6 for when in ("before", "peak", "after"))
    return f"{process['name']} " + " / ".join(f"{figure:.0f}" for figure in figures)


def cells(row: Row) -> list[str]:
    line = [row.front, row.attack]
    for figure, digits in (("gaps_p99_ms", 2), ("whole_p99_ms", 1)):
        alone, attacked = row.alone[figure], row.attacked[figure]
        line += [f"{alone:.{digits}f}", f"{attacked:.{digits}f}", f"{row.ratio(figure):.2f}"]
    line.append(f"{row.attacked['errors']:.0f} of {row.attacked['requests']:.0f}")
    line += [f"{row.counts[name]:.0f}" for name in ("connections", "closed", "sent")]
    return [*line, "; ".join(map(memory_of, row.processes))]


def table(rows: list[Row]) -> str:
    head = "front|attack|gap p99, ms|attacked|ratio|whole p99, ms|attacked|ratio|failed"
    head += "|connections|closed|sent|MB before / peak / after"
    lines = [head.split("|"), ["---"] * 13, *map(cells, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=8, help="of each attack [8]")
    parser.add_argument("--attackers", type=int, default=2, help="processes [2]")
    parser.add_argument("--attacker-nice", type=int, default=10, help="their priority [10]")
    parser.add_argument("--front", default="envoy,daemon", help="what is attacked [envoy,daemon]")
    parser.add_argument("--attack", action="append", choices=ATTACKS, help="one of all [all]")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    parser.add_argument("--check", action="store_true", help="fail where a promise is broken")
    options = parser.parse_args()
    if not 0 < options.seconds <= SECONDS_MAX or not 0 < options.attackers <= 16:
        parser.error(f"seconds are at most {SECONDS_MAX}, attackers 16")
    rows: list[Row] = []
    for name in options.front.split(","):
        with tempfile.TemporaryDirectory() as folder, FRONTS[name](Path(folder)) as front:
            for attack in options.attack or ATTACKS:
                rows.append(one_attack(front, attack, options))
                print(
                    f"{name}, {attack}: {rows[-1].complaints or 'fine'}",
                    file=sys.stderr,
                    flush=True,
                )
                if not all(one.lives() for one in front.watched):
                    break
    print(table(rows))
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return int(options.check and any(row.complaints for row in rows))


if __name__ == "__main__":
    sys.exit(main())
