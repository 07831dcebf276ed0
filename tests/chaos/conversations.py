"""Conversations, their truth, and whether what was seen of them is it: the history checker.

A conversation is a function of its number: prompts, seeds and lengths. So is, by the daemon's promise, every
token that is answered; the truth is what one daemon said to all of them that nothing happened to.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import ssmd

_BEGINNINGS = ("Once upon a time", "Lily had a ball.", "Tom saw a big dog", "One day, a fox")
Answer = TypeVar("Answer")
_GOING_ON = (" Then", " The next day", " But", " And so", " Suddenly,")


@dataclass(frozen=True)
class Turn:
    prompt: str
    max_tokens: int
    seed: int
    name: str


def turn_of(conversation: int, number: int, seed: int = 0) -> Turn:
    draw = random.Random(f"{seed}/{conversation}/{number}")
    prompt = draw.choice(_GOING_ON if number else _BEGINNINGS)
    # Most are over before anything can happen to them; some are long enough to be in the middle of it.
    length = 300 if draw.random() < 0.1 else draw.randint(4, 24)
    return Turn(prompt, length, draw.getrandbits(63), f"turn-{conversation}-{number}")


@dataclass(frozen=True)
class Said:
    """What a turn left: the tokens of its answer, and all of the session that they are the end of."""

    tokens: tuple[int, ...]
    revision: int
    history: tuple[int, ...]  # what the turn appended


@dataclass(frozen=True)
class Truth:
    turns: tuple[Said, ...]
    position: int
    history_hash: int


@dataclass
class Timing:
    begin: float
    seconds: float
    state_source: str
    replayed: bool


@dataclass
class Findings:
    """What a run saw, of all its threads."""

    violations: list[str] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    ended: int = 0
    creations_again: int = 0
    # Of calls that are made at a conversation's end.
    others_again: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def violated(self, what: str) -> None:
        with self.lock:
            self.violations.append(what)


class Conversation:
    """One of them, on a session of its own."""

    def __init__(self, number: int, seed: int = 0, durability: str = "replicated") -> None:
        self.number, self._seed, self._durability = number, seed, durability
        self.session: ssmd.Session | None = None
        self.said: list[Said] = []

    def take_turn(self, session: ssmd.Session) -> ssmd.Completion:
        """The next turn. Raises ssmd.Error; and AssertionError where a token came twice or not at all."""
        turn = turn_of(self.number, len(self.said), self._seed)
        options: ssmd.TurnOptions = {
            "max_tokens": turn.max_tokens,
            "temperature": 0.8,
            "seed": turn.seed,
            "ignore_eos": True,
            "request_id": turn.name,
            "expected_revision": len(self.said),
            "durability": self._durability,  # type: ignore[typeddict-item]
        }
        stream = session.generate(turn.prompt, **options)
        handed_on = [
            token
            for event in stream.events()
            if isinstance(event, ssmd.Delta)
            for token in event.token_ids
        ]
        result = stream.result()
        assert handed_on == result.token_ids, "tokens were handed on twice, or not at all"
        choice = result.choices[0]
        history = tuple(choice.history_token_ids)
        self.said.append(Said(tuple(result.token_ids), choice.revision, history))
        return result

    def truth(self, session: ssmd.Session) -> Truth:
        info = session.info()
        return Truth(tuple(self.said), info.position, info.history_hash)


def tell_truths(client: ssmd.Client, count: int, turns: int, seed: int) -> list[Truth]:
    def one(number: int) -> Truth:
        conversation = Conversation(number, seed, "process")
        with client.session(delete_on_exit=True) as session:
            for _ in range(turns):
                conversation.take_turn(session)
            return conversation.truth(session)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(count)))


def make_session(
    client: ssmd.Client, findings: Findings, *, may_fail: bool, seconds: float = 60
) -> ssmd.Session:
    """Makes one. Not known to be made or not (`may_fail`), another is: the first is nobody's then."""
    end = time.monotonic() + seconds
    while True:
        try:
            return client.session()
        except ssmd.Error as error:
            lost = error.code in ("UNAVAILABLE", "INTERNAL", "UNKNOWN")
            if not may_fail or not lost or time.monotonic() > end:
                raise
        with findings.lock:
            findings.creations_again += 1
        time.sleep(0.1)


def _delete(session: ssmd.Session, may_be_gone: bool) -> None:
    try:
        session.delete()
    except ssmd.NotFound:
        if not may_be_gone:
            raise


class Load:
    """All conversations at once: turns spread over some seconds by the seed, each checked as it comes."""

    def __init__(
        self,
        client: ssmd.Client,
        truths: list[Truth],
        seed: int,
        *,
        threads: int = 12,
        creation_may_fail: bool = False,
        end_may_fail: bool = False,
        spread: Sequence[ssmd.Client] = (),
    ) -> None:
        self._client, self._truths, self._seed = client, truths, seed
        self._creation_may_fail, self._end_may_fail = creation_may_fail, end_may_fail
        # Where the turns go, one after the other; as routed by `client` where it is empty.
        self._spread = spread
        self._turns = len(truths[0].turns)
        self._due: list[tuple[float, int, Conversation]] = []
        self._changed = threading.Condition()
        self._open = 0
        self._threads = threads
        self.findings = Findings()

    def run(self, seconds: float, until: Callable[[], bool] = lambda: True) -> None:
        """Until every conversation has ended; begun anew until `seconds` have passed and `until` holds."""
        draw = random.Random(f"load/{self._seed}")
        start = time.monotonic()

        def when(turn: int) -> float:
            return start + seconds * (turn + draw.random()) / self._turns

        def begin(number: int) -> None:
            self._open += 1
            heapq.heappush(self._due, (when(0), number, Conversation(number, self._seed)))

        for number in range(len(self._truths)):
            begin(number)

        def work() -> None:
            while True:
                with self._changed:
                    while self._open and (not self._due or self._due[0][0] > time.monotonic()):
                        self._changed.wait(0.02)
                    if not self._open:
                        return
                    conversation = heapq.heappop(self._due)[2]
                goes_on = self._advance(conversation)
                with self._changed:
                    if goes_on:
                        again = max(when(len(conversation.said)), time.monotonic())
                        heapq.heappush(self._due, (again, conversation.number, conversation))
                    else:
                        self._open -= 1
                        if not until() and not self.findings.violations:
                            begin(conversation.number)
                    self._changed.notify_all()

        with ThreadPoolExecutor(self._threads) as pool:
            for future in [pool.submit(work) for _ in range(self._threads)]:
                future.result()

    def _asked(self, conversation: Conversation, ask: Callable[[ssmd.Session], Answer]) -> Answer:
        """What is no turn: the client tries it a few times, or once. Who `end_may_fail` asks again."""
        assert conversation.session is not None
        end = time.monotonic() + 60
        while True:
            try:
                return ask(conversation.session)
            except ssmd.Unavailable:
                if not self._end_may_fail or time.monotonic() > end:
                    raise
            with self.findings.lock:
                self.findings.others_again += 1
            time.sleep(0.1)

    def _advance(self, conversation: Conversation) -> bool:
        """A turn; False where the conversation is over, one way or the other."""
        number, turn = conversation.number, len(conversation.said)
        what = f"conversation {number}, turn {turn}"
        if conversation.session is not None:
            what += f", session {conversation.session.id}"
        begin = time.monotonic()
        try:
            if conversation.session is None:
                conversation.session = make_session(
                    self._client, self.findings, may_fail=self._creation_may_fail
                )
                begin = time.monotonic()
            if self._spread:
                where = self._spread[(number + turn) % len(self._spread)]
                conversation.session = where.attach(conversation.session.id)
            result = conversation.take_turn(conversation.session)
            timing = Timing(
                begin, time.monotonic() - begin, result.state_source, bool(result.replayed)
            )
            with self.findings.lock:
                self.findings.timings.append(timing)
            truth = self._truths[number]
            if conversation.said[turn] != truth.turns[turn]:
                self.findings.violated(
                    f"{what}: it is not the truth: {conversation.said[turn]}, not {truth.turns[turn]}"
                )
                return False
            if turn + 1 < self._turns:
                return True
            told = self._asked(conversation, lambda session: conversation.truth(session))
            if told != truth:
                self.findings.violated(f"{what}: it ended as {told}, not as {truth}")
            self._asked(conversation, lambda session: _delete(session, self._end_may_fail))
        except (ssmd.Error, AssertionError) as error:
            reason = getattr(error, "reason", "")
            passed = time.monotonic() - begin
            self.findings.violated(
                f"{what}: {type(error).__name__} {error} {reason} after {passed:.1f} s"
            )
            return False
        with self.findings.lock:
            self.findings.ended += 1
        return False
