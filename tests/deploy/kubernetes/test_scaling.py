"""The metrics that replicas are scaled by: that they exist, and what they say of series made up here."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import manifests

VALUES = manifests.KUBERNETES / "components/autoscaling/prometheus-adapter-values.yaml"
CONTRACT = manifests.ROOT / "tests/unit/server/metrics.txt"


def rules() -> dict[str, dict[str, str]]:
    """Seriesquery and metricsquery, by the metric's name."""
    custom = yaml.safe_load(VALUES.read_text())["rules"]["custom"]
    return {rule["name"]["as"]: rule for rule in custom}


def series_of_ssmd() -> set[str]:
    """As PromQL knows them; a unit test holds the list against /metrics."""
    names = set()
    for line in CONTRACT.read_text().splitlines():
        kind, _, name = line.partition(" ")
        if kind in ("counter", "gauge"):
            names.add(name)
        elif kind == "histogram":
            names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return names


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_the_scaler_asks_for_metrics_that_the_adapter_makes(overlay: str) -> None:
    (scaler,) = manifests.of_kind(manifests.render(overlay), "HorizontalPodAutoscaler")
    asked = {each["pods"]["metric"]["name"] for each in scaler["spec"]["metrics"]}
    assert asked == rules().keys()


def test_the_adapter_reads_metrics_of_ssmd() -> None:
    for rule in rules().values():
        for query in (rule["seriesQuery"], rule["metricsQuery"]):
            names = set(re.findall(r"ssmd_[a-z_]+", query))
            assert names
            assert names <= series_of_ssmd()


def filled_in(query: str) -> str:
    """As the adapter asks for all pods of a namespace."""
    return query.replace("<<.LabelMatchers>>", 'namespace="ssmd"').replace("<<.GroupBy>>", "pod")


def series(metric: str, values: str, pod: str, model: str, label: str = "") -> dict[str, str]:
    labels = f'namespace="ssmd",pod="{pod}",model="{model}"{label}'
    return {"series": f"{metric}{{{labels}}}", "values": values}


def waits(pod: str, model: str, up_to_2_s: str) -> list[dict[str, str]]:
    """Turns that began: none within a second, so many within two."""
    buckets = {"1": "0x10", "2": up_to_2_s, "+Inf": up_to_2_s}
    name = "ssmd_request_queue_seconds_bucket"
    return [series(name, values, pod, model, f',le="{le}"') for le, values in buckets.items()]


def turns(pod: str, model: str, running: int, waiting: int) -> list[dict[str, str]]:
    return [
        series("ssmd_requests_running", f"{running}x10", pod, model),
        series("ssmd_requests_waiting", f"{waiting}x10", pod, model),
    ]


def slots(pod: str, model: str, used: int, free: int) -> list[dict[str, str]]:
    counts = {"used": used, "free": free}
    return [
        series("ssmd_state_slots", f"{count}x10", pod, model, f',state="{state}"')
        for state, count in counts.items()
    ]


# Of pod a: model m has waited up to 2 s of late, n not at all; of pod b nobody has asked anything.
SERIES = [
    *waits("a", "m", "0+60x10"),
    *waits("a", "n", "0x10"),
    *waits("b", "m", "0x10"),
    *turns("a", "m", running=6, waiting=6),
    *turns("a", "n", running=1, waiting=0),
    *turns("b", "m", running=0, waiting=0),
    *slots("a", "m", used=8, free=0),
    *slots("a", "n", used=1, free=7),
    *slots("b", "m", used=8, free=0),
]
EXPECTED = {
    "ssmd_queue_seconds_p95": {"a": 1.95, "b": 0},
    # Slots that states of idle sessions fill are no load.
    "ssmd_turns_per_slot": {"a": 1.5, "b": 0},
}


def test_what_the_adapter_would_say(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("there is no promtool (deploy/install-deps.sh --test brings one)")
    queries = [
        {
            "expr": filled_in(rule["metricsQuery"]),
            "eval_time": "10m",
            "exp_samples": [
                {"labels": f'{{pod="{pod}"}}', "value": value}
                for pod, value in EXPECTED[name].items()
            ],
        }
        for name, rule in rules().items()
    ]
    test = {
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": SERIES,
                "promql_expr_test": queries,
            }
        ],
    }
    file = tmp_path / "scaling.yml"
    file.write_text(yaml.safe_dump(test))
    done = subprocess.run(
        ["promtool", "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
