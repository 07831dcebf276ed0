#!/usr/bin/env python3
"""Measures trained models side by side, by `ssmd-bench quality` and `ssmd-bench engine`, and writes a Markdown
table to standard output. The same figures give the same table and picture.

usage: family_table.py [options] FOLDER...     measures, and keeps the figures in --json
       family_table.py [options]               takes the figures from --json
"""

import argparse
import html
import json
import pathlib
import subprocess

BATCHES = (1, 16)
WIDTH, ROW, TOP, LABELS = 1240, 30, 112, 190
STYLE = """
  text { fill: #0f172a } .head { font-weight: bold; font-size: 15px } .dim { fill: #475569; font-size: 12.5px }
  .axis { stroke: #334155; stroke-width: 1.2 } .quality { fill: #d97706 } .one { fill: #93c5fd } .many { fill: #2563eb }
  .prompt { fill: #64748b } .state { fill: #0d9488 }
"""


def mixer_of(config):
    """What its layers are, each kind once, in the order in which they come."""
    layers = config.get("layers") or [{}]
    kinds = [(layer.get("mixer") or config.get("mixer") or {}).get("type", config["model_type"]) for layer in layers]
    return " + ".join(dict.fromkeys(kinds))


def bench(program, *arguments):
    done = subprocess.run([program, *arguments, "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def measure(options, folder):
    quality = bench(
        options.ssmd_bench, "quality", f"--model={folder}", f"--text={options.text}", f"--tokens={options.tokens}",
        "--weights=f32",
    )  # fmt: skip
    engine = bench(
        options.ssmd_bench, "engine", f"--model=model={folder}", f"--weights={options.weights}",
        f"--batch={','.join(map(str, BATCHES))}", f"--prompt={options.prompt}", "--generate=256",
        f"--rounds={options.rounds}",
    )  # fmt: skip
    rows = engine["rows"]
    return engine["machine"], {
        "model": folder.resolve().name,
        "mixer": mixer_of(json.loads((folder / "config.json").read_text(encoding="utf-8"))),
        "parameters": rows[0]["parameters"],
        "tokens": quality["tokens"],
        "bits_per_character": quality["bits_per_character_f32"],
        "state_bytes": rows[0]["state_bytes"],
        "decode_tok_s": [row["decode_tok_s"] for row in rows],
        "prefill_tok_s": rows[0]["prefill_tok_s"],
    }


def measure_all(options):
    result = {
        "text": pathlib.Path(options.text).name,
        "weights": options.weights,
        "prompt": options.prompt,
        "rows": [],
    }
    for folder in options.folders:
        try:
            machine, row = measure(options, folder)
        except subprocess.CalledProcessError as error:  # which has said why
            raise ValueError(f"{folder}: {' '.join(error.cmd[:2])} failed") from error
        result["machine"] = {"cpu": machine["cpu"], "threads": machine["threads"]}
        result["rows"].append(row)
    result["tokens"] = max(row["tokens"] for row in result["rows"])
    result["rows"].sort(key=lambda row: row["bits_per_character"])
    return result


def table(result):
    yield (f"| mixer | parameters | bits a character | state of a session | decode, 1 stream, tok/s | {BATCHES[1]} streams "
           f"| prefill of {result['prompt']}, tok/s |")  # fmt: skip
    yield "|---" * 7 + "|"
    for row in result["rows"]:
        one, many = row["decode_tok_s"]
        yield (f"| {row['mixer']} | {row['parameters'] / 1e6:.2f} M | {row['bits_per_character']:.3f} "
               f"| {row['state_bytes'] / 1000:,.1f} kB | {one:,.0f} | {many:,.0f} | {row['prefill_tok_s']:,.0f} |")  # fmt: skip


def panels():
    """Heading, and its bars: CSS class, the figure of a row, how it is written."""
    speed = "{:,.0f}".format
    return [
        ("bits a character", [("quality", lambda row: row["bits_per_character"], "{:.3f}".format)]),
        ("state of a session, kB", [("state", lambda row: row["state_bytes"] / 1000, "{:,.1f}".format)]),
        (f"decode, tok/s: 1 stream, {BATCHES[1]} streams",
         [("one", lambda row: row["decode_tok_s"][0], speed), ("many", lambda row: row["decode_tok_s"][1], speed)]),
        ("prefill, tok/s", [("prompt", lambda row: row["prefill_tok_s"], speed)]),
    ]  # fmt: skip


def draw_panel(rows, heading, bars, left, width):
    yield f'<text class="dim" x="{left}" y="{TOP - 14}">{heading}</text>'
    largest = max(figure(row) for row in rows for _, figure, _ in bars)
    height = (ROW - 8) / len(bars)
    for number, row in enumerate(rows):
        for bar, (css, figure, text) in enumerate(bars):
            y = TOP + ROW * number + 4 + height * bar
            length = (width - 70) * figure(row) / largest
            yield f'<rect class="{css}" x="{left}" y="{y:.1f}" width="{length:.1f}" height="{height - 1:.1f}"/>'
            yield (f'<text x="{left + length + 5:.1f}" y="{y + height / 2 + 4:.1f}" font-size="{min(12, height):.0f}">'
                   f"{text(figure(row))}</text>")  # fmt: skip
    yield f'<path class="axis" d="M{left} {TOP}v{ROW * len(rows)}"/>'


def draw(result):
    rows = result["rows"]
    machine = result["machine"]
    title = "One stack of each mixer"
    about = (f"{result['tokens']:,} tokens of {result['text']}; weights in {result['weights']}, prompts of "
             f"{result['prompt']}; {machine['cpu']}, {machine['threads']} threads")  # fmt: skip
    height = TOP + ROW * len(rows) + 24
    each = (WIDTH - LABELS) // len(panels())
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13">',
        f"<title>{title}: quality and speed</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fff"/>',
        f'<text x="20" y="34" class="head">{title}</text>',
        f'<text x="20" y="56" class="dim">{html.escape(about)}</text>',
    ]
    for number, row in enumerate(rows):
        y = TOP + ROW * number + ROW / 2 + 4
        lines.append(f'<text x="{LABELS - 12}" y="{y}" text-anchor="end">{html.escape(row["mixer"])}</text>')
    for number, (heading, bars) in enumerate(panels()):
        lines += draw_panel(rows, heading, bars, LABELS + each * number, each)
    return "\n".join([*lines, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=pathlib.Path, metavar="FOLDER", help="of a trained model")
    parser.add_argument("--json", type=pathlib.Path, help="file of the figures")
    parser.add_argument("--svg", type=pathlib.Path, help="file of the picture")
    parser.add_argument("--ssmd-bench", default="ssmd-bench", help="the program")
    parser.add_argument("--text", help="file that no model was trained on")
    parser.add_argument("--tokens", type=int, default=8192, help="most of the text to take")
    parser.add_argument("--weights", default="f32", help="format, for the speed")
    parser.add_argument("--prompt", type=int, default=512, help="tokens of a prompt")
    parser.add_argument("--rounds", type=int, default=5, help="times that each speed is measured")
    options = parser.parse_args()
    if options.folders and not options.text:
        parser.error("--text is needed to measure")
    if not options.folders and not options.json:
        parser.error("name folders to measure, or --json with figures")
    try:
        result = measure_all(options) if options.folders else json.loads(options.json.read_text(encoding="utf-8"))
        lines, picture = list(table(result)), draw(result)
    except (ValueError, OSError) as error:
        parser.exit(2, f"family_table.py: {error}\n")
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        if options.folders:
            raise
        parser.exit(2, f"family_table.py: {options.json} holds no figures of this program ({error!r})\n")
    if options.folders and options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print("\n".join(lines))
    if options.svg:
        options.svg.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
