"""The page's modules that need no page, in the browser that they are for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser

from servers import Server

Js = Callable[..., Any]


@pytest.fixture(scope="module")
def js(browser: Browser, server: Server) -> Js:
    page = browser.new_page()
    page.goto(server.url)

    def run(module: str, body: str, arg: object = None) -> Any:
        return page.evaluate(f"async (arg) => {{ const m = await import('/{module}.js'); {body} }}", arg)

    return run


TOKENS = [
    ("words", "One day", ["One", " day"], ["One", " day"]),
    ("halves of a character", "a🪁b", ["a", "bytes:\\xf0\\x9f", "bytes:\\xaa\\x81", "b"], ["a", "🪁", "b"]),
    ("a half that also has letters", "xé.", ["bytes:\\x78\\xc3", "bytes:\\xa9", "."], ["xé", "."]),
    ("a token that is not in the text", "One day", ["One", "<skip>", " day"], ["One", " day"]),
    ("a space that is not in the text", "One day", [" One", " day"], ["One", " day"]),
    ("cut by a stop string", "One da", ["One", " day"], ["One", " da"]),
    ("more text than tokens", "One day", ["One"], ["One", " day"]),
    ("nothing fits", "One day", ["q", "z"], ["One day"]),
    ("no text", "", ["x"], []),
]


@pytest.mark.parametrize(
    ("text", "tokens", "pieces"), [case[1:] for case in TOKENS], ids=[case[0] for case in TOKENS]
)
def test_pieces_of_text(js: Js, text: str, tokens: list[str], pieces: list[str]) -> None:
    body = "return m.align(arg.text, arg.tokens.map((text) => ({text, logprob: -0.1, top: []}))).map((p) => p.text)"
    assert js("tokens", body, {"text": text, "tokens": tokens}) == pieces


def test_tokens_of_both_endpoints(js: Js) -> None:
    chat = {"content": [{"token": "�", "logprob": -0.12345678, "bytes": [195], "top_logprobs": []}]}
    assert js("tokens", "return m.tokensOf(arg)", chat) == [
        {"text": "bytes:\\xc3", "logprob": -0.1235, "top": []}
    ]
    text = {"tokens": ["a"], "token_logprobs": [-1], "top_logprobs": [{"b": -2, "a": -1}], "text_offset": [0]}
    top = [{"text": "a", "logprob": -1}, {"text": "b", "logprob": -2}]
    assert js("tokens", "return m.tokensOf(arg)", text) == [{"text": "a", "logprob": -1, "top": top}]
    assert js("tokens", "return m.tokensOf(null)") == []


@pytest.mark.parametrize(
    ("p", "likeliest", "surprise"),
    [(0.1, 0.1, 0), (0.06, 0.1, 0), (0.04, 0.1, 1), (0.01, 0.1, 2), (0.01, 0.9, 3)],
)
def test_surprise_is_next_to_the_likeliest(js: Js, p: float, likeliest: float, surprise: int) -> None:
    body = """
      const token = {text: 'a', logprob: Math.log(arg[0]), top: [{text: 'b', logprob: Math.log(arg[1])}]};
      return m.surprise({text: 'a', tokens: [token]});"""
    assert js("tokens", body, [p, likeliest]) == surprise


def test_events_may_be_cut_anywhere(js: Js) -> None:
    stream = ': prefill 1 of 2 tokens\r\n\r\ndata: {"é":1}\n\ndata: [DONE]\n\n'
    body = """
      const bytes = new TextEncoder().encode(arg);
      const all = [];
      for (let cut = 0; cut <= bytes.length; ++cut) {
        const parser = new m.EventParser();
        all.push(JSON.stringify([...parser.push(bytes.slice(0, cut)), ...parser.push(bytes.slice(cut))]));
      }
      return [...new Set(all)];"""
    assert js("api", body, stream) == [
        '[{"comment":"prefill 1 of 2 tokens"},{"data":"{\\"é\\":1}"},{"data":"[DONE]"}]'
    ]


METRICS = """# HELP x y
a_total{model="m",of="x \\"q\\""} 3
a_total{model="n"} 4
h_bucket{model="m",le="0.1"} 2
h_bucket{model="m",le="0.2"} 4
h_bucket{model="m",le="+Inf"} 4
"""


def test_metrics(js: Js) -> None:
    assert js("metrics", "return m.value(m.parse(arg), 'a_total')", METRICS) == 7
    assert js("metrics", "return m.value(m.parse(arg), 'a_total', {model: 'm'})", METRICS) == 3
    assert js("metrics", "return m.parse(arg).get('a_total')[0].labels.of", METRICS) == 'x "q"'
    assert js("metrics", "return m.value(m.parse(arg), 'b')", METRICS) is None
    quantile = "const h = m.histogram(m.parse(arg), 'h', {model: 'm'}); return m.quantile(h, "
    assert js("metrics", quantile + "0.5)", METRICS) == pytest.approx(0.1)
    assert js("metrics", quantile + "0.75)", METRICS) == pytest.approx(0.15)
    nothing = "const h = m.histogram(m.parse(arg), 'h'); return m.quantile(m.difference(h, h), 0.5)"
    assert js("metrics", nothing, METRICS) is None


TREE = """
  const c = new m.Conversation({id: 'c', mode: arg.mode, model: 'x', created: 0});
  const add = (parent, prompt, more = {}) =>
    Object.assign(c.add(parent, {prompt, model: 'x', created: 1}), {text: prompt.toUpperCase(), finish: 'stop'}, more).id;
  const held = (id) => ({held: true, sessionId: id, revision: 1});
"""


def test_rows_of_a_tree_never_cross(js: Js) -> None:
    body = """
      const a = add(null, 'a'); const b = add(a, 'b'); add(b, 'c'); const d = add(a, 'd'); add(d, 'e'); add(a, 'f');
      add(null, 'g');
      return m.rows(c).map((r) => [r.node.prompt, r.lane, r.depth, r.parentRow]);"""
    assert js("tree", TREE + body, {"mode": "prompt"}) == [
        ["g", 1, 1, -1], ["a", 0, 1, -1], ["f", 1, 2, 1], ["d", 1, 2, 1], ["e", 1, 3, 3], ["b", 0, 2, 1],
        ["c", 0, 3, 5],
    ]  # fmt: skip


def test_a_turn_goes_on_from_the_nearest_state(js: Js) -> None:
    body = """
      const a = add(null, 'a', held('A')); const b = add(a, 'b'); const d = add(null, 'd', {...held('D'), model: 'y'});
      return [a, b, d, null].map((parent) => [c.resume(parent, 'x').from?.sessionId ?? null,
        m.turnInput(c, {parent, prompt: 'p', system: '', model: 'x'})]);"""
    assert js("tree", TREE + body, {"mode": "prompt"}) == [
        ["A", {"prompt": "p"}],
        ["A", {"prompt": "bBp"}],
        [None, {"prompt": "dDp"}],
        [None, {"prompt": "p"}],
    ]
    assert js("tree", TREE + body, {"mode": "chat"})[1][1]["messages"] == [
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "B"},
        {"role": "user", "content": "p"},
    ]


def test_what_two_branches_share(js: Js) -> None:
    body = """
      const a = add(null, 'a'); const b = add(a, 'b'); const d = add(a, 'd');
      const {common, left, right} = c.compare(b, d);
      return [common, left, right].map((nodes) => nodes.map((node) => node.prompt).join(''));"""
    assert js("tree", TREE + body, {"mode": "prompt"}) == ["a", "b", "d"]
    assert js("tree", "return m.commonPrefix('one day', 'one dog')") == 5
    assert js("tree", "return m.commonPrefix('x\\u{1f98a}', 'x\\u{1f98b}')") == 1


def test_a_deep_conversation_is_no_problem(js: Js) -> None:
    body = """
      let at = null;
      for (let i = 0; i < 5000; ++i) at = add(at, String(i));
      const copy = m.Conversation.fromJson(JSON.parse(JSON.stringify(c.toJson())));
      return [m.rows(c).length, c.path(at).length, copy.nodes.size];"""
    assert js("tree", TREE + body, {"mode": "prompt"}) == [5000, 5000, 5000]


def test_stop_strings_and_ranges(js: Js) -> None:
    assert js("settings", "return m.stopsOf(arg)", "a\\n\n\nb\\\\n") == ["a\n", "b\\n"]
    complaint = "return m.complaint({min: 0, max: 1, above: true}, arg) === null"
    assert js("settings", complaint, "") is True
    assert js("settings", complaint, "1") is True
    assert js("settings", complaint, "0") is False
    assert js("settings", complaint, "1e3") is False
