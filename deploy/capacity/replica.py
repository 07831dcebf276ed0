"""A replica as a server of turns: continuous batching (engine/schedule/README.md) and the tiers of states
(engine/state/README.md). What it shares with others is in sharing.py."""

import heapq
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from clock import Clock, Level

TIERS = ("device", "host", "disk")


@dataclass
class Machine:
    """What a replica's hardware does with a model."""

    steps: list[tuple[int, float]]  # a step that decodes: streams, seconds; ascending
    prefill_tok_s: float
    token_budget: int
    prompt_budget: int
    max_running: int
    max_waiting: int
    state_bytes: float
    slots: dict[str, int]  # states that a tier holds
    host_bytes_s: float  # between host memory and the device
    disk_bytes_s: float
    disk_latency_s: float
    encode_bytes_s: float  # a state to a snapshot, or back

    def step_s(self, streams: int, prompt_tokens: int) -> float:
        return self.decode_s(streams) + prompt_tokens / self.prefill_tok_s

    def decode_s(self, streams: int) -> float:
        if streams == 0:
            return 0.0
        low, low_s = self.steps[0]
        if streams <= low:
            return low_s
        for high, high_s in self.steps[1:]:
            if streams <= high:
                return low_s + (high_s - low_s) * (streams - low) / (high - low)
            low, low_s = high, high_s
        return low_s * streams / low

    def turn_s(self, prompt: float, answer: float) -> float:
        """What a turn takes of a replica that is busy all the time, in its best batch."""
        best = min(seconds / streams for streams, seconds in self.steps)
        return prompt / self.prefill_tok_s + answer * best


@dataclass(eq=False)
class Turn:
    session: Any
    arrived: float
    prompt: int
    answer: int
    left: int = 0  # tokens of the prompt that were not read yet
    first_token: Optional[float] = None
    replica: Any = None
    tries: int = 0
    taken_over_since: Optional[float] = None  # its session's owner had died
    held: Optional[float] = None
    source: str = "device"


class Tiers:
    """Which sessions' states are where, least recently used first: those go down."""

    def __init__(self, slots: dict[str, int]) -> None:
        self._slots = slots
        self._tiers: dict[str, OrderedDict[Any, None]] = {tier: OrderedDict() for tier in TIERS}

    def find(self, session: Any) -> Optional[str]:
        return next((tier for tier in TIERS if session in self._tiers[tier]), None)

    def put(self, session: Any, working: int = 0) -> None:
        """As the one used last, with `working` slots in use by what runs."""
        self.drop(session)
        self._tiers["device"][session] = None
        room = {**self._slots, "device": max(self._slots["device"] - working, 1)}
        for tier, below in (("device", "host"), ("host", "disk"), ("disk", None)):
            while len(self._tiers[tier]) > room[tier]:
                oldest, _ = self._tiers[tier].popitem(last=False)
                if below is not None:
                    self._tiers[below][oldest] = None

    def drop(self, session: Any) -> None:
        for tier in TIERS:
            self._tiers[tier].pop(session, None)

    def count(self, tier: str) -> int:
        return len(self._tiers[tier])


@dataclass(eq=False)
class Engine:
    """Turns whose session is here load, wait, read the prompt, decode; all by a token a step."""

    clock: Clock
    machine: Machine
    on_first: Callable[[Turn], None]
    on_end: Callable[[Turn], None]
    on_refused: Callable[[Turn], None]
    alive: bool = True
    tokens: int = 0
    busy_s: float = 0.0
    tiers: Tiers = field(init=False)
    inside: Level = field(init=False)  # turns, from the offer to the end

    def __post_init__(self) -> None:
        self.tiers = Tiers(self.machine.slots)
        self.inside = Level(self.clock)
        self.running: dict[Turn, None] = {}
        self._waiting: deque[Turn] = deque()
        self._prompts: list[Turn] = []  # oldest first
        self._lanes: list[tuple[int, int, Turn]] = []  # by the step that ends them
        self._loading: dict[Turn, None] = {}
        self._steps = self._begun = 0
        self._stepping = False
        self._disk_free = 0.0

    def offer(self, turn: Turn) -> None:
        self.inside.add(1)
        found = self.tiers.find(turn.session)
        turn.source = found or "none"
        delay, size = 0.0, self.machine.state_bytes
        if found == "disk":
            self._disk_free = (
                max(self._disk_free, self.clock.now) + size / self.machine.disk_bytes_s
            )
            delay += self._disk_free - self.clock.now + self.machine.disk_latency_s
        if found in ("disk", "host"):
            delay += size / self.machine.host_bytes_s
        if delay == 0.0:
            self._queue(turn)
            return
        self._loading[turn] = None
        self.clock.after(delay, lambda: self._loaded(turn))

    def _loaded(self, turn: Turn) -> None:
        if self.alive:
            del self._loading[turn]
            self._queue(turn)

    def _queue(self, turn: Turn) -> None:
        if (
            len(self._waiting) >= self.machine.max_waiting
            and len(self.running) >= self.machine.max_running
        ):
            self.inside.add(-1)
            self.on_refused(turn)
            return
        self._waiting.append(turn)
        if not self._stepping:
            self._step()

    def turns(self) -> list[Turn]:
        return [*self._loading, *self._waiting, *self.running]

    def _step(self) -> None:
        while self._waiting and len(self.running) < self.machine.max_running:
            turn = self._waiting.popleft()
            turn.left = turn.prompt
            self.running[turn] = None
            self._prompts.append(turn)
        self._stepping = bool(self.running)
        if not self._stepping:
            return
        decoding = len(self._lanes)
        room = self.machine.token_budget - decoding
        budget = min(room, self.machine.prompt_budget) if decoding else room
        fed = self._feed(max(budget, self.machine.token_budget // 4 if room <= 0 else 1))
        seconds = self.machine.step_s(decoding, fed)
        self.busy_s += seconds
        self.tokens += decoding + fed
        self.clock.after(seconds, self._stepped)

    def _feed(self, budget: int) -> int:
        """Half to the oldest prompt, half to the one with the least left, the rest in order."""
        if not self._prompts:
            return 0
        left = budget
        for share, turn in (
            (budget - budget // 2, self._prompts[0]),
            (budget // 2, min(self._prompts, key=lambda other: other.left)),
            *((budget, turn) for turn in self._prompts),
        ):
            tokens = min(share, turn.left, left)
            turn.left -= tokens
            left -= tokens
            if left == 0:
                break
        return budget - left

    def _stepped(self) -> None:
        if not self.alive:
            return
        self._steps += 1
        over = []
        while self._lanes and self._lanes[0][0] <= self._steps:
            over.append(heapq.heappop(self._lanes)[2])
        for turn in [turn for turn in self._prompts if turn.left == 0]:
            self._prompts.remove(turn)
            self.on_first(turn)
            if turn.answer == 1:
                over.append(turn)
            else:
                self._begun += 1
                heapq.heappush(self._lanes, (self._steps + turn.answer - 1, self._begun, turn))
        for turn in over:
            del self.running[turn]
            self.tiers.put(turn.session, working=len(self.running))
            self.inside.add(-1)
            self.on_end(turn)
        self._step()
