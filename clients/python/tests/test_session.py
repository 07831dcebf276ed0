"""Sessions with a real daemon."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from daemon import ENDLESS, Daemon, eventually

import ssmd
from ssmd._proto import session_pb2


def test_turns_go_on_and_read_only_what_is_new(client: ssmd.Client) -> None:
    session = client.session()
    assert (session.revision, session.position) == (0, 0)
    first = session.complete("Lily had a red ball.", max_tokens=10, temperature=0)
    second = session.complete(" Then Tom", max_tokens=10, temperature=0)
    assert second.usage.reused_tokens == session_length(client, "Lily had a red ball.", first) - 1
    assert second.state_source == "resident"
    whole = client.complete(
        tokens=client.tokenize("Lily had a red ball.")
        + first.token_ids
        + client.tokenize(" Then Tom"),
        max_tokens=10,
        temperature=0,
    )
    assert second.text == whole.text
    assert second.session_id == session.id
    info = session.info()
    assert info.revision == session.revision == 2
    assert info.tier == "device"
    assert info.last_token_ids[-10:] == second.token_ids
    assert [point.revision for point in info.turn_ends] == [0, 1, 2]
    assert info.expires is None


def session_length(client: ssmd.Client, prompt: str, answer: ssmd.Completion) -> int:
    return len(client.tokenize(prompt)) + len(answer.token_ids)


@pytest.mark.parametrize(
    "options",
    [{}, {"stop": "."}, {"stop": ".", "stop_history": "keep"}, {"max_tokens": 0}],
    ids=str,
)
def test_the_position_is_known_without_asking(client: ssmd.Client, options: dict[str, str]) -> None:
    session = client.session("Once upon a time")
    for _ in range(2):
        session.complete(" there was a", **{"max_tokens": 40, "temperature": 0, **options})
        revision, position = session.revision, session.position
        info = session.info()
        assert (revision, position) == (info.revision, info.position)


def test_asking_is_a_chat(client: ssmd.Client) -> None:
    session = client.session()
    answer = session.ask("Who are you?", system="Be brief.", max_tokens=8, seed=1)
    history = answer.usage.prompt_tokens
    again = session.ask("And now?", max_tokens=8, seed=1)
    assert again.usage.reused_tokens >= history
    twin = client.session()
    said = twin.complete(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Who are you?"},
        ],
        max_tokens=8,
        seed=1,
    )
    assert said.text == answer.text
    assert "".join(session.stream("Go on.", max_tokens=8)) != ""


def test_a_turn_may_bring_nothing_new(client: ssmd.Client) -> None:
    session = client.session("Once upon a time")
    assert session.complete(max_tokens=5).usage.generated_tokens == 5


def test_forks_go_their_own_ways(client: ssmd.Client) -> None:
    session = client.session("Once upon a time")
    twin = session.fork()
    assert isinstance(twin, ssmd.Session)
    children = session.fork(3, ttl_seconds=60)
    assert len({child.id for child in [session, twin, *children]}) == 5
    assert children[0].info().expires is not None
    assert children[0].info().parent_id == session.id
    texts = {child.complete(" there", max_tokens=20).text for child in [twin, *children]}
    assert len(texts) == 4
    assert session.info().position == session.position
    listed = [info.session_id for info in client.sessions(parent_id=session.id)]
    assert listed == sorted(child.id for child in [twin, *children])


def test_a_list_goes_on_after_an_empty_page(
    client: ssmd.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = client.session("Once upon a time")
    unary = client._calls.unary
    tokens = []

    def with_an_empty_page(method: Any, request: Any, **options: Any) -> Any:
        tokens.append(request.page_token)
        if not request.page_token:
            return session_pb2.ListSessionsResponse(next_page_token="0" * 32)
        return unary(method, request, **options)

    monkeypatch.setattr(client._calls, "unary", with_an_empty_page)
    assert session.id in [info.session_id for info in client.sessions()]
    assert tokens[:2] == ["", "0" * 32]


def test_going_back(client: ssmd.Client) -> None:
    session = client.session("Once upon a time")
    session.checkpoint("start")
    places = [session.position]
    for _ in range(3):
        session.complete(" and", max_tokens=4)
        places.append(session.position)
    assert session.rewind().position == places[2]
    assert session.rewind(2).position == session.position == places[0]
    session.complete(" then", max_tokens=4)
    assert session.fork(checkpoint="start").position == places[0]
    assert session.rewind(checkpoint="start").checkpoints[0].name == "start"
    assert session.rewind(position=2, allow_recompute=True).position == 2
    session.remove_checkpoint("start")
    with pytest.raises(ssmd.NotFound):
        session.rewind(checkpoint="start")
    with pytest.raises(TypeError):
        session.rewind(1, position=1)
    with pytest.raises(TypeError):
        session.fork(position=1, checkpoint="start")


def test_a_change_by_somebody_else_is_a_conflict(client: ssmd.Client) -> None:
    session = client.session("Once")
    other = client.attach(session.id)
    other.complete(" upon", max_tokens=2)
    for change in (
        lambda: session.complete(" a", max_tokens=2),
        lambda: session.rewind(),
        lambda: session.fork(),
        lambda: session.checkpoint("here"),
    ):
        with pytest.raises(ssmd.Conflict) as caught:
            change()
        assert caught.value.reason == "REVISION_MISMATCH"
    session.complete(" a", max_tokens=2, expected_revision=None)
    assert session.revision == other.revision + 1
    with pytest.raises(ssmd.Conflict):
        other.complete(" time", max_tokens=2)
    other.info()
    other.complete(" time", max_tokens=2)


def test_one_turn_at_a_time_unless_it_waits(daemon: Daemon, client: ssmd.Client) -> None:
    session = client.session("Once")
    running = session.generate(" upon", max_tokens=2000, ignore_eos=True)
    events = running.events()
    next(events)
    with pytest.raises(ssmd.SessionBusy):
        session.complete(" a", max_tokens=2)
    waited = session.complete(" a", max_tokens=2, when_busy="wait")
    list(events)
    assert waited.choices[0].revision == running.result().choices[0].revision + 1
    assert session.revision == waited.choices[0].revision


def test_a_turn_that_is_left_leaves_nothing_or_what_was_sent(
    daemon: Daemon, client: ssmd.Client
) -> None:
    session = client.session("Once")
    before = session.info()
    for _ in session.generate(" upon", max_tokens=ENDLESS, ignore_eos=True):
        break
    assert eventually(daemon.is_at_rest)
    assert session.info().history_hash == before.history_hash
    turn = session.generate(" upon", max_tokens=ENDLESS, ignore_eos=True, commit="partial")
    for _ in turn:
        break
    assert eventually(lambda: daemon.is_at_rest() and not session.info().running)
    assert session.position > before.position


def test_what_this_side_gave_up_is_no_conflict(daemon: Daemon, client: ssmd.Client) -> None:
    session = client.session("Once")
    turn = session.generate(" upon", max_tokens=ENDLESS, ignore_eos=True, commit="partial")
    for _ in turn:
        break
    assert eventually(daemon.is_at_rest)
    session.complete(" a", max_tokens=2)
    # Committed before it was given up: it was there in whole.
    turn = session.generate(" time", max_tokens=2)
    assert eventually(lambda: client.attach(session.id).revision == session.revision + 1)
    turn.cancel()
    revision = session.complete(" and", max_tokens=2).choices[0].revision
    assert session.revision == session.info().revision == revision


def test_choices_of_a_session_are_sessions(client: ssmd.Client) -> None:
    session = client.session("Once upon a time")
    result = session.complete(" there", max_tokens=4, n=2)
    assert session.revision == session.info().revision
    for choice in result.choices:
        child = client.attach(choice.session_id)
        assert child.revision == choice.revision
        assert child.info().last_token_ids[-4:] == choice.token_ids


def test_what_is_saved_goes_on_as_it_would_have(client: ssmd.Client, tmp_path: Path) -> None:
    session = client.session("Once upon a time there was")
    path = tmp_path / "x.ssm"
    size = session.save(path)
    assert path.stat().st_size == size
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["x.ssm"]
    loaded = client.load(path, idle_seconds=60)
    assert loaded.id != session.id
    assert loaded.position == session.position
    options: ssmd.TurnOptions = {"max_tokens": 20, "seed": 7}
    assert loaded.complete(" a", **options).text == session.complete(" a", **options).text


def test_a_save_that_fails_leaves_the_file_as_it_was(client: ssmd.Client, tmp_path: Path) -> None:
    session = client.session("Once")
    path = tmp_path / "x.ssm"
    path.write_text("older")
    session.delete()
    with pytest.raises(ssmd.NotFound):
        session.save(path)
    assert path.read_text() == "older"
    assert os.listdir(tmp_path) == ["x.ssm"]
    with pytest.raises(FileNotFoundError):
        client.session("Once").save(tmp_path / "none" / "x.ssm")


def test_a_link_is_followed_and_a_pipe_is_written_to(client: ssmd.Client, tmp_path: Path) -> None:
    session = client.session("Once")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/x.ssm")
    size = session.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert [path.stat().st_size for path in (tmp_path / "real").iterdir()] == [size]
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as readers:
        read = readers.submit((tmp_path / "pipe").read_bytes)
        assert session.save(tmp_path / "pipe") == size
        assert len(read.result(timeout=60)) == size
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe", "real"]
    with pytest.raises(OSError, match="No space left"):
        session.save("/dev/full")
    assert Path("/dev/full").is_char_device()


def test_files_that_are_no_snapshots_are_refused(client: ssmd.Client, tmp_path: Path) -> None:
    path = tmp_path / "x.ssm"
    with pytest.raises(FileNotFoundError):
        client.load(path)
    for content in (b"", b"something else"):
        path.write_bytes(content)
        with pytest.raises(ssmd.InvalidArgument):
            client.load(path)
    client.session("Once").save(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ssmd.DataLoss):
        client.load(path)


def test_a_block_deletes_where_it_was_asked_to(client: ssmd.Client) -> None:
    with client.session() as kept:
        pass
    assert client.attach(kept.id).id == kept.id
    with client.session(delete_on_exit=True) as gone, gone.fork() as child:
        pass
    for session in (gone, child):
        with pytest.raises(ssmd.NotFound):
            session.info()
    with client.session(delete_on_exit=True) as deleted_within:
        deleted_within.delete()


def test_sessions_are_listed_over_pages(client: ssmd.Client) -> None:
    parent = client.session()
    children = parent.fork(1000) + parent.fork(5)
    listed = [info.session_id for info in client.sessions(model="tales", parent_id=parent.id)]
    assert listed == sorted(child.id for child in children)
