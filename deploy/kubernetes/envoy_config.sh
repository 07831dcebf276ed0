#!/usr/bin/env bash
# Prints the ConfigMap of Envoy's configuration: deploy/envoy's, with the names that replicas have here.
#
#   deploy/kubernetes/envoy_config.sh 10 | kubectl apply --namespace ssmd -f -
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<'USAGE'
usage: deploy/kubernetes/envoy_config.sh REPLICAS [ENVOY_FOLDER]

  REPLICAS  as many as there may ever be (maxReplicas of the autoscaler), 1 to 1000: sessions are hashed over
            the names of those that are there
  FOLDER    deploy/envoy unless given
USAGE
}
replicas=${1:-}
envoy=${2:-$here/../envoy}
if [[ ! $replicas =~ ^[1-9][0-9]{0,3}$ ]] || ((replicas > 1000 || $# > 2)); then
  usage >&2
  exit 2
fi
if [[ ! -f $envoy/envoy.yaml ]]; then
  echo "envoy_config: there is no $envoy/envoy.yaml" >&2
  exit 1
fi

# An endpoint is a line with the name of a replica, and one with the name to hash: those of ssmd-0 are repeated.
for_replicas() {
  awk -v replicas="$replicas" '
    /address: ssmd-0,/ {
      address = $0
      if ((getline hashed) <= 0 || hashed !~ /hash_key: ssmd-0[^0-9]/) { bad = 1; exit }
      for (i = 0; i < replicas; ++i) {
        line = address; sub(/ssmd-0,/, "ssmd-" i ".ssmd-replicas,", line); print line
        line = hashed; sub(/hash_key: ssmd-0/, "hash_key: ssmd-" i, line); print line
      }
      ++clusters
      next
    }
    /address: ssmd-[0-9]+,/ { getline; next }
    { print }
    END { if (bad || clusters != 2) { print "envoy_config: the clusters are not as they were" > "/dev/stderr"; exit 1 } }
  ' "$envoy/envoy.yaml"
}

as_key() { printf '  %s: |\n' "$1" && sed 's/^\(.\)/    \1/'; }

config=$(for_replicas)
printf '%s\n' "apiVersion: v1" "kind: ConfigMap" "metadata:" "  name: ssmd-envoy" "data:"
as_key envoy.yaml <<<"$config"
for file in "$envoy"/sds/*.yaml; do as_key "$(basename "$file")" <"$file"; done
