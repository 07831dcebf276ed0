#!/usr/bin/env bash
# notify_test.py, where there is a Python.
#
# usage: notify_test.sh BUILD MODEL
set -euo pipefail
command -v python3 >/dev/null || { echo "Skipped: there is no python3" && exit 77; }
exec python3 "$(dirname "${BASH_SOURCE[0]}")/notify_test.py" "$1/bin/ssmd" "$2"
