"""llama.cpp's server and ssmd side by side: the same GGUF file, the same load, over HTTP.

    peer_llama_server.py --llama-server PATH --tokenizer tokenizer.json --json OUT [--chart OUT.svg]

Needs numpy and gguf from PyPI, a build of llama.cpp's `llama-server`, and the programs of the release
preset. Both servers run all the time with the same number of threads; the load (`ssmd-bench serve
--compare`) goes to one and the other in turn, so a machine that slows down does both alike.

Weights are random, in a published model's shape and in Q8_0, which both read as they are. Two loads:

  requests   1, 2, 4, … clients in a closed loop; then the most requests a second whose gaps
             between tokens stay within each of --limits-ms at their 99th percentile
  turns      conversations of 10 turns by 4 clients; the time to the first token of each turn. ssmd
             goes on with its sessions; to llama.cpp the conversation is sent again each turn, as its
             clients do, and its own cache of prompts is on, as it comes
"""

import argparse
import contextlib
import datetime
import json
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.request

import random_gguf

ROOT = pathlib.Path(__file__).resolve().parents[2]


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


def wait_for(url, process, seconds=120):
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(url, timeout=5).status == 200:
                return
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"{process.args[0]} does not serve")
        time.sleep(0.1)


@contextlib.contextmanager
def running(command, health):
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        wait_for(health, process)
        yield
    finally:
        process.terminate()
        process.wait(30)


def processor():
    with open("/proc/cpuinfo") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else "unknown"


def load(args, ours, theirs, duration, more):
    command = [args.ssmd_bench, "serve", "--server", ours, "--compare", theirs, "--json",
               "--rounds", args.rounds, "--duration", duration, "--warm-up", 1, *more]
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True)
    if done.returncode != 0:
        said = (done.stderr or done.stdout)[-2000:]
        raise SystemExit(f"ssmd-bench ended with {done.returncode}: {said}")
    return json.loads(done.stdout)


def best_within(steps, limit, side):
    """The most requests a second of a server's steps that keep the limit; 0 where none does."""
    return max((side(step)["requests_per_s"] for step in steps
                if side(step)["inter_token_ms"]["p99"] <= limit), default=0)


def at_limits(steps, limits):
    rows = []
    for limit in limits:
        ours = best_within(steps, limit, lambda step: step["report"])
        theirs = best_within(steps, limit, lambda step: step["report"]["compare"])
        rows.append({"p99_inter_token_ms": limit, "requests_per_s": ours,
                     "llama_requests_per_s": theirs, "ratio": ours / theirs if theirs else None})
    return rows


def by_turn(report):
    """The median time to the first token of each turn, in ms, of both."""
    theirs = {turn["turn"]: turn for turn in report["compare"]["first_token_by_turn"]}
    rows = []
    for turn in report["first_token_by_turn"]:
        other = theirs.get(turn["turn"], {"requests": 0})
        if not turn["requests"] or not other["requests"]:
            continue
        p50, llama = turn["first_token_ms"]["p50"], other["first_token_ms"]["p50"]
        rows.append({"turn": turn["turn"], "first_token_ms": p50, "llama_first_token_ms": llama,
                     "ratio": llama / p50, "requests": turn["requests"],
                     "llama_requests": other["requests"]})
    return rows


def measure(args, ours, theirs):
    lengths = ["--prompt-tokens", 64, "--max-tokens", 48]
    steps = []
    for streams in args.streams:
        print(f"requests: {streams} clients", flush=True)
        steps.append({"streams": streams, "report": load(args, ours, theirs, args.duration,
                                                         [*lengths, "--streams", streams])})
    print("turns", flush=True)
    more = ["--prompt-tokens", 48, "--max-tokens", 32, "--turns", 10, "--streams", 4]
    if args.chart:
        more += ["--chart", args.chart]
    turns = load(args, ours, theirs, args.turns_duration, more)
    return {"at_limits": at_limits(steps, args.limits_ms), "by_turn": by_turn(turns),
            "requests": steps, "turns": turns}


def show(figures):
    for row in figures["at_limits"]:
        ratio = f"{row['ratio']:.2f}" if row["ratio"] else "-"
        print(f"p99 of the gaps within {row['p99_inter_token_ms']:g} ms: "
              f"{row['requests_per_s']:.2f} requests/s, llama.cpp "
              f"{row['llama_requests_per_s']:.2f}, ratio {ratio}")
    for row in figures["by_turn"]:
        print(f"turn {row['turn']}: first token after {row['first_token_ms']:.0f} ms, llama.cpp "
              f"{row['llama_first_token_ms']:.0f} ms, ratio {row['ratio']:.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--llama-server", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--ssmd", default=ROOT / "build/release/bin/ssmd")
    parser.add_argument("--ssmd-bench", default=ROOT / "build/release/bin/ssmd-bench")
    parser.add_argument("--shape", default="mamba-130m")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duration", type=int, default=10, help="seconds of a round of requests")
    parser.add_argument("--turns-duration", type=int, default=60, help="seconds of one of turns")
    parser.add_argument("--limits-ms", type=float, nargs="+", default=[15, 25, 50, 75, 100])
    parser.add_argument("--json", required=True)
    parser.add_argument("--chart")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = pathlib.Path(folder) / "m.gguf"
        random_gguf.write(args.shape, model, quantised=True, tokenizer=args.tokenizer)
        ports = free_port(), free_port()
        ours, theirs = (f"http://127.0.0.1:{port}" for port in ports)
        ssmd = [args.ssmd, "--model", f"m={model}", "--threads", args.threads, "--http-listen",
                f"127.0.0.1:{ports[0]}", "--grpc-listen", "127.0.0.1:0", "--log-level", "error"]
        slots = max(args.streams)
        llama = [args.llama_server, "--model", model, "--threads", args.threads, "--port", ports[1],
                 "--host", "127.0.0.1", "--parallel", slots, "--ctx-size", slots * 4096]
        with running(ssmd, f"{ours}/readyz"), running(llama, f"{theirs}/health"):
            figures = measure(args, ours, theirs)
    version = subprocess.run([args.llama_server, "--version"], text=True, capture_output=True)
    figures |= {"date": datetime.date.today().isoformat(), "machine": processor(),
                "shape": args.shape, "weights": "q8_0", "threads": args.threads,
                "llama_server": (version.stderr + version.stdout).strip().splitlines()[:1]}
    pathlib.Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")
    show(figures)


if __name__ == "__main__":
    main()
