"""Mamba models as the plain recurrence, one token at a time, in float64 numpy.

Layers of Mamba-1 and Falcon-Mamba are here, those of Mamba-2 in mamba2_fp64.py. The oracle of the golden data and of check_scores.py: it shares no code with ssmd or with Hugging
Face transformers. Shapes and names: Gu & Dao 2023 (arXiv:2312.00752), algorithm 2.

    mamba_fp64.py FOLDER --tokens 1,2,3     prints {"logprobs": [...]} of tokens 2 and 3
"""

import argparse
import json

import numpy as np

import checkpoint_io
import mamba2_fp64
from fp64_math import rms_norm, silu, softplus


class Layer:
    """One mixer with its state."""

    def __init__(self, tensors, prefix, norm_eps, mixer_eps):
        self.norm = tensors[prefix + "norm.weight"]
        mixer = prefix + "mixer."
        self.w = {name[len(mixer) :]: t for name, t in tensors.items() if name.startswith(mixer)}
        self.norm_eps, self.mixer_eps = norm_eps, mixer_eps
        self.a = -np.exp(self.w["A_log"])
        inner, self.state_size = self.a.shape
        self.rank = self.w["dt_proj.weight"].shape[1]
        self.window = np.zeros((inner, self.w["conv1d.weight"].shape[2]))
        self.h = np.zeros_like(self.a)

    def step(self, residual):
        w = self.w
        x, z = np.split(self._project("in_proj", rms_norm(residual, self.norm, self.norm_eps)), 2)
        self.window = np.concatenate([self.window[:, 1:], x[:, None]], axis=1)
        x = silu(np.sum(self.window * w["conv1d.weight"][:, 0, :], axis=1) + w.get("conv1d.bias", 0))
        dt, b, c = np.split(w["x_proj.weight"] @ x, [self.rank, self.rank + self.state_size])
        if self.mixer_eps is not None:
            dt, b, c = (rms_norm(v, None, self.mixer_eps) for v in (dt, b, c))
        delta = softplus(self._project("dt_proj", dt))[:, None]
        self.h = np.exp(delta * self.a) * self.h + delta * x[:, None] * b[None, :]
        y = (self.h @ c + w["D"] * x) * silu(z)
        return residual + self._project("out_proj", y)

    def _project(self, name, x):
        return self.w[name + ".weight"] @ x + self.w.get(name + ".bias", 0)


def _layer(config, tensors, prefix):
    if mamba2_fp64.is_mamba2(config):
        return mamba2_fp64.Mamba2Layer(tensors, prefix, mamba2_fp64.Settings(config))
    falcon = config.get("model_type") == "falcon_mamba"
    mixer_eps = config.get("mixer_rms_eps", 1e-6) if falcon else None
    return Layer(tensors, prefix, config.get("layer_norm_epsilon", 1e-5), mixer_eps)


class Model:
    def __init__(self, config, tensors):
        # Mistral's files wrap the model once more.
        tensors = {name.removeprefix("model."): t for name, t in tensors.items()}
        layers = next(config[key] for key in ("num_hidden_layers", "n_layer", "n_layers") if key in config)
        self.norm_eps = config.get("layer_norm_epsilon", 1e-5)
        names = ("backbone.embeddings.weight", "backbone.embedding.weight")
        self.embedding = next(tensors[name] for name in names if name in tensors)
        self.norm_f = tensors["backbone.norm_f.weight"]
        self.head = tensors.get("lm_head.weight", self.embedding)
        self.layers = [_layer(config, tensors, f"backbone.layers.{i}.") for i in range(layers)]

    def step(self, token):
        """Logits after one more token."""
        x = self.embedding[token]
        for layer in self.layers:
            x = layer.step(x)
        return self.head @ rms_norm(x, self.norm_f, self.norm_eps)


def logits(directory, tokens):
    """(len(tokens), vocabulary), from an empty state."""
    model = Model(*checkpoint_io.read_checkpoint(directory))
    return np.stack([model.step(token) for token in tokens])


def log_softmax(rows):
    shifted = rows - rows.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--tokens", required=True, help="comma-separated ids, at least two")
    args = parser.parse_args()
    tokens = [int(token) for token in args.tokens.split(",")]
    scores = log_softmax(logits(args.folder, tokens[:-1]))
    print(json.dumps({"logprobs": [scores[i, t] for i, t in enumerate(tokens[1:])]}))


if __name__ == "__main__":
    main()
