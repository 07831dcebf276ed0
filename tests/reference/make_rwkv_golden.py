"""Makes tests/golden/rwkv: tiny random RWKV models in the forms that files have, with the logits of
rwkv_fp64.py.

    venv/bin/python make_rwkv_golden.py ../golden/rwkv      (numpy and torch)

Of a CASE: CASE.bin, of rwkv.cpp; CASE_hf/, the same tensors under the names of a Hugging Face class,
with its config.json; CASE.expected.safetensors; of those in PTH also CASE/CASE.pth, as BlinkDL's, whose
tensors have the names of CASE.bin. A form that norms
otherwise has logits of its own: rwkv.cpp's of version 5, and that of version 7 with an epsilon in
its config.json.
"""

import argparse
import json
import pathlib
import shutil
import struct

import numpy as np
import torch

import checkpoint_io
import rwkv_fp64

TOKENS = 29
VOCABULARY = 61

# d: width, inner: of time mixing, hidden: of channel mixing. Sizes are odd where they may be.
CASES = {
    "rwkv4": dict(version=4, d=20, inner=28, hidden=50, layers=2),
    "rwkv5_1": dict(version=5, d=24, inner=24, hidden=45, layers=2, head=6, gate=False),
    "rwkv5_2": dict(version=5, d=32, inner=32, hidden=45, layers=2, head=16, gate=True),
    "rwkv6": dict(version=6, d=32, inner=32, hidden=45, layers=2, head=16, mix_rank=3, decay_rank=7),
    "rwkv6_odd": dict(version=6, d=21, inner=21, hidden=40, layers=2, head=7, mix_rank=2, decay_rank=3),
    "rwkv7": dict(version=7, d=32, inner=32, hidden=45, layers=3, head=16, ranks=dict(w=5, a=4, v=3, g=6)),
}

PTH = ("rwkv4", "rwkv6", "rwkv7")


class Draw:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def normal(self, *shape, scale=1.0):
        return (scale * self.rng.standard_normal(shape)).astype(np.float32)

    def matrix(self, outputs, inputs, scale=1.5):
        return self.normal(outputs, inputs, scale=scale / inputs**0.5)

    def uniform(self, *shape):
        return self.rng.random(shape).astype(np.float32)


def att_tensors(case, draw):
    d, inner, version = case["d"], case["inner"], case["version"]
    t = {name + ".weight": draw.matrix(inner, d) for name in ("receptance", "key", "value")}
    t["output.weight"] = draw.matrix(d, inner)
    if version == 4:
        t["time_decay"], t["time_first"] = draw.normal(inner), draw.normal(inner)
    if version in (4, 5):
        letters = "kvr" + ("g" if case.get("gate") else "")
        t.update({"time_mix_" + c: draw.uniform(1, 1, d) for c in letters})
    if version == 4:
        return t
    heads, head = inner // case["head"], case["head"]
    t["ln_x.weight"], t["ln_x.bias"] = 1 + draw.normal(inner, scale=0.3), draw.normal(inner, scale=0.3)
    if version == 5 and not case["gate"]:
        t["time_decay"], t["time_first"] = draw.normal(heads) - 1, draw.normal(heads, scale=0.5)
    elif version < 7:
        t["time_faaaa"] = draw.normal(heads, head)
        t["gate.weight"] = draw.matrix(inner, d)
        t["time_decay"] = draw.normal(heads, head) - 1
    if version == 6:
        t["time_decay"] = t["time_decay"].reshape(1, 1, inner)
        t.update({"time_maa_" + c: draw.uniform(1, 1, d) for c in "xwkvrg"})
        mix, decay = case["mix_rank"], case["decay_rank"]
        t["time_maa_w1"] = draw.matrix(5 * mix, d).T.copy()
        t["time_maa_w2"] = draw.normal(5, mix, d, scale=0.5)
        t["time_decay_w1"] = draw.matrix(decay, d).T.copy()
        t["time_decay_w2"] = draw.matrix(inner, decay).T.copy()
    if version == 7:
        t.update({"x_" + c: draw.uniform(1, 1, d) for c in "rwkvag"})
        for c, rank in case["ranks"].items():
            t[c + "1"], t[c + "2"] = draw.matrix(rank, d).T.copy(), draw.matrix(inner, rank).T.copy()
            if c != "g":
                t[c + "0"] = draw.normal(1, 1, inner)
        t["k_k"], t["k_a"] = 1 + draw.normal(1, 1, inner, scale=0.3), draw.uniform(1, 1, inner)
        t["r_k"] = draw.normal(heads, head, scale=0.3)
    return t


def ffn_tensors(case, draw):
    d, hidden, version = case["d"], case["hidden"], case["version"]
    t = {"key.weight": draw.matrix(hidden, d), "value.weight": draw.matrix(d, hidden)}
    mix = {7: "x_", 6: "time_maa_"}.get(version, "time_mix_")
    t[mix + "k"] = draw.uniform(1, 1, d)
    if version < 7:
        t[mix + "r"], t["receptance.weight"] = draw.uniform(1, 1, d), draw.matrix(d, d)
    return t


def make_tensors(case, seed):
    """In BlinkDL's names, order and shapes."""
    draw, d, tensors = Draw(seed), case["d"], {}

    def norm(name):
        tensors[name + ".weight"] = 1 + draw.normal(d, scale=0.3)
        tensors[name + ".bias"] = draw.normal(d, scale=0.3)

    tensors["emb.weight"] = draw.normal(VOCABULARY, d)
    norm("blocks.0.ln0")
    for i in range(case["layers"]):
        norm(f"blocks.{i}.ln1")
        norm(f"blocks.{i}.ln2")
        for part, own in (("att", att_tensors(case, draw)), ("ffn", ffn_tensors(case, draw))):
            tensors.update({f"blocks.{i}.{part}.{name}": t for name, t in own.items()})
    norm("ln_out")
    tensors["head.weight"] = draw.matrix(VOCABULARY, d, scale=4)
    return tensors


def rwkv_cpp_form(name, array, case):
    """As convert_pytorch_to_ggml.py of rwkv.cpp writes it."""
    version, last = case["version"], name.split(".")[-1]
    if ".time_" in name:
        array = array.squeeze()
    if version == 4 and last == "time_decay":
        return -np.exp(array)
    if version == 5 and last == "time_decay":
        factor = np.exp(-np.exp(array))
        return factor[..., None] if case["gate"] else factor.reshape(-1, 1, 1)
    if version == 5 and last == "time_first":
        return np.exp(array).reshape(-1, 1, 1)
    if last == "time_faaaa":
        return array[..., None]
    if version == 6 and last == "time_decay":
        return array.reshape(case["inner"] // case["head"], -1, 1)
    if last in ("time_maa_w1", "time_decay_w1", "time_decay_w2"):
        return array.T
    if last == "time_maa_w2":
        return array.transpose(0, 2, 1)
    if version == 7 and last in [c + n for c in "wavg" for n in "12"]:
        return array.T
    return array


def write_rwkv_cpp(path, tensors, case):
    out = struct.pack("<6i", 0x67676D66, 101, VOCABULARY, case["d"], case["layers"], 0)
    joined = {}
    for name, array in tensors.items():
        prefix, last = name.rsplit(".", 1)
        if prefix.endswith("att") and last.startswith("x_"):
            joined.setdefault(prefix, []).append(array)
            if len(joined[prefix]) < 6:
                continue
            name, array = prefix + ".x_rwkvag", np.concatenate(joined[prefix])
        array = np.ascontiguousarray(rwkv_cpp_form(name, array, case), np.float32)
        out += struct.pack("<3i", array.ndim, len(name), 0)
        out += struct.pack(f"<{array.ndim}i", *array.shape[::-1]) + name.encode() + array.tobytes()
    path.write_bytes(out)


def hugging_face_name(name):
    """Of transformers' class for version 4 and RWKV's own for 5 and 6."""
    for own, theirs in ((".att.", ".attention."), (".ffn.", ".feed_forward."), (".ln0.", ".pre_ln.")):
        name = name.replace(own, theirs)
    if name.startswith("emb."):
        return "rwkv.embeddings." + name[4:]
    return name if name.startswith("head.") else "rwkv." + name


def fla_tensor(name, array):
    """Of flash-linear-attention's class for version 7."""
    whole = {"emb.weight": "model.embeddings.weight", "head.weight": "lm_head.weight"}
    if name in whole:
        return whole[name], array
    if name.startswith("ln_out."):
        return name.replace("ln_out", "model.norm"), array
    _, layer, part, rest = name.split(".", 3)
    parts = {"att": "attn", "ln0": "pre_norm", "ln1": "attn_norm", "ln2": "ffn_norm"}
    if part == "att":
        for own, theirs in (("receptance", "r_proj"), ("key", "k_proj"), ("value", "v_proj"),
                            ("output", "o_proj"), ("ln_x", "g_norm")):
            rest = rest.replace(own, theirs)
        if rest[0] in "wavg" and rest[1:] in ("0", "1", "2"):
            end = {"0": "2.bias", "1": "0.weight", "2": "2.weight"}[rest[1]]
            array = array.ravel() if rest[1] == "0" else array.T
            rest = f"{rest[0]}_lora.lora.{end}"
        elif rest in ("k_k", "k_a"):
            array = array.ravel()
    elif rest == "x_k":
        array = array.ravel()
    return f"model.layers.{layer}.{parts.get(part, part)}.{rest}", array


def hugging_face(case, tensors):
    config = dict(
        vocab_size=VOCABULARY, hidden_size=case["d"], num_hidden_layers=case["layers"],
        intermediate_size=case["hidden"], tie_word_embeddings=False, bos_token_id=0, eos_token_id=0)
    if case["version"] == 7:
        config.update(model_type="rwkv7", head_dim=case["head"], hidden_act="sqrelu", norm_eps=2e-3,
                      norm_first=True, norm_bias=True, attn=None)
        # The first layer's class has no such matrices.
        own = dict(fla_tensor(n, t) for n, t in tensors.items() if not n.startswith("blocks.0.att.v"
                   ) or n.startswith("blocks.0.att.value"))
        return config, own
    config.update(layer_norm_epsilon=1e-5, attention_hidden_size=case["inner"], rescale_every=6)
    config["model_type"] = "rwkv" if case["version"] == 4 else f"rwkv{case['version']}"
    if case["version"] > 4:
        config.update(head_size=case["head"], head_size_divisor=8)
    return config, {hugging_face_name(n): t for n, t in tensors.items()}


def write_folder(folder, config, tensors):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    checkpoint_io.write_safetensors(folder / "model.safetensors", {n: ("F32", t) for n, t in tensors.items()})


def write_expected(path, tensors, tokens, **options):
    wide = {name: t.astype(np.float64) for name, t in tensors.items()}
    rows = rwkv_fp64.logits(wide, tokens, **options)
    assert np.isfinite(rows).all() and rows.std() > 0.5, f"{path}: logits hardly differ"
    checkpoint_io.write_safetensors(path, {"tokens": ("I32", np.array(tokens)), "logits": ("F32", rows)})


def make(name, case, seed, root):
    tensors = make_tensors(case, seed)
    tokens = np.random.default_rng(seed).integers(0, VOCABULARY, TOKENS).tolist()
    write_rwkv_cpp(root / f"{name}.bin", tensors, case)
    shutil.rmtree(root / name, ignore_errors=True)
    if name in PTH:
        (root / name).mkdir()
        torch.save({n: torch.from_numpy(t) for n, t in tensors.items()}, root / name / f"{name}.pth")
    write_folder(root / f"{name}_hf", *hugging_face(case, tensors))
    write_expected(root / f"{name}.expected.safetensors", tensors, tokens)
    if case["version"] == 5:
        write_expected(root / f"{name}_bin.expected.safetensors", tensors, tokens, group_eps=1e-5)
    if case["version"] == 7:
        write_expected(root / f"{name}_hf.expected.safetensors", tensors, tokens,
                       group_eps=2e-3 * case["head"], norm_eps=2e-3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, case) in enumerate(CASES.items()):
        make(name, case, seed, folder)


if __name__ == "__main__":
    main()
