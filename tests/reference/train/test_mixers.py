"""Tests of the mixers, in float64: their two forms agree, and are what the papers say.

python -m pytest tests/reference/train/test_mixers.py
"""

import math
import pathlib
import sys

import pytest
import torch

import model as ssm_lm
from mixers import MIXERS, compiled, hippo, make_mixer, make_mlp, modal, scans
from mixers.rational import companion
from mixers.rwkv import Depth

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import mamba2_fp64
import mamba_fp64

D_MODEL, TOKENS = 16, 37
torch.set_num_threads(1)  # what is small here is faster by one
CONFIGS = {
    "mamba": {"type": "mamba", "d_state": 5, "dt_rank": 3},
    "mamba2": {"type": "mamba2", "d_state": 6, "headdim": 8, "ngroups": 2},
    "s4": {"type": "s4", "d_state": 12},
    "s4_rank2": {"type": "s4", "d_state": 8, "rank": 2, "heads": 16, "output": "linear"},
    "s4_truncated": {"type": "s4", "d_state": 12, "l_kernel": TOKENS},
    "s4_truncated_elsewhere": {"type": "s4", "d_state": 12, "l_kernel": 50},
    "s4d": {"type": "s4d", "d_state": 12},
    "s4d_bilinear": {"type": "s4d", "d_state": 12, "discretization": "bilinear"},
    "s5": {"type": "s5", "d_state": 9},
    "s5_blocks": {"type": "s5", "d_state": 32, "discretization": "bilinear"},
    "s5_full": {"type": "s5", "d_state": 8, "conj_sym": False},
    "lru": {"type": "lru", "d_state": 9},
    "rtf": {"type": "rtf", "d_state": 5, "trunc_len": 41},
    "rtf_channels": {"type": "rtf", "d_state": 5, "trunc_len": 37, "num_a": 16},
    "retnet": {"type": "retnet", "num_heads": 2},
    "rwkv4": {"type": "rwkv4"},
    "rwkv5": {"type": "rwkv5", "head_dim": 8},
    "rwkv6": {"type": "rwkv6", "head_dim": 8},
    "rwkv7": {"type": "rwkv7", "head_dim": 8},
    "legs": {"type": "hippo_legs", "d_state": 12},
    "legs_zoh": {"type": "hippo_legs", "d_state": 12, "discretization": "zoh"},
    "legt": {"type": "hippo_legt", "d_state": 12, "window": 20},
}


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """The compiled scans."""
    assert compiled.compile_into(tmp_path_factory.mktemp("scans")) is None
    return dict(compiled.libraries)


@pytest.fixture(params=["plain", "compiled"])
def scanned(request, library, monkeypatch):
    """Once by torch alone, once by the compiled scans."""
    monkeypatch.setattr(compiled, "libraries", library if request.param == "compiled" else {})


def perturbed(module, scale=0.2):
    """So that no part is left at 0, where it would not show."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += scale * torch.randn(parameter.shape)
    if hasattr(module, "a") and hasattr(module, "h_0"):
        module.constrain(radius=0.9)
    return module.double()


def by_steps(module, u):
    state = module.initial_state(len(u))
    return torch.stack([module.step(u[:, t], state, {}) for t in range(u.shape[1])], dim=1)


def assert_close(actual, expected, tolerance=1e-9):
    assert (actual - expected).abs().max() < tolerance * expected.abs().max()


def test_has_a_configuration_of_every_mixer():
    assert {config["type"] for config in CONFIGS.values()} == set(MIXERS)


@pytest.mark.usefixtures("scanned")
@pytest.mark.parametrize("name", CONFIGS)
def test_parallel_form_is_the_recurrence(name):
    torch.manual_seed(1)
    mixer = perturbed(make_mixer(CONFIGS[name], D_MODEL))
    u = torch.randn(2, TOKENS, D_MODEL, dtype=torch.float64)
    with torch.no_grad():
        assert_close(mixer(u, {}), by_steps(mixer, u))


@pytest.mark.usefixtures("scanned")
@pytest.mark.parametrize("name", CONFIGS)
def test_gradients_of_the_parallel_form_are_those_of_the_recurrence(name):
    torch.manual_seed(2)
    mixer = perturbed(make_mixer(CONFIGS[name], D_MODEL))
    u = torch.randn(2, TOKENS, D_MODEL, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, TOKENS, D_MODEL, dtype=torch.float64)
    wanted = dict(mixer.named_parameters()) | {"u": u}
    parallel = torch.autograd.grad((mixer(u, {}) * weights).sum(), wanted.values())
    steps = torch.autograd.grad((by_steps(mixer, u) * weights).sum(), wanted.values())
    for leaf, actual, expected in zip(wanted, parallel, steps, strict=True):
        assert expected.abs().max() > 0, f"{leaf} has no gradient"
        assert_close(actual, expected, 1e-8)


@pytest.mark.parametrize("kind", ["swiglu", "gelu", "rwkv4", "rwkv5", "rwkv6", "rwkv7"])
def test_mlps_agree_with_their_steps(kind):
    torch.manual_seed(3)
    mlp = perturbed(make_mlp({"type": kind, "d_inner": 20}, D_MODEL, Depth()))
    u = torch.randn(2, TOKENS, D_MODEL, dtype=torch.float64)
    assert_close(mlp(u, {}), by_steps(mlp, u))


def test_later_rwkv7_layers_see_the_values_of_the_first(library):
    torch.manual_seed(4)
    config = {
        "d_model": 16,
        "n_layer": 3,
        "vocab_size": 11,
        "mixer": {"type": "rwkv7", "head_dim": 8},
        "tie_word_embeddings": True,
        "layers": [{"mixer": {"type": "rwkv4"}}, {}, {}],
    }
    model = perturbed(ssm_lm.SsmLm(config))
    assert model.backbone.layers[1].mixer.first
    assert not model.backbone.layers[2].mixer.first
    tokens = torch.randint(11, (2, TOKENS))
    with torch.no_grad():
        assert_close(model(tokens), model.run(tokens))


@pytest.mark.parametrize("kind", ["mamba", "mamba2"])
def test_mamba_is_that_of_the_other_reference(kind):
    torch.manual_seed(5)
    mixer = perturbed(make_mixer(CONFIGS[kind], D_MODEL))
    tensors = {f"mixer.{name}": t.numpy() for name, t in mixer.state_dict().items()}
    tensors["norm.weight"] = torch.ones(D_MODEL).numpy()
    if kind == "mamba":
        layer = mamba_fp64.Layer(tensors, "", 0, None)
    else:
        layer = mamba2_fp64.Mamba2Layer(tensors, "", mamba2_fp64.Settings({"n_groups": 2}))
    state = mixer.initial_state(1)
    layer.norm_eps = 1e-5
    for _ in range(TOKENS):
        residual = torch.randn(D_MODEL, dtype=torch.float64)
        normed = residual * torch.rsqrt(residual.square().mean() + 1e-5)
        with torch.no_grad():
            expected = torch.from_numpy(layer.step(residual.numpy())) - residual
            assert_close(mixer.step(normed[None], state, {})[0], expected)


def test_rtf_kernel_is_its_transfer_function():
    """Aliased in time: taps n apart of the untruncated impulse response add up."""
    torch.manual_seed(6)
    mixer = perturbed(make_mixer({"type": "rtf", "d_state": 4, "trunc_len": 31}, 3))
    matrix, first = companion(mixer.a[0]), torch.eye(4, dtype=torch.float64)[0]
    response = torch.stack([mixer.b @ torch.linalg.matrix_power(matrix, t) @ first for t in range(32 * 40)])
    aliased = torch.cat([torch.zeros(1, 3), response[:-1]]).reshape(40, 32, 3).sum(0)
    aliased[0] += mixer.h_0
    assert_close(mixer.kernel(), aliased.T)


def test_rtf_poles_are_drawn_into_the_unit_circle():
    mixer = make_mixer({"type": "rtf", "d_state": 6, "trunc_len": 8, "num_a": 4}, 4)
    with torch.no_grad():
        mixer.a.copy_(torch.randn(4, 6))
    mixer.double().constrain()
    poles = torch.linalg.eigvals(companion(mixer.a)).abs().amax(-1)
    assert (poles < 0.999 + 1e-9).all()
    assert (poles > 0.99).any()


def test_legs_held_is_the_legendre_projection_of_the_history():
    """By Gauss's quadrature in every sample's interval, of the orthonormal polynomials on [0, 1]."""
    torch.manual_seed(7)
    size, tokens = 8, 20
    mixer = make_mixer({"type": "hippo_legs", "d_state": size, "discretization": "zoh"}, 1)
    u = torch.randn(tokens, dtype=torch.float64)
    h = torch.einsum("sn,s->n", mixer.responses(tokens)[-1], u)
    nodes, weights = gauss_legendre(size)
    expected = torch.zeros(size, dtype=torch.float64)
    for sample in range(tokens):
        expected += u[sample] * (legendre(size, (sample + nodes) / tokens) @ weights) / tokens
    assert_close(h, expected, 1e-11)


def gauss_legendre(count):
    """Nodes and weights on [0, 1], as the eigenvalues of Golub and Welsch's matrix."""
    k = torch.arange(1, count, dtype=torch.float64)
    off = k / torch.sqrt(4 * k * k - 1)
    nodes, vectors = torch.linalg.eigh(torch.diag(off, 1) + torch.diag(off, -1))
    return (nodes + 1) / 2, vectors[0].square()


def legendre(count, x):
    """(count, points): √(2n+1) P_n(2x − 1)."""
    x = 2 * x - 1
    rows = [torch.ones_like(x), x]
    for n in range(1, count - 1):
        rows.append(((2 * n + 1) * x * rows[n] - n * rows[n - 1]) / (n + 1))
    return torch.stack(rows) * torch.sqrt(2 * torch.arange(count, dtype=x.dtype) + 1)[:, None]


def test_legt_reconstructs_the_last_window():
    size, window, tokens = 32, 400, 1000
    mixer = make_mixer({"type": "hippo_legt", "d_state": size, "window": window}, 1)
    signal = torch.sin(torch.arange(tokens, dtype=torch.float64) / 50)
    h = torch.einsum("tn,t->n", hippo.powers(*mixer.discrete, tokens).flip(0), signal)
    place = (torch.arange(window, dtype=torch.float64) + 0.5) / window
    reconstruction = h @ legendre(size, place)
    assert (reconstruction - signal[-window:]).square().mean().sqrt() < 0.02


def test_s4_starts_as_legs():
    """The same answer of (s − A)⁻¹ in its basis and in the Legendre one."""
    mixer = make_mixer({"type": "s4", "d_state": 16}, 1).double()
    lam, p, b, _ = mixer._full()
    a = torch.diag(lam[0]) - torch.outer(p[0, 0], p[0, 0].conj())
    legs_a, legs_b = (m.to(a) for m in hippo.legs_matrices(16))
    for s in (0.5, 1 + 2j, 30j):
        actual, expected = (
            (c.conj() @ torch.linalg.solve(s * torch.eye(16) - m, c))
            for m, c in ((a, b[0]), (legs_a, legs_b))
        )
        assert abs(actual - expected) < 1e-5 * abs(expected)


@pytest.mark.parametrize(
    ("init", "second"), [("lin", math.pi), ("inv", 16 / math.pi * (16 / 3 - 1)), ("legs", None)]
)
def test_s4d_starts_as_asked(init, second):
    frequencies = modal.s4d_frequencies(8, init)
    assert len(frequencies) == 8
    if second is not None:
        assert abs(frequencies[1] - second) < 1e-5
    else:
        assert_close(torch.sort(frequencies.double()).values, hippo.legs_normal(16)[0], 1e-6)


def test_lru_starts_on_its_ring():
    decay, _ = make_mixer({"type": "lru", "d_state": 200}, 4).discrete()
    assert (decay.abs() > 0.499).all()
    assert (decay.abs() < 0.9991).all()


def test_mamba_starts_with_small_steps():
    mixer = make_mixer({"type": "mamba"}, 64)
    delta = torch.nn.functional.softplus(mixer.dt_proj.bias)
    assert (delta > 0.0009).all()
    assert (delta < 0.11).all()


def test_saved_models_load_as_they_were(tmp_path):
    torch.manual_seed(8)
    config = {
        "model_type": "ssm_lm",
        "d_model": 16,
        "n_layer": 2,
        "vocab_size": 11,
        "tie_word_embeddings": False,
        "mixer": {"type": "s4d", "d_state": 4},
        "mlp": {"type": "rwkv6", "d_inner": 8},
        "layers": [{}, {"mixer": {"type": "rwkv6", "head_dim": 8}, "mlp": None}],
    }
    model = perturbed(ssm_lm.SsmLm(config, {"s4d": {"input_matrix": True}, "rwkv6": {"mix_rank": 3}})).float()
    ssm_lm.save(model, tmp_path)
    tokens = torch.randint(11, (1, 9))
    assert torch.equal(ssm_lm.load(tmp_path)(tokens), model(tokens))


@pytest.mark.parametrize("mixer", [{"type": "s4d", "d_state": 4, "heads": 2}, {"type": "s6"}])
def test_unknown_members_and_mixers_are_errors(mixer):
    with pytest.raises(ValueError, match=r"s4d has no heads|no mixer 's6'"):
        make_mixer(mixer, 8)


def test_strong_decay_gives_numbers():
    k = torch.tensor([80.0, -80.0, 80.0]).repeat(4)[None, :, None].double()
    y = scans.wkv4(torch.tensor([-50.0]).double(), torch.tensor([0.5]).double(), k, k)
    assert torch.isfinite(y).all()
