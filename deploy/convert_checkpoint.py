#!/usr/bin/env python3
"""Converts a checkpoint of torch (pytorch_model.bin, *.pt, *.pth) to safetensors.

ssmd reads pytorch_model.bin itself where it is a plain dict of contiguous tensors, as torch.save has
written it since version 1.6. This is for the others: older files, transposed tensors, dicts inside
of dicts. Needs `pip install torch safetensors`.

    deploy/convert_checkpoint.py FOLDER/pytorch_model.bin               # writes FOLDER/model.safetensors
    deploy/convert_checkpoint.py old.pt --output=FOLDER/model.safetensors --key=state_dict

Nothing in the file is executed: torch.load is called with weights_only=True. A checkpoint that it
refuses may run any program when it is loaded otherwise; ask its author for safetensors.
"""

import argparse
import pathlib
import pickle
import sys

import safetensors.torch
import torch


def read_tensors(path, key):
    """name → tensor, each in memory of its own: safetensors holds no shared or strided ones."""
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        sys.exit(f"{path}: torch refuses to load it as plain weights, and loading it otherwise may "
                 "run any program: ask its author for safetensors")
    if key is not None:
        if not isinstance(contents, dict) or key not in contents:
            sys.exit(f"{path}: has no {key!r}")
        contents = contents[key]
    if not isinstance(contents, dict):
        sys.exit(f"{path}: holds a {type(contents).__name__}, not a dict of tensors")
    others = [name for name, value in contents.items() if not isinstance(value, torch.Tensor)]
    if others:
        sys.exit(f"{path}: {others[0]!r} is not a tensor; --key=NAME chooses a dict inside of it")
    return {name: tensor.detach().clone(memory_format=torch.contiguous_format)
            for name, tensor in contents.items()}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path,
                        help="default: model.safetensors beside the checkpoint")
    parser.add_argument("--key", help="the dict of tensors is under this name in the checkpoint")
    arguments = parser.parse_args()
    output = arguments.output or arguments.checkpoint.with_name("model.safetensors")
    if output.exists():
        sys.exit(f"{output}: exists already")
    tensors = read_tensors(arguments.checkpoint, arguments.key)
    safetensors.torch.save_file(tensors, output, metadata={"format": "pt"})
    print(f"{output}: {len(tensors)} tensors")


if __name__ == "__main__":
    main()
