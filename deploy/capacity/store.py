"""The shared store: a Redis, and a replica's way to it (engine/shared/redis_pool.cc, circuit_breaker.cc)."""

from collections import deque
from dataclasses import dataclass
from typing import Any, Callable

from clock import Action, Clock

Json = dict[str, Any]


class Costs:
    """Seconds of Redis's main thread for a call, measured at some sizes, between them by straight lines.

    `io` is reading and sending, while others are served too; `run` the command itself, while nobody is.
    """

    def __init__(self, rows: list[Json]) -> None:
        self._points: dict[str, list[tuple[int, float, float]]] = {}
        for row in rows:
            cpu, run = row["cpu_us"] * 1e-6, row["exec_us"] * 1e-6
            run = min(
                run, cpu
            )  # Redis's own account is of the clock, and counts who else had the CPU
            self._points.setdefault(row["call"], []).append((row["bytes"], cpu - run, run))

    def of(self, call: str, size: float) -> tuple[float, float]:
        points = self._points[call]
        if len(points) == 1:
            return points[0][1:]
        if size >= points[-1][0]:
            by_bytes = size / points[-1][0]
            return points[-1][1] * by_bytes, points[-1][2] * by_bytes
        upper = next(index for index, point in enumerate(points) if point[0] > size)
        (low, low_io, low_run), (high, high_io, high_run) = points[max(upper - 1, 0)], points[upper]
        share = min((size - low) / (high - low), 1.0) if high > low and size > low else 0.0
        return low_io + share * (high_io - low_io), low_run + share * (high_run - low_run)

    def total(self, call: str, size: float = 0) -> float:
        return sum(self.of(call, size))


class Server:
    """A Redis: one thread, which reads or sends a piece for each connection in turn, and runs commands whole.

    `taken`: the share of it that those need who are not simulated (presence of all replicas).
    """

    def __init__(self, clock: Clock, piece_s: float, taken: float = 0.0) -> None:
        self._clock, self._piece_s = clock, piece_s
        self._stretch = 1 / (1 - taken)
        self._queue: deque[tuple[float, float, Action]] = deque()
        self._busy = False
        self.busy_s = 0.0
        self.calls = 0
        self.bytes = 0.0

    def submit(self, io_s: float, run_s: float, size: float, done: Action) -> None:
        self.calls += 1
        self.bytes += size
        self._queue.append((io_s, run_s, done))
        if not self._busy:
            self._busy = True
            self._next()

    def _next(self) -> None:
        if not self._queue:
            self._busy = False
            return
        io_s, run_s, done = self._queue.popleft()
        if io_s > self._piece_s:
            work, end = self._piece_s, self._next
            self._queue.append((io_s - self._piece_s, run_s, done))
        else:
            work = io_s + run_s

            def end() -> None:
                done()
                self._next()

        work *= self._stretch
        self.busy_s += work
        self._clock.after(work, end)


@dataclass
class StoreLimits:
    timeout_s: float
    bytes_per_second_min: float
    retry_after_s: float
    connections: int
    round_trip_s: float
    link_bytes_s: float


class _Call:
    __slots__ = ("asked", "done", "io_s", "run_s", "size", "stage")

    def __init__(
        self, io_s: float, run_s: float, size: float, done: Callable[[bool], None], asked: float
    ) -> None:
        self.io_s, self.run_s, self.size, self.done, self.asked = io_s, run_s, size, done, asked
        self.stage = "waits"  # then "runs", "over"


class Store:
    """A replica's connections to one Redis: a call has one for itself and a deadline, and fails at once for a
    while after one that failed. What Redis was sent it does, whether or not anybody waits for it."""

    def __init__(self, clock: Clock, server: Server, costs: Costs, limits: StoreLimits) -> None:
        self._clock, self._server, self._costs, self._limits = clock, server, costs, limits
        self._idle = limits.connections
        self._waiting: deque[_Call] = deque()
        self._open_until = 0.0
        self.calls = self.failures = 0

    def call(self, what: str, size: float, done: Callable[[bool], None]) -> None:
        self.calls += 1
        now = self._clock.now
        if now < self._open_until:
            self.failures += 1
            self._clock.after(0.0, lambda: done(False))
            return
        call = _Call(*self._costs.of(what, size), size, done, now)
        self._waiting.append(call)
        deadline = now + self._limits.timeout_s + size / self._limits.bytes_per_second_min
        self._clock.at(deadline, lambda: self._expire(call))
        self._start()

    def _start(self) -> None:
        while self._idle and self._waiting:
            call = self._waiting.popleft()
            if call.stage == "over":
                continue
            self._idle -= 1
            call.stage, waited = "runs", self._clock.now - call.asked
            # Who waited long for a connection says nothing of the server (WithClient, is_fair).
            call.asked = float("inf") if waited > self._limits.timeout_s / 2 else call.asked
            self._clock.after(
                self._limits.round_trip_s + call.size / self._limits.link_bytes_s,
                self._sender(call),
            )

    def _sender(self, call: _Call) -> Action:
        return lambda: self._server.submit(
            call.io_s, call.run_s, call.size, lambda: self._answer(call)
        )

    def _answer(self, call: _Call) -> None:
        if call.stage == "over":
            return
        call.stage = "over"
        self._idle += 1
        call.done(True)
        self._start()

    def _expire(self, call: _Call) -> None:
        if call.stage == "over":
            return
        if call.stage == "runs":
            self._idle += 1
            if call.asked < float("inf"):
                self._open_until = self._clock.now + self._limits.retry_after_s
        call.stage = "over"
        self.failures += 1
        call.done(False)
        self._start()
