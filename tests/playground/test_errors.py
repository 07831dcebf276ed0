"""Whatever goes wrong is said in plain words, and nothing that was typed is lost."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from playground import Playground
from servers import Mock, Server

OUT_OF_RANGE = [
    ("temperature", "11", "At most 10"),
    ("top_p", "0", "More than 0"),
    ("max_tokens", "1.5", "whole number"),
    ("presence_penalty", "much", "not a number"),
]


def test_a_setting_out_of_range_is_marked_and_not_sent(play: Playground) -> None:
    for name, value, words in OUT_OF_RANGE:
        play.set(name, value)
        expect(play.page.locator(f"#{name}-error")).to_contain_text(words)
        expect(play.page.locator(f"#set-{name}")).to_have_attribute("aria-invalid", "true")
        play.send("Once upon a time")
        expect(play.notices).to_contain_text("out of its range")
        expect(play.prompt).to_have_value("Once upon a time")
        play.button("Show the setting").click()
        expect(play.page.locator(f"#set-{name}")).to_be_focused()
        play.button("Reset").click()
        expect(play.page.locator(f"#{name}-error")).to_be_hidden()


def test_what_the_server_does_not_accept_is_marked(play: Playground) -> None:
    play.set("top_k", "99999999")
    play.send("Once upon a time")
    expect(play.notices).to_contain_text("did not accept")
    expect(play.page.locator("#top_k-error")).to_contain_text("top_k")
    expect(play.prompt).to_have_value("Once upon a time")
    expect(play.nodes).to_have_count(1)
    play.set("top_k", "5")
    expect(play.page.locator("#top_k-error")).to_be_hidden()
    play.ask("Once upon a time")


def test_a_server_that_is_gone(context: BrowserContext, own_server: Server) -> None:
    play = Playground(context, own_server.url)
    own_server.stop()
    play.send("Once upon a time")
    expect(play.notices).to_contain_text("does not answer")
    expect(play.prompt).to_have_value("Once upon a time")
    expect(play.page.locator("#live-note")).to_contain_text("does not answer")
    own_server.restart()
    play.button("Try again").click()
    expect(play.nodes).to_have_count(2)
    play.wait_for_answer()
    expect(play.notices).to_be_empty()
    assert play.text().startswith("Once upon a time")


def test_a_connection_that_breaks_keeps_what_came(context: BrowserContext, own_server: Server) -> None:
    play = Playground(context, own_server.url)
    play.write_slowly()
    play.send("Once upon a time")
    play.wait_for_words()
    own_server.crash()
    play.write_as_usual()
    expect(play.page.locator(".foot")).to_contain_text("Broke off")
    expect(play.notices).to_contain_text("Try again")
    assert len(play.text()) > len("Once upon a time")


def test_a_token_is_asked_for_and_kept_in_the_window(context: BrowserContext, mock: Mock) -> None:
    mock.server.token = "secret-token"
    page = context.new_page()
    page.goto(mock.url)
    expect(page.locator("#notices")).to_contain_text("wants a token")
    expect(page.locator("#live-note")).to_contain_text("only with a token")
    page.get_by_role("button", name="Enter a token").click()
    page.fill("#token", "secret-token")
    page.keyboard.press("Enter")
    page.wait_for_selector("#model option[value=demo]", state="attached")
    expect(page.locator("#notices")).to_be_empty()
    expect(page.locator("#live-note")).to_be_hidden()
    page.reload()
    page.wait_for_selector("#model option[value=demo]", state="attached")
    mock.server.token = "another-token"
    page.fill("#prompt", "Once")
    page.press("#prompt", "Enter")
    expect(page.locator("#token-dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#prompt")).to_have_value("Once")


def test_a_model_writes_text_and_never_markup(
    context: BrowserContext, mock: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    monkeypatch.setattr("mock_server.WHAT", [hostile])
    play = Playground(context, mock.url)
    play.ask(hostile)
    expect(play.answers).to_contain_text("onerror")
    assert play.page.locator("main img, main script, .side img, .side script").count() == 0
    assert play.page.title() == "ssmd playground"


def test_live_figures_move(play: Playground) -> None:
    figures = play.page.locator("#live .figure")
    slots = figures.filter(has_text="State slots")
    expect(slots).to_contain_text(re.compile(r"\d of \d"))
    play.page.locator("#tokens").uncheck()
    play.write_endlessly()
    play.send("Once upon a time")
    rate = figures.filter(has_text="Tokens per second").locator(".values b").first
    expect(rate).to_have_text(re.compile("[1-9]"))
    expect(figures.filter(has_text="First token").locator(".values")).to_contain_text("ms")
    expect(figures.filter(has_text="Between tokens").locator(".values")).to_contain_text("ms")
    play.page.locator("#stop").click()


def test_figures_are_read_only_while_they_can_be_seen(own_context: BrowserContext, mock: Mock) -> None:
    own_context.clock.install()
    play = Playground(own_context, mock.url)
    play.page.set_viewport_size({"width": 390, "height": 844})
    before = mock.server.calls["/metrics"]
    for _ in range(5):
        own_context.clock.fast_forward(1100)
    assert mock.server.calls["/metrics"] == before
    play.page.locator(".tabs [data-panel=live]").click()
    with play.page.expect_response("**/metrics"):
        own_context.clock.fast_forward(1100)


def test_a_turn_that_fails_while_the_next_is_typed_is_kept(play: Playground) -> None:
    waiting: list[Route] = []
    play.page.route("**/v1/completions", lambda route: waiting.append(route))
    with play.page.expect_request("**/v1/completions"):
        play.send("Once upon a time")
    play.prompt.fill("typed meanwhile")
    waiting[0].abort()
    expect(play.notices).to_contain_text("does not answer")
    expect(play.prompt).to_have_value("typed meanwhile")
    assert play.text() == "Once upon a time"
    play.page.unroute("**/v1/completions")
    play.button("Try again").click()
    expect(play.nodes).to_have_count(3)
    play.wait_for_answer()
    assert play.answers.text_content()
    assert play.page.locator("#turns .flow .prompt").all_text_contents() == ["Once upon a time"]
    expect(play.prompt).to_have_value("typed meanwhile")


def test_what_is_typed_after_a_failure_is_not_tried_again(play: Playground) -> None:
    play.page.route("**/v1/completions", lambda route: route.abort())
    play.send("Once upon a time")
    expect(play.notices).to_contain_text("does not answer")
    expect(play.prompt).to_have_value("Once upon a time")
    play.prompt.fill("typed since")
    play.page.unroute("**/v1/completions")
    play.set("max_tokens", "8")
    play.button("Try again").click()
    expect(play.nodes).to_have_count(2)
    play.wait_for_answer()
    expect(play.page.locator("#turns .prompt")).to_have_text("Once upon a time")
    expect(play.prompt).to_have_value("typed since")


def test_a_failure_is_tried_again_where_it_was(context: BrowserContext, mock: Mock) -> None:
    play = Playground(context, mock.url)
    play.ask("Another conversation")
    play.button("New conversation").click()
    waiting: list[Route] = []
    play.page.route("**/v1/completions", lambda route: waiting.append(route))
    with play.page.expect_request("**/v1/completions"):
        play.send("Once upon a time")
    play.page.locator(".conversation").click()
    play.prompt.fill("typed elsewhere")
    waiting[0].abort()
    play.page.unroute("**/v1/completions")
    play.button("Try again").click()
    expect(play.page.locator("#turns .prompt")).to_have_text("Once upon a time")
    play.wait_for_answer()
    assert mock.server.requests[-1]["prompt"] == "Once upon a time"
    play.page.locator(".conversation").nth(1).click()
    expect(play.prompt).to_have_value("typed elsewhere")
