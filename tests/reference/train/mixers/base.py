"""What the mixers share: their interface, the frame of the time-invariant ones, and convolution.

Every mixer has two forms of the same maths. `forward` takes whole sequences (batch, tokens, d_model)
in parallel and is what trains; `step` takes one token (batch, d_model) and a state, and is the
definition: it is written as the papers write the recurrence, not as anything serves it.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Mixer(nn.Module):
    """A layer that mixes tokens. `context` is one dict a model and a call, for what crosses layers."""

    def initial_state(self, batch):
        """The state before the first token: a dict that `step` changes."""
        raise NotImplementedError

    def step(self, u, state, context):
        raise NotImplementedError

    def constrain(self):
        """Called after every step of the optimiser, for what must hold of the parameters."""


class TimeInvariant(Mixer):
    """S4's block around an `ssm`: o = out gelu(ssm(u)), gated by its other half where `glu`."""

    def __init__(self, d_model, output="glu", feed_through=True):
        super().__init__()
        if output not in ("glu", "linear"):
            raise ValueError(f'"output" must be "glu" or "linear", not {output!r}')
        self.gated = output == "glu"
        self.out = nn.Linear(d_model, 2 * d_model if self.gated else d_model)
        if feed_through:
            self.D = nn.Parameter(torch.randn(d_model))

    def forward(self, u, context):
        return self._finish(u, self.ssm(u))

    def step(self, u, state, context):
        return self._finish(u, self.ssm_step(u, state))

    def _finish(self, u, y):
        if hasattr(self, "D"):
            y = y + self.D * u
        o = self.out(F.gelu(y))
        return F.glu(o, dim=-1) if self.gated else o


def complex_parameter(value):
    """Stored as checkpoints have it: a last dimension of real and imaginary part."""
    return nn.Parameter(torch.view_as_real(value.resolve_conj()).contiguous().float())


def as_complex(parameter):
    return torch.view_as_complex(parameter.contiguous())


def complex_normal(*shape):
    """Of variance 1."""
    return torch.randn(*shape, dtype=torch.cfloat)


def with_conjugates(half):
    """Both conjugate halves, along the last axis."""
    return torch.cat([half, half.conj()], dim=-1)


def log_uniform(size, smallest=1e-3, largest=1e-1):
    """Logarithms of step sizes."""
    return math.log(smallest) + torch.rand(size) * math.log(largest / smallest)


def discretise(lam, delta, rule):
    """Ā and the factor of B of a diagonal system held for steps of `delta`."""
    if rule == "zoh":
        return torch.exp(delta * lam), torch.expm1(delta * lam) / lam
    if rule == "bilinear":
        return (1 + delta * lam / 2) / (1 - delta * lam / 2), delta / (1 - delta * lam / 2)
    raise ValueError(f'"discretization" must be "zoh" or "bilinear", not {rule!r}')


def convolve(u, kernel):
    """y[b, t, c] = Σ_s kernel[c, s] u[b, t − s, c], causally, by FFT."""
    tokens = u.shape[1]
    size = 2 * tokens
    spectrum = torch.fft.rfft(u, n=size, dim=1) * torch.fft.rfft(kernel[:, :tokens], n=size).T
    return torch.fft.irfft(spectrum, n=size, dim=1)[:, :tokens]


def constant_scan(decay, x):
    """h[t] = decay h[t−1] + x[t] along axis 1, in log2(tokens) passes that double the reach."""
    reach = 1
    while reach < x.shape[1]:
        x = x + F.pad(x[:, :-reach] * decay, (0, 0, reach, 0))
        decay = decay * decay
        reach *= 2
    return x


def powers(matrix, vector, count):
    """(count, N): vector, matrix·vector, matrix²·vector, …"""
    rows = [vector]
    for _ in range(count - 1):
        rows.append(matrix @ rows[-1])
    return torch.stack(rows)
