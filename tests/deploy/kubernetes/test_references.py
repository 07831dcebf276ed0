"""Names, labels and ports that have to meet."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import manifests
from manifests import Object


def yours() -> set[str]:
    """What deploy/kubernetes/README.md says that the operator makes: `Secret/ssmd-tokens`, …"""
    text = (manifests.KUBERNETES / "README.md").read_text()
    return set(
        re.findall(r"^\| `((?:Secret|ConfigMap|PersistentVolumeClaim)/[a-z-]+)`", text, re.M)
    )


def needed(objects: list[Object]) -> set[str]:
    names = set()
    for workload in manifests.workloads(objects):
        spec = manifests.pod(workload)
        for volume in spec["volumes"]:
            if "secret" in volume:
                names.add(f"Secret/{volume['secret']['secretName']}")
            if "configMap" in volume:
                names.add(f"ConfigMap/{volume['configMap']['name']}")
            if "persistentVolumeClaim" in volume:
                names.add(f"PersistentVolumeClaim/{volume['persistentVolumeClaim']['claimName']}")
        names |= {f"Secret/{each['name']}" for each in manifests.all_values(spec, "secretKeyRef")}
        names.add(f"ServiceAccount/{spec['serviceAccountName']}")
    for monitor in manifests.of_kind(objects, "PodMonitor"):
        for key in ("credentials", "secret", "keySecret"):
            names |= {f"Secret/{each['name']}" for each in manifests.all_values(monitor, key)}
    return names


def made(objects: list[Object]) -> set[str]:
    return {f"{each['kind']}/{each['metadata']['name']}" for each in objects}


def test_what_is_referred_to_is_made_here_or_said_to_be_yours(objects: list[Object]) -> None:
    assert needed(objects) - made(objects) - yours() == set()


def test_what_is_said_to_be_yours_is_needed() -> None:
    everything = set().union(*(needed(manifests.render(name)) for name in manifests.VARIANTS))
    assert yours() - everything == set()


def test_everything_is_in_the_namespace(objects: list[Object]) -> None:
    (namespace,) = manifests.of_kind(objects, "Namespace")
    inside = {each["metadata"].get("namespace") for each in objects if each is not namespace}
    assert inside == {namespace["metadata"]["name"]}


def test_services_select_pods_and_ports_that_there_are(objects: list[Object]) -> None:
    for service in manifests.of_kind(objects, "Service"):
        found = manifests.selected(objects, service["spec"]["selector"])
        assert len(found) == 1, service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in manifests.ports(found[0])


def test_workloads_select_their_own_pods(objects: list[Object]) -> None:
    for workload in manifests.workloads(objects):
        labels = workload["spec"]["selector"]["matchLabels"]
        assert manifests.selected(objects, labels) == [workload]
        for spread in manifests.pod(workload)["topologySpreadConstraints"]:
            assert spread["labelSelector"]["matchLabels"] == labels


def test_the_replicas_names_are_those_of_the_headless_service(objects: list[Object]) -> None:
    replicas = manifests.named(objects, "StatefulSet", "ssmd")
    service = manifests.named(objects, "Service", replicas["spec"]["serviceName"])
    assert service["spec"]["clusterIP"] == "None"
    labels = replicas["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    address = manifests.arguments(manifests.daemon(objects)).get("replica-address")
    if address is not None:
        assert f".{service['metadata']['name']}." in address
        assert address.endswith(f":{manifests.ports(replicas)['grpc']}")


def test_budgets_monitors_and_scalers_have_a_workload(objects: list[Object]) -> None:
    for each in manifests.of_kind(objects, "PodDisruptionBudget", "PodMonitor"):
        found = manifests.selected(objects, each["spec"]["selector"]["matchLabels"])
        assert len(found) == 1, each["metadata"]["name"]
        for endpoint in each["spec"].get("podMetricsEndpoints", []):
            assert endpoint["port"] in manifests.ports(found[0])
    for scaler in manifests.of_kind(objects, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        workload = manifests.named(objects, target["kind"], target["name"])
        assert workload["apiVersion"] == target["apiVersion"]
        assert "replicas" not in workload["spec"], "each apply would undo the scaler's work"


def policies_of(objects: list[Object], workload: Object) -> list[Object]:
    return [
        each
        for each in manifests.of_kind(objects, "NetworkPolicy")
        if workload in manifests.selected(objects, each["spec"]["podSelector"]["matchLabels"])
    ]


def peers(objects: list[Object], rule: dict[str, Any], side: str) -> list[Object]:
    """The workloads that a rule of a policy lets through."""
    return [
        workload
        for peer in rule.get(side, [])
        if "podSelector" in peer
        for workload in manifests.selected(objects, peer["podSelector"]["matchLabels"])
    ]


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_policies_let_through_what_is_needed_and_name_ports_that_there_are(overlay: str) -> None:
    rendered = manifests.render(overlay)
    replicas = manifests.named(rendered, "StatefulSet", "ssmd")
    envoy = manifests.named(rendered, "Deployment", "ssmd-envoy")
    for workload in (replicas, envoy):
        found = policies_of(rendered, workload)
        assert any({"Ingress", "Egress"} == set(each["spec"]["policyTypes"]) for each in found)
        for rule in (rule for each in found for rule in each["spec"].get("ingress", [])):
            assert {port["port"] for port in rule["ports"]} <= manifests.ports(workload).keys()

    def allowed(of: Object, to: Object, direction: str, side: str) -> set[str]:
        return {
            port["port"]
            for policy in policies_of(rendered, of)
            for rule in policy["spec"].get(direction, [])
            if to in peers(rendered, rule, side)
            for port in rule["ports"]
        }

    assert allowed(replicas, envoy, "ingress", "from") == {"grpc", "http"}
    assert allowed(envoy, replicas, "egress", "to") == {"grpc", "http"}
    outward = [
        rule for each in policies_of(rendered, replicas) for rule in each["spec"].get("egress", [])
    ]
    assert sorted({port["port"] for rule in outward for port in rule["ports"]}) == [53, 6379]


def test_mounts_have_volumes_and_volumes_mounts(objects: list[Object]) -> None:
    for workload in manifests.workloads(objects):
        claims = workload["spec"].get("volumeClaimTemplates", [])
        volumes = {each["name"] for each in manifests.pod(workload)["volumes"]}
        volumes |= {each["metadata"]["name"] for each in claims}
        mounts = [m for c in manifests.containers(workload) for m in c["volumeMounts"]]
        assert {each["name"] for each in mounts} == volumes
        for container in manifests.containers(workload):
            paths = [each["mountPath"] for each in container["volumeMounts"]]
            assert len(paths) == len(set(paths))


def test_pods_are_restricted(objects: list[Object]) -> None:
    (namespace,) = manifests.of_kind(objects, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for workload in manifests.workloads(objects):
        spec = manifests.pod(workload)
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        for container in manifests.containers(workload):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_secrets_are_for_their_group_alone(objects: list[Object]) -> None:
    for workload in manifests.workloads(objects):
        assert manifests.pod(workload)["securityContext"]["fsGroup"] > 0
        for volume in manifests.pod(workload)["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440, volume["name"]


def test_images_have_a_version(objects: list[Object]) -> None:
    for workload in manifests.workloads(objects):
        for container in manifests.containers(workload):
            _, _, tag = container["image"].rpartition(":")
            assert tag not in ("", "latest"), container["image"]
            assert ":" in container["image"]


@pytest.mark.parametrize(("overlay", "tag"), [("cpu", "0.1.0"), ("gpu", "0.1.0-cuda")])
def test_the_overlay_of_the_readme_changes_what_it_says(
    tmp_path: Path, overlay: str, tag: str
) -> None:
    readme = (manifests.KUBERNETES / "README.md").read_text()
    (text,) = re.findall(r"^```yaml\n(.*?)^```", readme, re.M | re.S)
    example = yaml.safe_load(text)
    below = manifests.KUBERNETES / "overlays" / overlay
    example["resources"] = [os.path.relpath(below, tmp_path.resolve())]
    del example["images"][0]["newTag"]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(example))
    options = (manifests.KUBERNETES / "base/ssmd.toml").read_text()
    (tmp_path / "ssmd.toml").write_text(options.replace("ssmd.ssmd", "ssmd.chat"))
    objects = manifests.kustomize(tmp_path)
    assert manifests.daemon(objects)["image"] == f"reg.example/ssmd:{tag}"
    (envoy,) = manifests.containers(manifests.named(objects, "Deployment", "ssmd-envoy"))
    assert envoy["image"].startswith("reg.example/envoy:")
    (namespace,) = manifests.of_kind(objects, "Namespace")
    assert namespace["metadata"]["name"] == "chat"
    inside = {each["metadata"].get("namespace") for each in objects if each is not namespace}
    assert inside == {"chat"}
    assert "ssmd.chat.svc" in tomllib.loads(manifests.options(objects))["http-host"]
    assert needed(objects) - made(objects) - yours() == set()


def test_envoys_configuration_fits_its_container() -> None:
    envoy = manifests.named(manifests.render("cpu"), "Deployment", "ssmd-envoy")
    (config,) = (v for v in manifests.pod(envoy)["volumes"] if v["name"] == "config")
    keys = {each["key"]: each["path"] for each in config["configMap"]["items"]}
    assert keys.pop("envoy.yaml") == "envoy.yaml"
    assert all(path == f"sds/{key}" for key, path in keys.items())
