"""Redis killed, frozen, filled and restarted, while two replicas go on."""

from __future__ import annotations

import argparse
import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import ssmd
from fleet import eventually

from background import Background
from cluster import Cluster, alone, cluster
from conversations import Conversation, Findings, Truth, tell_truths
from figures import Report, distribution, print_table

# Of each kind of session; their turns go on during the faults.
SESSIONS = 6
# Turns of a conversation before and after the fault, and of each second of it.
TURNS, TURNS_A_SECOND = 14, 6
# What a caller of a session that is elsewhere is promised.
ELSEWHERE_SECONDS = 0.1
HEAL_SECONDS = 20.0


class Fault(NamedTuple):
    begin: Callable[[Cluster], None]
    end: Callable[[Cluster], None]
    # Whether Redis cannot answer meanwhile; where it is full it can.
    is_away: bool = True


def _fill(running: Cluster) -> None:
    running.redis.call("CONFIG", "SET", "maxmemory", "1")


def _make_room(running: Cluster) -> None:
    running.redis.call("CONFIG", "SET", "maxmemory", "0")


def _kill(running: Cluster) -> None:
    running.redis.kill(forget=False)


def _kill_and_forget(running: Cluster) -> None:
    running.redis.kill(forget=True)


FAULTS = {
    "restarted": Fault(_kill, lambda running: running.redis.start()),
    "emptied": Fault(_kill_and_forget, lambda running: running.redis.start()),
    "frozen": Fault(
        lambda running: running.redis.signal(signal.SIGSTOP),
        lambda running: running.redis.signal(signal.SIGCONT),
    ),
    "full": Fault(_fill, _make_room, is_away=False),
}


def redis(folder: Path, options: argparse.Namespace) -> Report:
    turns = TURNS + int(TURNS_A_SECOND * options.fault_seconds)
    with alone(folder / "alone") as client:
        truths = tell_truths(client, 3 * SESSIONS, turns, options.seed)
    reports: Report = {}
    violations: list[str] = []
    for name in FAULTS if options.fault is None else [options.fault]:
        where = folder / name
        where.mkdir()
        with cluster(where, 2, aof=True) as running:
            trial = _Trial(running, truths, options)
            reports[name] = trial.run(name)
            violations += [f"Redis {name}: {what}" for what in trial.findings.violations]
    return {"seed": options.seed, "faults": reports, "violations": violations}


class _Trial:
    """One fault. The first replica has sessions with either durability, the second one others."""

    def __init__(self, running: Cluster, truths: list[Truth], options: argparse.Namespace) -> None:
        self._running, self._truths, self._options = running, truths, options
        self.findings = Findings()
        self._here = running.direct(0)
        self._patient, self._other = (running.direct(number, ssmd.Retries()) for number in (0, 1))
        self._local = self._begin(self._patient, 0, "process")
        self._replicated = self._begin(self._patient, SESSIONS, "replicated")
        self._elsewhere = self._begin(self._other, 2 * SESSIONS, "replicated")

    def _begin(self, client: ssmd.Client, first: int, durability: str) -> list[Conversation]:
        made = []
        for number in range(first, first + SESSIONS):
            conversation = Conversation(number, self._options.seed, durability)
            conversation.session = client.session()
            self._take_turn(conversation, "the first turn")
            # By one that does not try again: what is refused is to be seen.
            if client is self._patient:
                conversation.session = self._attached(self._here, conversation)
            made.append(conversation)
        return made

    def run(self, name: str) -> Report:
        fault = FAULTS[name]
        assert eventually(lambda: all(self._is_well(number) for number in (0, 1)))
        before: list[float] = []
        self._take_local_turns(before, lambda: len(before) < 60)
        local: list[float] = []
        elsewhere: list[float] = []
        refused: list[float] = []
        kept: list[float] = []
        fault.begin(self._running)
        end = time.monotonic() + self._options.fault_seconds
        pending: list[Conversation] = []
        try:
            with ThreadPoolExecutor(2) as pool:
                turns = pool.submit(self._take_local_turns, local, lambda: time.monotonic() < end)
                if fault.is_away:
                    asked = pool.submit(self._ask_elsewhere, elsewhere, end)
                else:
                    asked = pool.submit(self._take_over, elsewhere)
                pending = self._refused_turns(refused)
                turns.result()
                asked.result()
            # Given up by nobody: a patient caller's turn is under way as Redis comes back.
            with Background(lambda: self._retry(pending, kept)):
                time.sleep(0.2)
                fault.end(self._running)
                healed = time.monotonic()
                if not eventually(lambda: all(self._is_well(n) for n in (0, 1)), HEAL_SECONDS):
                    self.findings.violated(f"it has not healed by itself in {HEAL_SECONDS} s")
                healed = time.monotonic() - healed
        finally:
            with contextlib.suppress(OSError, AssertionError):
                if self._running.redis.process.poll() is None:
                    self._running.redis.signal(signal.SIGCONT)
        # Where it is full they are had, which takes a hand-over. One is this machine's to be late.
        late = [one for one in elsewhere if one > ELSEWHERE_SECONDS]
        if fault.is_away and len(late) > 1 + len(elsewhere) // 100:
            self.findings.violated(
                f"{len(late)} of {len(elsewhere)} heard too late: {max(late):.3f} s"
            )
        self._check_all()
        rows = {
            "local turns before": distribution(before),
            "local turns meanwhile": distribution(local),
            "sessions elsewhere": distribution(elsewhere),
            "replicated turns refused": distribution(refused),
            "their retries": distribution(kept),
        }
        print_table(f"redis {name}: a turn's latency", rows)
        print(f"healed {healed:.2f} s after its return")
        return {"latency_ms": rows, "healed_seconds": round(healed, 3)}

    def _is_well(self, number: int) -> bool:
        replica = self._running.replicas[number]
        return (
            replica.metric("ssmd_shared_store_up") == 1
            and replica.metric("ssmd_shared_unwritten_sessions") == 0
        )

    def _take_local_turns(self, seconds: list[float], goes_on: Callable[[], bool]) -> None:
        """Of sessions that are here, with durability PROCESS. They always go on."""
        for conversation in _in_turns(self._local):
            if not goes_on() or len(conversation.said) + 1 >= len(self._truths[0].turns):
                return
            begin = time.monotonic()
            self._take_turn(conversation, "a local turn")
            seconds.append(time.monotonic() - begin)
            time.sleep(0.02)

    def _take_turn(self, conversation: Conversation, what: str) -> None:
        assert conversation.session is not None
        turn = len(conversation.said)
        try:
            conversation.take_turn(conversation.session)
        except (ssmd.Error, AssertionError) as error:
            self.findings.violated(f"{what}: {conversation.number}/{turn}: {error}")
            return
        truth = self._truths[conversation.number].turns[turn]
        if conversation.said[turn] != truth:
            self.findings.violated(
                f"{what}: {conversation.number}/{turn}: {conversation.said[turn]}, not {truth}"
            )

    def _ask_elsewhere(self, seconds: list[float], end: float) -> None:
        """Of the second replica's sessions at the first one."""
        for conversation in _in_turns(self._elsewhere):
            if time.monotonic() > end:
                return
            assert conversation.session is not None
            begin = time.monotonic()
            try:
                self._here.attach(conversation.session.id)
            except ssmd.Unavailable as error:
                if error.reason != "SHARED_STORE" or error.retry_after is None:
                    self.findings.violated(f"a session elsewhere: {error}")
            except ssmd.Error as error:
                self.findings.violated(f"a session elsewhere: {error}")
            else:
                self.findings.violated("a session elsewhere was had without the store")
            seconds.append(time.monotonic() - begin)
            time.sleep(0.03)

    def _take_over(self, seconds: list[float]) -> None:
        """A full Redis lets sessions move: what moves is no more than is there."""
        for conversation in self._elsewhere:
            assert conversation.session is not None
            begin = time.monotonic()
            self._patient.attach(conversation.session.id)
            seconds.append(time.monotonic() - begin)

    def _refused_turns(self, seconds: list[float]) -> list[Conversation]:
        """Turns that the store was not told of: committed here, and not acknowledged."""
        for conversation in self._replicated:
            assert conversation.session is not None
            said = len(conversation.said)
            begin = time.monotonic()
            try:
                conversation.take_turn(conversation.session)
            except ssmd.Error as error:
                if error.reason != "NOT_REPLICATED":
                    self.findings.violated(f"a replicated turn: {error}")
            else:
                self.findings.violated("a replicated turn was acknowledged without the store")
            assert len(conversation.said) == said
            seconds.append(time.monotonic() - begin)
        return self._replicated

    def _retry(self, pending: list[Conversation], seconds: list[float]) -> None:
        def one(conversation: Conversation) -> None:
            assert conversation.session is not None
            begin = time.monotonic()
            conversation.session = self._attached(self._patient, conversation)
            self._take_turn(conversation, "a retry")
            seconds.append(time.monotonic() - begin)

        with ThreadPoolExecutor(len(pending)) as pool:
            list(pool.map(one, pending))

    def _attached(self, client: ssmd.Client, conversation: Conversation) -> ssmd.Session:
        assert conversation.session is not None
        return client.attach(conversation.session.id)

    def _check_all(self) -> None:
        """Every session goes on at the replica that it was not at, as if nothing had been."""
        by_other = [(self._other, one) for one in [*self._local, *self._replicated]]
        for client, conversation in [*by_other, *((self._patient, one) for one in self._elsewhere)]:
            try:
                conversation.session = self._attached(client, conversation)
                revision = conversation.session.revision
                if revision != len(conversation.said):
                    self.findings.violated(
                        f"{conversation.number} is at revision {revision} after "
                        f"{len(conversation.said)} turns"
                    )
                self._take_turn(conversation, "the turn after")
            except ssmd.Error as error:
                self.findings.violated(f"{conversation.number} afterwards: {error}")


def _in_turns(conversations: list[Conversation]) -> Iterator[Conversation]:
    while True:
        yield from conversations
