"""The page as a whole: its size, its looks, its room on small screens."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from playground import Playground
from servers import Server

BYTES_MAX = 150_000


def test_everything_comes_from_the_server_and_is_small(context: BrowserContext, server: Server) -> None:
    page = context.new_page()
    sizes: dict[str, int] = {}
    page.on(
        "response",
        lambda response: sizes.update({response.url: len(response.body())}) if response.ok else None,
    )
    page.goto(server.url)
    page.wait_for_selector("#model option[value=demo]", state="attached")
    own = {url: size for url, size in sizes.items() if not url.endswith(("/metrics", "/v1/models"))}
    assert all(url.startswith(server.url + "/") for url in own if not url.startswith("data:"))
    assert len(own) > 10
    assert sum(own.values()) < BYTES_MAX, own


def test_scripts_and_styles_come_from_files_only(server: Server) -> None:
    with urllib.request.urlopen(server.url) as response:
        policy = response.headers["Content-Security-Policy"]
        html = response.read().decode()
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy
    assert " style=" not in html
    assert "<style" not in html


OUTSIDE = """() => [...document.querySelectorAll('button, input, textarea, select, h2, p')]
  .filter((e) => e.offsetParent && !e.closest('.unseen, .skip') && e.getBoundingClientRect().right > innerWidth)
  .map((e) => e.outerHTML)"""


def test_nothing_sticks_out(play: Playground) -> None:
    for width in (360, 390, 720, 900, 1121, 1440, 2200):
        play.page.set_viewport_size({"width": width, "height": 844})
        for panel in ("tree", "sampling", "live", "talk"):
            if width <= 1120:
                play.page.locator(f".tabs [data-panel={panel}]").click()
            assert play.page.evaluate("document.documentElement.scrollWidth") <= width
            assert play.page.evaluate(OUTSIDE) == [], width


SIZES = [(390, 844), (1440, 900)]


def test_screenshots(context: BrowserContext, server: Server, screenshots: Path) -> None:
    play = Playground(context, server.url, mode="chat")

    def shoot(name: str) -> None:
        for width, height in SIZES:
            play.page.set_viewport_size({"width": width, "height": height})
            for scheme in ("light", "dark"):
                play.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                path = screenshots / f"{name}-{scheme}-{width}.png"
                play.page.screenshot(path=path)
                assert path.stat().st_size > 10_000

    shoot("empty")
    play.set("max_tokens", "60")
    play.ask("Tell me a short story about a fox.")
    play.ask("Who else lived there?")
    play.button("Regenerate").last.click()
    expect(play.nodes).to_have_count(4)
    play.wait_for_answer()
    shoot("talk")
    play.button("Compare").last.click()
    play.nodes.nth(3).click()
    expect(play.page.locator(".column")).to_have_count(2)
    shoot("compare")


CONTRAST = """() => {
  const number = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (color.startsWith('rgb(')) return number(color);
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll('p, h1, h2, span, label, button:not(:disabled), b, small, input')];
  const exempt = '.unseen, .skip, .same, [disabled], :disabled + span';
  return texts.filter((e) => e.offsetParent && e.textContent.trim() && !e.closest(exempt)
      && [...e.childNodes].some((c) => c.nodeType === 3 && c.data.trim()))
    .map((e) => {
      const [a, b] = [light(number(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
      return [((a + 0.05) / (b + 0.05)), e.outerHTML.slice(0, 120)];
    })
    .filter(([ratio]) => ratio < 4.5);
}"""


def test_text_stands_out_from_its_ground(play: Playground) -> None:
    play.set("max_tokens", "20")
    play.set("top_p", "7")
    for theme in ("light", "dark"):
        play.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        assert play.page.evaluate(CONTRAST) == []
    play.set("top_p", "")
    play.ask("Once upon a time")
    for theme in ("light", "dark"):
        play.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        assert play.page.evaluate(CONTRAST) == []


def test_the_theme_is_chosen_and_kept(play: Playground) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = play.page.evaluate(ground)
    toggle = play.page.locator("#theme")
    toggle.click()
    assert play.page.evaluate(ground) == light
    toggle.click()
    dark = play.page.evaluate(ground)
    assert dark != light
    play.reload()
    assert play.page.evaluate(ground) == dark


def test_landmarks_and_names(play: Playground) -> None:
    page = play.page
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("banner").count() == 1
    assert page.get_by_role("complementary").count() == 2
    assert page.get_by_role("tree", name="Tree of forks").count() == 1
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('button, input, textarea, select')]
             .filter(e => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).map(e => e.outerHTML)"""
    )
    assert unnamed == []


def test_answers_are_read_out_by_sentence(play: Playground) -> None:
    play.ask("Once upon a time")
    spoken = play.page.locator("#spoken p")
    expect(spoken.last).to_have_text("End of the answer.") if spoken.last.text_content() != (
        "The answer was cut short."
    ) else None
    assert spoken.count() >= 2
    assert spoken.count() < play.answers.locator(".token").count() / 3
