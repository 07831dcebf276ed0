"""Asking, streaming, stopping, and what is said of each answer."""

from __future__ import annotations

import re

from playwright.sync_api import BrowserContext, expect

from playground import Playground
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


def test_stop_keeps_what_was_written(play: Playground) -> None:
    play.write_slowly()
    play.send("Once upon a time")
    play.wait_for_words()
    play.page.locator("#stop").click()
    expect(play.page.locator(".foot")).to_contain_text("Stopped")
    expect(play.page.locator("#send")).to_be_visible()
    stopped = play.text()
    assert len(stopped) > len("Once upon a time")
    # The server kept nothing of it: its text is read again.
    expect(play.page.locator("#from")).to_contain_text("1 turn will be read again")
    play.write_as_usual()
    play.set("max_tokens", "8")
    play.ask(" and then")
    assert play.text().startswith(stopped + " and then")


def test_escape_stops(play: Playground) -> None:
    play.write_slowly()
    play.send("Once upon a time")
    play.wait_for_words()
    play.page.keyboard.press("Escape")
    expect(play.page.locator(".foot")).to_contain_text("Stopped")


def test_stopping_closes_the_connection(context: BrowserContext, mock: Mock) -> None:
    play = Playground(context, mock.url)
    play.set("max_tokens", "2000")
    play.send("Once upon a time")
    play.wait_for_words()
    play.page.locator("#stop").click()
    expect(play.page.locator("#send")).to_be_visible()
    assert eventually(lambda: mock.server.state.figures.cancelled == 1)
    assert mock.session_count() == 0


def test_settings_are_sent_and_kept(context: BrowserContext, mock: Mock) -> None:
    play = Playground(context, mock.url)
    for name, value in {"temperature": "0.5", "top_k": "40", "seed": "7", "stop": "END\\n\nSTOP"}.items():
        play.set(name, value)
    play.ask("Once upon a time")
    sent = mock.server.requests[0]
    assert (sent["temperature"], sent["top_k"], sent["seed"], sent["stop"]) == (0.5, 40, 7, ["END\n", "STOP"])
    assert sent["store"] is True
    assert "top_p" not in sent
    play.reload()
    expect(play.page.locator("#set-top_k")).to_have_value("40")
    play.button("Reset").click()
    expect(play.page.locator("#set-top_k")).to_have_value("")


def test_reading_a_long_prompt_is_told(context: BrowserContext, mock: Mock) -> None:
    mock.server.pace_seconds = 0.02
    play = Playground(context, mock.url)
    play.send("word " * 30_000)
    expect(play.page.locator(".writing")).to_contain_text("of 30001 tokens", timeout=5000)
    play.page.locator("#stop").click()
    # Nothing had come, so the text is where it was written.
    expect(play.prompt).to_have_value("word " * 30_000)
