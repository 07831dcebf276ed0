"""S4 and S4D: complex modes of each channel, trained as a convolution.

S4: Gu et al. 2022 (arXiv:2111.00396), initialised with LegS in normal plus low-rank form. S4D: Gupta,
Gu et al. 2022 (arXiv:2206.11893). One of each conjugate pair of modes is stored.
"""

import math

import torch
from torch import nn

from .base import (
    TimeInvariant,
    as_complex,
    complex_normal,
    complex_parameter,
    convolve,
    discretise,
    log_uniform,
    with_conjugates,
)
from .hippo import legs_normal


class S4(TimeInvariant):
    """A = Λ − P P*, bilinear. `diagonal` is a way to serve it and changes nothing here."""

    def __init__(
        self,
        d_model,
        d_state,
        rank=1,
        heads=1,
        l_kernel=0,
        discretization="bilinear",
        diagonal=False,
        output="glu",
    ):
        super().__init__(d_model, output)
        if d_state % 2 or heads not in (1, d_model) or discretization != "bilinear":
            raise ValueError("s4: d_state must be even, heads 1 or d_model, discretization bilinear")
        self.l_kernel = l_kernel
        imaginary, vectors, p, b = legs_normal(d_state)
        modes = d_state // 2
        p = (p.to(vectors) @ vectors.conj()).repeat(rank, heads, 1)
        p[1:] *= 0.1 * complex_normal(rank - 1, heads, modes)
        self.A_real = nn.Parameter(torch.full((heads, modes), math.log(0.5)))
        self.A_imag = nn.Parameter(imaginary.float().repeat(heads, 1))
        self.P = complex_parameter(p)
        self.B = complex_parameter((b.to(vectors) @ vectors.conj()).repeat(heads, 1))
        self.C = complex_parameter(complex_normal(d_model, modes))
        self.inv_dt = nn.Parameter(log_uniform(d_model))

    def _full(self):
        """Λ (S, N), P (rank, S, N), B (S, N), C as stored (D, N): both halves of conjugates."""
        lam = torch.complex(-torch.exp(self.A_real), self.A_imag)
        return [with_conjugates(v) for v in (lam, as_complex(self.P), as_complex(self.B), as_complex(self.C))]

    def dense(self):
        """Ā (D, N, N), B̄ (D, N) and the untruncated C (D, N), by solving dense systems."""
        lam, p, b, c = self._full()
        a = torch.diag_embed(lam) - torch.einsum("rsn,rsm->snm", p, p.conj())
        identity = torch.eye(a.shape[-1], dtype=a.dtype)
        half = torch.exp(self.inv_dt)[:, None, None] / 2
        implicit = identity - half * a
        decay = torch.linalg.solve(implicit, identity + half * a)
        b = torch.linalg.solve(implicit, 2 * half * b[..., None])[..., 0]
        if self.l_kernel:
            truncation = identity - torch.linalg.matrix_power(decay, self.l_kernel)
            c = torch.linalg.solve(truncation.transpose(-1, -2), c)
        return decay, b, c

    def initial_state(self, batch):
        channels, modes, _ = self.C.shape
        return {"x": as_complex(self.C).new_zeros(batch, channels, 2 * modes), "dense": self.dense()}

    def ssm_step(self, u, state):
        decay, b, c = state["dense"]
        state["x"] = torch.einsum("cnm,bcm->bcn", decay, state["x"]) + b * u[..., None]
        return (c * state["x"]).sum(-1).real

    def kernel(self, tokens):
        """(D, tokens): the truncated generating function at roots of unity, by Woodbury's identity.

        C̃ (I − ω Ā)⁻¹ B̄ = 2Δ C̃ (2(1−ω) − (1+ω)ΔA)⁻¹ B, which is regular at ω = −1 too.
        """
        lam, p, b, c = self._full()
        if tokens != self.l_kernel:
            decay, _, c = self.dense()
            c = c - torch.einsum("cnm,cn->cm", torch.linalg.matrix_power(decay, tokens), c)
        delta = torch.exp(self.inv_dt)[:, None]
        angles = torch.arange(tokens // 2 + 1, dtype=torch.float64) * (-2 * math.pi / tokens)
        omega = torch.polar(torch.ones_like(angles), angles).to(lam)
        resolvent = 1 / (2 * (1 - omega) - (delta * lam)[..., None] * (1 + omega))  # (D, N, ω)
        left = torch.stack([c, *p.conj().expand(-1, *c.shape)])
        right = torch.stack([b.expand_as(c), *p.expand(-1, *c.shape)])
        sums = torch.einsum("icn,cnw,jcn->cwij", left, resolvent, right)
        coupling = ((1 + omega)[None] * delta)[..., None, None]
        inner = torch.eye(len(p), dtype=lam.dtype) + coupling * sums[..., 1:, 1:]
        correction = coupling * sums[..., :1, 1:] @ torch.linalg.solve(inner, sums[..., 1:, :1])
        return torch.fft.irfft(2 * delta * (sums[..., :1, :1] - correction)[..., 0, 0], n=tokens)

    def ssm(self, u):
        return convolve(u, self.kernel(u.shape[1]))


def s4d_frequencies(modes, init):
    n = torch.arange(modes)
    if init == "lin":
        return math.pi * n
    if init == "inv":
        return 2 * modes / math.pi * (2 * modes / (2 * n + 1) - 1)
    if init == "legs":
        return legs_normal(2 * modes)[0].float()
    raise ValueError(f"S4D is initialised by lin, inv or legs, not {init!r}")


class S4d(TimeInvariant):
    """`init` is lin, inv or legs; `input_matrix` stores a B."""

    def __init__(self, d_model, d_state, discretization="zoh", output="glu", init="lin", input_matrix=False):
        super().__init__(d_model, output)
        self.rule = discretization
        modes = d_state // 2
        self.log_A_real = nn.Parameter(torch.full((d_model, modes), math.log(0.5)))
        self.A_imag = nn.Parameter(s4d_frequencies(modes, init).repeat(d_model, 1))
        if input_matrix:
            self.B = complex_parameter(torch.ones(d_model, modes, dtype=torch.cfloat))
        self.C = complex_parameter(complex_normal(d_model, modes))
        self.log_dt = nn.Parameter(log_uniform(d_model))

    def _discrete(self):
        """Ā and B̄, (D, N/2) each."""
        lam = torch.complex(-torch.exp(self.log_A_real), self.A_imag)
        decay, b = discretise(lam, torch.exp(self.log_dt)[:, None], self.rule)
        return decay, b * as_complex(self.B) if hasattr(self, "B") else b

    def initial_state(self, batch):
        c = as_complex(self.C)
        return {"h": c.new_zeros(batch, *c.shape)}

    def ssm_step(self, u, state):
        decay, b = self._discrete()
        state["h"] = decay * state["h"] + b * u[..., None]
        return 2 * (as_complex(self.C) * state["h"]).sum(-1).real

    def ssm(self, u):
        decay, b = self._discrete()
        times = torch.arange(u.shape[1], dtype=u.dtype)
        vandermonde = torch.exp(torch.log(decay)[..., None] * times)
        kernel = 2 * torch.einsum("cn,cnt->ct", as_complex(self.C) * b, vandermonde).real
        return convolve(u, kernel)
