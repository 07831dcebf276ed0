"""Time and what happens in it: the core of the simulation. Nothing here knows what is simulated."""

import heapq
from collections.abc import Sequence
from typing import Callable

Action = Callable[[], object]


class Clock:
    """Calls what is due in the order of time; of the same time, in the order in which it was asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Action]] = []
        self._count = 0

    def at(self, time: float, action: Action) -> None:
        self._count += 1
        heapq.heappush(self._due, (max(time, self.now), self._count, action))

    def after(self, delay: float, action: Action) -> None:
        self.at(self.now + delay, action)

    def run(self, until: float) -> None:
        while self._due and self._due[0][0] <= until:
            self.now, _, action = heapq.heappop(self._due)
            action()
        self.now = until


class Level:
    """The mean over time of a number, such as how many there are in a queue."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.value = 0
        self._sum = self._since = self._start = 0.0

    def add(self, amount: int) -> None:
        self._sum += self.value * (self._clock.now - self._since)
        self._since = self._clock.now
        self.value += amount

    def restart(self) -> None:
        self.add(0)
        self._sum, self._start = 0.0, self._clock.now

    def mean(self) -> float:
        self.add(0)
        return self._sum / (self._clock.now - self._start)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all are no greater than; of none, not a number."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
