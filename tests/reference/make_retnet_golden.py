"""Makes tests/golden/retnet: a tiny random RetNet under the names of torchscale and of its port to
Hugging Face's library, with the logits of a plain recurrence in float64 numpy.

    venv/bin/python make_retnet_golden.py ../golden/retnet

Retention is computed as torchscale does (microsoft/torchscale, multiscale_retention.py), which
divides by the square root of what the decays come to; the norm behind it takes that out again.
"""

import argparse
import json
import pathlib
import shutil

import numpy as np

import checkpoint_io
from fp64_math import rms_norm, silu

TOKENS, VOCABULARY, EPS = 29, 53, 1e-6
D, VALUE, HIDDEN, HEADS, LAYERS = 24, 36, 29, 3, 2


class Retention:
    def __init__(self, w):
        self.w = w
        self.angle = 10000.0 ** -np.linspace(0, 1, D // HEADS // 2)
        self.decay = 1 - 2.0 ** (-5 - np.arange(HEADS))
        self.state, self.scale, self.position = np.zeros((HEADS, VALUE // HEADS, D // HEADS)), 0.0, 0

    def _rotate(self, x):
        sin, cos = np.sin(self.angle * self.position), np.cos(self.angle * self.position)
        a, b = x[:, ::2], x[:, 1::2]
        return np.stack((a * cos - b * sin, b * cos + a * sin), axis=-1).reshape(x.shape)

    def step(self, x):
        q, k, v, g = (self.w[name + "_proj.weight"] @ x for name in "qkvg")
        q, k = self._rotate(q.reshape(HEADS, -1)), self._rotate((k * (D // HEADS) ** -0.5).reshape(HEADS, -1))
        scale = self.scale * self.decay + 1
        old, new = np.sqrt(self.scale) * self.decay / np.sqrt(scale), 1 / np.sqrt(scale)
        kv = v.reshape(HEADS, -1, 1) * k[:, None, :]
        self.state = self.state * np.reshape(old, (-1, 1, 1)) + kv * new.reshape(-1, 1, 1)
        self.scale, self.position = scale, self.position + 1
        y = rms_norm(np.einsum("hd,hvd->hv", q, self.state), None, EPS).ravel()
        return self.w["out_proj.weight"] @ (silu(g) * y)


def logits(w, tokens):
    def under(prefix):
        return {name[len(prefix):]: t for name, t in w.items() if name.startswith(prefix)}

    retentions = [Retention(under(f"layers.{i}.retention.")) for i in range(LAYERS)]
    rows = []
    for token in tokens:
        x = rms_norm(w["embed_tokens.weight"][token] * D**0.5, w["layernorm_embedding.weight"], EPS)
        for i, retention in enumerate(retentions):
            x = x + retention.step(rms_norm(x, w[f"layers.{i}.retention_layer_norm.weight"], EPS))
            u = rms_norm(x, w[f"layers.{i}.final_layer_norm.weight"], EPS)
            ffn = under(f"layers.{i}.ffn.")
            x = x + ffn["fc2.weight"] @ (silu(ffn["fc1.weight"] @ u) * (ffn["gate.weight"] @ u))
        rows.append(w["embed_tokens.weight"] @ rms_norm(x, w["layer_norm.weight"], EPS))
    return np.stack(rows)


def make_tensors(rng):
    """In torchscale's names. The head is the embedding."""
    def matrix(outputs, inputs, scale=1.5):
        return (scale * rng.standard_normal((outputs, inputs)) / inputs**0.5).astype(np.float32)

    def norm():
        return (1 + 0.3 * rng.standard_normal(D)).astype(np.float32)

    tensors = {"embed_tokens.weight": matrix(VOCABULARY, D, 4)}
    for i in range(LAYERS):
        layer = f"layers.{i}."
        for name, shape in (("q", (D, D)), ("k", (D, D)), ("v", (VALUE, D)), ("g", (VALUE, D)), ("out", (D, VALUE))):
            tensors[f"{layer}retention.{name}_proj.weight"] = matrix(*shape)
        for name, shape in (("fc1", (HIDDEN, D)), ("gate", (HIDDEN, D)), ("fc2", (D, HIDDEN))):
            tensors[f"{layer}ffn.{name}.weight"] = matrix(*shape)
        tensors[layer + "retention_layer_norm.weight"] = norm()
        tensors[layer + "final_layer_norm.weight"] = norm()
    tensors["layer_norm.weight"], tensors["layernorm_embedding.weight"] = norm(), norm()
    return tensors


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    root = parser.parse_args().folder
    rng = np.random.default_rng(7)
    tensors = make_tensors(rng)
    tokens = rng.integers(0, VOCABULARY, TOKENS)
    rows = logits({name: t.astype(np.float64) for name, t in tensors.items()}, tokens.tolist())
    assert rows.std() > 0.5
    buffers = {"retnet_rel_pos.angle": np.zeros(D // HEADS, np.float32),
               "retnet_rel_pos.decay": np.zeros(HEADS, np.float32)}
    config = dict(
        model_type="retnet", vocab_size=VOCABULARY, decoder_embed_dim=D, decoder_value_embed_dim=VALUE,
        decoder_ffn_embed_dim=HIDDEN, decoder_layers=LAYERS, decoder_retention_heads=HEADS, activation_fn="swish",
        decoder_normalize_before=True, layernorm_embedding=True, no_scale_embedding=False, use_lm_decay=False,
        use_glu=True, deepnorm=False, subln=True, layernorm_eps=EPS, tie_word_embeddings=True, eos_token_id=0)
    shutil.rmtree(root, ignore_errors=True)
    for name, prefix in (("torchscale", ""), ("hugging_face", "model.")):
        (root / name).mkdir(parents=True)
        (root / name / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        checkpoint_io.write_safetensors(
            root / name / "model.safetensors",
            {prefix + key: ("F32", t) for key, t in {**tensors, **buffers}.items()})
    checkpoint_io.write_safetensors(
        root / "expected.safetensors", {"tokens": ("I32", tokens), "logits": ("F32", rows)})


if __name__ == "__main__":
    main()
