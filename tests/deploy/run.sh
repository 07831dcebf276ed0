#!/usr/bin/env bash
# Tests what deploy/envoy, deploy/docker and deploy/capacity give to operators, with the packages in build/tools/python, without
# which it is skipped (exit status 77).
#
# usage: run.sh BUILD_DIR test|attacks|soak|lint [arguments…]
#   test     by pytest: files of this folder, against BUILD_DIR/bin/ssmd and a real Envoy
#   attacks  attacks.py, which says what it takes with --help
#   soak     soak.py: an hour of a thousand streams, or what its arguments say
#   lint     format, mistakes and types of these tests
set -euo pipefail
(($# >= 2)) || {
  echo "usage: run.sh BUILD_DIR test|attacks|soak|lint [arguments…]" >&2
  exit 2
}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build_dir=$(cd "$1" && pwd)
command=$2
shift 2

tools=$root/build/tools/python
if ! "$tools/venv/bin/python" -c 'import envoy, hpack, yaml, pytest, grpc' 2>/dev/null; then
  echo "Skipped: the Python packages are not there (deploy/install-deps.sh --test unpacks them)"
  exit 77
fi
export PATH=$tools/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# tests/python/run.sh BUILD_DIR build makes it.
export PYTHONPATH=$build_dir/python SSMD_BINARY=$build_dir/bin/ssmd
unset SSMD_SERVER SSMD_TOKEN
cd "$here"

case $command in
  test) exec python -m pytest -p no:cacheprovider -q -rs "$@" ;;
  attacks) exec python attacks.py "$@" ;;
  soak) exec python soak.py "$@" ;;
  lint)
    settings=$root/clients/python/pyproject.toml
    files=(./*.py "$root"/deploy/capacity/*.py)
    ruff check --quiet --no-cache --config "$settings" "${files[@]}"
    ruff format --quiet --no-cache --config "$settings" --diff "${files[@]}"
    export MYPYPATH=$root/deploy/capacity
    exec python -m mypy --cache-dir "$build_dir/mypy-deploy" --config-file "$settings" "${files[@]}"
    ;;
  *)
    echo "run.sh: there is no command $command" >&2
    exit 2
    ;;
esac
