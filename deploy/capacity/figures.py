"""What is measured of a fleet while it is simulated."""

from dataclasses import dataclass, field


@dataclass
class Figures:
    """Since the last reset, but for the counts of turns, which are of all time."""

    arrived: int = 0
    served: int = 0
    refused: int = 0
    first_token: list[float] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    take_over: list[float] = field(default_factory=list)
    take_over_first_token: list[float] = field(default_factory=list)
    taken_over: int = 0
    given_up: int = 0
    commits_lost: int = 0
    left: int = 0
    record_lag: list[float] = field(default_factory=list)
    state_lag: list[float] = field(default_factory=list)
    noted_bytes: float = 0.0
    written_bytes: float = 0.0
    states_written: int = 0
    renewals: int = 0
    renewals_failed: int = 0
    presence_lost: int = 0
