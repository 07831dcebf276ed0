"""The recurrences whose coefficients depend on the input, over whole sequences.

Where compiled.py has compiled scans.c, by that; else token by token in torch, which is slow.
"""

import torch
import torch.nn.functional as F

from . import compiled

CHUNK = 32  # tokens


def decayed_attention(q, k, v, log_decay):
    """o[t] = q[t]ᵀ S[t], S[t] = e^log_decay[t] S[t-1] + k[t] v[t]ᵀ: Mamba-2's and RetNet's.

    q, k (batch, tokens, heads, N), v (batch, tokens, heads, P), log_decay (batch, tokens, heads) ≤ 0. In
    chunks: masked attention within, a state between (Dao & Gu 2024, section 6).
    """
    tokens = q.shape[1]
    q, k, v, log_decay = (in_chunks(x) for x in (q, k, v, log_decay[..., None]))
    total = log_decay[..., 0].cumsum(-1)
    exponents = total[..., :, None] - total[..., None, :]
    later = torch.ones(CHUNK, CHUNK, dtype=torch.bool).triu(1)
    within = (q @ k.transpose(-1, -2) * torch.exp(exponents.masked_fill(later, -torch.inf))) @ v
    left = torch.exp(total[..., -1:] - total)[..., None]
    added = (k * left).transpose(-1, -2) @ v
    state, before = torch.zeros_like(added[:, 0]), []
    for chunk, decay in zip(added.unbind(1), torch.exp(total[..., -1]).unbind(1), strict=True):
        before.append(state)
        state = decay[..., None, None] * state + chunk
    o = within + (q * torch.exp(total)[..., None]) @ torch.stack(before, dim=1)
    return o.transpose(2, 3).flatten(1, 2)[:, :tokens]


def in_chunks(x):
    """(batch, tokens, heads, N) → (batch, chunks, heads, CHUNK, N), padded with 0."""
    padded = F.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % CHUNK))
    return padded.unflatten(1, (-1, CHUNK)).transpose(2, 3)


def of_batch(parameter, x):
    return parameter.expand(len(x), *parameter.shape)


def selective_scan(x, delta, a, b, c):
    """y[t] = h[t] C[t], h[t] = e^(Δ[t] A) h[t−1] + Δ[t] x[t] B[t]ᵀ: Mamba's.

    x, delta (batch, tokens, E), a (E, N), b, c (batch, tokens, N).
    """
    if x.dtype in compiled.libraries:
        return compiled.Scan.apply("selective_scan", a.shape[1], x, delta, of_batch(a, x), b, c)
    h, rows = x.new_zeros(len(x), *a.shape), []
    for t in range(x.shape[1]):
        h = torch.exp(delta[:, t, :, None] * a) * h + (delta * x)[:, t, :, None] * b[:, t, None, :]
        rows.append((h * c[:, t, None, :]).sum(-1))
    return torch.stack(rows, dim=1)


def wkv4(w, u, k, v):
    """RWKV-4's weighted mean: Σ e^(w·age + k) v / Σ e^(w·age + k), the present with u for w·age.

    w, u (C), k, v (batch, tokens, C). Sums are kept as mantissas of e^p.
    """
    if k.dtype in compiled.libraries:
        return compiled.Scan.apply("wkv4", 1, k, v, of_batch(w, k), of_batch(u, k))
    a, b, p, rows = torch.zeros_like(v[:, 0]), torch.zeros_like(v[:, 0]), torch.full_like(v[:, 0], -1e30), []
    for t in range(k.shape[1]):
        q = torch.maximum(p, u + k[:, t])
        old, new = torch.exp(p - q), torch.exp(u + k[:, t] - q)
        rows.append((old * a + new * v[:, t]) / (old * b + new))
        q = torch.maximum(p + w, k[:, t])
        old, new = torch.exp(p + w - q), torch.exp(k[:, t] - q)
        a, b, p = old * a + new * v[:, t], old * b + new, q
    return torch.stack(rows, dim=1)


def wkv6(r, k, v, w, u):
    """y[t] = rᵀ (u ∘ k vᵀ + S[t−1]), S[t] = diag(w) S[t−1] + k vᵀ: RWKV-5's and 6's.

    All (batch, tokens, heads, N), u (heads, N).
    """
    if r.dtype in compiled.libraries:
        return compiled.Scan.apply("wkv6", r.shape[-1], r, k, v, w, of_batch(u, r))
    s, rows = r.new_zeros(*r[:, 0].shape, v.shape[-1]), []
    for t in range(r.shape[1]):
        pair = k[:, t, :, :, None] * v[:, t, :, None, :]
        rows.append(torch.einsum("bhi,bhij->bhj", r[:, t], u[..., None] * pair + s))
        s = w[:, t, :, :, None] * s + pair
    return torch.stack(rows, dim=1)


def wkv7(r, w, k, v, kappa, a):
    """y[t] = S[t] r, S[t] = S[t−1] (diag(w) − κ (κ ∘ a)ᵀ) + v kᵀ: RWKV-7's.

    All (batch, tokens, heads, N).
    """
    if r.dtype in compiled.libraries:
        return compiled.Scan.apply("wkv7", r.shape[-1], r, w, k, v, kappa, a)
    s, rows = r.new_zeros(*r[:, 0].shape, r.shape[-1]), []
    for t in range(r.shape[1]):
        removed = torch.einsum("bhij,bhj->bhi", s, kappa[:, t])
        s = (
            s * w[:, t, :, None, :]
            - removed[..., None] * (kappa * a)[:, t, :, None, :]
            + v[:, t, ..., None] * k[:, t, :, None, :]
        )
        rows.append(torch.einsum("bhij,bhj->bhi", s, r[:, t]))
    return torch.stack(rows, dim=1)
