"""Compares a running ssmd with the float64 recurrence (mamba_fp64.py) over the same weights.

    ssmd --model m=FOLDER --model-option m.weights=f32 --grpc-listen 127.0.0.1:50051 &
    check_scores.py FOLDER --ssmctl build/release/bin/ssmctl --server 127.0.0.1:50051 --model m

For each random prompt: every log-probability of `ssmctl score` must be within --tolerance, and the
greedy token of `ssmctl generate` must be the oracle's wherever its two most probable tokens differ
by more than twice that. With --bf16 the oracle first rounds the matrices as a server does that keeps
weights=bf16 (the file's other tensors stay as they are).
"""

import argparse
import json
import subprocess
import sys

import numpy as np

import checkpoint_io
import mamba_fp64

MATRICES = ("_proj.weight", "embeddings.weight", "embedding.weight", "lm_head.weight")


def round_matrices(tensors):
    """As the server packs them: the projections, the embedding and the head."""
    return {
        name: checkpoint_io.round_to_bf16(t) if name.endswith(MATRICES) else t
        for name, t in tensors.items()
    }


def ssmctl(args, *arguments):
    command = [args.ssmctl, "--server", args.server, *arguments, f"--model={args.model}", "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def check(args, tokens, scores):
    """Largest difference, and the number of greedy tokens that were compared and that differed."""
    text = ",".join(map(str, tokens))
    actual = ssmctl(args, "score", f"--tokens={text}")["logprobs"]
    expected = [row[token] for row, token in zip(scores, tokens[1:])]
    assert len(actual) == len(expected), "one log-probability fewer than tokens"
    difference = float(np.abs(np.array(actual) - expected).max())

    second, first = np.sort(scores[-1])[-2:]
    if first - second <= 2 * args.tolerance:
        return difference, 0, 0
    sampled = ssmctl(args, "generate", f"--tokens={text}", "--temperature=0", "--max-tokens=1",
                     "--ignore-eos")["token_ids"]
    return difference, 1, int(sampled != [int(np.argmax(scores[-1]))])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="the checkpoint that the server was given")
    parser.add_argument("--ssmctl", default="ssmctl")
    parser.add_argument("--server", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=32, help="of each prompt")
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--bf16", action="store_true", help="round the oracle's matrices")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    config, tensors = checkpoint_io.read_checkpoint(args.folder)
    if args.bf16:
        tensors = round_matrices(tensors)
    rng = np.random.default_rng(args.seed)
    vocabulary = config["vocab_size"]
    failed = False
    for prompt in range(args.prompts):
        tokens = rng.integers(vocabulary, size=args.tokens).tolist()
        model = mamba_fp64.Model(config, tensors)  # its layers hold the state
        scores = mamba_fp64.log_softmax(np.stack([model.step(token) for token in tokens]))
        difference, compared, wrong = check(args, tokens, scores)
        failed |= not difference <= args.tolerance or wrong > 0
        greedy = "not compared (a tie)" if not compared else "differs" if wrong else "equal"
        print(f"prompt {prompt}: largest difference of {len(tokens) - 1} log-probabilities "
              f"{difference:.1e} (spread {scores[-1].std():.2f}), greedy token {greedy}")
    print("FAILED" if failed else "passed")
    sys.exit(failed)


if __name__ == "__main__":
    main()
