"""Makes tests/golden/gguf: tiny GGUF files, written by ggml's own Python package (gguf, on PyPI) as
llama.cpp's converter writes Mamba, with the logits of mamba_fp64.py over the values that the package
reads back from its blocks.

    venv/bin/pip install gguf
    venv/bin/python make_gguf_golden.py ../golden/data ../golden/gguf

mamba_odd and mamba2_biases are the golden checkpoints of that name, with the same weights: their
logits must be those of the folders, bit for bit. The package makes no blocks of the K types, so those are drawn: random
quants under factors that give weights of the right size.
"""

import argparse
import pathlib

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFWriter, TokenType, quants

import checkpoint_io
import mamba_fp64

TOKENS = 23

NAMES = {
    "backbone.embeddings.weight": "token_embd.weight",
    "backbone.norm_f.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
LAYER_NAMES = {
    "norm.weight": "attn_norm.weight",
    "mixer.in_proj.weight": "ssm_in.weight",
    "mixer.conv1d.weight": "ssm_conv1d.weight",
    "mixer.conv1d.bias": "ssm_conv1d.bias",
    "mixer.x_proj.weight": "ssm_x.weight",
    "mixer.dt_proj.weight": "ssm_dt.weight",
    "mixer.dt_proj.bias": "ssm_dt.bias",
    "mixer.A_log": "ssm_a",
    "mixer.D": "ssm_d",
    "mixer.out_proj.weight": "ssm_out.weight",
    "mixer.in_proj.bias": "ssm_in.bias",
    "mixer.out_proj.bias": "ssm_out.bias",
    "mixer.dt_bias": "ssm_dt.bias",
    "mixer.norm.weight": "ssm_norm.weight",
}

# Types of the matrices, by the end of their names; everything else is F32.
CASES = {
    "falcon_q8_0": dict(
        falcon=True, d_model=32, inner=64, rank=2, state=8, conv=4, layers=2, vocabulary=40,
        untied=True,
        types={"embeddings.weight": Type.Q8_0, "in_proj.weight": Type.Q8_0,
               "x_proj.weight": Type.Q8_0, "dt_proj.weight": Type.BF16,
               "out_proj.weight": Type.Q8_0, "lm_head.weight": Type.Q8_0}),
    "mamba_q4_0": dict(
        d_model=32, inner=64, rank=2, state=5, conv=3, layers=2, vocabulary=48,
        types={"embeddings.weight": Type.F16, "in_proj.weight": Type.Q4_0,
               "x_proj.weight": Type.Q4_0, "out_proj.weight": Type.Q4_0}),
    "mamba_k": dict(
        d_model=256, inner=24, rank=3, state=4, conv=4, layers=2, vocabulary=40,
        types={"embeddings.weight": Type.Q6_K, "in_proj.weight": Type.Q4_K,
               "out_proj.weight": Type.F16}),
}


def draw(case, rng):
    """Yields (name, values), spread so that every part matters to the logits."""
    d, inner, rank, state = case["d_model"], case["inner"], case["rank"], case["state"]

    def matrix(outputs, inputs, scale=1.5):
        return rng.standard_normal((outputs, inputs)) * scale / inputs**0.5

    yield "backbone.embeddings.weight", matrix(case["vocabulary"], d, 5)
    for layer in range(case["layers"]):
        prefix = f"backbone.layers.{layer}."
        mixer = prefix + "mixer."
        yield prefix + "norm.weight", 1 + 0.3 * rng.standard_normal(d)
        yield mixer + "in_proj.weight", matrix(2 * inner, d)
        yield mixer + "conv1d.weight", rng.standard_normal((inner, 1, case["conv"])) / case["conv"] ** 0.5
        yield mixer + "conv1d.bias", 0.3 * rng.standard_normal(inner)
        yield mixer + "x_proj.weight", matrix(rank + 2 * state, inner)
        yield mixer + "dt_proj.weight", matrix(inner, rank)
        delta = np.exp(rng.uniform(-4, 0, inner))
        yield mixer + "dt_proj.bias", delta + np.log(-np.expm1(-delta))
        yield mixer + "A_log", np.log(np.arange(1, state + 1)) + 0.3 * rng.standard_normal((inner, state))
        yield mixer + "D", 1 + 0.3 * rng.standard_normal(inner)
        yield mixer + "out_proj.weight", matrix(d, inner)
    yield "backbone.norm_f.weight", 1 + 0.3 * rng.standard_normal(d)
    if case.get("untied"):
        yield "lm_head.weight", matrix(case["vocabulary"], d, 4)


def random_blocks(kind, shape, scale, rng):
    """Blocks of a K type whose values spread by about `scale`."""
    rows, inputs = shape
    block_bytes, spread = {Type.Q4_K: (144, 150), Type.Q6_K: (210, 1366)}[kind]
    blocks = rng.integers(0, 256, (rows, inputs // 256, block_bytes), dtype=np.uint8)
    d = np.full((rows, inputs // 256), scale / spread) * rng.uniform(0.8, 1.2, (rows, inputs // 256))

    def put(offset, values):
        raw = values.astype(np.float16).view(np.uint8).reshape(rows, inputs // 256, 2)
        blocks[:, :, offset : offset + 2] = raw

    if kind == Type.Q4_K:
        put(0, d)
        put(2, 7.5 * d)  # so that the values lie around zero
    else:
        put(208, d)
    return blocks.reshape(rows, -1)


def encode(name, values, case, rng):
    """(what the writer takes, type or None, the values that a reader sees)."""
    if case.get("groups") and name.endswith(("A_log", "D")):
        values = values.reshape(-1, 1)
    if case.get("groups") and name.endswith("mixer.norm.weight"):
        values = values.reshape(case["groups"], -1)
    if name.endswith("A_log"):
        # As the converter does it; the exponential in float64, rounded once.
        a = (-np.exp(values.astype(np.float32).astype(np.float64))).astype(np.float32)
        return a, None, a
    kind = next((t for end, t in case["types"].items() if name.endswith(end)), Type.F32)
    values = np.ascontiguousarray(np.squeeze(values) if "conv1d" in name else values, np.float32)
    if kind == Type.F32:
        return values, None, values
    if kind == Type.F16:
        halves = values.astype(np.float16)
        return halves, None, halves.astype(np.float32)
    if kind in (Type.Q4_K, Type.Q6_K):
        raw = random_blocks(kind, values.shape, values.std(), rng)
    else:
        raw = quants.quantize(values, kind)
    return raw, kind, quants.dequantize(raw, kind)


def gguf_name(name):
    if name in NAMES:
        return NAMES[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{LAYER_NAMES[rest]}"


def add_tokenizer(writer, vocabulary):
    """The bytes a, b and the space, a merge, a control token, and padding."""
    tokens = ["<|endoftext|>", "a", "b", "Ġ", "ab", "Ċ"]
    kinds = [TokenType.CONTROL] + [TokenType.NORMAL] * (len(tokens) - 1)
    kinds += [TokenType.UNUSED] * (vocabulary - len(tokens))
    tokens += [f"[PAD{i}]" for i in range(len(tokens), vocabulary)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("mpt")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)


def write(path, case, tensors, rng):
    """Writes the file; gives the values back that it holds."""
    writer = GGUFWriter(path, "mamba2" if case.get("groups") else "mamba")
    writer.add_name(path.stem)
    writer.add_context_length(1 << 20)
    writer.add_embedding_length(case["d_model"])
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(case["layers"])
    writer.add_ssm_conv_kernel(case["conv"])
    writer.add_ssm_inner_size(case["inner"])
    writer.add_ssm_state_size(case["state"])
    writer.add_ssm_time_step_rank(case["rank"])
    writer.add_layer_norm_rms_eps(case.get("eps", 1e-5))
    if case.get("groups"):
        writer.add_ssm_group_count(case["groups"])
    else:
        writer.add_ssm_dt_b_c_rms(case.get("falcon", False))
    add_tokenizer(writer, case["vocabulary"])
    held = {}
    for name, values in tensors:
        data, kind, seen = encode(name, values, case, rng)
        writer.add_tensor(gguf_name(name), data, raw_dtype=kind)
        held[name] = seen.astype(np.float64).reshape(values.shape)
        if name.endswith("A_log"):
            held[name] = np.log(-held[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


def make_same_weights(source, folder):
    config, tensors = checkpoint_io.read_checkpoint(source)
    groups = config.get("n_groups")
    inner = config["num_heads"] * config["head_dim"] if groups else config["intermediate_size"]
    case = dict(
        groups=groups, d_model=config["hidden_size"], inner=inner,
        rank=config["num_heads"] if groups else config["time_step_rank"],
        state=config["state_size"], conv=config["conv_kernel"], layers=config["num_hidden_layers"],
        vocabulary=config["vocab_size"], eps=config["layer_norm_epsilon"], types={})
    write(folder / f"{source.name}.gguf", case, tensors.items(), None)


def make(name, case, folder):
    rng = np.random.default_rng(sum(name.encode()))
    held = write(folder / f"{name}.gguf", case, draw(case, rng), rng)
    config = dict(num_hidden_layers=case["layers"], model_type="falcon_mamba" if case.get("falcon") else "mamba")
    model = mamba_fp64.Model(config, held)
    tokens = rng.integers(case["vocabulary"], size=TOKENS)
    logits = np.stack([model.step(token) for token in tokens])
    print(f"{name:12} logits std {logits.std():.2f}, largest {np.abs(logits).max():.1f}")
    assert logits.std() > 1, "the logits hardly differ: the weights are too small"
    checkpoint_io.write_safetensors(
        folder / f"{name}.expected.safetensors", {"tokens": ("I32", tokens), "logits": ("F32", logits)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path, help="tests/golden/data")
    parser.add_argument("folder", type=pathlib.Path, help="tests/golden/gguf")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in ("mamba_odd", "mamba2_biases"):
        make_same_weights(args.data / name, args.folder)
    for name, case in CASES.items():
        make(name, case, args.folder)


if __name__ == "__main__":
    main()
