"""Forks: made, seen, walked through and compared."""

from __future__ import annotations

import re

from playwright.sync_api import BrowserContext, expect

from playground import Playground
from servers import Mock


def test_going_on_from_an_earlier_answer_makes_a_branch(play: Playground) -> None:
    play.set("max_tokens", "12")
    play.ask("Once upon a time")
    play.ask(" In the morning")
    play.ask(" In the evening")
    play.nodes.nth(1).click()
    expect(play.page.locator(".onward")).to_contain_text("1 other goes on from here")
    play.ask(" In the night")
    expect(play.nodes).to_have_count(5)
    levels = play.nodes.evaluate_all("items => items.map(item => Number(item.ariaLevel))")
    assert levels == [1, 2, 3, 3, 4]
    expect(play.current()).to_contain_text("In the night")
    expect(play.current()).to_have_attribute("aria-label", re.compile("Branch 2 of 2"))
    expect(play.page.locator(".tree-lines .line")).to_have_count(4)
    expect(play.page.locator(".tree-lines .line.chosen")).to_have_count(2)
    expect(play.page.locator(".stats")).to_contain_text("already in the state")
    assert "morning" not in play.text()


def test_branches_are_forked_from_answers_and_send_only_what_is_new(
    context: BrowserContext, mock: Mock
) -> None:
    play = Playground(context, mock.url)
    play.ask("Once upon a time")
    play.ask(" In the morning")
    play.nodes.nth(1).click()
    play.ask(" In the night")
    first = mock.server.requests[0]["ssmd"]["session_id"]
    assert mock.server.forked == [first, first]
    assert mock.server.requests[2]["prompt"] == " In the night"


def test_regenerate_makes_a_sibling(play: Playground) -> None:
    play.ask("Once upon a time")
    play.button("Regenerate").click()
    expect(play.nodes).to_have_count(3)
    play.wait_for_answer()
    expect(play.page.locator(".pager")).to_contain_text("2 of 2")
    second = play.text()
    play.button("Earlier branch").click()
    expect(play.page.locator(".pager")).to_contain_text("1 of 2")
    assert play.text() != second


def test_two_branches_side_by_side(play: Playground) -> None:
    play.set("max_tokens", "12")
    play.ask("Once upon a time")
    play.ask(" there was a cat")
    play.button("Compare").click()
    expect(play.page.locator("#tree-hint")).to_be_visible()
    play.nodes.nth(1).click()
    play.ask(" there was a dog")
    columns = play.page.locator(".column")
    expect(columns).to_have_count(2)
    expect(columns.nth(0).locator(".prompt")).to_have_text(" there was a cat")
    expect(columns.nth(1).locator(".prompt")).to_have_text(" there was a dog")
    # What the two have in common is marked, what differs is not.
    expect(columns.nth(1).locator(".prompt .same")).to_have_text(" there was a ")
    expect(play.page.locator(".shared")).to_contain_text("Both share 1 turn")
    expect(play.page.locator(".tree-lines .line.compared")).to_have_count(1)
    play.button("Go on from this one").click()
    expect(columns.nth(1).locator(".prompt")).to_have_text(" there was a cat")
    play.page.keyboard.press("Escape")
    expect(columns).to_have_count(0)


def test_keyboard_only(play: Playground) -> None:
    """From the top of the page to a branch and a comparison without a pointer."""
    page = play.page
    play.set("max_tokens", "12")
    play.reload()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    expect(play.prompt).to_be_focused()
    page.keyboard.type("Once")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("upon a time")
    page.keyboard.press("Enter")
    expect(play.nodes).to_have_count(2)
    play.wait_for_answer()
    assert play.text().startswith("Once\nupon a time")
    play.ask(" there was a cat")
    play.current().focus()
    page.keyboard.press("ArrowUp")
    expect(play.nodes.nth(1)).to_be_focused()
    expect(play.nodes.nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(play.prompt).to_be_focused()
    page.keyboard.type(" there was a dog")
    page.keyboard.press("Enter")
    expect(play.nodes).to_have_count(4)
    play.wait_for_answer()
    play.current().focus()
    page.keyboard.press("ArrowLeft")
    expect(play.nodes.nth(1)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(play.current()).to_contain_text("cat")
    page.keyboard.press("Home")
    expect(play.nodes.nth(0)).to_be_focused()
    page.keyboard.press("End")
    expect(play.nodes.nth(3)).to_be_focused()
    play.button("Compare").focus()
    page.keyboard.press("Enter")
    expect(play.nodes.nth(3)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.locator(".column")).to_have_count(2)


def test_tokens_show_their_probabilities(play: Playground) -> None:
    play.ask("Once upon a time")
    card = play.page.locator("#token-card")
    tokens = play.answers.locator(".token")
    assert play.answers.locator(".plain").count() == 0, "a part of the text has no tokens"
    tokens.nth(2).hover()
    expect(card).to_be_visible()
    expect(card.locator("li")).not_to_have_count(0)
    expect(card).to_contain_text("%")
    play.page.mouse.move(5, 5)
    expect(card).to_be_hidden()
    play.answers.focus()
    play.page.keyboard.press("ArrowRight")
    expect(card).to_be_visible()
    expect(tokens.nth(0)).to_have_class(re.compile("active"))
    play.page.keyboard.press("ArrowRight")
    expect(tokens.nth(1)).to_have_class(re.compile("active"))
    play.page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    play.page.locator("#tokens").uncheck()
    expect(tokens).to_have_count(0)


def test_halves_of_characters_do_not_break_the_text(context: BrowserContext, mock: Mock) -> None:
    for mode in ("prompt", "chat"):
        play = Playground(context, mock.url, mode=mode)
        play.set("seed", "4")
        play.ask("Once")
        text = str(play.answers.text_content())
        assert "�" not in text
        assert "é" in text or "🪁" in text or "“" in text
        assert play.answers.locator(".plain").count() == 0
        play.page.close()
