"""The client for asyncio, with a real daemon: what is other than where calls block."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemon import ENDLESS, Daemon, eventually

import ssmd

PROMPT = "Once upon a time"
Scenario = Callable[[ssmd.AsyncClient], Coroutine[Any, Any, None]]


def run(daemon: Daemon, scenario: Scenario) -> None:
    async def main() -> None:
        async with ssmd.AsyncClient(daemon.server) as client:
            await scenario(client)

    asyncio.run(main())


async def eventually_here(condition: Callable[[], bool]) -> bool:
    """As `eventually`, while the loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(None, eventually, condition)


@pytest.mark.parametrize(
    ("blocking", "other"),
    [
        (ssmd.Client, ssmd.AsyncClient),
        (ssmd.Session, ssmd.AsyncSession),
        (ssmd.Stream, ssmd.AsyncStream),
        (ssmd.Memory, ssmd.AsyncMemory),
    ],
)
def test_both_clients_have_the_same_names_and_arguments(blocking: type, other: type) -> None:
    def surface(kind: type) -> dict[str, list[str]]:
        members = {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}
        return {
            name: list(inspect.signature(member).parameters) if callable(member) else []
            for name, member in members.items()
        }

    assert surface(blocking) == surface(other)


def test_both_clients_say_the_same(daemon: Daemon, client: ssmd.Client, tmp_path: Path) -> None:
    async def scenario(other: ssmd.AsyncClient) -> None:
        assert await other.models() == client.models()
        assert await other.model("tales") == client.model("tales")
        ids = await other.tokenize(PROMPT)
        assert ids == client.tokenize(PROMPT)
        assert await other.detokenize(ids) == PROMPT
        assert (await other.score(PROMPT)).total == client.score(PROMPT).total
        assert np.array_equal(await other.encode(PROMPT), client.encode(PROMPT))
        options: ssmd.GenerateOptions = {"max_tokens": 20, "seed": 5}
        expected = client.complete(PROMPT, **options)
        assert [text async for text in other.generate(PROMPT, **options)]
        assert (await other.complete(PROMPT, **options)).text == expected.text
        session = await other.session("Lily")
        await session.complete(" had a ball.", **options)
        assert (await session.ask("Why?", **options)).text
        assert "".join([text async for text in session.stream("Why?", **options)])
        await session.rewind(2)
        await session.checkpoint("here")
        twin, (first, second) = await session.fork(), await session.fork(2, checkpoint="here")
        assert twin.position == first.position == second.position == session.position
        await session.remove_checkpoint("here")
        assert (await session.info()).checkpoints == []
        assert await session.save(tmp_path / "x.ssm") == (tmp_path / "x.ssm").stat().st_size
        async with other.load(tmp_path / "x.ssm", delete_on_exit=True) as loaded:
            assert loaded.position == session.position
        with pytest.raises(ssmd.NotFound):
            await other.attach(loaded.id)
        listed = [info.session_id async for info in other.sessions(parent_id=session.id)]
        assert listed == sorted([twin.id, first.id, second.id])
        await session.delete()
        with pytest.raises(ssmd.NotFound):
            await session.info()

    run(daemon, scenario)


def test_many_tasks_share_a_client(daemon: Daemon, client: ssmd.Client) -> None:
    alone = client.complete(PROMPT, max_tokens=30, seed=1).text

    async def scenario(client: ssmd.AsyncClient) -> None:
        calls = [client.complete(PROMPT, max_tokens=30, seed=1) for _ in range(32)]
        assert [result.text for result in await asyncio.gather(*calls)] == [alone] * 32

    run(daemon, scenario)


async def leave_the_loop(stream: ssmd.AsyncStream) -> None:
    async for _ in stream:
        break


async def leave_the_block(stream: ssmd.AsyncStream) -> None:
    async with stream:
        await stream.events().__anext__()


async def cancel_the_stream(stream: ssmd.AsyncStream) -> None:
    await stream.events().__anext__()
    stream.cancel()
    with pytest.raises(ssmd.Cancelled):
        await stream.result()


async def cancel_the_task(stream: ssmd.AsyncStream) -> None:
    task = asyncio.create_task(stream.result())
    while not stream.text:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def run_out_of_time(stream: ssmd.AsyncStream) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(stream.result(), 0.2)


@pytest.mark.parametrize(
    "leave",
    [leave_the_loop, leave_the_block, cancel_the_stream, cancel_the_task, run_out_of_time],
)
def test_what_is_left_ends_at_the_server(
    daemon: Daemon, leave: Callable[[ssmd.AsyncStream], Awaitable[None]]
) -> None:
    async def scenario(client: ssmd.AsyncClient) -> None:
        before = len(daemon.ended_early())
        await leave(client.generate(PROMPT, max_tokens=ENDLESS, ignore_eos=True))
        assert await eventually_here(daemon.is_at_rest)
        assert daemon.ended_early()[before:] == ["CANCELLED"]

    run(daemon, scenario)


def test_a_timeout_ends_the_turn_at_the_server(daemon: Daemon) -> None:
    async def scenario(client: ssmd.AsyncClient) -> None:
        before = len(daemon.ended_early())
        with pytest.raises(ssmd.DeadlineExceeded):
            await client.complete(PROMPT, max_tokens=ENDLESS, ignore_eos=True, timeout=0.3)
        assert await eventually_here(daemon.is_at_rest)
        # Whichever of the two clocks was first.
        assert daemon.ended_early()[before:] in (["DEADLINE_EXCEEDED"], ["CANCELLED"])

    run(daemon, scenario)


def test_closing_the_client_ends_its_calls(daemon: Daemon) -> None:
    async def main() -> None:
        client = ssmd.AsyncClient(daemon.server)
        stream = client.generate(PROMPT, max_tokens=ENDLESS, ignore_eos=True)
        task = asyncio.create_task(stream.result())
        while not stream.text:
            await asyncio.sleep(0.001)
        await client.close()
        with pytest.raises(ssmd.Cancelled):
            await task
        with pytest.raises(ValueError, match="closed"):
            await client.models()

    asyncio.run(main())
    assert eventually(daemon.is_at_rest)


def test_files_that_are_no_snapshots_are_refused(daemon: Daemon, tmp_path: Path) -> None:
    async def scenario(client: ssmd.AsyncClient) -> None:
        path = tmp_path / "x.ssm"
        with pytest.raises(FileNotFoundError):
            await client.load(path)
        for content in (b"", b"something else"):
            path.write_bytes(content)
            with pytest.raises(ssmd.InvalidArgument):
                await client.load(path)

    run(daemon, scenario)
