"""Every mixer and mlp of the checkpoint format `ssm_lm`, by the names that config.json has."""

from torch import nn

from .base import Mixer
from .hippo import Legs, Legt
from .mamba import Mamba, Mamba2
from .mlp import Gelu, SwiGlu
from .modal import S4, S4d
from .rational import Rtf
from .retnet import RetNet
from .rwkv import ChannelMix, Rwkv4, Rwkv5, Rwkv6, Rwkv7
from .shared import S5, Lru

MIXERS = {
    "mamba": Mamba,
    "mamba2": Mamba2,
    "s4": S4,
    "s4d": S4d,
    "s5": S5,
    "lru": Lru,
    "rtf": Rtf,
    "retnet": RetNet,
    "rwkv4": Rwkv4,
    "rwkv5": Rwkv5,
    "rwkv6": Rwkv6,
    "rwkv7": Rwkv7,
    "hippo_legs": Legs,
    "hippo_legt": Legt,
}
MLPS = ("swiglu", "gelu", "rwkv4", "rwkv5", "rwkv6", "rwkv7")
# Members of a mixer's object, beside "type". What else constructors take is of the model or about initial values.
MEMBERS = {
    "mamba": {"d_state", "d_conv", "expand", "dt_rank"},
    "mamba2": {"d_state", "d_conv", "expand", "headdim", "ngroups"},
    "s4": {"d_state", "rank", "heads", "l_kernel", "discretization", "diagonal", "output"},
    "s4d": {"d_state", "discretization", "output"},
    "s5": {"d_state", "conj_sym", "discretization", "output"},
    "lru": {"d_state", "output"},
    "rtf": {"d_state", "num_a", "trunc_len", "output"},
    "retnet": {"num_heads", "d_key", "d_value"},
    "rwkv4": set(),
    "rwkv5": {"head_dim"},
    "rwkv6": {"head_dim"},
    "rwkv7": {"head_dim"},
    "hippo_legs": {"d_state", "discretization", "output"},
    "hippo_legt": {"d_state", "window", "output"},
}


def make_mixer(config, d_model, **others) -> Mixer:
    """`config`: a mixer's object of config.json; `others`: what its constructor takes beside its members."""
    kind = config["type"]
    if kind not in MIXERS:
        raise ValueError(f"there is no mixer {kind!r}; there are {', '.join(MIXERS)}")
    members = {name: value for name, value in config.items() if name != "type"}
    if unknown := members.keys() - MEMBERS[kind]:
        raise ValueError(
            f"{kind} has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(MEMBERS[kind]))}"
        )
    return MIXERS[kind](d_model, **members, **others)


def make_mlp(config, d_model, depth) -> nn.Module:
    kind, d_inner = config["type"], config["d_inner"]
    if kind not in MLPS or config.keys() != {"type", "d_inner"}:
        raise ValueError(f"an mlp has a type ({', '.join(MLPS)}) and a d_inner, not {config}")
    if kind.startswith("rwkv"):
        return ChannelMix(int(kind[4:]), d_model, d_inner, depth)
    return {"swiglu": SwiGlu, "gelu": Gelu}[kind](d_model, d_inner)
