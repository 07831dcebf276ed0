"""Sessions and branches: by the openai package's extra members, and by /v1/sessions."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from asking import KINDS, MODES, Answer, Asker, Kind, Mode, arguments_of, endpoint_of
from daemon import ENDLESS, MODEL, Daemon, eventually

PROMPT = "Once upon a time"
GOES_ON = ". One day,"
OTHER = " and a big dog"
NO_SESSION = "0" * 32
ALL_WAYS = [pytest.param(*way, id="-".join(way)) for way in itertools.product(KINDS, MODES)]
STORED: dict[str, Any] = {"extra_body": {"store": True}}


def after(parent: Answer | str) -> dict[str, Any]:
    """Goes on from an answer."""
    return {"extra_body": {"ssmd": {"parent_id": getattr(parent, "id", parent)}}}


def on(session: str, **more: Any) -> dict[str, Any]:
    return {"extra_body": {"ssmd": {"session_id": session, **more}}}


def sessions(http: httpx2.Client) -> list[dict[str, Any]]:
    body = http.get("/v1/sessions?limit=1000").json()
    assert body["has_more"] is False
    return list(body["data"])


def made(http: httpx2.Client, **members: Any) -> dict[str, Any]:
    response = http.post("/v1/sessions", json={"model": MODEL, **members})
    assert response.status_code == 200, response.text
    return dict(response.json())


def got(http: httpx2.Client, session: str) -> dict[str, Any]:
    response = http.get(f"/v1/sessions/{session}")
    assert response.status_code == 200, response.text
    return dict(response.json())


def code_of(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.fixture(autouse=True)
def no_sessions_are_left(daemon: Daemon) -> Iterator[None]:
    assert sessions(daemon.http) == []
    yield
    assert eventually(daemon.is_at_rest)
    for session in sessions(daemon.http):
        assert daemon.http.delete(f"/v1/sessions/{session['id']}").status_code == 200


# --- Branching ---


@pytest.mark.parametrize(("kind", "mode"), ALL_WAYS)
def test_branches_of_one_answer(ask: Asker, http: httpx2.Client, kind: Kind, mode: Mode) -> None:
    root = ask(kind, PROMPT, mode=mode, **STORED)
    before = got(http, root.ssmd["session_id"])
    assert before["revision"] == root.ssmd["revision"]
    first = ask(kind, GOES_ON, mode=mode, **after(root))
    other = ask(kind, OTHER, mode=mode, **after(root))
    again = ask(kind, GOES_ON, mode=mode, **after(root))
    assert first.text == again.text != other.text
    assert len({root.id, first.id, other.id, again.id}) == 4
    ids = {answer.ssmd["session_id"] for answer in (root, first, other, again)}
    assert ids == {session["id"] for session in sessions(http)}
    for branch in (first, other, again):
        # Nothing is read again; the last token of an answer was not read before.
        assert branch.ssmd["reused_tokens"] == before["state_position"]
        assert branch.ssmd["recomputed_tokens"] == 0
        new = branch.prompt_tokens - branch.ssmd["reused_tokens"]
        assert 0 < branch.ssmd["computed_tokens"] == new < 50
        session = got(http, branch.ssmd["session_id"])
        assert session["parent_id"] == root.ssmd["session_id"]
        assert session["parent_position"] == before["position"]
    # The parent is not touched.
    untouched = got(http, root.ssmd["session_id"])
    assert {**untouched, "used": 0, "expires": 0} == {**before, "used": 0, "expires": 0}


@pytest.mark.parametrize("mode", MODES)
def test_a_branch_says_what_one_long_prompt_does(ask: Asker, mode: Mode) -> None:
    root = ask("completions", PROMPT, mode=mode, **STORED)
    branch = ask("completions", GOES_ON, mode=mode, **after(root))
    leaf = ask("completions", OTHER, mode=mode, **after(branch))
    long = PROMPT + root.text + GOES_ON + branch.text + OTHER
    at_once = ask("completions", long)
    assert leaf.text == at_once.text
    assert leaf.prompt_tokens == at_once.prompt_tokens


def test_a_chat_of_turns_says_what_the_whole_chat_does(ask: Asker) -> None:
    """Where an answer was ended by its stop token: what follows it is the chat's own text."""
    stop: dict[str, Any] = {"stop": ["."], "store": True}
    first = ask("chat", PROMPT, tokens=60, **stop)
    second = ask("chat", "And then?", tokens=20, **after(first))
    messages = [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": first.text},
        {"role": "user", "content": "And then?"},
    ]
    whole = ask("chat", messages, tokens=20)
    assert second.prompt_tokens - whole.prompt_tokens in range(-2, 3)


def test_responses_go_on_from_the_one_before(ask: Asker, http: httpx2.Client) -> None:
    root = ask("responses", PROMPT)
    assert got(http, root.ssmd["session_id"])["revision"] == 1
    next_one = ask("responses", "And then?", previous_response_id=root.id)
    same = ask("responses", "And then?", **after(root))
    streamed = ask("responses", "And then?", mode="async stream", previous_response_id=root.id)
    assert next_one.text == same.text == streamed.text
    assert next_one.ssmd["reused_tokens"] > 0
    third = ask("responses", "And then?", previous_response_id=next_one.id)
    assert third.ssmd["reused_tokens"] > next_one.ssmd["reused_tokens"]
    response = ask.client.responses.create(
        model=MODEL, input="Hm", previous_response_id=root.id, max_output_tokens=2
    )
    assert response.previous_response_id == root.id
    assert response.to_dict()["store"] is True


def test_responses_that_are_not_stored(ask: Asker, http: httpx2.Client) -> None:
    answer = ask("responses", PROMPT, store=False)
    assert answer.ssmd["session_id"] is None
    assert sessions(http) == []
    with pytest.raises(openai.NotFoundError):
        ask("responses", "And then?", previous_response_id=answer.id)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_branched_though_its_session_went_on(
    ask: Asker, http: httpx2.Client, kind: Kind
) -> None:
    root = ask(kind, PROMPT, **STORED)
    expected = ask(kind, GOES_ON, **after(root)).text
    more: dict[str, Any] = {"store": False} if kind == "responses" else {}
    went_on = ask(kind, OTHER, **more, **on(root.ssmd["session_id"]))
    assert went_on.ssmd["revision"] == root.ssmd["revision"] + 1
    branch = ask(kind, GOES_ON, **after(root))
    assert branch.text == expected
    assert branch.ssmd["recomputed_tokens"] == 0
    # The answer on the session can be branched as well.
    assert ask(kind, GOES_ON, **after(went_on)).ssmd["reused_tokens"] > 0


@pytest.mark.parametrize("kind", ["completions", "chat"])
@pytest.mark.parametrize("mode", MODES)
def test_each_of_several_choices_is_stored(
    ask: Asker, http: httpx2.Client, kind: Kind, mode: Mode
) -> None:
    several: dict[str, Any] = {"n": 3, "temperature": 1.2, "seed": 7}
    root = ask(kind, PROMPT, mode=mode, **several, **STORED)
    assert root.ssmd["session_id"] is None
    assert set(root.choice_ssmd) == {0, 1, 2}
    ids = {part["session_id"] for part in root.choice_ssmd.values()}
    assert eventually(lambda: {session["id"] for session in sessions(http)} == ids)
    assert len(ids) == 3
    branches = {}
    for choice, part in root.choice_ssmd.items():
        branch = ask(kind, GOES_ON, **after(part["id"]))
        branches[choice] = branch
        assert got(http, branch.ssmd["session_id"])["parent_id"] == part["session_id"]
    if kind == "completions":
        for choice, branch in branches.items():
            long = ask(kind, PROMPT + root.texts[choice] + GOES_ON)
            assert long.text == branch.text or long.prompt_tokens != branch.prompt_tokens
    # And several from one of them.
    leaves = ask(kind, GOES_ON, mode=mode, **several, **after(root.choice_ssmd[1]["id"]))
    assert len({part["session_id"] for part in leaves.choice_ssmd.values()}) == 3
    with pytest.raises(openai.NotFoundError):
        ask(kind, GOES_ON, **after(root))


def test_lifetimes_of_what_is_stored(ask: Asker, http: httpx2.Client) -> None:
    root = ask("completions", PROMPT, extra_body={"store": True, "ssmd": {"ttl_seconds": 600}})
    session = got(http, root.ssmd["session_id"])
    assert session["expires"] == pytest.approx(session["created"] + 600, abs=1)
    lives = {"parent_id": root.id, "idle_seconds": 60}
    branch = ask("completions", GOES_ON, extra_body={"ssmd": lives})
    session = got(http, branch.ssmd["session_id"])
    assert session["expires"] == pytest.approx(session["used"] + 60, abs=1)


# --- What leaves nothing behind ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["whole", "stream"])
def test_a_turn_that_is_refused_leaves_no_session(
    ask: Asker, http: httpx2.Client, kind: Kind, mode: Mode
) -> None:
    refused: list[tuple[dict[str, Any], type[openai.APIStatusError]]] = [
        ({"temperature": 11}, openai.BadRequestError),
        ({"model": "other"}, openai.NotFoundError),
        ({"logit_bias": {"99999": 1}}, openai.BadRequestError),
        ({"extra_body": {"ssmd": {"ttl_seconds": -1}}}, openai.BadRequestError),
        (after("none"), openai.NotFoundError),
        (after(f"x-{NO_SESSION}-1"), openai.NotFoundError),
        (on(NO_SESSION), openai.BadRequestError),
    ]
    for parameters, error in refused:
        body = {"store": True, **parameters.get("extra_body", {})}
        body |= {name: value for name, value in parameters.items() if name == "logit_bias"}
        rest = {n: v for n, v in parameters.items() if n not in ("extra_body", "logit_bias")}
        with pytest.raises(error):
            ask(kind, PROMPT, mode=mode, extra_body=body, **rest)
    prompt: Any = "" if kind == "completions" else []
    with pytest.raises(openai.BadRequestError):
        ask(kind, prompt, mode=mode, **STORED)
    assert eventually(lambda: sessions(http) == [])
    root = ask(kind, PROMPT, **STORED)
    with pytest.raises(openai.BadRequestError):
        ask(kind, GOES_ON, mode=mode, temperature=11, **after(root))
    assert eventually(lambda: len(sessions(http)) == 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("branch", [False, True])
def test_a_turn_that_is_cancelled_leaves_no_session(
    ask: Asker, http: httpx2.Client, daemon: Daemon, kind: Kind, branch: bool
) -> None:
    more = STORED
    expected = 0
    if branch:
        root = ask(kind, PROMPT, **STORED)
        more = after(root)
        expected = 1
    create = endpoint_of(ask.client, kind).create
    arguments = arguments_of(kind, PROMPT, ENDLESS, stream=True, temperature=1.3, seed=1)
    if kind == "responses":
        del arguments["seed"]
    body = more["extra_body"] | {"logit_bias": {"0": -100}}
    with create(**arguments, extra_body=body) as stream:
        assert next(iter(stream)) is not None
        assert len(sessions(http)) == expected + 1
    assert eventually(daemon.is_at_rest)
    assert eventually(lambda: len(sessions(http)) == expected)


@pytest.mark.parametrize("kind", ["completions", "chat"])
def test_a_partial_commit_keeps_what_was_read(
    ask: Asker, http: httpx2.Client, daemon: Daemon, kind: Kind
) -> None:
    whole = ask(kind, PROMPT, tokens=300, extra_body={"ignore_eos": True}).text
    body = {"ignore_eos": True, "ssmd": {"commit": "partial"}, "store": True}
    create = endpoint_of(ask.client, kind).create
    answer = Answer()
    with create(**arguments_of(kind, PROMPT, ENDLESS, stream=True, extra_body=body)) as stream:
        for chunk in stream:
            answer.take(chunk)
            if answer.pieces == 20:
                break
    assert eventually(daemon.is_at_rest)
    (session,) = sessions(http)
    assert session["revision"] == 1
    # What was read, and at most what was on its way.
    assert whole.startswith(answer.text)
    # The id of a stream names what it left.
    branch = ask(kind, GOES_ON, **after(answer))
    assert branch.ssmd["reused_tokens"] >= session["state_position"]
    assert branch.ssmd["reused_tokens"] + 50 > session["position"]
    assert got(http, branch.ssmd["session_id"])["parent_id"] == session["id"]


# --- Turns on a session ---


@pytest.mark.parametrize("mode", MODES)
def test_turns_on_a_session(ask: Asker, http: httpx2.Client, mode: Mode) -> None:
    session = made(http)["id"]
    first = ask("completions", PROMPT, mode=mode, **on(session))
    second = ask("completions", GOES_ON, mode=mode, **on(session, expected_revision=1))
    assert (first.ssmd["revision"], second.ssmd["revision"]) == (1, 2)
    assert first.ssmd["session_id"] == second.ssmd["session_id"] == session
    assert second.text == ask("completions", PROMPT + first.text + GOES_ON).text
    with pytest.raises(openai.ConflictError) as caught:
        ask("completions", GOES_ON, mode=mode, **on(session, expected_revision=1))
    assert caught.value.code == "revision_mismatch"
    assert got(http, session)["revision"] == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_retry_gets_the_same_answer(
    ask: Asker, http: httpx2.Client, kind: Kind, mode: Mode
) -> None:
    session = made(http)["id"]
    more: dict[str, Any] = {"store": False} if kind == "responses" else {}
    more |= on(session, request_id="retry-1") | {"temperature": 1.2}
    first = ask(kind, PROMPT, mode=mode, **more)
    again = ask(kind, PROMPT, mode=mode, **more)
    assert (first.text, first.finish, first.id) == (again.text, again.finish, again.id)
    assert (first.ssmd["replayed"], again.ssmd["replayed"]) == (False, True)
    assert (first.ssmd["revision"], again.ssmd["revision"]) == (1, 1)
    assert first.ssmd["seed"] == again.ssmd["seed"]
    assert got(http, session)["revision"] == 1
    # Another request by the same name is not a retry.
    with pytest.raises(openai.ConflictError) as caught:
        ask(kind, OTHER, mode=mode, **more)
    assert caught.value.code == "request_id_reused"


def test_waiting_for_a_busy_session(ask: Asker, http: httpx2.Client, daemon: Daemon) -> None:
    session = made(http)["id"]
    endless = arguments_of("completions", PROMPT, ENDLESS, stream=True)
    endless["extra_body"] = {"ignore_eos": True, **on(session)["extra_body"]}
    with ask.client.completions.create(**endless) as stream:
        next(iter(stream))
        waits = arguments_of("completions", OTHER, 4, **on(session, when_busy="wait"))
        waiting = ask.client.completions.with_streaming_response.create(**waits, stream=True)
        results: list[str] = []

        def wait_for_it() -> None:
            with waiting as response:
                results.append(response.read().decode())

        thread = threading.Thread(target=wait_for_it)
        thread.start()
        assert eventually(lambda: got(http, session)["waiting_turns"] == 1)
    thread.join(30)
    assert "[DONE]" in results[0]
    # The turn that was cut short left nothing.
    assert got(http, session)["revision"] == 1


# --- /v1/sessions ---


def test_sessions_are_made_of_prompts(ask: Asker, http: httpx2.Client) -> None:
    whole = ask("completions", PROMPT).text
    session = made(http, text=PROMPT, ttl_seconds=600)
    assert (session["position"], session["running"], session["parent_id"]) == (4, False, None)
    assert got(http, session["id"])["expires"] is not None
    assert ask("completions", "", **on(session["id"])).text == whole
    chat = made(http, messages=[{"role": "user", "content": "Hi"}])
    assert chat["position"] > 4
    assert made(http, token_ids=[1, 2, 3])["position"] == 3
    assert http.post("/v1/sessions", json={}).json()["position"] == 0
    assert http.post("/v1/sessions", json={"model": "other"}).status_code == 404
    for body in (
        {"text": "a", "token_ids": [1]},
        {"text": 1},
        {"token_ids": [-1]},
        {"token_ids": [99999]},
        {"ttl_seconds": -1},
        {"no_such": 1},
        {"messages": [{"role": "user"}, 1]},
    ):
        assert code_of(http.post("/v1/sessions", json=body)) == (400, "invalid_field"), body


def test_lists_come_in_pages(http: httpx2.Client) -> None:
    ids = {made(http)["id"] for _ in range(7)}
    child = http.post(f"/v1/sessions/{min(ids)}/fork", json={}).json()["data"][0]["id"]
    seen: list[str] = []
    query: dict[str, str] = {"limit": "3"}
    for _ in range(10):
        page = http.get("/v1/sessions", params=query).json()
        seen += [session["id"] for session in page["data"]]
        assert page["has_more"] == (page["next"] is not None)
        if not page["has_more"]:
            break
        assert len(page["data"]) == 3
        query["after"] = page["next"]
    assert len(seen) == len(set(seen)) == 8
    assert set(seen) == ids | {child}
    of_parent = http.get("/v1/sessions", params={"parent_id": min(ids)}).json()["data"]
    assert [session["id"] for session in of_parent] == [child]
    assert len(http.get("/v1/sessions", params={"model": MODEL}).json()["data"]) == 8
    assert http.get("/v1/sessions", params={"model": "other"}).status_code == 404
    for name, value in (("limit", "x"), ("limit", "-1"), ("limit", "9999"), ("after", "x")):
        response = http.get("/v1/sessions", params={name: value})
        assert code_of(response) == (400, "invalid_field")
        error = response.json()["error"]
        assert error["param"] == name
        assert error["message"].startswith(name)


def test_forks(ask: Asker, http: httpx2.Client) -> None:
    session = made(http, text=PROMPT)
    path = f"/v1/sessions/{session['id']}"
    forks = http.post(f"{path}/fork", json={"count": 3}).json()["data"]
    assert len({fork["id"] for fork in forks}) == 3
    texts = {ask("completions", "", **on(fork["id"])).text for fork in forks}
    assert texts == {ask("completions", PROMPT).text}
    for fork in forks:
        assert fork["history_hash"] == session["history_hash"]
        assert (fork["parent_id"], fork["parent_position"]) == (session["id"], 4)
    http.post(f"{path}/checkpoint", json={"name": "start"})
    ask("completions", OTHER, **on(session["id"]))
    of_name = http.post(f"{path}/fork", json={"checkpoint": "start"}).json()["data"][0]
    of_place = http.post(f"{path}/fork", json={"position": 4}).json()["data"][0]
    assert of_name["history_hash"] == of_place["history_hash"] == session["history_hash"]
    both = http.post(f"{path}/fork", json={"checkpoint": "start", "position": 4})
    assert code_of(both) == (400, "invalid_field")
    stale = http.post(f"{path}/fork", json={"expected_revision": 77})
    assert code_of(stale) == (409, "revision_mismatch")
    for body in ({"count": 0}, {"count": 1001}, {"position": -1}, {"position": 99}):
        assert code_of(http.post(f"{path}/fork", json=body)) == (400, "invalid_field"), body
    within_a_turn = http.post(f"{path}/fork", json={"position": 3})
    assert code_of(within_a_turn) == (404, "point_not_held")


def test_rewinds_and_checkpoints(ask: Asker, http: httpx2.Client) -> None:
    session = made(http)["id"]
    path = f"/v1/sessions/{session}"
    first = ask("completions", PROMPT, **on(session)).text
    marked = http.post(f"{path}/checkpoint", json={"name": "a"}).json()
    assert [point["name"] for point in marked["checkpoints"]] == ["a"]
    second = ask("completions", GOES_ON, **on(session)).text
    ways: list[dict[str, Any]] = [{"checkpoint": "a"}, {"turns": 1}]
    for way in [*ways, {"position": marked["position"]}]:
        response = http.post(f"{path}/rewind", json=way)
        assert response.status_code == 200, response.text
        assert response.json()["position"] == marked["position"]
        assert ask("completions", GOES_ON, **on(session)).text == second
    back = http.post(f"{path}/rewind", json={"turns": 2}).json()
    assert back["position"] == 0
    assert ask("completions", PROMPT, **on(session)).text == first
    removed = http.post(f"{path}/checkpoint", json={"name": "a", "remove": True})
    assert (removed.status_code, removed.json()["checkpoints"]) == (200, [])
    again = http.post(f"{path}/checkpoint", json={"name": "a", "remove": True})
    assert code_of(again) == (404, "point_not_held")
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("rewind", {}),
        ("rewind", {"turns": 1, "position": 0}),
        ("rewind", {"turns": 0}),
        ("rewind", {"position": -1}),
        ("rewind", {"no_such": 1}),
        ("checkpoint", {}),
        ("checkpoint", {"name": ""}),
        ("checkpoint", {"name": 1}),
    ]
    for what, body in wrong:
        assert code_of(http.post(f"{path}/{what}", json=body)) == (400, "invalid_field"), body
    unknown = http.post(f"{path}/rewind", json={"checkpoint": "none"})
    assert unknown.status_code == 404


def test_exports_are_imported(ask: Asker, http: httpx2.Client) -> None:
    root = ask("completions", PROMPT, **STORED)
    session = root.ssmd["session_id"]
    expected = ask("completions", GOES_ON, **after(root)).text
    exported = http.get(f"/v1/sessions/{session}/export")
    assert exported.status_code == 200
    assert exported.headers["content-type"] == "application/octet-stream"
    binary = {"Content-Type": "application/octet-stream"}
    response = http.post(
        "/v1/sessions/import", params={"model": MODEL}, content=exported.content, headers=binary
    )
    assert response.status_code == 200, response.text
    copy = response.json()
    original = got(http, session)
    assert copy["id"] != session
    for name in ("position", "history_hash", "state_bytes", "pending_tokens"):
        assert copy[name] == original[name]
    assert ask("completions", GOES_ON, **on(copy["id"])).text == expected
    # Broken ones are refused.
    broken = [exported.content[:-1], exported.content + b"x", b"", b"nonsense"]
    middle = len(exported.content) // 2
    flipped = bytearray(exported.content)
    flipped[middle] ^= 1
    broken.append(bytes(flipped))
    for content in broken:
        refused = http.post("/v1/sessions/import", content=content, headers=binary)
        assert refused.status_code == 400, refused.text
    for query in ({"rebuild": "perhaps"}, {"allow_inexact": "2"}):
        refused = http.post(
            "/v1/sessions/import", params=query, content=exported.content, headers=binary
        )
        assert code_of(refused) == (400, "invalid_field")
    assert http.get(f"/v1/sessions/{NO_SESSION}/export").status_code == 404
    assert http.get(f"/v1/sessions/{session}/export?checkpoint=none").status_code == 404


def test_sessions_that_are_not_there(http: httpx2.Client) -> None:
    session = made(http)["id"]
    deleted = http.delete(f"/v1/sessions/{session}")
    assert deleted.json() == {"id": session, "object": "session.deleted", "deleted": True}
    for name in (session, NO_SESSION, "x", "0" * 31, "G" * 32, "%00", "..%2f"):
        path = f"/v1/sessions/{name}"
        calls = [
            http.get(path),
            http.delete(path),
            http.post(f"{path}/fork", json={}),
            http.post(f"{path}/rewind", json={"turns": 1}),
            http.post(f"{path}/checkpoint", json={"name": "a"}),
            http.get(f"{path}/export"),
        ]
        assert {code_of(call) for call in calls} == {(404, "session_not_found")}, name


def test_sessions_outlive_the_daemon(start_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    flags = ("--state-dir", str(tmp_path / "state"))
    daemon = start_daemon(*flags)
    roots: dict[Kind, Answer] = {}
    expected: dict[Kind, str] = {}
    with Asker(daemon.url) as ask:
        for kind in KINDS:
            roots[kind] = ask(kind, PROMPT, **STORED)
            expected[kind] = ask(kind, GOES_ON, **after(roots[kind])).text
        several = ask("completions", PROMPT, n=2, temperature=1.2, **STORED)
        listed = sessions(daemon.http)
    assert daemon.stop() == 0
    daemon = start_daemon(*flags)

    def lasting(session: dict[str, Any]) -> dict[str, Any]:
        names = ("id", "revision", "position", "history_hash", "parent_id", "created")
        return {name: session[name] for name in names}

    with Asker(daemon.url) as ask:
        assert [lasting(one) for one in sessions(daemon.http)] == [lasting(one) for one in listed]
        for kind in KINDS:
            branch = ask(kind, GOES_ON, **after(roots[kind]))
            assert branch.text == expected[kind]
            assert branch.ssmd["state_source"] in ("disk", "host")
            assert branch.ssmd["reused_tokens"] > 0
        for part in several.choice_ssmd.values():
            assert ask("completions", GOES_ON, **after(part["id"])).text
    assert daemon.stop() == 0


def test_sessions_of_others_are_not_there(
    start_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    alice, bob = "a" * 32, "b" * 32
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{alice} alice\n{bob} bob\n")
    tokens.chmod(0o600)
    daemon = start_daemon("--token-file", str(tokens), token=alice)
    with Asker(daemon.url, alice) as of_alice, Asker(daemon.url, bob) as of_bob:
        root = of_alice("completions", PROMPT, **STORED)
        session = root.ssmd["session_id"]
        for kind, mode in itertools.product(KINDS, MODES):
            more = {"store": False} if kind == "responses" else {}
            for body in (after(root), {**more, **on(session)}):
                with pytest.raises(openai.NotFoundError) as caught:
                    of_bob(kind, GOES_ON, mode=mode, **body)
                assert caught.value.code == "session_not_found"
        with daemon.caller(bob) as http:
            assert sessions(http) == []
            path = f"/v1/sessions/{session}"
            for call in (http.get(path), http.delete(path), http.get(f"{path}/export")):
                assert code_of(call) == (404, "session_not_found")
            fork = http.post(f"{path}/fork", json={})
            assert code_of(fork) == (404, "session_not_found")
            of_parent = http.get("/v1/sessions", params={"parent_id": session})
            assert of_parent.json()["data"] == []
        assert of_alice("completions", GOES_ON, **after(root)).ssmd["reused_tokens"] > 0
        assert len(sessions(daemon.http)) == 2
