"""Makes tests/golden/torch: checkpoints that torch.save wrote, of weights in tests/golden/data.

Run by hand with an old and a new torch (`pip install torch==VERSION safetensors`), since what
torch.save writes has changed a little over time. The files were made with

    torch 2.0.1:   python make_torch_golden.py ../golden/data ../golden/torch whole parameters
    torch 2.15.0:  python make_torch_golden.py ../golden/data ../golden/torch shards parameters

The golden tests ask for the same logits from both, bit for bit.
"""

import argparse
import collections
import json
import pathlib
import shutil

import torch
from safetensors.torch import load_file

VERSION = torch.__version__.split("+")[0]


def state_dict(tensors):
    """As nn.Module.state_dict returns it, with the attribute that it sets."""
    result = collections.OrderedDict(tensors)
    result._metadata = collections.OrderedDict({"": {"version": 1}})
    return result


def new_folder(root, name, source):
    folder = root / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(source / "config.json", folder)
    return folder


def save_whole(source, root):
    """A state dict whose head is the embedding's storage, as in the state-spaces files."""
    tensors = load_file(source / "model.safetensors")
    if "lm_head.weight" in tensors:
        tensors["lm_head.weight"] = tensors["backbone.embedding.weight"]
    folder = new_folder(root, f"{source.name}-{VERSION}", source)
    torch.save(state_dict(tensors), folder / "pytorch_model.bin")


def save_parameters(source, root):
    """Parameters in a plain dict, all slices of one storage."""
    tensors = load_file(source / "model.safetensors")
    pool = torch.cat([tensor.flatten() for tensor in tensors.values()])
    parameters, begin = {}, 0
    for name, tensor in tensors.items():
        slice_ = pool[begin : begin + tensor.numel()].view(tensor.shape)
        parameters[name] = torch.nn.Parameter(slice_)
        begin += tensor.numel()
    folder = new_folder(root, f"{source.name}-parameters-{VERSION}", source)
    torch.save(parameters, folder / "pytorch_model.bin")


def save_shards(source, root):
    """As Hugging Face's save_pretrained(safe_serialization=False) does for a large model."""
    tensors = load_file(source / "model.safetensors")
    folder = new_folder(root, f"{source.name}-shards-{VERSION}", source)
    names = sorted(tensors)
    weight_map = {}
    for i, part in enumerate((names[::2], names[1::2])):
        shard = f"pytorch_model-{i + 1:05}-of-00002.bin"
        torch.save({name: tensors[name].clone() for name in part}, folder / shard)
        weight_map.update({name: shard for name in part})
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")


CASES = {
    "whole": (save_whole, "mamba_original"),
    "parameters": (save_parameters, "mamba_minimal"),
    "shards": (save_shards, "mamba_f16"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path, help="tests/golden/data")
    parser.add_argument("torch", type=pathlib.Path, help="tests/golden/torch")
    parser.add_argument("cases", nargs="+", choices=CASES, help="replaced, for this version of torch")
    arguments = parser.parse_args()
    for case in arguments.cases:
        save, source = CASES[case]
        save(arguments.data / source, arguments.torch)


if __name__ == "__main__":
    main()
