"""Replicas, their Redis and their users, for a while: what the figures of the table come from."""

import random

from clock import Clock
from figures import Figures
from load import Load
from replica import Machine, Turn
from sharing import Replica, Session, SharingLimits
from store import Costs, Server, StoreLimits

CLIENT_GIVES_UP_S = 30.0  # a turn that was refused is sent again until then
MEAN_TURNS_BEHIND = 0.5  # of a session's turns, at some moment


class Fleet:
    def __init__(
        self, clock: Clock, seed: int, load: Load, machine: Machine, limits: SharingLimits,
        store_limits: StoreLimits, costs: Costs, servers: list[Server], shares: list[float],
    ) -> None:  # fmt: skip
        """`shares`: what part of the sessions each replica is the place of, in any unit."""
        self.clock, self.load, self.machine = clock, load, machine
        self.limits, self.store_limits, self.costs, self.servers = (
            limits,
            store_limits,
            costs,
            servers,
        )
        self.dice = random.Random(f"{seed} fleet")
        self._users = random.Random(f"{seed} users")
        self.figures = Figures()
        self.in_flight = 0
        self._asked: dict[Turn, int] = {}
        self._shares, self._names = shares, 0
        self._making: dict[Session, None] = {}
        self._awaited: dict[Turn, None] = {}  # take-overs whose waiting counts
        self.replicas = [Replica(self, number) for number in range(len(shares))]
        for replica in self.replicas:
            replica.start(present=True)

    def fill(self, sessions: int, states_are_stored: bool) -> None:
        """As they are at some moment of a long run: each in a pause, those used last in the slots."""
        mean_tokens = self.load.prompt.mean + self.load.answer.mean
        found = []
        for home in self.dice.choices(range(len(self._shares)), self._shares, k=sessions):
            session = self._make(home)
            past, left = self.load.draw_met_pause(self._users)
            turns = 1 + int(self._users.expovariate(1 / (self.load.turns * MEAN_TURNS_BEHIND)))
            session.tokens = session.written_tokens = round(turns * mean_tokens)
            session.stored = session.tokens if states_are_stored else 0
            session.has_image = True
            session.image_bytes = (
                self.limits.image_bytes + session.tokens * self.limits.image_token_bytes
            )
            session.owner = self.replicas[home]
            found.append((past / session.popularity, session))
            self._think(session, left / session.popularity)
        found.sort(key=lambda entry: -entry[0])
        for _, session in found:
            self.replicas[session.home].engine.tiers.put(session)

    def reset(self) -> None:
        old, self.figures = self.figures, Figures()
        self.figures.arrived, self.figures.served, self.figures.refused = (
            old.arrived,
            old.served,
            old.refused,
        )
        for server in self.servers:
            server.busy_s, server.calls, server.bytes = 0.0, 0, 0.0
        for replica in self.replicas:
            replica.engine.busy_s, replica.engine.tokens = 0.0, 0
            replica.engine.inside.restart()

    # --- Users ---

    def _make(self, home: int) -> Session:
        self._names += 1
        return Session(self._names, self.load.draw_popularity(self._users), home)

    def _think(self, session: Session, pause: float) -> None:
        self.clock.after(pause, lambda: self._arrive(session))

    def _arrive(self, session: Session) -> None:
        prompt, answer = self.load.draw_tokens(self._users)
        turn = Turn(session, self.clock.now, prompt, answer)
        self._asked[turn] = prompt
        self.figures.arrived += 1
        self.in_flight += 1
        self._route(turn)

    def _begin(self, session: Session) -> None:
        """A new session is made at any replica, and its first turn comes when the store has it."""
        alive = [replica for replica in self.replicas if replica.alive]
        session.owner = self.dice.choice(alive)
        session.on_written = lambda: self._begun(session)
        self._making[session] = None
        session.records.clear()
        session.owner.note(session, self.limits.image_bytes)

    def _begun(self, session: Session) -> None:
        del self._making[session]
        self._arrive(session)

    def _route(self, turn: Turn) -> None:
        replica = self.replicas[turn.session.home]
        if not replica.alive:
            alive = [other for other in self.replicas if other.alive]
            replica = alive[turn.session.name * 2654435761 % 2**32 % len(alive)]
        replica.hold(turn)

    def again(self, turn: Turn, later: float) -> None:
        """It was told to try again, and does."""
        turn.tries += 1
        turn.prompt, turn.session.busy = self._asked[turn], False
        if self.clock.now - turn.arrived > CLIENT_GIVES_UP_S:
            self.refused(turn)
        else:
            self.clock.after(later, lambda: self._route(turn))

    def refused(self, turn: Turn) -> None:
        self.figures.refused += 1
        self._over(turn)
        self._think(turn.session, self._pause(turn.session))

    def ended(self, turn: Turn) -> None:
        self.figures.served += 1
        self._over(turn)
        session = turn.session
        if self.load.ends(self._users):
            self.figures.left += 1
            home = self.dice.choices(range(len(self._shares)), self._shares)[0]
            begun = self._make(home)
            self.clock.after(self._pause(begun), lambda: self._begin(begun))
        else:
            self._think(session, self._pause(session))

    def _over(self, turn: Turn) -> None:
        self.in_flight -= 1
        turn.session.busy = False
        del self._asked[turn]
        self._awaited.pop(turn, None)

    def _pause(self, session: Session) -> float:
        return self.load.draw_think(self._users) / session.popularity

    def prompt_of(self, turn: Turn) -> int:
        return self._asked[turn]

    # --- What replicas say ---

    def first_token(self, turn: Turn) -> None:
        if turn.first_token is not None:
            return
        turn.first_token = self.clock.now
        if turn.taken_over_since is None:
            self.figures.first_token.append(self.clock.now - turn.arrived)
            self.figures.sources[turn.source] = self.figures.sources.get(turn.source, 0) + 1
        elif turn in self._awaited and turn.held is not None:
            del self._awaited[turn]
            self.figures.take_over.append(turn.held - turn.taken_over_since)
            self.figures.take_over_first_token.append(self.clock.now - turn.taken_over_since)

    def take_over_begins(self, turn: Turn, owner: Replica) -> None:
        """Who came while the dead was still taken for present has to wait for that to end."""
        if self.clock.now < owner.died + self.limits.presence_s:
            self._awaited[turn] = None

    def taken_over(self, turn: Turn, session: Session) -> None:
        self.figures.taken_over += 1
        if turn.taken_over_since is None:  # later than presence: no waiting
            turn.taken_over_since = turn.arrived
        self.figures.commits_lost += len(session.records)
        session.records.clear()
        session.tokens = session.written_tokens
        session.stored = min(session.stored, session.tokens)

    # --- Deaths ---

    def kill(self, number: int, back_after_s: float) -> None:
        """Its callers see that at once and go on elsewhere; another replica takes its place later."""
        dead = self.replicas[number]
        for turn in dead.die():
            self._awaited.pop(turn, None)  # two deaths are no figure of one
            if turn.taken_over_since is None and turn.session.owner is dead:
                turn.taken_over_since = self.clock.now
                self._awaited[turn] = None
            turn.first_token = turn.held = None
            self.again(turn, 0.0)
        for session in [session for session in self._making if session.owner is dead]:
            del self._making[session]
            self._begin(session)
        self.clock.after(back_after_s, lambda: self._replace(number))

    def _replace(self, number: int) -> None:
        self.replicas[number] = Replica(self, number)
        self.replicas[number].start(present=False)
