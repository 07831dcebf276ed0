"""What callers do: think, ask, read; some much more often than others (figures.json)."""

import math
import random
from dataclasses import dataclass


@dataclass
class Lognormal:
    """By its mean and the sigma of its logarithm; sigma 0: always the mean."""

    mean: float
    sigma: float

    def draw(self, dice: random.Random) -> float:
        return self._at(dice, -(self.sigma**2) / 2)

    def draw_by_length(self, dice: random.Random) -> float:
        """Of the interval that a moment falls into: long ones are met more often, by their length."""
        return self._at(dice, self.sigma**2 / 2)

    def _at(self, dice: random.Random, shift: float) -> float:
        if self.sigma == 0:
            return self.mean
        # Rounded, so that the last bit of a machine's exp() decides nothing.
        return round(self.mean * math.exp(shift + self.sigma * dice.normalvariate(0.0, 1.0)), 9)


@dataclass
class Load:
    think: list[tuple[float, Lognormal]]  # shares, which add up to 1, of a user's pauses
    turns: float  # of a session, in the mean; their number is geometric
    prompt: Lognormal  # tokens
    answer: Lognormal
    tokens_max: int
    popularity_sigma: float  # of the logarithm of how often a session is used; its mean is 1

    def think_mean(self) -> float:
        return sum(share * think.mean for share, think in self.think)

    def draw_popularity(self, dice: random.Random) -> float:
        return Lognormal(1.0, self.popularity_sigma).draw(dice)

    def draw_think(self, dice: random.Random) -> float:
        return self._kind(dice, [share for share, _ in self.think]).draw(dice)

    def draw_met_pause(self, dice: random.Random) -> tuple[float, float]:
        """At some moment: how long a pause has gone on for, and how long it still goes on."""
        length = self._kind(
            dice, [share * think.mean for share, think in self.think]
        ).draw_by_length(dice)
        past = dice.random() * length
        return past, length - past

    def draw_tokens(self, dice: random.Random) -> tuple[int, int]:
        prompt, answer = self.prompt.draw(dice), self.answer.draw(dice)
        return (
            min(max(round(prompt), 1), self.tokens_max),
            min(max(round(answer), 1), self.tokens_max),
        )

    def ends(self, dice: random.Random) -> bool:
        return dice.random() < 1 / self.turns

    def _kind(self, dice: random.Random, weights: list[float]) -> Lognormal:
        at = dice.random() * sum(weights)
        for weight, (_, think) in zip(weights, self.think):
            at -= weight
            if at < 0:
                return think
        return self.think[-1][1]
