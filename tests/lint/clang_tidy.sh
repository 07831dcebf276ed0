#!/usr/bin/env bash
# Runs clang-tidy with .clang-tidy over every source of ours, one process a core, warnings as errors.
#
# usage: clang_tidy.sh BUILD_DIR [REGEX]
#   BUILD_DIR  a configured and built tree: it has compile_commands.json and the generated headers
#   REGEX      only sources whose path matches
set -euo pipefail
build_dir=$(cd "$1" && pwd)
pattern=${2:-.}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

sources() {
  sed -nE "s|^ *\"file\": \"$PWD/(.*)\",?$|\1|p" "$build_dir/compile_commands.json" |
    grep -E '^(kernels|engine|server|clients|tests)/' | grep -E "$pattern" | sort -u
}

# Its count of warnings in system headers is noise; everything else is passed on.
sources | xargs -r -d '\n' -n 1 -P "$(nproc)" clang-tidy --quiet -p "$build_dir" 2>&1 |
  sed -E '/^[0-9]+ warnings? (generated|treated)/d; /^Suppressed /d; /^Use -header-filter/d'
