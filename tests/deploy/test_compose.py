"""deploy/docker/compose.yaml without an engine: its shape, and that all it refers to is there."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from fleet import BINARY, CONFIGURATION, ROOT, Secrets, fleet

FOLDER = ROOT / "deploy/docker"
IMAGES_OF_OTHERS = ("envoy", "redis", "prometheus", "grafana")
REPLICAS = ("ssmd-0", "ssmd-1")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    return loaded


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    return Secrets(tmp_path_factory.mktemp("compose") / "secrets")


def mounts(service: dict[str, Any]) -> list[dict[str, Any]]:
    return [mount for mount in service["volumes"] if isinstance(mount, dict)]


def flags(service: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for flag in service["command"]:
        name, _, value = flag.partition("=")
        found.setdefault(name, []).append(value)
    return found


def seconds(text: str) -> float:
    match = re.fullmatch(r"([0-9.]+)(ms|s|m)", text)
    assert match, text
    return float(match[1]) * {"ms": 1e-3, "s": 1, "m": 60}[match[2]]


def test_it_is_a_compose_file(compose: dict[str, Any]) -> None:
    """By the schema that Docker's own package has, which is only read."""
    folder = Path(os.environ.get("SSMD_COMPOSE_SCHEMA", ROOT / "build/tools/python/schemas"))
    wheels = list(folder.glob("docker_compose-*.whl"))
    if not wheels:
        pytest.skip("the schema is not there (deploy/install-deps.sh --test)")
    with zipfile.ZipFile(wheels[0]) as wheel:
        schema = json.loads(wheel.read("compose/config/compose_spec.json"))
    compose = json.loads(json.dumps(compose))
    del compose["name"]  # is newer than the schema, as the paths that must be there
    for service in compose["services"].values():
        for mount in mounts(service):
            del mount["bind"]["create_host_path"]
    jsonschema.Draft7Validator(schema).validate(compose)
    compose["services"]["redis"]["no_such_key"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(compose)


def test_every_service_is_confined_and_limited(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {*REPLICAS, *IMAGES_OF_OTHERS}
    for name, service in compose["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert seconds(service["stop_grace_period"]) > 0, name
        if name in IMAGES_OF_OTHERS:
            assert re.fullmatch(r"[a-z/]+:v?[0-9]+\.[0-9]+\.[0-9]+(-\w+)?", service["image"]), name
            assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", service["user"]), name
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_all_that_is_mounted_and_named_is_there(compose: dict[str, Any], secrets: Secrets) -> None:
    for name, service in compose["services"].items():
        targets = []
        for mount in service["volumes"]:
            if isinstance(mount, str):
                volume, _, target = mount.partition(":")
                assert volume in compose["volumes"], f"{name}: {mount}"
                targets.append(target)
                continue
            assert mount["read_only"], f"{name}: {mount}"
            assert mount["bind"] == {"create_host_path": False}, f"{name}: {mount}"
            source = Path(mount["source"])
            if source.parts[0] == "secrets":
                assert (secrets.folder / Path(*source.parts[1:])).is_dir(), f"{name}: {mount}"
            else:
                assert (FOLDER / source).exists(), f"{name}: {mount}"
            targets.append(mount["target"])
        assert len(set(targets)) == len(targets), name
        assert set(service["networks"]) <= set(compose["networks"]), name
        assert set(service.get("depends_on", {})) <= set(compose["services"]), name
        for on, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}, f"{name} on {on}"
    used = {network for service in compose["services"].values() for network in service["networks"]}
    assert used == set(compose["networks"])


def inside(service: dict[str, Any], path: str, secrets: Secrets) -> Path:
    """The file of this machine that a path in the container is."""
    for mount in mounts(service):
        target = mount["target"]
        if path == target or path.startswith(f"{target}/"):
            source = Path(mount["source"])
            here = (
                secrets.folder / Path(*source.parts[1:])
                if source.parts[0] == "secrets"
                else FOLDER / source
            )
            return Path(f"{here}{path.removeprefix(target)}")
    raise AssertionError(f"{path} is not mounted")


def test_every_file_that_is_read_in_a_container_is_mounted(
    compose: dict[str, Any], secrets: Secrets
) -> None:
    services = compose["services"]
    read: list[tuple[str, str]] = []
    for name in REPLICAS:
        for values in flags(services[name]).values():
            read += [(name, value) for value in values if value.startswith("/run/")]
        read += [(name, path) for path in services[name]["environment"].values()]
    texts = {
        "envoy": [CONFIGURATION, *(CONFIGURATION.parent / "sds").iterdir()],
        "prometheus": [FOLDER / "prometheus.yml"],
        "grafana": [FOLDER / "grafana/dashboards.yml"],
    }
    for name, files in texts.items():
        for file in files:
            found = re.findall(r"(?:/etc/envoy|/run/secrets)/[\w./-]+[\w]", file.read_text())
            assert found or file.name not in ("envoy.yaml", "front.yaml", "prometheus.yml")
            read += [(name, path) for path in found]
    for rules in yaml.safe_load((FOLDER / "prometheus.yml").read_text())["rule_files"]:
        read.append(("prometheus", f"/etc/prometheus/{rules}"))
    read.append(("grafana", services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"]))
    read.append(
        ("grafana", services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    )
    assert len(read) > 20
    for name, path in read:
        assert inside(services[name], path, secrets).exists(), f"{name}: {path}"


def test_names_and_ports_agree(compose: dict[str, Any]) -> None:
    services = compose["services"]
    config = yaml.safe_load(CONFIGURATION.read_text())
    listening = {"ssmd_grpc": "--grpc-listen", "ssmd_http": "--http-listen"}
    for cluster in config["static_resources"]["clusters"]:
        if cluster["name"] not in listening:
            continue
        endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        addresses = [endpoint["endpoint"]["address"]["socket_address"] for endpoint in endpoints]
        assert [address["address"] for address in addresses] == list(REPLICAS)
        for address in addresses:
            listen = flags(services[address["address"]])[listening[cluster["name"]]]
            assert listen == [f"0.0.0.0:{address['port_value']}"]
    ports = {
        listener["name"]: listener["address"]["socket_address"]["port_value"]
        for listener in config["static_resources"]["listeners"]
    }
    published = [int(port.rsplit(":", 1)[1]) for port in services["envoy"]["ports"]]
    assert published == [ports["front"], ports["front_mtls"]], "and no others"
    for name in REPLICAS:
        given = flags(services[name])
        assert "ports" not in services[name]
        assert given["--replica-address"] == [f"{name}:50051"]
        assert given["--shared-store"] == ["redis://redis:6379"]
        assert name in given["--http-host"], "Prometheus calls it so"
        drain = float(given["--drain-timeout"][0])
        assert seconds(services[name]["stop_grace_period"]) >= drain + 5
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    assert targets == {
        "ssmd": [f"{name}:8080" for name in REPLICAS],
        "envoy": [f"envoy:{ports['stats']}"],
    }
    source = yaml.safe_load((FOLDER / "grafana/datasources.yml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    for one, other in (
        ("prometheus", "ssmd-0"),
        ("grafana", "prometheus"),
        ("envoy", "ssmd-1"),
        ("ssmd-0", "redis"),
    ):
        assert set(services[one]["networks"]) & set(services[other]["networks"]), (
            f"{one} to {other}"
        )
    assert not set(services["envoy"]["networks"]) & set(services["redis"]["networks"])


def test_the_daemon_knows_the_flags(compose: dict[str, Any]) -> None:
    known = subprocess.run([BINARY, "--help"], capture_output=True, text=True, check=True).stdout
    for name in REPLICAS:
        for flag in flags(compose["services"][name]):
            assert re.search(rf"{flag}\b", known), flag


def test_envoys_health_check_tells(compose: dict[str, Any], tmp_path: Path) -> None:
    test = compose["services"]["envoy"]["healthcheck"]["test"]
    assert test[:3] == ["CMD", "bash", "-c"], shlex.join(test)
    with fleet(tmp_path, 1) as (_, _, envoy):
        here = test[3].replace("9902", str(envoy.ports["stats"]))
        assert here != test[3]
        assert subprocess.run(["bash", "-c", here]).returncode == 0
        envoy.stop()
        assert subprocess.run(["bash", "-c", here], stderr=subprocess.DEVNULL).returncode != 0
