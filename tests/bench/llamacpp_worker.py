"""What peer_llamacpp.py has llama.cpp do, each in a process of its own, as a failure there may end it.

    llamacpp_worker.py quantise --model FILE --to FILE --format Q4_0
    llamacpp_worker.py measure --model FILE --streams 16 --prompt 4 --generate 24

`measure` prints a line of JSON, with the CPUs that others kept busy meanwhile. llama.cpp is fed fixed tokens and its logits are not read, so it is
not charged for sampling. Needs llama-cpp-python.
"""

import argparse
import ctypes
import json
import os
import pathlib
import sys
import time

import llama_cpp as ll

# ggml's numbers of whole-file formats (llama_ftype).
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "Q4_K_S": 14, "Q4_K_M": 15, "BF16": 32}
BATCH = 512
LOG_LEVEL_WARN = 3
LOG_LEVEL_CONTINUED = 5

complaints = []


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def keep_complaints(level, text, _data):
    if LOG_LEVEL_WARN <= level < LOG_LEVEL_CONTINUED and text:
        complaints.append(text.decode(errors="replace").strip())


def others_cpu_seconds():
    """That whoever else runs on this machine has computed, and what its host kept from it."""
    user, nice, system, _, _, irq, soft_irq, stolen = map(
        int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    ticks = user + nice + system + irq + soft_irq + stolen
    return ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


def give_up(what):
    sys.exit(f"llama.cpp {what}" + "".join(f": {line}" for line in complaints[-1:]))


def quantise(args):
    params = ll.llama_model_quantize_default_params()
    params.ftype = FILE_TYPES[args.format]
    params.nthread = args.threads
    if ll.llama_model_quantize(str(args.model).encode(), str(args.to).encode(), params) != 0:
        give_up(f"cannot make {args.format} of the model")


def open_context(args):
    model = ll.llama_model_load_from_file(args.model.encode(), ll.llama_model_default_params())
    if not model:
        give_up("cannot load the model")
    params = ll.llama_context_default_params()
    params.n_ctx = args.streams * (args.prompt + args.generate + 64)
    params.n_batch = params.n_ubatch = BATCH
    params.n_seq_max = args.streams
    params.n_threads = params.n_threads_batch = args.threads
    context = ll.llama_init_from_model(model, params)
    if not context:
        give_up(f"has no room for {args.streams} streams")
    return context


def measure(args):
    context = open_context(args)
    batch = ll.llama_batch_init(BATCH, 0, 1)

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
            give_up("cannot decode")

    feed([(0, 0, True)])  # the first call allocates
    ll.llama_memory_clear(ll.llama_get_memory(context), True)
    others = others_cpu_seconds()
    start = time.perf_counter()
    for stream in range(args.streams):
        for begin in range(0, args.prompt, BATCH):
            end = min(begin + BATCH, args.prompt)
            feed([(stream, p, p == args.prompt - 1) for p in range(begin, end)])
    prefilled = time.perf_counter()
    for step in range(args.generate):
        feed([(stream, args.prompt + step, True) for stream in range(args.streams)])
    done = time.perf_counter()
    others = max(0, others_cpu_seconds() - others)
    print(json.dumps({
        "prefill_tok_s": args.streams * args.prompt / (prefilled - start),
        "decode_tok_s": args.streams * args.generate / (done - prefilled),
        "others_cpus": others / (done - start),
    }))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["quantise", "measure"])
    parser.add_argument("--model", required=True)
    parser.add_argument("--to")
    parser.add_argument("--format", choices=sorted(FILE_TYPES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--prompt", type=int, default=1)
    parser.add_argument("--generate", type=int, default=1)
    args = parser.parse_args()
    ll.llama_log_set(keep_complaints, ctypes.c_void_p(0))
    ll.llama_backend_init()
    quantise(args) if args.what == "quantise" else measure(args)


if __name__ == "__main__":
    main()
