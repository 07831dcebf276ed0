"""A replica among others, as engine/shared has it (README.md there, "A session's way"): who owns a session,
how it comes and goes, what is written behind, who counts as alive. Constants are those of the code there."""

import heapq
from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Callable, Optional, Protocol

from clock import Clock
from figures import Figures
from replica import Engine, Machine, Turn
from store import Costs, Server, Store, StoreLimits

WRITERS, HOLD_THREADS = 2, 16
RENEW_AGAIN_S, WRITE_AGAIN_S, LOOK_AGAIN_S = 0.1, 0.25, 0.02
ASK_AGAIN_S, ASK_AGAIN_MAX_S, TRY_LATER_S = 0.01, 0.1, 0.2
LISTEN_S, STAYS_S, WISH_LASTS_S = 1.0, 0.2, 10.0
RECORD_BYTES_MAX = 64 << 10


@dataclass
class SharingLimits:
    presence_s: float
    patience_s: float
    state_after_s: float
    waiting_calls: int
    keep_s: float
    record_bytes: float  # of a commit, and what each token of its prompt and of its answer adds
    record_prompt_bytes: float
    record_answer_bytes: float
    image_bytes: float
    image_token_bytes: float

    def record(self, prompt: float, answer: float) -> float:
        return (
            self.record_bytes
            + prompt * self.record_prompt_bytes
            + answer * self.record_answer_bytes
        )


class Session:
    """One session, as its user, its owner and the store know it. `owner` is what the store says."""

    def __init__(self, name: int, popularity: float, home: int) -> None:
        self.name, self.popularity, self.home = name, popularity, home
        self.owner: Optional[Replica] = None
        # Tokens: of the history; of that in the store; consumed by its state there.
        self.tokens = self.written_tokens = self.stored = 0
        self.records: list[tuple[float, float, int]] = []  # not written: when, bytes, tokens then
        self.has_image, self.image_bytes, self.record_bytes = False, 0.0, 0.0
        self.state_due: Optional[float] = None
        self.state_since: Optional[float] = None
        self.wanted_until: Optional[float] = None
        self.came: Optional[float] = None
        self.due: Optional[float] = None
        self.writing = self.again = self.busy = False
        self.on_written: Optional[Callable[[], None]] = None


class Surroundings(Protocol):
    """What a replica needs of the fleet that it is one of."""

    clock: Clock
    machine: Machine
    limits: SharingLimits
    store_limits: StoreLimits
    costs: Costs
    servers: list[Server]
    dice: Random
    figures: Figures

    def again(self, turn: Turn, later: float) -> None: ...
    def refused(self, turn: Turn) -> None: ...
    def ended(self, turn: Turn) -> None: ...
    def prompt_of(self, turn: Turn) -> int: ...
    def first_token(self, turn: Turn) -> None: ...
    def take_over_begins(self, turn: Turn, owner: "Replica") -> None: ...
    def taken_over(self, turn: Turn, session: Session) -> None: ...


class Replica:
    def __init__(self, fleet: Surroundings, number: int) -> None:
        self.fleet, self.number, self.alive, self.died = fleet, number, True, float("inf")
        self._clock, self._limits = fleet.clock, fleet.limits
        self.engine = Engine(
            self._clock, fleet.machine, fleet.first_token, self._ended, fleet.refused
        )
        self.stores = [
            Store(self._clock, server, fleet.costs, fleet.store_limits) for server in fleet.servers
        ]
        self.present_until = [0.0] * len(self.stores)
        self.well_since: list[Optional[float]] = [None] * len(self.stores)
        self._claims: deque[Turn] = deque()
        self._claiming: dict[Turn, None] = {}
        self._due: list[tuple[float, int, Session]] = []
        self._count, self._idle = 0, WRITERS

    def start(self, present: bool) -> None:
        """Present: as if it had been there for long."""
        for shard in range(len(self.stores)):
            phase = self.fleet.dice.random() * self._limits.presence_s / 3
            if present:
                self.present_until[shard] = self._clock.now + self._limits.presence_s
                self.well_since[shard] = -self._limits.presence_s
            self._clock.after(phase if present else 0.0, self._renewal(shard))
            self._clock.after(phase, self._listening(shard))

    def die(self) -> list[Turn]:
        """What was going on here."""
        self.alive = self.engine.alive = False
        self.died = self._clock.now
        return [*self.engine.turns(), *self._claims, *self._claiming]

    def _store(self, session: Session) -> Store:
        return self.stores[session.name % len(self.stores)]

    # --- Presence ---

    def _renewal(self, shard: int) -> Callable[[], None]:
        def renew() -> None:
            if self.alive:
                begin = self._clock.now
                self.stores[shard].call("renew", 0, lambda well: self._renewed(shard, begin, well))

        return renew

    def _renewed(self, shard: int, begin: float, well: bool) -> None:
        if not self.alive:
            return
        now = self._clock.now
        if well:
            if now > self.present_until[shard] > 0:
                self.fleet.figures.presence_lost += 1
                self.well_since[shard] = None
            self.present_until[shard] = now + self._limits.presence_s
            if self.well_since[shard] is None:
                self.well_since[shard] = begin
        else:
            self.fleet.figures.renewals_failed += 1
            self.well_since[shard] = None
        self.fleet.figures.renewals += 1
        self._clock.at(
            begin + (self._limits.presence_s / 3 if well else RENEW_AGAIN_S), self._renewal(shard)
        )

    def _listening(self, shard: int) -> Callable[[], None]:
        def listen() -> None:
            if self.alive:
                self.fleet.servers[shard].submit(*self.fleet.costs.of("listen", 0), 0, lambda: None)
                self._clock.after(LISTEN_S, listen)

        return listen

    # --- Sessions that come ---

    def hold(self, turn: Turn) -> None:
        turn.replica = self
        if turn.session.owner is self:
            self._offer(turn)
        elif len(self._claims) >= self._limits.waiting_calls:
            self.fleet.again(turn, TRY_LATER_S)
        else:
            self._claims.append(turn)
            self._serve()

    def _offer(self, turn: Turn) -> None:
        turn.session.busy = True
        if turn.held is None:
            turn.held = self._clock.now
        self.engine.offer(turn)

    def _serve(self) -> None:
        while self._claims and len(self._claiming) < HOLD_THREADS:
            turn = self._claims.popleft()
            self._claiming[turn] = None
            self._ask(turn, self._clock.now + self._limits.patience_s, ASK_AGAIN_S)

    def _ask(self, turn: Turn, give_up: float, pause: float) -> None:
        if self.alive:
            self._store(turn.session).call(
                "renew", 0, lambda well: self._asked(turn, give_up, pause, well)
            )

    def _asked(self, turn: Turn, give_up: float, pause: float, well: bool) -> None:
        if not self.alive:
            return
        session, now = turn.session, self._clock.now
        if not well:
            self._end_claim(turn, WRITE_AGAIN_S)
        elif self._may_own(session):
            self._own(turn)
        else:
            owner = session.owner
            if owner is not None and not owner.alive and turn.taken_over_since is None:
                turn.taken_over_since = turn.arrived
                self.fleet.take_over_begins(turn, owner)
            if owner is not None and owner.alive:
                turn.source = "elsewhere"
                self._clock.after(self.fleet.store_limits.round_trip_s, lambda: owner.hear(session))
            if now + pause >= give_up:
                self._end_claim(turn, TRY_LATER_S)
            else:
                self._clock.after(
                    pause, lambda: self._ask(turn, give_up, min(pause * 2, ASK_AGAIN_MAX_S))
                )

    def _may_own(self, session: Session) -> bool:
        owner = session.owner
        if owner is None or owner is self:
            return True
        shard, now = session.name % len(self.stores), self._clock.now
        well = self.well_since[shard]
        return (
            now > owner.present_until[shard]
            and well is not None
            and now - well >= self._limits.presence_s
        )

    def _own(self, turn: Turn) -> None:
        session = turn.session
        if session.owner not in (None, self):
            self.fleet.taken_over(turn, session)
        session.owner, session.came, session.wanted_until = self, self._clock.now, None
        session.due, session.state_due, session.writing = None, None, False
        has_state = session.stored > 0
        size = (
            (self.fleet.machine.state_bytes if has_state else 0.0)
            + session.image_bytes
            + session.record_bytes
        )
        self._store(session).call("claim", size, lambda well: self._read(turn, size, well))

    def _read(self, turn: Turn, size: float, well: bool) -> None:
        if not self.alive:
            return
        if not well:
            turn.session.owner = None
            self._end_claim(turn, WRITE_AGAIN_S)
            return
        self._clock.after(size / self.fleet.machine.encode_bytes_s, lambda: self._enter(turn))

    def _enter(self, turn: Turn) -> None:
        if not self.alive:
            return
        session = turn.session
        del self._claiming[turn]
        turn.prompt += session.tokens - session.stored  # read again
        if session.stored > 0:
            self.engine.tiers.put(session, working=len(self.engine.running))
        self._offer(turn)
        self._serve()

    def _end_claim(self, turn: Turn, later: float) -> None:
        del self._claiming[turn]
        self.fleet.again(turn, later)
        self._serve()

    # --- What is written behind ---

    def hear(self, session: Session) -> None:
        now = self._clock.now
        if (
            not self.alive
            or session.owner is not self
            or (session.came is not None and now - session.came < STAYS_S)
        ):
            return
        session.wanted_until = now + WISH_LASTS_S
        self.schedule(session, now)

    def _ended(self, turn: Turn) -> None:
        session, now = turn.session, self._clock.now
        session.busy = False
        if session.owner is not self:  # taken over meanwhile: SESSION_MOVED
            self.fleet.again(turn, 0.0)
            return
        prompt = self.fleet.prompt_of(turn)
        session.tokens += prompt + turn.answer
        self.note(session, self._limits.record(prompt, turn.answer))
        if session.state_due is None:
            session.state_due = session.state_since = now
            session.state_due += self._limits.state_after_s
        self.fleet.ended(turn)

    def note(self, session: Session, size: float) -> None:
        session.records.append((self._clock.now, size, session.tokens))
        self.fleet.figures.noted_bytes += size
        self.schedule(session, self._clock.now)

    def schedule(self, session: Session, when: float) -> None:
        if session.due is None or session.due > when:
            session.due = when
            self._count += 1
            heapq.heappush(self._due, (when, self._count, session))
            self._clock.at(when, self._write)

    def _write(self) -> None:
        while self.alive and self._idle and self._due and self._due[0][0] <= self._clock.now:
            when, _, session = heapq.heappop(self._due)
            if session.owner is not self or session.due != when:
                continue
            session.due = None
            if session.writing:
                session.again = True
                continue
            session.writing = True
            self._idle -= 1
            self._next(session)

    def _next(self, session: Session) -> None:
        now, store = self._clock.now, self._store(session)
        if session.owner is not self:
            self._rest(session)
        elif session.records and self._needs_image(session):
            tokens = session.tokens
            size = self._limits.image_bytes + tokens * self._limits.image_token_bytes
            count = len(session.records)
            store.call(
                "put_state", size, lambda well: self._noted(session, count, size, True, well)
            )
        elif session.records:
            size = session.records[0][1]
            store.call("append", size, lambda well: self._noted(session, 1, size, False, well))
        elif session.state_due is not None and (
            session.state_due <= now or self._is_wanted(session)
        ):
            since, tokens, size = (
                session.state_since,
                session.tokens,
                self.fleet.machine.state_bytes,
            )
            session.state_due = None
            self._clock.after(
                size / self.fleet.machine.encode_bytes_s,
                lambda: store.call(
                    "put_state", size, lambda well: self._stored(session, since, tokens, size, well)
                ),
            )
        else:
            if session.state_due is not None:
                self.schedule(session, session.state_due)
            if not self._is_wanted(session):
                self._rest(session)
            elif session.busy:
                self.schedule(session, now + LOOK_AGAIN_S)
                self._rest(session)
            else:
                store.call("renew", 0, lambda well: self._given(session, well))

    def _needs_image(self, session: Session) -> bool:
        return not session.has_image or session.record_bytes > max(
            RECORD_BYTES_MAX, session.image_bytes
        )

    def _is_wanted(self, session: Session) -> bool:
        return session.wanted_until is not None and self._clock.now < session.wanted_until

    def _noted(self, session: Session, count: int, size: float, image: bool, well: bool) -> None:
        if not self._goes_on(session, well):
            return
        self.fleet.figures.written_bytes += size
        for _ in range(count):
            since, _, session.written_tokens = session.records.pop(0)
            self.fleet.figures.record_lag.append(self._clock.now - since)
        if image:
            session.has_image, session.image_bytes, session.record_bytes = True, size, 0.0
        else:
            session.record_bytes += size
        if session.on_written is not None:
            told, session.on_written = session.on_written, None
            told()
        self._next(session)

    def _stored(
        self, session: Session, since: Optional[float], tokens: int, size: float, well: bool
    ) -> None:
        if not well and session.owner is self and session.state_due is None:
            session.state_due = self._clock.now + WRITE_AGAIN_S
        if not self._goes_on(session, well):
            return
        session.stored = tokens
        self.fleet.figures.written_bytes += size
        self.fleet.figures.states_written += 1
        if since is not None:
            self.fleet.figures.state_lag.append(self._clock.now - since)
        self._next(session)

    def _given(self, session: Session, well: bool) -> None:
        if not self._goes_on(session, well):
            return
        if not session.busy:
            session.owner, session.wanted_until = None, None
            self.engine.tiers.drop(session)
            self.fleet.figures.given_up += 1
        self._rest(session)

    def _goes_on(self, session: Session, well: bool) -> bool:
        if well and self.alive and session.owner is self:
            return True
        if self.alive and session.owner is self:
            self.schedule(session, self._clock.now + WRITE_AGAIN_S)
        self._rest(session)
        return False

    def _rest(self, session: Session) -> None:
        self._idle += 1
        session.writing = False
        if session.again and session.owner is self:
            self.schedule(session, self._clock.now)
        session.again = False
        self._clock.after(0.0, self._write)
