"""Makes tests/golden/data: tiny random checkpoints with the logits that Hugging Face gives for them.

Needs the packages of requirements.txt (run by hand; the data are committed and the golden tests
need none of this):

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python make_golden.py ../golden/data

Expected logits are those of transformers in float64 over the weights as the file holds them (so
after rounding, for 16-bit files). They are compared with mamba_fp64.py before they are written.
transformers computes some parts in float32 whatever it is asked for, so they agree to about 1e-6.
What the original Mamba-2 layer can do and Hugging Face's class cannot (`oracle_only`) is that of
mamba_fp64.py.
"""

import argparse
import json
import pathlib
import shutil

import numpy as np
import torch
from transformers import (
    FalconMambaConfig, FalconMambaForCausalLM, Mamba2Config, Mamba2ForCausalLM, MambaConfig,
    MambaForCausalLM)

import checkpoint_io
import mamba_fp64

TOKENS = 29

# Sizes are small and odd on purpose. `inner` overrides expand * hidden_size. Epsilons are large
# in places, so that a wrong or forgotten one shows.
CASES = {
    "mamba_odd": dict(
        kind="mamba", hidden_size=20, inner=50, time_step_rank=3, state_size=5, conv_kernel=3,
        num_hidden_layers=2, vocab_size=67, layer_norm_epsilon=0.02),
    "mamba_biases": dict(
        kind="mamba", hidden_size=24, state_size=16, num_hidden_layers=2, vocab_size=41,
        use_bias=True, use_conv_bias=False, tie_word_embeddings=False),
    "mamba_minimal": dict(
        kind="mamba", hidden_size=3, inner=5, time_step_rank=1, state_size=1, conv_kernel=1,
        num_hidden_layers=1, vocab_size=5),
    "mamba_bf16": dict(
        kind="mamba", hidden_size=32, state_size=16, num_hidden_layers=2, vocab_size=50,
        dtype="bfloat16"),
    "mamba_f16": dict(
        kind="mamba", hidden_size=16, inner=65, state_size=9, conv_kernel=6, num_hidden_layers=1,
        vocab_size=33, dtype="float16"),
    "mamba_sharded": dict(
        kind="mamba", hidden_size=16, inner=130, state_size=4, num_hidden_layers=3, vocab_size=30,
        shard="20KB"),
    "mamba_original": dict(
        kind="mamba", hidden_size=18, inner=54, state_size=7, conv_kernel=2, time_step_rank=2,
        num_hidden_layers=2, vocab_size=48, original=dict(
            d_model=18, n_layer=2, vocab_size=45, pad_vocab_size_multiple=16,
            ssm_cfg=dict(d_state=7, d_conv=2, expand=3), rms_norm=True, residual_in_fp32=True,
            fused_add_norm=True, tie_embeddings=True)),
    "falcon": dict(
        kind="falcon", hidden_size=32, state_size=16, num_hidden_layers=2, vocab_size=53,
        tie_word_embeddings=False),
    "falcon_odd": dict(
        kind="falcon", hidden_size=21, inner=45, time_step_rank=3, state_size=5, conv_kernel=5,
        num_hidden_layers=2, vocab_size=37, use_bias=True, mixer_rms_eps=0.3,
        layer_norm_epsilon=0.05),
    "falcon_bf16_sharded": dict(
        kind="falcon", hidden_size=16, inner=70, state_size=8, num_hidden_layers=2, vocab_size=40,
        dtype="bfloat16", shard="8KB", use_conv_bias=False),
    "mamba2_odd": dict(
        kind="mamba2", hidden_size=20, expand=3, num_heads=5, head_dim=12, n_groups=1, state_size=7,
        conv_kernel=3, num_hidden_layers=2, vocab_size=67, layer_norm_epsilon=0.02,
        time_step_limit=(0.1, 0.5), tie_word_embeddings=True),
    "mamba2_minimal": dict(
        kind="mamba2", hidden_size=3, expand=1, num_heads=3, head_dim=1, n_groups=1, state_size=1,
        conv_kernel=1, num_hidden_layers=1, vocab_size=5, tie_word_embeddings=True),
    "mamba2_biases": dict(
        kind="mamba2", hidden_size=24, num_heads=4, head_dim=12, n_groups=2, state_size=16,
        num_hidden_layers=2, vocab_size=41, use_bias=True, use_conv_bias=False),
    "mamba2_groups_bf16_sharded": dict(
        kind="mamba2", hidden_size=32, num_heads=16, head_dim=4, n_groups=8, state_size=5,
        num_hidden_layers=2, vocab_size=50, dtype="bfloat16", shard="12KB"),
    "mamba2_original": dict(
        kind="mamba2", hidden_size=18, num_heads=2, head_dim=18, n_groups=2, state_size=9,
        conv_kernel=2, num_hidden_layers=2, vocab_size=48, tie_word_embeddings=True, original=dict(
            d_model=18, d_intermediate=0, n_layer=2, vocab_size=45, pad_vocab_size_multiple=16,
            ssm_cfg=dict(layer="Mamba2", d_state=9, d_conv=2, headdim=18, ngroups=2),
            attn_layer_idx=[], attn_cfg={}, rms_norm=True, residual_in_fp32=True,
            fused_add_norm=True, tie_embeddings=True)),
    "mamba2_norm_first": dict(
        kind="mamba2", hidden_size=16, num_heads=8, head_dim=4, n_groups=2, state_size=6,
        num_hidden_layers=2, vocab_size=40, tie_word_embeddings=True, oracle_only=True,
        original=dict(
            d_model=16, n_layer=2, vocab_size=40, tie_embeddings=True,
            ssm_cfg=dict(layer="Mamba2", d_state=6, headdim=4, ngroups=2, D_has_hdim=True,
                         norm_before_gate=True, dt_limit=[0.05, 0.4]))),
    "mamba2_gate_only": dict(
        kind="mamba2", hidden_size=16, num_heads=2, head_dim=16, n_groups=1, state_size=16,
        num_hidden_layers=2, vocab_size=40, tie_word_embeddings=True, oracle_only=True,
        original=dict(
            d_model=16, n_layer=2, vocab_size=40, tie_embeddings=True,
            ssm_cfg=dict(layer="Mamba2", d_state=16, headdim=16, rmsnorm=False))),
    "mamba2_mistral_bf16": dict(
        kind="mamba2", hidden_size=64, num_heads=2, head_dim=64, n_groups=2, state_size=128,
        num_hidden_layers=1, vocab_size=30, dtype="bfloat16", mistral=dict(
            dim=64, n_layers=1, vocab_size=30, n_groups=2, rms_norm=True, residual_in_fp32=True,
            fused_add_norm=True, pad_vocab_size_multiple=1, tie_embeddings=False,
            model_type="mamba")),
}
CLASSES = {
    "mamba": (MambaConfig, MambaForCausalLM),
    "falcon": (FalconMambaConfig, FalconMambaForCausalLM),
    "mamba2": (Mamba2Config, Mamba2ForCausalLM),
}


def build(case):
    """A model with weights spread so that every part of it matters to the logits."""
    case = dict(case)
    make_config, make_model = CLASSES[case.pop("kind")]
    inner = case.pop("inner", None)
    config = make_config(**case)
    if inner is not None:
        config.intermediate_size = inner
    model = make_model(config)
    for name, parameter in model.named_parameters():
        parameter.data = draw(name, parameter.shape)
    model.tie_weights()
    return model.eval()


def draw(name, shape):
    noise = torch.randn(shape)
    if name.endswith("A_log"):  # (channels, state), or (heads)
        return torch.log(torch.arange(1, shape[-1] + 1).float()) + 0.3 * noise
    if name.endswith("norm.weight") or name.endswith("norm_f.weight") or name.endswith(".D"):
        return 1 + 0.3 * noise
    if name.endswith(("dt_proj.bias", "dt_bias")):
        delta = torch.exp(torch.rand(shape) * 4 - 4)  # steps from 0.02 to 1
        return delta + torch.log(-torch.expm1(-delta))
    if name.endswith("bias"):
        return 0.3 * noise
    if name.endswith("conv1d.weight"):
        return noise / shape[2] ** 0.5
    if name.endswith("embeddings.weight"):
        return noise
    if name.endswith("lm_head.weight"):
        return 4 * noise / shape[1] ** 0.5
    return 1.5 * noise / shape[1] ** 0.5


def original_tensors(model, ssm):
    """As the state-spaces files name them, with what `ssm` asks of the layer."""
    tensors = {
        name.replace("embeddings", "embedding"): tensor for name, tensor in model.state_dict().items()
    }
    if ssm.get("D_has_hdim"):
        for name in [name for name in tensors if name.endswith(".D")]:
            tensors[name] = draw(name, (len(tensors[name]) * ssm["headdim"],))
    if not ssm.get("rmsnorm", True):
        tensors = {name: t for name, t in tensors.items() if not name.endswith("mixer.norm.weight")}
    return tensors


def write(folder, config_file, config, weights_file, tensors):
    folder.mkdir(parents=True)
    dtypes = {torch.float32: "F32", torch.bfloat16: "BF16"}
    checkpoint_io.write_safetensors(
        folder / weights_file, {name: (dtypes[t.dtype], t.float().numpy()) for name, t in tensors.items()})
    (folder / config_file).write_text(json.dumps(config, indent=2) + "\n")


def save_original(model, config, folder):
    """As the state-spaces files are: their names, the tied head written twice, their config.json."""
    tensors = original_tensors(model, config["ssm_cfg"])
    tensors["lm_head.weight"] = tensors["backbone.embedding.weight"]
    write(folder, "config.json", config, "model.safetensors", tensors)


def save_mistral(model, params, folder):
    """As Mamba-Codestral-7B is in its own format: the original names once more in `model.`."""
    tensors = {"model." + name: tensor for name, tensor in original_tensors(model, {}).items()}
    write(folder, "params.json", params, "consolidated.safetensors", tensors)


def evaluate(model, tokens, dtype):
    model.config.residual_in_fp32 = False
    for layer in model.backbone.layers:
        layer.residual_in_fp32 = False
    with torch.no_grad():
        return model.to(dtype)(torch.tensor([tokens]), use_cache=False).logits[0].double().numpy()


def make(name, case, root):
    case = dict(case)
    dtype = getattr(torch, case.pop("dtype", "float32"))
    shard, oracle_only = case.pop("shard", None), case.pop("oracle_only", False)
    original, mistral = case.pop("original", None), case.pop("mistral", None)
    torch.manual_seed(sum(name.encode()))
    model = build(case).to(dtype)
    folder = root / name
    if original is not None:
        save_original(model, original, folder)
    elif mistral is not None:
        save_mistral(model, mistral, folder)
    else:
        model.save_pretrained(folder, **(dict(max_shard_size=shard) if shard else {}))
        (folder / "generation_config.json").unlink(missing_ok=True)

    tokens = torch.randint(case["vocab_size"], (TOKENS,)).tolist()
    oracle = mamba_fp64.logits(folder, tokens)
    expected = oracle if oracle_only else evaluate(model, tokens, torch.float64)
    single = expected if oracle_only else evaluate(model, tokens, torch.float32)
    largest = np.abs(expected).max()
    print(f"{name:22} logits std {expected.std():.2f}, largest {largest:.1f}; relative to the largest: "
          f"oracle {np.abs(expected - oracle).max() / largest:.1e}, "
          f"float32 {np.abs(expected - single).max() / largest:.1e}")
    assert expected.std() > 1, "the logits hardly differ: the weights are too small"
    assert np.abs(expected - oracle).max() < 1e-5 * largest
    checkpoint_io.write_safetensors(
        folder / "expected.safetensors",
        {"tokens": ("I32", np.array(tokens)), "logits": ("F32", expected)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="tests/golden/data; cases are replaced")
    parser.add_argument("--only", nargs="+", choices=CASES, help="these cases; default: all")
    args = parser.parse_args()
    for name in args.only or CASES:
        shutil.rmtree(args.folder / name, ignore_errors=True)
        make(name, CASES[name], args.folder)


if __name__ == "__main__":
    main()
