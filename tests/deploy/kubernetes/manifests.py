"""Rendered manifests, and how to look things up in them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"

# The oldest that the manifests are for (a preStop that sleeps), and the newest that there is.
MINOR_VERSIONS = tuple(f"1.{minor}.0" for minor in range(30, 38))
# Image volumes came later.
FIRST_MINOR = {"cpu+model-image": 31}

# Overlays, and an overlay with a component that it leaves to you.
VARIANTS = ("cpu", "gpu", "dev", "cpu+model-image", "gpu+model-init")

Object = dict[str, Any]


def kubectl() -> str | None:
    """The one that deploy/install-deps.sh brought, or the machine's own."""
    brought = ROOT / "build/tools/kubectl/kubectl"
    return str(brought) if brought.exists() else shutil.which("kubectl")


def kustomize(folder: Path) -> list[Object]:
    program = kubectl()
    assert program is not None
    done = subprocess.run(
        [program, "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@functools.cache
def render(variant: str) -> list[Object]:
    overlay, _, component = variant.partition("+")
    if not component:
        return kustomize(KUBERNETES / "overlays" / overlay)
    with tempfile.TemporaryDirectory() as folder:

        def of(*parts: str) -> str:
            return os.path.relpath(KUBERNETES.joinpath(*parts), Path(folder).resolve())

        top = {"resources": [of("overlays", overlay)], "components": [of("components", component)]}
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(top))
        return kustomize(Path(folder))


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [each for each in objects if each["kind"] in kinds]


def named(objects: list[Object], kind: str, name: str) -> Object:
    found = [each for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind}/{name}: {len(found)}"
    return found[0]


def workloads(objects: list[Object]) -> list[Object]:
    return of_kind(objects, "StatefulSet", "Deployment")


def pod(workload: Object) -> Object:
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def containers(workload: Object) -> list[Object]:
    spec = pod(workload)
    return [*spec.get("initContainers", []), *spec["containers"]]


def daemon(objects: list[Object]) -> Object:
    """The container of ssmd."""
    return next(c for c in containers(named(objects, "StatefulSet", "ssmd")) if c["name"] == "ssmd")


def selected(objects: list[Object], labels: dict[str, str]) -> list[Object]:
    """The workloads whose pods have these labels."""
    return [
        each
        for each in workloads(objects)
        if labels.items() <= each["spec"]["template"]["metadata"]["labels"].items()
    ]


def ports(workload: Object) -> dict[str, int]:
    return {
        port["name"]: port["containerPort"]
        for container in containers(workload)
        for port in container.get("ports", [])
    }


def arguments(container: Object) -> dict[str, str]:
    """`--name=value` as name and value; a flag alone has the value ""."""
    pairs = (argument.removeprefix("--").partition("=") for argument in container.get("args", []))
    return {name: value for name, _, value in pairs}


def options(objects: list[Object]) -> str:
    """The text of ssmd.toml."""
    found = [each for each in of_kind(objects, "ConfigMap") if "ssmd.toml" in each["data"]]
    assert len(found) == 1
    text: str = found[0]["data"]["ssmd.toml"]
    return text


def all_values(tree: Any, key: str) -> Iterator[Any]:
    """Every value of a key, however deep."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == key:
                yield value
            yield from all_values(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from all_values(value, key)


def bytes_of(text: str) -> int:
    """A quantity of Kubernetes or of ssmd: 6Gi, 512M. Those of ssmd are powers of two, too."""
    units = {"K": 10, "M": 20, "G": 30, "T": 40}
    number = text.removesuffix("i")
    if number[-1] in units:
        return int(number[:-1]) << units[number[-1]]
    return int(number)
