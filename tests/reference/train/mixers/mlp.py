"""Layers between channels that look at one token alone, in the interface of mixers."""

import torch.nn.functional as F
from torch import nn

from .base import Mixer


class Stateless(Mixer):
    def initial_state(self, batch):
        return {}

    def step(self, u, state, context):
        return self(u, context)


class SwiGlu(Stateless):
    def __init__(self, d_model, d_inner):
        super().__init__()
        self.fc1 = nn.Linear(d_model, 2 * d_inner, bias=False)
        self.fc2 = nn.Linear(d_inner, d_model, bias=False)

    def forward(self, u, context):
        y, gate = self.fc1(u).chunk(2, dim=-1)
        return self.fc2(y * F.silu(gate))


class Gelu(Stateless):
    def __init__(self, d_model, d_inner):
        super().__init__()
        self.fc1 = nn.Linear(d_model, d_inner)
        self.fc2 = nn.Linear(d_inner, d_model)

    def forward(self, u, context):
        return self.fc2(F.gelu(self.fc1(u)))
