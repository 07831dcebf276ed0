"""What outlives a reload, a restart of the server, and the room in the browser."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, expect

from playground import Playground
from servers import Mock, Server, eventually


def test_a_reload_keeps_the_conversation_and_goes_on(play: Playground) -> None:
    play.set("max_tokens", "12")
    play.ask("Once upon a time")
    play.ask(" there was a cat")
    play.nodes.nth(1).click()
    play.ask(" there was a dog")
    before = play.text()
    play.prompt.fill("not sent yet")
    play.reload()
    expect(play.nodes).to_have_count(4)
    assert play.text() == before
    expect(play.prompt).to_have_value("not sent yet")
    expect(play.answers.first.locator(".token").first).to_be_attached()
    play.ask(" and")
    expect(play.page.locator(".stats")).to_contain_text("already in the state")


def test_a_reload_in_the_middle_keeps_what_was_written(play: Playground) -> None:
    play.write_slowly()
    play.send("Once upon a time")
    play.wait_for_words()
    play.write_as_usual()
    play.reload()
    expect(play.page.locator(".foot")).to_contain_text("Stopped")
    assert len(play.text()) > len("Once upon a time")


def test_after_a_restart_the_conversation_can_be_read_again(
    context: BrowserContext, own_server: Server
) -> None:
    play = Playground(context, own_server.url)
    play.set("max_tokens", "12")
    play.ask("Once upon a time")
    play.ask(" there was a cat")
    before = play.text()
    own_server.restart()
    play.send(" and a dog")
    expect(play.notices).to_contain_text("no longer has the state")
    expect(play.prompt).to_have_value(" and a dog")
    play.button("Read the conversation again").click()
    expect(play.nodes).to_have_count(4)
    play.wait_for_answer()
    expect(play.notices).to_be_empty()
    expect(play.page.locator(".stats")).to_contain_text("nothing to reuse")
    assert play.text().startswith(before + " and a dog")
    # From here on there is a state again.
    play.ask(" and")
    expect(play.page.locator(".stats")).to_contain_text("already in the state")


def test_reading_again_sends_the_whole_history(context: BrowserContext, mock: Mock) -> None:
    play = Playground(context, mock.url, mode="chat")
    play.page.fill("#system", "Be brief.")
    play.ask("One")
    play.ask("Two")
    mock.restart()
    forks = len(mock.server.forked)
    play.send("Three")
    play.button("Read the conversation again").click()
    expect(play.nodes).to_have_count(4)
    play.wait_for_answer()
    messages = mock.server.requests[-1]["messages"]
    assert [one["role"] for one in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert messages[-1]["content"] == "Three"
    assert len(mock.server.forked) == forks


def test_conversations_are_listed_and_deleted_with_their_sessions(
    context: BrowserContext, own_server: Server
) -> None:
    play = Playground(context, own_server.url)
    play.set("max_tokens", "8")
    play.ask("The first one")
    play.ask(" goes on")
    assert own_server.session_count() == 2
    play.button("New conversation").click()
    play.ask("The second one")
    conversations = play.page.locator(".conversation")
    expect(conversations).to_have_count(2)
    conversations.nth(1).click()
    assert play.text().startswith("The first one")
    play.button("Delete: The first one").click()
    play.button("Really delete: The first one").click()
    expect(conversations).to_have_count(1)
    expect(play.page.locator(".intro")).to_be_visible()
    assert eventually(lambda: own_server.session_count() == 1)


def test_a_full_storage_is_told_and_loses_nothing_on_show(context: BrowserContext, mock: Mock) -> None:
    play = Playground(context, mock.url)
    play.page.evaluate(
        """() => {
          let size = 1 << 22;
          while (size > 8) {
            try { localStorage.setItem(`filler${size}.${Math.random()}`, 'x'.repeat(size)); } catch { size >>= 1; }
          }
        }"""
    )
    play.send("Once upon a time")
    expect(play.notices).to_contain_text("keeps nothing more")
    play.wait_for_answer()
    assert play.text().startswith("Once upon a time")
    play.page.evaluate(
        "() => Object.keys(localStorage).filter(k => k.startsWith('filler')).forEach(k => delete localStorage[k])"
    )
    play.ask(" and")
    play.reload()
    expect(play.nodes).to_have_count(3)


def test_two_windows_share_conversations(context: BrowserContext, server: Server) -> None:
    play = Playground(context, server.url)
    play.set("max_tokens", "8")
    play.ask("Once upon a time")
    other = Playground(context, server.url)
    expect(other.nodes).to_have_count(2)
    other.ask(" in another window")
    expect(play.nodes).to_have_count(3)
