"""Arguments, options, probes and times, against ssmd and ssmctl."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import manifests
from manifests import Object

SSMD = os.environ["SSMD_BINARY"]
SSMCTL = os.environ["SSMCTL_BINARY"]

# A model's slots where nothing is said, on a CPU.
DEFAULT_STATE_BYTES = "1G"

# What the end of the process takes beside the drain.
RESERVE_S = 5


@functools.cache
def help_of(*command: str) -> str:
    return subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout


def flags(*command: str) -> set[str]:
    return set(re.findall(r"--([a-z][a-z0-9-]*)", help_of(*command)))


def is_known(name: str, *command: str) -> bool:
    return name in flags(*command) or f"no-{name}" in flags(*command)


def test_arguments_and_options_are_flags_of_ssmd(objects: list[Object]) -> None:
    arguments = manifests.arguments(manifests.daemon(objects))
    options = tomllib.loads(manifests.options(objects))
    assert {name for name in (*arguments, *options) if not is_known(name, SSMD)} == set()
    assert not arguments.keys() & options.keys(), "said twice"


def test_ssmd_takes_the_arguments(objects: list[Object], tmp_path: Path) -> None:
    """Up to the model, which is not there."""
    config = tmp_path / "ssmd.toml"
    config.write_text(manifests.options(objects))
    (tmp_path / "tokens").write_text("a-token-for-a-test tenant\n")
    certificate, key = make_certificate(tmp_path)
    there = {
        "config": config,
        "token-file": tmp_path / "tokens",
        "tls-cert": certificate,
        "tls-key": key,
        "tls-client-ca": certificate,
        "state-dir": tmp_path / "state",
        "cache-dir": tmp_path / "cache",
    }
    arguments = manifests.arguments(manifests.daemon(objects))
    command = [SSMD, *(f"--{name}={there.get(name, value)}" for name, value in arguments.items())]
    values = {"SSMD_THREADS": "1", "SSMD_SHARED_STORE": "redis://127.0.0.1:1", "POD_NAME": "ssmd-0"}
    command = [fill_in(each, {**values, "POD_NAMESPACE": "ssmd"}) for each in command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    # 2 would be a command line that it does not take.
    assert done.returncode == 1, done.stderr
    assert re.search(r"/models/default|/usr/local/share/ssmd/models|--device", done.stderr), (
        done.stderr
    )


def fill_in(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\$\(([A-Z_]+)\)", lambda match: values[match[1]], text)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "tls.crt", folder / "tls.key"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ssmd -days 1"
    command = [*words.split(), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def test_variables_in_arguments_are_set_in_the_container(objects: list[Object]) -> None:
    container = manifests.daemon(objects)
    there = {each["name"] for each in container["env"]}
    used = set(re.findall(r"\$\(([A-Z_]+)\)", " ".join(container["args"])))
    assert used <= there
    for reference in manifests.all_values(container["env"], "resourceFieldRef"):
        kind, _, resource = reference["resource"].partition(".")
        assert resource in container["resources"][kind]


def test_files_that_ssmd_reads_are_mounted(objects: list[Object]) -> None:
    container = manifests.daemon(objects)
    mounts = {each["mountPath"]: each.get("readOnly", False) for each in container["volumeMounts"]}
    arguments = manifests.arguments(container)
    for name in ("config", "token-file", "tls-cert", "tls-key", "tls-client-ca"):
        if name in arguments:
            assert mounts[os.path.dirname(arguments[name])] is True, name
    for name in ("state-dir", "cache-dir"):
        if name in arguments:
            assert mounts[os.path.dirname(arguments[name])] is False, "ssmd writes there"
    for model in tomllib.loads(manifests.options(objects))["model"]:
        path = model.partition("=")[2] or model
        in_image = path.startswith("/usr/local/share/ssmd/")
        assert in_image or os.path.dirname(path) in mounts


def test_the_grace_period_fits_the_drain(objects: list[Object]) -> None:
    drain = float(manifests.arguments(manifests.daemon(objects))["drain-timeout"])
    for workload in manifests.workloads(objects):
        spec = manifests.pod(workload)
        (sleep,) = manifests.all_values(spec["containers"], "sleep")
        needed = sleep["seconds"] + RESERVE_S
        if workload["kind"] == "StatefulSet":
            needed += drain
        assert spec["terminationGracePeriodSeconds"] >= needed, workload["metadata"]["name"]


def test_envoy_hears_of_a_replicas_end_before_it_refuses_turns() -> None:
    container = manifests.daemon(manifests.render("cpu"))
    # Endpoints go within seconds; the ring then is without it.
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] >= 5


def test_probes_ask_ports_that_there_are(objects: list[Object]) -> None:
    for workload in manifests.workloads(objects):
        ports = manifests.ports(workload)
        for container in workload["spec"]["template"]["spec"]["containers"]:
            for name in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container.get(name)
                if probe is None:
                    assert container["name"] == "envoy"
                elif "grpc" in probe:
                    assert probe["grpc"]["port"] == ports["grpc"]
                elif "httpGet" in probe:
                    assert probe["httpGet"]["port"] in ports
                else:
                    assert f"--server=127.0.0.1:{ports['grpc']}" in probe["exec"]["command"]


def asked_service(probe: Object) -> str:
    if "grpc" in probe:
        name: str = probe["grpc"].get("service", "")
        return name
    command = probe["exec"]["command"]
    return next((each.removeprefix("--service=") for each in command if "--service=" in each), "")


def test_a_drain_ends_readiness_and_not_the_container(objects: list[Object]) -> None:
    container = manifests.daemon(objects)
    assert asked_service(container["readinessProbe"]) == ""
    assert asked_service(container["livenessProbe"]) == "live"
    assert asked_service(container["startupProbe"]) == "live"


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_probes_by_ssmctl_are_commands_that_it_takes(overlay: str) -> None:
    container = manifests.daemon(manifests.render(overlay))
    mounts = {each["mountPath"] for each in container["volumeMounts"]}
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        program, *words = container[name]["exec"]["command"]
        assert program == "ssmctl"
        command = words.index("health")
        general = {each[2:].partition("=")[0]: each.partition("=")[2] for each in words[:command]}
        own = [each[2:].partition("=")[0] for each in words[command + 1 :]]
        assert general.keys() <= flags(SSMCTL)
        assert set(own) <= flags(SSMCTL, "health")
        for file in ("tls-ca", "tls-cert", "tls-key"):
            assert os.path.dirname(general[file]) in mounts
        assert float(general["timeout"]) < container[name]["timeoutSeconds"]


def test_a_start_has_a_quarter_of_an_hour(objects: list[Object]) -> None:
    probe = manifests.daemon(objects)["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 900


def test_resources_are_asked_for_and_what_ssmd_may_use_fits(objects: list[Object]) -> None:
    for workload in manifests.workloads(objects):
        for container in manifests.containers(workload):
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys()
            assert "memory" in resources["limits"]
    options = tomllib.loads(manifests.options(objects))
    names = ("state-bytes", "host-state-bytes", "prefix-cache-bytes", "max-grpc-memory")
    most = sum(manifests.bytes_of(options.get(name, DEFAULT_STATE_BYTES)) for name in names)
    container = manifests.daemon(objects)
    limit = manifests.bytes_of(container["resources"]["limits"]["memory"])
    assert most <= limit * 3 / 4, "the rest is for weights, logs and the program"
    assert (
        container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
    )


def test_stored_states_fit_their_volume() -> None:
    rendered = manifests.render("cpu")
    replicas = manifests.named(rendered, "StatefulSet", "ssmd")
    (claim,) = replicas["spec"]["volumeClaimTemplates"]
    volume = manifests.bytes_of(claim["spec"]["resources"]["requests"]["storage"])
    states = tomllib.loads(manifests.options(rendered))["disk-state-bytes"]
    assert manifests.bytes_of(states) < volume


def test_names_by_which_http_is_called_are_those_of_the_service(objects: list[Object]) -> None:
    service = manifests.named(objects, "Service", "ssmd")["metadata"]
    hosts = tomllib.loads(manifests.options(objects))["http-host"]
    short = f"{service['name']}.{service['namespace']}"
    assert {service["name"], short, f"{short}.svc", f"{short}.svc.cluster.local"} <= set(hosts)


def test_a_gpu_is_asked_for_where_ssmd_wants_one(objects: list[Object]) -> None:
    container = manifests.daemon(objects)
    wants = manifests.arguments(container).get("device", "cpu") != "cpu"
    assert ("nvidia.com/gpu" in container["resources"]["limits"]) == wants


def test_envoys_configuration_names_every_replica() -> None:
    rendered = manifests.render("cpu")
    (scaler,) = manifests.of_kind(rendered, "HorizontalPodAutoscaler")
    most = scaler["spec"]["maxReplicas"]
    script = manifests.KUBERNETES / "envoy_config.sh"
    made = subprocess.run([script, str(most)], capture_output=True, text=True, check=True).stdout
    config_map = yaml.safe_load(made)
    envoy = manifests.named(rendered, "Deployment", "ssmd-envoy")
    (volume,) = (v for v in manifests.pod(envoy)["volumes"] if v["name"] == "config")
    assert config_map["metadata"]["name"] == volume["configMap"]["name"]
    assert {each["key"] for each in volume["configMap"]["items"]} == config_map["data"].keys()
    replicas = manifests.named(rendered, "StatefulSet", "ssmd")
    ports = manifests.ports(replicas)
    config = yaml.safe_load(config_map["data"]["envoy.yaml"])
    for cluster, port in (("ssmd_grpc", ports["grpc"]), ("ssmd_http", ports["http"])):
        (found,) = (c for c in config["static_resources"]["clusters"] if c["name"] == cluster)
        addresses = [
            (each["address"], each["port_value"])
            for each in manifests.all_values(found["load_assignment"], "socket_address")
        ]
        service = replicas["spec"]["serviceName"]
        assert addresses == [(f"ssmd-{i}.{service}", port) for i in range(most)]
        hashed = list(manifests.all_values(found["load_assignment"], "hash_key"))
        assert hashed == [f"ssmd-{i}" for i in range(most)]
    # What it may use fits the container.
    (heap,) = manifests.all_values(config["overload_manager"], "max_heap_size_bytes")
    (limits,) = manifests.all_values(manifests.containers(envoy), "limits")
    assert heap < manifests.bytes_of(limits["memory"])
    # Its listeners are the container's ports, and its files are mounted.
    listeners = {
        each["address"]["socket_address"]["port_value"]
        for each in config["static_resources"]["listeners"]
    }
    assert listeners == set(manifests.ports(envoy).values())
    (container,) = manifests.containers(envoy)
    mounts = {each["mountPath"] for each in container["volumeMounts"]}
    for text in config_map["data"].values():
        for path in re.findall(r"filename: (/[^ ,}]+)", text):
            assert os.path.dirname(path) in mounts, path


@pytest.mark.parametrize("replicas", ["0", "-1", "x", "1001", "1e3"])
def test_a_number_of_replicas_that_is_none_is_refused(replicas: str) -> None:
    script = manifests.KUBERNETES / "envoy_config.sh"
    done = subprocess.run([script, replicas], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "REPLICAS" in done.stderr
