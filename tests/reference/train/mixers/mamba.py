"""Mamba (Gu & Dao 2023, arXiv:2312.00752) and Mamba-2 (Dao & Gu 2024, arXiv:2405.21060)."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from . import scans
from .base import Mixer, log_uniform


def inverse_softplus(log_delta):
    delta = torch.exp(log_delta)
    return delta + torch.log(-torch.expm1(-delta))


class ShortConvolution(nn.Conv1d):
    """Causal and depthwise, with SiLU."""

    def __init__(self, channels, width):
        super().__init__(channels, channels, width, groups=channels)

    def forward(self, x):
        padded = F.pad(x.transpose(1, 2), (self.kernel_size[0] - 1, 0))
        return F.silu(super().forward(padded)).transpose(1, 2)

    def initial_state(self, batch):
        return self.weight.new_zeros(batch, self.in_channels, self.kernel_size[0])

    def step(self, x, window):
        """The output of a token, and the window that ends with it."""
        window = torch.cat([window[..., 1:], x[..., None]], dim=-1)
        return F.silu((window * self.weight[:, 0]).sum(-1) + self.bias), window


class Mamba(Mixer):
    def __init__(self, d_model, d_state=16, d_conv=4, expand=2, dt_rank=None):
        super().__init__()
        inner, self.rank = expand * d_model, dt_rank or math.ceil(d_model / 16)
        self.d_state = d_state
        self.in_proj = nn.Linear(d_model, 2 * inner, bias=False)
        self.conv1d = ShortConvolution(inner, d_conv)
        self.x_proj = nn.Linear(inner, self.rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner)
        nn.init.uniform_(self.dt_proj.weight, -(self.rank**-0.5), self.rank**-0.5)
        self.dt_proj.bias = nn.Parameter(inverse_softplus(log_uniform(inner)))
        self.A_log = nn.Parameter(torch.log(torch.arange(1.0, d_state + 1)).repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, d_model, bias=False)

    def _selected(self, x):
        """Δ, B and C of each token."""
        dt, b, c = self.x_proj(x).split([self.rank, self.d_state, self.d_state], dim=-1)
        return F.softplus(self.dt_proj(dt)), b, c

    def forward(self, u, context):
        x, z = self.in_proj(u).chunk(2, dim=-1)
        x = self.conv1d(x)
        delta, b, c = self._selected(x)
        y = scans.selective_scan(x, delta, -torch.exp(self.A_log), b, c) + self.D * x
        return self.out_proj(y * F.silu(z))

    def initial_state(self, batch):
        return {
            "window": self.conv1d.initial_state(batch),
            "h": self.A_log.new_zeros(batch, *self.A_log.shape),
        }

    def step(self, u, state, context):
        x, z = self.in_proj(u).chunk(2, dim=-1)
        x, state["window"] = self.conv1d.step(x, state["window"])
        delta, b, c = self._selected(x)
        decay = torch.exp(delta[..., None] * -torch.exp(self.A_log))
        state["h"] = decay * state["h"] + (delta * x)[..., None] * b[:, None, :]
        y = (state["h"] * c[:, None, :]).sum(-1) + self.D * x
        return self.out_proj(y * F.silu(z))


class GatedRmsNorm(nn.Module):
    """RMSNorm of y ∘ silu(z), over groups of channels."""

    def __init__(self, channels, groups, eps):
        super().__init__()
        self.groups, self.eps = groups, eps
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, y, z):
        y = (y * F.silu(z)).unflatten(-1, (self.groups, -1))
        y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + self.eps)
        return y.flatten(-2) * self.weight


class Mamba2(Mixer):
    """`norm_eps` is the model's."""

    def __init__(self, d_model, d_state=64, d_conv=4, expand=2, headdim=64, ngroups=1, norm_eps=1e-5):
        super().__init__()
        inner = expand * d_model
        if inner % headdim or inner // headdim % ngroups:
            raise ValueError("mamba2: headdim must divide expand * d_model, and ngroups the heads")
        self.heads, self.groups, bc = inner // headdim, ngroups, ngroups * d_state
        self.sizes = [inner, inner + 2 * bc, self.heads], [inner, bc, bc]
        self.in_proj = nn.Linear(d_model, sum(self.sizes[0]), bias=False)
        self.conv1d = ShortConvolution(inner + 2 * bc, d_conv)
        self.dt_bias = nn.Parameter(inverse_softplus(log_uniform(self.heads)))
        self.A_log = nn.Parameter(torch.log(1 + 15 * torch.rand(self.heads)))
        self.D = nn.Parameter(torch.ones(self.heads))
        self.norm = GatedRmsNorm(inner, ngroups, norm_eps)
        self.out_proj = nn.Linear(inner, d_model, bias=False)
        self.state_shape = self.heads, headdim, d_state

    def _project(self, u):
        z, xbc, dt = self.in_proj(u).split(self.sizes[0], dim=-1)
        return z, xbc, F.softplus(dt + self.dt_bias)

    def _of_heads(self, xbc):
        """x (…, H, P), B and C (…, H, N): neighbouring heads share a group."""
        x, *bc = xbc.split(self.sizes[1], dim=-1)
        repeats = self.heads // self.groups
        b, c = (v.unflatten(-1, (self.groups, -1)).repeat_interleave(repeats, dim=-2) for v in bc)
        return x.unflatten(-1, (self.heads, -1)), b, c

    def _finish(self, y, x, z):
        return self.out_proj(self.norm((y + self.D[:, None] * x).flatten(-2), z))

    def forward(self, u, context):
        z, xbc, delta = self._project(u)
        x, b, c = self._of_heads(self.conv1d(xbc))
        y = scans.decayed_attention(c, b, delta[..., None] * x, -torch.exp(self.A_log) * delta)
        return self._finish(y, x, z)

    def initial_state(self, batch):
        return {"window": self.conv1d.initial_state(batch), "S": self.D.new_zeros(batch, *self.state_shape)}

    def step(self, u, state, context):
        z, xbc, delta = self._project(u)
        xbc, state["window"] = self.conv1d.step(xbc, state["window"])
        x, b, c = self._of_heads(xbc)
        decay = torch.exp(-torch.exp(self.A_log) * delta)[..., None, None]
        state["S"] = decay * state["S"] + (delta[..., None] * x)[..., None] * b[:, :, None, :]
        return self._finish((state["S"] @ c[..., None])[..., 0], x, z)
