#!/usr/bin/env bash
# Runs promtool, from the PATH or as deploy/install-deps.sh unpacked it. 77 is the exit status of a check
# that cannot run here and says why.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$PATH:$root/build/tools/prometheus/usr/bin
if ! command -v promtool >/dev/null; then
  echo "Skipped: promtool is not installed (deploy/install-deps.sh --test unpacks it)"
  exit 77
fi
exec promtool "$@"
