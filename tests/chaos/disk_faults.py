"""A replica whose state directory is on a disk that is full for a while."""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ssmd
from fleet import Replica, eventually

from cluster import Cluster, alone, cluster
from conversations import Conversation, Findings, Truth, tell_truths
from figures import Report, distribution, print_table

# Of each kind of session.
SESSIONS = 6
TURNS = 60
DISK_BYTES = 8 << 20
PAUSE_SECONDS = 0.02
# States are stored and the log is written anew all the while, which takes room, too.
FLAGS = ("--store-after", "0.2", "--compact-log-bytes", "64K")
HEAL_SECONDS = 20.0
# What a refusal is told by, and what it has to say: nobody finds out what to do from a code alone.
REFUSAL, WHY = ("RESOURCE_EXHAUSTED", "COMMIT_LOG"), "space"


def disk(folder: Path, options: argparse.Namespace) -> Report:
    state = folder / "state-0"
    state.mkdir()
    try:
        _mount(state)
    except (OSError, subprocess.CalledProcessError):
        print("disk: skipped: no tmpfs can be mounted here (root)")
        return {"seed": options.seed, "skipped": True, "violations": []}
    try:
        with alone(folder / "alone") as client:
            truths = tell_truths(client, 4 * SESSIONS, TURNS, options.seed)
        with cluster(folder, 2, *FLAGS) as running:
            trial = _Trial(running, state, truths, options)
            figures = trial.run()
    finally:
        subprocess.run(["umount", "--lazy", state], check=False)
    violations = [f"the disk full: {what}" for what in trial.findings.violations]
    return {"seed": options.seed, **figures, "violations": violations}


def _mount(folder: Path) -> None:
    size = f"size={DISK_BYTES}"
    command = ["mount", "-t", "tmpfs", "-o", size, "ssmd-chaos", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


class _Trial:
    """The first replica's disk is filled twice: it outlives the first time, and is killed in the second."""

    def __init__(
        self, running: Cluster, state: Path, truths: list[Truth], options: argparse.Namespace
    ) -> None:
        self._running, self._truths, self._seed = running, truths, options.seed
        self._filler = state / "filler"
        self._seconds = options.fault_seconds / 2
        self.findings = Findings()
        self._here = running.direct(0)
        self._patient = [running.direct(number, ssmd.Retries()) for number in (0, 1)]
        self._written = self._begin(0, 0, "process")
        self._synced = self._begin(0, 1, "power")
        self._leaving = self._begin(0, 2, "replicated")
        self._other = self._begin(1, 3, "process")
        self._latency: dict[str, list[float]] = {}
        self._refused = 0
        self._started_full = False

    def _begin(self, replica: int, kind: int, durability: str) -> list[Conversation]:
        made = []
        for number in range(kind * SESSIONS, (kind + 1) * SESSIONS):
            conversation = Conversation(number, self._seed, durability)
            conversation.session = self._patient[replica].session()
            self._take_turn(conversation)
            if replica == 0:
                # By one that does not try again: what is refused is to be seen.
                conversation.session = self._here.attach(conversation.session.id)
            made.append(conversation)
        return made

    def run(self) -> Report:
        here = [*self._written, *self._synced]
        self._load("before", lambda: None, refuses=False)
        self._load("full", self._fill, refuses=True)
        # What has not been refused goes on, and what the other replica takes over does at once.
        self._move(self._leaving, 1)
        self._make_room()
        for conversation in [*here, *self._leaving]:
            self._take_turn(conversation)
        self._load("room again", lambda: None, refuses=False)
        self._load("full again", self._fill, refuses=True)
        self._die_while_full()
        for conversation in [*here, *self._leaving, *self._other]:
            self._finish(conversation)
        rows = {name: distribution(seconds) for name, seconds in self._latency.items()}
        print_table("disk: a turn's latency", rows)
        print(
            f"turns refused for the disk: {self._refused}; "
            f"it starts with a full disk: {self._started_full}"
        )
        return {"latency_ms": rows, "refused": self._refused, "started": self._started_full}

    def _load(self, name: str, begin: Callable[[], None], *, refuses: bool) -> None:
        """Turns of all the sessions where they are; the fault begins in the midst of them."""
        end = time.monotonic() + self._seconds
        before = self._refused

        def here(conversations: list[Conversation]) -> None:
            for conversation in _in_turns(conversations):
                if time.monotonic() > end or len(conversation.said) > TURNS - 10:
                    return
                self._take_turn(conversation, f"{name}: here", may_refuse=refuses)
                time.sleep(PAUSE_SECONDS)

        def there() -> None:
            for conversation in _in_turns(self._other):
                if time.monotonic() > end or len(conversation.said) > TURNS - 10:
                    return
                self._take_turn(conversation, f"{name}: the other replica")
                time.sleep(PAUSE_SECONDS)

        with ThreadPoolExecutor(3) as pool:
            work = [pool.submit(here, self._written), pool.submit(here, self._synced)]
            work.append(pool.submit(there))
            time.sleep(self._seconds / 10)
            begin()
            for one in work:
                one.result()
        if refuses and self._refused == before:
            self.findings.violated(f"{name}: nothing was refused")

    def _take_turn(
        self, conversation: Conversation, what: str = "", *, may_refuse: bool = False
    ) -> None:
        assert conversation.session is not None
        turn = len(conversation.said)
        name = f"{what or 'a turn'}: {conversation.number}/{turn}"
        begin = time.monotonic()
        try:
            conversation.take_turn(conversation.session)
        except (ssmd.Error, AssertionError) as error:
            told = (getattr(error, "code", ""), getattr(error, "reason", ""))
            if not may_refuse or told != REFUSAL or WHY not in str(error):
                self.findings.violated(f"{name}: {type(error).__name__} {told} {error}")
            with self.findings.lock:
                self._refused += may_refuse
            what += ", refused"
        else:
            if conversation.said[turn] != self._truths[conversation.number].turns[turn]:
                self.findings.violated(f"{name}: {conversation.said[turn]} is not the truth")
        if what:
            with self.findings.lock:
                self._latency.setdefault(what, []).append(time.monotonic() - begin)

    def _fill(self) -> None:
        with self._filler.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    def _make_room(self) -> None:
        self._filler.unlink(missing_ok=True)

    def _move(self, conversations: list[Conversation], replica: int) -> None:
        seconds = self._latency.setdefault(f"gone on with at replica {replica}", [])
        for conversation in conversations:
            assert conversation.session is not None
            begin = time.monotonic()
            try:
                session = self._patient[replica].attach(conversation.session.id)
            except ssmd.Error as error:
                self.findings.violated(f"{conversation.number} at {replica}: {error}")
                continue
            if session.revision != len(conversation.said):
                self.findings.violated(
                    f"{conversation.number} at {replica} is at revision {session.revision} after "
                    f"{len(conversation.said)} turns"
                )
            conversation.session = session
            self._take_turn(conversation)
            seconds.append(time.monotonic() - begin)

    def _die_while_full(self) -> None:
        """Half of its sessions go on at the other one; half when it is back, which takes room."""
        replica = self._running.replicas[0]
        # Until the store has them, turns that are not `replicated` are in the log alone.
        unwritten = "ssmd_shared_unwritten_sessions"
        if not eventually(lambda: replica.metric(unwritten) == 0, HEAL_SECONDS):
            self.findings.violated("the store has not got all sessions")
        replica.stop(signal.SIGKILL)
        self._move([*self._written[::2], *self._synced[::2]], 1)
        self._start_while_full(replica)
        self._make_room()
        if replica.process.poll() is not None:
            replica.start()
        self._move([*self._written[1::2], *self._synced[1::2]], 0)
        # And all that it took over goes home.
        self._move([*self._written[::2], *self._synced[::2]], 0)

    def _start_while_full(self, replica: Replica) -> None:
        """Whether a start finds room is up to what the log's end leaves; without, it says so."""
        try:
            replica.start()
        except AssertionError:
            last = replica.log.read_text().splitlines()[-1]
            if WHY not in last:
                self.findings.violated(f"a start with a full disk ended with: {last}")
            return
        finally:
            self._started_full = replica.process.poll() is None
        for conversation in [*self._written[1::2], *self._synced[1::2]]:
            self._take_turn(conversation, "full, after a restart: here", may_refuse=True)

    def _finish(self, conversation: Conversation) -> None:
        """To the last turn, whose truth is that of all before it."""
        assert conversation.session is not None
        while len(conversation.said) < TURNS and not self.findings.violations:
            self._take_turn(conversation)
        if self.findings.violations:
            return
        told = conversation.truth(conversation.session)
        if told != self._truths[conversation.number]:
            self.findings.violated(f"{conversation.number} ended as {told}")


def _in_turns(conversations: list[Conversation]) -> Iterator[Conversation]:
    while True:
        yield from conversations
