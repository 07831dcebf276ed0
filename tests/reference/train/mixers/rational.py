"""RTF: a rational transfer function per channel, trained without ever forming its state.

Parnichkun et al. 2024 (arXiv:2405.06147). H(z) = h₀ + (b₁z⁻¹+…)/(1+a₁z⁻¹+…), sampled at n roots of
unity, which gives a kernel of n taps that is aliased in time.
"""

import torch
from torch import nn

from .base import TimeInvariant, convolve


def companion(a):
    """(…, N) → (…, N, N): x ← A x shifts the state down and puts −a·x on top."""
    size = a.shape[-1]
    shift = torch.diag(torch.ones(size - 1, dtype=a.dtype), -1).expand(*a.shape[:-1], -1, -1)
    top = torch.zeros_like(shift)
    top[..., 0, :] = -a
    return shift + top


class Rtf(TimeInvariant):
    def __init__(self, d_model, d_state, trunc_len, num_a=1, output="glu"):
        super().__init__(d_model, output, feed_through=False)
        if d_model % num_a:
            raise ValueError("rtf: num_a must divide d_model")
        self.taps = trunc_len + trunc_len % 2
        self.a = nn.Parameter(torch.zeros(num_a, d_state))  # no poles but at 0: stable
        self.b = nn.Parameter(nn.init.xavier_normal_(torch.empty(d_model, d_state)))
        self.h_0 = nn.Parameter(torch.randn(d_model))

    def _of_channels(self, a):
        return a.repeat_interleave(len(self.b) // len(a), dim=0)

    def kernel(self):
        one = torch.ones_like(self.a[:, :1])
        denominator = torch.fft.rfft(torch.cat([one, self.a], 1), n=self.taps)
        numerator = torch.fft.rfft(torch.cat([torch.zeros_like(self.h_0)[:, None], self.b], 1), n=self.taps)
        return torch.fft.irfft(numerator / self._of_channels(denominator) + self.h_0[:, None], n=self.taps)

    def ssm(self, u):
        if u.shape[1] > self.taps:
            raise ValueError(f"rtf: {u.shape[1]} tokens are longer than the kernel's {self.taps} taps")
        return convolve(u, self.kernel())

    def initial_state(self, batch):
        """With c and D′ of the recurrence whose first taps are the kernel's: (I − Aⁿ)ᵀ c = b."""
        matrix = self._of_channels(companion(self.a))
        last = torch.linalg.matrix_power(matrix, self.taps - 1)
        c = torch.linalg.solve(
            torch.eye(matrix.shape[-1], dtype=matrix.dtype) - (last @ matrix).transpose(-1, -2), self.b
        )
        d = self.h_0 + (c * last[..., 0]).sum(-1)
        return {"x": self.b.new_zeros(batch, *self.b.shape), "matrix": matrix, "c": c, "d": d}

    def ssm_step(self, u, state):
        y = (state["c"] * state["x"]).sum(-1) + state["d"] * u
        state["x"] = torch.einsum("cnm,bcm->bcn", state["matrix"], state["x"])
        state["x"][..., 0] += u
        return y

    def constrain(self, radius=0.999):
        """Poles outside of `radius` are drawn back in, all of a channel's by the same factor."""
        with torch.no_grad():
            poles = torch.linalg.eigvals(companion(self.a.double())).abs().amax(-1, keepdim=True)
            factor = (radius / poles.clamp(min=radius)).to(self.a)
            self.a *= factor ** torch.arange(1, self.a.shape[1] + 1)
