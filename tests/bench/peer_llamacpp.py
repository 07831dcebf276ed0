"""Times ssmd's engine and llama.cpp on the same random weights, one after the other, several times.

    peer_llamacpp.py --ssmd-bench build/release/bin/ssmd-bench --json results/DATE-MACHINE-llamacpp.json

Needs numpy, gguf and llama-cpp-python from PyPI. Every measurement is a process of its own; in each
round both follow on each other, in the other order every other round, so that a machine that slows
down or speeds up does both alike. Medians of rounds count, a ratio's too. The floor is what the
machine could do just before and after each slice of ssmd's measurement (see engine_bench.h). Where other programs
take more than a little of the machine, a measurement is repeated.

Formats are compared with the nearest of llama.cpp's: f32 with F32, bf16 with F16, q8 with Q8_0, q4
with the faster of Q4_0 and Q4_K_M. Decoding has prompts of 4 tokens; prompts are read by one stream
after the other.

The file of --json is written after every measurement. A sweep that was cut goes on where it was
when it is started again with the same file and program. What llama.cpp cannot do is kept as its
reason.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile

import random_gguf

PEER_FORMATS = {"f32": ["F32"], "bf16": ["F16"], "q8": ["Q8_0"], "q4": ["Q4_0", "Q4_K_M"]}
FULL = dict(models=["mamba-130m", "mamba-370m", "mamba2-130m"], streams=[1, 4, 16, 64],
            prompts=[64, 512, 4096], formats=list(PEER_FORMATS), rounds=3)
QUICK = dict(FULL, models=["mamba-130m"], streams=[1, 16], prompts=[512], rounds=1)
WORKER = pathlib.Path(__file__).with_name("llamacpp_worker.py")


class Failed(Exception):
    pass


def decode_work(streams):
    return dict(work=f"decode {streams}", figure="decode", streams=streams, prompt=4,
                generate=max(2, min(48, 384 // streams)))


def prefill_work(prompt):
    return dict(work=f"prefill {prompt}", figure="prefill", streams=max(1, 1024 // prompt),
                prompt=prompt, generate=1)


def run(command, args):
    """Its standard output. Raises Failed with the last that it wrote to standard error."""
    try:
        done = subprocess.run([*shlex.split(args.under), *map(str, command)], text=True,
                              capture_output=True, timeout=args.timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"took longer than {args.timeout} s") from None
    if done.returncode == 0:
        return done.stdout
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
    raise Failed(lines[-1][:300] if lines else f"ended with {how}")


def measure_ssmd(file, weights, work, args):
    command = [args.ssmd_bench, "engine", f"--model=m={file}", f"--model-option=m.weights={weights}",
               f"--batch={work['streams']}", f"--prompt={work['prompt']}",
               f"--generate={work['generate']}", f"--threads={args.threads}", "--rounds=1", "--json"]
    try:
        return json.loads(run(command, args))["rows"][0]["rounds"][0][work["figure"]]
    except Failed as failure:
        return {"error": str(failure)}


class Files:
    """One model in all formats, made when they are asked for."""

    def __init__(self, model, folder, args):
        self.model, self.folder, self.args = model, folder, args
        self.failures = {}
        self.source = folder / f"{model}-F32.gguf"
        if not self.source.exists():
            made = self.source.with_suffix(".new")
            random_gguf.write(model, made)
            made.rename(self.source)

    def path(self, name):
        if name == "F32":
            return self.source
        path = self.folder / f"{self.model}-{name}.gguf"
        if name not in self.failures and not path.exists():
            made = path.with_suffix(".new")
            try:
                run([sys.executable, WORKER, "quantise", "--model", self.source, "--to", made,
                     "--format", name, "--threads", self.args.threads], self.args)
                made.rename(path)
            except Failed as failure:
                made.unlink(missing_ok=True)
                self.failures[name] = str(failure)
        if name in self.failures:
            raise Failed(self.failures[name])
        return path


def measure_llamacpp(files, name, work, args):
    try:
        output = run([sys.executable, WORKER, "measure", "--model", files.path(name),
                      f"--streams={work['streams']}", f"--prompt={work['prompt']}",
                      f"--generate={work['generate']}", f"--threads={args.threads}"], args)
    except Failed as failure:
        return {"error": str(failure)}
    figures = json.loads(output.splitlines()[-1])
    return {"tok_s": figures[work["figure"] + "_tok_s"], "others_cpus": figures["others_cpus"]}


def undisturbed(measure, args):
    """Measures again where others took much of the machine; of several tries the calmest counts."""
    tries = []
    while len(tries) < args.tries:
        tries.append(measure())
        if tries[-1].get("others_cpus", 0) <= args.others:
            return tries[-1]
    return min(tries, key=lambda each: each.get("others_cpus", 0))


def measure_round(files, weights, work, number, args):
    def ours():
        return "ssmd", undisturbed(lambda: measure_ssmd(files.source, weights, work, args), args)

    def theirs():
        return "llama.cpp", {
            name: undisturbed(lambda: measure_llamacpp(files, name, work, args), args)
            for name in PEER_FORMATS[weights]}

    order = [ours, theirs] if number % 2 == 0 else [theirs, ours]
    return dict(measure() for measure in order)


def median_of(values):
    """None where one is missing."""
    values = list(values)
    return None if None in values else statistics.median(values)


def summarise(row):
    """Adds what counts to a row: medians over its rounds, against the faster of llama.cpp's formats."""
    rounds = row["rounds"]
    ours = [each["ssmd"] for each in rounds]
    row["ssmd_tok_s"] = median_of(each.get("tok_s") for each in ours)
    for figure in ("fraction_of_floor", "fraction_in_turn"):
        row[figure] = median_of(each.get(figure) for each in ours)
    row["floor_tok_s"] = median_of(
        each["tok_s"] / each["fraction_of_floor"] if each.get("fraction_of_floor") else None
        for each in ours)
    speeds = {name: median_of(each["llama.cpp"][name].get("tok_s") for each in rounds)
              for name in rounds[0]["llama.cpp"]}
    best = max(speeds, key=lambda name: speeds[name] or 0)
    row["llama.cpp_format"], row["llama.cpp_tok_s"] = best, speeds[best]
    row["ratio"] = row["llama.cpp_error"] = None
    if speeds[best] is None:
        row["llama.cpp_error"] = next(each["llama.cpp"][best]["error"] for each in rounds
                                      if "error" in each["llama.cpp"][best])
    elif row["ssmd_tok_s"] is not None:
        row["ratio"] = statistics.median(
            each["ssmd"]["tok_s"] / each["llama.cpp"][best]["tok_s"] for each in rounds)


def number(value):
    return "–" if value is None else f"{value:,.0f}" if value >= 20 else f"{value:.1f}"


def cell(row):
    if row is None:
        return ""
    text = f"{number(row['ssmd_tok_s'])} and {number(row['llama.cpp_tok_s'])}"
    notes = []
    if row["ratio"] is not None:
        notes.append(f"{row['ratio']:.1f}×")
    if row["fraction_of_floor"] is not None:
        shares = [f"{100 * row[figure]:.0f}" for figure in ("fraction_of_floor", "fraction_in_turn")]
        notes.append("/".join(dict.fromkeys(shares)) + "%")
    return f"{text} ({', '.join(notes)})" if notes else text


def markdown(results):
    """A table for each model, and a line for each thing that llama.cpp could not do."""
    machine = results["machine"]
    lines = [f"{machine['cpu']}, {machine['threads']} threads, {machine['isa']}; {results['date']}; "
             f"llama-cpp-python {results['llama_cpp_python']}. tok/s of ssmd and of llama.cpp (ssmd "
             "by llama.cpp, ssmd of the floor / of the floor in turn where that is another)."]
    rows = results["rows"]
    for model in dict.fromkeys(row["model"] for row in rows):
        mine = {(row["work"], row["weights"]): row for row in rows if row["model"] == model}
        formats = [name for name in PEER_FORMATS if any(name == weights for _, weights in mine)]
        heads = [", ".join(dict.fromkeys([weights, " or ".join(PEER_FORMATS[weights])]))
                 if weights != "f32" else "f32" for weights in formats]
        lines += ["", f"| {model} | {' | '.join(heads)} |", "|---" * (len(formats) + 1) + "|"]
        in_order = sorted(mine.values(), key=lambda row: (row["figure"], row["streams"], row["prompt"]))
        for work in dict.fromkeys(row["work"] for row in in_order):
            cells = [cell(mine.get((work, weights))) for weights in formats]
            lines.append(f"| {work} | {' | '.join(cells)} |")
        lines += [f"\n{model}, {row['weights']}, {row['work']}: {row['llama.cpp_error']}"
                  for row in mine.values() if row["llama.cpp_error"]]
    return "\n".join(lines)


class Results:
    """The figures so far, on disk after each measurement."""

    def __init__(self, args):
        import llama_cpp

        self.path = args.json
        self.header = {"llama_cpp_python": llama_cpp.__version__, "threads": args.threads,
                       "ssmd_bench": hashlib.sha256(args.ssmd_bench.read_bytes()).hexdigest()[:16]}
        if self.path and self.path.exists():
            self.data = json.loads(self.path.read_text())
            for key, value in self.header.items():
                if self.data.get(key) != value:
                    sys.exit(f"{self.path} was measured with another {key}: name another file, or "
                             "remove it")
            for row in self.data["rows"]:  # what failed is tried again
                row["rounds"] = [each for each in row["rounds"] if "error" not in each["ssmd"]]
            return
        machine = json.loads(run([args.ssmd_bench, "roofline", f"--threads={args.threads}",
                                  "--json"], args))
        self.data = {"date": str(datetime.date.today()), "machine": machine, **self.header,
                     "rows": []}

    def row(self, model, weights, work):
        key = {"model": model, "weights": weights, **work}
        for row in self.data["rows"]:
            if all(row[name] == value for name, value in key.items()):
                return row
        self.data["rows"].append(dict(key, rounds=[]))
        return self.data["rows"][-1]

    def save(self):
        if self.path:
            new = self.path.with_suffix(".new")
            new.write_text(json.dumps({**self.data, "rows": self.measured_rows()}, indent=1) + "\n")
            new.replace(self.path)

    def measured_rows(self):
        return [row for row in self.data["rows"] if row["rounds"]]


def sweep_model(model, args, works, results, folder):
    wanted = [(turn, weights, work) for turn in range(args.rounds) for weights in args.formats
              for work in works if len(results.row(model, weights, work)["rounds"]) <= turn]
    if not wanted:
        return
    files = Files(model, folder, args)
    for turn, weights, work in wanted:
        row = results.row(model, weights, work)
        row["rounds"].append(measure_round(files, weights, work, turn, args))
        if "error" in row["rounds"][-1]["ssmd"]:
            print(f"{model}, {weights}, {work['work']}: {row['rounds'][-1]['ssmd']['error']}",
                  file=sys.stderr)
        summarise(row)
        results.save()
        print(f"{model:12} {weights:5} {work['work']:13} round {turn + 1}  {cell(row)}", flush=True)


def parse_arguments():
    def listed(kind, choices=None):
        def parse(text):
            values = [kind(part) for part in text.split(",")]
            if choices and not set(values) <= set(choices):
                raise argparse.ArgumentTypeError(f"of {', '.join(choices)}")
            return values
        return parse

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ssmd-bench", type=pathlib.Path, required=True)
    parser.add_argument("--models", type=listed(str, random_gguf.SHAPES), help="separated by commas")
    parser.add_argument("--formats", type=listed(str, PEER_FORMATS), help="f32,bf16,q8,q4")
    parser.add_argument("--streams", type=listed(int), help="that decode at once: 1,4,16,64")
    parser.add_argument("--prompts", type=listed(int), help="lengths: 64,512,4096")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true",
                        help="a few minutes: other defaults for what is not given")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=pathlib.Path,
                        help="where models are kept (default: a temporary one)")
    parser.add_argument("--json", type=pathlib.Path, help="where results are written, and go on")
    parser.add_argument("--under", default="",
                        help="a command that runs each measurement, as 'taskset -c 0,1'")
    parser.add_argument("--others", type=float, default=0.3,
                        help="CPUs that other programs may take; past it a measurement is repeated")
    parser.add_argument("--tries", type=int, default=3)
    parser.add_argument("--timeout", type=int, default=1800, help="seconds of a measurement")
    args = parser.parse_args()
    for name, value in (QUICK if args.quick else FULL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


def main():
    args = parse_arguments()
    results = Results(args)
    works = [decode_work(streams) for streams in args.streams]
    works += [prefill_work(prompt) for prompt in args.prompts]
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for model in args.models:
            sweep_model(model, args, works, results, folder)
    print(f"\n{markdown({**results.data, 'rows': results.measured_rows()})}")


if __name__ == "__main__":
    main()
