"""What the mock server says at /metrics, by ssmd's own names."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_TOKEN_BOUNDS = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5]
INTERVAL_BOUNDS = [0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1]
SLOTS = 64


@dataclass
class Figures:
    read: int = 0
    written: int = 0
    running: int = 0
    cancelled: int = 0
    first: list[float] = field(default_factory=list)
    intervals: list[float] = field(default_factory=list)

    def wrote(self, first_seconds: float | None, interval_seconds: float) -> None:
        self.written += 1
        if first_seconds is not None:
            self.first.append(first_seconds)
        else:
            self.intervals.append(interval_seconds * (1 + 0.35 * (self.written % 7 == 0)))

    def text(self, sessions: int) -> str:
        used = min(SLOTS, sessions + self.running)
        on_device = min(sessions, SLOTS)
        lines = ["# HELP ssmd_ready 1 while new turns are taken", "# TYPE ssmd_ready gauge", "ssmd_ready 1"]
        for model, share in (("demo", 1), ("tales", 0)):
            label = f'model="{model}"'
            lines += [
                f"ssmd_generation_tokens_total{{{label}}} {self.written * share}",
                f"ssmd_read_tokens_total{{{label}}} {self.read * share}",
                f'ssmd_state_slots{{{label},state="used"}} {used * share}',
                f'ssmd_state_slots{{{label},state="free"}} {SLOTS - used * share}',
                f'ssmd_sessions{{{label},tier="device"}} {on_device * share}',
                f'ssmd_sessions{{{label},tier="host"}} {(sessions - on_device) * share}',
                f'ssmd_sessions{{{label},tier="disk"}} 0',
                f'ssmd_sessions{{{label},tier="lost"}} 0',
                f'ssmd_sessions{{{label},tier="none"}} 0',
            ]
            lines += _histogram(
                "ssmd_time_to_first_token_seconds", label, self.first * share, FIRST_TOKEN_BOUNDS
            )
            lines += _histogram(
                "ssmd_inter_token_latency_seconds", label, self.intervals * share, INTERVAL_BOUNDS
            )
        return "\n".join(lines) + "\n"


def _histogram(name: str, label: str, values: list[float], bounds: list[float]) -> list[str]:
    lines = [
        f'{name}_bucket{{{label},le="{bound}"}} {sum(value <= bound for value in values)}' for bound in bounds
    ]
    lines.append(f'{name}_bucket{{{label},le="+Inf"}} {len(values)}')
    return [*lines, f"{name}_sum{{{label}}} {sum(values)}", f"{name}_count{{{label}}} {len(values)}"]
