#!/usr/bin/env bash
# Builds kernels/ and its tests for 64-bit Arm, and runs the tests under qemu: the plain and the NEON code,
# and that both give the bits that x86 gives. Installs Debian's cross compiler and emulator if they are
# not there. Arguments go to ctest.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

deploy/install-deps.sh --arm
mkdir -p build/arm64
cmake --preset arm64 >build/arm64/configure.log 2>&1 || {
  cat build/arm64/configure.log
  exit 1
}
cmake --build --preset arm64 --parallel "$(nproc)"
ctest --preset arm64 --parallel "$(nproc)" --no-tests=error "$@"
