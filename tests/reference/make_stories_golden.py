"""Makes tests/golden/data/stories.safetensors: what the trainer's own models, in float64 and step by step, find of
the first tokens of a text that none of deploy/models/stories-* was trained on.

Run by hand; the file is committed. Needs torch, tokenizers and safetensors (train/README.md):

    venv/bin/python make_stories_golden.py held-out.txt
"""

import argparse
import pathlib
import sys

import numpy as np
import safetensors.numpy
import torch

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/reference/train"))
import agree
import bpe
import model as ssm_lm

TOKENS = 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=pathlib.Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tensors = {}
    for folder in sorted((ROOT / "deploy/models").glob("stories-*")):
        tokenizer = bpe.Tokenizer.from_file(str(folder / "tokenizer.json"))
        ids = bpe.encode(tokenizer, bpe.read_documents([args.text]))[: TOKENS + 1]
        known = tensors.setdefault("tokens", np.array(ids, np.int32))
        assert np.array_equal(known, ids), f"{folder} has another vocabulary"
        model = ssm_lm.load(folder).double().eval()
        tensors[folder.name] = agree.trained(model, [ids])[0].float().numpy()
        print(f"{folder.name}: {-tensors[folder.name].mean():.4f} nats a token", flush=True)
    safetensors.numpy.save_file(tensors, ROOT / "tests/golden/data/stories.safetensors")


if __name__ == "__main__":
    main()
