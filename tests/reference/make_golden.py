"""Makes tests/golden/data: tiny random checkpoints with the logits that Hugging Face gives for them.

Needs the packages of requirements.txt (run by hand; the data are committed and the golden tests
need none of this):

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python make_golden.py ../golden/data

Expected logits are those of transformers in float64 over the weights as the file holds them (so
after rounding, for 16-bit files). They are compared with mamba_fp64.py before they are written.
transformers computes some parts in float32 whatever it is asked for, so they agree to about 1e-6.
"""

import argparse
import json
import pathlib
import shutil

import numpy as np
import torch
from transformers import FalconMambaConfig, FalconMambaForCausalLM, MambaConfig, MambaForCausalLM

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
}


def build(case):
    """A model with weights spread so that every part of it matters to the logits."""
    case = dict(case)
    falcon = case.pop("kind") == "falcon"
    inner = case.pop("inner", None)
    config = (FalconMambaConfig if falcon else MambaConfig)(**case)
    if inner is not None:
        config.intermediate_size = inner
    model = (FalconMambaForCausalLM if falcon else MambaForCausalLM)(config)
    for name, parameter in model.named_parameters():
        parameter.data = draw(name, parameter.shape)
    model.tie_weights()
    return model.eval()


def draw(name, shape):
    noise = torch.randn(shape)
    if name.endswith("A_log"):
        return torch.log(torch.arange(1, shape[1] + 1).float())[None, :] + 0.3 * noise
    if name.endswith("norm.weight") or name.endswith("norm_f.weight") or name.endswith(".D"):
        return 1 + 0.3 * noise
    if name.endswith("dt_proj.bias"):
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


def save_original(model, config, folder):
    """As the state-spaces files are: their names, the tied head written twice, their config.json."""
    tensors = {
        name.replace("embeddings", "embedding"): ("F32", tensor.numpy())
        for name, tensor in model.state_dict().items()
    }
    tensors["lm_head.weight"] = tensors["backbone.embedding.weight"]
    folder.mkdir(parents=True)
    checkpoint_io.write_safetensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def evaluate(model, tokens, dtype):
    model.config.residual_in_fp32 = False
    for layer in model.backbone.layers:
        layer.residual_in_fp32 = False
    with torch.no_grad():
        return model.to(dtype)(torch.tensor([tokens]), use_cache=False).logits[0].double().numpy()


def make(name, case, root):
    case = dict(case)
    dtype = getattr(torch, case.pop("dtype", "float32"))
    shard, original = case.pop("shard", None), case.pop("original", None)
    torch.manual_seed(sum(name.encode()))
    model = build(case).to(dtype)
    folder = root / name
    if original is not None:
        save_original(model, original, folder)
    else:
        model.save_pretrained(folder, **(dict(max_shard_size=shard) if shard else {}))
        (folder / "generation_config.json").unlink(missing_ok=True)

    tokens = torch.randint(case["vocab_size"], (TOKENS,)).tolist()
    expected = evaluate(model, tokens, torch.float64)
    oracle = mamba_fp64.logits(folder, tokens)
    single = evaluate(model, tokens, torch.float32)
    largest = np.abs(expected).max()
    print(f"{name:22} logits std {expected.std():.2f}, largest {largest:.1f}; relative to the largest: "
          f"oracle {np.abs(expected - oracle).max() / largest:.1e}, "
          f"float32 {np.abs(expected - single).max() / largest:.1e}")
    assert expected.std() > 1, "the logits hardly differ: the weights are too small"
    assert np.abs(expected - oracle).max() < 1e-5 * largest
    checkpoint_io.write_safetensors(
        folder / "expected.safetensors",
        {"tokens": ("I32", np.array(tokens)), "logits": ("F64", expected)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="replaced: tests/golden/data")
    root = parser.parse_args().folder
    shutil.rmtree(root, ignore_errors=True)
    for name, case in CASES.items():
        make(name, case, root)


if __name__ == "__main__":
    main()
