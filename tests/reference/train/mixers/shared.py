"""S5 and LRU: complex modes that all channels share, between two matrices.

S5: Smith et al. 2023 (arXiv:2208.04933), initialised with blocks of HiPPO-N. LRU: Orvieto et al. 2023
(arXiv:2303.06349), initialised on a ring in the unit disc.
"""

import math

import torch
from torch import nn

from .base import (
    TimeInvariant,
    as_complex,
    complex_normal,
    complex_parameter,
    constant_scan,
    discretise,
    log_uniform,
)
from .hippo import legs_normal


class SharedModes(TimeInvariant):
    def initial_state(self, batch):
        c = as_complex(self.C)
        return {"h": c.new_zeros(batch, c.shape[1])}

    def ssm_step(self, u, state):
        decay, b = self.discrete()
        state["h"] = decay * state["h"] + u.to(b) @ b.T
        return self.factor * (state["h"] @ as_complex(self.C).T).real

    def ssm(self, u):
        decay, b = self.discrete()
        h = constant_scan(decay, torch.complex(u @ b.real.T, u @ b.imag.T))
        c = as_complex(self.C)
        return self.factor * (h.real @ c.real.T - h.imag @ c.imag.T)


class S5(SharedModes):
    """`d_state` counts stored modes: with `conj_sym` each stands for a conjugate pair."""

    def __init__(self, d_model, d_state, conj_sym=True, discretization="zoh", output="glu"):
        super().__init__(d_model, output)
        self.rule, self.factor = discretization, 2 if conj_sym else 1
        size = 16 if d_state % 16 == 0 else d_state  # stored modes of a block
        blocks = d_state // size
        if not conj_sym and size % 2:
            raise ValueError("s5: without conj_sym d_state must be even")
        imaginary, vectors, _, _ = legs_normal(2 * size if conj_sym else size)
        if not conj_sym:
            imaginary = torch.cat([imaginary, -imaginary])
            vectors = torch.cat([vectors, vectors.conj()], dim=1)
        vectors = vectors.to(torch.cfloat)
        b = torch.randn(blocks, len(vectors), d_model) / d_model**0.5
        c = complex_normal(d_model, blocks, len(vectors)) / (2 * len(vectors) * blocks) ** 0.5
        self.Lambda_re = nn.Parameter(torch.full((d_state,), -0.5))
        self.Lambda_im = nn.Parameter(imaginary.float().repeat(blocks))
        self.B = complex_parameter((vectors.conj().T @ b.to(vectors)).reshape(d_state, d_model))
        self.C = complex_parameter((c @ vectors).reshape(d_model, d_state))
        self.log_step = nn.Parameter(log_uniform(d_state))

    def discrete(self):
        lam = torch.complex(self.Lambda_re, self.Lambda_im)
        decay, b = discretise(lam, torch.exp(self.log_step), self.rule)
        return decay, b[:, None] * as_complex(self.B)

    def constrain(self):
        with torch.no_grad():
            self.Lambda_re.clamp_(max=-1e-4)


class Lru(SharedModes):
    factor = 1

    def __init__(self, d_model, d_state, output="glu", r_min=0.5, r_max=0.999, max_phase=math.pi):
        super().__init__(d_model, output)
        radius = torch.sqrt(torch.rand(d_state) * (r_max**2 - r_min**2) + r_min**2)
        self.nu_log = nn.Parameter(torch.log(-torch.log(radius)))
        self.theta_log = nn.Parameter(torch.log(max_phase * (1 - torch.rand(d_state))))
        self.gamma_log = nn.Parameter(torch.log(torch.sqrt(1 - radius**2)))
        self.B = complex_parameter(complex_normal(d_state, d_model) / d_model**0.5)
        self.C = complex_parameter(complex_normal(d_model, d_state) * (2 / d_state) ** 0.5)

    def discrete(self):
        decay = torch.exp(torch.complex(-torch.exp(self.nu_log), torch.exp(self.theta_log)))
        return decay, torch.exp(self.gamma_log)[:, None] * as_complex(self.B)
