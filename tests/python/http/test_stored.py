"""Answers that are stored, and how they go again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from asking import KINDS, PROMPT, Asker, Kind, raw_chat
from daemon import ENDLESS, Daemon, eventually


def ids(http: httpx2.Client) -> set[str]:
    return {session["id"] for session in http.get("/v1/sessions?limit=1000").json()["data"]}


def stored(**ssmd: Any) -> dict[str, Any]:
    return {"extra_body": {"store": True, "ssmd": ssmd}}


def test_they_go_when_nobody_uses_them(ask: Asker, http: httpx2.Client) -> None:
    def seconds(**ssmd: Any) -> int | None:
        answer = ask("chat", PROMPT, **stored(**ssmd))
        session = http.get(f"/v1/sessions/{answer.ssmd['session_id']}").json()
        return None if session["expires"] is None else session["expires"] - session["used"]

    assert abs((seconds() or 0) - 3600) <= 1
    assert abs((seconds(idle_seconds=60) or 0) - 60) <= 1
    assert seconds(idle_seconds=0) is None


def test_the_server_says_for_how_long(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon("--stored-answer-idle", "1")
    with Asker(daemon.url) as ask:
        ask("responses", PROMPT)
    assert eventually(lambda: not ids(daemon.http))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["whole", "stream"])
def test_what_follows_a_parent_need_not_be_kept(
    ask: Asker, http: httpx2.Client, kind: Kind, mode: str
) -> None:
    parent = ask(kind, PROMPT, extra_body={"store": True})
    before = ids(http)
    body = {"store": False, "ssmd": {"parent_id": parent.id}}
    answer = ask(
        kind, ". One day,", mode="stream" if mode == "stream" else "whole", extra_body=body
    )
    assert answer.text
    assert answer.ssmd["session_id"] is None
    assert answer.ssmd["reused_tokens"] > 0
    assert answer.id.count("-") <= 1, "the id of no stored answer"
    assert eventually(lambda: ids(http) == before)


def test_several_that_follow_a_parent_need_not_be_kept(ask: Asker, http: httpx2.Client) -> None:
    parent = ask("chat", PROMPT, extra_body={"store": True})
    before = ids(http)
    body = {"store": False, "ssmd": {"parent_id": parent.id}}
    raw_chat(ask, n=3, extra_body=body)
    assert eventually(lambda: ids(http) == before)


def test_the_package_deletes_them(ask: Asker, http: httpx2.Client) -> None:
    response = ask("responses", PROMPT)
    ask.client.responses.delete(response.id)
    chat = ask("chat", PROMPT, extra_body={"store": True})
    deleted = ask.client.chat.completions.delete(chat.id)
    assert deleted.deleted
    assert deleted.id == chat.id
    assert not {response.ssmd["session_id"], chat.ssmd["session_id"]} & ids(http)
    with pytest.raises(openai.NotFoundError):
        ask.client.responses.delete(response.id)


def test_want_of_room_is_not_tried_again(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon("--max-sessions", "1")
    with Asker(daemon.url) as ask:
        ask("responses", PROMPT)
        with pytest.raises(openai.RateLimitError) as refused:
            ask("responses", PROMPT)
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert "Retry-After" not in refused.value.response.headers


def test_a_server_that_stops_says_so(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon("--drain-timeout", "0")
    body = {"prompt": PROMPT, "max_tokens": ENDLESS, "ignore_eos": True, "stream": True}
    lines: list[str] = []
    with daemon.caller().stream("POST", "/v1/completions", json=body) as response:
        for line in response.iter_lines():
            if not lines:
                daemon.terminate()
            lines += [line] if line.startswith("data: ") else []
    assert '"code":"draining"' in lines[-1]
    assert '"type":"server_error"' in lines[-1]
