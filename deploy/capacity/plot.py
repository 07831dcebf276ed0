"""The picture of capacity.md: by sessions, both axes logarithmic. The same figures give the same bytes."""

import math
from collections.abc import Iterator
from typing import Any

Lines = dict[str, list[tuple[float, float]]]

TOP, BOTTOM, WIDE = 70, 340, 370
COLOURS = {"cpu": "#2563eb", "gpu": "#dc2626", "gpu-tokens": "#059669"}
STYLE = (
    "text{fill:#475569;font-size:12px}.head{font-weight:bold}.grid{stroke:#e2e8f0}path{fill:none}"
)


def panel(left: int, title: str, solid: Lines, dashed: Lines, unit: str) -> Iterator[str]:
    every = [point for lines in (solid, dashed) for line in lines.values() for point in line]
    lows = [math.floor(math.log10(min(column))) for column in zip(*every)]
    highs = [
        max(math.ceil(math.log10(max(column))), low + 1) for column, low in zip(zip(*every), lows)
    ]

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + WIDE * (math.log10(x) - lows[0]) / (highs[0] - lows[0]),
            BOTTOM - (BOTTOM - TOP) * (math.log10(y) - lows[1]) / (highs[1] - lows[1]),
        )

    yield f'<text class="head" x="{left - 40}" y="{TOP - 38}">{title}</text>'
    for decade in range(lows[1], highs[1] + 1):
        at = place(10.0 ** lows[0], 10.0**decade)[1]
        yield f'<path class="grid" d="M{left} {at:.0f}h{WIDE}"/>'
        yield f'<text x="{left - 8}" y="{at + 4:.0f}" text-anchor="end">{10.0**decade:,g}{unit}</text>'
    for decade in range(lows[0], highs[0] + 1):
        at = place(10.0**decade, 10.0 ** lows[1])[0]
        yield f'<path class="grid" d="M{at:.0f} {TOP}V{BOTTOM}"/>'
        yield f'<text x="{at:.0f}" y="{BOTTOM + 18}" text-anchor="middle">1e{decade}</text>'
    for lines, dash in ((solid, ""), (dashed, ' stroke-dasharray="5 4"')):
        for name, line in lines.items():
            path = "L".join("{:.1f} {:.1f}".format(*place(*point)) for point in line)
            yield f'<path d="M{path}" stroke="{COLOURS.get(name, "#000")}" stroke-width="2.2"{dash}/>'


def draw(results: dict[str, list[dict[str, Any]]]) -> str:
    def lines(part: str, key: str) -> Lines:
        """The second of several figures is their p99."""
        found: Lines = {}
        for name, rows in results.items():
            values = [
                (row["plan"]["sessions"], (row[part] if key == "p99" else row[part][key]))
                for row in rows
            ]
            found[name] = [(x, value[1] if key == "p99" else value) for x, value in values]
        return found

    many = panel(
        100,
        "Redis processes; replicas (dashed)",
        lines("plan", "redis"),
        lines("plan", "replicas"),
        "",
    )
    first, after_death = lines("first_token_s", "p99"), lines("take_over_first_token_s", "p99")
    times = panel(
        590, "First token, p99; of a turn that a death met (dashed)", first, after_death, " s"
    )
    names = [
        f'<text x="{100 + 150 * number}" y="392" style="fill:{COLOURS.get(name, "#000")}">{name}</text>'
        for number, name in enumerate(results)
    ]
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 990 410" font-family="Arial, sans-serif">'
    title = "<title>What sessions take, and what their users wait for</title>"
    ground = '<rect width="990" height="410" rx="8" fill="#fff"/>'
    return "\n".join(
        [head, title, f"<style>{STYLE}</style>", ground, *many, *times, *names, "</svg>", ""]
    )
