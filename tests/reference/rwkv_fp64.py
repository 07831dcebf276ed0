"""RWKV models of versions 4 to 7 as plain recurrences, one token at a time, in float64 numpy.

The oracle of tests/golden/rwkv: it shares no code with ssmd. Tensors are those of BlinkDL's
checkpoints, by name. Sources: Peng et al. 2023 (arXiv:2305.13048), 2024 (2404.05892) and 2025
(2503.14456), and RWKV-LM.

    rwkv_fp64.py FILE --bytes TEXT [--expect LOGITS]     a file of rwkv.cpp; how far its logits are
"""

import argparse
import pathlib
import struct

import numpy as np

from fp64_math import silu


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def layer_norm(x, weight, bias, eps):
    return (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + eps) * weight + bias


def group_norm(heads, weight, bias, eps):
    """Of (heads, width), each by itself; flat."""
    return layer_norm(heads, weight.reshape(heads.shape), bias.reshape(heads.shape), eps).ravel()


class Shift:
    """Mixes an input with the one before it."""

    def __init__(self, width):
        self.previous = np.zeros(width)

    def step(self, x):
        """x, and how far the one before it was away."""
        delta, self.previous = self.previous - x, x
        return delta


class TimeMixing4:
    def __init__(self, w, _):
        self.w = w
        inner = w["key.weight"].shape[0]
        self.shift = Shift(w["key.weight"].shape[1])
        self.a, self.b, self.p = np.zeros(inner), np.zeros(inner), np.full(inner, -1e30)

    def step(self, x, _):
        w, delta = self.w, self.shift.step(x)
        r, k, v = (w[name + ".weight"] @ (x + delta * (1 - w["time_mix_" + name[0]].ravel()))
                   for name in ("receptance", "key", "value"))
        u, decay = w["time_first"].ravel(), -np.exp(w["time_decay"].ravel())
        q = np.maximum(self.p, u + k)
        old, new = np.exp(self.p - q), np.exp(u + k - q)
        y = (old * self.a + new * v) / (old * self.b + new)
        q = np.maximum(self.p + decay, k)
        old, new = np.exp(self.p + decay - q), np.exp(k - q)
        self.a, self.b, self.p = old * self.a + new * v, old * self.b + new, q
        return w["output.weight"] @ (sigmoid(r) * y)


class TimeMixing5:
    """5.1: decay and bonus of a head, no gate; 5.2: of a channel, with a gate."""

    def __init__(self, w, eps):
        self.w, self.eps = w, eps
        self.heads = w["time_decay"].shape[0]
        inner, width = w["key.weight"].shape
        self.shift = Shift(width)
        dim = inner // self.heads
        self.state = np.zeros((self.heads, dim, dim))
        self.decay = np.exp(-np.exp(w["time_decay"].reshape(self.heads, -1, 1)))
        if "time_faaaa" in w:
            self.bonus = w["time_faaaa"].reshape(self.heads, -1, 1)
        else:
            self.bonus = np.exp(w["time_first"]).reshape(self.heads, 1, 1)

    def step(self, x, _):
        w, delta = self.w, self.shift.step(x)
        mixed = {name: w[name + ".weight"] @ (x + delta * (1 - w["time_mix_" + name[0]].ravel()))
                 for name in ("receptance", "key", "value", "gate") if name + ".weight" in w}
        return self.attend(mixed, self.decay)

    def attend(self, mixed, decay):
        r, k, v = (mixed[name].reshape(self.heads, -1) for name in ("receptance", "key", "value"))
        kv = k[:, :, None] * v[:, None, :]
        y = np.einsum("hi,hij->hj", r, self.bonus * kv + self.state)
        self.state = decay * self.state + kv
        y = group_norm(y, self.w["ln_x.weight"], self.w["ln_x.bias"], self.eps)
        if "gate" in mixed:
            y = y * silu(mixed["gate"])
        return self.w["output.weight"] @ y


class TimeMixing6(TimeMixing5):
    def __init__(self, w, eps):
        self.w, self.eps = w, eps
        self.heads, dim = w["time_faaaa"].shape[:2]
        self.shift = Shift(w["key.weight"].shape[1])
        self.state = np.zeros((self.heads, dim, dim))
        self.bonus = w["time_faaaa"].reshape(self.heads, dim, 1)

    def step(self, x, _):
        w, delta = self.w, self.shift.step(x)
        hidden = np.tanh((x + delta * w["time_maa_x"].ravel()) @ w["time_maa_w1"]).reshape(5, 1, -1)
        own = dict(zip("wkvrg", (hidden @ w["time_maa_w2"])[:, 0]))
        into = {c: x + delta * (w["time_maa_" + c].ravel() + own[c]) for c in "wkvrg"}
        raw = w["time_decay"].ravel() + np.tanh(into["w"] @ w["time_decay_w1"]) @ w["time_decay_w2"]
        mixed = {name: w[name + ".weight"] @ into[name[0]] for name in ("receptance", "key", "value", "gate")}
        return self.attend(mixed, np.exp(-np.exp(raw)).reshape(self.heads, -1, 1))


class TimeMixing7:
    def __init__(self, w, eps):
        self.w, self.eps = w, eps
        self.heads, dim = w["r_k"].shape
        self.shift = Shift(w["key.weight"].shape[1])
        self.state = np.zeros((self.heads, dim, dim))  # (of v, of k)

    def step(self, x, shared):
        w, delta = self.w, self.shift.step(x)
        into = {c: x + delta * w["x_" + c].ravel() for c in "rwkvag"}

        def low_rank(c, function=lambda z: z, bias=True):
            return (w[c + "0"].ravel() if bias else 0) + function(into[c] @ w[c + "1"]) @ w[c + "2"]

        r, k, v = (w[name + ".weight"] @ into[name[0]] for name in ("receptance", "key", "value"))
        decay = np.exp(-np.exp(-0.5) * sigmoid(low_rank("w", np.tanh)))
        a = sigmoid(low_rank("a"))
        gate = low_rank("g", sigmoid, bias=False)
        if "first" in shared:
            v = v + (shared["first"] - v) * sigmoid(low_rank("v"))
        else:
            shared["first"] = v
        kappa = (k * w["k_k"].ravel()).reshape(self.heads, -1)
        kappa = kappa / np.maximum(np.sqrt((kappa * kappa).sum(axis=1, keepdims=True)), 1e-12)
        k = k * (1 + (a - 1) * w["k_a"].ravel())
        r, k, v, decay, a = (z.reshape(self.heads, -1) for z in (r, k, v, decay, a))
        removed = np.einsum("him,hm->hi", self.state, kappa)
        self.state = (self.state * decay[:, None, :] - removed[:, :, None] * (kappa * a)[:, None, :]
                      + v[:, :, None] * k[:, None, :])
        y = np.einsum("hij,hj->hi", self.state, r)
        y = group_norm(y, w["ln_x.weight"], w["ln_x.bias"], self.eps)
        y = y + ((r * k * w["r_k"]).sum(axis=1, keepdims=True) * v).ravel()
        return w["output.weight"] @ (y * gate)


class ChannelMixing:
    def __init__(self, w):
        self.w = w
        self.shift = Shift(w["key.weight"].shape[1])

    def _mix(self, letter, x, delta):
        for name, weight in (("time_mix_", lambda m: 1 - m), ("time_maa_", lambda m: m), ("x_", lambda m: m)):
            if name + letter in self.w:
                return x + delta * weight(self.w[name + letter].ravel())
        raise KeyError(letter)

    def step(self, x):
        w, delta = self.w, self.shift.step(x)
        y = w["value.weight"] @ np.maximum(w["key.weight"] @ self._mix("k", x, delta), 0) ** 2
        if "receptance.weight" not in w:
            return y
        return sigmoid(w["receptance.weight"] @ self._mix("r", x, delta)) * y


def version_of(tensors):
    att = "blocks.0.att."
    for name, version in (("r_k", 7), ("time_maa_x", 6), ("ln_x.weight", 5)):
        if att + name in tensors:
            return version
    return 4


class Model:
    def __init__(self, tensors, group_eps=64e-5, norm_eps=1e-5):
        self.w, self.norm_eps = tensors, norm_eps
        mixing = {4: TimeMixing4, 5: TimeMixing5, 6: TimeMixing6, 7: TimeMixing7}[version_of(tensors)]
        self.layers = []
        while f"blocks.{len(self.layers)}.ln1.weight" in tensors:
            att, ffn = (self._under(f"blocks.{len(self.layers)}.{part}.") for part in ("att", "ffn"))
            self.layers.append((mixing(att, group_eps), ChannelMixing(ffn)))

    def _under(self, prefix):
        return {name[len(prefix):]: t for name, t in self.w.items() if name.startswith(prefix)}

    def _norm(self, name, x):
        return layer_norm(x, self.w[name + ".weight"], self.w[name + ".bias"], self.norm_eps)

    def step(self, token):
        """Logits after one more token."""
        x = self._norm("blocks.0.ln0", self.w["emb.weight"][token])
        shared = {}
        for i, (att, ffn) in enumerate(self.layers):
            x = x + att.step(self._norm(f"blocks.{i}.ln1", x), shared)
            x = x + ffn.step(self._norm(f"blocks.{i}.ln2", x))
        return self.w["head.weight"] @ self._norm("ln_out", x)


def logits(tensors, tokens, **options):
    """(len(tokens), vocabulary), from an empty state."""
    model = Model(tensors, **options)
    return np.stack([model.step(token) for token in tokens])


def _from_rwkv_cpp(name, array, version):
    """What convert_pytorch_to_ggml.py made of a tensor, undone."""
    if version == 4 and name.endswith("time_decay"):
        return np.log(-array)
    if version == 5 and name.endswith("time_decay"):
        array = np.log(-np.log(array))
        return array.reshape(array.shape[0], -1).squeeze(-1) if array.shape[1] == 1 else array[:, :, 0]
    if version == 5 and name.endswith("time_first"):
        return np.log(array).ravel()
    if version == 6 and name.endswith(("time_maa_w1", "time_decay_w1", "time_decay_w2")):
        return array.T
    if version == 6 and name.endswith("time_maa_w2"):
        return array.transpose(0, 2, 1)
    if version == 7 and name[-2:] in ("w1", "w2", "a1", "a2", "v1", "v2", "g1", "g2"):
        return array.T
    return array


def read_rwkv_cpp(path):
    """BlinkDL's tensors out of a file of rwkv.cpp in FP32 or FP16."""
    raw = pathlib.Path(path).read_bytes()
    magic, at, tensors = struct.unpack_from("<i", raw)[0], 24, {}
    assert magic == 0x67676D66
    while at < len(raw):
        dims, key, kind = struct.unpack_from("<3i", raw, at)
        at += 12
        shape = struct.unpack_from(f"<{dims}i", raw, at)[::-1]
        at += 4 * dims
        name = raw[at : at + key].decode()
        at += key
        dtype = {0: np.float32, 1: np.float16}[kind]
        count = int(np.prod(shape))
        array = np.frombuffer(raw, dtype, count, at).astype(np.float64).reshape(shape)
        at += array.size * np.dtype(dtype).itemsize
        if name.endswith("x_rwkvag"):
            for letter, row in zip("rwkvag", array.reshape(6, -1)):
                tensors[name.replace("x_rwkvag", "x_" + letter)] = row
        else:
            tensors[name] = array
    version = version_of(tensors)
    return {name: _from_rwkv_cpp(name, array, version) for name, array in tensors.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--bytes", required=True, help="what the model reads")
    parser.add_argument("--expect", help="256 float32: the logits after the last byte")
    parser.add_argument("--group-eps", type=float, default=64e-5)
    args = parser.parse_args()
    last = logits(read_rwkv_cpp(args.file), args.bytes.encode(), group_eps=args.group_eps)[-1]
    if args.expect is None:
        print(last)
    else:
        print("largest difference", np.abs(last - np.fromfile(args.expect, np.float32)).max())


if __name__ == "__main__":
    main()
