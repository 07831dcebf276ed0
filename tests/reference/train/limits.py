"""What ssmd serves of a mixer: sizes that it refuses are refused before anything is trained.

The numbers are those of headers in engine/models and kernels, by the names beside them. Mixers by themselves take
more: a test may want heads that no kernel has.
"""

INNER = 1 << 18  # kMaxInnerWidth
MODES = 256  # kMaxModes, kMaxStateSize, kMaxWkvHead
TAPS = 1 << 30  # kMaxTaps
MODEL = 1 << 16  # kMaxModelWidth
LAYERS = 1024  # kMaxLayers
VOCABULARY = 1 << 24  # kMaxVocabulary
LANES = 16  # kVectorLanes
COUPLING = 4  # kMaxCoupling
CONVOLUTION = 64  # kMaxConvWidth
RWKV_HEAD = 4  # kMinRwkvHead

# Whole numbers, from and to; expand may be a fraction for ssmd, but not here.
WHOLE = {
    "mamba": {"d_state": (1, MODES), "d_conv": (1, CONVOLUTION), "expand": (1, 64), "dt_rank": (1, MODEL)},
    "mamba2": {
        "d_state": (1, MODES),
        "d_conv": (1, CONVOLUTION),
        "expand": (1, 64),
        "headdim": (1, INNER),
        "ngroups": (1, INNER),
    },
    "s4": {"d_state": (2, 2 * MODES), "rank": (1, COUPLING), "heads": (1, MODEL), "l_kernel": (0, TAPS)},
    "s4d": {"d_state": (2, 2 * MODES)},
    "s5": {"d_state": (1, INNER // 2)},
    "lru": {"d_state": (1, INNER // 2)},
    "rtf": {"d_state": (1, MODES), "num_a": (1, MODEL), "trunc_len": (1, TAPS)},
    "retnet": {"num_heads": (1, INNER), "d_key": (1, INNER), "d_value": (1, INNER)},
    "rwkv5": {"head_dim": (RWKV_HEAD, MODES)},
    "rwkv6": {"head_dim": (RWKV_HEAD, MODES)},
    "rwkv7": {"head_dim": (RWKV_HEAD, MODES)},
    "hippo_legs": {"d_state": (1, MODES)},
    "hippo_legt": {"d_state": (1, MODES), "window": (1, TAPS)},
}
# Of all mixers that have such a member.
WORDS = {"discretization": ("zoh", "bilinear"), "output": ("glu", "linear")}
FLAGS = ("conj_sym", "diagonal")


def refuse(kind, member, must, value):
    raise ValueError(f"{kind}: {member} must be {must}, got {value!r}")


def check_members(mixer):
    """Each by itself."""
    kind = mixer.get("type")
    for member, value in mixer.items():
        if member in WHOLE.get(kind, {}):
            least, most = WHOLE[kind][member]
            if type(value) is not int or not least <= value <= most:
                refuse(kind, member, f"a whole number in [{least}, {most}]", value)
        elif member in WORDS and value not in WORDS[member]:
            refuse(kind, member, " or ".join(WORDS[member]), value)
        elif member in FLAGS and not isinstance(value, bool):
            refuse(kind, member, "true or false", value)


def check_mixer(mixer, d_model, context):
    """Raises ValueError, which names the mixer and its member, where ssmd would not serve it."""
    check_members(mixer)
    kind, size = mixer.get("type"), mixer.get("d_state", 1)
    if kind in ("s4", "s4d") and size % 2:
        refuse(kind, "d_state", "even", size)
    if kind == "s4" and mixer.get("discretization", "bilinear") != "bilinear":
        refuse(kind, "discretization", "bilinear", mixer["discretization"])
    if kind == "s4" and mixer.get("heads", 1) not in (1, d_model):
        refuse(kind, "heads", f"1 or d_model = {d_model}", mixer["heads"])
    if kind in ("mamba", "mamba2") and (expand := mixer.get("expand", 2)) * d_model > INNER:
        refuse(kind, "expand", f"at most {INNER // d_model}, with a d_model of {d_model}", expand)
    if kind == "mamba2" and mixer.get("ngroups", 1) * size > INNER:
        refuse(kind, "ngroups", f"at most {INNER // size}, with a d_state of {size}", mixer["ngroups"])
    if kind == "rtf" and d_model % mixer.get("num_a", 1):
        refuse(kind, "num_a", f"a divisor of d_model = {d_model}", mixer["num_a"])
    if kind == "rtf" and (taps := mixer.get("trunc_len", context)) + taps % 2 < context:
        refuse(kind, "trunc_len", f"at least the --context, {context}", taps)
    if kind == "retnet":
        check_retnet(mixer, d_model)
    if "head_dim" in mixer:
        check_heads(kind, mixer["head_dim"], d_model)


def check_retnet(mixer, d_model):
    heads = mixer.get("num_heads", 1)
    for member in ("d_key", "d_value"):
        if (width := mixer.get(member, d_model)) % heads:
            raise ValueError(f"retnet: num_heads must divide {member} = {width}, got {heads}")
    head = mixer.get("d_key", d_model) // heads
    if head % 2 or head > MODES:
        raise ValueError(f"retnet: d_key / num_heads must be even and at most {MODES}, is {head}")


def check_heads(kind, head_dim, d_model):
    if d_model % head_dim:
        refuse(kind, "head_dim", f"a divisor of d_model = {d_model}", head_dim)
    if kind == "rwkv7" and head_dim % LANES:
        refuse(kind, "head_dim", f"a multiple of {LANES}", head_dim)


def check(config, context):
    """Raises ValueError where it is no config.json of a model to train on sequences of `context` tokens."""
    if not isinstance(config, dict):
        raise ValueError("the config is no object of JSON")
    for member, most in (("d_model", MODEL), ("n_layer", LAYERS)):
        if type(value := config.get(member)) is not int or not 1 <= value <= most:
            refuse("the config", member, f"a whole number in [1, {most}]", value)
    count, layers = config["n_layer"], config.get("layers") or [{}] * config["n_layer"]
    if not isinstance(layers, list) or len(layers) != count or not all(isinstance(e, dict) for e in layers):
        refuse("the config", "layers", f"a list of n_layer = {count} objects", config["layers"])
    for layer in layers:
        mixer = layer.get("mixer") or config.get("mixer")
        if not isinstance(mixer, dict) or "type" not in mixer:
            refuse("the config", "mixer", "an object with a type, or be one in each of layers", mixer)
        check_mixer(mixer, config["d_model"], context)
