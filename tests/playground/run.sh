#!/usr/bin/env bash
# Tests the playground page in Debian's Chromium, with the packages in build/tools/python. Without either it is
# skipped (exit status 77).
#
# usage: run.sh mock [pytest arguments…]
#        run.sh BINARY [pytest arguments…]
#        run.sh lint
#   mock     against the mock server
#   BINARY   against this ssmd
#   lint     format and mistakes of the tests
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=$here/../../build/tools/python
if [[ ! -f $tools/requirements.txt ]]; then
  echo "Skipped: the Python packages are not there (deploy/install-deps.sh --test unpacks them)"
  exit 77
fi
if [[ $1 == lint ]]; then
  cd "$here"
  "$tools/venv/bin/ruff" check --quiet --no-cache .
  exec "$tools/venv/bin/ruff" format --quiet --no-cache --diff .
fi
if ! command -v "${CHROMIUM:-chromium}" >/dev/null; then
  echo "Skipped: there is no chromium (deploy/install-deps.sh --test installs it)"
  exit 77
fi
unset SSMD_BINARY
[[ $1 == mock ]] || export SSMD_BINARY=$1
shift
export PYTHONDONTWRITEBYTECODE=1
cd "$here" && exec "$tools/venv/bin/python" -m pytest -p no:cacheprovider -q "$@" .
