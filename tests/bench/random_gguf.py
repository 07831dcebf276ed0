"""Writes a GGUF file with random weights in the shape of a published model, in F32 or Q8_0.

    random_gguf.py mamba-130m FILE [--format Q8_0] [--tokenizer tokenizer.json]

Needs numpy and gguf from PyPI. The weights are spread so that logits differ by some units and no
state decays at once; they are otherwise noise. The same seed gives the same file. Without a
tokenizer (GPT-NeoX's, for these shapes) the model takes and gives token ids alone.
"""

import argparse
import json
import math

import gguf
import numpy as np

SHAPES = {
    # d_model, layers, vocabulary; Mamba-2: state, head_dim, groups
    "mamba-130m": dict(arch="mamba", d_model=768, layers=24, vocabulary=50280),
    "mamba-370m": dict(arch="mamba", d_model=1024, layers=48, vocabulary=50280),
    "mamba2-130m": dict(arch="mamba2", d_model=768, layers=24, vocabulary=50288, state=128,
                        head_dim=64, groups=1),
    "tiny": dict(arch="mamba", d_model=64, layers=2, vocabulary=256),
    "tiny2": dict(arch="mamba2", d_model=64, layers=2, vocabulary=256, state=16, head_dim=32,
                  groups=2),
}
CONV = 4
QUANTISED = ("token_embd.weight", "ssm_in.weight", "ssm_x.weight", "ssm_out.weight")


class RandomWeights:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def matrix(self, outputs, inputs, scale=1.0):
        return self.rng.standard_normal((outputs, inputs), np.float32) * np.float32(
            scale / math.sqrt(inputs))

    def near(self, value, size, spread=0.1):
        return (value + spread * self.rng.standard_normal(size)).astype(np.float32)

    def dt_bias(self, size):
        delta = np.exp(self.rng.uniform(math.log(1e-3), math.log(0.3), size))
        return np.log(np.expm1(delta)).astype(np.float32)


def mamba_layer(shape, weights):
    """Yields (name within the block, array), arrays in row-major order."""
    d_model, inner, state = shape["d_model"], 2 * shape["d_model"], 16
    rank = math.ceil(d_model / 16)
    yield "ssm_in.weight", weights.matrix(2 * inner, d_model)
    yield "ssm_conv1d.weight", weights.near(0, (inner, CONV), 1 / math.sqrt(CONV))
    yield "ssm_conv1d.bias", weights.near(0, inner)
    yield "ssm_x.weight", weights.matrix(rank + 2 * state, inner)
    yield "ssm_dt.weight", weights.matrix(inner, rank)
    yield "ssm_dt.bias", weights.dt_bias(inner)
    yield "ssm_a", np.tile(-np.arange(1, state + 1, dtype=np.float32), (inner, 1))
    yield "ssm_d", weights.near(1, inner)
    yield "ssm_out.weight", weights.matrix(d_model, inner, 0.5)


def mamba2_layer(shape, weights):
    d_model, inner, state = shape["d_model"], 2 * shape["d_model"], shape["state"]
    groups, heads = shape["groups"], inner // shape["head_dim"]
    channels = inner + 2 * groups * state
    yield "ssm_in.weight", weights.matrix(inner + channels + heads, d_model)
    yield "ssm_conv1d.weight", weights.near(0, (channels, CONV), 1 / math.sqrt(CONV))
    yield "ssm_conv1d.bias", weights.near(0, channels)
    yield "ssm_dt.bias", weights.dt_bias(heads)
    yield "ssm_a", -weights.rng.uniform(1, 16, (heads, 1)).astype(np.float32)
    yield "ssm_d", weights.near(1, (heads, 1))
    yield "ssm_norm.weight", weights.near(1, (groups, inner // groups))
    yield "ssm_out.weight", weights.matrix(d_model, inner, 0.5)


def add_tokenizer(path, size, writer):
    """The byte-level BPE of a tokenizer.json; ids that it does not have are unused."""
    with open(path, encoding="utf-8") as file:
        tokenizer = json.load(file)
    tokens = [f"[unused {i}]" for i in range(size)]
    kinds = [gguf.TokenType.UNUSED] * size
    for token, i in tokenizer["model"]["vocab"].items():
        tokens[i], kinds[i] = token, gguf.TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
        tokens[added["id"]], kinds[added["id"]] = added["content"], kind
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("olmo")  # that of GPT-NeoX
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge)
                             for merge in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)


def add_tensor(writer, name, array, quantised):
    array = np.ascontiguousarray(array, np.float32)
    if quantised and name.endswith(QUANTISED):
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
    else:
        writer.add_tensor(name, array)


def write(name, path, seed=1, quantised=False, tokenizer=None):
    shape = SHAPES[name]
    arch, d_model = shape["arch"], shape["d_model"]
    inner = 2 * d_model
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name(name)
    writer.add_context_length(1 << 20)
    writer.add_embedding_length(d_model)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(shape["layers"])
    writer.add_ssm_conv_kernel(CONV)
    writer.add_ssm_inner_size(inner)
    writer.add_layer_norm_rms_eps(1e-5)
    if arch == "mamba":
        writer.add_ssm_state_size(16)
        writer.add_ssm_time_step_rank(math.ceil(d_model / 16))
        writer.add_ssm_dt_b_c_rms(False)
        layer = mamba_layer
    else:
        writer.add_ssm_state_size(shape["state"])
        writer.add_ssm_time_step_rank(inner // shape["head_dim"])
        writer.add_ssm_group_count(shape["groups"])
        layer = mamba2_layer
    if tokenizer is None:
        writer.add_tokenizer_model("no_vocab")
    else:
        add_tokenizer(tokenizer, shape["vocabulary"], writer)
    writer.add_vocab_size(shape["vocabulary"])

    weights = RandomWeights(seed)
    add_tensor(writer, "token_embd.weight", weights.matrix(shape["vocabulary"], d_model, 3),
               quantised)
    for i in range(shape["layers"]):
        writer.add_tensor(f"blk.{i}.attn_norm.weight", weights.near(1, d_model))
        for tensor, array in layer(shape, weights):
            add_tensor(writer, f"blk.{i}.{tensor}", array, quantised)
    writer.add_tensor("output_norm.weight", weights.near(1, d_model))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=sorted(SHAPES))
    parser.add_argument("file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--format", choices=["F32", "Q8_0"], default="F32")
    parser.add_argument("--tokenizer", help="a tokenizer.json of byte-level BPE")
    args = parser.parse_args()
    write(args.shape, args.file, args.seed, args.format == "Q8_0", args.tokenizer)


if __name__ == "__main__":
    main()
