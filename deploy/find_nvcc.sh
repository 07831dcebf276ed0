#!/usr/bin/env bash
# Prints the path of nvcc: the one on PATH, else of a toolkit in its usual place, else what
# install-deps.sh --cuda unpacked. Fails where none runs.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

for nvcc in "$(command -v nvcc || true)" /usr/local/cuda/bin/nvcc /opt/cuda/bin/nvcc \
  "$root/build/tools/cuda/nvidia/cu13/bin/nvcc"; do
  if [[ -n $nvcc ]] && "$nvcc" --version >/dev/null 2>&1; then
    printf '%s\n' "$nvcc"
    exit 0
  fi
done
exit 1
