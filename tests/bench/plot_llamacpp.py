#!/usr/bin/env python3
"""Draws what peer_llamacpp.py measured of one model: tokens a second of ssmd and of llama.cpp by the
weights' format, a panel for each kind of work, with the machine's floor as a line over each pair of
bars. The same figures give the same bytes.

usage: plot_llamacpp.py RESULT.json PICTURE.svg [MODEL]
"""
import json
import math
import sys

WIDTH, HEIGHT = 860, 566
PANELS = [("decode 1", "decode, 1 stream"), ("decode 16", "decode, 16 streams"),
          ("decode 64", "decode, 64 streams"), ("prefill 512", "prefill of 512 tokens")]
COLUMNS, LEFT, TOP = 2, 64, 112
PANEL_WIDTH, PANEL_HEIGHT = 350, 160  # of a panel's bars
STRIDE_X, STRIDE_Y = 420, 236         # from one panel to the next
BAR = 27
TICKS = 5  # about so many on an axis
STYLE = """
  text { fill: #0f172a } .head { font-weight: bold; font-size: 15px } .dim { fill: #475569; font-size: 12.5px }
  .small { font-size: 11.5px } .grid { stroke: #e2e8f0 } .axis { stroke: #334155; stroke-width: 1.6 }
  .ssmd { fill: #2563eb } .peer { fill: #94a3b8 } .floor { stroke: #d97706; stroke-width: 2.5; stroke-dasharray: 5 3 }
  .ratio { fill: #1d4ed8; font-weight: bold; font-size: 12.5px }
"""


def tick_step(highest):
    """A round number, so that about TICKS of it reach `highest`."""
    power = 10 ** math.floor(math.log10(highest / TICKS))
    return min((power * factor for factor in (1, 2, 2.5, 5, 10)),
               key=lambda step: abs(highest / step - TICKS))


def number(value):
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}"


class Panel:
    def __init__(self, index, rows):
        self.rows = rows
        self.left = LEFT + index % COLUMNS * STRIDE_X
        self.bottom = TOP + index // COLUMNS * STRIDE_Y + PANEL_HEIGHT
        values = [row[key] for row in rows for key in ("ssmd_tok_s", "llama.cpp_tok_s", "floor_tok_s")]
        self.highest = max(value for value in values if value is not None)

    def place(self, value):
        return self.bottom - value / self.highest * (PANEL_HEIGHT - 16)

    def draw(self, title):
        yield f'<text x="{self.left}" y="{self.bottom - PANEL_HEIGHT - 10}" font-weight="bold">{title}</text>'
        right, step = self.left + PANEL_WIDTH, tick_step(self.highest)
        for tick in range(int(self.highest / step) + 1):
            at = self.place(tick * step)
            yield f'<line class="grid" x1="{self.left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>'
            yield (f'<text class="dim" x="{self.left - 8}" y="{at + 4:.1f}" text-anchor="end">'
                   f"{tick * step:,g}</text>")
        for place, row in enumerate(self.rows):
            yield from self.draw_pair(row, self.left + (place + 0.5) * PANEL_WIDTH / len(self.rows))
        yield f'<line class="axis" x1="{self.left}" x2="{right}" y1="{self.bottom}" y2="{self.bottom}"/>'

    def draw_pair(self, row, middle):
        peer = f'llama.cpp ({row["llama.cpp_format"]})'
        bars = [("ssmd", "ssmd", row["ssmd_tok_s"], middle - BAR - 1),
                ("peer", peer, row["llama.cpp_tok_s"], middle + 1)]
        for css, name, value, left in bars:
            if value is None:
                yield (f'<text class="dim small" x="{left + BAR / 2:.1f}" y="{self.bottom - 6}" '
                       'text-anchor="middle">–</text>')
                continue
            top = self.place(value)
            yield (f'<rect class="{css}" x="{left:.1f}" y="{top:.1f}" width="{BAR}" height="{self.bottom - top:.1f}">'
                   f'<title>{name}, {row["weights"]}: {number(value)} tok/s</title></rect>')
        if row["floor_tok_s"] is not None:
            at = self.place(row["floor_tok_s"])
            yield (f'<line class="floor" x1="{middle - BAR - 5:.1f}" x2="{middle + BAR + 5:.1f}" y1="{at:.1f}" y2="{at:.1f}">'
                   f'<title>floor: {number(row["floor_tok_s"])} tok/s</title></line>')
        yield (f'<text class="dim" x="{middle:.1f}" y="{self.bottom + 18}" text-anchor="middle">'
               f'{row["weights"]}</text>')
        if row["ratio"] is not None:
            yield (f'<text class="ratio" x="{middle:.1f}" y="{self.bottom + 35}" text-anchor="middle">'
                   f'{row["ratio"]:.1f}×</text>')


def draw_key(y):
    entries = [("ssmd", "ssmd (below: by llama.cpp)"), ("peer", "llama.cpp, its nearest format"),
               ("floor", "what memory and arithmetic allow")]
    x = LEFT
    for css, text in entries:
        if css == "floor":
            yield f'<line class="floor" x1="{x}" x2="{x + 22}" y1="{y - 4}" y2="{y - 4}"/>'
        else:
            yield f'<rect class="{css}" x="{x + 5}" y="{y - 11}" width="13" height="13"/>'
        yield f'<text class="dim" x="{x + 28}" y="{y}">{text}</text>'
        x += 44 + 7 * len(text)


def draw(result, model):
    rows = [row for row in result["rows"] if row["model"] == model]
    machine = result["machine"]
    title = f"Tokens a second of ssmd and of llama.cpp: {model}"
    about = (f'random weights, {machine["threads"]} threads, medians; {machine["cpu"]}, {machine["isa"]}, '
             f'{result["date"]}; llama-cpp-python {result["llama_cpp_python"]}')
    panels = [(title, [row for row in rows if row["work"] == work]) for work, title in PANELS]
    drawn = [line for index, (name, mine) in enumerate(entry for entry in panels if entry[1])
             for line in Panel(index, mine).draw(name)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="14">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#fff"/>',
        f'<text x="20" y="32" class="head">{title}</text>',
        f'<text x="20" y="52" class="dim">{about}</text>',
        *draw_key(76),
        *drawn,
        "</svg>",
        "",
    ])


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        result = json.load(file)
    models = list(dict.fromkeys(row["model"] for row in result["rows"]))
    model = sys.argv[3] if len(sys.argv) == 4 else models[0]
    if model not in models:
        sys.exit(f"{sys.argv[1]} has figures of {', '.join(models)}")
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(draw(result, model))


if __name__ == "__main__":
    main()
