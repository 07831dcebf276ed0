"""Asking, streaming, stopping, and what is said of each answer."""

from __future__ import annotations

import json
import re
import urllib.request

from playwright.sync_api import BrowserContext, expect

from playground import ENDLESS, Playground
from servers import Mock, Server, eventually


def test_an_answer_streams_and_grows_the_text(play: Playground) -> None:
    play.ask("Once upon a time")
    first = play.text()
    assert first.startswith("Once upon a time")
    assert len(first) > len("Once upon a time") + 20
    play.ask(" Then the door opened")
    assert play.text().startswith(first + " Then the door opened")


def test_an_empty_prompt_lets_the_model_go_on(play: Playground) -> None:
    play.set("max_tokens", "8")
    play.ask("Once upon a time")
    first = play.text()
    play.ask("")
    assert play.text().startswith(first)
    assert len(play.text()) > len(first)


def test_a_chat_is_a_list_of_turns(context: BrowserContext, server: Server) -> None:
    play = Playground(context, server.url, mode="chat")
    play.set("max_tokens", "20")
    play.ask("Tell me a story")
    play.ask("And then?")
    expect(play.page.locator(".turn .prompt")).to_have_text(["Tell me a story", "And then?"])


def test_instructions_begin_a_chat(context: BrowserContext, mock: Mock) -> None:
    play = Playground(context, mock.url, mode="chat")
    play.page.fill("#system", "Be brief.")
    play.ask("Hello")
    expect(play.page.locator("#system-row")).to_be_hidden()
    play.ask("Hello again")
    first, second = mock.server.requests
    assert first["messages"][0] == {"role": "system", "content": "Be brief."}
    assert second["messages"] == [{"role": "user", "content": "Hello again"}]


def test_a_model_without_a_chat_format_cannot_chat(context: BrowserContext, server: Server) -> None:
    play = Playground(context, server.url, model="demo", mode="chat")
    play.page.select_option("#model", "tales")
    expect(play.page.locator("[name=mode][value=chat]")).to_be_disabled()
    expect(play.page.locator("[name=mode][value=prompt]")).to_be_checked()
    play.ask("Once upon a time")


def test_each_answer_says_what_was_read_and_what_was_not(play: Playground) -> None:
    play.ask("Once upon a time")
    stats = play.page.locator(".stats")
    expect(stats).to_contain_text(re.compile(r"read \d+ token"))
    play.ask(" Then")
    expect(stats).to_contain_text("already in the state")
    expect(stats.locator(".source")).to_have_text(re.compile("resident|host|disk"))


def likeliest(url: str, prompt: str, characters: int) -> str:
    """At least so many characters of a text: the prompt and what the demo model finds likeliest after it."""
    body = {"model": "demo", "prompt": prompt, "temperature": 0, "max_tokens": ENDLESS, "ignore_eos": True}
    request = urllib.request.Request(f"{url}/v1/completions", json.dumps(body | {"stream": True}).encode())
    request.add_header("Content-Type", "application/json")
    text = prompt
    with urllib.request.urlopen(request) as response:
        for line in response:
            if line.startswith(b"data: "):
                text += json.loads(line[6:])["choices"][0]["text"]
            if len(text) >= characters:
                break
    return text


def test_a_stopped_answer_is_gone_on_from_exactly(play: Playground, server: Server) -> None:
    """What is written on after Stop is what would have been written without."""
    play.set("temperature", "0")
    play.write_endlessly()
    play.read_little()
    play.send("Once upon a time")
    play.wait_for_words()
    play.page.locator("#stop").click()
    expect(play.page.locator(".foot")).to_contain_text("Stopped. The state after these words is kept.")
    expect(play.page.locator("#from")).to_contain_text("only what you write is read")
    stopped = play.text()
    play.write_as_usual()
    play.set("max_tokens", "8")
    play.ask("")
    expect(play.page.locator(".stats")).to_contain_text("already in the state")
    written = play.text()
    assert len(written) > len(stopped) > len("Once upon a time")
    if server.is_mock:
        assert written.startswith(stopped)
    else:
        assert likeliest(server.url, "Once upon a time", len(written)).startswith(written)


def test_a_stopped_answer_has_all_that_was_sent(context: BrowserContext, own_server: Server) -> None:
    """What the server had sent is in its state, and so it belongs to the text."""
    play = Playground(context, own_server.url, mode="chat")
    play.write_endlessly()
    play.read_little()
    play.send("Tell me a story")
    play.wait_for_words()
    assert eventually(lambda: own_server.generated_count() > 300)
    seen = str(play.answers.text_content())
    play.page.locator("#stop").click()
    expect(play.page.locator(".foot")).to_contain_text("is kept")
    stopped = str(play.answers.text_content())
    assert stopped.startswith(seen)
    assert len(stopped) > 300
    play.write_as_usual()
    play.set("max_tokens", "8")
    play.ask("And then?")
    expect(play.answers.first).to_have_text(stopped)
    expect(play.page.locator(".stats").last).to_contain_text("already in the state")


def test_an_answer_that_the_server_does_not_keep_is_read_again(context: BrowserContext, mock: Mock) -> None:
    play = Playground(context, mock.url)
    play.page.route("**/v1/sessions/*", lambda route: route.abort())
    play.set("max_tokens", "2000")
    play.send("Once upon a time")
    play.wait_for_words()
    play.page.locator("#stop").click()
    expect(play.page.locator(".foot")).to_contain_text("Stopped. Going on from here reads this turn again.")
    expect(play.page.locator("#from")).to_contain_text("1 turn will be read again")
    stopped = play.text()
    play.set("max_tokens", "8")
    play.ask(" and then")
    assert mock.server.requests[-1]["prompt"] == stopped + " and then"


def test_escape_stops(play: Playground) -> None:
    play.write_endlessly()
    play.send("Once upon a time")
    play.wait_for_words()
    play.page.keyboard.press("Escape")
    expect(play.page.locator(".foot")).to_contain_text("Stopped")


def test_stopping_before_the_first_word_leaves_nothing(context: BrowserContext, mock: Mock) -> None:
    mock.server.pace_seconds = 0.02
    play = Playground(context, mock.url)
    play.send("word " * 30_000)
    expect(play.page.locator(".writing")).to_contain_text("of 30001 tokens")
    play.page.locator("#stop").click()
    expect(play.prompt).to_have_value("word " * 30_000)
    assert eventually(lambda: mock.server.state.figures.cancelled == 1)
    assert eventually(lambda: mock.session_count() == 0)


def test_settings_are_sent_and_kept(context: BrowserContext, mock: Mock) -> None:
    play = Playground(context, mock.url)
    for name, value in {"temperature": "0.5", "top_k": "40", "seed": "7", "stop": "END\\n\nSTOP"}.items():
        play.set(name, value)
    play.ask("Once upon a time")
    sent = mock.server.requests[0]
    assert (sent["temperature"], sent["top_k"], sent["seed"], sent["stop"]) == (0.5, 40, 7, ["END\n", "STOP"])
    assert "top_p" not in sent
    play.reload()
    expect(play.page.locator("#set-top_k")).to_have_value("40")
    play.button("Reset").click()
    expect(play.page.locator("#set-top_k")).to_have_value("")
