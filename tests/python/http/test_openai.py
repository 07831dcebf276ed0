"""The openai package, unmodified, against the daemon: what it asks for is what it gets."""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from typing import Any

import pytest

from asking import (
    EXPECTED,
    KINDS,
    MODES,
    PROMPT,
    WAYS,
    Asker,
    Kind,
    Mode,
    arguments_of,
    raw,
    raw_chat,
)
from daemon import END_ID, MODEL, ROOT, Daemon, token_id

# Kinds of calls that take all parameters of sampling.
SAMPLED: tuple[Kind, ...] = ("completions", "chat")


# --- The same in every way ---


@pytest.mark.parametrize(("kind", "mode"), WAYS)
def test_says_the_same_in_every_way(ask: Asker, kind: Kind, mode: Mode) -> None:
    whole = ask(kind, PROMPT)
    answer = ask(kind, PROMPT, mode=mode)
    assert answer.text == whole.text != ""
    assert answer.finish == {0: "length"}
    assert answer.pieces == 1 if mode.endswith("whole") else answer.pieces > 4
    if kind == "completions":
        assert answer.text.startswith(EXPECTED)


@pytest.mark.parametrize(("kind", "mode"), WAYS)
def test_a_seed_says_the_same_again(ask: Asker, kind: Kind, mode: Mode) -> None:
    seeded = {"temperature": 1.2, "extra_body": {"seed": 11}}
    first = ask(kind, PROMPT, tokens=24, mode=mode, **seeded)
    again = ask(kind, PROMPT, tokens=24, mode=mode, **seeded)
    other = ask(kind, PROMPT, tokens=24, temperature=1.2, extra_body={"seed": 12})
    assert first.text == again.text != other.text
    assert first.ssmd["seed"] == 11


@pytest.mark.parametrize(("kind", "mode"), WAYS)
def test_usage_adds_up(ask: Asker, kind: Kind, mode: Mode) -> None:
    answer = ask(kind, PROMPT, tokens=9, mode=mode)
    assert answer.output_tokens == 9
    assert answer.total_tokens == answer.prompt_tokens + 9
    assert answer.cached_tokens == answer.ssmd["reused_tokens"]
    assert answer.ssmd["reused_tokens"] + answer.ssmd["computed_tokens"] == answer.prompt_tokens
    assert answer.prompt_tokens == 4 if kind == "completions" else answer.prompt_tokens > 4
    times = answer.ssmd["timings_ms"]
    assert 0 <= times["queue"] <= times["first_token"] <= times["total"]


def test_a_seed_that_was_drawn_gives_the_answer_again(ask: Asker) -> None:
    drawn = ask("completions", PROMPT, temperature=1)
    again = ask("completions", PROMPT, temperature=1, seed=drawn.ssmd["seed"])
    assert again.text == drawn.text


def test_usage_of_a_stream_comes_when_it_is_asked_for(ask: Asker) -> None:
    for options in ({}, {"stream_options": {"include_usage": False}}):
        chunks = list(raw(ask, stream=True, **options))
        assert all(chunk.usage is None and chunk.choices for chunk in chunks)
        ssmd = chunks[-1].ssmd
        assert ssmd["reused_tokens"] + ssmd["computed_tokens"] == 4


def test_prompts_are_text_or_token_ids(ask: Asker) -> None:
    ids = [token_id(token) for token in ("Once", " upon", " a", " time")]
    text = ask("completions", PROMPT).text
    for prompt in (ids, [PROMPT], [ids]):
        assert ask("completions", prompt).text == text


def test_chats_have_parts_of_text(ask: Asker) -> None:
    parts = [{"type": "text", "text": "Once upon"}, {"type": "text", "text": " a time"}]
    whole = ask("chat", PROMPT)
    assert ask("chat", [{"role": "user", "content": parts}]).text == whole.text
    input_parts = [{"type": "input_text", "text": PROMPT}]
    assert ask("responses", [{"role": "user", "content": input_parts}]).text == whole.text
    system = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": PROMPT}]
    told = ask("chat", system)
    assert told.prompt_tokens > whole.prompt_tokens
    assert ask("responses", PROMPT, instructions="Be kind.").text == told.text


def test_the_readme_example_runs(daemon: Daemon) -> None:
    examples = re.findall(r"^```py\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    (example,) = [each for each in examples if "import OpenAI" in each]
    code = example.replace("http://127.0.0.1:8080", daemon.url).replace("tales-2m", MODEL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "README.md", "exec"), names)
    first, left, right = names["first"], names["left"], names["right"]
    assert first.choices[0].message.content
    for branch in (left, right):
        assert branch.ssmd["parent_id"] == first.id
        assert branch.ssmd["reused_tokens"] >= first.usage.total_tokens - 1
    assert left.ssmd["session_id"] != right.ssmd["session_id"]


# --- Sampling ---


@pytest.mark.parametrize("kind", KINDS)
def test_the_narrowest_choice_is_the_likeliest(ask: Asker, kind: Kind) -> None:
    likeliest = ask(kind, PROMPT).text
    narrow: list[dict[str, Any]] = [
        {"top_p": 1e-6},
        {"extra_body": {"top_k": 1}},
        {"extra_body": {"min_p": 1.0}},
    ]
    for parameters in narrow:
        assert ask(kind, PROMPT, temperature=1, **parameters).text == likeliest, parameters


@pytest.mark.parametrize("kind", SAMPLED)
@pytest.mark.parametrize("mode", ["whole", "stream"])
def test_several_choices(ask: Asker, kind: Kind, mode: Mode) -> None:
    answer = ask(kind, PROMPT, tokens=24, mode=mode, n=3, temperature=1.2, seed=5)
    again = ask(kind, PROMPT, tokens=24, n=3, temperature=1.2, seed=5)
    assert answer.texts == again.texts
    assert set(answer.texts) == set(answer.finish) == {0, 1, 2}
    assert len(set(answer.texts.values())) == 3
    assert answer.total_tokens == answer.prompt_tokens + answer.output_tokens
    assert answer.output_tokens <= 3 * 24
    assert answer.prompt_tokens == ask(kind, PROMPT, tokens=1).prompt_tokens
    alike = ask(kind, PROMPT, n=3)
    assert set(alike.texts.values()) == {ask(kind, PROMPT).text}


@pytest.mark.parametrize("kind", SAMPLED)
@pytest.mark.parametrize("mode", ["whole", "stream"])
def test_stop_strings_are_cut_off(ask: Asker, kind: Kind, mode: Mode) -> None:
    whole = ask(kind, PROMPT, tokens=40).text
    stop = whole[12:17]
    for given in (stop, [stop], ["never said", stop], ["never", "said", "by it", stop]):
        answer = ask(kind, PROMPT, tokens=40, mode=mode, stop=given)
        assert answer.text == whole[: whole.index(stop)]
        assert answer.finish == {0: "stop"}
    assert ask(kind, PROMPT, tokens=40, mode=mode, stop=["never said"]).text == whole


@pytest.mark.parametrize("kind", SAMPLED)
def test_stop_tokens(ask: Asker, kind: Kind) -> None:
    named = token_id(" a")
    whole = ask(kind, PROMPT, tokens=40).text
    answer = ask(kind, PROMPT, tokens=40, extra_body={"stop_token_ids": [named]})
    assert answer.finish == {0: "stop"}
    assert answer.text == whole[: whole.index(" a ")]


def test_the_model_stops_by_itself_unless_told_not_to(ask: Asker) -> None:
    ended = ask("completions", PROMPT, tokens=900)
    assert ended.finish == {0: "stop"}
    assert ended.output_tokens < 900
    went_on = ask("completions", PROMPT, tokens=900, extra_body={"ignore_eos": True})
    assert went_on.finish == {0: "length"}
    assert went_on.output_tokens == 900
    assert went_on.text.startswith(ended.text)


@pytest.mark.parametrize("kind", SAMPLED)
def test_bias_forces_and_bans_tokens(ask: Asker, kind: Kind) -> None:
    forced = ask(kind, PROMPT, tokens=5, logit_bias={str(token_id(" dog")): 100})
    assert forced.text == " dog" * 5
    plain = ask(kind, PROMPT, tokens=40).text
    banned = ask(kind, PROMPT, tokens=40, logit_bias={str(token_id(" a")): -100}).text
    assert " a " in plain
    assert " a " not in banned


@pytest.mark.parametrize("penalty", ["presence_penalty", "frequency_penalty", "repetition_penalty"])
def test_penalties_keep_from_repeating(ask: Asker, penalty: str) -> None:
    def most_repeated(**more: Any) -> int:
        result = raw(ask, logprobs=0, **more)
        return max(Counter(result.choices[0].logprobs.tokens).values())

    long = {"max_tokens": 120, "extra_body": {"ignore_eos": True}}
    with_penalty = {**long, "extra_body": {"ignore_eos": True, penalty: 2}}
    assert most_repeated(**with_penalty) < most_repeated(**long)
    rewarded = {**long, "extra_body": {"ignore_eos": True, "frequency_penalty": -2}}
    assert most_repeated(**rewarded) > most_repeated(**long)


@pytest.mark.parametrize("mode", MODES)
def test_as_many_tokens_as_asked_for(ask: Asker, mode: Mode) -> None:
    for kind in KINDS:
        assert ask(kind, PROMPT, tokens=3, mode=mode).output_tokens == 3
        nothing = ask(kind, PROMPT, tokens=0, mode=mode)
        assert (nothing.texts.get(0, ""), nothing.output_tokens) == ("", 0)
    chat = arguments_of("chat", PROMPT, 3)
    del chat["max_completion_tokens"]
    assert ask.client.chat.completions.create(**chat, max_tokens=2).usage.completion_tokens == 2
    both = ask("chat", PROMPT, tokens=3, mode=mode, max_tokens=5)
    assert both.output_tokens == 3
    default = arguments_of("completions", PROMPT, 3)
    del default["max_tokens"]
    assert ask.client.completions.create(**default).usage.completion_tokens == 16


@pytest.mark.parametrize("kind", KINDS)
def test_what_says_nothing_of_the_answer_is_passed_over(ask: Asker, kind: Kind) -> None:
    plain = ask(kind, PROMPT).text
    passed_over: dict[str, Any] = {
        "user": "someone",
        "metadata": {"a": "b"},
        "service_tier": "auto",
        "safety_identifier": "x",
        "prompt_cache_key": "y",
    }
    assert ask(kind, PROMPT, extra_body=passed_over).text == plain
    assert ask(kind, PROMPT, extra_headers={"OpenAI-Organization": "o"}).text == plain


def test_what_says_the_default_is_taken(ask: Asker) -> None:
    plain = raw(ask).choices[0].text
    assert raw(ask, best_of=1, suffix="", echo=False, n=1, top_p=1).choices[0].text == plain
    chat = raw_chat(ask).choices[0].message.content
    same = raw_chat(
        ask, response_format={"type": "text"}, modalities=["text"], tools=[], tool_choice="auto"
    )
    assert same.choices[0].message.content == chat
    response = ask("responses", PROMPT).text
    same_response = ask(
        "responses",
        PROMPT,
        text={"format": {"type": "text"}},
        tools=[],
        truncation="disabled",
        background=False,
    )
    assert same_response.text == response


# --- Log probabilities ---


def test_log_probabilities_of_a_completion(ask: Asker) -> None:
    choice = raw(ask, logprobs=20, max_tokens=12).choices[0]
    logprobs = choice.logprobs
    assert "".join(logprobs.tokens) == choice.text
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.top_logprobs) == 12
    position = 0
    for token, logprob, top, offset in zip(
        logprobs.tokens,
        logprobs.token_logprobs,
        logprobs.top_logprobs,
        logprobs.text_offset,
        strict=True,
    ):
        assert offset == position
        position += len(token)
        values = list(top.values())
        assert len(values) == 20
        assert values == sorted(values, reverse=True)
        assert sum(math.exp(value) for value in values) <= 1 + 1e-5
        # The likeliest was taken.
        assert next(iter(top.items())) == (token, logprob)


def test_log_probabilities_of_a_chat(ask: Asker) -> None:
    result = raw_chat(
        ask, logprobs=True, top_logprobs=20, max_completion_tokens=12, temperature=1, seed=3
    )
    choice = result.choices[0]
    content = choice.logprobs.content
    assert len(content) == 12
    assert "".join(part.token for part in content) == choice.message.content
    joined = bytes(byte for part in content for byte in part.bytes)
    assert joined.decode() == choice.message.content
    for part in content:
        values = [top.logprob for top in part.top_logprobs]
        assert len(values) == 20
        assert values == sorted(values, reverse=True)
        assert sum(math.exp(value) for value in values) <= 1 + 1e-5
        known = {top.token: top.logprob for top in part.top_logprobs}
        assert known.get(part.token, part.logprob) == part.logprob
        assert part.token in known or part.logprob <= values[-1]


def test_log_probabilities_without_alternatives(ask: Asker) -> None:
    content = raw_chat(ask, logprobs=True).choices[0].logprobs.content
    assert [part.top_logprobs for part in content] == [[]] * 8
    assert raw_chat(ask, logprobs=False).choices[0].logprobs is None
    logprobs = raw(ask, logprobs=0).choices[0].logprobs
    assert logprobs.top_logprobs == [{}] * 8
    assert raw(ask).choices[0].logprobs is None


@pytest.mark.parametrize("echo", [False, True])
def test_streams_have_the_same_log_probabilities(ask: Asker, echo: bool) -> None:
    whole = raw(ask, logprobs=2, echo=echo).choices[0].logprobs
    streamed: dict[str, list[Any]] = {}
    for chunk in raw(ask, logprobs=2, echo=echo, stream=True):
        for name, values in chunk.choices[0].logprobs.to_dict().items():
            streamed[name] = streamed.get(name, []) + values
    assert streamed == whole.to_dict()
    if echo:
        return
    chat = raw_chat(ask, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    parts = [
        part
        for chunk in raw_chat(ask, logprobs=True, top_logprobs=2, stream=True)
        if chunk.choices[0].logprobs is not None
        for part in chunk.choices[0].logprobs.content
    ]
    assert [part.to_dict() for part in parts] == [part.to_dict() for part in chat]


def test_an_echo_scores_the_prompt(ask: Asker) -> None:
    said = raw(ask, logprobs=1).choices[0]
    echoed = raw(ask, logprobs=1, echo=True).choices[0]
    assert echoed.text == PROMPT + said.text
    assert echoed.logprobs.tokens[:4] == ["Once", " upon", " a", " time"]
    assert echoed.logprobs.token_logprobs[0] is None
    assert echoed.logprobs.top_logprobs[0] is None
    assert echoed.logprobs.token_logprobs[4:] == said.logprobs.token_logprobs
    # Of the same text as a prompt: reading it is scoring it.
    read = ask.client.completions.create(
        **arguments_of("completions", echoed.text, 0, logprobs=1, echo=True)
    )
    scored = read.choices[0].logprobs
    assert read.choices[0].text == echoed.text
    assert scored.tokens == echoed.logprobs.tokens
    assert scored.token_logprobs[1:] == pytest.approx(echoed.logprobs.token_logprobs[1:], abs=1e-3)
    plain = raw(ask, echo=True).choices[0]
    assert (plain.text, plain.logprobs) == (echoed.text, None)


def bytes_of(token: str) -> bytes:
    """Of a token of a completion, which OpenAI names by its bytes where it is no whole text."""
    if not token.startswith("bytes:"):
        return token.encode()
    return bytes(int(code, 16) for code in token.removeprefix("bytes:").split("\\x")[1:])


def test_tokens_that_are_parts_of_characters(ask: Asker) -> None:
    """Text comes in whole characters, whatever tokens end within one."""
    prompt = "A 🦊 é字"
    arguments = arguments_of("completions", prompt, 0, echo=True, logprobs=20)
    whole = ask.client.completions.create(**arguments).choices[0]
    assert whole.text == prompt
    assert whole.logprobs is not None
    assert whole.logprobs.tokens is not None
    assert b"".join(map(bytes_of, whole.logprobs.tokens)).decode() == prompt
    assert any(token.startswith("bytes:") for token in whole.logprobs.tokens)
    offsets = whole.logprobs.text_offset
    assert offsets == sorted(offsets or [])
    pieces = []
    for chunk in ask.client.completions.create(**arguments, stream=True):
        pieces.append(chunk.choices[0].text)
    assert "".join(pieces) == prompt
    # The first byte of a fox, and never the second.
    half = {"logit_bias": {str(token_id("ð")): 100}}
    choice = raw_chat(ask, logprobs=True, **half).choices[0]
    assert [part.bytes for part in choice.logprobs.content] == [[0xF0]] * 8
    assert choice.message.content == "\ufffd" * 8
    for mode in MODES:
        assert ask("chat", PROMPT, tokens=8, mode=mode, **half).text == "\ufffd" * 8


# --- The package's own ways to read streams ---


def test_the_reader_of_chats(ask: Asker) -> None:
    arguments = arguments_of("chat", PROMPT, 60, stop=["."])
    expected = ask("chat", PROMPT, tokens=60, stop=["."])
    with ask.client.chat.completions.stream(**arguments, logprobs=True, top_logprobs=2) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    assert final.choices[0].message.content == expected.text
    assert final.choices[0].finish_reason == "stop"
    kinds = Counter(event.type for event in events)
    assert kinds["content.done"] == 1
    assert kinds["content.delta"] > 4
    assert kinds["logprobs.content.delta"] > 4
    parsed = ask.client.chat.completions.parse(**arguments)
    assert parsed.choices[0].message.content == expected.text


def test_the_reader_of_responses(ask: Asker) -> None:
    ends: dict[str, Any] = {"extra_body": {"logit_bias": {str(END_ID): 6}}}
    arguments = arguments_of("responses", PROMPT, 60, **ends)
    expected = ask("responses", PROMPT, tokens=60, **ends)
    assert expected.finish == {0: "stop"}
    with ask.client.responses.stream(**arguments) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == expected.text
    assert final.status == "completed"
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"

    async def read() -> str:
        async with ask.make_async() as client, client.responses.stream(**arguments) as stream:
            return (await stream.get_final_response()).output_text

    assert asyncio.run(read()) == expected.text
