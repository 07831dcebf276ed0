#!/usr/bin/env python3
"""Builds the image of deploy/docker/Dockerfile where no container engine runs, and runs it.

Buildah carries out the Dockerfile itself, in a chroot, on a base that debootstrap makes under the name that
the Dockerfile asks for. Then its entrypoint runs as an engine would run it: as its user, without
capabilities, on a read-only root, with a network and processes of its own. It has to become healthy by its
own health check, stream a story by gRPC and HTTP, and end at its stop signal; and what it adds to Debian
has a size.

Takes minutes, and root. Status 77 and a reason: it cannot be done here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
ADDED_BYTES_MAX = {"cpu": 150_000_000, "cuda": 400_000_000}
HEALTHY_SECONDS_MAX = 120
STOP_SECONDS_MAX = 40
DEBIAN = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
TOOLS = ("buildah", "debootstrap", "unshare", "nsenter", "setpriv", "curl")


class Failed(Exception):
    """What the image does not do as it should."""


def say(text: str) -> None:
    print(f"image: {text}", flush=True)


def skip(why: str) -> None:
    print(f"Skipped: {why}")
    sys.exit(77)


def run(command: Sequence[str | Path], **options: Any) -> str:
    """Its standard output; an error when it fails."""
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}")
    return str(done.stdout).strip()


class Builder:
    """Buildah, with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self._command = [
            "buildah",
            "--root",
            str(folder / "store"),
            "--runroot",
            str(folder / "run"),
        ]
        self._command += ["--storage-driver", "overlay"]
        self._folder = folder

    def __call__(self, *arguments: str | Path, **options: Any) -> str:
        return run([*self._command, *arguments], **options)

    def has(self, image: str) -> bool:
        listed: list[dict[str, Any]] = json.loads(self("images", "--json") or "[]") or []
        return any(image in (name or "") for one in listed for name in one.get("names") or [])

    def make_base(self, name: str) -> None:
        """An image of that name with Debian and nothing else."""
        root = self._folder / "debian"
        shutil.rmtree(root, ignore_errors=True)
        say("debootstrap makes the base (a minute)")
        run(
            ["debootstrap", "--variant=minbase", "bookworm", root, DEBIAN], stderr=subprocess.STDOUT
        )
        # As Debian's own images have it: with what came after the last point release.
        suites = [f"deb {DEBIAN} bookworm main", f"deb {DEBIAN} bookworm-updates main"]
        suites.append(f"deb {SECURITY} bookworm-security main")
        (root / "etc/apt/sources.list").write_text("\n".join(suites) + "\n")
        container = self("from", "scratch")
        self("add", "--quiet", container, root, "/")
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self("config", "--env", f"PATH={path}", container)
        self("commit", "--quiet", "--rm", "--format", "docker", container, name)
        shutil.rmtree(root)

    def build(self, target: str, image: str, arguments: dict[str, str]) -> None:
        command: list[str | Path] = ["bud", "--isolation", "chroot", "--format", "docker"]
        command += ["--pull-never", "--network", "host", "--layers=false", "--target", target]
        command += [
            "--file",
            DOCKERFILE,
            "--ignorefile",
            f"{DOCKERFILE}.dockerignore",
            "--tag",
            image,
        ]
        for name, value in arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        # pip of a machine that trusts other authorities than Debian does.
        for file in ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"):
            if target == "cuda" and Path(file).is_file():
                command += ["--volume", f"{file}:{file}:ro"]
        self(*command, ROOT, stderr=subprocess.STDOUT)

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        container = self("from", "--pull-never", image)
        try:
            yield Path(self("mount", container))
        finally:
            self("umount", container)
            self("rm", container)


def base_of(dockerfile: str) -> str:
    """The image that it starts from, by its whole name."""
    found = re.search(r"^ARG DEBIAN=(\S+)$", dockerfile, re.MULTILINE)
    if found is None:
        raise Failed("the Dockerfile names no DEBIAN")
    return f"docker.io/library/{found[1]}"


def added_bytes(base: Path, image: Path) -> int:
    """Of files that the base has not, or has otherwise."""
    total = 0
    for folder, _, names in os.walk(image):
        for name in names:
            path = Path(folder, name)
            before = base / path.relative_to(image)
            now = path.lstat()
            if os.path.lexists(before):
                then = before.lstat()
                if (then.st_size, then.st_mtime) == (now.st_size, now.st_mtime):
                    continue
            total += now.st_size
    return total


class Container:
    """The image's process, as an engine runs it, and others beside it."""

    def __init__(self, root: Path, config: dict[str, Any]) -> None:
        self._root = root
        self._user: str = config["User"]
        self._environment: list[str] = config["Env"]
        uid, _, gid = self._user.partition(":")
        # Volumes are the image's folders, with their owners; the rest cannot be written.
        mounts = [f"mount --bind {root} {root}", f"mount -o remount,bind,ro {root}"]
        mounts += [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]
        mounts += [
            f"mount -t tmpfs -o mode=0700,uid={uid},gid={gid},size=256m tmpfs {root}{volume}"
            for volume in config["Volumes"]
        ]
        inside = " && ".join([*mounts, "ip link set lo up", 'exec "$0" "$@"'])
        command = ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork"]
        command += ["sh", "-c", inside, *self._as_user([*config["Entrypoint"], *config["Cmd"]])]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115, as long as the process
        self._process = subprocess.Popen(command, stderr=self._log)
        self.pid = self._find_child()

    def _as_user(self, command: Sequence[str]) -> list[str]:
        return [
            *("setpriv", "--no-new-privs", "--inh-caps=-all", "chroot", f"--userspec={self._user}"),
            *("--groups=", str(self._root), "env", "-i", *self._environment, *command),
        ]

    def _find_child(self) -> int:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        end = time.monotonic() + 10
        while time.monotonic() < end and self._process.poll() is None:
            if found := children.read_text().split():
                return int(found[0])
            time.sleep(0.01)
        self._process.kill()
        raise Failed(f"the container did not start: {self.log()}")

    def ends(self) -> bool:
        return self._process.poll() is not None

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def beside(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Runs a program of the image in the container."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--ipc"]
        return subprocess.run([*enter, *self._as_user(command)], capture_output=True, text=True)

    def from_network(self, command: Sequence[str]) -> str:
        """Runs a program of this machine in the container's network."""
        return run(["nsenter", f"--target={self.pid}", "--net", *command], stderr=subprocess.STDOUT)

    def stop(self, how: int) -> int:
        os.kill(self.pid, how)
        return self._process.wait(STOP_SECONDS_MAX)

    def kill(self) -> None:
        """With the first of its processes all of them end."""
        if not self.ends():
            os.kill(self.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()


def check_config(config: dict[str, Any]) -> None:
    user = re.fullmatch(r"([0-9]+):([0-9]+)", config.get("User", ""))
    if user is None or user[1] == "0" or user[2] == "0":
        raise Failed(f"the user must be a number and not root, got {config.get('User')!r}")
    if config.get("StopSignal") != "SIGTERM":
        raise Failed(f"the stop signal must be SIGTERM, got {config.get('StopSignal')!r}")
    health = config.get("Healthcheck", {}).get("Test", [])
    if not health or health[0] != "CMD":
        raise Failed(f"the health check must be a command without a shell, got {health}")
    labels = config.get("Labels") or {}
    for name in ("title", "description", "licenses", "version", "revision"):
        if not labels.get(f"org.opencontainers.image.{name}"):
            raise Failed(f"there is no label {name}")


def check_process(container: Container) -> None:
    """What an attacker within the daemon would have."""
    status = Path(f"/proc/{container.pid}/status").read_text()
    fields = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
    if set(fields["Uid"].split()) != {"65532"} or int(fields["CapEff"], 16) != 0:
        raise Failed(f"it runs as {fields['Uid']} with capabilities {fields['CapEff']}")
    written = container.beside(["sh", "-c", "echo x >/usr/local/bin/x || echo x >/tmp/x"])
    if written.returncode == 0:
        raise Failed("the root is not read-only")
    kept = container.beside(["sh", "-c", "ls -A /var/lib/ssmd"])
    if not kept.stdout.split():
        raise Failed(f"nothing is in the state directory: {kept.stderr}")


def check_service(container: Container, health: Sequence[str]) -> None:
    began = time.monotonic()
    while (checked := container.beside(health)).returncode != 0:
        if container.ends() or time.monotonic() - began > HEALTHY_SECONDS_MAX:
            raise Failed(f"it is not healthy: {checked.stderr}\n{container.log()}")
        time.sleep(0.1)
    say(f"healthy after {time.monotonic() - began:.1f} s")
    check_process(container)
    prompt = ["--prompt=Once upon a time", "--max-tokens=30", "--temperature=0"]
    story = container.beside(["ssmctl", "generate", *prompt])
    if story.returncode != 0 or len(story.stdout) < 30:
        raise Failed(f"no story over gRPC: {story.stdout}{story.stderr}")
    say("by gRPC: Once upon a time" + story.stdout.strip())
    body = {"model": "stories", "prompt": "Once upon a time", "max_tokens": 30, "temperature": 0}
    command = ["curl", "-sSN", "http://127.0.0.1:8080/v1/completions", "--noproxy", "*"]
    command += ["-H", "content-type: application/json", "-d", json.dumps(body | {"stream": True})]
    events = re.findall(r"^data: (\{.*)$", container.from_network(command), re.MULTILINE)
    text = "".join(json.loads(event)["choices"][0]["text"] for event in events)
    if len(events) < 5 or text != story.stdout.removesuffix("\n"):
        raise Failed(f"by HTTP {len(events)} events came: {text}")


def check(builder: Builder, target: str, base: str, image: str) -> None:
    config = json.loads(builder("inspect", "--type", "image", image))["Docker"]["config"]
    check_config(config)
    with builder.mounted(base) as before, builder.mounted(image) as root:
        added = added_bytes(before, root)
        say(
            f"{target}: {added / 1e6:.1f} MB are added to Debian, of {ADDED_BYTES_MAX[target] / 1e6:.0f} MB"
        )
        if added > ADDED_BYTES_MAX[target]:
            raise Failed("that is too much")
        if target == "cuda":  # there may be no GPU
            config["Cmd"] = [flag for flag in config["Cmd"] if not flag.startswith("--device")]
        container = Container(root, config)
        try:
            check_service(container, config["Healthcheck"]["Test"][1:])
            status = container.stop(getattr(signal, config["StopSignal"]))
            if status != 0:
                raise Failed(f"it ended with status {status}: {container.log()}")
        finally:
            container.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--target", choices=ADDED_BYTES_MAX, default="cpu")
    parser.add_argument(
        "--cuda-architectures", default="90a-real", help="that the CUDA image is built for"
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build/images", help="is kept, for the next time"
    )
    options = parser.parse_args()
    if os.geteuid() != 0:
        skip("mounting and chroot take root")
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        skip(f"not installed: {' '.join(missing)} (deploy/install-deps.sh --all)")
    mounts = subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.PIPE, text=True)
    if mounts.returncode != 0:
        skip(f"nothing can be mounted here: {mounts.stderr.strip()}")
    options.folder.mkdir(parents=True, exist_ok=True)
    builder = Builder(options.folder)
    base = base_of(DOCKERFILE.read_text())
    image = f"localhost/ssmd:{options.target}"
    try:
        if not builder.has(base):
            builder.make_base(base)
        say(f"building {options.target} (minutes)")
        arguments = {}
        if options.target == "cuda":
            arguments["CUDA_ARCHITECTURES"] = options.cuda_architectures
        began = time.monotonic()
        builder.build(options.target, image, arguments)
        say(f"built in {time.monotonic() - began:.0f} s")
        check(builder, options.target, base, image)
    except Failed as failure:
        say(f"FAILED: {failure}")
        return 1
    say(f"{options.target}: as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
