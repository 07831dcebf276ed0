#!/usr/bin/env python3
"""Draws what `ssmd-bench turns --json` measured: the time to a turn's first token by the length of the
history before it, both axes logarithmic. The same figures give the same bytes.

usage: plot_turn_latency.py RESULT.json PICTURE.svg
"""
import json
import math
import sys

WIDTH, HEIGHT = 860, 430
LEFT, RIGHT, TOP, BOTTOM = 78, 640, 84, 372  # of the plot's area
SERIES = [  # from the top: key in the result, CSS class, label
    ("reread", "reread", ["every turn reads", "the history again"]),
    ("resident", "resident", ["session in its slot"]),
    ("disk", "disk", ["session on the disk"]),
]
STYLE = """
  text { fill: #0f172a } .head { font-weight: bold; font-size: 15px } .dim { fill: #475569; font-size: 12.5px }
  .grid { stroke: #e2e8f0 } .axis { stroke: #334155; stroke-width: 1.6 }
  .reread { stroke: #64748b; fill: #64748b } .disk { stroke: #d97706; fill: #d97706 } .resident { stroke: #2563eb; fill: #2563eb }
  path { stroke-width: 2.5 } .disk path { stroke-dasharray: 6 4 } .disk circle { fill: #fff; stroke-width: 2 }
  g text { stroke: none; fill: inherit; font-weight: bold }
"""


def count_text(count):
    return f"{count // 1000},000" if count >= 1000 else str(count)


def time_text(milliseconds):
    if milliseconds < 1000:
        return f"{milliseconds:g} ms"
    return f"{milliseconds / 1000:g} s"


def short_time(milliseconds):
    digits = 0 if milliseconds >= 100 else 1
    if milliseconds < 1000:
        return f"{milliseconds:.{digits}f} ms"
    return f"{milliseconds / 1000:.1f} s"


class Axis:
    """Maps a logarithmic range of whole decades onto pixels."""

    def __init__(self, low, high, low_pixel, high_pixel):
        self.decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        self.low_pixel = low_pixel
        self.scale = (high_pixel - low_pixel) / (self.decades[-1] - self.decades[0])

    def place(self, value):
        return self.low_pixel + (math.log10(value) - self.decades[0]) * self.scale


def points_of(result, key):
    return [(row["history"], row[key]["first_token_ms"]["p50"]) for row in result["rows"] if row[key]]


def draw_axes(x, y):
    for decade in y.decades:
        at = y.place(10**decade)
        yield f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text class="dim" x="{LEFT - 10}" y="{at + 4:.1f}" text-anchor="end">{time_text(10**decade)}</text>'
    for decade in x.decades:
        at = x.place(10**decade)
        yield f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{BOTTOM}"/>'
        yield f'<text class="dim" x="{at:.1f}" y="{BOTTOM + 20}" text-anchor="middle">{count_text(10**decade)}</text>'
    yield f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}"/>'
    middle = (LEFT + RIGHT) / 2
    yield f'<text class="dim" x="{middle}" y="{BOTTOM + 42}" text-anchor="middle">tokens of the conversation before the turn</text>'


def label_places(ends, gap=38):
    """The middles of labels at `ends`, which go downwards: above the axis, and none on another."""
    places = list(ends)
    limit = BOTTOM - 16
    for i in reversed(range(len(places))):
        places[i] = min(places[i], limit)
        limit = places[i] - gap
    return places


def draw_series(result, x, y):
    drawn = [(css, label, points_of(result, key)) for key, css, label in SERIES]
    drawn = [entry for entry in drawn if entry[2]]
    places = label_places([y.place(points[-1][1]) for _, _, points in drawn])
    for (css, label, points), place in zip(drawn, places):
        line = " ".join(f"{x.place(history):.1f},{y.place(time):.1f}" for history, time in points)
        yield f'<g class="{css}"><path fill="none" d="M{line.replace(" ", "L")}"/>'
        for history, time in points:
            yield (f'<circle cx="{x.place(history):.1f}" cy="{y.place(time):.1f}" r="4">'
                   f"<title>{history} tokens: {short_time(time)}</title></circle>")
        lines = [*label, short_time(points[-1][1])]
        first = place - 8 * (len(lines) - 1) + 4
        for number, text in enumerate(lines):
            yield f'<text x="{RIGHT + 14}" y="{first + 16 * number:.1f}">{text}</text>'
        yield "</g>"


def draw(result):
    times = [time for key, _, _ in SERIES for _, time in points_of(result, key)]
    histories = [row["history"] for row in result["rows"]]
    x = Axis(min(histories), max(histories), LEFT, RIGHT)
    y = Axis(min(times), max(times), BOTTOM, TOP)
    about = (f'{result["model"]["name"]}, a turn of {result["turn"]["prompt_tokens"]} tokens, medians; '
             f'{result["machine"]["cpu"]}, {result["machine"]["cpus"]} CPUs, {result["date"]}')
    title = "Time to the first token of a turn"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="14">',
        f"<title>{title}, by the length of the conversation before it</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#fff"/>',
        f'<text x="20" y="34" class="head">{title}</text>',
        f'<text x="20" y="56" class="dim">{about}</text>',
        *draw_axes(x, y),
        *draw_series(result, x, y),
        "</svg>",
        "",
    ])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        result = json.load(file)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(draw(result))


if __name__ == "__main__":
    main()
