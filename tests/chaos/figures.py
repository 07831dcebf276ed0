"""Distributions, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: Of a scenario, as JSON: the promises that were not kept as "violations", figures under their names.
Report = dict[str, Any]


def distribution(seconds: Sequence[float]) -> dict[str, float]:
    """In milliseconds."""
    if not seconds:
        return {"count": 0}
    ordered = sorted(seconds)

    def at(part: float) -> float:
        return round(1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))], 1)

    return {
        "count": len(ordered),
        "p50": at(0.5),
        "p90": at(0.9),
        "p99": at(0.99),
        "max": at(1.0),
    }


def print_table(title: str, rows: dict[str, dict[str, float]]) -> None:
    print(f"\n{title}\n{'':34}{'count':>8}{'p50 ms':>10}{'p90 ms':>10}{'p99 ms':>10}{'max ms':>10}")
    for name, row in rows.items():
        cells = "".join(f"{row.get(key, '-'):>10}" for key in ("p50", "p90", "p99", "max"))
        print(f"{name:34}{row['count']:>8}{cells}")
