"""Generating, scoring and tokenising with a real daemon."""

from __future__ import annotations

import _thread
import json
import math
import re
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from daemon import ENDLESS, LONG_SCORE, ROOT, Daemon, eventually
from proxy import Proxy

import ssmd

PROMPT = "Once upon a time"


def test_text_comes_piece_by_piece_and_adds_up(client: ssmd.Client) -> None:
    stream = client.generate(PROMPT, max_tokens=20, temperature=0)
    pieces = list(stream)
    result = stream.result()
    assert len(pieces) > 5
    assert "".join(pieces) == result.text == str(result) == stream.text
    assert client.detokenize(result.token_ids) == result.text
    assert result.finish_reason == "length"
    assert len(result.token_ids) == result.usage.generated_tokens == 20
    assert result.usage.prompt_tokens == len(client.tokenize(PROMPT))
    assert result.state_source == "fresh"
    assert result.model == "tales"
    assert result.numerics_profile.startswith("cpu/")
    assert result.timings.total_ms >= result.timings.first_token_ms > 0


def test_text_tokens_and_messages_are_prompts(client: ssmd.Client) -> None:
    by_text = client.complete(PROMPT, max_tokens=10, temperature=0)
    ids = np.array(client.tokenize(PROMPT))
    assert client.complete(tokens=ids, max_tokens=10, temperature=0).text == by_text.text
    messages: list[ssmd.ChatMessage] = [
        {"role": "system", "content": "Tell stories."},
        {"role": "user", "content": "One of a fox."},
    ]
    said = client.complete(messages=messages, max_tokens=10, temperature=0, echo=True)
    assert "One of a fox." in said.prompt_text
    with pytest.raises(TypeError):
        client.generate(PROMPT, tokens=ids)
    with pytest.raises(ValueError, match="role"):
        client.generate(messages=[{"role": "judge", "content": "?"}])  # type: ignore[typeddict-item]


def test_every_option_reaches_the_server(client: ssmd.Client) -> None:
    # Each with a value that it refuses by name.
    bad = {
        "max_tokens": -1,
        "temperature": -1,
        "top_k": -1,
        "top_p": 2,
        "min_p": 2,
        "repetition_penalty": 0,
        "presence_penalty": 3,
        "frequency_penalty": 3,
        "penalty_window": -1,
        "logit_bias": {1: 1000},
        "stop": [""],
        "stop_token_ids": [-1],
        "n": 0,
        "logprobs": 21,
        "priority": 101,
    }
    for name, value in bad.items():
        field = {"stop": "stop.strings", "stop_token_ids": "stop.token_ids"}.get(name, name)
        with pytest.raises(ssmd.InvalidArgument, match=field) as caught:
            client.complete(PROMPT, **{name: value})  # type: ignore[arg-type]
        assert caught.value.reason == "INVALID_FIELD"
        assert caught.value.request_id
    options = set(ssmd.GenerateOptions.__annotations__)
    assert options - set(bad) == {
        "seed",
        "ignore_eos",
        "stop_history",
        "echo",
        "parse_special",
        "timeout",
    }
    with pytest.raises(TypeError, match="temprature"):
        client.complete(PROMPT, temprature=1)  # type: ignore[call-arg]


def test_a_seed_repeats_and_a_random_one_is_told(client: ssmd.Client) -> None:
    first = client.complete(PROMPT, max_tokens=20)
    again = client.complete(PROMPT, max_tokens=20, seed=first.seed)
    assert again.token_ids == first.token_ids
    largest = 2**64 - 1
    assert client.complete(PROMPT, max_tokens=1, seed=largest).seed == largest


def test_a_stop_string_ends_the_answer(client: ssmd.Client) -> None:
    result = client.complete(PROMPT, max_tokens=100, temperature=0, stop=".")
    assert result.finish_reason == "stop"
    assert result.stop_reason == "."
    assert "." not in result.text


def test_ignoring_the_end_and_biasing_a_token(client: ssmd.Client) -> None:
    end = client.models()[0].eos_token_ids[0]
    bias = {end: 100.0}
    assert client.complete(PROMPT, max_tokens=3, logit_bias=bias).token_ids == []
    ids = client.complete(PROMPT, max_tokens=3, logit_bias=bias, ignore_eos=True).token_ids
    assert ids == [end] * 3


def test_several_choices(client: ssmd.Client) -> None:
    result = client.complete(PROMPT, max_tokens=10, n=3, seed=1)
    assert [choice.index for choice in result.choices] == [0, 1, 2]
    assert len({choice.text for choice in result.choices}) == 3
    assert result.text == result.choices[0].text
    with pytest.raises(TypeError, match="events"):
        list(client.generate(PROMPT, max_tokens=1, n=2))


def test_events_come_in_order(client: ssmd.Client) -> None:
    events = list(client.generate(PROMPT, max_tokens=5, n=2, echo=True).events())
    assert isinstance(events[0], ssmd.Started)
    assert isinstance(events[-1], ssmd.Final)
    deltas = [event for event in events if isinstance(event, ssmd.Delta)]
    for choice in (0, 1):
        assert "".join(d.text for d in deltas if d.choice == choice and d.echo) == PROMPT
        said = [d for d in deltas if d.choice == choice and not d.echo]
        assert sum(len(delta.token_ids) for delta in said) == 5
    assert sum(isinstance(event, ssmd.ChoiceFinished) for event in events) == 2


def test_logprobs_are_arrays_and_agree_with_scores(client: ssmd.Client) -> None:
    result = client.complete(PROMPT, max_tokens=6, temperature=0, logprobs=3, echo=True)
    assert result.logprobs is not None
    assert result.prompt_logprobs is not None
    assert result.logprobs.logprobs.dtype == np.float32
    assert result.logprobs.logprobs.shape == (6,)
    assert result.logprobs.top_token_ids.shape == result.logprobs.top_logprobs.shape == (6, 3)
    # Greedy: what was taken is the most likely.
    assert (result.logprobs.top_token_ids[:, 0] == result.token_ids).all()
    assert b"".join(result.logprobs.tokens).decode() == result.text
    ids = result.prompt_token_ids + result.token_ids
    told = np.concatenate([result.prompt_logprobs.logprobs, result.logprobs.logprobs])
    score = client.score(tokens=ids, top_logprobs=2)
    assert math.isnan(told[0])
    np.testing.assert_allclose(told[1:], score.logprobs.logprobs, atol=1e-5)
    assert score.token_ids == ids
    assert score.logprobs.top_logprobs.shape == (len(ids) - 1, 2)
    assert score.total == pytest.approx(float(told[1:].sum()), abs=1e-3)
    assert score.perplexity == pytest.approx(math.exp(-score.total / (len(ids) - 1)))
    assert client.complete(PROMPT, max_tokens=1).logprobs is None


def test_models_say_what_is_served(client: ssmd.Client) -> None:
    (model,) = client.models()
    assert model == client.model("tales")
    assert model.architecture == "mamba"
    assert model.vocabulary_size == 2048
    with pytest.raises(ssmd.NotFound) as caught:
        client.model("other")
    assert caught.value.reason == "MODEL_NOT_FOUND"


# --- Ends before the end ---


def expect_cancelled(daemon: Daemon, before: int) -> None:
    assert eventually(daemon.is_at_rest)
    assert daemon.ended_early()[before:] == ["CANCELLED"]


def test_leaving_the_loop_ends_the_turn_at_the_server(daemon: Daemon, client: ssmd.Client) -> None:
    before = len(daemon.ended_early())
    stream = client.generate(PROMPT, max_tokens=ENDLESS, ignore_eos=True)
    for _ in stream:
        assert daemon.stats().running == 1
        break
    expect_cancelled(daemon, before)
    with pytest.raises(ssmd.Cancelled):
        stream.result()


def test_leaving_the_block_ends_it(daemon: Daemon, client: ssmd.Client) -> None:
    before = len(daemon.ended_early())
    with client.generate(PROMPT, max_tokens=ENDLESS, ignore_eos=True) as stream:
        events = stream.events()
        next(events)
    expect_cancelled(daemon, before)


def test_forgetting_the_stream_ends_it(daemon: Daemon, client: ssmd.Client) -> None:
    before = len(daemon.ended_early())
    client.generate(PROMPT, max_tokens=ENDLESS, ignore_eos=True)
    assert eventually(daemon.is_at_rest)
    assert set(daemon.ended_early()[before:]) <= {"CANCELLED"}


def test_cancelling_from_another_thread_ends_it(daemon: Daemon, client: ssmd.Client) -> None:
    before = len(daemon.ended_early())
    stream = client.generate(PROMPT, max_tokens=ENDLESS, ignore_eos=True)
    iterator = iter(stream)
    next(iterator)
    threading.Thread(target=stream.cancel).start()
    with pytest.raises(ssmd.Cancelled):
        list(iterator)
    expect_cancelled(daemon, before)


def embedding() -> np.ndarray:
    """Of the bundled model, which is its head as well."""
    data = (ROOT / "deploy/models/tales-2m/model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    entry = json.loads(data[8 : 8 + length])["backbone.embeddings.weight"]
    assert entry["dtype"] == "BF16"
    begin, end = (8 + length + at for at in entry["data_offsets"])
    halves = np.frombuffer(data[begin:end], np.uint16).astype(np.uint32)
    return (halves << 16).view(np.float32).reshape(entry["shape"])


def test_the_last_vector_is_what_the_head_reads(client: ssmd.Client) -> None:
    hidden = client.encode(PROMPT, pooling="last")
    assert hidden.dtype == np.float32
    logits = embedding() @ hidden
    told = client.complete(PROMPT, max_tokens=1, temperature=0, logprobs=8).logprobs
    assert told is not None
    expected = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
    # The server's own product rounds the vector to bf16.
    np.testing.assert_allclose(told.top_logprobs[0], expected[told.top_token_ids[0]], atol=0.05)


def test_the_readme_compares_texts(client: ssmd.Client, capsys: pytest.CaptureFixture[str]) -> None:
    examples = re.findall(r"^```py\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    (example,) = [each for each in examples if "client.encode(" in each]
    exec(compile(example, "README.md", "exec"), {"client": client})
    near, far = map(float, capsys.readouterr().out.split())
    assert 1 > near > far > -1


def test_vectors_are_pooled_over_all_tokens(client: ssmd.Client) -> None:
    ids = client.tokenize("Once upon a time there was a fox.")
    rows = [client.encode(tokens=ids[: i + 1], pooling="last") for i in range(len(ids))]
    np.testing.assert_allclose(
        client.encode(tokens=ids), np.mean(rows, axis=0), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(client.encode(tokens=ids, pooling="max"), np.max(rows, axis=0))
    assert np.linalg.norm(client.encode(tokens=ids, normalize=True)) == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match="mean, last, max"):
        client.encode("x", pooling="least")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.complete(PROMPT, max_tokens=ENDLESS, ignore_eos=True),
        lambda client: client.score(tokens=[5] * LONG_SCORE),
    ],
    ids=["complete", "score"],
)
def test_an_interrupt_ends_it(
    daemon: Daemon, client: ssmd.Client, call: Callable[[ssmd.Client], object]
) -> None:
    before = len(daemon.ended_early())

    def interrupt() -> None:
        assert eventually(lambda: daemon.stats().running == 1)
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt) as caught:
        call(client)
    expect_cancelled(daemon, before)
    del caught  # until here it held on to the call, which ends when it is forgotten


def test_a_timeout_is_a_deadline_of_the_server(daemon: Daemon, proxy: Proxy) -> None:
    before = len(daemon.ended_early())
    with ssmd.Client(proxy.server) as client:
        stream = client.generate(PROMPT, max_tokens=ENDLESS, ignore_eos=True, timeout=0.5)
        assert eventually(lambda: daemon.stats().running == 1)
        proxy.hold_calls()  # it is not told that the client has given up: it has to know
        with pytest.raises(ssmd.DeadlineExceeded) as caught:
            stream.result()
        assert isinstance(caught.value, TimeoutError)
        assert eventually(daemon.is_at_rest)
        # CANCELLED where gRPC noticed before the engine did.
        assert daemon.ended_early()[before:] in (["DEADLINE_EXCEEDED"], ["CANCELLED"])


def test_the_clients_timeout_is_that_of_its_calls(daemon: Daemon) -> None:
    with ssmd.Client(daemon.server, timeout=0.3) as hasty:
        with pytest.raises(ssmd.DeadlineExceeded):
            hasty.complete(PROMPT, max_tokens=ENDLESS, ignore_eos=True)
        assert hasty.complete(PROMPT, max_tokens=2000, timeout=math.inf).usage.generated_tokens > 0


def test_closing_the_client_ends_its_calls(daemon: Daemon) -> None:
    before = len(daemon.ended_early())
    client = ssmd.Client(daemon.server)
    stream = client.generate(PROMPT, max_tokens=ENDLESS, ignore_eos=True)
    iterator = iter(stream)
    next(iterator)
    client.close()
    with pytest.raises(ssmd.Cancelled):
        list(iterator)
    expect_cancelled(daemon, before)


def test_a_client_is_shared_by_threads(client: ssmd.Client) -> None:
    alone = client.complete(PROMPT, max_tokens=30, seed=1).text
    texts: list[str] = []

    def work() -> None:
        texts.append(client.complete(PROMPT, max_tokens=30, seed=1).text)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [alone] * 16


# --- Who may ---


def test_tokens_are_sent_and_refused(start_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("the-right-one somebody admin\n")
    server = start_daemon("--token-file", str(tokens)).server
    with ssmd.Client(server, token="the-right-one") as client:
        assert client.models()
    with ssmd.Client(server, token="the-wrong-one") as client, pytest.raises(ssmd.Unauthenticated):
        client.models()


def test_both_sides_know_each_other_by_their_certificates(
    start_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-subj", "/CN=ssmd", "-addext", "subjectAltName=DNS:ssmd", "-days", "1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    flags = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    server = start_daemon(*flags, "--tls-client-ca", str(certificate)).server
    known = ssmd.Tls(certificate, certificate, key, server_name="ssmd")
    with ssmd.Client(server, tls=known) as client:
        assert client.models()
    for tls in (True, False, ssmd.Tls(certificate, server_name="ssmd")):
        with ssmd.Client(server, tls=tls, retries=0) as client, pytest.raises(ssmd.Unavailable):
            client.models()
