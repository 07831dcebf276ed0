"""One replica cut off from Redis, while the other one and the callers are not."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import ssmd
from fleet import eventually
from proxy import Proxy

from cluster import Cluster, alone
from conversations import Conversation, Findings, Truth, tell_truths
from figures import Report, distribution, print_table
from network import network

SESSIONS = 8
TURNS = 4
HEAL_SECONDS = 20.0


class Cut(NamedTuple):
    name: str
    begin: Callable[[Proxy], None]
    end: Callable[[Proxy], None]


def _stop(proxy: Proxy) -> None:
    proxy.hold()
    proxy.hold_calls()


def _refuse(proxy: Proxy) -> None:
    proxy.refuses = True
    proxy.lose()


def _accept(proxy: Proxy) -> None:
    proxy.refuses = False


def _slow_down(proxy: Proxy) -> None:
    proxy.delay = 0.3


def _speed_up(proxy: Proxy) -> None:
    proxy.delay = 0.0


CUTS = (
    # What was sent into the cut arrives when it heals, long after its caller was told that it failed.
    Cut("stopped", _stop, Proxy.go_on),
    Cut("reset", _refuse, _accept),
    Cut("delayed", _slow_down, _speed_up),
)


def partitions(folder: Path, options: argparse.Namespace) -> Report:
    with alone(folder / "alone") as client:
        truths = tell_truths(client, SESSIONS, TURNS, options.seed)
    reports: Report = {}
    violations: list[str] = []
    for number, cut in enumerate(CUTS):
        where = folder / str(number)
        where.mkdir()
        trial = _Trial(truths, options.seed)
        reports[cut.name] = trial.run(where, cut)
        violations += [f"a partition, {cut.name}: {what}" for what in trial.findings.violations]
    return {"seed": options.seed, "cuts": reports, "violations": violations}


class _Trial:
    def __init__(self, truths: list[Truth], seed: int) -> None:
        self._truths, self._seed = truths, seed
        self.findings = Findings()

    def run(self, folder: Path, cut: Cut) -> Report:
        proxies: list[Proxy] = []
        with network() as net:

            def by_proxy(number: int, address: str) -> str:
                if number != 0:
                    return address
                proxies.append(Proxy(address, net.host))
                return proxies[0].server

            try:
                with Cluster(folder, net, 2, shared_by=by_proxy) as running:
                    return self._run(running, proxies[0], cut)
            finally:
                for proxy in proxies:
                    proxy.close()

    def _run(self, running: Cluster, proxy: Proxy, cut: Cut) -> Report:
        isolated = running.direct(0)
        patient = [running.direct(number, ssmd.Retries()) for number in (0, 1)]
        conversations = [Conversation(number, self._seed) for number in range(SESSIONS)]
        for conversation in conversations:
            conversation.session = patient[0].session()
            self._take_turn(conversation, patient[0])
        # Acknowledged so far: one turn each.
        cut.begin(proxy)
        refused = self._turns_at_the_isolated(conversations, isolated)
        taken = []
        for conversation in conversations:
            begin = time.monotonic()
            self._take_turn(conversation, patient[1])
            taken.append(time.monotonic() - begin)
        other = running.replicas[1]
        taken_over = other.metric("ssmd_shared_taken_over_total")
        if taken_over != SESSIONS:
            self.findings.violated(f"{taken_over:.0f} of {SESSIONS} sessions were taken over")
        cut.end(proxy)
        begin = time.monotonic()
        replica = running.replicas[0]
        # It finds out by itself, of those that it has something to write of.
        dropped = eventually(
            lambda: replica.metric("ssmd_shared_lost_total") >= SESSIONS, HEAL_SECONDS
        )
        healed = time.monotonic() - begin
        lost = replica.metric("ssmd_shared_lost_total")
        if not dropped:
            self.findings.violated(
                f"the isolated replica dropped {lost:.0f} of {SESSIONS} sessions"
            )
        # One more turn where they are, one at the replica that was away: nothing is lost or there twice.
        for conversation in conversations:
            self._take_turn(conversation, patient[1])
        for conversation in conversations:
            session = self._take_turn(conversation, patient[0])
            told = conversation.truth(session)
            if told != self._truths[conversation.number]:
                self.findings.violated(f"{conversation.number} ended as {told}")
        rows = {
            "refused at the isolated one": distribution(refused),
            "taken over": distribution(taken),
        }
        print_table(f"partition, {cut.name}: a turn's latency", rows)
        print(
            f"the isolated replica dropped {lost:.0f} sessions, {healed:.2f} s after the end of it"
        )
        return {"latency_ms": rows, "lost": lost, "healed_seconds": round(healed, 3)}

    def _take_turn(self, conversation: Conversation, client: ssmd.Client) -> ssmd.Session:
        assert conversation.session is not None
        turn = len(conversation.said)
        what = f"{conversation.number}/{turn}"
        session = conversation.session
        try:
            session = client.attach(conversation.session.id)
            conversation.take_turn(session)
        except (ssmd.Error, AssertionError) as error:
            self.findings.violated(f"{what}: {error}")
        else:
            truth = self._truths[conversation.number].turns[turn]
            if conversation.said[turn] != truth:
                self.findings.violated(f"{what}: {conversation.said[turn]}, not {truth}")
        return session

    def _turns_at_the_isolated(
        self, conversations: list[Conversation], client: ssmd.Client
    ) -> list[float]:
        """Committed there, and never acknowledged."""
        seconds = []
        for conversation in conversations:
            assert conversation.session is not None
            begin = time.monotonic()
            try:
                conversation.take_turn(client.attach(conversation.session.id))
            except ssmd.Error as error:
                if error.reason != "NOT_REPLICATED":
                    self.findings.violated(f"{conversation.number}: {error}")
            else:
                self.findings.violated(f"{conversation.number}: acknowledged by who was cut off")
            seconds.append(time.monotonic() - begin)
        return seconds
