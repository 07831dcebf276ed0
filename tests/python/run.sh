#!/usr/bin/env bash
# Builds and tests clients/python, and tests the HTTP API, with the packages in build/tools/python, without which
# it is skipped (exit status 77).
#
# usage: run.sh BUILD_DIR build|lint|lint-http
#        run.sh BUILD_DIR test|http|fuzz [pytest arguments…]
#   build      the package, into BUILD_DIR/python, which the others use
#   lint       format, mistakes and types
#   test       against BUILD_DIR/bin/ssmd
#   http       the HTTP API of BUILD_DIR/bin/ssmd: OpenAI's package, sessions, shapes, curl
#   lint-http  format, mistakes and types of those tests
#   fuzz       the HTTP API of BUILD_DIR/bin/ssmd: SSMD_FUZZ_SECONDS, SSMD_HTTP_CASES (see http/test_fuzz.py)
set -euo pipefail
if (($# < 2)); then
  sed -n '/^# usage:/,/^[^#]/ s/^# //p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build_dir=$(cd "$1" && pwd)
command=$2
shift 2

tools=$root/build/tools/python
if [[ ! -f $tools/requirements.txt ]]; then
  echo "Skipped: the Python packages are not there (deploy/install-deps.sh --test unpacks them)"
  exit 77
fi
export PATH=$tools/venv/bin:$PATH
export PIP_DISABLE_PIP_VERSION_CHECK=1
client=$root/clients/python
http=$root/tests/python/http
site=$build_dir/python

# Skips where one of some packages is not there.
needs_packages() {
  local package
  for package in "$@"; do
    if ! python -c "import $package" 2>/dev/null; then
      echo "Skipped: the Python package $package is not there (deploy/install-deps.sh --test)"
      exit 77
    fi
  done
}

case $command in
  build)
    rm -rf "$site"
    pip install --quiet --no-deps --no-build-isolation --target "$site" "$client"
    ;;
  lint)
    ruff check --quiet --no-cache "$client"
    ruff format --quiet --no-cache --diff "$client"
    cd "$site" && mypy --cache-dir "$build_dir/mypy" --config-file "$client/pyproject.toml" ssmd
    ;;
  test)
    export PYTHONPATH=$site PYTHONDONTWRITEBYTECODE=1
    export SSMD_BINARY=$build_dir/bin/ssmd SSMD_PYTHON_WHEELS=$tools/wheels
    cd "$client" && python -m pytest "$@"
    ;;
  http)
    needs_packages openai httpx2 jsonschema
    export PYTHONDONTWRITEBYTECODE=1 SSMD_BINARY=$build_dir/bin/ssmd
    cd "$http" && python -m pytest -p no:cacheprovider -q "$@"
    ;;
  lint-http)
    needs_packages openai httpx2 jsonschema
    cd "$http"
    files=(asking.py checking.py conftest.py daemon.py shapes.py)
    files+=(test_curl.py test_openai.py test_openai_errors.py test_sessions.py test_stored.py test_shapes.py)
    ruff check --quiet --no-cache --config "$client/pyproject.toml" "${files[@]}"
    ruff format --quiet --no-cache --config "$client/pyproject.toml" --diff "${files[@]}"
    mypy --cache-dir "$build_dir/mypy-http" --config-file "$client/pyproject.toml" "${files[@]}"
    ;;
  fuzz)
    needs_packages fastjsonschema openapi_spec_validator openai jsonschema
    export PYTHONDONTWRITEBYTECODE=1 SSMD_BINARY=$build_dir/bin/ssmd
    cd "$root/tests/python/http" && python -m pytest --noconftest -p no:cacheprovider -rP test_fuzz.py "$@"
    ;;
esac
