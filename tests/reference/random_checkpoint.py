"""Writes a random Mamba checkpoint of any size, with numpy alone.

    random_checkpoint.py FOLDER                          mamba-130m's shape, bf16, 260 MB
    random_checkpoint.py FOLDER --kind mamba2            mamba2-130m's
    random_checkpoint.py FOLDER --kind falcon_mamba --d-model 20 --d-inner 50 --layers 2 --type F32 …

The weights are spread so that logits differ by some units; they are otherwise noise.
"""

import argparse
import json
import math
import pathlib

import numpy as np

import checkpoint_io


def tensors_of(args, rng):
    """Yields (name, array) in the order of the model."""
    inner, rank, state = args.d_inner, args.dt_rank, args.state
    heads = inner // args.head_dim
    convolved = inner + 2 * args.groups * state if args.kind == "mamba2" else inner
    projected = inner + convolved + (heads if args.kind == "mamba2" else 0)

    def matrix(outputs, inputs, scale=1.0):
        return rng.standard_normal((outputs, inputs), np.float32) * (scale / math.sqrt(inputs))

    def near_one(size):
        return 1 + 0.1 * rng.standard_normal(size, np.float32)

    yield "backbone.embeddings.weight", matrix(args.vocabulary, args.d_model, 3)
    for layer in range(args.layers):
        prefix = f"backbone.layers.{layer}."
        mixer = prefix + "mixer."
        yield prefix + "norm.weight", near_one(args.d_model)
        yield mixer + "in_proj.weight", matrix(projected, args.d_model)
        yield mixer + "conv1d.weight", (
            rng.standard_normal((convolved, 1, args.conv), np.float32) / math.sqrt(args.conv))
        yield mixer + "conv1d.bias", 0.1 * rng.standard_normal(convolved, np.float32)
        delta = np.exp(rng.uniform(math.log(1e-3), math.log(0.3), inner))
        if args.kind == "mamba2":
            yield mixer + "dt_bias", np.log(np.expm1(delta[:heads]))
            yield mixer + "A_log", np.log(rng.uniform(1, 16, heads))
            yield mixer + "D", near_one(heads)
            yield mixer + "norm.weight", near_one(inner)
        else:
            yield mixer + "x_proj.weight", matrix(rank + 2 * state, inner)
            yield mixer + "dt_proj.weight", matrix(inner, rank)
            yield mixer + "dt_proj.bias", np.log(np.expm1(delta))
            yield mixer + "A_log", np.tile(np.log(np.arange(1, state + 1)), (inner, 1))
            yield mixer + "D", near_one(inner)
        yield mixer + "out_proj.weight", matrix(args.d_model, inner, 0.5)
        if args.bias:
            yield mixer + "in_proj.bias", 0.1 * rng.standard_normal(projected, np.float32)
            yield mixer + "out_proj.bias", 0.1 * rng.standard_normal(args.d_model, np.float32)
    yield "backbone.norm_f.weight", near_one(args.d_model)
    if args.untied:
        yield "lm_head.weight", matrix(args.vocabulary, args.d_model, 3)


def config_of(args):
    heads = dict(num_heads=args.d_inner // args.head_dim, head_dim=args.head_dim, n_groups=args.groups)
    return {
        **(heads if args.kind == "mamba2" else {}),
        "model_type": args.kind,
        "hidden_size": args.d_model,
        "num_hidden_layers": args.layers,
        "vocab_size": args.vocabulary,
        "state_size": args.state,
        "conv_kernel": args.conv,
        "intermediate_size": args.d_inner,
        "time_step_rank": args.dt_rank,
        "layer_norm_epsilon": 1e-5,
        "use_bias": args.bias,
        "use_conv_bias": True,
        "hidden_act": "silu",
        "tie_word_embeddings": not args.untied,
    }


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="made where absent")
    parser.add_argument("--kind", choices=["mamba", "falcon_mamba", "mamba2"], default="mamba")
    parser.add_argument("--d-model", type=int, default=768)
    parser.add_argument("--d-inner", type=int, help="default: 2 * d_model")
    parser.add_argument("--dt-rank", type=int, help="default: ceil(d_model / 16)")
    parser.add_argument("--head-dim", type=int, default=64, help="mamba2")
    parser.add_argument("--groups", type=int, default=1, help="mamba2")
    parser.add_argument("--state", type=int, help="default: 16, of mamba2 128")
    parser.add_argument("--conv", type=int, default=4)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--vocabulary", type=int, default=50280)
    parser.add_argument("--type", choices=["F32", "F16", "BF16"], default="BF16")
    parser.add_argument("--bias", action="store_true")
    parser.add_argument("--untied", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.d_inner = args.d_inner or 2 * args.d_model
    args.state = args.state or (128 if args.kind == "mamba2" else 16)
    args.dt_rank = args.dt_rank or math.ceil(args.d_model / 16)
    return args


def main():
    args = parse_arguments()
    rng = np.random.default_rng(args.seed)
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "config.json").write_text(json.dumps(config_of(args), indent=2) + "\n")
    checkpoint_io.write_safetensors(
        args.folder / "model.safetensors",
        {name: (args.type, array) for name, array in tensors_of(args, rng)})


if __name__ == "__main__":
    main()
