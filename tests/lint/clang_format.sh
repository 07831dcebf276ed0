#!/usr/bin/env bash
# Checks that every C++ file is as clang-format 14 would write it. Other versions format differently, so
# without that one the check is skipped (exit status 77), and says so.
#
# usage: clang_format.sh [ROOT]
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/../..}"

for candidate in clang-format-14 clang-format; do
  if "$candidate" --version 2>/dev/null | grep -q 'version 14\.'; then
    formatter=$candidate
    break
  fi
done
if [[ -z ${formatter:-} ]]; then
  echo "Skipped: clang-format 14 is not installed (deploy/install-deps.sh --all installs it)"
  exit 77
fi

find kernels engine server clients tests -type f \( -name '*.cc' -o -name '*.cu' -o -name '*.h' \) -print0 |
  xargs -0 -r "$formatter" --dry-run -Werror
