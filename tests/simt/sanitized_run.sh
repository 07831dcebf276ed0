#!/usr/bin/env bash
# Runs a program that was compiled for a sanitizer and checks how it ends: 0, or 66 where something is to
# be reported. Says why, and ends with 77, where the sanitizer cannot start.
#
# usage: sanitized_run.sh STATUS PROGRAM [arguments…]
set -euo pipefail
want=$1 program=$2
shift 2

# ThreadSanitizer of GCC 12 cannot place its shadow where addresses are randomised widely.
runner=()
if setarch --addr-no-randomize true 2>/dev/null; then runner=(setarch --addr-no-randomize); fi

if ! said=$("${runner[@]}" "$program" --gtest_list_tests 2>&1); then
  printf '%s\n' "$said"
  [[ $said == *Sanitizer* ]] || exit 1
  echo "the sanitizer does not start here, so nothing is looked for"
  exit 77
fi

status=0
export TSAN_OPTIONS="halt_on_error=1 exitcode=66" ASAN_OPTIONS=exitcode=66
"${runner[@]}" "$program" "$@" || status=$?
if ((status != want)); then
  echo "exit status $status instead of $want"
  exit 1
fi
