#!/bin/sh
# Files compiled for AVX2 and AVX-512 may define nothing that the linker could put in place of another
# file's copy: an inline function with wide instructions in it would then run on CPUs without them.
# Usage: isa_symbols_test.sh NM ARCHIVE
set -eu
nm=$1
archive=$2

wide=$("$nm" --defined-only -A "$archive" 2>/dev/null | grep -E 'kernels_avx(2|512|512vnni|512bf16)\.cc' || true)
if [ -z "$wide" ]; then
  echo "no wide kernels in this build"
  exit 77
fi
echo "$wide" | grep -q 'kAvx2Kernels' || { echo "kAvx2Kernels not found: is the check broken?"; exit 1; }
# W, V and u: weak and unique symbols, which is what inline functions and templates become.
if merged=$(echo "$wide" | grep -E ' [WVuwv] '); then
  echo "merged by the linker:"
  echo "$merged" | c++filt
  exit 1
fi
