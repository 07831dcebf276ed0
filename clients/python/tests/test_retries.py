"""Connections that are lost: what is tried again, and that nothing is applied twice."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon import ENDLESS, Daemon, eventually
from proxy import Proxy

import ssmd

PROMPT = "Once upon a time"
SOON = ssmd.Retries(first_delay_seconds=0.01)


@pytest.fixture
def by_proxy(proxy: Proxy) -> Iterator[ssmd.Client]:
    with ssmd.Client(proxy.server, retries=SOON) as client:
        yield client


def after(deltas: int, events: Iterator[ssmd.Event], lose: Callable[[], None]) -> list[ssmd.Event]:
    """All events, with something lost after so many Deltas."""
    all_of_them = []
    for event in events:
        all_of_them.append(event)
        deltas -= isinstance(event, ssmd.Delta)
        if deltas == 0:
            lose()
    return all_of_them


def expect_once(
    session: ssmd.Session, events: list[ssmd.Event], result: ssmd.Completion, truth: ssmd.Completion
) -> None:
    """What was handed on is the answer, piece by piece, and the session has it once."""
    deltas = [event for event in events if isinstance(event, ssmd.Delta)]
    assert "".join(delta.text for delta in deltas) == result.text == truth.text
    assert [token for delta in deltas for token in delta.token_ids] == result.token_ids
    assert result.token_ids == truth.token_ids
    for kind in (ssmd.Started, ssmd.ChoiceFinished, ssmd.Final):
        assert sum(isinstance(event, kind) for event in events) == 1
    assert session.revision == session.info().revision == 1


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_turn_that_was_lost_is_taken_again_from_where_it_was(
    client: ssmd.Client, by_proxy: ssmd.Client, proxy: Proxy, temperature: float
) -> None:
    session = by_proxy.session()
    stream = session.generate(PROMPT, max_tokens=300, ignore_eos=True, temperature=temperature)
    # The daemon sees the connection end, and drops the turn.
    events = after(10, stream.events(), proxy.lose)
    result = stream.result()
    truth = client.complete(
        PROMPT, max_tokens=300, ignore_eos=True, temperature=temperature, seed=result.seed
    )
    expect_once(session, events, result, truth)
    assert proxy.accepted > 1


def test_a_turn_that_runs_on_is_taken_over(
    client: ssmd.Client, by_proxy: ssmd.Client, proxy: Proxy, daemon: Daemon
) -> None:
    session = by_proxy.session()
    stream = session.generate(PROMPT, max_tokens=2000, ignore_eos=True, logprobs=0)
    before = daemon.ended_early()
    events = after(10, stream.events(), proxy.lose_client)
    result = stream.result()
    truth = client.complete(PROMPT, max_tokens=2000, ignore_eos=True, seed=result.seed)
    expect_once(session, events, result, truth)
    assert daemon.ended_early() == before
    assert not result.replayed
    # What had to be sent again came without log-probabilities.
    assert result.logprobs is not None
    assert len(result.logprobs.logprobs) == 2000


def test_a_turn_whose_answer_was_lost_is_answered_again(
    client: ssmd.Client, by_proxy: ssmd.Client, proxy: Proxy
) -> None:
    session = by_proxy.session()
    proxy.hold()
    stream = session.generate(PROMPT, max_tokens=20)
    assert eventually(lambda: client.attach(session.id).revision == 1)
    proxy.lose_client()
    events = list(stream.events())
    result = stream.result()
    truth = client.complete(PROMPT, max_tokens=20, seed=result.seed)
    expect_once(session, events, result, truth)
    assert result.replayed


def test_a_turn_is_known_by_its_name(client: ssmd.Client) -> None:
    session = client.session()
    turn: ssmd.TurnOptions = {"request_id": "story-1", "seed": 1, "expected_revision": None}
    first = session.complete(PROMPT, max_tokens=10, **turn)
    again = client.attach(session.id).complete(PROMPT, max_tokens=10, **turn)
    assert (first.replayed, again.replayed) == (False, True)
    assert again.text == first.text
    with pytest.raises(ssmd.AlreadyExists):
        session.complete(PROMPT, max_tokens=11, **turn)
    assert session.info().revision == 1


def test_asyncio_takes_a_turn_again_too(client: ssmd.Client, proxy: Proxy) -> None:
    async def main() -> ssmd.Completion:
        async with ssmd.AsyncClient(proxy.server, retries=SOON) as other:
            session = await other.session()
            stream = session.generate(PROMPT, max_tokens=300, ignore_eos=True)
            text = ""
            async for piece in stream:
                if not text:
                    proxy.lose()
                text += piece
            result = await stream.result()
            assert text == result.text
            assert session.revision == (await session.info()).revision == 1
            return result

    result = asyncio.run(main())
    truth = client.complete(PROMPT, max_tokens=300, ignore_eos=True, seed=result.seed)
    assert result.text == truth.text


def test_a_restart_is_survived(start_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    flags = ("--state-dir", str(tmp_path / "state"))
    first = start_daemon(*flags)
    proxy = Proxy(first.server)
    with ssmd.Client(proxy.server, retries=20) as client:
        session = client.session("Lily")
        first.stop(signal.SIGKILL)
        restart = threading.Timer(0.2, lambda: proxy.forward_to(start_daemon(*flags).server))
        restart.start()
        answer = session.complete(" had a ball.", max_tokens=10)
        assert answer.usage.generated_tokens == 10
        assert session.info().revision == session.revision == 2
        restart.join()
    proxy.close()


def test_without_a_session_nothing_is_tried_again_once_it_was_handed_on(
    by_proxy: ssmd.Client, proxy: Proxy
) -> None:
    stream = by_proxy.generate(PROMPT, max_tokens=ENDLESS, ignore_eos=True)
    with pytest.raises(ssmd.Unavailable):
        after(3, stream.events(), proxy.lose)
    assert stream.text


def test_without_a_session_what_has_not_begun_is_tried_again(
    by_proxy: ssmd.Client, proxy: Proxy
) -> None:
    by_proxy.models()
    proxy.hold()
    stream = by_proxy.generate(PROMPT, max_tokens=5)
    proxy.lose_client()
    assert stream.result().usage.generated_tokens == 5


def test_what_changes_something_is_not_tried_again_blindly(
    client: ssmd.Client, by_proxy: ssmd.Client, proxy: Proxy
) -> None:
    parent = by_proxy.session("Once")
    proxy.hold()
    failures: list[ssmd.Error] = []

    def fork() -> None:
        try:
            parent.fork()
        except ssmd.Error as error:
            failures.append(error)

    thread = threading.Thread(target=fork)
    thread.start()
    assert eventually(lambda: len(list(client.sessions(parent_id=parent.id))) == 1)
    proxy.lose_client()
    thread.join()
    assert isinstance(failures[0], ssmd.Unavailable)
    assert len(list(client.sessions(parent_id=parent.id))) == 1


def test_what_changes_nothing_is_tried_again(by_proxy: ssmd.Client, proxy: Proxy) -> None:
    by_proxy.models()
    proxy.hold()
    threading.Timer(0.05, proxy.lose_client).start()
    assert by_proxy.models()


def test_no_retries_means_none(proxy: Proxy) -> None:
    with ssmd.Client(proxy.server, retries=0) as client:
        session = client.session()
        stream = session.generate(PROMPT, max_tokens=ENDLESS, ignore_eos=True)
        with pytest.raises(ssmd.Unavailable):
            after(3, stream.events(), proxy.lose)


def test_a_full_server_is_waited_for_as_it_asks(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon("--state-slots", "2", "--max-waiting", "1")
    with ssmd.Client(daemon.server, retries=0) as client:
        options: ssmd.GenerateOptions = {"max_tokens": ENDLESS, "ignore_eos": True}
        running = []
        for _ in range(2):
            running.append(client.generate(PROMPT, **options))
            assert eventually(lambda: daemon.stats().running == len(running))
        waiting = client.generate(PROMPT, **options)
        assert eventually(lambda: daemon.stats().waiting == 1)
        with pytest.raises(ssmd.Overloaded) as caught:
            client.complete(PROMPT)
        assert caught.value.reason == "QUEUE_FULL"
        assert caught.value.retry_after is not None
        assert caught.value.retry_after > 0
        with ssmd.Client(daemon.server) as patient:
            threading.Timer(0.2, lambda: [s.cancel() for s in [*running, waiting]]).start()
            assert patient.complete(PROMPT, max_tokens=2).usage.generated_tokens == 2


def test_a_pause_that_would_outlast_the_timeout_is_not_begun() -> None:
    slow = ssmd.Retries(count=3, first_delay_seconds=60, longest_delay_seconds=60)
    with ssmd.Client("127.0.0.1:1", retries=slow) as client:
        start = time.monotonic()
        with pytest.raises(ssmd.Unavailable):
            client.models(timeout=5)
        assert time.monotonic() - start < 5


def test_cancelling_ends_the_wait_for_another_try() -> None:
    slow = ssmd.Retries(count=3, first_delay_seconds=600, longest_delay_seconds=600)
    with ssmd.Client("127.0.0.1:1", retries=slow) as client:
        stream = client.generate(PROMPT)
        threading.Timer(0.1, stream.cancel).start()
        with pytest.raises(ssmd.Cancelled):
            stream.result()
