#!/usr/bin/env bash
# The table of what every CUDA kernel takes of a GPU, kernels/cuda/resources.txt, against what ptxas said
# when a build compiled them. 77 where they cannot be compared: for another GPU, or by another nvcc.
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
table=$root/kernels/cuda/resources.txt
arch=sm_90a

usage() {
  cat <<'USAGE'
usage: tests/gpu/kernel_resources.sh [--write [--with-spills]] BUILD

  BUILD          a build folder with the CUDA device for sm_90a (SSMD_CUDA, 90a-real)
  --write        make the table anew from it, instead of comparing
  --with-spills  though there are kernels that spill registers: they then fail no more
USAGE
}

write=false
with_spills=false
build=
for argument in "$@"; do
  case $argument in
    --write) write=true ;;
    --with-spills) with_spills=true ;;
    --help | -h) usage && exit 0 ;;
    *) build=$argument ;;
  esac
done
[[ -n $build ]] || { usage >&2 && exit 2; }

# The compiler's version, as CMake found it.
version=$(sed -nE 's/^set\(CMAKE_CUDA_COMPILER_VERSION "(.*)"\)/\1/p' "$build"/CMakeFiles/*/CMakeCUDACompiler.cmake)

# "FILE KERNEL REGISTERS STACK SPILLED SHARED" of the kernels in what ptxas said of a file.
kernels_of() {
  local name=$1 log=$2
  c++filt <"$log" | awk -v file="$name" -v arch="$arch" '
    /Compiling entry function/ {
      of_arch = index($0, "for \x27" arch "\x27") > 0
      kernel = $0
      sub(/^.*KernelEntry</, "", kernel)
      sub(/>\(.*$/, "", kernel)
      shared = kernel
      sub(/^.*, (\(unsigned long\))?/, "", shared)
      sub(/, [^,]*$/, "", kernel)
      gsub(/ssmd::kernels::cuda::|\(anonymous namespace\)::|\([a-zA-Z: ]+\)| /, "", kernel)
      stack = spilled = 0
    }
    / bytes stack frame, / { stack += $1; spilled += $5 + $9 }
    /: Used [0-9]+ registers/ && of_arch {
      match($0, /Used [0-9]+/)
      registers = substr($0, RSTART + 5, RLENGTH - 5)
      static = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART) + 0 : 0
      print file, kernel, registers, stack, spilled, shared + static
    }'
}

table_of_build() {
  local source log
  printf '# What each kernel takes for %s, by nvcc %s: registers of a thread, bytes of its stack, bytes\n' "$arch" "$version"
  printf '# spilled, bytes of shared memory of a block. By tests/gpu/kernel_resources.sh --write.\n'
  for source in "$root"/kernels/cuda/*.cu; do
    log=$build/kernels/cuda/CMakeFiles/ssmd_cuda.dir/${source##*/}.o.ptxas
    [[ -f $log ]] || { echo "not compiled in $build: ${source##*/}" >&2 && return 1; }
    kernels_of "${source##*/}" "$log"
  done | LC_ALL=C sort | column -t
}

made=$(table_of_build)
if ! grep -qvE '^#' <<<"$made"; then
  echo "Skipped: the build has no kernels for $arch"
  exit 77
fi

# Kernels that spill, and were not recorded so.
spilling() { awk '!/^#/ && $5 > 0 { print $1, $2 }' "$@"; }
new_spills=$(comm -13 <(spilling "$table" 2>/dev/null) <(spilling <<<"$made"))
if [[ -n $new_spills ]] && ! $with_spills; then
  printf 'kernels that spill registers:\n%s\n' "$new_spills"
  exit 1
fi

if $write; then
  printf '%s\n' "$made" >"$table"
  exit 0
fi

recorded=$(sed -nE '1s/.*by nvcc ([0-9.]+):.*/\1/p' "$table")
if [[ $recorded != "$version" ]]; then
  echo "Skipped: the table is of nvcc $recorded, and this build is by nvcc $version"
  exit 77
fi
if ! diff -u "$table" <(printf '%s\n' "$made"); then
  echo "kernels take something else than was recorded; look at it, and then: tests/gpu/kernel_resources.sh --write $build"
  exit 1
fi
