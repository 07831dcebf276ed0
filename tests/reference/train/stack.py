"""config.json from the command line: mixers by name, with settings that suit small models."""

import json
import math

from bpe import END_ID
from mixers import MIXERS, MLPS


def defaults(kind, d_model, context):
    """A mixer's object of config.json, for sequences of `context` tokens."""
    head = next(size for size in (32, 16, 8, 4, 2, 1) if d_model % size == 0)
    return {"type": kind} | {
        "mamba": {"d_state": 16, "d_conv": 4, "expand": 2, "dt_rank": math.ceil(d_model / 16)},
        "mamba2": {"d_state": 32, "d_conv": 4, "expand": 2, "headdim": head, "ngroups": 1},
        "s4": {"d_state": 32, "rank": 1, "heads": 1, "l_kernel": context},
        "s4d": {"d_state": 32, "discretization": "zoh"},
        "s5": {"d_state": 64, "conj_sym": True, "discretization": "zoh"},
        "lru": {"d_state": 128},
        "rtf": {"d_state": 16, "num_a": math.gcd(d_model, 8), "trunc_len": context},
        "retnet": {"num_heads": d_model // head},
        "rwkv4": {},
        "rwkv5": {"head_dim": head},
        "rwkv6": {"head_dim": head},
        "rwkv7": {"head_dim": head},
        "hippo_legs": {"d_state": 32, "discretization": "bilinear"},
        "hippo_legt": {"d_state": 32, "window": 128},
    }[kind]


def parse_mixer(text, d_model, context):
    """`name:member=value:…`, such as s4d:d_state=64:discretization=bilinear."""
    kind, *settings = text.split(":")
    if kind not in MIXERS:
        raise ValueError(f"there is no mixer {kind!r}; there are {', '.join(MIXERS)}")
    mixer = defaults(kind, d_model, context)
    for setting in settings:
        name, _, value = setting.partition("=")
        try:
            read = json.loads(value)
        except json.JSONDecodeError:
            read = value
        mixer[name] = read
    return mixer


def mlp_of(mixer, mlp, d_inner):
    """RWKV's layers have channel mixing of their own, others SwiGLU, unless something is asked for."""
    if mlp == "none":
        return None
    kind = mixer["type"] if mlp == "auto" and mixer["type"] in MLPS else "swiglu" if mlp == "auto" else mlp
    return {"type": kind, "d_inner": d_inner}


def make_config(args):
    """What --mixer and its like ask for: the listed mixers in turn until there are enough layers."""
    mixers = [parse_mixer(text, args.d_model, args.context) for text in args.mixer.split(",")]
    mlps = [mlp_of(mixer, args.mlp, args.d_inner or 2 * args.d_model) for mixer in mixers]
    rwkv = all(mixer["type"].startswith("rwkv") for mixer in mixers)
    config = {
        "model_type": "ssm_lm",
        "d_model": args.d_model,
        "n_layer": args.layers,
        "vocab_size": args.vocabulary,
        "norm": "layer" if rwkv else "rms",
        "norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "bos_token_id": END_ID,
        "eos_token_id": END_ID,
        "mixer": mixers[0],
        "mlp": mlps[0],
    }
    if len(mixers) > 1:
        turns = (index % len(mixers) for index in range(args.layers))
        config["layers"] = [{"mixer": mixers[turn], "mlp": mlps[turn]} for turn in turns]
    return config
