#!/usr/bin/env python3
"""What replicas' calls cost a Redis, by ssmd's own scripts (engine/shared/redis_scripts.cc), on this machine:
JSON, the Redis figures of figures.json. It starts a redis-server of its own, in memory only.

`cpu` is the CPU time of Redis's main thread, which runs one command at a time: a busy client or neighbour
changes that least. `stop` is the longest that another client's ping took, sent each millisecond, the median
of ten writes. `exec` is the time in which nobody else is served, by Redis's own account. The loopback is
in it, no network is.

usage: probe_redis.py [--redis-server PATH] [--seconds S]
"""

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, Optional, Union

ROOT = Path(__file__).resolve().parents[2]
SELF = "a" * 32
SIZES = [
    87_040,
    233_472,
    2_801_664,
    24_903_680,
]  # bytes of states: rwkv7, tales-2m, mamba-130m, mamba-2.8b
RECORD_BYTES = 1024
LISTENERS = 100  # at once, as Redis looks at timeouts ten times a second
KEEP_MS = "604800000"
Word = Union[str, bytes]
Reply = Any  # bytes, a number, nothing, or a list of these


class Client:
    """As much of Redis's protocol as is needed here."""

    def __init__(self, port: str) -> None:
        self._socket = socket.socket(socket.AF_INET)
        self.port = port
        self._socket.connect(("127.0.0.1", int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def call(self, *words: Word) -> Reply:
        self.send(*words)
        return self.receive()

    def send(self, *words: Word) -> None:
        parts = [word.encode() if isinstance(word, str) else word for word in words]
        frame = [b"*%d\r\n" % len(parts)]
        for part in parts:
            frame += [b"$%d\r\n" % len(part), part, b"\r\n"]
        self._socket.sendall(b"".join(frame))

    def receive(self) -> Reply:
        line = self._file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if int(rest) < 0 else self._file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self.receive() for _ in range(int(rest))]
        raise RuntimeError(f"no reply of Redis: {line[:80]!r}")

    def info(self, section: str) -> dict[str, str]:
        text = self.call("INFO", section)
        assert isinstance(text, bytes)
        return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)


def scripts() -> dict[str, str]:
    """The scripts as RedisScripts puts them together, so that what is timed is what is run."""
    source = (ROOT / "engine/shared/redis_scripts.cc").read_text(encoding="utf-8")
    limits = (ROOT / "engine/shared/shared_limits.h").read_text(encoding="utf-8")
    part = dict(re.findall(r'string_view (k\w+) = R"lua\((.*?)\)lua"', source, re.S))
    number = dict(re.findall(r"constexpr \w+ (kShared\w+) = (\d+);", limits))
    constants = (
        f"local SESSION_BYTES, PART_BYTES = {number['kSharedSessionBytes']}, {number['kSharedPartBytes']}\n"
        f"local CHANGES_MAX, STATES_MAX, WANTED_MAX = {number['kSharedChangesMax']}, "
        f"{number['kSharedStatesMax']}, {number['kSharedWantedMax']}\n"
        f"local NUMBER_MAX, WANTED_MS, FIXED_FIELDS = {2**53 - 1}, 60000, 9\n"
        f"local SUMMARY_MAX, SWEPT = {number['kSharedSummaryBytes']}, 4\n"
    )
    made = {}
    flags = re.findall(r'\b(\w+)\("(no-cluster[\w,-]*)", (Written\()?(k\w+)', source)
    for name, flag, writes, body in flags:
        written = part["kWriting"] if writes else ""
        made[name] = f"#!lua flags={flag}\n{constants}{part['kCommon']}{written}{part[body]}"
    return made


def states_of(session: int) -> str:
    return f"ssmd:v:00:{session:032x}:"


def ping(port: str, asked: Any) -> None:
    """Tells, each time it is asked to, how long the longest ping took since it was asked last."""
    client = Client(port)
    longest = 0.0
    while True:
        while not asked.poll(0.001):
            begin = time.monotonic()
            client.call("PING")
            longest = max(longest, time.monotonic() - begin)
        if not asked.recv():
            return
        asked.send(longest)
        longest = 0.0


def stop_ms(port: str, once: Callable[[int], object]) -> float:
    """How long a call stops others. Another process pings, as Python runs one thread at a time."""
    here, there = multiprocessing.Pipe()
    pinging = multiprocessing.Process(target=ping, args=(port, there))
    pinging.start()
    stops: list[float] = []
    for call in range(10):
        here.send(True)
        here.recv()
        once(call)
        here.send(True)
        stops.append(here.recv())
    here.send(False)
    pinging.join()
    return round(statistics.median(stops) * 1e3, 1)


class Probe:
    def __init__(self, client: Client, seconds: float) -> None:
        self._client, self._seconds = client, seconds
        self._digests = {
            name: client.call("SCRIPT", "LOAD", text) for name, text in scripts().items()
        }
        begin, before = time.monotonic(), self._cpu()
        time.sleep(1)
        # What Redis does by itself.
        self.idle_share = (self._cpu() - before) / (time.monotonic() - begin)

    def run(self, name: str, session: int, *arguments: Word) -> Reply:
        keys = [f"ssmd:s:00:{session:032x}", "ssmd:b:00", "ssmd:e:00", "ssmd:l:00"]
        keys.append(states_of(session))
        return self._script(name, keys, arguments)

    def write(self, name: str, session: int, *arguments: Word) -> None:
        common = [f"{session:032x}", SELF, "1", KEEP_MS, "0", str(256 << 20)]
        verdict = self.run(name, session, *common, *arguments)
        if verdict != [b"ok"]:
            raise RuntimeError(f"{name}: {verdict!r}")

    def put_state(self, session: int, state: bytes) -> None:
        """As RedisStore::PutState of a large state."""
        token = os.urandom(16).hex()
        self._client.call("SET", states_of(session) + token, state, "PX", "120000")
        self.write("put_state", session, "", str(len(state)), token)

    def renew(self) -> None:
        self._script("renew", [f"ssmd:r:{SELF}"], ["10.0.0.1:50051", "3000"])

    def _script(self, name: str, keys: Sequence[str], arguments: Sequence[Word]) -> Reply:
        digest = self._digests[name]
        assert isinstance(digest, bytes)
        return self._client.call("EVALSHA", digest, str(len(keys)), *keys, *arguments)

    def measure(
        self, what: str, bytes_moved: int, once: Callable[[int], object], calls_each: int = 1
    ) -> dict[str, object]:
        """Medians of five rounds, each a fifth of the time."""
        rounds = []
        for _ in range(5):
            self._client.call("CONFIG", "RESETSTAT")
            before, begin, calls = self._cpu(), time.monotonic(), 0
            while calls < 3 or time.monotonic() - begin < self._seconds / 5:
                once(calls)
                calls += 1
            wall = time.monotonic() - begin
            calls *= calls_each
            cpu = self._cpu() - before - self.idle_share * wall
            rounds.append((cpu / calls * 1e6, self._exec() / calls, wall / calls * 1e6, calls))
        cpu_us, exec_us, wall_us, _ = (statistics.median(column) for column in zip(*rounds))
        return {
            "call": what,
            "bytes": bytes_moved,
            "cpu_us": round(cpu_us, 1),
            "exec_us": round(exec_us, 1),
            "wall_us": round(wall_us, 1),
            "calls": sum(entry[3] for entry in rounds),
        }

    def _cpu(self) -> float:
        info = self._client.info("cpu")
        return float(info["used_cpu_sys_main_thread"]) + float(info["used_cpu_user_main_thread"])

    def _exec(self) -> float:
        """Microseconds since the statistics were reset, but for those of asking."""
        stats = self._client.info("commandstats")
        asking = ("cmdstat_info", "cmdstat_config|resetstat")
        names = [name for name in stats if name.startswith("cmdstat_") and name not in asking]
        # A script's own commands are counted again, and are in it already.
        scripted = "cmdstat_evalsha" in stats
        outside = ("cmdstat_evalsha", "cmdstat_hgetall", "cmdstat_set", "cmdstat_mget")
        found = [
            re.search(r"usec=(\d+)", stats[name])
            for name in names
            if not scripted or name in outside
        ]
        return sum(float(match.group(1)) for match in found if match)


def rows(client: Client, seconds: float) -> list[dict[str, object]]:
    probe = Probe(client, seconds)
    change, found = os.urandom(RECORD_BYTES), []
    found.append(probe.measure("renew", 0, lambda _: probe.renew()))
    client.call("DEL", f"ssmd:r:{SELF}")
    listen = f"ssmd:w:{SELF}"
    listeners = [Client(client.port) for _ in range(LISTENERS)]

    def hear(_: int) -> None:
        for listener in listeners:
            listener.send("BLPOP", listen, "0.001")
        for listener in listeners:
            listener.receive()

    found.append(probe.measure("listen", 0, hear, LISTENERS))
    talked, numbers = 16, itertools.count(1)  # the session after those with states
    probe.write("put_image", talked, "0", change, "")

    def append(_: int) -> None:
        number = next(numbers)
        if number % 64 == 0:
            probe.write("put_image", talked, str(number), change, "")
        else:
            probe.write("append", talked, str(number), change, "")

    found.append(probe.measure("append", RECORD_BYTES, append))
    for session in range(16):
        probe.write("put_image", session, "0", change, "")
    for size in SIZES:
        state = os.urandom(size)

        def put(call: int, state: bytes = state) -> None:
            probe.put_state(call % 16, state)

        def put_inside(call: int, state: bytes = state) -> None:
            probe.write("put_state", call % 16, "", state, "")

        def claim(call: int) -> None:
            session = call % 16
            probe.run("claim", session, SELF, "0", "ssmd:", f"00:{session:032x}")
            found = client.call("HGETALL", f"ssmd:s:00:{session:032x}")
            token = found[found.index(b"s") + 1][8:40].decode()
            client.call("MGET", states_of(session) + token)

        def plain(call: int, state: bytes = state) -> None:
            client.call("HSET", f"plain:{call % 16}", "s", state)

        for name, once in {
            "put_state_inside": put_inside,
            "put_state": put,
            "claim": claim,
            "hset": plain,
        }.items():
            row = probe.measure(name, size, once)
            found.append({**row, "stop_ms": stop_ms(client.port, once)})
    return found


def memory_by_bytes(client: Client) -> float:
    """Redis's own memory for a session of mamba-130m, by its bytes."""
    client.call("FLUSHALL", "SYNC")
    probe, count = Probe(client, 1), 50
    before = int(client.info("memory")["used_memory"])
    for session in range(count):
        probe.write("put_image", session, "0", os.urandom(RECORD_BYTES), "")
        probe.put_state(session, os.urandom(2_801_664))
    return (int(client.info("memory")["used_memory"]) - before) / count / 2_801_664


@contextlib.contextmanager
def redis_server(program: Optional[str]) -> Iterator[Client]:
    """A Redis that keeps nothing, on a port of the loopback that was free a moment ago."""
    program = (
        program or shutil.which("redis-server") or str(ROOT / "build/tools/redis/redis-server")
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        flags = [
            "--port",
            port,
            "--bind",
            "127.0.0.1",
            "--dir",
            folder,
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        server = subprocess.Popen([program, *flags], stdout=subprocess.DEVNULL)
        try:
            yield connect(port)
        finally:
            server.kill()
            server.wait()


def connect(port: str) -> Client:
    for _ in range(100):
        try:
            return Client(port)
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("redis-server does not answer")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\nusage")[0])
    parser.add_argument("--redis-server", help="the program (that on the path, or in build/tools)")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each call (5)")
    options = parser.parse_args(arguments)
    with redis_server(options.redis_server) as client:
        result = {
            "redis": client.info("server")["redis_version"],
            "rows": rows(client, options.seconds),
            "memory_by_bytes": round(memory_by_bytes(client), 3),
        }
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main(sys.argv[1:])
