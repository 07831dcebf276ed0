"""HiPPO: matrices whose state is the history's coefficients in Legendre polynomials, as mixers.

Gu et al. 2020 (arXiv:2008.07669). LegS weighs the whole history evenly, LegT the last `window`
tokens. Neither has parameters in its recurrence: only what is read of the state is learnt.
"""

import torch
from torch import nn

from .base import TimeInvariant, convolve, powers


def legs_matrices(size):
    """A (N, N) and B (N) of x' = (A/t) x + (B/t) u, in float64."""
    n = torch.arange(size, dtype=torch.float64)
    b = torch.sqrt(2 * n + 1)
    return -(torch.tril(torch.outer(b, b), -1) + torch.diag(n + 1)), b


def legt_matrices(size):
    """A (N, N) and B (N) of x' = A x + B u for a window of length 2 (both halved), in float64."""
    n = torch.arange(size, dtype=torch.float64)
    b = torch.sqrt(2 * n + 1)
    sign = 1 - 2 * ((n[:, None] - n[None, :]).abs() % 2)
    sign = torch.where(n[:, None] >= n[None, :], torch.ones_like(sign), sign)
    return -0.5 * torch.outer(b, b) * sign, 0.5 * b


def legs_normal(size):
    """Eigenvalues with positive imaginary part, and their eigenvectors, of LegS + P Pᵀ, P = √(n+½).

    That matrix is −½ plus a skew-symmetric one: a Hermitian problem, solved in float64.
    """
    a, b = legs_matrices(size)
    p = torch.sqrt(torch.arange(size, dtype=torch.float64) + 0.5)
    skew = a + torch.outer(p, p) + 0.5 * torch.eye(size, dtype=torch.float64)
    imaginary, vectors = torch.linalg.eigh(skew * -1j)
    upper = imaginary > 0
    return imaginary[upper], vectors[:, upper], p, b


def hold(a, b, delta):
    """Ā and B̄ of an input held constant."""
    decay = torch.linalg.matrix_exp(a * delta)
    identity = torch.eye(len(b), dtype=a.dtype)
    return decay, torch.linalg.solve(a, (decay - identity) @ b)


class Hippo(TimeInvariant):
    """The output of both: y = C h + D u."""

    def __init__(self, d_model, d_state, output):
        super().__init__(d_model, output)
        self.d_state = d_state
        self.C = nn.Parameter(torch.randn(d_model, d_state) / d_state**0.5)
        self.cache = {}

    def initial_state(self, batch):
        return {"h": self.C.new_zeros(batch, *self.C.shape), "position": 0}

    def ssm_step(self, u, state):
        a, b = self.update(state["position"])
        state["h"] = state["h"] @ a.T.to(u) + u[..., None] * b.to(u)
        state["position"] += 1
        return (state["h"] * self.C).sum(-1)


class Legt(Hippo):
    def __init__(self, d_model, d_state, window, output="glu"):
        super().__init__(d_model, d_state, output)
        self.discrete = hold(*legt_matrices(d_state), 2 / window)

    def update(self, position):
        return self.discrete

    def ssm(self, u):
        tokens = u.shape[1]
        if tokens not in self.cache:
            self.cache[tokens] = powers(*self.discrete, tokens)
        return convolve(u, self.C @ self.cache[tokens].T.to(u))


class Legs(Hippo):
    """Its step depends on the position, so that it is no convolution; but not on the input."""

    def __init__(self, d_model, d_state, discretization="bilinear", output="glu"):
        super().__init__(d_model, d_state, output)
        if discretization not in ("bilinear", "zoh"):
            raise ValueError(f'"discretization" must be "bilinear" or "zoh", not {discretization!r}')
        self.exact = discretization == "zoh"
        self.a, self.b = legs_matrices(d_state)

    def update(self, position):
        identity = torch.eye(self.d_state, dtype=torch.float64)
        if position == 0:
            return torch.zeros_like(identity), identity[0]
        if self.exact:
            return hold(self.a, self.b, torch.log1p(torch.tensor(1 / position, dtype=torch.float64)))
        implicit = identity - self.a / (2 * position)
        explicit = torch.cat([identity + self.a / (2 * position), self.b[:, None] / position], dim=1)
        update = torch.linalg.solve_triangular(implicit, explicit, upper=False)
        return update[:, :-1], update[:, -1]

    def responses(self, tokens):
        """(t, s, N): the state after token t that a 1 at token s alone leaves."""
        h = torch.zeros(tokens, self.d_state, dtype=torch.float64)
        rows = []
        for position in range(tokens):
            a, b = self.update(position)
            h = h @ a.T
            h[position] = b
            rows.append(h.clone())
        return torch.stack(rows)

    def ssm(self, u):
        tokens = u.shape[1]
        key = tokens, u.dtype
        if key not in self.cache:
            self.cache[key] = self.responses(tokens).to(u)
        return torch.einsum("cts,bsc->btc", torch.einsum("tsn,cn->cts", self.cache[key], self.C), u)
