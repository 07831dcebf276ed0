"""Compresses a signal of some thousand samples to N numbers, and draws both.

The signal is real: where in a novel people speak. Of the text's characters, those within quotation
marks are 1 and the others 0; a sample is the mean of the 12,000 characters around it, about a chapter,
and there is one every 100 characters. The text: Jane Austen's "Pride and Prejudice", or any other that
marks speech by straight quotation marks and has a paragraph a line.

usage: memory_of_a_novel.py TEXT PICTURE.svg [MODEL]     (the daemon: SSMD_SERVER)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

import ssmd

STEP, AROUND = 100, 12000  # characters
WIDTH, HEIGHT = 860, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 840, 84, 310  # of the plot's area
STYLE = """
  text { fill: #0f172a } .head { font-weight: bold; font-size: 15px }
  .dim { fill: #475569; font-size: 12.5px } .grid { stroke: #e2e8f0 }
  path { fill: none } .truth { stroke: #94a3b8; stroke-width: 1.4 }
  .memory { stroke: #2563eb; stroke-width: 2 }
  text.truth { fill: #64748b; stroke: none } text.memory { fill: #2563eb; stroke: none }
"""


def speech(text: str) -> npt.NDArray[np.float64]:
    """Of each character but the quotation marks, whether it is spoken."""
    spoken = []
    for paragraph in text.split(
        "\n"
    ):  # a speech that goes on in the next one is opened there again
        inside = False
        for character in paragraph:
            if character == '"':
                inside = not inside
            else:
                spoken.append(inside)
    return np.array(spoken, np.float64)


def signal_of(text: str) -> npt.NDArray[np.float64]:
    around = np.full(AROUND, 1 / AROUND)
    return np.convolve(speech(text), around, "valid")[::STEP]


def path_of(values: npt.NDArray[np.float64], kind: str) -> str:
    x = LEFT + (RIGHT - LEFT) * np.arange(len(values)) / (len(values) - 1)
    y = BOTTOM + (TOP - BOTTOM) * values
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[::12], y[::12]))
    return f'<path class="{kind}" d="M{points}"/>'


def picture(
    truth: npt.NDArray[np.float64], past: npt.NDArray[np.float64], size: int, error: float
) -> str:
    font = "system-ui, sans-serif"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="{font}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text class="head" x="{LEFT}" y="28">A signal of {len(truth):,} samples, '
        f"remembered by {size} numbers</text>",
        f'<text class="dim" x="{LEFT}" y="48">How much of Pride and Prejudice is spoken, from its '
        "first page to its last; each sample over 12,000 characters</text>",
        f'<text class="truth" x="{LEFT}" y="70" font-size="13">the signal</text>',
        f'<text class="memory" x="{LEFT + 80}" y="70" font-size="13">what the memory says at the end '
        f"(root mean square error {error:.3f}, of a standard deviation of {truth.std():.3f})</text>",
    ]
    for share in (0, 0.5, 1):
        y = BOTTOM + (TOP - BOTTOM) * share
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y}" y2="{y}"/>')
        lines.append(
            f'<text class="dim" x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{share:.0%}</text>'
        )
    for sample in range(0, len(truth), 1000):
        x = LEFT + (RIGHT - LEFT) * sample / (len(truth) - 1)
        lines.append(
            f'<text class="dim" x="{x:.1f}" y="{BOTTOM + 22}" text-anchor="middle">{sample:,}</text>'
        )
    lines += [path_of(truth, "truth"), path_of(past, "memory")]
    lines.append(
        f'<text class="dim" x="{RIGHT}" y="{BOTTOM + 42}" text-anchor="end">sample</text></svg>'
    )
    return "\n".join(lines) + "\n"


def main() -> None:
    text, out, *rest = sys.argv[1:]
    truth = signal_of(Path(text).read_text(encoding="utf-8"))
    with ssmd.Client() as client, client.memory(*rest, delete_on_exit=True) as memory:
        for first in range(0, len(truth), 500):  # as it comes in
            memory.append(truth[first : first + 500])
        past = memory.reconstruct(np.arange(memory.samples))
        error = memory.error()
        assert isinstance(error, float)  # one channel of legs with zoh
        differs = np.sqrt(np.mean((truth - past) ** 2))
        print(f"{memory.samples} samples, {memory.state_size} numbers")
        print(f"root mean square error {error:.6f}; at the samples {differs:.6f}")
        Path(out).write_text(picture(truth, past, memory.state_size, error), encoding="utf-8")


if __name__ == "__main__":
    main()
