"""Compares a running ssmd with the trainer's own evaluation of the same weights, on a text.

    ssmd --model m=FOLDER --model-option m.weights=f32 --grpc-listen 127.0.0.1:50051 &
    agree.py m=FOLDER … --text held-out.txt --ssmctl build/release/bin/ssmctl --server 127.0.0.1:50051

The log-probabilities of the first --tokens tokens, in one sequence, may differ by --tolerance at most; so may the
bits per character of the whole text, in sequences of --context tokens that begin with an empty state.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys

import torch

import bpe
import model as ssm_lm


@torch.no_grad()
def trained(model, rows):
    """Log-probabilities of all tokens but the first of each row, step by step in float64."""
    tokens = torch.tensor(rows)
    scores = torch.log_softmax(model.run(tokens[:, :-1]), dim=-1)
    return scores.gather(2, tokens[:, 1:, None])[:, :, 0]


def served(args, name, tokens):
    command = [args.ssmctl, "--server", args.server, "score", f"--model={name}", "--json"]
    command.append(f"--tokens={','.join(map(str, tokens))}")
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return torch.tensor(json.loads(done.stdout)["logprobs"], dtype=torch.float64)


def load(folder):
    """Of folders that hold something else, torch's and tokenizers' errors come too."""
    try:
        return ssm_lm.load(folder).double().eval(), bpe.Tokenizer.from_file(f"{folder}/tokenizer.json")
    except KeyError as error:
        raise ValueError(f"{folder} is no folder of a trained model: its config has no {error}") from error
    except Exception as error:
        raise ValueError(f"{folder} is no folder of a trained model: {error}") from error


def compare(args, name, folder):
    """Whether they agree, and a line of the table."""
    model, tokenizer = load(folder)
    read = bpe.read_dialogues if tokenizer.token_to_id(bpe.TURN_END) else bpe.read_documents
    documents = read([args.text])
    tokens = bpe.encode(tokenizer, documents)
    some = tokens[: args.tokens + 1]
    difference = (served(args, name, some) - trained(model, [some])[0]).abs().max().item()

    cuts = range(0, len(tokens) - 1, args.context)
    *rows, last = [tokens[i : i + args.context + 1] for i in cuts]
    nats = -sum(trained(model, part).sum().item() for part in (rows, [last]) if part)
    nats_served = -sum(served(args, name, row).sum().item() for row in (*rows, last))
    characters = math.log(2) * sum(map(bpe.characters, documents))
    bits, bits_served = nats / characters, nats_served / characters
    agree = difference <= args.tolerance and abs(bits - bits_served) <= args.tolerance
    said = "agree" if agree else "DIFFER"
    return (
        agree,
        f"| {name} | {len(some) - 1:,} | {difference:.1e} | {bits:.5f} | {bits_served:.5f} | {said} |",
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--ssmctl", default="ssmctl")
    parser.add_argument("--server", required=True)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    args = parser.parse_args()
    torch.set_num_threads(1)  # steps are too small for more
    header = "| model | tokens | largest difference | trainer: bits a character | ssmd: bits a character | |"
    header += "\n|---|---|---|---|---|---|\n"
    failed = False
    for model in args.models:
        name, _, folder = model.partition("=")
        if not folder:
            parser.error(f"{model}: models are NAME=FOLDER")
        try:
            agree, line = compare(args, name, folder)
        except subprocess.CalledProcessError:  # which has said why
            parser.exit(2, f"agree.py: {name}: {args.ssmctl} score failed\n")
        except (ValueError, OSError) as error:
            parser.exit(2, f"agree.py: {name}: {error}\n")
        print(header + line, flush=True)
        header = ""
        failed |= not agree
    sys.exit(failed)


if __name__ == "__main__":
    main()
