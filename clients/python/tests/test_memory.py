"""Memories of signals, with a real daemon."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from daemon import ROOT, Daemon

import ssmd

LEGS = ROOT / "deploy/models/hippo-legs-64"


@pytest.fixture(scope="module")
def memories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    pair = tmp_path_factory.mktemp("pair")
    (pair / "config.json").write_text(
        '{"model_type": "hippo_memory", "basis": "legt", "d_state": 16, "window": 200, "channels": 2}'
    )
    daemon = Daemon(
        tmp_path_factory.mktemp("daemon"), "--model", f"legs={LEGS}", "--model", f"pair={pair}"
    )
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture
def client(memories: Daemon) -> Iterator[ssmd.Client]:
    with ssmd.Client(memories.server) as client:
        yield client


def wave(first: int, last: int) -> np.ndarray:
    return np.sin(0.01 * np.arange(first, last))


def test_the_readme_example_runs(client: ssmd.Client) -> None:
    examples = re.findall(r"^```py\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    (example,) = [each for each in examples if "client.memory(" in each]
    samples = wave(0, 6637)
    names: dict[str, object] = {"client": client, "samples": samples}
    exec(compile(example, "README.md", "exec"), names)
    np.testing.assert_allclose(names["past"], samples[[0, 17, -1]], atol=0.1)  # type: ignore[arg-type]
    assert np.shape(names["numbers"]) == (64,)


def test_a_signal_is_remembered(client: ssmd.Client) -> None:
    with client.memory("legs", delete_on_exit=True) as memory:
        assert (memory.basis, memory.state_size, memory.channels) == ("legs", 64, 1)
        assert (memory.window, memory.discretization, memory.samples) == (0, "zoh", 0)
        assert memory.append(wave(0, 1500)) == 1500
        assert memory.append(list(wave(1500, 1600))) == 1600
        assert memory.samples == 1600
        times = [0, 17.25, 800, 1599]
        past = memory.reconstruct(times)
        assert past.shape == (4,)
        np.testing.assert_allclose(past, np.sin(0.01 * np.array(times)), atol=0.02)
        coefficients = memory.coefficients()
        assert coefficients.shape == (64,)
        error = memory.error()
        assert isinstance(error, float)
        assert 0 < error < 0.01
        # Parseval: what is not in the coefficients is the error. Samples are kept to 23 bits.
        square = np.mean(wave(0, 1600) ** 2) - np.sum(coefficients**2)
        assert error == pytest.approx(np.sqrt(square), rel=1e-3)
    with pytest.raises(ssmd.NotFound):
        client.attach(memory.id)


def test_a_long_signal_goes_in_pieces(client: ssmd.Client) -> None:
    long = wave(0, 70000)
    memory = client.memory("legs")
    assert memory.append(long) == 70000
    assert memory.session.revision == 3
    other = client.memory("legs")
    for first in range(0, 70000, 10000):
        other.append(long[first : first + 10000])
    np.testing.assert_array_equal(memory.coefficients(), other.coefficients())
    times = np.arange(0, 69999, 1.5)
    assert memory.reconstruct(times).shape == times.shape


def test_nothing_is_nothing(client: ssmd.Client) -> None:
    memory = client.memory("legs")
    assert memory.append([]) == 0
    assert memory.reconstruct([]).shape == (0,)
    assert memory.error() is None
    with pytest.raises(ssmd.InvalidArgument):
        memory.reconstruct([0])


def test_forks_and_rewinds_go_by_the_session(client: ssmd.Client, tmp_path: Path) -> None:
    memory = client.memory("legs")
    memory.append(wave(0, 100))
    child = memory.fork()
    child.append(wave(100, 130))
    assert (memory.samples, child.samples) == (100, 130)
    before = child.coefficients()
    child.append(wave(500, 600))
    child.session.rewind()
    assert child.samples == 130
    np.testing.assert_array_equal(child.coefficients(), before)
    child.session.save(tmp_path / "signal.ssm")
    loaded = client.load(tmp_path / "signal.ssm", model="legs")
    again = client.memory(session_id=loaded.id)
    assert again.samples == 130
    np.testing.assert_array_equal(again.coefficients(), before)


def test_channels_are_columns(client: ssmd.Client) -> None:
    memory = client.memory("pair")
    both = np.stack([wave(0, 1000), 1 - wave(0, 1000)], axis=1)
    assert memory.append(both) == 1000
    past = memory.reconstruct([800, 999])
    assert past.shape == (2, 2)
    np.testing.assert_allclose(past, both[[800, 999]], atol=0.02)
    np.testing.assert_array_equal(memory.reconstruct([900], channels=[1])[0, 0], past_of(memory, 1))
    assert memory.coefficients().shape == (2, 16)
    assert memory.error() is None
    with pytest.raises(ValueError, match=r"\(time, 2\)"):
        memory.append(wave(0, 10))
    with pytest.raises(ssmd.InvalidArgument, match=r"\[800, 999\]"):
        memory.reconstruct([799])


def past_of(memory: ssmd.Memory, channel: int) -> float:
    return float(memory.reconstruct([900])[0, channel])


def test_somebody_elses_change_is_a_conflict(client: ssmd.Client) -> None:
    memory = client.memory("legs")
    other = client.memory(session_id=memory.id)
    other.append([1, 2])
    with pytest.raises(ssmd.Conflict):
        memory.append([3])
    memory.session.info()
    assert memory.append([3]) == 3


def test_what_is_no_number_is_refused(client: ssmd.Client) -> None:
    memory = client.memory("legs")
    with pytest.raises(ssmd.InvalidArgument, match="number 1"):
        memory.append([0.5, float("nan")])
    assert memory.append([0.5]) == 1


def test_a_language_model_is_no_memory(client: ssmd.Client) -> None:
    with pytest.raises(ssmd.FailedPrecondition) as refused:
        client.memory("tales")
    assert refused.value.reason == "MODEL_KIND"
    with pytest.raises(ssmd.FailedPrecondition):
        client.complete("Once", model="legs")


def test_the_client_for_asyncio_says_the_same(memories: Daemon, client: ssmd.Client) -> None:
    here = client.memory("legs")
    here.append(wave(0, 300))

    async def scenario() -> None:
        async with ssmd.AsyncClient(memories.server) as other:
            memory = await other.memory("legs", delete_on_exit=True)
            async with memory:
                assert await memory.append(wave(0, 300)) == 300
                np.testing.assert_array_equal(await memory.coefficients(), here.coefficients())
                np.testing.assert_array_equal(await memory.reconstruct([7]), here.reconstruct([7]))
                assert await memory.error() == here.error()
                child = await memory.fork()
                assert await child.append([1]) == 301
            with pytest.raises(ssmd.NotFound):
                await other.attach(memory.id)

    asyncio.run(scenario())


def test_it_is_listed_without_a_vocabulary(client: ssmd.Client) -> None:
    sizes = {model.name: model.vocabulary_size for model in client.models()}
    assert sizes == {"tales": 2048, "legs": 0, "pair": 0}
