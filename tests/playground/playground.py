"""The page as its users handle it."""

from __future__ import annotations

import json
import re

from playwright.sync_api import BrowserContext, CDPSession, Locator, Route, expect

# More tokens than any test waits for.
ENDLESS = 60_000
TURNS = re.compile("/v1/.*completions$")


# The page reads only the beginning of its next answer, until it is stopped.
READ_LITTLE = """() => {
  const { prototype } = ReadableStreamDefaultReader;
  const { read } = prototype;
  let bytes = 0;
  let waits = true;
  prototype.read = async function () {
    if (waits && bytes > 8000) {
      waits = false;
      await this.closed;
    }
    const one = await read.call(this);
    bytes += one.value?.length ?? 0;
    return one;
  };
}"""


class Playground:
    """Opens the page and waits until it knows the models."""

    def __init__(self, context: BrowserContext, url: str, model: str = "demo", mode: str = "prompt") -> None:
        self.context = context
        self.page = context.new_page()
        self._network: CDPSession | None = None
        self.page.goto(url)
        self.wait_for_models()
        self.page.select_option("#model", model)
        self.page.locator(f".mode label:has([value={mode}])").click()
        self.prompt = self.page.locator("#prompt")
        self.notices = self.page.locator("#notices")
        self.answers = self.page.locator(".answer-text")
        self.nodes = self.page.locator(".tree-item")  # the first is the beginning
        self.turns = self.page.locator("#turns")

    def wait_for_models(self) -> None:
        self.page.wait_for_selector("#model option[value=demo]", state="attached")

    def reload(self) -> None:
        self.page.reload()
        self.wait_for_models()

    def send(self, text: str) -> None:
        self.prompt.fill(text)
        self.prompt.press("Enter")

    def wait_for_words(self) -> None:
        """Until an answer has begun."""
        expect(self.answers).to_contain_text(re.compile(r"\w \w"))

    def wait_for_answer(self) -> None:
        expect(self.page.locator("#send")).to_be_visible()

    def ask(self, text: str) -> None:
        """Sends a text and waits until the answer has ended well."""
        count = self.nodes.count()
        self.send(text)
        expect(self.nodes).to_have_count(count + 1)
        self.wait_for_answer()
        expect(self.notices).to_be_empty()

    def set(self, name: str, value: str) -> None:
        self.page.fill(f"#set-{name}", value)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def current(self) -> Locator:
        return self.page.locator('.tree-item[aria-selected="true"]')

    def text(self) -> str:
        """All that is shown of the conversation, user's text included."""
        return str(self.page.locator("#turns .flow").first.text_content())

    def write_endlessly(self) -> None:
        """From now on answers have no end."""

        def lengthen(route: Route) -> None:
            body = {**route.request.post_data_json, "max_tokens": ENDLESS, "ignore_eos": True}
            route.continue_(post_data=json.dumps(body))

        self.page.route(TURNS, lengthen)

    def read_little(self) -> None:
        """Of the next answer, so that one can act while it comes."""
        self.page.evaluate(READ_LITTLE)

    def write_slowly(self) -> None:
        """From now on answers have no end, and come so slowly that one can act while they do."""
        self.write_endlessly()
        self._limit(20_000)

    def write_as_usual(self) -> None:
        self.page.unroute(TURNS)
        self._limit(-1)

    def _limit(self, bytes_per_second: int) -> None:
        if self._network is None:
            self._network = self.context.new_cdp_session(self.page)
            self._network.send("Network.enable")
        self._network.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": 0, "downloadThroughput": bytes_per_second, "uploadThroughput": -1},
        )
