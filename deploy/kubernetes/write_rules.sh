#!/usr/bin/env bash
# Writes the rules of deploy/prometheus as objects of the Prometheus operator, which a test compares: run it
# after a change there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here/components/monitoring}

# A PrometheusRule's spec is what a rule file is.
as_object() {
  printf '%s\n' "# Made by write_rules.sh of deploy/prometheus/$1.yml." "apiVersion: monitoring.coreos.com/v1" \
    "kind: PrometheusRule" "metadata:" "  name: ssmd-$1" "spec:"
  sed -E '/^groups:/,$ { s/^(.)/  \1/; b }; d' "$here/../prometheus/$1.yml"
}

as_object recording >"$out/recording-rules.yaml"
as_object alerts >"$out/alert-rules.yaml"
