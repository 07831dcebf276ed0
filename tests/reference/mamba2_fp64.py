"""A Mamba-2 layer as the plain recurrence, one token at a time, in float64 numpy.

Used by mamba_fp64.py. Shapes and names: Dao & Gu 2024 (arXiv:2405.21060) and the original
implementation's layer: gate before norm, norm and B, C in the same groups, steps clamped always.
"""

import numpy as np

from fp64_math import rms_norm, silu, softplus


def _number(value):
    """transformers 5 writes Infinity as an object."""
    return float(value["__float__"]) if isinstance(value, dict) else float(value)


class Settings:
    """What tensors do not tell, from config.json in any of its spellings."""

    def __init__(self, config):
        ssm = config.get("ssm_cfg", {})
        self.groups = config.get("n_groups", ssm.get("ngroups", 1))
        self.eps = config.get("layer_norm_epsilon", 1e-5)
        self.norm_first = ssm.get("norm_before_gate", False)
        limit = config.get("time_step_limit", ssm.get("dt_limit", [0, float("inf")]))
        self.limit = [_number(bound) for bound in limit]


def is_mamba2(config):
    layer = config.get("ssm_cfg", {}).get("layer")
    return config.get("model_type") == "mamba2" or layer == "Mamba2" or "dim" in config


class Mamba2Layer:
    """One mixer with its state."""

    def __init__(self, tensors, prefix, settings):
        self.norm = tensors[prefix + "norm.weight"]
        mixer = prefix + "mixer."
        self.w = {name[len(mixer) :]: t for name, t in tensors.items() if name.startswith(mixer)}
        self.settings = settings
        self.a = -np.exp(self.w["A_log"])
        self.heads = len(self.a)
        self.inner = self.w["out_proj.weight"].shape[1]
        channels, _, width = self.w["conv1d.weight"].shape
        self.bc_width = (channels - self.inner) // 2
        self.d = self.w["D"].reshape(self.heads, -1)  # one a head, or one a channel
        self.window = np.zeros((channels, width))
        self.state = np.zeros((self.heads, self.inner // self.heads, self.bc_width // settings.groups))

    def step(self, residual):
        w, inner, bc_width = self.w, self.inner, self.bc_width
        projected = self._project("in_proj", rms_norm(residual, self.norm, self.settings.eps))
        z, xbc, dt = np.split(projected, [inner, 2 * inner + 2 * bc_width])
        self.window = np.concatenate([self.window[:, 1:], xbc[:, None]], axis=1)
        xbc = silu(np.sum(self.window * w["conv1d.weight"][:, 0, :], axis=1) + w.get("conv1d.bias", 0))
        x, b, c = np.split(xbc, [inner, inner + bc_width])
        y = self._scan(x.reshape(self.heads, -1), self._of_heads(b), self._of_heads(c), dt)
        return residual + self._project("out_proj", self._normalise(y.reshape(-1), z))

    def _of_heads(self, v):
        """(groups · N) → (heads, N): neighbouring heads share a group."""
        groups = self.settings.groups
        return np.repeat(v.reshape(groups, -1), self.heads // groups, axis=0)

    def _scan(self, x, b, c, dt):
        delta = np.clip(softplus(dt + self.w["dt_bias"]), *self.settings.limit)
        decay = np.exp(delta * self.a)[:, None, None]
        self.state = decay * self.state + (delta[:, None] * x)[:, :, None] * b[:, None, :]
        return np.einsum("hpn,hn->hp", self.state, c) + self.d * x

    def _normalise(self, y, z):
        weight, groups = self.w.get("norm.weight"), self.settings.groups
        if weight is None:
            return y * silu(z)
        if not self.settings.norm_first:
            y = y * silu(z)
        y = rms_norm(y.reshape(groups, -1), weight.reshape(groups, -1), self.settings.eps).reshape(-1)
        return y * silu(z) if self.settings.norm_first else y

    def _project(self, name, x):
        return self.w[name + ".weight"] @ x + self.w.get(name + ".bias", 0)
