#!/usr/bin/env bash
# Breaks a fleet of replicas and checks what their conversations become, with the packages in build/tools/python and
# redis-server, without which it is skipped (exit status 77).
#
# usage: run.sh BUILD_DIR SCENARIO|all [arguments…]
#        run.sh BUILD_DIR short|lint
#   SCENARIO  kills, restarts, redis, partition, envoy, disk, clock, storms: chaos.py, which says with --help what
#             it takes
#   short     a little of each, in seconds
#   lint      format, mistakes and types
set -euo pipefail
if (($# < 2)); then
  sed -n '/^# usage:/,/^[^#]/ s/^# //p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build_dir=$(cd "$1" && pwd)
command=$2
shift 2

tools=$root/build/tools/python
export PATH=$tools/venv/bin:$PATH:$root/build/tools/redis PYTHONDONTWRITEBYTECODE=1
if ! python -c 'import envoy, yaml, grpc' 2>/dev/null; then
  echo "Skipped: the Python packages are not there (deploy/install-deps.sh --test unpacks them)"
  exit 77
fi
if ! command -v redis-server >/dev/null; then
  echo "Skipped: there is no redis-server (deploy/install-deps.sh --test installs it)"
  exit 77
fi
# tests/python/run.sh BUILD_DIR build makes the first; fleet.py and proxy.py are their folders'.
export PYTHONPATH=$build_dir/python:$root/tests/deploy:$root/clients/python/tests
export SSMD_BINARY=$build_dir/bin/ssmd
unset SSMD_SERVER SSMD_TOKEN
cd "$here"

case $command in
  short)
    python chaos.py kills --seconds 7 --every 2.5 --conversations 24 --turns 4 "$@"
    python chaos.py restarts --restarts 1 --conversations 12 --turns 3 "$@"
    exec python chaos.py redis --fault frozen --fault-seconds 1 "$@"
    ;;
  lint)
    settings=$root/clients/python/pyproject.toml
    export MYPYPATH=$PYTHONPATH
    ruff check --quiet --no-cache --config "$settings" ./*.py
    ruff format --quiet --no-cache --config "$settings" --diff ./*.py
    exec python -m mypy --cache-dir "$build_dir/mypy-chaos" --config-file "$settings" ./*.py
    ;;
  *) exec python chaos.py "$command" "$@" ;;
esac
