"""Language models from any of the mixers, and the folders that ssmd serves of them (`ssm_lm`)."""

import json
import pathlib

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

from mixers import S4d, make_mixer, make_mlp
from mixers.rwkv import Depth

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
# Tensors of RWKV-6 and 7 with a free inner dimension.
LOW_RANK = ("w1", "w2", "a1", "a2", "v1", "v2", "g1", "g2")


def make_norm(config):
    eps = config.get("norm_eps", 1e-5)
    if config.get("norm", "rms") == "layer":
        return nn.LayerNorm(config["d_model"], eps=eps)
    return nn.RMSNorm(config["d_model"], eps=eps)


def arguments_of(kind, config, depth, seen, initial):
    """What a mixer's constructor is told beside its own configuration."""
    arguments = dict(initial.get(kind, {}))
    if kind == "mamba2":
        arguments["norm_eps"] = config.get("norm_eps", 1e-5)
    if kind.startswith("rwkv"):
        arguments["depth"] = depth
    if kind == "rwkv7":
        arguments["first"] = "rwkv7" not in seen
    return arguments


class Layer(nn.Module):
    def __init__(self, config, mixer, mlp, depth, arguments):
        super().__init__()
        self.norm = make_norm(config)
        self.mixer = make_mixer(mixer, config["d_model"], **arguments)
        self.parts = [("norm", "mixer")]
        if mlp is not None:
            self.norm2 = make_norm(config)
            self.mlp = make_mlp(mlp, config["d_model"], depth)
            self.parts.append(("norm2", "mlp"))

    def forward(self, x, context):
        for norm, part in self.parts:
            x = x + getattr(self, part)(getattr(self, norm)(x), context)
        return x

    def initial_state(self, batch):
        return {part: getattr(self, part).initial_state(batch) for _, part in self.parts}

    def step(self, x, state, context):
        for norm, part in self.parts:
            x = x + getattr(self, part).step(getattr(self, norm)(x), state[part], context)
        return x


class Backbone(nn.Module):
    def __init__(self, config, initial):
        super().__init__()
        count = config["n_layer"]
        layers = config.get("layers") or [{}] * count
        if len(layers) != count:
            raise ValueError(f'"layers" has {len(layers)} entries, not n_layer = {count}')
        self.embedding = nn.Embedding(config["vocab_size"], config["d_model"])
        nn.init.normal_(self.embedding.weight, std=config["d_model"] ** -0.5)
        self.layers = nn.ModuleList()
        seen = set()
        for index, layer in enumerate(layers):
            mixer = layer.get("mixer") or config["mixer"]
            mlp = layer.get("mlp", config.get("mlp"))
            depth = Depth(index, count)
            arguments = arguments_of(mixer["type"], config, depth, seen, initial)
            seen.add(mixer["type"])
            self.layers.append(Layer(config, mixer, mlp, depth, arguments))
        self.norm_f = make_norm(config)


class SsmLm(nn.Module):
    """`initial`: of a mixer's type, arguments about its initial values, such as {"s4d": {"init": "inv"}}."""

    def __init__(self, config, initial=None):
        super().__init__()
        self.config = config
        self.backbone = Backbone(config, initial or {})
        if not config.get("tie_word_embeddings", False):
            self.lm_head = nn.Linear(config["d_model"], config["vocab_size"], bias=False)

    def logits(self, x):
        head = self.lm_head if hasattr(self, "lm_head") else self.backbone.embedding
        return F.linear(self.backbone.norm_f(x), head.weight)

    def forward(self, tokens):
        """(batch, tokens) → (batch, tokens, vocabulary), from an empty state, in parallel."""
        x, context = self.backbone.embedding(tokens), {}
        for layer in self.backbone.layers:
            x = layer(x, context)
        return self.logits(x)

    def run(self, tokens):
        """The same by steps: the definition."""
        states = [layer.initial_state(len(tokens)) for layer in self.backbone.layers]
        rows = []
        for column in tokens.T:
            x, context = self.backbone.embedding(column), {}
            for layer, state in zip(self.backbone.layers, states, strict=True):
                x = layer.step(x, state, context)
            rows.append(self.logits(x))
        return torch.stack(rows, dim=1)

    def constrain(self):
        for layer in self.backbone.layers:
            layer.mixer.constrain()


def save(model, folder, dtype="f32"):
    """Nothing is written where a weight is not finite in that type: ssmd refuses such a folder."""
    folder = pathlib.Path(folder)
    tensors = {name: t.detach().to(DTYPES[dtype]).contiguous() for name, t in model.state_dict().items()}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} has weights that are not finite in {dtype}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(model.config, indent=2) + "\n")
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)  # made for its owner alone


def load(folder):
    """The model of a folder, in float32."""
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text())
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    model = SsmLm(config)
    for name, module in model.named_modules():
        shaped_by_tensors(name, module, tensors)
    model.load_state_dict({name: t.float() for name, t in tensors.items()})
    return model


def shaped_by_tensors(name, module, tensors):
    """What config.json does not tell: ranks of corrections, and whether S4D has a B."""
    if isinstance(module, S4d) and f"{name}.B" in tensors:
        module.B = nn.Parameter(torch.empty_like(module.C))
    for leaf, parameter in module.named_parameters(recurse=False):
        stored = tensors[f"{name}.{leaf}"]
        if leaf.endswith(LOW_RANK) and parameter.shape != stored.shape:
            setattr(module, leaf, nn.Parameter(stored.float()))
