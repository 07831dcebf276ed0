"""Makes tests/golden/data/family_*: tiny random models of every mixer of `ssm_lm`, with their logits.

Run by hand; the data are committed. Needs torch, numpy and safetensors (train/README.md):

    venv/bin/python make_family_golden.py ../golden/data       # --only CASE …: the others stay

Expected logits are those of the recurrence of train/mixers, one token at a time in float64, over the
weights as the file holds them. They are compared with the parallel form before they are written.
"""

import argparse
import math
import pathlib
import shutil
import sys

import checkpoint_io
import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent / "train"))
import model as ssm_lm

TOKENS = 44

# Sizes are small and odd on purpose; epsilons are large in places, so that a wrong or forgotten one
# shows. `dtype` and `initial` (ranks of corrections, a B of S4D's) are not of the configuration.
CASES = {
    "mamba": dict(d_model=24, norm_eps=0.02, mlp=dict(type="swiglu", d_inner=20),
                  mixer=dict(type="mamba", d_state=5, d_conv=3, expand=2, dt_rank=3)),
    "mamba2": dict(d_model=24, norm_eps=0.02, mixer=dict(
        type="mamba2", d_state=9, d_conv=4, expand=2, headdim=12, ngroups=2)),
    "s4": dict(d_model=24, mixer=dict(type="s4", d_state=16), mlp=dict(type="gelu", d_inner=20)),
    "s4_rank2": dict(mixer=dict(type="s4", d_state=10, rank=2, heads=32)),
    "s4_truncated": dict(d_model=24, norm="layer", norm_eps=0.02, mlp=dict(type="gelu", d_inner=20),
                         mixer=dict(type="s4", d_state=8, l_kernel=30, output="linear")),
    "s4d": dict(mixer=dict(type="s4d", d_state=10, discretization="zoh")),
    "s4d_bilinear": dict(d_model=24, mixer=dict(type="s4d", d_state=16, discretization="bilinear"),
                         mlp=dict(type="swiglu", d_inner=20), initial=dict(input_matrix=True)),
    "s4d_bf16": dict(mixer=dict(type="s4d", d_state=8, discretization="zoh"),
                     mlp=dict(type="swiglu", d_inner=32), dtype="bf16"),
    "s5": dict(d_model=24, norm_eps=0.02, mixer=dict(type="s5", d_state=13, discretization="zoh")),
    "s5_bilinear": dict(norm="layer", mixer=dict(
        type="s5", d_state=10, conj_sym=False, discretization="bilinear", output="linear")),
    "lru": dict(mixer=dict(type="lru", d_state=11), tie_word_embeddings=False),
    "rtf": dict(d_model=24, mixer=dict(type="rtf", d_state=6, num_a=1, trunc_len=51)),
    "rtf_channels": dict(mixer=dict(type="rtf", d_state=5, num_a=32, trunc_len=23)),
    "retnet": dict(d_model=24, mixer=dict(type="retnet", num_heads=3, d_key=12, d_value=30),
                   mlp=dict(type="gelu", d_inner=20)),
    "rwkv4": dict(d_model=24, norm="layer", norm_eps=0.02, mixer=dict(type="rwkv4"),
                  mlp=dict(type="rwkv4", d_inner=40)),
    "rwkv5": dict(n_layer=1, norm="layer", mixer=dict(type="rwkv5", head_dim=16),
                  mlp=dict(type="rwkv5", d_inner=24)),
    "rwkv6_f16": dict(norm="layer", mixer=dict(type="rwkv6", head_dim=32), dtype="f16",
                      mlp=dict(type="rwkv6", d_inner=24), initial=dict(mix_rank=3, decay_rank=5)),
    "rwkv7": dict(norm="layer", mixer=dict(type="rwkv7", head_dim=16),
                  mlp=dict(type="rwkv7", d_inner=4), initial=dict(ranks=(2, 3, 1, 5))),
    "rwkv7_heads": dict(norm="layer", mixer=dict(type="rwkv7", head_dim=16), mlp=None, initial=dict(ranks=(2, 3, 1, 5)),
                        layers=[{}, dict(mixer=dict(type="rwkv7", head_dim=32))]),
    "rwkv7_bf16": dict(d_model=48, norm="layer", mixer=dict(type="rwkv7", head_dim=16), dtype="bf16",
                       mlp=dict(type="rwkv7", d_inner=12), initial=dict(ranks=(2, 2, 2, 4))),
    "legs": dict(d_model=24, mixer=dict(type="hippo_legs", d_state=9)),
    "legs_zoh": dict(mixer=dict(type="hippo_legs", d_state=8, discretization="zoh")),
    "legt": dict(mixer=dict(type="hippo_legt", d_state=10, window=20), norm="layer"),
    "hybrid_f16": dict(n_layer=6, dtype="f16", mixer=dict(type="rwkv7", head_dim=16), mlp=None,
                       initial=dict(ranks=(2, 3, 1, 5)), layers=[
        dict(mixer=dict(type="mamba2", d_state=8, d_conv=3, expand=1, headdim=32, ngroups=1)),
        {},
        dict(mixer=dict(type="rtf", d_state=4, num_a=4, trunc_len=44, output="linear"),
             mlp=dict(type="rwkv6", d_inner=8)),
        {},
        dict(mixer=dict(type="retnet", num_heads=2, d_key=16, d_value=16), mlp=dict(type="swiglu", d_inner=16)),
        dict(mixer=dict(type="lru", d_state=8, output="linear"))]),
}


def draw(name, value):
    """A parameter spread so that every part of the model matters to the logits."""
    noise, leaf = torch.randn(value.shape), name.rsplit(".", 1)[1]
    if ".mixer." in name or ".mlp." in name:
        drawn = draw_part(name, leaf, value, noise)
        if drawn is not None:
            return drawn
    if leaf == "bias":
        return 0.3 * noise
    if name.endswith("embedding.weight"):
        return noise
    if value.dim() == 2:
        return (4 if "lm_head" in name else 1.5) * noise / value.shape[1] ** 0.5
    return 1 + 0.3 * noise  # weights of norms, D


def draw_part(name, leaf, value, noise):
    """What is special to mixers and mlps, or None."""
    if leaf in ("log_dt", "inv_dt", "log_step"):
        return draw_log_step(value.shape)
    if leaf == "dt_bias" or name.endswith("dt_proj.bias"):
        return draw_log_step(value.shape).exp().expm1().log()
    if leaf.endswith(("w1", "a1", "v1", "g1")):
        return noise / value.shape[0] ** 0.5
    if leaf.endswith(("w2", "a2", "v2", "g2")):
        return noise / value.shape[-2] ** 0.5
    if leaf.startswith(("time_mix_", "time_maa_", "x_")):
        return torch.rand(value.shape)
    if name.endswith("conv1d.weight"):
        return noise / value.shape[2] ** 0.5
    if leaf == "C" and value.dim() == 2:  # HiPPO's, whose states are small
        return 2 * noise
    if leaf == "Lambda_re":
        return -torch.exp(0.5 * noise - 0.7)
    if leaf == "b":
        return noise / value.shape[1] ** 0.5
    if leaf in ("a", "h_0"):
        return 0.7 * noise
    return None if leaf in ("weight", "bias", "D") else value + 0.3 * noise


def draw_log_step(shape):
    """Of steps from 0.02 to 0.5."""
    return math.log(0.02) + torch.rand(shape) * math.log(25)


def build(case):
    case = dict(case)
    initial, dtype = {case["mixer"]["type"]: case.pop("initial", {})}, case.pop("dtype", "f32")
    config = dict(model_type="ssm_lm", d_model=32, n_layer=2, vocab_size=64, norm="rms", norm_eps=1e-5,
                  tie_word_embeddings=True) | case
    model = ssm_lm.SsmLm(config, initial)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(draw(name, parameter))
    for layer in model.backbone.layers:
        if hasattr(layer.mixer, "h_0"):
            layer.mixer.constrain(radius=0.9)
    return model, dtype


def make(name, case, root):
    torch.manual_seed(sum(name.encode()))
    model, dtype = build(case)
    folder = root / f"family_{name}"
    shutil.rmtree(folder, ignore_errors=True)
    ssm_lm.save(model, folder, dtype)

    tokens = torch.randint(model.config["vocab_size"], (TOKENS,))
    with torch.no_grad():
        model = ssm_lm.load(folder).double()
        expected = model.run(tokens[None])[0].numpy()
        reach = min(getattr(layer.mixer, "taps", TOKENS) for layer in model.backbone.layers)
        parallel = model(tokens[None, :reach])[0].numpy()
        alone = model.run(tokens[:, None])[:, 0].numpy()
        single = model.float().run(tokens[None])[0].double().numpy()
    largest = np.abs(expected).max()
    difference = np.abs(expected[:reach] - parallel).max()
    memory = np.sqrt(np.mean((expected - alone) ** 2)) / expected.std()
    print(f"{name:14} logits std {expected.std():.2f}, largest {largest:.1f}, {memory:.2f} of it by history; "
          f"relative to the largest: parallel {difference / largest:.1e}, "
          f"float32 {np.abs(expected - single).max() / largest:.1e}")
    assert expected.std() > 1, "the logits hardly differ: the weights are too small"
    assert memory > 0.2, "what came before hardly matters"
    assert difference < 1e-9 * largest
    checkpoint_io.write_safetensors(
        folder / "expected.safetensors",
        {"tokens": ("I32", tokens.numpy()), "logits": ("F32", expected)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="tests/golden/data; cases are replaced")
    parser.add_argument("--only", nargs="+", choices=CASES, help="these cases; default: all")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.only or CASES:
        make(name, CASES[name], args.folder)


if __name__ == "__main__":
    main()
