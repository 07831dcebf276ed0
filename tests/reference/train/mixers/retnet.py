"""RetNet's multi-scale retention (Sun et al. 2023, arXiv:2307.08621)."""

import torch
import torch.nn.functional as F
from torch import nn

from . import scans
from .base import Mixer

NORM_EPS = 1e-6


class RetNet(Mixer):
    def __init__(self, d_model, num_heads, d_key=None, d_value=None):
        super().__init__()
        d_key, d_value = d_key or d_model, d_value or d_model
        if d_key % (2 * num_heads) or d_value % num_heads:
            raise ValueError("retnet: num_heads must divide d_key / 2 and d_value")
        self.heads = num_heads
        self.q_proj = nn.Linear(d_model, d_key, bias=False)
        self.k_proj = nn.Linear(d_model, d_key, bias=False)
        self.v_proj = nn.Linear(d_model, d_value, bias=False)
        self.g_proj = nn.Linear(d_model, d_value, bias=False)
        self.out_proj = nn.Linear(d_value, d_model, bias=False)
        for projection in (self.q_proj, self.k_proj, self.v_proj, self.g_proj):
            nn.init.xavier_uniform_(projection.weight, gain=2**-2.5)
        nn.init.xavier_uniform_(self.out_proj.weight, gain=2**-1)
        self.scale = (d_key // num_heads) ** -0.5
        pairs = d_key // num_heads // 2
        self.theta = 10000.0 ** -torch.linspace(0, 1, pairs, dtype=torch.float64)
        self.log_decay = torch.log1p(-(2.0 ** (-5 - torch.arange(num_heads, dtype=torch.float64))))

    def _rotate(self, x, positions):
        """Neighbouring pairs of (batch, tokens, heads, d), by angles that are reduced in float64."""
        angle = (positions[:, None] * self.theta)[:, None, :]
        cos, sin = torch.cos(angle).to(x), torch.sin(angle).to(x)
        a, b = x[..., ::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)

    def _project(self, u, first):
        """q, k and v of (batch, tokens, d_model), by heads."""
        positions = torch.arange(first, first + u.shape[1], dtype=torch.float64)
        q, k, v = (p(u).unflatten(-1, (self.heads, -1)) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self._rotate(q, positions), self._rotate(k * self.scale, positions), v

    def _finish(self, o, u):
        o = o * torch.rsqrt(o.square().mean(-1, keepdim=True) + NORM_EPS)
        return self.out_proj(F.silu(self.g_proj(u)) * o.flatten(-2))

    def forward(self, u, context):
        q, k, v = self._project(u, 0)
        log_decay = self.log_decay.to(u).expand(*u.shape[:2], -1)
        return self._finish(scans.decayed_attention(q, k, v, log_decay), u)

    def initial_state(self, batch):
        d_key, d_value = len(self.q_proj.weight), len(self.v_proj.weight)
        shape = batch, self.heads, d_key // self.heads, d_value // self.heads
        return {"S": self.q_proj.weight.new_zeros(shape), "position": 0}

    def step(self, u, state, context):
        q, k, v = (x[:, 0] for x in self._project(u[:, None], state["position"]))
        state["position"] += 1
        decay = torch.exp(self.log_decay).to(u)[:, None, None]
        state["S"] = decay * state["S"] + k[..., None] * v[..., None, :]
        return self._finish((q[..., None, :] @ state["S"])[..., 0, :], u)
