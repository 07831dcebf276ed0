"""The manifests, against Kubernetes' schemas; the operator's objects, against shapes of our own."""

from __future__ import annotations

import copy
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

import manifests
from manifests import Object

OPERATOR = "monitoring.coreos.com/v1"


def shape(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


TEXT = {"type": "string", "minLength": 1}
TIME = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}
KEY = shape(["name", "key"], name=TEXT, key=TEXT)
FILE = shape(["secret"], secret=KEY)

# Of what the operator's PodMonitor takes, that which is used here.
POD_MONITOR = shape(
    ["selector", "podMetricsEndpoints"],
    selector=shape(["matchLabels"], matchLabels={"type": "object"}),
    podMetricsEndpoints={
        "type": "array",
        "minItems": 1,
        "items": shape(
            ["port", "path"],
            port=TEXT,
            path=TEXT,
            interval=TIME,
            scrapeTimeout=TIME,
            scheme={"enum": ["http", "https"]},
            authorization=shape(["credentials"], type={"const": "Bearer"}, credentials=KEY),
            tlsConfig=shape([], serverName=TEXT, ca=FILE, cert=FILE, keySecret=KEY),
            relabelings={
                "type": "array",
                "items": shape(
                    ["targetLabel"],
                    targetLabel=TEXT,
                    replacement=TEXT,
                    sourceLabels={"type": "array", "items": TEXT},
                ),
            },
        ),
    },
)


@pytest.mark.parametrize("version", manifests.MINOR_VERSIONS)
def test_every_object_fits_the_schema_of_kubernetes(
    variant: str, objects: list[Object], version: str
) -> None:
    first = manifests.FIRST_MINOR.get(variant, 0)
    known = int(version.split(".")[1]) >= first
    if not known:
        with pytest.raises(kubernetes_validate.ValidationError, match="image"):
            validate_all(objects, version)
        return
    validate_all(objects, version)


def validate_all(objects: list[Object], version: str) -> None:
    for each in objects:
        if each["apiVersion"] != OPERATOR:
            kubernetes_validate.validate(each, version, strict=True)


def test_the_newest_version_is_among_those_that_are_tried() -> None:
    newest = kubernetes_validate.latest_version()
    assert manifests.MINOR_VERSIONS[-1] == newest, "a new Kubernetes: add it to MINOR_VERSIONS"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "replicas"), "two"),
        (("spec", "serviceNames"), "ssmd"),
        (("spec", "template", "spec", "hostNet"), True),
    ],
)
def test_what_does_not_fit_is_noticed(path: tuple[str, ...], value: Any) -> None:
    broken = copy.deepcopy(manifests.named(manifests.render("cpu"), "StatefulSet", "ssmd"))
    at = broken
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, manifests.MINOR_VERSIONS[0], strict=True)


def test_monitors_have_the_operators_shape(objects: list[Object]) -> None:
    for monitor in manifests.of_kind(objects, "PodMonitor"):
        assert monitor["apiVersion"] == OPERATOR
        jsonschema.validate(monitor["spec"], POD_MONITOR)


def without_breaks(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: without_breaks(value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [without_breaks(value) for value in tree]
    return " ".join(tree.split()) if isinstance(tree, str) else tree


def test_rules_are_those_of_deploy_prometheus(tmp_path: Path) -> None:
    subprocess.run([manifests.KUBERNETES / "write_rules.sh", tmp_path], check=True)
    folder = manifests.KUBERNETES / "components/monitoring"
    for name in ("recording-rules.yaml", "alert-rules.yaml"):
        written = (tmp_path / name).read_text()
        assert written == (folder / name).read_text(), "run deploy/kubernetes/write_rules.sh"
    for name in ("recording", "alerts"):
        rules = manifests.named(manifests.render("cpu"), "PrometheusRule", f"ssmd-{name}")
        source = yaml.safe_load((manifests.DEPLOY / "prometheus" / f"{name}.yml").read_text())
        assert rules["apiVersion"] == OPERATOR
        # kustomize makes two line breaks of one within an expression.
        assert without_breaks(rules["spec"]) == without_breaks(source)


def test_scrapes_and_rules_agree_on_the_jobs_name() -> None:
    rendered = manifests.render("cpu")
    monitor = manifests.named(rendered, "PodMonitor", "ssmd")
    relabelings = monitor["spec"]["podMetricsEndpoints"][0]["relabelings"]
    job = [each["replacement"] for each in relabelings if each["targetLabel"] == "job"]
    assert job == ["ssmd"]
    rules = yaml.safe_dump(manifests.named(rendered, "PrometheusRule", "ssmd-alerts"))
    assert 'job="ssmd"' in rules


def test_every_file_is_part_of_a_kustomization() -> None:
    read: set[Path] = set()
    for file in manifests.KUBERNETES.rglob("kustomization.yaml"):
        read.add(file)
        content = yaml.safe_load(file.read_text())
        names = [*content.get("resources", [])]
        names += [each["path"] for each in content.get("patches", []) if "path" in each]
        for generator in content.get("configMapGenerator", []):
            names += generator["files"]
        for name in names:
            path = (file.parent / name).resolve()
            assert path.exists(), f"{file}: {name}"
            read.add(path)
    there = {*manifests.KUBERNETES.rglob("*.yaml"), *manifests.KUBERNETES.rglob("*.toml")}
    values = manifests.KUBERNETES / "components/autoscaling/prometheus-adapter-values.yaml"
    assert there - read == {values, *manifests.KUBERNETES.glob("time-slicing.yaml")}
