#!/usr/bin/env bash
# The manifests of deploy/kubernetes. Skips (exit status 77) where what it takes is not there.
#
# usage: run.sh BUILD_DIR test|lint [pytest arguments…]
set -euo pipefail
(($# >= 2)) && [[ $2 == test || $2 == lint ]] || {
  echo "usage: run.sh BUILD_DIR test|lint [pytest arguments…]" >&2
  exit 2
}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
build_dir=$(cd "$1" && pwd)
command=$2
shift 2

skip() {
  echo "Skipped: $* (deploy/install-deps.sh --test brings it)"
  exit 77
}
export PATH=$root/build/tools/python/venv/bin:$PATH:$root/build/tools/prometheus/usr/bin
python=$root/build/tools/python/venv/bin/python
"$python" -c 'import kubernetes_validate, yaml, jsonschema, pytest' 2>/dev/null ||
  skip "the Python package kubernetes-validate is not there"

cd "$here"
export PYTHONDONTWRITEBYTECODE=1
case $command in
  test)
    kubectl=$root/build/tools/kubectl/kubectl
    [[ -x $kubectl ]] || kubectl=$(command -v kubectl) || skip "there is no kubectl"
    "$kubectl" kustomize "$root/deploy/kubernetes/overlays/dev" >/dev/null 2>"$build_dir/kustomize.log" ||
      { [[ $("$kubectl" kustomize --help 2>&1) == *load-restrictor* ]] || skip "$kubectl is too old"; }
    export SSMD_BINARY=$build_dir/bin/ssmd SSMCTL_BINARY=$build_dir/bin/ssmctl
    "$python" -m pytest -p no:cacheprovider -q -rs "$@"
    ;;
  lint)
    config=$root/clients/python/pyproject.toml
    version=(--target-version py311)  # they run here alone, on Debian's Python
    ruff check --quiet --no-cache --config "$config" "${version[@]}" .
    ruff format --quiet --no-cache --config "$config" "${version[@]}" --diff .
    ruff check --quiet --no-cache --config "$config" "${version[@]}" ../notify_test.py
    ruff format --quiet --no-cache --config "$config" "${version[@]}" --diff ../notify_test.py
    mypy --cache-dir "$build_dir/mypy-kubernetes" --config-file "$config" --python-version 3.11 ./*.py ../notify_test.py
    ;;
esac
