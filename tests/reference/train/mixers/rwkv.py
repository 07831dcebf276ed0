"""Time mixing of RWKV-4 (Peng et al. 2023, arXiv:2305.13048), 5 and 6 (arXiv:2404.05892) and 7
(arXiv:2503.14456), with the tensor names and shapes of BlinkDL's checkpoints, and channel mixing.

Initial values are those of BlinkDL's RWKV-LM: they depend on how deep a layer lies.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from . import scans
from .base import Mixer

NORM_EPS = 64e-5  # of the norm of each head, from version 5 on


class Depth(NamedTuple):
    """Which layer, of how many."""

    index: int = 0
    count: int = 1

    def to_one(self):
        """From 0 in the first layer to 1 in the last."""
        return self.index / max(self.count - 1, 1)

    def from_one(self):
        """From 1 in the first layer to nearly 0 in the last."""
        return 1 - self.index / self.count


FIRST = Depth()


def kept(d_model, depth):
    """How much of a token, against the one before it, each channel begins with."""
    return (torch.arange(d_model) / d_model) ** depth.from_one()


def curve(d_model, depth, base=-6.0, height=5.0, slope=0.7, bend=1.3):
    """base + height · (channel's place)^(…): how BlinkDL spreads decays over channels."""
    return base + height * (torch.arange(d_model) / (d_model - 1)) ** (slope + bend * depth.to_one())


def zigzag(d_model):
    place = torch.arange(d_model)
    return (1 - place / (d_model - 1)) + 0.1 * ((place + 1) % 3 - 1)


def row(values):
    return nn.Parameter(values.float().reshape(1, 1, -1).clone())


def low_rank(d_in, rank, d_out):
    """The two factors of a correction that starts from 0."""
    return nn.Parameter(torch.zeros(d_in, rank)), nn.Parameter(
        0.1 * nn.init.orthogonal_(torch.empty(rank, d_out))
    )


class Shifted(Mixer):
    """A layer that sees each token beside the one before it."""

    def linear(self, d_in, d_out, gain=1.0):
        layer = nn.Linear(d_in, d_out, bias=False)
        nn.init.orthogonal_(layer.weight, gain=gain) if gain else nn.init.zeros_(layer.weight)
        return layer

    def previous(self, u):
        return F.pad(u[:, :-1], (0, 0, 1, 0))

    def forward(self, u, context):
        return self.mix(u, self.previous(u), context)

    def initial_state(self, batch):
        return {"u": self.value.weight.new_zeros(batch, self.value.weight.shape[1]), **self.memory(batch)}

    def step(self, u, state, context):
        previous, state["u"] = state["u"], u
        return self.mix(u, previous, context, state)


class Rwkv4(Shifted):
    def __init__(self, d_model, depth=FIRST):
        super().__init__()
        self.time_decay = nn.Parameter(curve(d_model, depth, -5.0, 8.0))
        self.time_first = nn.Parameter(math.log(0.3) + 0.5 * ((torch.arange(d_model) + 1) % 3 - 1.0))
        keep = kept(d_model, depth)
        self.time_mix_k, self.time_mix_v, self.time_mix_r = (
            row(keep),
            row(keep + 0.3 * depth.to_one()),
            row(keep**0.5),
        )
        self.key, self.value, self.receptance, self.output = (
            self.linear(d_model, d_model, gain) for gain in (0.0, 1.0, 0.0, 0.0)
        )

    def mix(self, u, previous, context, state=None):
        xk, xv, xr = (
            previous + (u - previous) * mu.flatten()
            for mu in (self.time_mix_k, self.time_mix_v, self.time_mix_r)
        )
        k, v, w = self.key(xk), self.value(xv), -torch.exp(self.time_decay)
        y = self._step(w, k, v, state) if state else scans.wkv4(w, self.time_first, k, v)
        return self.output(torch.sigmoid(self.receptance(xr)) * y)

    def memory(self, batch):
        zeros = self.time_decay.new_zeros(batch, len(self.time_decay))
        return {"a": zeros, "b": zeros, "p": zeros - 1e30}

    def _step(self, w, k, v, state):
        a, b, p = state["a"], state["b"], state["p"]
        q = torch.maximum(p, self.time_first + k)
        old, new = torch.exp(p - q), torch.exp(self.time_first + k - q)
        y = (old * a + new * v) / (old * b + new)
        q = torch.maximum(p + w, k)
        old, new = torch.exp(p + w - q), torch.exp(k - q)
        state.update(a=old * a + new * v, b=old * b + new, p=q)
        return y


class Headed(Shifted):
    """Versions with a matrix state a head, whose output is normalised by heads."""

    def __init__(self, d_model, head_dim, output_gain=0.0):
        super().__init__()
        if d_model % head_dim:
            raise ValueError("rwkv: head_dim must divide d_model")
        self.heads, self.head_dim = d_model // head_dim, head_dim
        self.receptance, self.key, self.value = (self.linear(d_model, d_model, g) for g in (1.0, 0.3, 1.0))
        self.output = self.linear(d_model, d_model, output_gain)
        self.ln_x = nn.GroupNorm(self.heads, d_model, eps=NORM_EPS)

    def by_heads(self, *values):
        return [v.unflatten(-1, (self.heads, self.head_dim)) for v in values]

    def memory(self, batch):
        return {"S": self.ln_x.weight.new_zeros(batch, self.heads, self.head_dim, self.head_dim)}

    def normalise(self, y):
        """(…, heads, head_dim) → (…, d_model)."""
        y = y.flatten(-2)
        return self.ln_x(y.reshape(-1, y.shape[-1])).reshape(y.shape)


class Rwkv5(Headed):
    """Version 5.2: with a gate, decay and bonus of each channel."""

    def __init__(self, d_model, head_dim=64, depth=FIRST):
        super().__init__(d_model, head_dim)
        self._decay_and_bonus(d_model, depth)
        self.gate = self.linear(d_model, d_model, 0.1)
        keep = kept(d_model, depth)
        self.time_mix_k, self.time_mix_v = row(keep), row(keep + 0.3 * depth.to_one())
        self.time_mix_r, self.time_mix_g = row(keep**0.5), row(keep**0.5)
        self.time_decay = nn.Parameter(self.time_decay.reshape(self.heads, head_dim))

    def _decay_and_bonus(self, d_model, depth):
        self.time_decay = row(curve(d_model, depth))
        self.time_faaaa = nn.Parameter((depth.to_one() * zigzag(d_model)).reshape(self.heads, self.head_dim))

    def mixtures(self, u, previous):
        """Inputs of k, v, r and g, and the logarithm of the decay (≤ 0)."""
        mixtures = [
            previous + (u - previous) * mu.flatten()
            for mu in (self.time_mix_k, self.time_mix_v, self.time_mix_r, self.time_mix_g)
        ]
        return mixtures, -torch.exp(self.time_decay).flatten().expand_as(u)

    def mix(self, u, previous, context, state=None):
        (xk, xv, xr, xg), log_w = self.mixtures(u, previous)
        r, k, v, w = self.by_heads(self.receptance(xr), self.key(xk), self.value(xv), torch.exp(log_w))
        if state is None:
            y = scans.wkv6(r, k, v, w, self.time_faaaa)
        else:
            pairs = k[..., :, None] * v[..., None, :]
            y = (r[..., None, :] @ (self.time_faaaa[..., None] * pairs + state["S"]))[..., 0, :]
            state["S"] = w[..., None] * state["S"] + pairs
        return self.output(self.normalise(y) * F.silu(self.gate(xg)))


class Rwkv6(Rwkv5):
    """What Rwkv5 keeps fixed depends on the input here, by corrections of low rank."""

    def __init__(self, d_model, head_dim=64, depth=FIRST, mix_rank=None, decay_rank=None):
        Headed.__init__(self, d_model, head_dim)
        self._decay_and_bonus(d_model, depth)
        self.gate = self.linear(d_model, d_model, 0.1)
        keep = kept(d_model, depth)
        mix_rank = mix_rank or max(8, d_model // 64)
        for name, value in (
            ("x", keep),
            ("w", keep),
            ("k", keep),
            ("v", keep + 0.3 * depth.to_one()),
            ("r", keep**0.5),
            ("g", keep**0.5),
        ):
            setattr(self, f"time_maa_{name}", row(1 - value))
        self.time_maa_w1 = nn.Parameter(torch.zeros(d_model, 5 * mix_rank))
        self.time_maa_w2 = nn.Parameter(torch.empty(5, mix_rank, d_model).uniform_(-0.01, 0.01))
        decay_rank = decay_rank or max(16, d_model // 32)
        self.time_decay_w1, self.time_decay_w2 = low_rank(d_model, decay_rank, d_model)

    def mixtures(self, u, previous):
        shift = previous - u
        hidden = torch.tanh((u + shift * self.time_maa_x.flatten()) @ self.time_maa_w1)
        deltas = torch.einsum("...ir,ird->i...d", hidden.unflatten(-1, (5, -1)), self.time_maa_w2)
        fixed = self.time_maa_w, self.time_maa_k, self.time_maa_v, self.time_maa_r, self.time_maa_g
        xw, *others = (u + shift * (mu.flatten() + delta) for mu, delta in zip(fixed, deltas, strict=True))
        decay = self.time_decay.flatten() + torch.tanh(xw @ self.time_decay_w1) @ self.time_decay_w2
        return others, -torch.exp(decay)


class Rwkv7(Headed):
    """`first`: the first of its kind in the stack, whose v the others blend with theirs."""

    def __init__(self, d_model, head_dim=64, depth=FIRST, first=True, ranks=None):
        super().__init__(d_model, head_dim)
        self.first = first
        place = torch.arange(d_model) / d_model
        for name, power in (("r", 0.2), ("w", 0.9), ("k", 0.7), ("v", 0.7), ("a", 0.9), ("g", 0.2)):
            setattr(self, f"x_{name}", row(1 - place ** (power * depth.from_one())))
        w, a, v, g = ranks or [
            max(8, round(f * d_model**p / 32) * 32 if d_model > 256 else d_model // 4)
            for f, p in ((1.8, 0.5), (1.8, 0.5), (1.3, 0.5), (0.6, 0.8))
        ]
        zig = (torch.arange(d_model) % head_dim - (head_dim - 1) / 2) / ((head_dim - 1) / 2)
        zig = zig * zig.abs()
        line = torch.arange(d_model) / (d_model - 1) - 0.5
        self.w0 = row(curve(d_model, depth, -6.0, 6.0, 1.0, 1.0) + 0.5 + 2.5 * zig)
        self.w1, self.w2 = low_rank(d_model, w, d_model)
        self.a0 = row(-0.19 + 0.3 * zig + 0.4 * line)
        self.a1, self.a2 = low_rank(d_model, a, d_model)
        if not first:
            self.v0 = row(0.73 - 0.4 * line)
            self.v1, self.v2 = low_rank(d_model, v, d_model)
        self.g1, self.g2 = low_rank(d_model, g, d_model)
        self.k_k, self.k_a = row(0.71 - 0.1 * line), row(torch.full((d_model,), 1.02))
        self.r_k = nn.Parameter(torch.full((self.heads, head_dim), -0.04))

    def _mixtures(self, u, previous):
        return [u + (previous - u) * getattr(self, f"x_{name}").flatten() for name in "rwkvag"]

    def _value(self, xv, context):
        v = self.value(xv)
        if self.first:
            context["v_first"] = v
            return v
        blend = torch.sigmoid(self.v0.flatten() + xv @ self.v1 @ self.v2)
        return v + (context["v_first"] - v) * blend

    def mix(self, u, previous, context, state=None):
        xr, xw, xk, xv, xa, xg = self._mixtures(u, previous)
        r, k, v = self.receptance(xr), self.key(xk), self._value(xv, context)
        w = torch.exp(-math.exp(-0.5) * torch.sigmoid(self.w0.flatten() + torch.tanh(xw @ self.w1) @ self.w2))
        a = torch.sigmoid(self.a0.flatten() + xa @ self.a1 @ self.a2)
        kappa = k * self.k_k.flatten()
        k = k * (1 + (a - 1) * self.k_a.flatten())
        r, w, k, v, a, kappa = self.by_heads(r, w, k, v, a, kappa)
        kappa = F.normalize(kappa, dim=-1, eps=1e-12)
        if state is None:
            y = scans.wkv7(r, w, k, v, kappa, a)
        else:
            removed = (state["S"] @ kappa[..., None]) * (kappa * a)[..., None, :]
            state["S"] = state["S"] * w[..., None, :] - removed + v[..., None] * k[..., None, :]
            y = (state["S"] @ r[..., None])[..., 0]
        bonus = ((r * k * self.r_k).sum(-1, keepdim=True) * v).flatten(-2)
        gate = torch.sigmoid(xg @ self.g1) @ self.g2
        return self.output((self.normalise(y) + bonus) * gate)


class ChannelMix(Shifted):
    """RWKV's layer between channels, of versions 4 to 7."""

    def __init__(self, version, d_model, d_inner, depth=FIRST):
        super().__init__()
        self.version = version
        keep = kept(d_model, depth)
        names = {6: ("time_maa_k", "time_maa_r"), 7: ("x_k",)}.get(version, ("time_mix_k", "time_mix_r"))
        for name in names:
            setattr(self, name, nn.Parameter(1 - keep if version >= 6 else keep.clone()))
        self.mixes = names
        self.key = self.linear(d_model, d_inner, (d_inner / d_model) ** 0.5)
        self.value = self.linear(d_inner, d_model, 0.0)
        if version < 7:
            self.receptance = self.linear(d_model, d_model, 1.0)

    def initial_state(self, batch):
        return {"u": self.value.weight.new_zeros(batch, self.value.weight.shape[0])}

    def mix(self, u, previous, context, state=None):
        start, other = (u, previous) if self.version >= 6 else (previous, u)
        mixtures = [start + (other - start) * getattr(self, name) for name in self.mixes]
        y = self.value(F.relu(self.key(mixtures[0])).square())
        return torch.sigmoid(self.receptance(mixtures[1])) * y if self.version < 7 else y
