"""What is new of a stream that begins again, without a server."""

from __future__ import annotations

import math

import pytest

import ssmd
from ssmd._assembly import Assembly
from ssmd._proto import common_pb2, generation_pb2


def request(logprobs: int | None = None) -> generation_pb2.GenerateRequest:
    return generation_pb2.GenerateRequest(logprobs=logprobs)


def delta(text: str, *ids: int, told: bool = False, echo: bool = False, choice: int = 0):
    message = generation_pb2.Delta(choice_index=choice, text=text, token_ids=ids, echo=echo)
    for token in ids if told else ():
        message.logprobs.add(token=common_pb2.TokenLogprob(token_id=token, logprob=-float(token)))
    return generation_pb2.GenerateResponse(delta=message)


def finished(revision: int = 1):
    return generation_pb2.GenerateResponse(
        choice_finished=generation_pb2.ChoiceFinished(finish_reason=1, revision=revision)
    )


def final():
    return generation_pb2.GenerateResponse(final=generation_pb2.Final())


def started(replayed: bool = False):
    return generation_pb2.GenerateResponse(
        started=generation_pb2.Started(model="m", seed=7, replayed=replayed)
    )


def test_what_repeats_is_left_out_however_it_is_cut() -> None:
    assembly = Assembly(request())
    assert isinstance(assembly.take(started()), ssmd.Started)
    assembly.take(delta("Once", 1))
    assembly.take(delta(" upon", 2))
    assembly.begin_again()
    assert assembly.take(started(replayed=True)) is None
    assert assembly.take(delta("On", 1)) is None
    event = assembly.take(delta("ce upon a", 2, 3))
    assert isinstance(event, ssmd.Delta)
    assert (event.text, event.token_ids) == (" a", [3])
    assembly.begin_again()
    event = assembly.take(delta("Once upon a time", 1, 2, 3, 4))
    assert isinstance(event, ssmd.Delta)
    assert (event.text, event.token_ids) == (" time", [4])
    assembly.take(finished())
    assembly.take(final())
    result = assembly.completion()
    assert (result.text, result.token_ids) == ("Once upon a time", [1, 2, 3, 4])
    assert result.replayed
    assert result.finish_reason == "stop"


@pytest.mark.parametrize("other", [("Then", 1), ("Once", 9)])
def test_another_answer_is_not_mixed_in(other: tuple[str, int]) -> None:
    assembly = Assembly(request())
    assembly.take(delta("Once", 1))
    assembly.begin_again()
    with pytest.raises(ssmd.Aborted) as caught:
        assembly.take(delta(*other))
    assert caught.value.reason == "RETRY_DIVERGED"


def test_choices_and_echo_are_kept_apart() -> None:
    assembly = Assembly(request())
    assembly.take(delta("p", 5, echo=True))
    assembly.take(delta("a", 1, choice=0))
    assembly.take(delta("b", 2, choice=1))
    assembly.begin_again()
    assert assembly.take(delta("b", 2, choice=1)) is None
    assert assembly.take(delta("p", 5, echo=True)) is None
    event = assembly.take(delta("ac", 1, 3, choice=0))
    assert isinstance(event, ssmd.Delta)
    assert (event.choice, event.text, event.token_ids) == (0, "c", [3])


def test_log_probabilities_that_did_not_come_are_nan() -> None:
    assembly = Assembly(request(logprobs=0))
    assembly.take(started())
    assembly.take(delta("a", 1, told=True))
    assembly.begin_again()
    assembly.take(delta("ab", 1, 2))
    assembly.take(delta("c", 3, told=True))
    assembly.take(finished())
    assembly.take(final())
    logprobs = assembly.completion().logprobs
    assert logprobs is not None
    assert [None if math.isnan(value) else value for value in logprobs.logprobs] == [-1, None, -3]


def test_an_end_before_the_last_event_is_an_error() -> None:
    assembly = Assembly(request())
    assembly.take(started())
    assembly.take(finished())
    with pytest.raises(ssmd.Internal):
        assembly.completion()


def test_events_and_words_of_later_versions_are_taken_as_they_are() -> None:
    assembly = Assembly(request())
    assert assembly.take(generation_pb2.GenerateResponse()) is None
    message = finished()
    message.choice_finished.finish_reason = 99  # type: ignore[assignment]
    event = assembly.take(message)
    assert isinstance(event, ssmd.ChoiceFinished)
    assert event.finish_reason == "99"
