"""Times ssmd's engine and llama.cpp on the same random weights, one after the other, several times.

    peer_llamacpp.py --ssmd-bench build/release/bin/ssmd-bench --json results.json

Needs numpy, gguf and llama-cpp-python from PyPI. Every measurement is a process of its own; rounds
alternate between the two, and the order within a round too, so that a machine that slows down or
speeds up does both alike. Medians count. llama.cpp is fed fixed tokens and its logits are not read,
so it is not charged for sampling; ssmd samples greedily.

Formats are compared with the nearest of llama.cpp's: f32 with F32, bf16 with F16, q8 with Q8_0, q4
with the faster of Q4_0 and Q4_K_M.
"""

import argparse
import ctypes
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import random_gguf

PEER_FORMATS = {"f32": ["F32"], "bf16": ["F16"], "q8": ["Q8_0"], "q4": ["Q4_0", "Q4_K_M"]}
# ggml's numbers of whole-file formats (llama_ftype).
FILE_TYPES = {"F16": 1, "Q4_0": 2, "Q8_0": 7, "Q4_K_M": 15}
# (streams, prompt, generated), and whether prefill or decode is what is looked at.
WORK = {
    "decode 1": dict(streams=1, prompt=16, generate=48, figure="decode_tok_s"),
    "decode 16": dict(streams=16, prompt=16, generate=16, figure="decode_tok_s"),
    "decode 64": dict(streams=64, prompt=16, generate=6, figure="decode_tok_s"),
    "prefill 512": dict(streams=1, prompt=512, generate=1, figure="prefill_tok_s"),
}


def run_llamacpp(args):
    """The worker: one model, one kind of work, a line of JSON."""
    import llama_cpp as ll

    ll.llama_log_set(QUIET, ctypes.c_void_p(0))
    ll.llama_backend_init()
    model_params = ll.llama_model_default_params()
    model = ll.llama_model_load_from_file(str(args.model).encode(), model_params)
    if not model:
        sys.exit(f"llama.cpp cannot load {args.model}")
    params = ll.llama_context_default_params()
    params.n_ctx = args.streams * (args.prompt + args.generate + 64)
    params.n_batch = params.n_ubatch = 512
    params.n_seq_max = args.streams
    params.n_threads = params.n_threads_batch = args.threads
    context = ll.llama_init_from_model(model, params)
    batch = ll.llama_batch_init(512, 0, 1)

    def feed(rows):
        """rows: (stream, position, whether its logits are wanted)."""
        batch.n_tokens = len(rows)
        for i, (stream, position, wanted) in enumerate(rows):
            batch.token[i] = (stream * 7919 + position * 104729 + 1) % 256
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = stream
            batch.logits[i] = wanted
        if ll.llama_decode(context, batch) != 0:
            sys.exit("llama_decode failed")

    feed([(0, 0, True)])  # the first call allocates
    ll.llama_memory_clear(ll.llama_get_memory(context), True)
    start = time.perf_counter()
    for stream in range(args.streams):
        for begin in range(0, args.prompt, 512):
            end = min(begin + 512, args.prompt)
            feed([(stream, p, p == args.prompt - 1) for p in range(begin, end)])
    prefilled = time.perf_counter()
    for step in range(args.generate):
        feed([(stream, args.prompt + step, True) for stream in range(args.streams)])
    done = time.perf_counter()
    print(json.dumps({
        "prefill_tok_s": args.streams * args.prompt / (prefilled - start),
        "decode_tok_s": args.streams * args.generate / (done - prefilled),
    }))


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def QUIET(_level, _text, _data):
    pass


def quantise(source, target, file_type, threads):
    import llama_cpp as ll

    ll.llama_log_set(QUIET, ctypes.c_void_p(0))
    params = ll.llama_model_quantize_default_params()
    params.ftype = file_type
    params.nthread = threads
    if ll.llama_model_quantize(str(source).encode(), str(target).encode(), params) != 0:
        sys.exit(f"llama.cpp cannot write {target}")


class Ssmd:
    def __init__(self, program, model, threads):
        self.program, self.model, self.threads = program, model, threads

    def measure(self, weights, work):
        command = [self.program, "engine", f"--model=m={self.model}",
                   f"--model-option=m.weights={weights}", f"--batch={work['streams']}",
                   f"--prompt={work['prompt']}", f"--generate={work['generate']}",
                   f"--threads={self.threads}", "--megabytes=64", "--json"]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return json.loads(output)["rows"][0]


class LlamaCpp:
    def __init__(self, files, threads):
        self.files, self.threads = files, threads

    def measure(self, weights, work):
        """The fastest of the formats that are compared with `weights`."""
        best = None
        for name in PEER_FORMATS[weights]:
            command = [sys.executable, __file__, "--worker", "--model", str(self.files[name]),
                       f"--streams={work['streams']}", f"--prompt={work['prompt']}",
                       f"--generate={work['generate']}", f"--threads={self.threads}"]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            row = dict(json.loads(output.splitlines()[-1]), format=name)
            if best is None or row[work["figure"]] > best[work["figure"]]:
                best = row
        return best


def compare(args, shape, folder):
    source = folder / f"{shape}.gguf"
    random_gguf.write(shape, source)
    files = {"F32": source}
    for weights in args.weights:
        for name in PEER_FORMATS[weights]:
            if name not in files:
                files[name] = folder / f"{shape}-{name}.gguf"
                quantise(source, files[name], FILE_TYPES[name], args.threads)
    ours, theirs = Ssmd(args.ssmd_bench, source, args.threads), LlamaCpp(files, args.threads)
    rows = []
    for weights in args.weights:
        for title in args.work:
            work = WORK[title]
            figures = {"ssmd": [], "llama.cpp": []}
            last = {}
            for turn in range(args.rounds):
                order = [("ssmd", ours), ("llama.cpp", theirs)]
                for name, engine in order if turn % 2 == 0 else reversed(order):
                    last[name] = engine.measure(weights, work)
                    figures[name].append(last[name][work["figure"]])
            row = {"model": shape, "weights": weights, "work": title,
                   "ssmd": statistics.median(figures["ssmd"]),
                   "llama.cpp": statistics.median(figures["llama.cpp"]),
                   "llama.cpp_format": last["llama.cpp"]["format"], "rounds": figures}
            row["ratio"] = row["ssmd"] / row["llama.cpp"]
            rows.append(row)
            print(f"{shape:12} {weights:5} {title:12} {row['ssmd']:10.1f} {row['llama.cpp']:10.1f} "
                  f"{row['ratio']:6.1f}x  ({row['llama.cpp_format']})", flush=True)
    return rows


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ssmd-bench", type=pathlib.Path)
    parser.add_argument("--shapes", nargs="+", default=["mamba-130m"],
                        choices=sorted(random_gguf.SHAPES))
    parser.add_argument("--weights", nargs="+", default=["f32", "bf16", "q8", "q4"],
                        choices=list(PEER_FORMATS))
    parser.add_argument("--work", nargs="+", default=list(WORK), choices=list(WORK))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=pathlib.Path, help="for the models; default: a temporary one")
    parser.add_argument("--json", type=pathlib.Path, help="where to write the results")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--model", type=pathlib.Path, help=argparse.SUPPRESS)
    for name in ("--streams", "--prompt", "--generate"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    return parser, parser.parse_args()


def main():
    parser, args = parse_arguments()
    if args.worker:
        run_llamacpp(args)
        return
    if args.ssmd_bench is None:
        parser.error("--ssmd-bench is needed: the program that the build makes in bin/")
    import llama_cpp

    roofline = json.loads(subprocess.run(
        [args.ssmd_bench, "roofline", f"--threads={args.threads}", "--json"], check=True,
        capture_output=True, text=True).stdout)
    print(f"{roofline['cpu']}, {roofline['threads']} threads, {roofline['isa']}; "
          f"llama-cpp-python {llama_cpp.__version__}")
    print(f"{'model':12} {'kept':5} {'work':12} {'ssmd':>10} {'llama.cpp':>10}   ratio")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [row for shape in args.shapes for row in compare(args, shape, folder)]
    if args.json:
        args.json.write_text(json.dumps(
            {"machine": roofline, "llama_cpp_python": llama_cpp.__version__, "rows": rows},
            indent=1) + "\n")


if __name__ == "__main__":
    main()
