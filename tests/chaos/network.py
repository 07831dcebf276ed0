"""A machine a process, as far as the network goes: namespaces on one bridge."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from fleet import LOOPBACK, Place


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Network:
    """Gives out places: each a namespace of its own, or the loopback where there can be none."""

    def __init__(self) -> None:
        self._name = f"ssmd{os.getpid() % 100000}"
        # One of 16384 networks of 254 addresses, so that runs beside each other do not meet.
        number = os.getpid() % 16384
        self._subnet = f"10.{192 + number // 256}.{number % 256}"
        self.host = f"{self._subnet}.1"  # this process's address in it
        self._count = 0
        self.is_real = self._make_bridge()
        if not self.is_real:
            print("Network namespaces cannot be made here (root, ip): all runs on the loopback")
            self.host = LOOPBACK.host

    def _make_bridge(self) -> bool:
        try:
            _ip("link", "add", self._name, "type", "bridge")
            _ip("addr", "add", f"{self.host}/24", "dev", self._name)
            _ip("link", "set", self._name, "up")
            self.place().remove()
        except (OSError, subprocess.CalledProcessError):
            self.close()
            return False
        return True

    def place(self) -> _Namespace:
        self._count += 1
        return _Namespace(
            self._name, f"{self._name}-{self._count}", f"{self._subnet}.{self._count + 1}"
        )

    def places(self, count: int) -> list[Place]:
        if not self.is_real:
            return [LOOPBACK] * count
        return [self.place().use() for _ in range(count)]

    def close(self) -> None:
        """Whatever of it is there."""
        for number in range(1, self._count + 1):
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                _ip("netns", "del", f"{self._name}-{number}")
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            _ip("link", "del", self._name)


class _Namespace:
    def __init__(self, bridge: str, name: str, host: str) -> None:
        self._name, self._host = name, host
        port = f"{bridge}p{host.rpartition('.')[2]}"  # interfaces' names have 15 characters
        _ip("netns", "add", name)
        _ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", port, "master", bridge, "up")
        _ip("-n", name, "addr", "add", f"{host}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "link", "set", "lo", "up")

    def use(self) -> Place:
        return Place(self._host, ("ip", "netns", "exec", self._name))

    def remove(self) -> None:
        _ip("netns", "del", self._name)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    made = Network()
    try:
        yield made
    finally:
        made.close()
